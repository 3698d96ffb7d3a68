"""What makes a run this run: its folder, from parameters, images and weights."""

import hashlib
import json
import os
import shutil
import time
from pathlib import Path

import numpy as np
import pytest
from conftest import make_category, save, texture
from helpers import parameters

from adlib.runs import execute, planning
from adlib.runs import parameters as checks
from adlib.runs.folder import RECIPES, new_entry, read_entry, read_runs, run_folder
from adlib.runs.parameters import lesson_parameters
from adlib.runs.tables import frame


@pytest.fixture
def given(tmp_path) -> dict:
    """Parameters of a run on a category that is there."""
    make_category(tmp_path / "set")
    return parameters(tmp_path)


def digits(given: dict, method: str = "stfpm", **changed) -> str:
    return run_folder(method, given | changed).name.rpartition("-")[2]


def test_the_folder_says_method_data_set_category_budget_and_seed(given, tmp_path):
    folder = run_folder("stfpm", given)
    assert folder.parent == tmp_path / "runs/stfpm/set/bolt"
    assert folder.name == f"smoke-s0-{digits(given)}"


def test_the_digits_are_a_hash_of_what_differs_from_the_defaults(given, tmp_path):
    files = [(path.relative_to(tmp_path / "set/bolt").as_posix(), path.stat().st_size)
             for path in (tmp_path / "set/bolt").rglob("*.png")]
    data = hashlib.sha256(json.dumps([sorted(files)]).encode()).hexdigest()[:12]
    what = {"method": "stfpm", "recipe": RECIPES, "digests": {"data": data}, "category": "bolt", "budget": "smoke"}
    assert digits(given) == hashlib.sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()[:6]
    assert new_entry("stfpm", given)["digests"] == {"data": data, "weights": None, "textures": None}


def test_changed_recipes_are_another_run(given, monkeypatch):
    before = digits(given)
    monkeypatch.setattr("adlib.runs.folder.RECIPES", RECIPES + 1)
    assert digits(given) != before


def test_a_new_parameter_moves_no_run(given, monkeypatch):
    before = digits(given)
    grown = lesson_parameters("01_stfpm") | {"dropout": 0.0}
    monkeypatch.setattr("adlib.runs.folder.lesson_parameters", lambda lesson: grown)
    assert digits(given, dropout=0.0) == before == digits(given)
    assert digits(given, dropout=0.5) != before


def test_a_default_that_is_given_is_the_same_run(given):
    assert execute.folder_of("stfpm", {"out_dir": given["out_dir"], "lr": "auto", "levels": [1, 2, 3]}) == \
        execute.folder_of("stfpm", {"out_dir": given["out_dir"]})
    assert execute.folder_of("rd4ad", {"cosine": "flat"}) == execute.folder_of("rd4ad", {})


@pytest.mark.parametrize("change", [{"lr": 0.1}, {"levels": [1]}, {"precision": "bf16"}, {"weights": "random"},
                                    {"category": "nut"}, {"budget": "demo"}, {"image_size": 96}])
def test_another_setting_is_another_run(given, change):
    assert digits(given, **change) != digits(given)


def test_where_data_and_runs_lie_and_on_what_device_is_no_setting(given, tmp_path, monkeypatch):
    before = digits(given)
    shutil.copytree(tmp_path / "set", tmp_path / "elsewhere/set")
    assert digits(given, data_root=str(tmp_path / "elsewhere/set/"), device="cuda", out_dir="there") == before
    monkeypatch.chdir(tmp_path)
    assert digits(given, data_root="set") == digits(given, data_root="elsewhere/../set/") == before


def spoil_nothing(folder: Path) -> None:
    (folder / "test/crack/.DS_Store").write_text("clutter")
    (folder / "notes.txt").write_text("nothing reads this")


@pytest.mark.parametrize("change", [
    lambda f: save(f / "train/good/new.png", texture(np.random.default_rng(1))),
    lambda f: save(f / "test/good/new.png", texture(np.random.default_rng(1))),
    lambda f: (f / "test/crack/000.png").unlink(),
    lambda f: (f / "test/crack/000.png").rename(f / "test/good/900.png"),
    lambda f: save(f / "train/good/000.png", texture(np.random.default_rng(1), (64, 64))),
    lambda f: (f / "ground_truth/crack/000_mask.png").unlink(),
    lambda f: save(f / "ground_truth/crack/001/0.png", np.zeros((4, 4), np.uint8)),       # a mask of LOCO's
], ids=["train", "test", "fewer", "renamed", "size", "truth", "loco"])
def test_other_images_or_masks_are_another_run(given, tmp_path, change):
    before = digits(given)
    spoil_nothing(tmp_path / "set/bolt")
    make_category(tmp_path / "set", "nut")              # another category's images are not this run's
    assert digits(given) == before
    change(tmp_path / "set/bolt")
    assert digits(given) != before


def test_weights_count_by_what_they_hold(given, tmp_path):
    file = tmp_path / "w.pt"
    absent = digits(given, weights=str(file))
    file.write_bytes(b"first")
    first = digits(given, weights=str(file))
    shutil.copy(file, tmp_path / "copy.pt")
    assert digits(given, weights=str(tmp_path / "copy.pt")) == first
    file.write_bytes(b"other")          # of the same size
    os.utime(file, (1, 1))              # two writes within a clock's tick are one to a cache
    assert len({absent, first, digits(given, weights=str(file)), digits(given)}) == 4
    assert new_entry("stfpm", given | {"weights": str(file)})["digests"]["weights"]


def test_a_file_called_auto_is_no_weights(given, tmp_path, monkeypatch):
    before = digits(given), digits(given, weights="random")
    monkeypatch.chdir(tmp_path)
    for name in ("auto", "random"):
        (tmp_path / name).write_bytes(b"x")
    assert (digits(given), digits(given, weights="random")) == before


def test_a_texture_folder_counts_by_its_files(tmp_path):
    given = lesson_parameters("02_destseg") | {"texture_source": str(tmp_path / "dtd")}
    save(tmp_path / "dtd/banded/1.png", np.zeros((8, 8, 3), np.uint8))
    before = digits(given, "destseg")
    save(tmp_path / "dtd/banded/2.png", np.zeros((8, 8, 3), np.uint8))
    assert len({before, digits(given, "destseg"), digits(given, "destseg", texture_source="auto")}) == 3


def test_own_photographs_count_by_the_files_of_both_folders(tmp_path):
    for name in ("good", "new", "twin/good"):
        save(tmp_path / name / "1.png", np.zeros((8, 8, 3), np.uint8))
    own = parameters(tmp_path, data_root=str(tmp_path), category="good", good=str(tmp_path / "good"), new="")
    alone = digits(own)
    assert digits(own, good=str(tmp_path / "twin/good")) == alone
    both = digits(own, new=str(tmp_path / "new"))
    save(tmp_path / "new/2.png", np.zeros((8, 8, 3), np.uint8))
    assert digits(own) == alone
    assert len({alone, both, digits(own, new=str(tmp_path / "new"))}) == 3
    save(tmp_path / "good/2.png", np.zeros((8, 8, 3), np.uint8))
    assert digits(own) != alone


def test_a_one_class_set_and_one_that_is_not_there_have_a_folder_too(tmp_path):
    given = parameters(tmp_path)
    assert digits(given, data_root="digits", category="3") != digits(given, data_root="cifar10", category="3")
    assert digits(given, data_root=str(tmp_path / "nowhere")) == digits(given)
    with pytest.raises(ValueError, match="must be the name of one folder"):
        run_folder("stfpm", given | {"category": "../../x"})


def test_the_demo_set_is_made_before_its_folder_is_looked_up(monkeypatch, tmp_path):
    made = []
    monkeypatch.setattr("adlib.demo.ensure", made.append)
    monkeypatch.setattr(execute, "execute_run", lambda *_: made.append("run"))
    execute.run("nearest", {"data_root": "data/demo-s7", "out_dir": str(tmp_path)})
    execute.run("nearest", {"data_root": str(tmp_path / "own"), "out_dir": str(tmp_path)})
    assert made == ["data/demo-s7", "run", "run"]


def test_a_sweep_of_a_thousand_runs_is_planned_at_once(tmp_path):
    for i in range(15):
        for k in range(30):
            path = tmp_path / f"set/c{i}/train/good/{k}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
    common = {"data_root": str(tmp_path / "set"), "out_dir": str(tmp_path / "runs")}
    rows = [(method, common | {"image_size": size}) for method in ("nearest", "stfpm", "rd4ad", "destseg")
            for size in range(32, 32 * 18, 32)]
    wanted = planning.combine(rows, [f"c{i}" for i in range(15)], [0])
    began = time.process_time()
    planned = planning.plan(wanted, planning.Machine(cores=2))
    assert len(planned) == 1020
    assert len({run.folder.name for run in planned}) > 1000
    assert time.process_time() - began < 1


# Entries, of any schema ----------------------------------------------------------------------------------------------


def old_entry(given: dict) -> dict:
    """As schema 1 wrote it."""
    entry = new_entry("stfpm", given)
    entry["metrics"]["image_auroc"] = 0.75
    return {name: value for name, value in entry.items() if name not in ("schema", "threads", "cpu", "digests")}


def test_old_entries_are_read(given, tmp_path):
    folder = tmp_path / "runs/stfpm/set/bolt/smoke-s0-0a1b2c"      # the digits of schema 1
    folder.mkdir(parents=True)
    (folder / "run.json").write_text(json.dumps(old_entry(given)))
    entry, = read_runs(tmp_path / "runs")
    assert (entry["schema"], entry["threads"], entry["cpu"], entry["digests"]) == (1, None, None, {})
    row = frame([entry]).iloc[0]
    assert (row["image_auroc"], row["cpu"], row["variant"]) == (0.75, "", "stfpm")


@pytest.mark.parametrize("text", ["[]", "3", "null", '"run"', "{}", '{"method": "stfpm"}', '{"method"', "\xff", ""])
def test_what_is_no_entry_is_left_out(tmp_path, text):
    folder = tmp_path / "stfpm/set/bolt/smoke-s0-000000"
    folder.mkdir(parents=True)
    (folder / "run.json").write_bytes(text.encode("latin-1"))
    with pytest.warns(UserWarning, match="left out: .*run.json"):
        assert read_runs(tmp_path) == []


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"error": null}', '{"error": {"name": "E"}}'])
def test_a_torn_failure_is_a_failure(tmp_path, text):
    (tmp_path / "failed.json").write_text(text)
    with pytest.raises(RuntimeError, match="failed in a way that its failed.json, which is torn, does not tell"):
        read_entry(tmp_path)


# What "auto" means ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("lesson", "given", "meant"), [
    ("01_stfpm", {"budget": "paper"}, {"image_size": 256, "lr": None, "steps": None, "level_weights": None}),
    ("01_stfpm", {"image_size": 96, "lr": 0.5, "level_weights": [1.0, 2.0, 0.0]},
     {"image_size": 96, "lr": 0.5, "level_weights": [1.0, 2.0, 0.0], "weights": "auto", "precision": "auto"}),
    ("02_destseg", {"category": "screw", "budget": "smoke"}, {"rotation": "full", "width": 16, "student_width": 16}),
    ("02_destseg", {"category": "own", "width": 8}, {"rotation": "none", "width": 8, "student_width": 16}),
    ("02_destseg", {"batch": 4}, {"batch": 4, "student_steps": None, "segmentation_steps": None, "lr": None}),
    ("02_destseg", {"category": "screw", "rotation": "slight"}, {"rotation": "slight", "texture_source": "auto"}),
    ("03_reverse_distillation", {}, {"cosine": "flat", "lr": None, "borders": "damp", "start": "auto"}),
    ("03_reverse_distillation", {"budget": "paper"}, {"borders": "keep", "start": "none"}),
    ("04_masked_reverse_distillation", {"budget": "paper", "borders": "damp", "start": "mean"},
     {"borders": "damp", "start": "mean"}),
    ("04_masked_reverse_distillation", {}, {"cosine": "pixel", "device": "auto"}),
    ("03_reverse_distillation", {"cosine": "pixel"}, {"cosine": "pixel"}),
])
def test_auto_is_resolved(lesson, given, meant):
    parameters = checks.complete_parameters(lesson, given)
    found = checks.resolve(parameters)
    assert found.keys() == parameters.keys()
    assert {name: found[name] for name in meant} == meant
    left = {name for name, value in found.items() if value == "auto"}
    assert left <= {"weights", "precision", "device", "texture_source", "start"}

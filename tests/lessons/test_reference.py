"""References: trained small here, and the committed ones as they state themselves."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from conftest import make_category

from adlib import ROOT, __main__, demo, metrics
from adlib.data import load_category
from adlib.lessons import effects, reference
from adlib.networks.destseg import DeSTSeg
from adlib.networks.masked_rd import MaskedRD
from adlib.training import predict

COMMITTED = sorted((ROOT / reference.STORED).glob("*.pt"))
MB = 10**6


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return make_category(tmp_path_factory.mktemp("set"), train=16).parent


@pytest.fixture(scope="module")
def few(root):
    return load_category(root, "bolt", image_size=64)


@pytest.fixture(scope="module")
def folder(few, tmp_path_factory):
    folder = tmp_path_factory.mktemp("stored")
    for method in ("destseg", "masked_rd"):
        reference.train_reference(method, few, plan="smoke", checkpoints=folder / "checkpoints", target=folder,
                                  log=lambda line: None)
    return folder


@pytest.mark.parametrize(("method", "network"), [("destseg", DeSTSeg), ("masked_rd", MaskedRD)])
def test_what_is_stored_is_what_was_measured(folder, few, method, network):
    lines = []
    found = reference.load_reference(method, few, folder=folder, log=lines.append)
    assert isinstance(found.model, network)
    assert not found.model.training
    assert {x.dtype for x in found.model.parameters()} == {torch.float32}       # as it computes, however it is stored
    assert lines == [f"the reference of {method}: {reference.describe_training(found.about)}"]
    steps = sum(number for name, number in reference.PLANS["smoke"][method].items() if name.endswith("steps"))
    assert found.about["steps"] == steps
    maps = predict(found.model, few.test)
    numbers = metrics.evaluate(maps, few.masks, found.model.image_scores(maps), few.labels)
    assert numbers == pytest.approx(found.about["metrics"])
    textures = demo.load_textures("auto", 64) if method == "destseg" else None
    again = effects.measure_effects({reference.NAME: found.model}, few, textures=textures)
    measured = again.drop(columns=["twin_hidden", "twin_visible", "twin_own"])
    pd.testing.assert_frame_equal(measured, found.effects[measured.columns], check_dtype=False, atol=1e-5)
    assert found.effects["twin_hidden"].notna().all() == (method == "masked_rd")
    alarms = reference.find_alarms(found, few)
    validation_scores = found.model.image_scores(predict(found.model, few.validation))
    assert alarms.tolist() == (found.model.image_scores(maps) > validation_scores.max()).tolist()   # above all of them


def test_weights_are_stored_in_half_precision_without_the_teacher(folder):
    state = torch.load(folder / "destseg_bolt.pt", weights_only=True)["state"]
    assert {x.dtype for x in state.values() if x.is_floating_point()} == {torch.float16}
    assert not any(name.startswith("teacher.") for name in state)
    assert list((folder / "checkpoints").iterdir()) == []


class Stopped(Exception):
    pass


def test_a_stopped_training_goes_on(few, folder, tmp_path, monkeypatch):
    """Stopped behind the first of its stages, it ends with the weights of one that was not."""
    def stop(line):
        if line.startswith("student: done"):
            raise Stopped

    arguments = {"plan": "smoke", "checkpoints": tmp_path / "checkpoints", "target": tmp_path}
    with pytest.raises(Stopped):
        reference.train_reference("destseg", few, log=stop, **arguments)
    assert not (tmp_path / "destseg_bolt.pt").exists()
    lines = []
    reference.train_reference("destseg", few, log=lines.append, **arguments)
    assert any(line.startswith("going on from") for line in lines)
    whole, parts = (torch.load(x / "destseg_bolt.pt", weights_only=True)["state"] for x in (folder, tmp_path))
    assert all(torch.equal(parts[name], x) for name, x in whole.items())
    assert json.loads((tmp_path / "destseg_bolt.json").read_text())["processor_seconds"] is None


def test_what_is_missing_is_said(folder, few):
    def said(data, backbone="efficientnet_lite0"):
        lines = []
        assert reference.load_reference("destseg", data, backbone, folder=folder, log=lines.append) is None
        return lines

    assert said(replace(few, name="tile")) == [
        f"no reference here: {folder} has none of destseg for tile (there: destseg_bolt, masked_rd_bolt); "
        "train it: python -m adlib reference --methods destseg --category tile"]
    assert said(replace(few, train=few.train.flip(-1))) == [
        "no reference here: that of bolt saw other images, of 64 px"]
    assert said(few, "resnet18") == ["no reference here: its teacher is efficientnet_lite0, not resnet18"]


def test_weights_of_another_version_are_refused(folder, few, tmp_path):
    for ending in ("pt", "json"):
        (tmp_path / f"destseg_bolt.{ending}").write_bytes((folder / f"destseg_bolt.{ending}").read_bytes())
    saved = torch.load(tmp_path / "destseg_bolt.pt", weights_only=True)
    saved["state"]["student.older"] = torch.zeros(1)
    torch.save(saved, tmp_path / "destseg_bolt.pt")
    with pytest.raises(ValueError, match=r"stored by adlib 0.1.0 and does not fit .*student\.older.*train it anew"):
        reference.read_reference("destseg", "bolt", folder=tmp_path)


def rows(name, **columns):
    base = dict.fromkeys([*effects.ANSWERS, *effects.OTHERS], float("nan"))
    index = pd.MultiIndex.from_product([[name], [1, 2]], names=["method", "level"])
    return pd.DataFrame(base | columns, index=index)


def test_the_comparison_by_hand():
    about = {"steps": 1200, "seconds": 700.0, "processor_seconds": 600.0, "threads": 1, "cpu": "a chip",
             "plan": {"steps": 1200, "copies": 16}}
    seen = {"own": 0.1, "other": 0.3, "position": 0.2, "teacher_apart": 0.4, "inside": 0.2}
    short = rows("DeSTSeg", **seen, student_apart=[0.2, 0.1], repaired=[0.15, 0.25])
    long = rows(reference.NAME, **seen, student_apart=[0.3, 0.2], repaired=[0.1, 0.3])
    said = reference.say_beside(short, reference.Reference(torch.nn.Identity(), about, long), steps=100)
    assert said == (
        "The reference is the lesson's network, its student trained 12 times as long (1,200 steps in all, 16 copies of "
        "each image where the lesson has 4, 10 minutes on 1 thread of a chip).\n\n"
        "|  | level 1: yours | level 1: reference | level 2: yours | level 2: reference |\n|---|---|---|---|---|\n"
        "| two answers apart, of what the teacher's are | 50% | 75% | 25% | 50% |\n"
        "| nearer than the mean per position by | 50% | 50% | 50% | 50% |\n"
        "| the same inside corruptions | 25% | 50% | -25% | -50% |\n\n"
        "*Differs* asks for a third in the first row. Your network fails *differs* at level 2 and *repairs* at level "
        "2; the reference fails *repairs* at level 2.")
    assert "what time alone does" in reference.say_beside(short, reference.Reference(torch.nn.Identity(), about | {
        "plan": {"copies": 4, "lr": 0.006, "student_steps": 400}}, long), steps=100)
    about["plan"] = {"copies": 4, "lr": 0.006}
    assert "4 copies of each image, as in the lesson, a learning rate of 0.006" in reference.describe_training(about)
    said = reference.say_alone(reference.Reference(torch.nn.Identity(), about | {"category": "bolt"}, long))
    assert said.startswith("Your images have no reference. This is of the one of *bolt*, on that category's held-back ")
    assert "| the same inside corruptions | 50% | -50% |" in said
    assert "behind masks" not in said, "what was not measured"
    assert said.endswith("this cannot say.")


def test_what_changed_by_hand():
    run, long = np.array([True, False, False, True]), np.array([False, True, False, True])
    assert reference.say_mended({"destseg": (run, long)}) == (
        "destseg: of 2 wrong verdicts the reference has 1 right, of 2 right ones 1 wrong; so unequal by chance (a sign "
        "test of 2 changes): 100%.")
    mended = {"destseg": (np.arange(20) >= 8, np.arange(20) >= 0)}         # eight mended, none broken: 2 in 2^8
    assert "(a sign test of 8 changes): 1%" in reference.say_mended(mended)
    assert "no reference" in reference.say_mended({})


def test_only_levels_that_were_trained_are_set_beside():
    about = reference.Reference(torch.nn.Identity(), {}, rows(reference.NAME, own=0.1))
    own = rows("masked RD", own=0.2).iloc[1:]
    both = reference.beside(own, about)
    assert both.index.tolist() == [("masked RD", 2), (reference.NAME, 2)]
    assert reference.beside(own, None) is own


def test_the_command(monkeypatch, root, tmp_path):
    asked = []
    monkeypatch.setattr(reference, "train_reference", lambda *given, **options: asked.append((given, options)))
    command = ["reference", "--plan", "smoke", "--category", "bolt", "--data-root", str(root), "--out", str(tmp_path)]
    assert __main__.main(command) == 0
    assert [(method, data.name, data.train.shape[-1]) for (method, data), _ in asked] == [
        ("destseg", "bolt", 64), ("masked_rd", "bolt", 64)]
    assert asked[0][1] == {"plan": "smoke", "checkpoints": "runs/reference", "target": str(tmp_path)}


def test_a_reference_of_each_method_is_committed():
    assert [path.stem for path in COMMITTED] == ["destseg_circuit", "masked_rd_circuit"]
    assert sum(path.stat().st_size for path in COMMITTED) < 12 * MB


@pytest.mark.parametrize("path", COMMITTED, ids=lambda path: path.stem)
def test_a_committed_reference_loads_and_is_what_was_measured(path):
    method, _, category = path.stem.rpartition("_")
    found = reference.read_reference(method, category)
    assert path.stat().st_size < 6 * MB
    assert found.about["plan"] == reference.PLANS["reference"][method]
    assert found.about["metrics"].keys() == set(metrics.METRICS)
    scores = reference.score_noise(found.model, found.about["image_size"])
    assert scores == pytest.approx(found.about["noise_scores"], rel=1e-3)


def test_the_committed_references_see_what_a_minute_does_not():
    """By the tests of the lessons, except that DeSTSeg's two answers differ by a third at the first level only."""
    students = {m: reference.read_reference(m, "circuit").effects for m in ("destseg", "masked_rd")}
    seen = {m: effects.student_sees(table) for m, table in students.items()}
    assert seen["destseg"]["differs"].iloc[0]
    assert seen["destseg"][["own", "beats_mean", "repairs"]].to_numpy().all()
    assert (students["destseg"]["repaired"] < 0.75 * students["destseg"]["inside"]).all()
    assert seen["masked_rd"][["differs", "own", "beats_mean"]].to_numpy().all()
    hidden = students["masked_rd"]["hidden"]
    assert (hidden < 0.8 * students["masked_rd"]["position"]).all()
    assert (hidden < 0.9 * students["masked_rd"]["twin_hidden"]).all()


@pytest.mark.slow
@pytest.mark.parametrize("path", COMMITTED, ids=lambda path: path.stem)
def test_a_committed_reference_has_its_numbers(path):
    method, _, category = path.stem.rpartition("_")
    data = load_category(demo.ensure("data/demo"), category, image_size=128)
    found = reference.load_reference(method, data)
    assert reference.evaluate_model(found.model, data) == pytest.approx(found.about["metrics"], abs=2e-3)

"""Names as the world has them go through the command line, papermill, snakemake and the tables as they are: they are
data, never a part of a shell's line, a template, a pattern or a cell."""

import json
import re
import shlex
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from conftest import make_category, save, texture
from papermill.translators import translate_parameters

from adlib import __main__
from adlib.explorer import ThresholdExplorer, own_images
from adlib.runs import execute, planning, report, sweep, tables
from adlib.runs.folder import new_entry, read_runs, run_folder
from adlib.runs.parameters import check_parameters, complete_parameters, lesson_parameters
from adlib.runs.record import load_run
from adlib.settings import METRICS, write_json

NAMES = ["two words", " edges ", "it's", 'say "hi"', "a;b", "$(touch pwned)", "`touch pwned`", "a && touch pwned",
         "{x}", "{{y}}", "{wildcards.run}", "{0.__class__}", "%s %(x)s", "a:b", "#1", "- item", "!tag", "&an *al",
         "line\nbreak", "carriage\rreturn", "tab\there", "\x1b[31mred", "Größe", "缺陷", "e\u0301", "\u202eright",
         "emoji 🙂", "-p", "--seed", "a=b", "a,b", "back\\slash", "\\n", "~", "*", "[x]", "?", "NA", "null", "001",
         "1e5", "True", "auto", "|pipe|", "<b>&amp;", "..."]
ODD = "it's {a} \"b\"; $(touch pwned) `id` #1: 100 % ü\n缺"


@pytest.fixture(params=NAMES, ids=ascii)
def name(request) -> str:
    return request.param


def test_a_name_is_a_folder_and_comes_back_from_the_command_line(name, tmp_path, monkeypatch):
    given = {"category": name, "data_root": f"sets/{name}", "out_dir": str(tmp_path / name), "weights": f"w/{name}.pt"}
    folder = execute.folder_of("stfpm", given)
    assert folder.parent == tmp_path / name / "stfpm" / name / name
    executed = []
    monkeypatch.setattr(execute, "run", lambda method, given, **_: executed.append((method, given)))
    for command in (execute.run_command("stfpm", given), shlex.split(shlex.join(execute.run_command("stfpm", given)))):
        assert __main__.main(command[2:]) == 0
    assert executed == [("stfpm", given)] * 2


def test_papermill_hands_a_name_on(name):
    found = {"In": [translate_parameters("python3", "python", {"category": name}, "Parameters")]}
    exec(found["In"][0], found)
    assert found["In"][0].startswith("# Parameters\n")
    assert check_parameters("01_stfpm", lesson_parameters("01_stfpm") | found)["category"] == name


def test_a_plan_hands_a_name_on(name, tmp_path, monkeypatch):
    run = planning.Planned("stfpm", {"category": name, "out_dir": name}, tmp_path / name / "smoke-s0-0a1b2c")
    sweep.write_plan(tmp_path / "sweep", [run], planning.Machine(cores=1))
    key, = json.loads((tmp_path / "sweep/plan.json").read_text())["runs"]
    assert key == "0000-stfpm-smoke-s0-0a1b2c"
    assert run.log == tmp_path / "sweep" / f"{key}.log"
    executed = []
    monkeypatch.setattr(execute, "run", lambda method, given: executed.append((method, given)))
    monkeypatch.setattr(execute, "limit_threads", lambda n: {})     # would change this process's environment
    sweep.execute_planned(tmp_path / "sweep/plan.json", key)
    assert executed == [("stfpm", {"category": name, "out_dir": name})]
    assert "\n" not in run.name


def leave(root: Path, *categories: str, **given) -> None:
    """Runs of two methods on these categories, as entries."""
    for method in ("nearest", "stfpm"):
        for category in categories:
            lesson = execute.LESSON_OF[method]
            parameters = complete_parameters(lesson, {"category": category, "out_dir": str(root), **given})
            folder = run_folder(method, parameters)
            folder.mkdir(parents=True)
            entry = new_entry(method, parameters) | {"threads": 1, "metrics": dict.fromkeys(METRICS, 0.5)}
            write_json(folder / "run.json", entry)


def test_the_ledger_and_an_extract_keep_names(tmp_path):
    for name in NAMES:
        leave(tmp_path / "runs", name, data_root=f"sets/{name}")
    rows = tables.frame(read_runs(tmp_path / "runs"))
    extract = tables.read_extract(tables.write_extract(rows, tmp_path / "extract.csv"))
    for frame in (rows, extract):
        assert sorted(frame["category"]) == sorted(frame["dataset"]) == sorted([*NAMES, *NAMES])
    for name in NAMES:
        assert tables.select_runs(rows, {"category": name, "dataset": name})["method"].tolist() == ["nearest", "stfpm"]


def test_names_make_no_line_and_no_column_of_a_report(tmp_path):
    leave(tmp_path / "odd", *NAMES, data_root=f"sets/{ODD}", weights=f"{ODD}.pt")
    leave(tmp_path / "plain", *(f"c{i}" for i in range(len(NAMES))), data_root="sets/a", weights="a.pt")
    for form in ("table", "markdown"):
        odd, plain = (report.ledger_report(tmp_path / root, form) for root in ("odd", "plain"))
        assert odd.count("\n") == plain.count("\n")
        assert all(c.isprintable() for c in odd.replace("\n", ""))
    columns = [len(re.findall(r"(?<!\\)\|", line)) for line in odd.split("\n") if line.startswith("| ")]
    assert columns == [line.count("|") for line in plain.split("\n") if line.startswith("| ")]
    (tmp_path / "all.csv").write_text(report.ledger_report(tmp_path / "odd", "csv"), encoding="utf-8", newline="")
    found = pd.read_csv(tmp_path / "all.csv", keep_default_na=False, dtype=str)
    assert set(found["category"]) == {*NAMES, "all"}


TOY = """import json, pathlib, sys
run = json.loads(pathlib.Path(sys.argv[1]).read_text())["runs"][sys.argv[2]]
folder = pathlib.Path(run["folder"])
folder.mkdir(parents=True)
entry = {"category": run["given"]["category"], "dataset": "", "seed": 0, "budget": "", "backbone": "", "image_size": 0,
         "method": "nearest", "metrics": {"image_auroc": None}, "parameters": {}}
(folder / "part").write_text(json.dumps(entry))
(folder / "part").rename(folder / "run.json")
"""


def test_snakemake_runs_them_all(tmp_path, monkeypatch):
    """Through the real snakemake, in folders of such names too."""
    monkeypatch.setattr(sweep, "RUNNER", [sys.executable, "-c", TOY])
    monkeypatch.chdir(tmp_path)
    root, out = tmp_path / ODD, tmp_path / f"runs {ODD}"
    for category in NAMES:
        save(root / category / "train/good/0.png", np.zeros((8, 8, 3), np.uint8))
    categories = planning.pick_categories(str(root), "all")
    assert set(categories) == set(NAMES) - {"..."}       # hidden
    wanted = planning.combine([("nearest", {"data_root": str(root), "out_dir": str(out)})], categories, [0])
    planned = planning.plan(wanted, planning.Machine(cores=4))
    lines = []
    assert sweep.execute_plan(planned, planning.Machine(cores=4), log=lines.append) == 0
    assert {entry["category"] for entry in read_runs(out)} == set(categories)
    assert not any("\n" in line for line in lines[:-1])
    assert not list(tmp_path.rglob("pwned"))
    assert {path.name for path in out.iterdir()} == {"nearest", "sweep", "sweep.lock"}


@pytest.mark.parametrize("text", ["Gr\udcf6\udcdfe", "zero\0byte"])
def test_what_is_no_text_is_refused_with_escapes(text, tmp_path):
    for parameter in ("category", "data_root", "out_dir", "weights"):
        with pytest.raises(ValueError, match=rf"{parameter}='.*\\.*' holds") as found:
            complete_parameters("01_stfpm", {parameter: text})
        str(found.value).encode()


# Real runs -----------------------------------------------------------------------------------------------------------


def test_a_real_run_of_odd_names(tmp_path, monkeypatch, capsys):
    """Category, data set, defect, file and output folder; the run is loaded and scores its own files again."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.chdir(tmp_path)
    root, out = tmp_path / ODD, tmp_path / f"runs {ODD}"
    folder = make_category(root, ODD, train=5, good=2, bad=2)
    for path in [*folder.rglob("*.png")]:
        path.rename(path.with_name(path.name.replace(".png", f"{ODD}.png").replace(f"_mask{ODD}", f"{ODD}_mask")))
    for path in (folder / "test/crack", folder / "ground_truth/crack"):
        path.rename(path.with_name(ODD))
    assert __main__.main(["run", "nearest", "--data-root", str(root), "--category", ODD, "--budget", "smoke",
                          "--out-dir", str(out)]) == 0
    assert not list(tmp_path.rglob("pwned"))
    entry, = read_runs(out)
    assert (entry["category"], entry["dataset"], entry["n_anomalous"]) == (ODD, ODD, 2)
    run = load_run(entry["folder"])
    assert run.defects.tolist() == ["good"] * 2 + [ODD] * 2 or run.defects.tolist() == [ODD] * 2 + ["good"] * 2
    assert run.score(list(run.paths)).scores.tolist() == run.scores.tolist()
    page = ThresholdExplorer(entry["folder"]).to_html(tmp_path / f"{ODD}.html").read_text(encoding="utf-8")
    assert ODD not in page
    assert __main__.main(["results", "--out-dir", str(out)]) == 0
    assert "budget smoke" in capsys.readouterr().out


def test_photographs_of_odd_names(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    for i in range(8):
        save(tmp_path / ODD / "good" / f"{i}{ODD}<script>.png", texture(np.random.default_rng(i)))
    folder = own_images.train(tmp_path / ODD / "good", out_dir=tmp_path / f"runs {ODD}", budget="smoke")
    own_images.show_results(folder)
    page = (folder / "sheet.html").read_text(encoding="utf-8")
    assert "&lt;script&gt;" in page
    assert "<script" not in page
    assert "flagged" in capsys.readouterr().out


# A failure is recorded, whatever it says -----------------------------------------------------------------------------


@pytest.mark.parametrize("message", ["lone \udcff", "zero \0", "ansi \x1b[31m", "{brace} %s", "", "x" * 100_000])
def test_a_failure_of_odd_words_is_recorded(message, tmp_path, monkeypatch):
    def fail(*_):
        raise ValueError(message)

    monkeypatch.setattr(execute, "execute_notebook", fail)
    with pytest.raises(RuntimeError, match="failed with ValueError"):
        execute.run("nearest", {"data_root": str(tmp_path), "category": ODD, "out_dir": str(tmp_path / "runs")})
    record = next((tmp_path / "runs").rglob("failed.json"))
    assert json.loads(record.read_text(encoding="utf-8"))["error"]["message"] == message
    with pytest.raises(RuntimeError, match="failed in no cell with ValueError"):
        load_run(record.parent)


@pytest.mark.parametrize("broken", ["adlib.runs.execute.record_failure", "adlib.runs.folder.new_entry",
                                    "adlib.runs.execute.keep_notebook"])
@pytest.mark.parametrize("error", [PermissionError("read-only"), ValueError("nan"), TypeError("no JSON")])
def test_a_failure_that_cannot_be_recorded_is_still_told(broken, error, tmp_path, monkeypatch):
    def fail_with(raised):
        def fail(*_):
            raise raised
        return fail

    monkeypatch.setattr(execute, "execute_notebook", fail_with(RuntimeError("the first error")))
    monkeypatch.setattr(broken, fail_with(error))
    with pytest.raises(RuntimeError, match="(?s)the first error.*failed.json could not be written either"):
        execute.run("nearest", {"data_root": str(tmp_path), "category": "bolt", "out_dir": str(tmp_path / "runs")})

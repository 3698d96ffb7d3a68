"""The benchmark beside anomalib: how its rows are counted; all of them are measured where it is installed."""

import csv
import math
import os
import subprocess
import sys

import pytest

from adlib import ROOT

sys.path.insert(0, str(ROOT / "tests/bench"))
from against_anomalib import COLUMNS, SIDES, Bench, Result, main, parse, plan  # noqa: E402

PYTHON = ROOT / ".venv-bench/bin/python"


def test_a_ratio_says_how_many_times_better_adlib_is():
    runs = {"adlib": [2.0, 1.0, 3.0], "anomalib": [5.0, 4.0, 6.0]}
    assert Result("row", "", "s", runs).ratio == 4             # the best of each: other work only adds time
    assert Result("row", "", "images/s", runs, better="more").ratio == 0.5
    assert Result("row", "", "MB", runs).ratio == 2.5           # of means
    assert Result("row", "", "", {"adlib": [0.9, 0.8], "anomalib": [0.7, 0.8]}).ratio == pytest.approx(0.1)
    assert math.isnan(Result("row", "", "s", {}).ratio)


class Fake:
    """A worker that answers from a list, or fails."""

    def __init__(self, answers):
        self.answers, self.process = answers, self

    def ask(self, task, **given):
        answer = self.answers[task]
        if isinstance(answer, Exception):
            raise answer
        return answer

    def poll(self):
        return None


@pytest.fixture
def bench(tmp_path):
    options = parse(["--quick", "--csv", str(tmp_path / "b.csv"), "--json", str(tmp_path / "b.json")])
    options.folder = str(tmp_path)
    made = Bench.__new__(Bench)
    made.options, made.results, made.workers = options, [], {}
    return made


def test_a_row_that_fails_is_recorded_and_the_others_go_on(bench):
    from against_anomalib import row_inference, row_perlin, write_results

    broken = RuntimeError("Traceback\nValueError: no such model")
    bench.workers = {"adlib": Fake({"inference": 6.0, "perlin": 40.0}),
                     "anomalib": Fake({"inference": broken, "perlin": 2.0})}
    bench.attempt(row_inference, "resnet18", 64, 1)
    bench.attempt(row_perlin, 64, 4)
    write_results(bench, {"device": "cpu", "cpu": "x", "threads": 1, "versions": "v", "date": "2026-01-01"})
    with open(bench.options.csv) as file:
        failed, perlin = csv.DictReader(file)
    assert list(failed) == list(COLUMNS)
    assert failed["note"] == "failed: ValueError: no such model"
    assert failed["ratio"] == ""
    assert (perlin["ratio"], perlin["goal"], perlin["adlib_runs"]) == ("20", "20", "40")


def test_rows_can_be_chosen(bench):
    bench.options.rows = ["metrics"]
    row, *given = plan(bench.options)[0]
    bench.attempt(row, *given)
    assert bench.results == []


@pytest.mark.slow
@pytest.mark.skipif(not PYTHON.exists(), reason="make bench has made no .venv-bench")
def test_everything_can_be_measured(tmp_path, demo_root):
    table = tmp_path / "bench.csv"
    command = [PYTHON, ROOT / "tests/bench/against_anomalib.py", "--quick", "--data-root", demo_root,
               "--csv", table, "--json", tmp_path / "bench.json"]
    done = subprocess.run(command, env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr[-3000:]
    with open(table) as file:
        rows = list(csv.DictReader(file))
    assert {"import time", "start to first heatmap", "metrics", "Perlin synthesis", "inference, in memory",
            "inference, files", "peak memory", "training step", "training"} <= {row["row"] for row in rows}
    assert all(float(row[side]) >= 0 for row in rows for side in SIDES)


def test_a_missing_anomalib_is_told(tmp_path, capsys):
    """Here it is not installed: each row says so, and the command fails."""
    pytest.importorskip("adlib")
    if subprocess.run([sys.executable, "-c", "import anomalib"], capture_output=True).returncode == 0:
        pytest.skip("anomalib is installed here")
    table = tmp_path / "b.csv"
    assert main(["--quick", "--rows", "import", "--csv", str(table), "--json", str(tmp_path / "b.json")]) == 1
    with open(table) as file:
        assert "No module named 'anomalib'" in next(csv.DictReader(file))["note"]

"""What the README says is so: its code runs, its files exist, its numbers stand in the committed extracts."""

import csv
import re
from collections import defaultdict
from statistics import mean, stdev

from adlib import ROOT
from adlib.runs.execute import LESSON_OF

README = (ROOT / "README.md").read_text()


def test_the_code_runs(tmp_path, bolt):
    code = re.search(r"```python\n(.*?)```", README, re.S)[1]
    small = code.replace('demo.ensure("data/demo"), "circuit"', f'{str(tmp_path)!r}, "bolt"')
    small = small.replace("128", "64").replace('"demo"', '"smoke"')
    assert small.count("bolt") == 1
    assert small.count("smoke") == 1
    found = {}
    exec(small, found)
    assert found["maps"].shape == (7, 256, 256)
    assert 0 <= found["report"]["image_auroc"] <= 1


def test_every_import_is_one():
    blocks = re.findall(r"```python\n(.*?)```", README, re.S)
    lines = [line for block in blocks for line in block.splitlines() if re.match(r"(from|import) adlib", line)]
    assert len(lines) >= 6
    for line in lines:
        exec(line, {})


def test_the_tree_is_adlibs():
    listed = set(re.findall(r"^  (\w+(?:/|\.py)) ", README.split("## What is where")[1], re.M))
    there = {f"{path.name}/" if path.is_dir() else path.name for path in (ROOT / "adlib").iterdir()}
    assert listed == {name for name in there if not name.startswith("__") and name != "py.typed"}


def test_the_files_exist():
    links = re.findall(r"\]\(([^)#:]+)\)", README)
    assert len(links) >= 4
    assert [link for link in links if not (ROOT / link).exists()] == []


def test_the_numbers_stand_in_the_extract():
    with open(ROOT / "notebooks/results/demo.csv") as file:
        runs = list(csv.DictReader(file))
    rows = re.findall(rf"^\| ({'|'.join(LESSON_OF)}) \|(.*)\|$", README, re.M)
    assert {name for name, _ in rows} == {run["method"] for run in runs}
    for name, cells in rows:
        for metric, cell in zip(("image_auroc", "pixel_auroc", "pixel_ap", "pro", "iap", "iap90"), cells.split("|"),
                                strict=True):
            by_seed = defaultdict(list)
            for run in runs:
                if run["method"] == name:
                    by_seed[run["seed"]].append(float(run[metric]))
            means = [mean(values) for values in by_seed.values()]
            assert cell.strip() == f"{mean(means):.3f} ± {stdev(means):.3f}", (name, metric)

"""Contents of the lessons: what is counted, what is measured, and that the first cells agree with both."""

import re

import nbformat
import pandas as pd
import pytest

from adlib import ROOT
from adlib.lessons import section_times as times
from adlib.runs.parameters import NOTEBOOKS

LESSONS = sorted(NOTEBOOKS.glob("*.ipynb"))
LONGEST = 2500          # words of a lesson, and 45 minutes


def small():
    cell = nbformat.v4
    return cell.new_notebook(cells=[
        cell.new_markdown_cell("# Title\n\n" + "word " * 149),
        cell.new_code_cell("a = 1\nb = 2"),
        cell.new_markdown_cell("Before.\n\n## 1 · First part\n\none two [three](https://four.five) $$six$$ "
                               "<details>seven</details>"),
        cell.new_code_cell("\n".join(["x = 0"] * 25)),
        cell.new_markdown_cell("## 2 · Exercises\n\n**1** (easy, 3 minutes). Ask.\n\n**2** (hard, 15 minutes). Ask."),
        cell.new_code_cell("answer", metadata={"jupyter": {"source_hidden": True}})])


def test_sections_by_hand():
    found = times.section_rows(small())
    assert [row["section"] for row in found] == ["before section 1", "1 · First part", "2 · Exercises"]
    assert [len(row["cells"]) for row in found] == [2, 2, 2]
    assert [row["exercises"] for row in found] == [0, 0, 18]
    assert found[0]["minutes"] == pytest.approx(151 / 150 + 2 / 25)         # Title, 149 words, Before
    assert found[1]["minutes"] == pytest.approx(6 / 150 + 25 / 25)          # 1 First part one two three


def test_contents_by_hand():
    measured = pd.DataFrame({"section": ["before section 1", "1 · First part"], "seconds": [3.2, 40.0],
                             "processor": "a chip"})
    line = times.contents(small(), measured)
    assert line == ("**Contents** (about 3 minutes to read, opening and recap included; 43 s to run at `demo`, "
                    "on one thread of a chip): [1 · First part](#1-·-First-part) 1 min, 40 s · "
                    "[2 · Exercises](#2-·-Exercises) 1 min + 18 to solve.")
    assert "to run" not in times.contents(small(), measured[:0])


def test_seconds_are_added_up_by_section(tmp_path):
    notebook = small()
    notebook.metadata["papermill"] = {"parameters": {"budget": "smoke"}}
    for cell, seconds in zip((c for c in notebook.cells if c.cell_type == "code"), (1.5, 2.0, None), strict=True):
        cell.metadata["papermill"] = {"duration": seconds}
    nbformat.write(notebook, tmp_path / "07_small.ipynb")
    found = times.read_times(tmp_path / "07_small.ipynb")
    assert [(row["section"], row["seconds"]) for row in found] == [
        ("before section 1", 1.5), ("1 · First part", 2.0), ("2 · Exercises", 0)]
    assert {(row["lesson"], row["budget"]) for row in found} == {("07_small", "smoke")}


def minutes(line: str) -> list[int]:
    return [int(n) for n in re.findall(r"(\d+) min", line)]


@pytest.mark.parametrize("path", LESSONS, ids=lambda path: path.stem)
def test_the_contents_of_a_lesson_are_its_own(path):
    table = pd.read_csv(ROOT / "notebooks/results/section_times.csv")
    table = table[table["lesson"] == path.stem]
    notebook = nbformat.read(path, as_version=4)
    (line,) = [p for p in notebook.cells[0].source.split("\n\n") if p.startswith("**Contents**")]
    expected = times.contents(notebook, table)
    assert re.sub(r"\d+ min", "", line) == re.sub(r"\d+ min", "", expected), "write it anew: section_times.py says how"
    assert all(abs(a - b) <= 2 for a, b in zip(minutes(line), minutes(expected), strict=True))


@pytest.mark.parametrize("path", LESSONS, ids=lambda path: path.stem)
def test_a_lesson_is_not_too_long(path):
    notebook = nbformat.read(path, as_version=4)
    words = sum(times.count_words(cell.source) for cell in notebook.cells if cell.cell_type == "markdown")
    assert words <= LONGEST
    assert sum(row["minutes"] for row in times.section_rows(notebook)) <= 45

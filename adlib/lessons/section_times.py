"""Contents of the lessons: minutes to read, counted, and seconds to run, as measured.

    python -m adlib.lessons.section_times read notebooks/results/section_times.csv runs/lessons
    python -m adlib.lessons.section_times write notebooks/results/section_times.csv

The first adds up what papermill noted of each cell of executed lessons, as `make demo` and `make book RUN=1` leave
them, one thread each on a machine of two cores; other lessons' rows stay. The second writes the contents into each
lesson's first cell.
"""

import argparse
import re
from pathlib import Path

import nbformat
import pandas as pd

from adlib.runs.parameters import NOTEBOOKS
from adlib.runs.record import describe_cpu

WORDS, LINES = 150, 25          # read in a minute: of text, of code
BEFORE = "before section 1"


# Time


def read_times(executed: Path) -> list[dict]:
    """Lesson, section, seconds, budget and processor (this one) of each section of an executed lesson."""
    notebook = nbformat.read(executed, as_version=4)
    budget = notebook.metadata["papermill"]["parameters"]["budget"]
    return [{"lesson": executed.stem, "section": row["section"],
             "seconds": sum(cell.metadata.get("papermill", {}).get("duration") or 0 for cell in row["cells"]),
             "budget": budget, "processor": describe_cpu()} for row in section_rows(notebook)]


# Text


def section_rows(notebook) -> list[dict]:
    """The sections of a lesson: name, cells, minutes to read, and minutes that its exercises are meant to take."""
    found = [{"section": BEFORE, "cells": [], "words": 0, "lines": 0, "exercises": 0}]
    for cell in notebook.cells:
        text = cell.source
        if cell.cell_type == "code":
            seen = not cell.metadata.get("jupyter", {}).get("source_hidden")
            seen = seen and "parameters" not in cell.metadata.get("tags", [])
            found[-1]["lines"] += len(text.split("\n")) if seen else 0
        for part in re.split(r"^(?=## )", text, flags=re.M) if cell.cell_type == "markdown" else []:
            if part.startswith("## "):
                found.append({"section": part[3:].split("\n")[0].strip(), "cells": [], "words": 0, "lines": 0,
                              "exercises": 0})
            found[-1]["words"] += count_words(part)
            found[-1]["exercises"] += sum(map(int, re.findall(r"\*\*\d\*\* \([a-z]+, (\d+) minutes?\)", part)))
        found[-1]["cells"].append(cell)
    for row in found:
        row["minutes"] = row.pop("words") / WORDS + row.pop("lines") / LINES
    return found


def count_words(text: str) -> int:
    """Words of a Markdown text, without contents, what is folded, formulas, tables, code blocks and addresses."""
    for left_out in (r"<details>.*?</details>", r"\$\$.*?\$\$", r"```.*?```", r"(?<=\])\([^)]*\)"):
        text = re.sub(left_out, " ", text, flags=re.S)
    text = re.sub(r"^(\*\*Contents\*\*|\|).*$", " ", text, flags=re.M)
    return len(re.findall(r"[^\W_][\w'’.,%-]*", text))


def contents(notebook, times: pd.DataFrame) -> str:
    """The line of contents of a lesson, from its text and the measured rows of it."""
    of = dict(zip(times["section"], times["seconds"], strict=True))
    parts, total = [], 0
    for row in section_rows(notebook):
        minutes = max(1, round(row["minutes"]))
        total += minutes
        if row["section"] in (BEFORE, "Recap"):
            continue
        name, anchor = row["section"], row["section"].replace(" ", "-")
        doing = f" + {row['exercises']} to solve" if row["exercises"] else ""
        seconds = f", {of[name]:.0f} s" if of.get(name, 0) >= 1 else ""
        parts.append(f"[{name}](#{anchor}) {minutes} min{doing}{seconds}")
    seconds = times["seconds"].sum()
    ran = f"; {duration(seconds)} to run at `demo`, on one thread of {times['processor'].iloc[0]}" if len(times) else ""
    return f"**Contents** (about {total} minutes to read, opening and recap included{ran}): {' · '.join(parts)}."


def duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.0f} minutes"


def write_contents(times: pd.DataFrame) -> None:
    """Put its contents into the first cell of each lesson."""
    for path in sorted(NOTEBOOKS.glob("*.ipynb")):
        notebook = nbformat.read(path, as_version=4)
        cell = notebook.cells[0]
        kept = [p for p in cell.source.split("\n\n") if not p.startswith(("**Contents**", "**Sections:**"))]
        at = next(i for i, p in enumerate(kept) if p.startswith("**Before"))
        kept.insert(at, contents(notebook, times[times["lesson"] == path.stem]))
        cell.source = "\n\n".join(kept)
        path.write_text(nbformat.writes(notebook, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def read_or_write() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("act", choices=("read", "write"))
    parser.add_argument("table", type=Path)
    parser.add_argument("executed", type=Path, nargs="?", default=Path("runs/lessons"), help="folder to read")
    given = parser.parse_args()
    if given.act == "read":
        new = pd.DataFrame([row for path in sorted(given.executed.glob("[0-9]*.ipynb")) for row in read_times(path)])
        if given.table.is_file():
            old = pd.read_csv(given.table)
            new = pd.concat([old[~old["lesson"].isin(new["lesson"])], new]).sort_values("lesson", kind="stable")
        new.to_csv(given.table, index=False, float_format="%.1f", lineterminator="\n")
    else:
        write_contents(pd.read_csv(given.table))


if __name__ == "__main__":
    read_or_write()

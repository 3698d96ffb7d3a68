"""Contents of the lessons: minutes to read, counted, and seconds to run, measured.

    python -m adlib.lessons.section_times measure notebooks/results/section_times.csv --out-dir runs [lesson ...]
    python -m adlib.lessons.section_times write notebooks/results/section_times.csv

The first executes lessons at budget demo, and notes the processor seconds of each section: those of a kernel with one
thread, which a busy machine does not lengthen. The second writes the contents into each lesson's first cell.
"""

import argparse
import os
import re
import tempfile
from pathlib import Path

import nbformat
import pandas as pd

from adlib.runs.parameters import NOTEBOOKS
from adlib.runs.record import describe_cpu

WORDS, LINES = 150, 25          # read in a minute: of text, of code
BEFORE = "before section 1"
PROBE = """
import time as _time
from pathlib import Path as _Path
_started = [_time.process_time()]
def _note(*_):
    now = _time.process_time()
    with _Path({file!r}).open("a") as file:
        file.write(f"{{now - _started[0]:.3f}}\\n")
    _started[0] = now
get_ipython().events.register("post_run_cell", _note)
"""


# Time


def measure(lesson: str, *, out_dir: str | Path, executed: str | Path, **parameters) -> list[dict]:
    """Execute a lesson at budget demo; a row of processor seconds for each of its sections.

    Parameters
    ----------
    lesson : str
        Its file's name, without the ending.
    out_dir : path
        The ledger that it reads and writes.
    executed : path
        Folder for the executed notebook.
    parameters
        Others than the lesson's own.
    """
    from nbclient import NotebookClient
    from papermill.iorw import load_notebook_node
    from papermill.parameterize import parameterize_notebook

    given = {"budget": "demo", "out_dir": str(out_dir), **parameters}
    notebook = parameterize_notebook(load_notebook_node(str(NOTEBOOKS / f"{lesson}.ipynb")), given)
    with tempfile.TemporaryDirectory() as folder:
        noted = Path(folder) / "seconds"
        probe = nbformat.v4.new_code_cell(PROBE.format(file=str(noted)))
        notebook.cells.insert(0, probe)
        os.environ["OMP_NUM_THREADS"] = "1"
        NotebookClient(notebook, timeout=None, kernel_name="python3", resources={"metadata": {"path": "."}}).execute()
        seconds = [float(line) for line in noted.read_text(encoding="utf-8").split()]
    if len(seconds) > sum(cell.cell_type == "code" for cell in notebook.cells) - 1:
        seconds = seconds[1:]               # the probe's own
    notebook.cells.remove(probe)
    nbformat.write(notebook, Path(executed) / f"{lesson}.ipynb")
    rows = section_rows(notebook)
    left = iter(seconds)
    for row in rows:
        row["seconds"] = sum(next(left) for cell in row.pop("cells") if cell.cell_type == "code")
    return [{"lesson": lesson, **row, "budget": given["budget"], "processor": describe_cpu()} for row in rows]


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
    return f"**Contents** (about {total} minutes to read{ran}): {' · '.join(parts)}."


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


def measure_or_write() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("act", choices=("measure", "write"))
    parser.add_argument("table", type=Path)
    parser.add_argument("lessons", nargs="*", help="all by default")
    parser.add_argument("--out-dir", default="runs")
    parser.add_argument("--executed", default="runs/lessons", help="where executed notebooks go")
    given = parser.parse_args()
    columns = ["lesson", "section", "seconds", "budget", "processor"]
    times = pd.read_csv(given.table) if given.table.is_file() else pd.DataFrame(columns=columns)
    if given.act == "write":
        return write_contents(times)
    Path(given.executed).mkdir(parents=True, exist_ok=True)
    for lesson in given.lessons or sorted(path.stem for path in NOTEBOOKS.glob("*.ipynb")):
        new = pd.DataFrame(measure(lesson, out_dir=given.out_dir, executed=given.executed))[columns]
        times = pd.concat([rows for rows in (times[times["lesson"] != lesson], new) if len(rows)])
        times.sort_values("lesson", kind="stable").to_csv(given.table, index=False, float_format="%.1f",
                                                          lineterminator="\n")
        print(lesson, f"{new['seconds'].sum():.0f} s", flush=True)
    return None


if __name__ == "__main__":
    measure_or_write()

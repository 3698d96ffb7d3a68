"""Sentences of the lessons about committed extracts, computed from them, so that a new extract cannot contradict them.

A file per lesson. Its functions take a table and return Markdown; `quote` reads the extract and shows the text.
"""

from collections.abc import Callable, Iterable, Mapping

import pandas as pd

from adlib.runs import tables
from adlib.runs.report import as_table
from adlib.settings import METRIC_NAMES, find_input

__all__ = ["as_table", "quote", "quoted", "read_quoted", "tabulate"]
EXTRACTS = "notebooks/results"
LEDGER_EXTRACTS = ("demo", "ablations", "threads")      # with a ledger's columns; the others have their own


def quote(name: str, say: Callable[..., str], *arguments, **options) -> None:
    """Show what `say` makes of an extract; where it is missing or empty, that nothing is said."""
    from IPython.display import Markdown, display

    display(Markdown(quoted(name, say, *arguments, **options)))


def quoted(name: str, say: Callable[..., str], *arguments, **options) -> str:
    """What `quote` shows, as Markdown: for what a form's run found, say."""
    rows = read_quoted(name)
    return (say(rows, *arguments, **options) if len(rows) else
            f"(`{EXTRACTS}/{name}.csv` is not there, so nothing is said of the reference sweep here.)")


def read_quoted(name: str) -> pd.DataFrame:
    """An extract by its name; without rows where the file is missing."""
    path = find_input(f"{EXTRACTS}/{name}.csv")
    if name in LEDGER_EXTRACTS:
        return tables.read_extract(path) if path.is_file() else tables.frame([])
    return pd.read_csv(path) if path.is_file() else pd.DataFrame()


# Words


def link(name: str) -> str:
    return f"[`results/{name}.csv`](results/{name}.csv)"


def as_details(summary: str, body: str) -> str:
    """A block to open, for Markdown."""
    return f"<details><summary>{summary}</summary>\n\n{body}\n\n</details>"


def tabulate(rows: Mapping[str, Mapping[str, float]]) -> str:
    """A table of the six numbers, a row for each report of `metrics.evaluate`."""
    return as_table(["", *METRIC_NAMES.values()],
                    ([name, *(f"{row[m]:.3f}" for m in METRIC_NAMES)] for name, row in rows.items()))


def listing(words: Iterable[str], *, last: str = "and") -> str:
    """ "a", "a and b", "a, b and c"; "none" where there are none."""
    *first, end = list(words) or ["none"]
    return f"{', '.join(first)} {last} {end}" if first else end


def percent(part: float, whole: float = 1) -> str:
    return f"{100 * part / whole:.0f} %" if whole else "none"


def kind_of_categories(rows: pd.DataFrame) -> pd.Series:
    """"textures" or "objects" for each row; "all" in data sets whose kinds are not known."""
    kind = {c: name for name, members in tables.kinds(rows).items() if name != "all" for c in members}
    return rows["category"].map(kind).fillna("all")


def method_order(methods: Iterable[str]) -> list[str]:
    """Methods in the lessons' order, each once."""
    known = list(tables.LESSON_OF)
    return sorted(set(methods), key=lambda m: (known.index(m) if m in known else len(known), m))

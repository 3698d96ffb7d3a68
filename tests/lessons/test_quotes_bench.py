"""What lesson 09 says of the benchmark, on a table with known answers and on the committed one."""

import pandas as pd
import pytest

from adlib import ROOT
from adlib.lessons import quotes
from adlib.lessons.quotes.bench import say_bench

MACHINE = {"device": "cpu", "cpu": "AVX2, no bf16, someone's", "threads": 2, "load": 0.4, "date": "2026-01-31"}


def table(*rows: dict) -> pd.DataFrame:
    return pd.DataFrame([dict.fromkeys(("adlib", "anomalib", "ratio", "goal"), float("nan"))
                         | {"unit": None, "note": None} | row | MACHINE for row in rows])


def test_goals_are_counted_and_what_falls_short_is_named():
    text = say_bench(table(
        {"row": "training step", "work": "stfpm", "unit": "s", "adlib": 1.0, "anomalib": 2.5, "ratio": 2.5, "goal": 2},
        {"row": "Perlin", "work": "256 px", "unit": "images/s", "adlib": 30, "anomalib": 3, "ratio": 10, "goal": 20},
        {"row": "peak memory", "work": "a run", "unit": "MB", "adlib": 900.0, "anomalib": 1800.0, "ratio": 2.0},
        {"row": "PRO, equal steps", "work": "gravel", "adlib": 0.8, "anomalib": 0.9, "ratio": -0.1, "goal": 0.0},
        {"row": "PRO, equal seconds", "work": "gravel", "adlib": 0.9, "anomalib": 0.8, "ratio": 0.1, "goal": 0.0},
        {"row": "import time", "work": "", "note": "failed: no such module"}))
    assert "1 of 2 goals are reached, in bold." in text
    assert "| Perlin | 256 px | 30 | 3 | images/s | 10 | 20 |" in text
    assert "behind in PRO, equal steps (gravel)." in text
    assert "since it failed: import time." in text
    assert "| training step | stfpm | 1 | 2.5 | s | **2.5** | 2 |" in text
    assert "Measured on 2026-01-31: cpu, AVX2, no bf16, someone's, 2 threads, a load of up to 0" in text
    assert "nan" not in text


def test_where_all_is_well_nothing_is_excused():
    text = say_bench(table({"row": "Perlin", "work": "256 px", "unit": "s", "adlib": 1.0, "anomalib": 30.0, "ratio": 30,
                            "goal": 20.0}))
    assert "1 of 1 goals are reached, in bold." in text
    assert "behind" not in text
    assert "failed" not in text


def test_the_committed_table_can_be_said():
    rows = quotes.read_quoted("bench")
    if not len(rows):
        pytest.skip("no bench.csv")
    text = say_bench(rows)
    assert "nan" not in text
    assert text.count("\n|") >= 5


def test_the_readme_quotes_the_committed_table():
    rows = quotes.read_quoted("bench")
    assert len(rows)
    assert say_bench(rows).split("\n\n")[0] in (ROOT / "README.md").read_text(encoding="utf-8")

"""Lesson 09: what the benchmark beside anomalib, bench.csv, says of speed, and on which machine."""

import pandas as pd

from adlib.lessons.quotes import as_table, link, listing

BENCH_COLUMNS = ("row", "work", "adlib", "anomalib", "unit", "ratio", "goal")


def say_bench(rows: pd.DataFrame) -> str:
    """A table of what was timed, the goals that were missed, and where all this was measured."""
    rows = rows.assign(note=rows["note"].fillna(""), unit=rows["unit"].fillna(""))
    failed = rows[rows["note"].str.startswith("failed")]
    measured = rows.drop(failed.index)
    timed, values = measured[measured["unit"] != ""], measured[measured["unit"] == ""]
    with_goal = timed.dropna(subset=["goal"])
    missed = with_goal[with_goal["ratio"] < with_goal["goal"]]
    behind = values.dropna(subset=["goal"]).query("ratio < goal")
    about, busiest = rows.iloc[0], rows["load"].max()
    timed = timed.assign(ratio=[f"**{as_cell(r)}**" if r >= goal else as_cell(r)
                                for r, goal in zip(timed["ratio"], timed["goal"], strict=True)])
    texts = [
        as_table(["what", "work", "adlib", "anomalib", "unit", "ratio", "goal"],
                 ([as_cell(row[name]) for name in BENCH_COLUMNS] for _, row in timed.iterrows()),
                 right=("adlib", "anomalib", "ratio", "goal")),
        f"The ratio says how many times better `adlib` is: {len(with_goal) - len(missed)} of {len(with_goal)} goals "
        "are reached, in bold.",
        *([f"After equal steps or seconds `adlib` is behind in {listing(name_rows(behind))}."] if len(behind) else []),
        *([f"Not measured, since it failed: {listing(name_rows(failed))}."] if len(failed) else []),
        f"Measured on {about['date']}: {about['device']}, {about['cpu']}, {about['threads']} threads, a load of up to "
        f"{busiest:.0f} by all processes, from {link('bench')}, which has all repeats, notes and versions."]
    return "\n\n".join(texts)


def name_rows(rows: pd.DataFrame) -> list[str]:
    return [f"{row['row']} ({row['work']})" if isinstance(row["work"], str) and row["work"] else row["row"]
            for _, row in rows.iterrows()]


def as_cell(value) -> str:
    if isinstance(value, float):
        return "" if pd.isna(value) else f"{value:.3g}" if abs(value) < 1000 else f"{value:.0f}"
    return str(value)

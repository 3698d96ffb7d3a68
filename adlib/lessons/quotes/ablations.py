"""Lesson 05: what a table's runs say beside the paper's, in sentences."""

from collections.abc import Mapping
from math import isnan

import pandas as pd
from scipy.stats import t as student

from adlib.lessons.quotes import listing
from adlib.settings import METRIC_NAMES

# ablations.csv and threads.csv have no column for it: they were made before the demo set grew and recipes changed.
EARLIER = ("an earlier demo set (48 training images; 20 normal and 40 anomalous test images a category) and earlier "
           "recipes (constant learning rates)")


def say_origin(rows: pd.DataFrame) -> str:
    """Which runs ablations.csv holds."""
    columns = ("category", "budget", "backbone", "image_size")
    same = {name: listing(map(str, sorted(set(rows[name])))) for name in columns}
    return (f"{len(rows)} runs, category *{same['category']}*, budget `{same['budget']}`, {same['backbone']} at "
            f"{same['image_size']} px, {rows['seed'].nunique()} seeds. **They are of {EARLIER}**, base rows included: "
            "compare them with each other, not with the reference sweep of the other lessons.")


def say_findings(found: pd.DataFrame) -> str:
    """What `compare_with_paper` found: per metric, which rows differ from their base row beyond chance.

    In brackets the paper's difference, where it has one.
    """
    lines = []
    for metric in found["metric"].unique():
        known = found[(found["metric"] == metric) & (found["label"] != found["base"]) & found["points"].notna()]
        beyond = known["points"].abs() > known["margin"]
        parts = [f"**{which}**: {listing(map(difference_as_text, known[rows].to_dict('records')))}"
                 for which, rows in [("beyond chance", beyond), ("within the margin", ~beyond)] if rows.any()]
        if parts:
            lines.append(f"- {METRIC_NAMES[metric]}: {'; '.join(parts)}.")
    return "\n".join(["Points against the base row, in brackets the paper's:", "", *lines]) if lines else (
        "No row has runs beside the base row's.")


def difference_as_text(line: dict) -> str:
    theirs = "" if isnan(line["their_points"]) else f" ({line['their_points']:+.1f})"
    return f"*{line['label']}* {line['points']:+.1f}{theirs}"


def say_agreement(extracted: Mapping[str, pd.DataFrame]) -> str:
    """How many differences agree with the papers, and how many verdicts hang on whose spread is pooled."""
    if not extracted:
        return ""
    every = pd.concat([f.assign(table=name, flips=flipped_verdicts(f)) for name, f in extracted.items()])
    every = every[every["verdict"] != ""]
    if not len(every):
        return "There is no difference that both sides have."
    count = every["verdict"].value_counts()
    against = [f"*{line['label']}* in {METRIC_NAMES[line['metric']]} ({line['table']})"
               for line in every[every["verdict"] == "contradicts"].to_dict("records")]
    sizes = [f"{every.loc[every['verdict'] == v, 'their_points'].abs().median():.1f} points {where}"
             for v, where in [("agrees", "where we agree"), ("chance", "where chance would do")] if v in count]
    n = int(every["n"].max())
    return (f"Of {len(every)} differences that both sides have, {count.get('agrees', 0)} agree in sign beyond chance, "
            f"{count.get('contradicts', 0)} contradict{f' ({listing(against)})' if against else ''}, and "
            f"{count.get('chance', 0)} are within their margin. The median size of the paper's difference is "
            f"{listing(sizes)}. How firm are the verdicts? With the spread of two rows alone, or of all rows alone, "
            f"{int(every['flips'].sum())} more would be called beyond chance. To halve the margin of "
            f"{n} seeds takes {seeds_to_halve(n)} seeds: more runs also make Student's $t$ smaller.")


def flipped_verdicts(found: pd.DataFrame) -> list[bool]:
    """Whether each difference is beyond chance by one of its two margins only."""
    return [bool(min(margins) < abs(points) <= max(margins)) for margins, points in
            zip(found["margins"], found["points"], strict=True)]


def seeds_to_halve(n: int, *, comparisons: int = 1) -> int:
    """How many seeds each of two rows needs for half the margin that n seeds give, for the same spread."""
    def margin(k: int) -> float:
        return (2 / k) ** 0.5 * student.ppf(1 - 0.025 / comparisons, 2 * k - 2)

    return next(k for k in range(n, 100 * n) if margin(k) <= margin(n) / 2)

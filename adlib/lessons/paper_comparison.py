"""Lesson 05: our runs of an ablation beside the paper's numbers, and how far apart chance alone would put two rows."""

from functools import cache

import numpy as np
import pandas as pd
from scipy.stats import t as student

from adlib.lessons.ablations import Grid, Row, base_of, run_of
from adlib.runs.execute import LESSON_OF
from adlib.runs.parameters import lesson_parameters
from adlib.runs.published import from_percent, read_published
from adlib.runs.tables import NO_SETTING, by_seed, deviations, in_points, mean_std_n
from adlib.settings import METRIC_NAMES

# The papers' numbers


def published_rows(grid: Grid) -> pd.DataFrame:
    """The paper's numbers beside a grid's rows.

    Returns
    -------
    DataFrame
        A row per label, then those of `others`, and a column per metric of the grid; in percent, NaN where the paper
        has no number, all of them where the table is ours.
    """
    paper, table = grid.source or ("", "")
    numbers = {}
    for row in (*grid.rows, *grid.others):
        where = {"paper": paper, "table": table} | row.published
        numbers[row.label] = [look_up(metric, **where) if row.published else np.nan for metric in grid.metrics]
    return pd.DataFrame.from_dict(numbers, orient="index", columns=list(grid.metrics))


def look_up(metric: str, *, category: str = "mean", dataset: str = "mvtec", **columns: str) -> float:
    """The one published number, in percent, with these values in these columns; NaN where there is none.

    Raises
    ------
    ValueError
        There are several.
    """
    found = _published()
    for name, value in {"metric": metric, "category": category, "dataset": dataset, **columns}.items():
        found = found[found[name] == value]
    if len(found) > 1:
        raise ValueError(f"published.csv has {len(found)} numbers of {metric} with {columns}; name more columns")
    return float(found["value"].iloc[0]) if len(found) else np.nan


_published = cache(read_published)      # read once, not for each number


# Which runs are rows of a table


def select_rows(runs: pd.DataFrame, grid: Grid, common: dict | None = None) -> pd.DataFrame:
    """The runs that are rows of a table, its label as their `variant`.

    Parameters
    ----------
    runs : DataFrame
        `tables.frame` of a ledger's entries, or `tables.read_extract`.
    grid : Grid
    common : dict, optional
        Parameters that the table's runs share, as for `run_of`.

    Returns
    -------
    DataFrame
        Columns as in `runs`. Backbone and weights are blank where they differ between rows: the label says them.
    """
    labels = {_identity(grid, row, common or {}): row.label for row in grid.rows}
    keys = zip(runs["method"], runs["backbone"], map(_setting_with_weights, runs["setting"], runs["weights"]),
               strict=True)
    found = runs.assign(variant=[labels.get(key, "") for key in keys])
    found = found[found["variant"] != ""]
    return found.assign(**{name: "" for name in ("backbone", "weights") if found[name].nunique() > 1})


def _identity(grid: Grid, row: Row, common: dict) -> tuple[str, str, str]:
    """Method, backbone and setting of a row's runs; unlike in `tables.frame`, weights are part of the setting."""
    method, given = run_of(grid, row, common)
    defaults = lesson_parameters(LESSON_OF[method])
    return method, given.get("backbone", defaults["backbone"]), deviations(given, defaults, NO_SETTING - {"weights"})


def _setting_with_weights(setting: str, weights: str) -> str:
    if weights == "auto" or setting.startswith("weights="):
        return setting
    return f"weights={weights}, {setting}" if setting else f"weights={weights}"


# What chance does


def pooled_std(runs: pd.DataFrame, metric: str) -> tuple[float, int]:
    """The standard deviation over seeds that the runs' variants and categories share, and its degrees of freedom."""
    return pool([list(seeds.values()) for (*_, name), seeds in by_seed(runs).items() if name == metric])


def pool(rows: list[list[float]]) -> tuple[float, int]:
    """The standard deviation that rows of numbers share, and its degrees of freedom; NaN where each is one number.

    Their variances are weighted by their degrees of freedom.
    """
    free = sum(len(row) - 1 for row in rows)
    total = sum((x - sum(row) / len(row)) ** 2 for row in rows for x in row)
    return ((total / free) ** 0.5 if free else np.nan), free


def identical_rows(std: float, *, rows: int, seeds: int, tables: int = 10_000, seed: int = 0) -> np.ndarray:
    """Simulated tables whose rows do not differ: normal noise with this standard deviation over seeds.

    Returns
    -------
    (tables, rows) float array
        Means over seeds; the truth of all rows is 0.
    """
    return std / seeds ** 0.5 * np.random.default_rng(seed).standard_normal((tables, rows))


def chance_margin(row: list[float], base: list[float], *, comparisons: int = 1,
                  pooled: list[list[float]] | None = None) -> float:
    """How far the means of two rows that do not differ lie apart by chance: no farther, in 19 tables of 20.

    Student's t test, with the spread that both rows share; 5 % are divided among a table's comparisons (Bonferroni).
    With three seeds and one row that spreads three times as much as the other, 5 % are really 10 %.

    Parameters
    ----------
    row, base : list of float
        What each seed gave.
    comparisons : int
        Rows of the table that are compared with a base row.
    pooled : list of list of float, optional
        Rows whose shared spread is taken; by default these two.

    Returns
    -------
    float
        In the unit of the rows; NaN where no spread is known.
    """
    std, free = pool(pooled or [row, base])
    if not free:
        return np.nan
    return float(std * (1 / len(row) + 1 / len(base)) ** 0.5 * student.ppf(1 - 0.025 / comparisons, free))


def margins_of_two_rows(row: list[float], base: list[float], rows: list[list[float]], *,
                        comparisons: int) -> tuple[float, float, float]:
    """`chance_margin` with the spread of the two and with that of all rows, and the larger; NaN where none is known."""
    two, every = (chance_margin(row, base, comparisons=comparisons, pooled=pooled) for pooled in (None, rows))
    return two, every, every if np.isnan(two) else max(two, every)


# Both side by side


def compare_with_paper(runs: pd.DataFrame, grid: Grid) -> pd.DataFrame:
    """Our rows beside the paper's, in [0, 1]; differences to the base row in percentage points.

    Parameters
    ----------
    runs : DataFrame
        Of `select_rows`, of one category.
    grid : Grid

    Returns
    -------
    DataFrame
        A row per metric and label, those of `others` too: `metric, label, base`; `n, mean, std` over seeds;
        `published`; `each`, the difference of every seed that the base row has as well, `points`, their mean, and
        `points_std`; `margins`, of `chance_margin` with the spread of the two rows and with that of all rows of the
        table, and `margin`, the larger; `their_points`; `verdict`: "agrees" or "contradicts" where our
        difference is beyond the margin and the paper has one; within it "smaller" where the paper's lies farther from
        ours than the margin, "chance" where it does not, or where there is no margin.

    Raises
    ------
    ValueError
        The runs are of several categories, or cannot be compared.
    """
    if runs["category"].nunique() > 1:
        raise ValueError(f"these runs are of {', '.join(sorted(set(runs['category'])))}; take one category")
    values = {(label, metric): seeds for (label, _, metric), seeds in by_seed(runs).items()}
    published, lines = published_rows(grid), []
    for metric in grid.metrics:
        ours = {row.label: values.get((row.label, metric), {}) for row in (*grid.rows, *grid.others)}
        lines += _compare_metric(metric, ours, published[metric], grid)
    return pd.DataFrame(lines)


def _compare_metric(metric: str, ours: dict[str, dict[int, float]], theirs: pd.Series, grid: Grid) -> list[dict]:
    """The rows of `compare_with_paper` in one metric, from each label's numbers by seed and the published percent."""
    with_runs = [label for label, seeds in ours.items() if seeds]
    bases = {row.label: base_of(grid, row, with_runs) for row in (*grid.rows, *grid.others)}
    compared = sum(label != bases[label] for label in with_runs)
    lines = []
    for label, base in bases.items():
        line = _compare_row(ours[label], ours[base], theirs[label], theirs[base],
                            comparisons=compared if label != base else 0,
                            pooled=[list(seeds.values()) for seeds in ours.values() if seeds])
        lines.append({"metric": metric, "label": label, "base": base, **line})
    return lines


def _compare_row(own: dict[int, float], base: dict[int, float], published: float, published_base: float, *,
                 comparisons: int, pooled: list[list[float]]) -> dict:
    """One row against its base row, ours by seed and the paper's; no comparison where it is the base row itself."""
    mean, deviation, n = mean_std_n(own.values())
    each = [in_points(own[seed] - base[seed]) for seed in own if seed in base]
    points, points_std, _ = mean_std_n(each)
    *margins, margin = (np.nan,) * 3
    if each and comparisons:
        found = margins_of_two_rows([*own.values()], [*base.values()], pooled, comparisons=comparisons)
        *margins, margin = map(in_points, found)
    their_points = published - published_base
    return {"n": n, "mean": mean, "std": deviation, "published": from_percent(published), "each": each,
            "points": points, "points_std": points_std, "margins": tuple(margins), "margin": margin,
            "their_points": their_points,
            "verdict": _agreement(points, margin, their_points)}


def _agreement(ours: float, margin: float, theirs: float) -> str:
    """Whether our difference to the base row has the sign of the paper's; empty where one of the two has none."""
    theirs = round(theirs, 6)       # 98.6 - 98.6 of floats
    if theirs == 0 or np.isnan(ours) or np.isnan(theirs):
        return ""
    if np.isnan(margin) or abs(ours) <= margin:
        return "smaller" if abs(ours - theirs) > margin else "chance"
    return "agrees" if (ours > 0) == (theirs > 0) else "contradicts"


def as_text(found: pd.DataFrame) -> pd.DataFrame:
    """`compare_with_paper` to print, in percent: our mean ± standard deviation (seeds) and the paper's number.

    Returns
    -------
    DataFrame
        A row per label, a pair of columns per metric.
    """
    columns = {}
    for metric in found["metric"].unique():
        lines = list(found[found["metric"] == metric].itertuples())
        columns[METRIC_NAMES[metric], "ours"] = [_mean_as_text(line.mean, line.std, line.n) for line in lines]
        columns[METRIC_NAMES[metric], "paper"] = ["-" if np.isnan(line.published) else f"{100 * line.published:.1f}"
                                                  for line in lines]
    return pd.DataFrame(columns, index=found["label"].unique())


def _mean_as_text(mean: float, deviation: float, n: int) -> str:
    if not n:
        return "-"
    spread = "" if np.isnan(deviation) else f" ± {100 * deviation:.1f}"
    return f"{100 * mean:.1f}{spread} ({n})"

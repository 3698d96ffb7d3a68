"""How surely one method is ahead of another: paired differences with bootstrap intervals."""

from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations
from math import nan
from statistics import fmean

import numpy as np
import pandas as pd

from adlib.runs.tables import by_seed, count, variants

FEWEST_UNITS = 3          # seeds, or categories, that an interval is drawn from


@dataclass(frozen=True)
class Comparison:
    """What `paired_bootstrap` finds; differences on the scale of the metric, [0, 1]."""

    a: str
    b: str
    metric: str
    difference: float                           # mean over categories of a - b
    ci_fixed_categories: tuple[float, float] | None     # 95 % interval: these categories, other seeds
    ci_random_categories: tuple[float, float] | None    # 95 % interval: other categories of this kind, other seeds
    pairs: int
    categories: int
    seeds: int                                  # that both have, in the category with the fewest
    ahead: int                                  # categories in which a is better on average
    why: str                                    # an interval is missing; empty if none is


def paired_bootstrap(frame: pd.DataFrame, a: str, b: str, metric: str, *, resamples: int = 10_000,
                     seed: int = 0) -> Comparison:
    """By how much variant `a` is ahead of `b`, and how surely, on the category x seed pairs that both have.

    Two intervals answer two questions. `ci_fixed_categories` keeps the categories and resamples the seeds within each:
    is a better *on these categories*, whatever the seed? `ci_random_categories` resamples categories, then seeds within
    each: would a be better on *other categories of this kind*? That takes the categories for a random draw of such a
    kind, which those of a benchmark are not, and six are few. Seeds count as independent runs. The first interval
    knows nothing of other test images: all runs of a category share them, so a difference that a handful of images
    makes looks as sure as any. (Other categories bring other images.)

    Each level draws one fewer than there are, with replacement (McCarthy and Snowden 1985): as many as there are would
    give (n - 1) / n of the variance, two thirds of it with three seeds. With normal noise, six categories and three
    seeds, `ci_fixed_categories` then holds the truth in about 0.92 of all cases (else 0.87), `ci_random_categories` in
    0.91 where categories differ much and in 0.99 where they do not, since the seeds' noise is also in the differences
    between categories.

    Parameters
    ----------
    frame : DataFrame
        Runs that can be compared: one of `groups`.
    a, b : str
        Of its column `variant`.
    metric : str
    resamples, seed : int
        Of the bootstrap.

    Returns
    -------
    Comparison
        An interval is None where there are fewer than three seeds (in any category), or categories; `why` says so.

    Raises
    ------
    ValueError
        The runs are of several groups, or there is no such variant.
    """
    return compare_pairs(frame, metric, pairs=[(a, b)], resamples=resamples, seed=seed)[0]


def compare_pairs(frame: pd.DataFrame, metric: str, *, pairs: list[tuple[str, str]] | None = None,
                  resamples: int = 10_000, seed: int = 0) -> list[Comparison]:
    """`paired_bootstrap` of all pairs of variants, or of the given ones; `pandas.DataFrame` makes a table of it."""
    seeds = by_seed(frame)
    pairs = list(combinations(variants(frame), 2) if pairs is None else pairs)
    missing = {name for pair in pairs for name in pair} - set(frame["variant"])
    if missing:
        raise ValueError(f"there are no runs of {', '.join(sorted(missing))} here; there are "
                         f"{', '.join(variants(frame))}")
    return [compare(seeds, a, b, metric, resamples=resamples, seed=seed) for a, b in pairs]


def compare(seeds: dict, a: str, b: str, metric: str, **options) -> Comparison:
    """As `paired_bootstrap`, from `by_seed`; options as in `resampled`."""
    differences = {}
    for variant, category, m in sorted(seeds):
        if (variant, m) == (a, metric) and (b, category, metric) in seeds:
            x, y = seeds[a, category, metric], seeds[b, category, metric]
            differences[category] = [x[seed] - y[seed] for seed in x if seed in y]
    differences = {category: values for category, values in differences.items() if values}
    sizes, means = tuple(map(len, differences.values())), [fmean(values) for values in differences.values()]
    flat = np.array([x for values in differences.values() for x in values])
    why, fixed, random = too_few(differences), None, None
    if min(sizes, default=0) >= FEWEST_UNITS:
        fixed = percentile_interval(flat, resampled(sizes, among_categories=False, **options))
    if not why:
        random = percentile_interval(flat, resampled(sizes, among_categories=True, **options))
    return Comparison(a, b, metric, fmean(means) if means else nan, fixed, random, len(flat), len(sizes),
                      min(sizes, default=0), sum(mean > 0 for mean in means), why)


def too_few(differences: dict[str, list[float]]) -> str:
    """Why an interval is missing, from the differences of each category."""
    if not differences:
        return "no category and seed that both have"
    fewest = min(differences, key=lambda category: len(differences[category]))
    if (n := len(differences[fewest])) < FEWEST_UNITS:
        return f"{count(n, 'seed')} of {fewest} that both have, and an interval needs {FEWEST_UNITS}"
    if len(differences) < FEWEST_UNITS:
        return f"{count(len(differences), 'category')} only, and an interval for others like these needs {FEWEST_UNITS}"
    return ""


@lru_cache(maxsize=4)       # the metrics of a pair have the same seeds, and so have most pairs: they share the draws
def resampled(seeds: tuple[int, ...], *, among_categories: bool, resamples: int, seed: int) -> np.ndarray:
    """How often each pair is drawn, as weights of a mean; with `among_categories`, categories are drawn first.

    Parameters
    ----------
    seeds : tuple of int
        How many each of C categories has, at least 2; the pairs are in this order.

    Returns
    -------
    (resamples, pairs) float array
        Rows sum to 1.
    """
    generator, c = np.random.default_rng(seed), len(seeds)
    drawn = generator.multinomial(c - 1, [1 / c] * c, resamples) if among_categories else np.ones((resamples, c), int)
    parts = [generator.multinomial(drawn[:, i] * (n - 1), [1 / n] * n) / (n - 1) for i, n in enumerate(seeds)]
    return np.concatenate(parts, axis=1) / drawn.sum(axis=1, keepdims=True)        # (R, n) each -> (R, pairs)


def percentile_interval(differences: np.ndarray, weights: np.ndarray) -> tuple[float, float]:
    low, high = np.quantile(weights @ differences, (0.025, 0.975))
    return float(low), float(high)


def sensible_pairs(group: pd.DataFrame) -> list[tuple[str, str]]:
    """Methods with each other, and each other setting with its own method's defaults."""
    method = dict(zip(group["variant"], group["method"], strict=True))
    return [(a, b) for a, b in combinations(variants(group), 2) if a == method[a] and method[b] in (a, b)]

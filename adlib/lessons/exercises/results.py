"""Exercises of lesson 09."""

from itertools import combinations

import numpy as np
import pandas as pd

from adlib.lessons.exercises import is_number, judge, judge_function
from adlib.lessons.quotes.results import regret


def spread_of_a_mean(answer: object) -> None:
    """Lesson 09, exercise 1: fifteen categories, each with a spread of 3 points; that of their mean."""
    hints = {
        3: "that is the spread of one category; what one seed adds here, it takes away there",
        0.2: "variances add, not spreads: the root of 15 x 3^2, divided by 15",
        11.619: "that is the spread of the sum; divide by 15",
        0.6: "that is the variance of the mean, 9 / 15; take the root",
        0.0077: "in percentage points",
        0.77: "nearly; give it to three decimals",
        0.78: "nearly; give it to three decimals",
        0.8: "nearly; give it to three decimals",
    }
    judge(answer, 15**0.5 * 3 / 15, "fifteen categories are nearly four times as steady as one", hints,
          "the root of the sum of the fifteen variances, divided by fifteen")


def ahead_in_all_six(answer: object) -> None:
    """Lesson 09, exercise 2: how probable it is that one of two equal methods is ahead in all of six categories."""
    hints = {
        1 / 64: "that is a in all six; you would have noticed b in all six, too",
        6 / 64: "that is five of six for one of them; all six have one way each",
        0.5: "that is one category",
        1 / 3: "that is 2 / 6; each category halves it",
        3.125: "as a share, not percent",
        31 / 32: "that is the opposite",
        0.03: "nearly; give it to three decimals",
    }
    judge(answer, 1 / 32, "all six is what it takes to be as sure as a 95 % interval, and one in 32 is chance", hints,
          "each category is the toss of a coin; both all heads and all tails count")


def regret_table(answer: object, means: pd.DataFrame) -> None:
    """Lesson 09, exercise 3: mean and worst loss of each method to the best of each category, from (M, C) means."""
    generator = np.random.default_rng(0)
    own = zip(means.index, 100 * mean_and_worst(means.to_numpy()), strict=True)
    listed = ", ".join(f"{name} {mean:.1f} ({worst:.1f})" for name, (mean, worst) in own)
    judge_function(answer, mean_and_worst, [(generator.random(shape),) for shape in ((3, 4), (5, 6), (4, 4))],
                   f"these means, in points: {listed}", {
        "the best method differs by category: take the maximum over methods, axis 0, before you subtract":
            lambda x: two_columns(x[x.mean(axis=1).argmax()] - x),
        "that is how far a category lies below the method's own best: take the maximum over methods, axis 0":
            lambda x: two_columns(x.max(axis=1, keepdims=True) - x),
        "that is against the mean of the methods, not the best": lambda x: two_columns(x.mean(axis=0) - x),
        "that is against the best of all numbers; each category has a best of its own":
            lambda x: two_columns(x.max() - x),
        "a loss is not negative: the best less the method's own": lambda x: -mean_and_worst(x),
        "the worst case is the largest loss, not the smallest": lambda x: np.stack(
            [regret(x).mean(axis=1), regret(x).min(axis=1)], axis=1),
        "one row for each method, (M, 2): mean over categories, axis 1": lambda x: np.stack(
            [regret(x).mean(axis=0), regret(x).max(axis=0)], axis=1),
        "a row for each method, a column for mean and worst: stack along axis 1": lambda x: mean_and_worst(x).T,
        "the worst case comes second": lambda x: mean_and_worst(x)[:, ::-1],
        "in the unit of the means, not in points": lambda x: 100 * mean_and_worst(x),
    }, "lost = means.max(axis=0) - means is (M, C); its mean and its maximum over axis 1 are the two columns")


def mean_and_worst(means: np.ndarray) -> np.ndarray:
    return two_columns(regret(means))


def two_columns(lost: np.ndarray) -> np.ndarray:
    return np.stack([lost.mean(axis=1), lost.max(axis=1)], axis=1)     # (M, C) -> (M, 2)


def order_of_two_runs(answer: object, numbers: np.ndarray) -> None:
    """Lesson 09, exercise 4: how often two runs stand in the other order than the means over their seeds.

    Parameters
    ----------
    answer : object
    numbers : (M, C, N) float array
        One metric of M methods, C categories and N seeds.
    """
    d = np.array([a[:, :, None] - b[:, None, :] for a, b in combinations(np.asarray(numbers), 2)])  # (pairs, C, N, N)
    mean, same = d.mean(axis=(2, 3), keepdims=True), np.diagonal(d, axis1=2, axis2=3)
    ways = [d * mean < 0, d * mean.round(9) < 0]      # means that tie may differ by their rounding: either is right
    wrong = min(ways, key=lambda w: abs(w.mean() - float(answer)) if is_number(answer) else 0)
    right, by_category = float(wrong.mean()), wrong.mean(axis=(0, 2, 3))
    hints = {
        float((same * mean[..., 0] < 0).mean()): "those are runs of the same seed; the other seeds are runs, too",
        float((d * mean.mean(axis=1, keepdims=True) < 0).mean()): "compare with the means of the same category",
        float((d * mean <= 0).mean()): "two runs that are equal are in no order; count only those the other way round",
        float((d * mean > 0).mean()): "that is how often the order is the same",
        float((d < 0).mean()): "that is how often the later method is ahead; compare with the order of the means",
        float(wrong.sum()): "that is a number of pairs of runs; divide by all",
        100 * right: "as a share, not percent",
    }
    judge(answer, right, f"by category, it is between {by_category.min():.3f} and {by_category.max():.3f}", hints,
          "all pairs of methods, all categories, all N x N pairs of runs: where has the difference the other sign than "
          "the difference of the two means?")

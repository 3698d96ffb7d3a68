"""Lesson 08: how much better a threshold looks on images that chose it than on others, and what it promises."""

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import beta, betabinom
from scipy.stats.distributions import rv_frozen

from adlib.explorer.decisions import Confusion, confusion
from adlib.metrics import alarms_allowed


def split_in_halves(labels: np.ndarray, generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Indices of two halves at random, each with its share of normal and anomalous images; (N,) bool labels."""
    first, second = [], []
    for kind in (False, True):
        indices = generator.permutation(np.flatnonzero(labels == kind))
        middle = len(indices) // 2
        first.append(indices[:middle])
        second.append(indices[middle:])
    return np.concatenate(first), np.concatenate(second)


def split_half_evaluation(scores: ArrayLike, labels: ArrayLike, choose: Callable[[np.ndarray, np.ndarray], float],
                          measure: Callable[[Confusion], float], *, draws: int, seed: int) -> np.ndarray:
    """Choose a threshold on one half of the images, measure it on that half and on the other, many times.

    Parameters
    ----------
    scores : (N,) float array
    labels : (N,) bool array
        With at least two normal and two anomalous images.
    choose : function of scores and labels
        Gives the threshold.
    measure : function of a Confusion
    draws : int
        How many times the halves are drawn.
    seed : int

    Returns
    -------
    (draws, 2) array
        What was measured on the half that chose, and on the other.
    """
    scores, labels = np.asarray(scores), np.asarray(labels, bool)
    if min(labels.sum(), (~labels).sum()) < 2:
        raise ValueError(f"two halves need two normal and two anomalous images, there are {(~labels).sum()} and "
                         f"{labels.sum()}")
    generator, measured = np.random.default_rng(seed), np.empty((draws, 2))
    for row in measured:
        halves = split_in_halves(labels, generator)
        threshold = choose(scores[halves[0]], labels[halves[0]])
        row[:] = [measure(confusion(scores[half], labels[half], threshold)) for half in halves]
    return measured


def alarm_rates(n: int, alpha: float = 0.05) -> rv_frozen:
    """How the rate of false alarms is spread that `metrics.image_threshold` has with one draw of n validation images.

    Beta(k, n + 1 - k) with k = `alarms_allowed(n, alpha)`: the share of any continuous distribution above the k-th
    largest of n scores from it. Its mean, k / (n + 1), is what the threshold promises.
    """
    k = alarms_allowed(n, alpha)
    return beta(k, n + 1 - k)


def alarms_expected(n: int, m: int, alpha: float = 0.05) -> tuple[int, int]:
    """How many of m further normal images alarm in the middle 90 % of cases, if all n + m are drawn alike."""
    k = alarms_allowed(n, alpha)
    low, high = betabinom(m, k, n + 1 - k).interval(0.9)
    return int(low), int(high)

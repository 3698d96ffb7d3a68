"""Lesson 08: how much better a threshold looks on images that chose it than on others, and how sure a quantile is."""

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike

from adlib.metrics import Confusion, confusion


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


def chance_above(n: int, k: int = 1) -> float:
    """Chance that a new normal score exceeds the k-th largest of n other ones, whatever their distribution.

    All n + 1 are equally likely to hold each rank, as long as they come from the same source (and none are tied).
    """
    if not 1 <= k <= n:
        raise ValueError(f"there is no {k}-th largest of {n}")
    return k / (n + 1)

"""Exercises of lesson 07."""

import numpy as np

from adlib.lessons.exercises import judge
from adlib.lessons.feature_space import unit


def hit_by_chance(answer: object) -> None:
    """Lesson 07, exercise 1: hit@4 of an independent student among 20 normal and 20 anomalous positions."""
    hints = {
        4 / 20: "the teacher features of both kinds are candidates",
        1 / 40: "that is hit@1; four ranks are hits",
        4 / 39: "its own feature is one of the 40, not besides them",
        4 / 19: "both kinds are candidates, and its own feature is one of them",
        0.5: "that is the chance that the nearest is of the same kind; here it must be its own",
        4: "a share, please: how many of the 40 ranks are hits?",
        10: "a share, please, not percent",
    }
    judge(answer, 4 / 40, "at each of the 40 ranks equally often", hints,
          "its own feature can stand at any rank; how many ranks are there, and how many of them are hits?")


def hit_by_hand(answer: object) -> None:
    """Lesson 07, exercise 2: hit@1 of three positions."""
    hints = {
        1 / 3: "compare directions, not lengths, and start from each student feature: scale all six to length 1",
        1.0: "that is hit@2; the third student feature is nearest to (0, 1)",
        2: "that is how many hit; divide by the number of positions",
        0.67: "nearly: give three decimals",
        0.0: "the first is nearest to its own: cosine 0.98",
    }
    judge(answer, 2 / 3, "the third takes the second's place", hints,
          "for each student feature, the cosine to all three teacher features: is the largest its own?")


def half_width(answer: object) -> None:
    """Lesson 07, exercise 3: 1.96 standard errors of a share of one half, from 40 images of 5 equal positions."""
    error = (0.25 / 40) ** 0.5
    hints = {
        1.96 * (0.25 / 200) ** 0.5: "that is for 200 independent positions; five that agree are one observation",
        error: "that is one standard error; times 1.96",
        2 * 1.96 * error: "that is the width of the interval; to each side it is half of that",
        (0.25 / 200) ** 0.5: "that is one standard error of 200 independent positions; how many are independent?",
        1.96 * (0.25 / 5) ** 0.5: "five is how many each image has; how many images are there?",
        1.96 * 0.25 / 40: "the standard error is the root of that variance",
        0.15: "nearly: give three decimals",
        0.16: "nearly: give three decimals",
    }
    judge(answer, 1.96 * error, "more than twice what 200 independent positions would give", hints,
          "the variance of a share p from n independent observations is p (1 - p) / n; which n?")


def share_taken_for_normal(answer: object, t: np.ndarray, s: np.ndarray, anomalous: np.ndarray) -> None:
    """Lesson 07, exercise 4: share of anomalous positions whose nearest teacher feature, of (P, C), is a normal one."""
    cos = unit(s) @ unit(t).T
    taken, by_teacher = (~anomalous[c.argmax(axis=1)] for c in (cos, cos.T))
    raw = ~anomalous[(s @ t.T).argmax(axis=1)]
    right = taken[anomalous].mean()
    hints = {
        taken.mean(): "that is over all positions; take the anomalous ones only",
        1 - right: "that is the share whose nearest is anomalous",
        taken[~anomalous].mean(): "those are the normal positions; take the anomalous ones",
        taken[anomalous].sum(): "that is a number of positions; divide by that of the anomalous ones",
        100 * right: "a share, please, not percent",
        raw[anomalous].mean(): "scale the vectors to length 1 first: long ones win otherwise",
        by_teacher[anomalous].mean(): "turned around: for each student feature, look among the teacher's",
        (taken & anomalous).mean(): "divide by the number of anomalous positions, not of all",
    }
    judge(answer, right, f"{right:.0%} of the anomalous positions are answered with something normal", hints,
          "cos = unit(s) @ unit(t).T has a row for each student feature; argmax along it, then that position's kind")

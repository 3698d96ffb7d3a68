"""Exercises of lesson 07."""

import numpy as np

from adlib.lessons.exercises import judge, judge_function
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


def taken_for_normal(answer: object, t: np.ndarray, s: np.ndarray, anomalous: np.ndarray) -> None:
    """Lesson 07, exercise 4: share of anomalous positions whose nearest teacher feature, of (P, C), is a normal one."""
    generator, cases = np.random.default_rng(0), []
    for positions in (40, 61):
        x, noise = generator.standard_normal((2, positions, 5))
        lengths = generator.uniform(0.2, 5, (2, positions, 1))
        cases.append((x * lengths[0], (x + noise) * lengths[1], generator.random(positions) < 0.6))

    def share(taken, kinds):
        return taken[kinds].mean()

    def nearest(t, s, kinds, *, scaled: bool = True, turned: bool = False):
        cos = unit(s) @ unit(t).T if scaled else s @ t.T
        return ~kinds[cos.argmax(axis=0 if turned else 1)]

    found = share(nearest(t, s, anomalous), anomalous) if anomalous.any() else np.nan
    judge_function(answer, lambda t, s, kinds: share(nearest(t, s, kinds), kinds), cases,
                   f"here {found:.0%} of the anomalous positions have a normal feature for their nearest one", {
        "that is over all positions; take the anomalous ones only": lambda *case: nearest(*case).mean(),
        "that is the share whose nearest is anomalous": lambda *case: 1 - share(nearest(*case), case[2]),
        "those are the normal positions; take the anomalous ones": lambda *case: share(nearest(*case), ~case[2]),
        "that is a number of positions; divide by that of the anomalous ones": lambda *case: nearest(*case)[
            case[2]].sum(),
        "a share, please, not percent": lambda *case: 100 * share(nearest(*case), case[2]),
        "scale the vectors to length 1 first: long ones win otherwise": lambda *case: share(
            nearest(*case, scaled=False), case[2]),
        "turned around: for each student feature, look among the teacher's": lambda *case: share(
            nearest(*case, turned=True), case[2]),
        "divide by the number of anomalous positions, not of all": lambda *case: (nearest(*case) & case[2]).mean(),
        "the teacher's features of both kinds are candidates; those are the normal ones alone": lambda *case: 1.0,
    }, "cosines of each student feature (rows) to all teacher features; argmax along a row, then that position's kind")

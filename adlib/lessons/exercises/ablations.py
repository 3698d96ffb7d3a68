"""Exercises of lesson 05."""

import numpy as np

from adlib.lessons.ablations import find_grid
from adlib.lessons.exercises import judge
from adlib.lessons.paper_comparison import published_rows

WITH_DENOISING = ["2: den", "5: den + ed", "6: den + seg", "8: den + ed + seg"]
WITHOUT = ["1: none", "3: ed", "4: seg", "7: ed + seg"]


def spread_of_a_difference(answer: object) -> None:
    """Lesson 05, exercise 1: rows of three seeds each, 1.2 points between seeds; spread of the means' difference."""
    s, n = 1.2, 3
    hints = {
        s / n ** 0.5: "that is the spread of one mean; the difference has two, and both are uncertain",
        s * 2 ** 0.5: "that is for one seed each; each mean has three",
        2 * s / n ** 0.5: "the variances of the two means add, not their standard deviations",
        s / n: "averaging n numbers divides the variance by n, so the standard deviation by its root",
        2 ** 0.5 * s / n: "averaging n numbers divides the variance by n, so the standard deviation by its root",
        s: "that is the spread of single runs",
        2 * s ** 2 / n: "that is the variance; take its root",
        s / (2 * n) ** 0.5: "the difference of two means is less certain than one of them, not more",
        0.0: "the expected difference of equal rows is 0; the question is its spread",
    }
    judge(answer, s * (2 / n) ** 0.5, "two rows that differ by less than twice that prove nothing", hints,
          "the variance of a mean of 3 is 1.2^2 / 3; those of the two means add; take the root")


def chance_that_some_row_wins(answer: object) -> None:
    """Lesson 05, exercise 2: eight identical rows, one of them the base row; chance that another is best."""
    hints = {
        1 / 8: "that is the chance that the base row itself is best",
        1 / 2: "that is for one other row; there are seven",
        1 - 0.5 ** 7: "the seven comparisons are not independent: all are with the same base row",
        1 - 0.5 ** 8: "the comparisons are not independent, and there are seven",
        0.5 ** 7: "that is the chance that none of seven independent rows wins; they are not independent",
        1 - 0.95 ** 7: "no threshold was mentioned: any lead counts, however small",
        0.95: "no threshold was mentioned: any lead counts, however small",
        6 / 7: "there are eight rows, the base row among them",
        7.0: "that is how many rows could be best; divide by how many there are",
        87.5: "as a share, not percent",
    }
    judge(answer, 7 / 8, "with rows that do not differ, seven tables of eight show progress", hints,
          "all eight rows are alike: each is the best one with the same chance")


def main_effect_of_denoising(answer: object) -> None:
    """Lesson 05, exercise 3: mean change of image AUROC by denoising over the four pairs of DeSTSeg's Table 4."""
    theirs = published_rows(find_grid("destseg_4"))
    gains = theirs.loc[WITH_DENOISING].to_numpy() - theirs.loc[WITHOUT].to_numpy()      # (4 pairs, 3 metrics)
    first, full = theirs["image_auroc"].iloc[0], theirs["image_auroc"].iloc[-1]
    right = float(gains[:, 0].mean())
    others = "that is another number: image AUROC is the first of the three"
    hints = {
        float(gains[3, 0]): "that is one pair, with both other parts there; there are three more",
        float(gains[0, 0]): "that is the first pair alone, or the sum of all four: take their mean",
        float(full - first): "that adds all three parts at once; change denoising alone, four times",
        -right: "the other way round: with denoising less without",
        right / 100: "the table is in percent; give the answer in percentage points",
        float(gains[:2, 0].mean()): "those are the two pairs without segmentation; there are two with it",
        float(gains[2:, 0].mean()): "those are the two pairs with segmentation; there are two without it",
        float(gains[:, 1].mean()): others, float(gains[:, 2].mean()): others,
        float(theirs["image_auroc"].loc[WITH_DENOISING].mean()): "now subtract the mean of the four rows without it",
    }
    judge(answer, right, f"with the other parts in place it brings {gains[3, 0]:+.1f}; alone {gains[0, 0]:+.1f}", hints,
          "rows 2, 5, 6 and 8 have denoising; 1, 3, 4 and 7 are the same without it")


def share_of_other_verdicts(answer: object, ahead: dict[int, float], behind: dict[int, float]) -> None:
    """Lesson 05, exercise 4: of all pairs of one seed each, the share in which `behind` is strictly better.

    Parameters
    ----------
    ahead, behind : dict
        The number of each seed.
    """
    x, y = np.array(list(ahead.values())), np.array(list(behind.values()))
    wins = y[None] > x[:, None]
    paired = float(np.mean([behind[seed] > ahead[seed] for seed in ahead if seed in behind]))
    right = float(wins.mean())
    hints = {
        float((x[:, None] > y[None]).mean()): "that is the share in which the mean's verdict stands; count the others",
        paired: "those are the pairs of equal seeds; another paper would not draw the same numbers: take all pairs",
        1 - paired: "count the pairs in which the other method is ahead, and take all pairs, not only equal seeds",
        float(wins.sum()): f"that is a number of pairs; divide by all {wins.size}",
        100 * right: "as a share, not percent",
        100 * float(x.mean() - y.mean()): "that is the difference of the means; count pairs",
    }
    judge(answer, right, f"{wins.sum()} of {wins.size} papers with one seed each would say the opposite", hints,
          "compare every seed of the one with every seed of the other: y[None] > x[:, None], and take the mean")

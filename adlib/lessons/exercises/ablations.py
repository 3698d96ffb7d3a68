"""Exercises of lesson 05."""

import numpy as np
from scipy.stats import norm, ttest_rel
from scipy.stats import t as student

from adlib.lessons.ablations import find_grid
from adlib.lessons.exercises import judge, judge_function
from adlib.lessons.paper_comparison import chance_margin, published_rows

WITH_DENOISING = ["2: den", "5: den + ed", "6: den + seg", "8: den + ed + seg"]
WITHOUT = ["1: none", "3: ed", "4: seg", "7: ed + seg"]


def chance_that_some_row_wins(answer: object) -> None:
    """Lesson 05, exercise 1: eight identical rows, one of them the base row; chance that another is best."""
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
    """Lesson 05, exercise 2: mean change of image AUROC by denoising over the four pairs of DeSTSeg's Table 4."""
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
    judge(answer, right, f"{right:+.2f}: with the other parts in place it brings {gains[3, 0]:+.1f}, alone "
          f"{gains[0, 0]:+.1f}, and {(gains[:, 0] > 0).sum()} of the 4 pairs gain something", hints,
          "rows 2, 5, 6 and 8 have denoising; 1, 3, 4 and 7 are the same without it")


def share_of_other_verdicts(answer: object, ahead: dict[int, float], behind: dict[int, float]) -> None:
    """Lesson 05, exercise 3: of all pairs of one seed each, the share in which `behind` is strictly better.

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
    judge(answer, right, f"{wins.sum()} of {wins.size} pairs of seeds would say the opposite", hints,
          "compare every seed of the one with every seed of the other: y[None] > x[:, None], and take the mean")


def margin_of_pairs(answer: object) -> None:
    """Lesson 05, exercise 4: margin of chance of the mean difference of two rows with the same seeds."""
    generator = np.random.default_rng(0)
    cases = []
    for n, m in ((3, 1), (5, 7), (4, 3)):
        common = generator.normal(0.9, 0.03, n)     # what a seed does to both rows
        cases.append((common + generator.normal(0, 0.01, n), common + generator.normal(0, 0.01, n), m))
    praise = (f"with three seeds t is {student.ppf(0.975, 2):.2f}, without pairs {student.ppf(0.975, 4):.2f}: they pay "
              "only where a seed moves both rows alike")

    def wrong(quantile, *, ddof: int = 1, root: bool = True):
        def version(row, base, m):
            d, n = row - base, len(row)
            return quantile(n, m) * d.std(ddof=ddof) / (n ** 0.5 if root else 1)
        return version

    def right(n, m):
        return student.ppf(1 - 0.025 / m, n - 1)

    judge_function(answer, paired_margin, cases, praise, {
        "that is the margin without pairs: subtract seed by seed first, and take the spread of the differences":
            lambda row, base, m: chance_margin(row, base, comparisons=m),
        "the spread of n differences is known with n - 1 degrees of freedom, however many runs there are":
            wrong(lambda n, m: student.ppf(1 - 0.025 / m, 2 * n - 2)),
        "n differences know their spread with n - 1 degrees of freedom: one goes to their mean":
            wrong(lambda n, m: student.ppf(1 - 0.025 / m, n)),
        "the standard deviation of a sample divides by n - 1: ddof=1": wrong(right, ddof=0),
        "that is for one difference; their mean is steadier, by the root of n": wrong(right, root=False),
        "with so few seeds the normal quantile is too short: take Student's t": wrong(
            lambda n, m: norm.ppf(1 - 0.025 / m)),
        "5 % for each comparison make more than 5 % for the table: divide by m": wrong(
            lambda n, m: student.ppf(0.975, n - 1)),
        "a difference can go either way: 2.5 % to each side, divided by m": wrong(
            lambda n, m: student.ppf(1 - 0.05 / m, n - 1)),
        "in the unit of the rows, not in points": lambda *case: 100 * paired_margin(*case),
    }, "with d = row - base: Student's t of 1 - 0.025 / m and n - 1 degrees of freedom, times the spread of d, "
       "over the root of n")


def paired_margin(row: np.ndarray, base: np.ndarray, comparisons: int) -> float:
    """Half the paired t interval of the mean difference, 5 % divided by the comparisons."""
    interval = ttest_rel(row, base).confidence_interval(1 - 0.05 / comparisons)
    return float(interval.high - interval.low) / 2

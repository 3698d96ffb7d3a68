"""Each check of lesson 05 against right answers and plausible wrong ones."""

import numpy as np
import pytest
from scipy.stats import t as student

from adlib.lessons.exercises import ablations as exercises

# The first is ahead by 0.9 points on average; the second in four of nine pairs, in one of equal seeds.
AHEAD, BEHIND = {0: 0.885, 1: 0.881, 2: 0.904}, {0: 0.892, 1: 0.861, 2: 0.890}



def by_hand(*, free=lambda n: n - 1, std=lambda d: np.std(d, ddof=1), root=0.5, tail=lambda m: 0.025 / m):
    """A margin of pairs that may go wrong in one place."""
    def margin(row, base, m):
        return student.ppf(1 - tail(m), free(len(row))) * std(row - base) / len(row) ** root
    return margin


def without_pairs(row, base, m):
    n = len(row)
    return student.ppf(1 - 0.025 / m, 2 * n - 2) * np.sqrt((np.var(row, ddof=1) + np.var(base, ddof=1)) / n)


@pytest.mark.parametrize(("check", "answer", "rest", "expected"), [
    (exercises.chance_that_some_row_wins, ..., (), "not yet: set"),
    (exercises.chance_that_some_row_wins, 7 / 8, (), "right"),
    (exercises.chance_that_some_row_wins, 1 / 8, (), "the base row itself"),
    (exercises.chance_that_some_row_wins, 1 / 2, (), "there are seven"),
    (exercises.chance_that_some_row_wins, 1 - 0.5 ** 7, (), "not independent"),
    (exercises.chance_that_some_row_wins, 0.5 ** 7, (), "not independent"),
    (exercises.chance_that_some_row_wins, 1 - 0.95 ** 7, (), "no threshold"),
    (exercises.chance_that_some_row_wins, 6 / 7, (), "the base row among them"),
    (exercises.chance_that_some_row_wins, 87.5, (), "not percent"),
    (exercises.chance_that_some_row_wins, 7, (), "divide by how many"),
    (exercises.chance_that_some_row_wins, 0.6, (), "with the same chance"),
    (exercises.main_effect_of_denoising, ..., (), "not yet: set"),
    (exercises.main_effect_of_denoising, (-1.4 - 0.9 + 0.0 + 0.9) / 4, (), "right"),
    (exercises.main_effect_of_denoising, 0.9, (), "there are three more"),
    (exercises.main_effect_of_denoising, -1.4, (), "the sum of all four"),
    (exercises.main_effect_of_denoising, 3.8, (), "all three parts at once"),
    (exercises.main_effect_of_denoising, 0.35, (), "the other way round"),
    (exercises.main_effect_of_denoising, -0.0035, (), "in percentage points"),
    (exercises.main_effect_of_denoising, -1.15, (), "two with it"),
    (exercises.main_effect_of_denoising, 0.45, (), "two without it"),
    (exercises.main_effect_of_denoising, (-3.3 + 0.7 + 0.8 + 6.1) / 4, (), "the first of the three"),
    (exercises.main_effect_of_denoising, (-1.9 + 0.8 + 0.5 + 5.2) / 4, (), "the first of the three"),
    (exercises.main_effect_of_denoising, (93.4 + 94.5 + 97.3 + 98.6) / 4, (), "now subtract"),
    (exercises.main_effect_of_denoising, 12, (), "rows 2, 5, 6 and 8"),
    (exercises.share_of_other_verdicts, ..., (AHEAD, BEHIND), "not yet: set"),
    (exercises.share_of_other_verdicts, 4 / 9, (AHEAD, BEHIND), "right: 4 of 9"),
    (exercises.share_of_other_verdicts, 5 / 9, (AHEAD, BEHIND), "verdict stands"),
    (exercises.share_of_other_verdicts, 1 / 3, (AHEAD, BEHIND), "the same numbers: take all pairs"),
    (exercises.share_of_other_verdicts, 2 / 3, (AHEAD, BEHIND), "not only equal seeds"),
    (exercises.share_of_other_verdicts, 4, (AHEAD, BEHIND), "divide by all 9"),
    (exercises.share_of_other_verdicts, 400 / 9, (AHEAD, BEHIND), "not percent"),
    (exercises.share_of_other_verdicts, 0.9, (AHEAD, BEHIND), "the difference of the means"),
    (exercises.share_of_other_verdicts, 0.7, (AHEAD, BEHIND), "every seed of the one"),
    (exercises.share_of_other_verdicts, 0.0, ({0: 0.9}, {0: 0.8}), "right: 0 of 1"),
    (exercises.margin_of_pairs, ..., (), "not yet: set"),
    (exercises.margin_of_pairs, exercises.paired_margin, (), "right"),
    (exercises.margin_of_pairs, by_hand(), (), "right"),
    (exercises.margin_of_pairs, lambda row, base, m: by_hand()(base, row, m), (), "right"),
    (exercises.margin_of_pairs, lambda row, base, m: [by_hand()(row, base, m)], (), "returns the shape (1,)"),
    (exercises.margin_of_pairs, without_pairs, (), "subtract seed by seed"),
    (exercises.margin_of_pairs, by_hand(free=lambda n: 2 * n - 2), (), "however many runs"),
    (exercises.margin_of_pairs, by_hand(free=lambda n: n), (), "one goes to their mean"),
    (exercises.margin_of_pairs, by_hand(std=np.std), (), "ddof=1"),
    (exercises.margin_of_pairs, by_hand(root=0), (), "by the root of n"),
    (exercises.margin_of_pairs, by_hand(free=lambda n: 1e9), (), "Student's t"),
    (exercises.margin_of_pairs, by_hand(tail=lambda m: 0.025), (), "divide by m"),
    (exercises.margin_of_pairs, by_hand(tail=lambda m: 0.05 / m), (), "either way"),
    (exercises.margin_of_pairs, lambda *case: 100 * by_hand()(*case), (), "not in points"),
    (exercises.margin_of_pairs, lambda row, base, m: (row - base).mean(), (), "over the root of n"),
    (exercises.margin_of_pairs, lambda row, base: 0.0, (), "it raises TypeError"),
    (exercises.margin_of_pairs, 0.1, (), "should be a function"),
])
def test_every_answer_gets_the_verdict_that_fits(capsys, check, answer, rest, expected):
    check(answer, *rest)
    printed = capsys.readouterr().out
    assert printed.count("\n") == 1
    assert expected in printed
    assert printed.startswith("right") == expected.startswith("right")

"""Each check of lesson 05 against right answers and plausible wrong ones."""

import pytest

from adlib.lessons.exercises import ablations as exercises

ROOT2, ROOT3 = 2 ** 0.5, 3 ** 0.5
# The first is ahead by 0.9 points on average; the second in four of nine pairs, in one of equal seeds.
AHEAD, BEHIND = {0: 0.885, 1: 0.881, 2: 0.904}, {0: 0.892, 1: 0.861, 2: 0.890}


@pytest.mark.parametrize(("check", "answer", "rest", "expected"), [
    (exercises.spread_of_a_difference, ..., (), "not yet: set"),
    (exercises.spread_of_a_difference, 1.2 * ROOT2 / ROOT3, (), "right"),
    (exercises.spread_of_a_difference, 0.98, (), "right"),
    (exercises.spread_of_a_difference, 1.2 / ROOT3, (), "spread of one mean"),
    (exercises.spread_of_a_difference, 1.2 * ROOT2, (), "one seed each"),
    (exercises.spread_of_a_difference, 2 * 1.2 / ROOT3, (), "not their standard deviations"),
    (exercises.spread_of_a_difference, 0.4, (), "divides the variance by n"),
    (exercises.spread_of_a_difference, 0.4 * ROOT2, (), "divides the variance by n"),
    (exercises.spread_of_a_difference, 1.2, (), "spread of single runs"),
    (exercises.spread_of_a_difference, 0.96, (), "take its root"),
    (exercises.spread_of_a_difference, 1.2 / 6 ** 0.5, (), "less certain"),
    (exercises.spread_of_a_difference, 0, (), "the question is its spread"),
    (exercises.spread_of_a_difference, 5, (), "1.2^2 / 3"),
    (exercises.spread_of_a_difference, "small", (), "one number, not str"),
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
])
def test_every_answer_gets_the_verdict_that_fits(capsys, check, answer, rest, expected):
    check(answer, *rest)
    printed = capsys.readouterr().out
    assert printed.count("\n") == 1
    assert expected in printed
    assert printed.startswith("right") == expected.startswith("right")

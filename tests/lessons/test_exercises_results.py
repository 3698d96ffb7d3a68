"""Each check of lesson 09 against right answers and plausible wrong ones."""

from itertools import combinations, product

import numpy as np
import pytest

from adlib.lessons.exercises import results

NUMBERS = np.random.default_rng(5).random((3, 4, 3)).round(1)      # of 3 methods, 4 categories, 3 seeds; with ties


def share(holds) -> float:
    """Among all pairs of runs of two methods and a category, where something holds.

    It is asked about the difference of the two runs, those of their means in the category and over all categories, and
    whether the seed is the same.
    """
    means, found = NUMBERS.mean(axis=2), []
    for a, b in combinations(range(3), 2):
        for c, i, j in product(range(4), range(3), range(3)):
            d, overall = NUMBERS[a, c, i] - NUMBERS[b, c, j], means[a].mean() - means[b].mean()
            found.append(holds(d, means[a, c] - means[b, c], overall, i == j))
    return sum(found) / len(found)


OTHER_ORDER = share(lambda d, mean, overall, same: d * mean < 0)


@pytest.mark.parametrize(("check", "answer", "rest", "expected"), [
    (results.spread_of_a_mean, ..., (), "not yet: set"),
    (results.spread_of_a_mean, 3 / 15**0.5, (), "right"),
    (results.spread_of_a_mean, 0.775, (), "right"),
    (results.spread_of_a_mean, 3, (), "spread of one category"),
    (results.spread_of_a_mean, 3 / 15, (), "variances add"),
    (results.spread_of_a_mean, 3 * 15**0.5, (), "spread of the sum"),
    (results.spread_of_a_mean, 9 / 15, (), "take the root"),
    (results.spread_of_a_mean, 0.00775, (), "percentage points"),
    (results.spread_of_a_mean, 0.77, (), "three decimals"),
    (results.spread_of_a_mean, 0.8, (), "three decimals"),
    (results.spread_of_a_mean, 45, (), "root of the sum"),
    (results.spread_of_a_mean, "less", (), "one number, not str"),
    (results.ahead_in_all_six, ..., (), "not yet: set"),
    (results.ahead_in_all_six, 2 * 0.5**6, (), "right"),
    (results.ahead_in_all_six, 0.031, (), "right"),
    (results.ahead_in_all_six, 0.5**6, (), "b in all six, too"),
    (results.ahead_in_all_six, 6 * 0.5**6, (), "five of six"),
    (results.ahead_in_all_six, 0.5, (), "one category"),
    (results.ahead_in_all_six, 2 / 6, (), "each category halves"),
    (results.ahead_in_all_six, 3.125, (), "not percent"),
    (results.ahead_in_all_six, 1 - 2 / 64, (), "the opposite"),
    (results.ahead_in_all_six, 0.03, (), "three decimals"),
    (results.ahead_in_all_six, 0.7, (), "toss of a coin"),
    (results.at_least_one, ..., (), "not yet: set"),
    (results.at_least_one, 1 - 0.95**10, (), "right"),
    (results.at_least_one, 0.401, (), "right"),
    (results.at_least_one, 10 * 0.05, (), "expected number"),
    (results.at_least_one, 0.05, (), "there are ten"),
    (results.at_least_one, 0.95**10, (), "none of them"),
    (results.at_least_one, 0.95, (), "tenth power"),
    (results.at_least_one, 10 * 0.05 * 0.95**9, (), "exactly one"),
    (results.at_least_one, 0.05**10, (), "all ten at once"),
    (results.at_least_one, 40.13, (), "not percent"),
    (results.at_least_one, 0.4, (), "three decimals"),
    (results.at_least_one, 0.8, (), "all ten hold 0"),
    (results.order_of_two_runs, ..., (NUMBERS,), "not yet: set"),
    (results.order_of_two_runs, OTHER_ORDER, (NUMBERS,), "right"),
    (results.order_of_two_runs, 3 * share(lambda d, mean, overall, same: same and d * mean < 0), (NUMBERS,),
     "of the same seed"),
    (results.order_of_two_runs, share(lambda d, mean, overall, same: d * overall < 0), (NUMBERS,),
     "means of the same category"),
    (results.order_of_two_runs, share(lambda d, mean, overall, same: d * mean <= 0), (NUMBERS,), "in no order"),
    (results.order_of_two_runs, share(lambda d, mean, overall, same: d * mean > 0), (NUMBERS,), "order is the same"),
    (results.order_of_two_runs, share(lambda d, mean, overall, same: d < 0), (NUMBERS,), "the later method is ahead"),
    (results.order_of_two_runs, OTHER_ORDER * 3 * 4 * 9, (NUMBERS,), "divide by all"),
    (results.order_of_two_runs, 100 * OTHER_ORDER, (NUMBERS,), "not percent"),
    (results.order_of_two_runs, 0.9, (NUMBERS,), "all pairs of methods"),
])
def test_every_answer_gets_the_verdict_that_fits(capsys, check, answer, rest, expected):
    check(answer, *rest)
    printed = capsys.readouterr().out
    assert printed.count("\n") == 1
    assert expected in printed
    assert printed.startswith("right") == (expected == "right")


def test_methods_that_tie_but_for_rounding(capsys):
    numbers = np.array([[[0.1, 0.2, 0.3]], [[0.3, 0.1 + 1e-12, 0.2]]])       # (2 methods, 1 category, 3 seeds)
    for answer in (3 / 9, 0.0):         # one trusts the last digits, one does not
        results.order_of_two_runs(answer, numbers)
        assert capsys.readouterr().out.startswith("right")

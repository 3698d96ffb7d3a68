"""Each check of lesson 09 against right answers and plausible wrong ones."""

from itertools import combinations, product

import numpy as np
import pandas as pd
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


def columns(lost):
    return np.stack([lost.mean(axis=1), lost.max(axis=1)], axis=1)


def lost(x):
    return np.max(x, axis=0) - x


@pytest.mark.parametrize(("answer", "expected"), [
    (..., "not yet: set"),
    (lambda x: columns(lost(x)), "right: these means, in points: a 5.0 (10.0), b 10.0 (20.0)"),
    (lambda x: [(np.mean(row), max(row)) for row in lost(x)], "right"),
    (lambda x: columns(x[x.mean(axis=1).argmax()] - x), "differs by category"),
    (lambda x: columns(x.max(axis=1, keepdims=True) - x), "the method's own best"),
    (lambda x: columns(x.mean(axis=0) - x), "not the best"),
    (lambda x: columns(x.max() - x), "best of all numbers"),
    (lambda x: -columns(lost(x)), "not negative"),
    (lambda x: np.stack([lost(x).mean(axis=1), lost(x).min(axis=1)], axis=1), "the largest loss"),
    (lambda x: columns(lost(x).T), "one row for each method"),
    (lambda x: columns(lost(x)).T, "stack along axis 1"),
    (lambda x: columns(lost(x))[:, ::-1], "comes second"),
    (lambda x: 100 * columns(lost(x)), "not in points"),
    (lambda x: lost(x), "it returns the shape"),
    (lambda x: 0 * columns(lost(x)), "its mean and its maximum"),
    (np.zeros(2), "should be a function"),
])
def test_a_regret_table(capsys, answer, expected):
    results.regret_table(answer, pd.DataFrame([[0.9, 0.7], [0.7, 0.8]], index=["a", "b"]))
    printed = capsys.readouterr().out
    assert printed.count("\n") == 1
    assert expected in printed
    assert printed.startswith("right") == expected.startswith("right")

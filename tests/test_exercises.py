import numpy as np
import pytest

from adlib import exercises

NORMAL, LABELS = np.arange(20.0), np.array([False] * 8 + [True] * 4)
SCORES = np.array([1.0, 5, 9, 12, 18.5, 19, 3, 18.04, 30, 31, 5, 40])
MASK = np.pad(np.ones((2, 2), bool), ((4, 26), (4, 26)))


def verdict(capsys, check, *arguments) -> str:
    check(*arguments)
    printed = capsys.readouterr().out
    assert printed.count("\n") == 1
    return printed


@pytest.mark.parametrize(("check", "answer", "rest", "expected"), [
    (exercises.auroc_by_counting, ..., (), "not yet: set"),
    (exercises.auroc_by_counting, 5 / 6, (), "right"),
    (exercises.auroc_by_counting, 0.8333, (), "right"),
    (exercises.auroc_by_counting, 4 / 6, (), "counts one half"),
    (exercises.auroc_by_counting, 1, (), "a tie is not a win"),
    (exercises.auroc_by_counting, 1 / 6, (), "turn it around"),
    (exercises.auroc_by_counting, 2.5, (), "number of pairs, 3 x 2"),
    (exercises.auroc_by_counting, 0.42, (), "write down the 3 x 2 pairs"),
    (exercises.auroc_by_counting, "five sixths", (), "one number, not str"),
    (exercises.auroc_by_counting, np.float32(5 / 6), (), "right"),
    (exercises.auroc_by_counting, float("nan"), (), "write down"),
    (exercises.pro_of_one_region, ..., (), "not yet: set"),
    (exercises.pro_of_one_region, 0.5, (), "right"),
    (exercises.pro_of_one_region, 100 / 104, (), "each region one vote"),
    (exercises.pro_of_one_region, 1.0, (), "never found"),
    (exercises.pro_of_one_region, 0.15, (), "divide its area by 0.3"),
    (exercises.pro_of_one_region, [0.5, 0.5], (), "one number, not list"),
    (exercises.false_alarms, ..., (NORMAL, SCORES, LABELS), "not yet: set"),
    (exercises.false_alarms, 0.25, (NORMAL, SCORES, LABELS), "right"),      # threshold 18.05: 18.5 and 19 of 8
    (exercises.false_alarms, 5 / 12, (NORMAL, SCORES, LABELS), "look at the normal ones only"),
    (exercises.false_alarms, 3 / 4, (NORMAL, SCORES, LABELS), "the recall"),
    (exercises.false_alarms, 1 / 8, (NORMAL, SCORES, LABELS), "use the validation scores"),
    (exercises.false_alarms, 2, (NORMAL, SCORES, LABELS), "divide by the number"),
    (exercises.false_alarms, 0.05, (NORMAL, SCORES, LABELS), "take the 0.95 quantile"),
    (exercises.high_auroc_low_ap, ..., (MASK,), "not yet: set"),
    (exercises.high_auroc_low_ap, np.zeros((4, 4)), (MASK,), "finite array of shape (32, 32), this is (4, 4)"),
    (exercises.high_auroc_low_ap, "high", (MASK,), "an array of numbers"),
    (exercises.high_auroc_low_ap, MASK.astype(float), (MASK,), "let some normal pixels"),
    (exercises.high_auroc_low_ap, -MASK.astype(float), (MASK,), "too many normal pixels"),
    (exercises.high_auroc_low_ap, np.zeros((32, 32)), (MASK,), "too many normal pixels"),
])
def test_every_answer_gets_the_verdict_that_fits(capsys, check, answer, rest, expected):
    found = verdict(capsys, check, answer, *rest)
    assert expected in found
    assert found.startswith("right") == (expected == "right")


def test_the_map_of_the_solution_is_accepted(capsys):
    answer = np.where(MASK, 0.5, 0.0)
    answer[20, :30] = 1.0
    assert verdict(capsys, exercises.high_auroc_low_ap, answer, MASK).startswith("right")

import numpy as np
import pytest

from adlib import exercises

NORMAL, LABELS = np.arange(20.0), np.array([False] * 8 + [True] * 4)
SCORES = np.array([1.0, 5, 9, 12, 18.5, 19, 3, 18.04, 30, 31, 30.5, 40])
LEVELS = [np.array([[[0.1, 0.9]], [[0.2, 0.3]], [[0.4, 0.5]]]), np.array([[[0.0, 0.6]], [[0.2, 0.3]], [[0.5, 0.7]]])]
PRODUCT, TRUTH = LEVELS[0] * LEVELS[1], np.array([False, False, True])
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
    (exercises.auroc_by_counting, 0.83, (), "three decimals"),
    (exercises.auroc_by_counting, 0.67, (), "counts one half"),
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
    (exercises.false_alarms, 6 / 12, (NORMAL, SCORES, LABELS), "look at the normal ones only"),
    (exercises.false_alarms, 1.0, (NORMAL, SCORES, LABELS), "the recall"),
    (exercises.false_alarms, 1 / 8, (NORMAL, SCORES, LABELS), "use the validation scores"),
    (exercises.false_alarms, 2, (NORMAL, SCORES, LABELS), "divide by the number"),
    (exercises.false_alarms, 25, (NORMAL, SCORES, LABELS), "not percent"),
    (exercises.false_alarms, 0.05, (NORMAL, SCORES, LABELS), "take the 0.95 quantile"),
    (exercises.steps_of_a_hundred_epochs, ..., (), "not yet: set"),
    (exercises.steps_of_a_hundred_epochs, 600, (), "right"),
    (exercises.steps_of_a_hundred_epochs, 700, (), "held back"),
    (exercises.steps_of_a_hundred_epochs, 500, (), "not dropped"),
    (exercises.steps_of_a_hundred_epochs, 6, (), "one epoch"),
    (exercises.steps_of_a_hundred_epochs, 650, (), "round up, times 100"),
    (exercises.effective_learning_rate, ..., (), "not yet: set"),
    (exercises.effective_learning_rate, 0.8, (), "right"),
    (exercises.effective_learning_rate, 0.4, (), "the loss it is applied to"),
    (exercises.effective_learning_rate, 0.2, (), "the other way round"),
    (exercises.effective_learning_rate, 3, (), "write down one SGD step"),
    (exercises.auroc_of_last_level, ..., (LEVELS, PRODUCT, TRUTH), "not yet: set"),
    (exercises.auroc_of_last_level, 1.0, (LEVELS, PRODUCT, TRUTH), "right"),
    (exercises.auroc_of_last_level, 0.5, (LEVELS, PRODUCT, TRUTH), "product of all levels"),
    (exercises.auroc_of_last_level, 0.0, (LEVELS, PRODUCT, TRUTH), "turn the order around"),
    (exercises.auroc_of_last_level, 0.7, (LEVELS, PRODUCT, TRUTH), "take the largest value"),
    (exercises.high_auroc_low_ap, ..., (MASK,), "not yet: set"),
    (exercises.high_auroc_low_ap, np.zeros((4, 4)), (MASK,), "finite array of shape (32, 32), this is (4, 4)"),
    (exercises.high_auroc_low_ap, "high", (MASK,), "an array of numbers"),
    (exercises.high_auroc_low_ap, MASK.astype(float), (MASK,), "let more normal pixels"),
    (exercises.high_auroc_low_ap, -MASK.astype(float), (MASK,), "nine tenths of the normal pixels"),
    (exercises.high_auroc_low_ap, np.zeros((32, 32)), (MASK,), "nine tenths of the normal pixels"),
])
def test_every_answer_gets_the_verdict_that_fits(capsys, check, answer, rest, expected):
    found = verdict(capsys, check, answer, *rest)
    assert expected in found
    assert found.startswith("right") == (expected == "right")


def test_the_map_of_the_solution_is_accepted(capsys):
    answer = np.where(MASK, 0.5, 0.0)
    answer[20, :30] = 1.0
    assert verdict(capsys, exercises.high_auroc_low_ap, answer, MASK).startswith("right")

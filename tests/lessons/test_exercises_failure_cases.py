"""Each check of lesson 06 against right answers and plausible wrong ones."""

import numpy as np
import pytest

from adlib.lessons.exercises import failure_cases
from adlib.lessons.psychometrics import wilson

# Two methods; of the five anomalous images (the last ones) the first two are missed by both, the third by one.
ALARMS = np.array([[1, 0, 0, 0, 0, 0, 1, 1, 1], [0, 0, 0, 0, 0, 0, 0, 1, 1]], bool)
LABELS = np.array([0, 0, 0, 0, 1, 1, 1, 1, 1], bool)
LOW, HIGH = (float(end) for end in wilson(3, 10))


@pytest.mark.parametrize(("check", "answer", "rest", "expected"), [
    (failure_cases.cells_of_a_region, ..., (), "not yet: set"),
    (failure_cases.cells_of_a_region, 12 * 12 / 16**2, (), "right"),
    (failure_cases.cells_of_a_region, 0.5625, (), "right"),
    (failure_cases.cells_of_a_region, 144 / 64, (), "stride 8 at 128 px is 16"),
    (failure_cases.cells_of_a_region, 12 / 8, (), "areas are squares"),
    (failure_cases.cells_of_a_region, 12 / 16, (), "a region has two"),
    (failure_cases.cells_of_a_region, 144 / 16, (), "area of 256"),
    (failure_cases.cells_of_a_region, 144 / 8, (), "has two sides"),
    (failure_cases.cells_of_a_region, 144 / 32**2, (), "level 3"),
    (failure_cases.cells_of_a_region, 144, (), "divide by the pixels"),
    (failure_cases.cells_of_a_region, 4, (), "12 x 12 over that"),
    (failure_cases.cells_of_a_region, "half", (), "one number, not str"),
    (failure_cases.lower_end, ..., (), "not yet: set"),
    (failure_cases.lower_end, LOW, (), "right"),
    (failure_cases.lower_end, 0.108, (), "right"),
    (failure_cases.lower_end, 0.3 - 1.96 * (0.21 / 10) ** 0.5, (), "shifted middle"),
    (failure_cases.lower_end, HIGH, (), "the upper end"),
    (failure_cases.lower_end, (LOW + HIGH) / 2, (), "that is the middle"),
    (failure_cases.lower_end, (HIGH - LOW) / 2, (), "the half width"),
    (failure_cases.lower_end, LOW * (1 + 1.96**2 / 10), (), "divide both terms"),
    (failure_cases.lower_end, 0.3, (), "the rate itself"),
    (failure_cases.lower_end, 0.9, (), "p = 0.3, n = 10"),
    (failure_cases.missed_by_all, ..., (ALARMS, LABELS), "not yet: set"),
    (failure_cases.missed_by_all, 2 / 5, (ALARMS, LABELS), "right"),
    (failure_cases.missed_by_all, 3 / 4, (ALARMS, LABELS), "those are the normal images"),
    (failure_cases.missed_by_all, 2 / 9, (ALARMS, LABELS), "not of all"),
    (failure_cases.missed_by_all, 5 / 9, (ALARMS, LABELS), "counts normal images"),
    (failure_cases.missed_by_all, 3 / 5, (ALARMS, LABELS), "at least one"),
    (failure_cases.missed_by_all, 1 / 2, (ALARMS, LABELS), "the mean over methods"),
    (failure_cases.missed_by_all, 2, (ALARMS, LABELS), "a number of images"),
    (failure_cases.missed_by_all, 40, (ALARMS, LABELS), "not percent"),
    (failure_cases.missed_by_all, 0.9, (ALARMS, LABELS), "alarms.any(axis=0)"),
])
def test_every_answer_gets_the_verdict_that_fits(capsys, check, answer, rest, expected):
    check(answer, *rest)
    printed = capsys.readouterr().out
    assert printed.count("\n") == 1
    assert expected in printed
    assert printed.startswith("right") == (expected == "right")


@pytest.mark.parametrize(("answer", "expected"), [
    (0.0, "right: the best single method misses 0.333"),
    (1 / 3, "what the best method misses"),
    (1 / 2, "the mean over methods"),
    (1.0, "found by at least one"),
])
def test_methods_that_complete_each_other(capsys, answer, expected):
    # Of six anomalous images one method misses the first two, the other the last four.
    alarms = np.array([[0, 0, 1, 1, 1, 1, 1], [1, 1, 0, 0, 0, 0, 0]], bool)
    failure_cases.missed_by_all(answer, alarms, np.array([1, 1, 1, 1, 1, 1, 0], bool))
    assert expected in capsys.readouterr().out


@pytest.mark.parametrize(("answer", "expected"), [
    (..., "not yet: set"),
    (failure_cases.peaks_at_border, "right: of the normal test maps, a 67%, b 33% peak there, on 75% of the area"),
    (lambda level, cell: level[cell:-cell, cell:-cell].max() < level.max(), "right"),
    (lambda level, cell: np.array(min(failure_cases.to_edges(level)) // cell == 0), "right"),
    (lambda level, cell: min(failure_cases.to_edges(level)) <= cell, "smaller than"),
    (lambda level, cell: level[1:-1, 1:-1].max() < level.max(), "outermost row"),
    (lambda level, cell: level[cell:, cell:].max() < level.max(), "the top and the left"),
    (lambda level, cell: level[:-cell, :-cell].max() < level.max(), "the bottom and the right"),
    (lambda level, cell: level[cell:-cell].max() < level.max(), "top and bottom only"),
    (lambda level, cell: level[:, cell:-cell].max() < level.max(), "left and right only"),
    (lambda level, cell: max(level[cell:-cell].max(), level[:, cell:-cell].max()) < level.max(), "a corner"),
    (lambda level, cell: level[cell:-cell, cell:-cell].max() == level.max(), "the other way round"),
    (failure_cases.turned, "shape[0] limits the rows"),
    (lambda level, cell: min(failure_cases.to_edges(level)), "not the distance"),
    (lambda level, cell: True, "how far is it"),
    (lambda level, cell: level < cell, "it returns the shape (40, 32)"),
    (True, "should be a function"),
])
def test_a_rule_for_the_border(capsys, answer, expected):
    middle, edge = np.zeros((16, 16)), np.zeros((16, 16))
    middle[8, 8], edge[1, 8] = 1, 1
    levels = {"a": np.array([edge, middle, edge, middle]), "b": np.array([middle, edge, middle, edge])}
    failure_cases.at_the_border(answer, levels, np.array([False, False, False, True]), 4)
    printed = capsys.readouterr().out
    assert printed.count("\n") == 1
    assert expected in printed
    assert printed.startswith("right") == expected.startswith("right")

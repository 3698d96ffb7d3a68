import numpy as np
import pytest
from conftest import verdict
from scipy.stats import beta

from adlib.lessons.exercises import threshold_explorer as exercises
from adlib.metrics import image_threshold

LABELS = np.array([False] * 5 + [True] * 10)
SCORES = np.array([1.0, 2, 3, 4, 6, 0.5, 2.5, 3.5, 4, 5, 5.5, 5.8, 8, 9, 10])     # above 4: six of ten
DATA = (SCORES, LABELS)


@pytest.mark.parametrize(("check", "answer", "rest", "expected"), [
    (exercises.chance_of_a_false_alarm, ..., (), "not yet: set"),
    (exercises.chance_of_a_false_alarm, 1 / 13, (), "right"),
    (exercises.chance_of_a_false_alarm, 0.077, (), "right"),
    (exercises.chance_of_a_false_alarm, 0, (), "the next one may"),
    (exercises.chance_of_a_false_alarm, 1 / 12, (), "13 images in all"),
    (exercises.chance_of_a_false_alarm, 0.05, (), "12 images cannot"),
    (exercises.chance_of_a_false_alarm, 12 / 13, (), "stays below"),
    (exercises.chance_of_a_false_alarm, 0.3, (), "which of the 13"),
    (exercises.chance_of_a_false_alarm, "1/13", (), "one number, not str"),
    (exercises.cheapest_threshold, ..., (), "not yet: set"),
    (exercises.cheapest_threshold, 5, (), "right"),
    (exercises.cheapest_threshold, 4.5, (), "right"),
    (exercises.cheapest_threshold, 5.1, (), "count misses"),
    (exercises.cheapest_threshold, 2.5, (), "cost 8"),
    (exercises.cheapest_threshold, 3.5, (), "cost 7"),
    (exercises.cheapest_threshold, 6, (), "that is the cost there"),
    (exercises.cheapest_threshold, 4, (), "2 misses and a false alarm"),
    (exercises.cheapest_threshold, 9, (), "flagging nothing"),
    (exercises.cheapest_threshold, 1, (), "count misses"),
    (exercises.recall_with_one_alarm, ..., DATA, "not yet: set"),
    (exercises.recall_with_one_alarm, 0.6, DATA, "right"),
    (exercises.recall_with_one_alarm, 0.3, DATA, "without any false alarm"),
    (exercises.recall_with_one_alarm, 0.7, DATA, "stay above it"),
    (exercises.recall_with_one_alarm, 7 / 15, DATA, "anomalous ones only"),
    (exercises.recall_with_one_alarm, 0.4, DATA, "that is missed"),
    (exercises.recall_with_one_alarm, 6, DATA, "divide by"),
    (exercises.recall_with_one_alarm, 60, DATA, "not percent"),
    (exercises.recall_with_one_alarm, 0.99, DATA, "sort the normal scores"),
])
def test_a_check_knows_the_answer_and_what_went_wrong(capsys, check, answer, rest, expected):
    assert expected in verdict(capsys, check, answer, *rest)


def test_one_normal_image_may_always_alarm(capsys):
    assert "right" in verdict(capsys, exercises.recall_with_one_alarm, 1.0, np.array([9.0, 1]), np.array([False, True]))


def rule(rank, *, above=True):
    """A threshold just above the score of that rank (1 for the highest), or at it."""
    def threshold(scores, rate):
        score = sorted(scores, reverse=True)[rank(len(scores), rate) - 1]
        return np.nextafter(score, np.inf) if above else score
    return threshold


def sure(n, rate, *, share=0.9):
    """How many ranks keep their rate below the wanted one in that share of draws."""
    return sum(beta(k, n + 1 - k).ppf(share) <= rate for k in range(1, n + 1))


def surely(rank, *, above=True):
    def threshold(scores, rate):
        k = rank(len(scores), rate)
        return rule(lambda n, rate: k, above=above)(scores, rate) if k else np.inf
    return threshold


@pytest.mark.parametrize(("answer", "expected"), [
    (..., "not yet: set"),
    (surely(sure), "right"),
    (lambda scores, rate: surely(sure, above=False)(scores, rate) * (1 + 1e-6), "right"),
    (lambda scores, rate: surely(sure, above=False)(scores, rate) + 0.5, "so does a lower"),
    (surely(sure, above=False), "what ties with it is flagged"),
    (rule(lambda n, rate: max(1, sure(n, rate))), "return infinity"),
    (image_threshold, "on average"),
    (surely(lambda n, rate: sure(n, rate, share=0.5)), "five draws of ten"),
    (surely(lambda n, rate: sure(n, rate, share=0.95)), "19 draws of twenty"),
    (lambda scores, rate: max(scores) + 1e-9, "whatever n is"),
    (surely(lambda n, rate: min(1, sure(n, rate))), "the largest such k"),
    (surely(lambda n, rate: sure(n, rate) + 1), "one rank too far"),
    (lambda scores, rate: np.inf, "the largest k for which"),
    (lambda scores, rate: np.nan, "the largest k for which"),
    (lambda scores, rate: scores, "one threshold"),
    (lambda scores: 0, "it raises TypeError"),
])
def test_a_rule_for_the_threshold(capsys, answer, expected):
    found = verdict(capsys, exercises.sure_threshold, answer)
    assert expected in found
    assert found.startswith("right") == (expected == "right")

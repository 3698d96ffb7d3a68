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
    (exercises.two_false_alarms, ..., (), "not yet: set"),
    (exercises.two_false_alarms, 91, (), "right"),
    (exercises.two_false_alarms, 1 / 91, (), "right"),
    (exercises.two_false_alarms, 0.011, (), "right"),
    (exercises.two_false_alarms, 13**2, (), "not independent"),
    (exercises.two_false_alarms, 13, (), "how often one"),
    (exercises.two_false_alarms, 7, (), "at least one"),
    (exercises.two_false_alarms, 13 * 14, (), "the higher does not matter"),
    (exercises.two_false_alarms, 78, (), "14 images in all"),
    (exercises.two_false_alarms, 12**2, (), "make 13"),
    (exercises.two_false_alarms, 400, (), "no 5 %"),
    (exercises.two_false_alarms, 30, (), "which two of the 14"),
    (exercises.two_false_alarms, "1/91", (), "one number, not str"),
    (exercises.cheapest_threshold, ..., (), "not yet: set"),
    (exercises.cheapest_threshold, 5, (), "right"),
    (exercises.cheapest_threshold, 4.5, (), "right"),
    (exercises.cheapest_threshold, 5.1, (), "that of false alarms"),
    (exercises.cheapest_threshold, 2.5, (), "far rarer"),
    (exercises.cheapest_threshold, 3.5, (), "0.445"),
    (exercises.cheapest_threshold, 0.4, (), "that is the cost per part there"),
    (exercises.cheapest_threshold, 4, (), "reaches it"),
    (exercises.cheapest_threshold, 0.6, (), "flagging nothing"),
    (exercises.cheapest_threshold, 1, (), "that of false alarms"),
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


def test_two_false_alarms_and_the_cheapest_threshold_by_counting():
    scores = np.random.default_rng(0).random((200_000, 14))
    both = (scores[:, 12:] > scores[:, :12].max(axis=1, keepdims=True)).all(axis=1)
    assert both.mean() == pytest.approx(1 / 91, abs=1e-3)
    normal, anomalous = np.array([1, 2, 3, 4]), np.array([2.5, 3.5, 5])
    cost = {t: 0.6 * (anomalous < t).mean() + 0.98 * (normal >= t).mean() for t in (*normal, *anomalous, 4.5, 6)}
    assert min(cost.values()) == cost[5] == cost[4.5] == pytest.approx(0.4)
    assert cost[3.5] == pytest.approx(0.445)

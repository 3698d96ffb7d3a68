import numpy as np
import pytest

from adlib import metrics
from adlib.lessons import selection_bias


def draw(n=40, seed=0):
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % 4 > 0
    return rng.normal(labels.astype(float)), labels


def test_halves_hold_every_image_once_and_both_kinds_alike():
    labels = draw()[1]
    one, two = selection_bias.split_in_halves(labels, np.random.default_rng(0))
    assert sorted([*one, *two]) == list(range(40))
    assert labels[one].sum() == labels[two].sum() == 15


def test_a_fixed_threshold_does_not_flatter_and_a_chosen_one_does():
    scores, labels = draw()
    fixed, best = (selection_bias.split_half_evaluation(scores, labels, choose, lambda c: c.f1, draws=400, seed=0)
                   for choose in (lambda s, y: 0.5, metrics.threshold_of_best_f1))
    assert abs(np.diff(fixed.mean(axis=0))[0]) < 0.02
    assert best[:, 0].mean() > best[:, 1].mean() + 0.02
    assert best.shape == (400, 2)


def test_what_is_measured_on_the_choosing_half_is_the_best_there():
    scores, labels = draw()
    cost = lambda c: (3 * c.fn + c.fp) / 20      # noqa: E731
    choose = lambda s, y: metrics.threshold_of_least_cost(s, y, miss=3, false_alarm=1)      # noqa: E731
    found = selection_bias.split_half_evaluation(scores, labels, choose, cost, draws=5, seed=1)
    generator = np.random.default_rng(1)
    for mine, _ in found:
        half, _ = selection_bias.split_in_halves(labels, generator)
        s, y = scores[half], labels[half]
        assert mine == min((3 * (y & (s < t)).sum() + (~y & (s >= t)).sum()) / 20 for t in [*s, np.inf])


def test_the_chance_above_a_rank_is_what_drawing_says():
    rng = np.random.default_rng(0)
    drawn = rng.exponential(size=(20000, 12))
    largest = np.sort(rng.exponential(size=(20000, 11)), axis=1)
    for k in (1, 3):
        assert (drawn[:, 0] > largest[:, -k]).mean() == pytest.approx(selection_bias.chance_above(11, k), abs=0.01)


def test_what_cannot_be_split_or_ranked_is_named():
    with pytest.raises(ValueError, match="there are 3 and 1"):
        selection_bias.split_half_evaluation([1.0, 2, 3, 4], [0, 0, 0, 1], max, sum, draws=1, seed=0)
    with pytest.raises(ValueError, match="no 4-th largest of 3"):
        selection_bias.chance_above(3, 4)

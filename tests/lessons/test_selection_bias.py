import numpy as np
import pytest

from adlib import metrics
from adlib.explorer import decisions
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
                   for choose in (lambda s, y: 0.5, decisions.threshold_of_best_f1))
    assert abs(np.diff(fixed.mean(axis=0))[0]) < 0.02
    assert best[:, 0].mean() > best[:, 1].mean() + 0.02
    assert best.shape == (400, 2)


def test_what_is_measured_on_the_choosing_half_is_the_best_there():
    scores, labels = draw()
    cost = lambda c: (3 * c.fn + c.fp) / 20      # noqa: E731
    choose = lambda s, y: decisions.threshold_of_least_cost(s, y, miss=3, false_alarm=1)      # noqa: E731
    found = selection_bias.split_half_evaluation(scores, labels, choose, cost, draws=5, seed=1)
    generator = np.random.default_rng(1)
    for mine, _ in found:
        half, _ = selection_bias.split_in_halves(labels, generator)
        s, y = scores[half], labels[half]
        assert mine == min((3 * (y & (s < t)).sum() + (~y & (s >= t)).sum()) / 20 for t in [*s, np.inf])


@pytest.mark.parametrize(("n", "alpha"), [(12, 0.05), (39, 0.05), (11, 0.25)])
def test_rates_and_counts_of_alarms_are_spread_as_drawing_says(n, alpha):
    rng = np.random.default_rng(0)
    thresholds = np.array([metrics.image_threshold(scores, alpha) for scores in rng.exponential(size=(5000, n))])
    rates, expected = np.exp(-thresholds), selection_bias.alarm_rates(n, alpha)
    np.testing.assert_allclose(np.quantile(rates, [0.05, 0.5, 0.95]), expected.ppf([0.05, 0.5, 0.95]), atol=0.008)
    assert rates.mean() == pytest.approx(expected.mean(), abs=0.004)
    assert expected.mean() == pytest.approx(metrics.alarms_allowed(n, alpha) / (n + 1))
    alarms = (rng.exponential(size=(5000, 30)) >= thresholds[:, None]).sum(axis=1)
    low, high = selection_bias.alarms_expected(n, 30, alpha)
    assert (alarms < low).mean() <= 0.06
    assert (alarms > high).mean() <= 0.06
    assert (alarms > high - 1).mean() >= 0.04


def test_what_twelve_images_promise():
    low, high = selection_bias.alarm_rates(12).interval(0.9)
    assert (low, high) == pytest.approx((1 - 0.95 ** (1 / 12), 1 - 0.05 ** (1 / 12)))       # of the largest of 12


def test_what_cannot_be_split_is_named():
    with pytest.raises(ValueError, match="there are 3 and 1"):
        selection_bias.split_half_evaluation([1.0, 2, 3, 4], [0, 0, 0, 1], max, sum, draws=1, seed=0)

"""Thresholds and what they do, against scikit-learn and brute force, with and without ties."""

import numpy as np
import pytest
import torch
from sklearn.metrics import (
    confusion_matrix,
    f1_score,
    jaccard_score,
    precision_recall_curve,
    precision_score,
    recall_score,
    roc_curve,
)
from test_metrics import V1, V2, random_case, regions_of

from adlib.explorer.decisions import (
    Confusion,
    confusion,
    region_thresholds,
    threshold_at_fpr,
    threshold_at_region_recall,
    threshold_of_best_f1,
    threshold_of_least_cost,
)
from adlib.metrics import alarms_allowed, image_threshold, pixel_curves

CASES = [(0, None), (1, None), (2, 2), (3, 1)]      # seed, levels: the fewer, the more ties


def pixels(seed, levels):
    maps, masks, *_ = random_case(seed, levels=levels)
    return maps.ravel(), masks.ravel()


@pytest.mark.parametrize(("seed", "levels"), CASES)
def test_counts_and_ratios_are_scikit_learns(seed, levels):
    scores, labels = pixels(seed, levels)
    for t in np.quantile(scores, [0, 0.3, 0.9, 0.99, 1]):
        found, flagged = confusion(scores, labels, t), scores >= t
        tn, fp, fn, tp = confusion_matrix(labels, flagged).ravel()
        assert found == Confusion(tp, fp, fn, tn)
        assert [found.precision, found.recall, found.f1, found.iou, found.fpr] == pytest.approx(
            [f(labels, flagged) for f in (precision_score, recall_score, f1_score, jaccard_score)] + [fp / (fp + tn)])


def test_a_ratio_without_a_base_is_nan():
    nothing = confusion([0.1, 0.2], [False, False], 0.5)
    assert nothing == Confusion(0, 0, 0, 2)
    assert np.isnan([nothing.precision, nothing.recall, nothing.iou, nothing.f1]).all()
    assert nothing.fpr == 0
    assert np.isnan(confusion([0.1], [True], 0).fpr)


def test_a_threshold_between_two_float32_scores_is_not_rounded_onto_one_of_them():
    low = np.float32(1)
    above = np.nextafter(np.float64(low), 2)
    assert np.float32(above) == low
    assert confusion(np.array([low]), [True], above).tp == 0


@pytest.mark.parametrize(("seed", "levels"), CASES)
@pytest.mark.parametrize("share", [0, 0.01, 0.25, 1])
def test_the_threshold_at_a_false_positive_rate_is_the_lowest_that_roc_curve_allows(seed, levels, share):
    scores, labels = pixels(seed, levels)
    fpr, _, thresholds = roc_curve(labels, scores, drop_intermediate=False)
    assert threshold_at_fpr(scores, labels, share) == thresholds[fpr <= share].min()


def test_a_false_positive_rate_that_is_a_whole_number_of_normal_scores_allows_all_of_them():
    assert threshold_at_fpr(np.arange(100.0), np.zeros(100, bool), 0.29) == 71
    assert threshold_at_fpr([1.0, 1.0], [False, False], 0.5) == np.inf
    assert np.isnan(threshold_at_fpr([1.0], [True]))


@pytest.mark.parametrize(("seed", "levels"), CASES)
def test_no_threshold_has_a_better_f1(seed, levels):
    scores, labels = pixels(seed, levels)
    precision, recall, thresholds = precision_recall_curve(labels, scores)
    f1 = 2 * precision[:-1] * recall[:-1] / np.maximum(precision[:-1] + recall[:-1], 1e-12)
    best = threshold_of_best_f1(scores, labels)
    assert confusion(scores, labels, best).f1 == pytest.approx(f1.max())
    assert best == thresholds[f1 >= f1.max() - 1e-12].max()


@pytest.mark.parametrize(("seed", "levels"), CASES)
@pytest.mark.parametrize(("miss", "false_alarm"), [(1, 1), (20, 1), (1, 20), (0, 1), (1, 0)])
def test_no_threshold_costs_less(seed, levels, miss, false_alarm):
    scores, labels = pixels(seed, levels)
    candidates = np.append(np.unique(scores), np.inf)
    costs = [miss * c.fn + false_alarm * c.fp for c in (confusion(scores, labels, t) for t in candidates)]
    found = threshold_of_least_cost(scores, labels, miss=miss, false_alarm=false_alarm)
    assert found == candidates[np.flatnonzero(np.isclose(costs, min(costs)))[-1]]


def test_a_cost_must_be_a_number_that_is_not_negative():
    with pytest.raises(ValueError, match="not negative"):
        threshold_of_least_cost([1.0, 0], [True, False], miss=-1, false_alarm=1)
    assert np.isnan(threshold_of_least_cost([1.0], [True], miss=1, false_alarm=1))


def test_the_thresholds_of_regions_by_hand():
    thresholds, images = region_thresholds(*V2)
    assert thresholds.tolist() == [0.7, 0.6]        # A: the third of .9 .8 .7 .2; B: its only pixel
    assert images.tolist() == [0, 0]
    assert threshold_at_region_recall(*V1, 0.5) == 0.7
    assert threshold_at_region_recall(*V1, 0.51) == 0.6


@pytest.mark.parametrize(("seed", "levels"), CASES)
def test_a_region_is_found_up_to_its_threshold_and_no_further(seed, levels):
    maps, masks, *_ = random_case(seed, levels=levels)
    thresholds, images = region_thresholds(maps, masks)
    regions = regions_of(masks)
    assert images.tolist() == [i for i, _ in regions]
    for t, (i, region) in zip(thresholds, regions, strict=True):
        assert (maps[i][region] >= t).mean() > 0.5 >= (maps[i][region] > t).mean()
    assert np.sort(thresholds).tolist() == pixel_curves(maps, masks).instance_thresholds.tolist()
    t = threshold_at_region_recall(maps, masks, 0.8)
    assert (thresholds >= t).mean() >= 0.8 > (thresholds > t).mean()


def test_without_regions_there_is_no_threshold_for_them():
    maps, masks = np.ones((2, 3, 3)), np.zeros((2, 3, 3), bool)
    assert [x.size for x in region_thresholds(maps, masks)] == [0, 0]
    assert np.isnan(threshold_at_region_recall(maps, masks))
    with pytest.raises(ValueError, match="share of the regions"):
        threshold_at_region_recall(maps, masks, 90)


def test_shapes_that_differ_are_named():
    with pytest.raises(ValueError, match=r"scores are \(2,\) but labels are \(3,\)"):
        confusion([0, 1], [0, 1, 1], 0.5)


# Split conformal: a threshold from n normal scores and a promise for the next one.

SIZES = [(1, 0.05), (12, 0.05), (19, 0.05), (40, 0.05), (12, 0.25), (99, 0.29), (60, 0.01)]


@pytest.mark.parametrize(("n", "alpha"), SIZES)
@pytest.mark.parametrize("levels", [None, 3, 1])
def test_of_n_and_one_exchangeable_scores_no_more_alarm_than_allowed(n, alpha, levels):
    """Whichever of them is the new one: the promise, without chance."""
    rng = np.random.default_rng(n)
    scores = rng.random(n + 1) if levels is None else rng.integers(0, levels, n + 1)
    alarms = [scores[i] >= image_threshold(np.delete(scores, i), alpha) for i in range(n + 1)]
    allowed = max(1, sum(k <= alpha * (n + 1) + 1e-9 for k in range(1, n + 2)))
    assert alarms_allowed(n, alpha) == allowed
    assert sum(alarms) == allowed if levels is None else sum(alarms) <= allowed
    assert levels != 1 or not any(alarms)       # equal to all: not odd


@pytest.mark.parametrize(("n", "alpha"), SIZES)
@pytest.mark.parametrize("levels", [None, 40, 4])
def test_the_mean_rate_of_alarms_keeps_the_promise_and_does_not_waste_it(n, alpha, levels):
    """Each draw of validation scores has its own rate, known exactly; its mean over 2,000 draws is what is promised."""
    rng = np.random.default_rng(n)
    draws = rng.random((2000, n)) if levels is None else rng.integers(0, levels, (2000, n))
    thresholds = np.array([image_threshold(scores, alpha) for scores in draws])
    rates = 1 - thresholds if levels is None else (np.arange(levels) >= thresholds[:, None]).mean(axis=1)
    mean, error = rates.mean(), 4 * rates.std() / len(rates) ** 0.5 + 1e-9
    promised = alarms_allowed(n, alpha) / (n + 1)
    assert promised <= alpha * (1 + 1e-9) or (promised == 1 / (n + 1) and n < 1 / alpha - 1)
    assert mean <= promised + error
    if levels is None:
        assert mean >= promised - error
        assert mean >= alpha - 1 / (n + 1) - error


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.float16])
def test_a_score_that_ties_with_the_one_below_the_threshold_does_not_alarm_however_it_is_compared(dtype):
    scores = np.random.default_rng(0).random(12).astype(dtype)
    highest, t = scores.max(), image_threshold(scores)
    assert t > highest
    for flagged in (scores >= t, scores >= np.float64(t), torch.from_numpy(scores) >= t):
        assert not flagged.any()
    assert not float(highest) >= t
    assert confusion(scores, np.zeros(12, bool), t) == Confusion(0, 0, 0, 12)
    assert np.nextafter(highest, dtype(2)) >= t
    assert image_threshold(torch.from_numpy(scores)) == t


def test_tensors_do():
    assert confusion(torch.tensor([0.1, 0.9]), torch.tensor([False, True]), 0.5) == Confusion(1, 0, 0, 1)

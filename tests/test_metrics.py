"""The six numbers against hand-worked cases, scikit-learn and brute force, then what must hold for any maps."""

import json
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from skimage.measure import label
from sklearn.metrics import average_precision_score, roc_auc_score

from adlib import metrics
from adlib.metrics import evaluate, pixel_curves

NAMES = ["image_auroc", "pixel_auroc", "pixel_ap", "pro", "iap", "iap90"]
PIXEL_NAMES = NAMES[1:]
CASES = json.loads((Path(__file__).parent / "metrics_cases.json").read_text())["cases"]


def close(value):
    return pytest.approx(value, abs=1e-9, nan_ok=True)


def grid(text: str) -> np.ndarray:
    """One 4 x 4 map: "1 1 0 0 | 0 0 0 0 | ..." -> (1, 4, 4)."""
    return np.array([[float(x) for x in row.split()] for row in text.split("|")])[None]


NONE = " | 0 0 0 0"
V1 = (grid(".9 .8 .3 .1 | .7 .2 .1 .1 | .4 .1 .1 .1 | .1 .1 .1 .6"), grid("1 1 0 0 | 1 1 0 0 | 0 0 0 0 | 0 0 0 1"))
GOOD = np.full((1, 4, 4), 0.05)
GOOD[0, 0, 0] = 0.85
V2 = (np.concatenate((V1[0], GOOD)), np.concatenate((V1[1], np.zeros((1, 4, 4)))))
V3 = (grid(".8 .5 .6 .1 | .1 .1 .1 .1 | .1 .1 .1 .1 | .1 .1 .5 .9"), grid(f"1 1 0 0{NONE}{NONE} | 0 0 1 1"))
V4 = (grid(".9 .1 .1 .1 | .1 .2 .3 .1 | .1 .5 .1 .1 | .1 .1 .1 .1"), grid(f"1 0 0 0 | 0 1 1 0{NONE}{NONE}"))
V5 = (grid(f".9 .8 .5 0{NONE}{NONE}{NONE}"), grid(f"1 1 0 0{NONE}{NONE} | 0 0 0 1"))
V6 = (V5[0] + 0.01, V5[1])
V7 = (np.full((1, 4, 4), 0.3), V1[1])
PERFECT, INVERTED = (V1[1], V1[1]), (1 - V1[1], V1[1])


def random_case(seed, n=6, size=12, levels=None, blobs=3, gap=0.5):
    """Maps that see their masks a little; with `levels` they are rounded, so that most scores are tied."""
    rng = np.random.default_rng(seed)
    maps, masks = rng.standard_normal((n, size, size)), np.zeros((n, size, size), bool)
    for i in range(0, n, 2):                       # every other image is good
        for _ in range(blobs):
            y, x = rng.integers(0, size - 4, 2)
            masks[i, y:y + rng.integers(1, 4), x:x + rng.integers(1, 4)] = True
    maps += gap * masks
    maps = np.round(maps * levels) / levels if levels else maps
    return maps, masks, maps.max(axis=(1, 2)), masks.any(axis=(1, 2))


def regions_of(masks, connectivity=8):
    """(image, (H, W) bool) of each region, by scikit-image."""
    found = [(i, label(mask, connectivity=connectivity // 4)) for i, mask in enumerate(np.asarray(masks, bool))]
    return [(i, part == k) for i, part in found for k in range(1, part.max() + 1)]


def brute_pro(maps, masks, limit=0.3, connectivity=8):
    """One threshold after the other over all distinct scores, then slice by slice up to the limit."""
    regions, masks = regions_of(masks, connectivity), np.asarray(masks, bool)
    points = [(0.0, 0.0)]
    for t in sorted(set(maps.ravel()), reverse=True):
        points.append((np.mean(maps[~masks] >= t), np.mean([np.mean(maps[i][r] >= t) for i, r in regions])))
    area = 0.0
    for (x0, y0), (x1, y1) in pairwise(points):
        end = min(x1, limit)
        if x0 < end:
            y_end = y0 + (y1 - y0) * (end - x0) / (x1 - x0)
            area += (end - x0) * (y0 + y_end) / 2
    return area / limit


def brute_iap(maps, masks, k=None, connectivity=8):
    """Straight from the definition: recall and precision at each instance's own threshold."""
    regions, masks = regions_of(masks, connectivity), np.asarray(masks, bool)

    def found(i, region, t):
        return (maps[i][region] >= t).sum() * 2 > region.sum()

    points = []
    for i, region in regions:
        t = max(t for t in maps[i][region] if found(i, region, t))
        precision = masks[maps >= t].mean()
        points.append((sum(found(*other, t) for other in regions) / len(regions), precision))
    # at each recall, the best precision at this recall or a higher one
    best = [max(p for recall, p in points if recall >= (j + 1) / len(regions) - 1e-12) for j in range(len(regions))]
    return np.mean(best) if k is None else best[-(-k * len(regions) // 100) - 1]


# --- hand-worked and published vectors ------------------------------------------------------------------------------

@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_reference_case(case):
    found = evaluate(np.array(case["maps"]), np.array(case["masks"]), case["image_scores"], case["image_labels"])
    assert list(found) == NAMES
    expected = {name: np.nan if value is None else value for name, value in case["expected"].items()}
    assert found == {name: close(expected[name]) for name in NAMES}


@pytest.mark.parametrize(("maps_and_masks", "auroc", "ap", "pro", "iap", "iap90"), [
    (V1, 53 / 55, (4 + 5 / 7) / 5, 0.9242424242424242, 1, 1),
    (V2, 0.9555555555555556, 0.7683333333333333, 31 / 36, 0.8, 0.8),
    (V3, 0.9583333333333334, 0.9, 31 / 36, 0.8, 0.8),
    (V4, 0.9487179487179487, 0.8055555555555556, 0.829059829059829, 2 / 3, 2 / 3),
    (V5, 0.8205128205128205, 0.7291666666666666, 0.5449252136752137, 0.59375, 3 / 16),
    (V6, 0.8205128205128205, 0.7291666666666666, 0.5449252136752137, 0.59375, 3 / 16),
    (V7, 0.5, 5 / 16, 0.15, 5 / 16, 5 / 16),
    (PERFECT, 1, 1, 1, 1, 1),
    (INVERTED, 0, 5 / 16, 0, 5 / 16, 5 / 16),
], ids=["V1", "V2", "V3", "V4", "V5", "V6", "V7", "perfect", "inverted"])
def test_vectors(maps_and_masks, auroc, ap, pro, iap, iap90):
    maps, masks = maps_and_masks
    found = evaluate(maps, masks, maps.max(axis=(1, 2)), masks.any(axis=(1, 2)))
    assert [found[name] for name in PIXEL_NAMES] == [close(x) for x in (auroc, ap, pro, iap, iap90)]


def test_vectors_other_parameters():
    assert metrics.pro(*V1, limit=1) == close(0.9772727272727273)
    assert metrics.pro(*V2, limit=1) == close(0.9583333333333334)
    assert metrics.pro(*V5, limit=1) == close(0.7307692307692307)
    assert pixel_curves(*V2).iap_at(50) == close(0.8)
    assert pixel_curves(*V5).iap_at(50) == close(1)
    assert evaluate(*V2, [0.9, 0.85], [True, False])["image_auroc"] == 1


def test_four_connectivity():
    assert metrics.pro(*V4, connectivity=4) == close(0.8717948717948718)
    assert metrics.iap(*V4, connectivity=4) == close(0.875)
    assert pixel_curves(*V4, connectivity=4).iap_at(50) == close(1)
    assert pixel_curves(*V4, connectivity=4).iap_at(90) == close(0.75)


def test_iap_envelope():
    curves = pixel_curves(*V2)
    assert curves.instance_thresholds == close(np.array([0.6, 0.7]))
    assert curves.instance_recall == close(np.array([1, 0.5]))
    assert curves.instance_precision == close(np.array([0.8, 0.75]))
    assert curves.instance_envelope == close(np.array([0.8, 0.8]))


def test_ties_by_hand():
    scores, labels = [0.5, 0.5, 0.5, 0.1], [True, False, True, False]
    assert metrics.average_precision(scores, labels) == close(2 / 3)
    assert metrics.auroc(scores, labels) == close(0.75)


def test_pro_of_a_straight_curve():
    """Overlap rises with the FPR: the area up to 1/3 is half of 1/3, over 1/3."""
    maps, masks = np.arange(2800).reshape(1, 400, 7) / 2800, np.zeros((1, 400, 7), bool)
    masks[:, :, 3] = True
    assert metrics.pro(maps, masks, limit=1 / 3) == pytest.approx(1 / 6, abs=1e-5)


# --- oracles --------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("levels", [1, 3, None])
@pytest.mark.parametrize("seed", range(5))
def test_scikit_learn(seed, levels):
    maps, masks, scores, labels = random_case(seed, n=10, levels=levels)
    labels[1] = True                               # its mask is empty: the label counts
    found = evaluate(maps, masks, scores, labels)
    assert found["image_auroc"] == close(roc_auc_score(labels, scores))
    assert found["pixel_auroc"] == close(roc_auc_score(masks.ravel(), maps.ravel()))
    assert found["pixel_ap"] == close(average_precision_score(masks.ravel(), maps.ravel()))
    assert metrics.auroc(maps, masks) == close(found["pixel_auroc"])
    assert metrics.average_precision(maps, masks) == close(found["pixel_ap"])


@pytest.mark.parametrize("levels", [50, None])
def test_many_pixels_are_sorted_in_shares(levels):
    maps, masks, scores, labels = random_case(0, n=20, size=256, levels=levels)
    assert (~masks).sum() > 1e6
    found = evaluate(maps, masks, scores, labels)
    assert found["pixel_auroc"] == close(roc_auc_score(masks.ravel(), maps.ravel()))
    assert found["pixel_ap"] == close(average_precision_score(masks.ravel(), maps.ravel()))
    order = np.random.default_rng(1).permutation(len(maps))      # other shares
    assert found == {k: close(v) for k, v in evaluate(maps[order], masks[order], scores[order], labels[order]).items()}


@pytest.mark.parametrize("connectivity", [4, 8])
@pytest.mark.parametrize("levels", [1, 4, None])
@pytest.mark.parametrize("seed", range(6))
def test_brute_force(seed, levels, connectivity):
    maps, masks, *_ = random_case(seed, n=4, size=9, levels=levels, gap=[0.5, 2][seed % 2])
    curves = pixel_curves(maps, masks, connectivity=connectivity)
    for limit in (0.05, 0.3, 1):
        assert curves.pro_area(limit) == close(brute_pro(maps, masks, limit, connectivity))
    assert curves.iap() == close(brute_iap(maps, masks, connectivity=connectivity))
    for k in (1, 50, 70, 90, 100):
        assert curves.iap_at(k) == close(brute_iap(maps, masks, k, connectivity))


@pytest.mark.parametrize("levels", [2, None])
def test_curve_points(levels):
    maps, masks, *_ = random_case(3, levels=levels)
    curves = pixel_curves(maps, masks)
    regions = regions_of(masks)
    assert (np.diff(curves.thresholds) < 0).all()
    for i in range(0, len(curves.thresholds), 5):
        for point, positive in ((1 + 2 * i, maps > curves.thresholds[i]), (2 + 2 * i, maps >= curves.thresholds[i])):
            assert curves.fpr[point] == close(positive[~masks].mean())
            assert curves.tpr[point] == close(positive[masks].mean())
            assert curves.pro[point] == close(np.mean([positive[j][region].mean() for j, region in regions]))
        assert curves.recall[i] == close(positive[masks].mean())
        assert curves.precision[i] == close(masks[positive].mean())
    for curve in (curves.fpr, curves.tpr, curves.pro):
        assert len(curve) == 2 * len(curves.thresholds) + 2
        assert curve[0] == 0
        assert curve[-1] == 1
        assert (np.diff(curve) >= -1e-12).all()


def test_label_regions():
    masks = np.zeros((3, 4, 4), bool)
    masks[0, 0, 0] = masks[0, 1, 1] = masks[0, 3, 3] = masks[2, 0, 0] = masks[2, 0, 1] = True
    eight = metrics.label_regions(masks)
    assert eight[masks].tolist() == [1, 1, 2, 3, 3]
    assert not eight[~masks].any()
    assert metrics.label_regions(masks, 4)[masks].tolist() == [1, 2, 3, 4, 4]
    with pytest.raises(ValueError, match="4 or 8"):
        metrics.label_regions(masks, 1)


# --- properties -----------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("change", [np.exp, lambda x: 3 * x - 7, np.cbrt, lambda x: -1 / (x + 20)])
def test_monotone_transforms_change_nothing(change):
    maps, masks, scores, labels = random_case(1, levels=5)
    assert evaluate(change(maps), masks, change(scores), labels) == close(evaluate(maps, masks, scores, labels))


def test_order_of_images_changes_nothing():
    maps, masks, scores, labels = case = random_case(2, n=8, levels=5)
    order = np.random.default_rng(0).permutation(8)
    assert evaluate(*(x[order] for x in case)) == close(evaluate(maps, masks, scores, labels))


def test_random_maps():
    maps, masks, scores, labels = random_case(0, n=60, size=64, gap=0)
    found = evaluate(maps, masks, scores, labels)
    assert found["pro"] == pytest.approx(0.15, abs=0.02)
    assert found["pixel_auroc"] == pytest.approx(0.5, abs=0.02)
    assert found["pixel_ap"] == pytest.approx(masks.mean(), abs=0.01)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.int16])
def test_dtypes_are_ranked_exactly(dtype):
    maps, masks, scores, labels = random_case(4)
    maps, scores = (np.round(x * 9).astype(dtype) for x in (maps, scores))
    assert evaluate(maps, masks, scores, labels) == evaluate(maps.astype(float), masks, scores.astype(float), labels)


def test_tensors_and_integer_masks():
    maps, masks, scores, labels = case = random_case(5)
    assert evaluate(*(torch.from_numpy(x) for x in case)) == evaluate(*case)
    assert evaluate(maps, masks.astype(np.uint8), list(scores), labels.astype(int)) == evaluate(*case)


def test_inputs_stay_as_they_are():
    case = random_case(6)
    before = [x.copy() for x in case]
    evaluate(*case)
    assert all((x == y).all() for x, y in zip(case, before, strict=True))


# --- where numbers are undefined ------------------------------------------------------------------------------------

@pytest.mark.parametrize("fill", [True, False, None])
def test_undefined_pixel_numbers(fill):
    """Everything anomalous, everything normal, no ground truth."""
    maps, masks, scores, labels = random_case(0)
    masks = None if fill is None else np.full_like(masks, fill)
    found = evaluate(maps, masks, scores, labels)
    assert found["image_auroc"] == close(roc_auc_score(labels, scores))
    assert np.isnan([found[name] for name in PIXEL_NAMES]).all()


@pytest.mark.parametrize("everything", [True, False])
def test_undefined_image_number(everything):
    maps, masks, scores, labels = random_case(0)
    found = evaluate(maps, masks, scores, np.full_like(labels, everything))
    assert np.isnan(found["image_auroc"])
    assert np.isfinite([found[name] for name in PIXEL_NAMES]).all()
    assert np.isnan(metrics.average_precision(scores, np.full_like(labels, everything)))


def test_no_images():
    found = evaluate(np.empty((0, 4, 4)), np.empty((0, 4, 4), bool), [], np.empty(0, bool))
    assert np.isnan(list(found.values())).all()


def test_single_image_and_single_pixel():
    maps, masks = np.arange(16.0).reshape(1, 4, 4), np.zeros((1, 4, 4), bool)
    masks[0, 3, 0] = True                          # score 12: three of 15 normal pixels lie above it
    found = evaluate(maps, masks, [1.0], [True])
    assert np.isnan(found["image_auroc"])
    assert [found[name] for name in PIXEL_NAMES] == [close(x) for x in (0.8, 0.25, (0.3 - 0.2) / 0.3, 0.25, 0.25)]
    assert np.isnan(list(evaluate(maps[:, :1, :1], masks[:, :1, :1], [1.0], [False]).values())).all()


# --- errors ---------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_score_that_is_not_finite_names_its_image(bad):
    maps, masks, scores, labels = random_case(0)
    maps[3, 2, 5] = bad
    with pytest.raises(ValueError, match="image 3: its map"):
        evaluate(maps, masks, scores, labels)
    with pytest.raises(ValueError, match="image 3: its map"):
        metrics.pro(maps, masks)
    with pytest.raises(ValueError, match="image 3: its map"):
        evaluate(maps, None, scores, labels)
    scores[4] = bad
    with pytest.raises(ValueError, match="image 4: its score"):
        evaluate(random_case(0)[0], masks, scores, labels)


def test_shapes_and_values_are_checked():
    maps, masks, scores, labels = random_case(0)
    with pytest.raises(ValueError, match=r"\(6, 12, 12\) but masks are \(6, 12, 11\)"):
        evaluate(maps, masks[..., :-1], scores, labels)
    with pytest.raises(ValueError, match=r"image_scores is \(5,\)"):
        evaluate(maps, masks, scores[:-1], labels)
    with pytest.raises(ValueError, match=r"image_labels is \(5,\)"):
        evaluate(maps, None, scores, labels[:-1])
    with pytest.raises(ValueError, match=r"must be \(N, H, W\)"):
        evaluate(maps[:, None], masks[:, None], scores, labels)
    with pytest.raises(ValueError, match="masks have values besides 0 and 1"):
        evaluate(maps, masks * 255, scores, labels)
    with pytest.raises(ValueError, match=r"scores are \(6,\) but labels are \(5,\)"):
        metrics.auroc(scores, labels[:-1])
    with pytest.raises(ValueError, match="need masks"):
        metrics.pro(maps, None)
    for limit in (0, 1.1):
        with pytest.raises(ValueError, match="the limit"):
            metrics.pro(maps, masks, limit)
    for k in (0, 101, 0.9):
        with pytest.raises(ValueError, match="percentage"):
            pixel_curves(maps, masks).iap_at(k)


def test_thresholds():
    scores = np.random.default_rng(0).permutation(10001)
    assert metrics.image_threshold(scores) == np.nextafter(9501, np.inf)       # 500 of 10,002 may reach it
    assert metrics.pixel_threshold(scores.reshape(73, 1, 137)) == close(9990)
    for bad in ([], [1.0, np.nan]):
        for threshold in (metrics.image_threshold, metrics.pixel_threshold):
            with pytest.raises(ValueError, match="finite"):
                threshold(bad)

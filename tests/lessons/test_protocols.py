"""The PRO codes against slow versions written from their descriptions, mask rules against worked vectors."""

import numpy as np
import pytest
from skimage.measure import label
from sklearn.metrics import auc, roc_curve

from adlib import metrics
from adlib.lessons import protocols

TWO_MAPS = np.full((2, 4, 4), 0.05)
TWO_MAPS[0] = [[0.9, 0.8, 0.3, 0.1], [0.7, 0.2, 0.1, 0.1], [0.4, 0.1, 0.1, 0.1], [0.1, 0.1, 0.1, 0.6]]
TWO_MAPS[1, 0, 0] = 0.85
TWO_MASKS = np.zeros((2, 4, 4), bool)
TWO_MASKS[0, :2, :2] = TWO_MASKS[0, 3, 3] = True


def random_case(seed, n=5, size=16, levels=None):
    rng = np.random.default_rng(seed)
    maps, masks = rng.standard_normal((n, size, size)), np.zeros((n, size, size), bool)
    for i in range(0, n, 2):
        for _ in range(3):
            y, x = rng.integers(0, size - 4, 2)
            masks[i, y:y + rng.integers(1, 5), x:x + rng.integers(1, 5)] = True
    maps += 1.5 * masks
    return np.round(maps * levels) / levels if levels else maps, masks


def regions_of(masks):
    found = [(i, label(mask, connectivity=2)) for i, mask in enumerate(masks)]
    return [(i, part == k) for i, part in found for k in range(1, part.max() + 1)]


def sampled(maps, masks, thresholds):
    regions = regions_of(masks)
    return np.array([((maps > t)[~masks].mean(), np.mean([(maps[i] > t)[r].mean() for i, r in regions]))
                     for t in thresholds]).T


def slow_stfpm(maps, masks):
    step = (maps.max() - maps.min()) / 4000
    fpr, overlap = sampled(maps, masks, [maps.max() - i * step for i in range(4000)])
    fpr, overlap = fpr[fpr <= 0.3], overlap[fpr <= 0.3]
    return auc((fpr - fpr.min()) / np.ptp(fpr), (overlap - overlap.min()) / np.ptp(overlap))


def slow_rd4ad(maps, masks):
    areas = []
    for x, mask in zip(maps, masks, strict=True):
        if mask.any():
            step = (x.max() - x.min()) / 200
            fpr, overlap = sampled(x[None], mask[None], [x.min() + i * step for i in range(200)])
            fpr, overlap = fpr[fpr < 0.3], overlap[fpr < 0.3]
            areas.append(auc(fpr / fpr.max(), overlap))
    return np.mean(areas)


def slow_destseg(maps, masks):
    fpr, _, _ = roc_curve(masks.ravel(), maps.ravel(), drop_intermediate=False)
    samples, curves = (fpr <= 0.3).sum(), []
    for i, region in regions_of(masks):
        scores = np.concatenate((maps[~masks], maps[i][region]))
        fpr, tpr, _ = roc_curve(np.arange(len(scores)) >= (~masks).sum(), scores, drop_intermediate=False)
        last = (fpr <= 0.3).sum()                                   # the next point
        index = np.arange(last + 1) / last * (samples - 1)
        at = np.arange(samples, dtype=float)
        at[-1] = index[-2] + (index[-1] - index[-2]) * (0.3 - fpr[last - 1]) / (fpr[last] - fpr[last - 1])
        curves.append([np.interp(at, index, x[:last + 1]) for x in (fpr, tpr)])
    fpr, tpr = np.mean(curves, axis=0)
    order = np.argsort(fpr, kind="stable")
    return np.trapezoid(tpr[order], fpr[order]) / fpr[-1]


@pytest.mark.parametrize(("code", "value"), [("MVTec", 31 / 36), ("DeSTSeg", 0.8491), ("STFPM", 0.625),
                                             ("RD4AD", 0.875)])
def test_four_codes_on_one_case(code, value):
    assert protocols.PRO_CODES[code](TWO_MAPS, TWO_MASKS) == pytest.approx(value, abs=5e-5)


@pytest.mark.parametrize("levels", [3, None])
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(("fast", "slow"), [(protocols.pro_stfpm, slow_stfpm), (protocols.pro_rd4ad, slow_rd4ad),
                                            (protocols.pro_destseg, slow_destseg)])
def test_codes_follow_their_descriptions(fast, slow, seed, levels):
    maps, masks = random_case(seed, levels=levels)
    if levels:                                     # keep sampled thresholds off the scores: rounding would decide
        maps += np.where(maps == maps.max(axis=(1, 2), keepdims=True), 0.0123, 0)
    assert fast(maps, masks) == pytest.approx(slow(maps, masks), abs=1e-9)


def test_stfpm_thresholds_are_coarser_than_scores():
    maps, masks = random_case(0, size=40)
    assert protocols.pro_stfpm(maps, masks) == pytest.approx(slow_stfpm(maps, masks), abs=1e-9)


@pytest.mark.parametrize("seed", range(8))
def test_destseg_samples_out_of_order(seed):
    """Few normal pixels: the sample at the limit lies before its neighbours."""
    rng = np.random.default_rng(seed)
    maps, masks = rng.random((1, 6, 6)), rng.random((1, 6, 6)) < 0.4
    assert protocols.pro_destseg(maps, masks) == pytest.approx(slow_destseg(maps, masks), abs=1e-9)


@pytest.mark.parametrize("code", protocols.PRO_CODES.values())
@pytest.mark.parametrize("masks", [np.zeros((2, 4, 4), bool), np.ones((2, 4, 4), bool)])
def test_undefined_is_nan(code, masks):
    assert np.isnan(code(TWO_MAPS, masks))


@pytest.mark.parametrize("code", [protocols.pro_stfpm, protocols.pro_rd4ad, protocols.pro_destseg])
def test_a_constant_map_has_no_curve_to_rescale(code):
    assert np.isnan(code(np.ones((2, 4, 4)), TWO_MASKS))


EIGHT = np.zeros((1, 8, 8), bool)
EIGHT[0, :5, :5] = True


@pytest.mark.parametrize(("rule", "rows"), [("round", ["1110", "1110", "1100", "0000"]),
                                            ("ceil", ["1110", "1110", "1110", "0000"]),
                                            ("floor", ["1100", "1100", "0000", "0000"])])
def test_mask_rules(rule, rows):
    expected = np.array([[c == "1" for c in row] for row in rows])
    assert (protocols.round_masks(EIGHT, 4, rule)[0] == expected).all()


def test_antialiasing_decides_near_one_half():
    column = np.zeros((1, 4, 4), bool)
    column[0, :, 0] = True
    assert protocols.shrink_maps(column, 2)[0, 0, 0] == pytest.approx(3 / 7)
    assert not protocols.round_masks(column, 2).any()


def test_nearest_takes_one_pixel_of_each_block():
    masks = np.zeros((1, 256, 256), bool)
    masks[0, 2::4, 2::4] = True
    assert protocols.round_masks(masks, 64, "nearest").all()
    assert not protocols.round_masks(~masks, 64, "nearest").any()
    assert protocols.round_masks(masks, 64, "ceil").all()
    assert not protocols.round_masks(masks, 64, "floor").any()
    with pytest.raises(ValueError, match="round, ceil, floor, nearest"):
        protocols.round_masks(masks, 64, "up")


def test_thin_lines_vanish():
    """At a reduction by four, lines of 1 or 2 pixels vanish at every offset, 3 at half of them, 4 at none."""
    survived = {}
    for width in (1, 2, 3, 4):
        masks = np.zeros((4, 256, 256), bool)
        for offset in range(4):
            masks[offset, :, 100 + offset:100 + offset + width] = True
        survived[width] = int(protocols.round_masks(masks).any(axis=(1, 2)).sum())
    assert survived == {1: 0, 2: 0, 3: 2, 4: 4}


def test_a_single_pixel_reaches_four_small_ones():
    masks = np.zeros((1, 256, 256), bool)
    masks[0, 130, 130] = True
    assert protocols.round_masks(masks, 64, "ceil").sum() == 4
    assert (~protocols.round_masks(~masks, 64, "floor")).sum() == 4


def test_rules_are_nested():
    masks = np.random.default_rng(0).random((2, 64, 64)) < 0.8
    floor, half, ceil = (protocols.round_masks(masks, 32, rule) for rule in ("floor", "round", "ceil"))
    assert (floor <= half).all()
    assert (half <= ceil).all()
    assert floor.sum() < half.sum() < ceil.sum()


def test_centre_crop():
    x = np.arange(256 * 256).reshape(1, 256, 256)
    assert (protocols.centre_crop(x) == x[:, 16:240, 16:240]).all()
    assert protocols.centre_crop(x, share=1).shape == x.shape


def test_compare_protocols():
    maps, masks = random_case(0, n=6, size=256)
    masks[2, 100:140, 60:110] = True                               # large enough for 64 pixels
    masks[0, 10, 10:12] = masks[0, 11, 12] = True                  # two parts that touch at a corner
    scores, labels = maps.max(axis=(1, 2)), masks.any(axis=(1, 2))
    rows = protocols.compare_protocols(maps, masks, scores, labels)
    found = {(row["what"], row["variant"], row["metric"]): (row["value"], row["difference"]) for row in rows}
    assert len(found) == len(rows) == 6 + 4 + 4 * 4 + 2 * 2 + 4
    ours = metrics.evaluate(maps, masks, scores, labels)
    for name, value in ours.items():
        assert found["ours", "ours", name] == (value, 0)
    assert found["PRO code", "MVTec", "pro"] == (ours["pro"], 0)
    value = protocols.pro_stfpm(maps, masks)
    assert found["PRO code", "STFPM", "pro"] == (value, value - ours["pro"])
    value = metrics.iap(maps, masks, connectivity=4)
    assert found["connectivity", "4", "iap"] == (value, value - ours["iap"])
    assert value != ours["iap"]
    value = metrics.pro(maps[:, 16:240, 16:240], masks[:, 16:240, 16:240])
    assert found["centre crop", "7/8", "pro"] == (value, value - ours["pro"])
    small = protocols.shrink_maps(maps)
    half, ceil = (metrics.iap(small, protocols.round_masks(masks, rule=rule)) for rule in ("round", "ceil"))
    assert found["mask at 64 px", "round", "iap"] == (half, 0)
    assert found["mask at 64 px", "ceil", "iap"] == (ceil, ceil - half)


def test_number_dots_leave_no_row_out():
    from adlib.lessons.plots import data_and_metrics as plots

    rows = {f"way {k}": {"pixel_ap": k / 10} for k in range(8)}
    ax, = plots.number_dots(rows).axes
    assert [text.get_text() for text in ax.get_legend().get_texts()] == list(rows)
    with pytest.raises(ValueError, match="zip"):
        plots.number_dots(rows | {"one more": {"pixel_ap": 1.0}})

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from conftest import verdict

from adlib import metrics
from adlib.lessons.exercises import data_and_metrics, destseg, stfpm
from adlib.networks.layers import upsample
from adlib.networks.stfpm import STFPM
from adlib.networks.teacher import Teacher

LABELS = np.array([False] * 8 + [True] * 4)
NORMAL = np.arange(40.0)        # highest 39; section 4's threshold lies just above 38, the 95 % quantile at 37.05
ALARMS = NORMAL, np.array([1.0, 5, 20, 30, 35, 37.5, 38.5, 45, 39, 60, 50, 70]), LABELS
MASK = np.pad(np.ones((2, 2), bool), ((4, 26), (4, 26)))


@pytest.mark.parametrize(("check", "answer", "rest", "expected"), [
    (data_and_metrics.auroc_by_counting, ..., (), "not yet: set"),
    (data_and_metrics.auroc_by_counting, 5 / 6, (), "right"),
    (data_and_metrics.auroc_by_counting, 0.8333, (), "right"),
    (data_and_metrics.auroc_by_counting, 4 / 6, (), "counts one half"),
    (data_and_metrics.auroc_by_counting, 1, (), "a tie is not a win"),
    (data_and_metrics.auroc_by_counting, 1 / 6, (), "turn it around"),
    (data_and_metrics.auroc_by_counting, 0.83, (), "three decimals"),
    (data_and_metrics.auroc_by_counting, 0.67, (), "counts one half"),
    (data_and_metrics.auroc_by_counting, 2.5, (), "number of pairs, 3 x 2"),
    (data_and_metrics.auroc_by_counting, 0.42, (), "write down the 3 x 2 pairs"),
    (data_and_metrics.auroc_by_counting, "five sixths", (), "one number, not str"),
    (data_and_metrics.auroc_by_counting, np.float32(5 / 6), (), "right"),
    (data_and_metrics.auroc_by_counting, float("nan"), (), "write down"),
    (data_and_metrics.alarms_above_all, ..., ALARMS, "not yet: set"),
    (data_and_metrics.alarms_above_all, (1 / 8, 3 / 4), ALARMS, "right"),       # above 39: 45; 60, 50, 70
    (data_and_metrics.alarms_above_all, [0.125, 0.75], ALARMS, "right"),
    (data_and_metrics.alarms_above_all, torch.tensor([0.125, 0.75]), ALARMS, "right"),
    (data_and_metrics.alarms_above_all, (torch.tensor(0.125), np.float32(0.75)), ALARMS, "right"),
    (data_and_metrics.alarms_above_all, 0.125, ALARMS, "both numbers"),
    (data_and_metrics.alarms_above_all, (0.125, "most"), ALARMS, "both numbers"),
    (data_and_metrics.alarms_above_all, (3 / 4, 1 / 8), ALARMS, "the other way round"),
    (data_and_metrics.alarms_above_all, (1, 3), ALARMS, "numbers of images"),
    (data_and_metrics.alarms_above_all, (12.5, 75), ALARMS, "not percent"),
    (data_and_metrics.alarms_above_all, (7 / 8, 1 / 4), ALARMS, "that pass"),
    (data_and_metrics.alarms_above_all, (1 / 4, 3 / 4), ALARMS, "of the flagged images"),
    (data_and_metrics.alarms_above_all, (1 / 12, 3 / 12), ALARMS, "of all images"),
    (data_and_metrics.alarms_above_all, (0, 3 / 4), ALARMS, "from the test images themselves"),
    (data_and_metrics.alarms_above_all, (2 / 8, 1.0), ALARMS, "section 4's threshold"),
    (data_and_metrics.alarms_above_all, (3 / 8, 1.0), ALARMS, "95 % quantile"),
    (data_and_metrics.alarms_above_all, (0.6, 0.6), ALARMS, "validation_scores.max()"),
    (stfpm.effective_learning_rate, ..., (), "not yet: set"),
    (stfpm.effective_learning_rate, 0.8, (), "right"),
    (stfpm.effective_learning_rate, 0.4, (), "the loss it is applied to"),
    (stfpm.effective_learning_rate, 0.2, (), "the other way round"),
    (stfpm.effective_learning_rate, 3, (), "write down one SGD step"),
    (destseg.target_of_a_scratch, ..., (), "not yet: set"),
    (destseg.target_of_a_scratch, 5, (), "right"),
    (destseg.target_of_a_scratch, 10, (), "two inner rows"),
    (destseg.target_of_a_scratch, 2.5, (), "the scratch's area"),
    (destseg.target_of_a_scratch, 0, (), "only the central 2 x 2"),
    (destseg.target_of_a_scratch, 40, (), "pixels of the mask"),
    (destseg.target_of_a_scratch, 20, (), "divide by four"),
    (destseg.target_of_a_scratch, 7.5, (), "three rows of four"),
    (destseg.target_of_a_scratch, 3, (), "count the cells"),
    (destseg.learning_rate_of_a_small_batch, ..., (), "not yet: set"),
    (destseg.learning_rate_of_a_small_batch, 0.4 * 32 / 8, (), "right"),
    (destseg.learning_rate_of_a_small_batch, 0.4, (), "so does the step"),
    (destseg.learning_rate_of_a_small_batch, 0.1, (), "the other way round"),
    (destseg.learning_rate_of_a_small_batch, 12.8, (), "still a sum, over 8"),
    (destseg.learning_rate_of_a_small_batch, 3.2, (), "the official code's amounts to 12.8"),
    (destseg.learning_rate_of_a_small_batch, 0.8, (), "a square root"),
    (destseg.learning_rate_of_a_small_batch, 2, (), "write a sum over B images"),
    (data_and_metrics.high_auroc_low_ap, ..., (MASK,), "not yet: set"),
    (data_and_metrics.high_auroc_low_ap, np.zeros((4, 4)), (MASK,), "finite array of shape (32, 32), this is (4, 4)"),
    (data_and_metrics.high_auroc_low_ap, "high", (MASK,), "an array of numbers"),
    (data_and_metrics.high_auroc_low_ap, MASK.astype(float), (MASK,), "let more normal pixels"),
    (data_and_metrics.high_auroc_low_ap, -MASK.astype(float), (MASK,), "nine tenths of the normal pixels"),
    (data_and_metrics.high_auroc_low_ap, np.zeros((32, 32)), (MASK,), "nine tenths of the normal pixels"),
])
def test_every_answer_gets_the_verdict_that_fits(capsys, check, answer, rest, expected):
    found = verdict(capsys, check, answer, *rest)
    assert expected in found
    assert found.startswith("right") == (expected == "right")


def test_the_map_of_the_solution_is_accepted(capsys):
    answer = np.where(MASK, 0.5, 0.0)
    answer[20, :30] = 1.0
    assert verdict(capsys, data_and_metrics.high_auroc_low_ap, answer, MASK).startswith("right")


def steps_of_equal_scores(scores, mask):
    """FPR and overlap of one region from the highest score down, in plain loops: another way than adlib's."""
    points = [(0.0, 0.0)]
    for t in sorted(set(scores.ravel()), reverse=True):
        points.append(((scores >= t)[~mask].mean(), (scores >= t)[mask].mean()))
    return np.array(points).T


def right_pro(scores, mask):
    fpr, overlap = steps_of_equal_scores(scores, mask)
    inside = fpr <= 0.3
    x, y = np.append(fpr[inside], 0.3), np.append(overlap[inside], np.interp(0.3, fpr, overlap))
    return ((y[1:] + y[:-1]) / 2 * np.diff(x)).sum() / 0.3


def pro_one_by_one(scores, mask):
    """Equal scores enter one after the other."""
    order = np.argsort(-scores.ravel(), kind="stable")
    hit = mask.ravel()[order]
    fpr, overlap = np.append(0, (~hit).cumsum() / (~hit).sum()), np.append(0, hit.cumsum() / hit.sum())
    inside = fpr <= 0.3
    return np.trapezoid(np.append(overlap[inside], np.interp(0.3, fpr, overlap)), np.append(fpr[inside], 0.3)) / 0.3


def pro_with(scores, mask, *, end=True, divide=True, limit=0.3, ramp=False, mean=False, of_all=False,
             flagged=False):
    fpr, overlap = steps_of_equal_scores(scores, mask)
    fpr = fpr * (~mask).mean() if of_all or flagged else fpr
    fpr = fpr + overlap * mask.mean() if flagged else fpr
    inside = fpr <= limit
    x, y = fpr[inside], overlap[inside]
    if mean:
        return y.mean()
    if end and limit < 1:
        x, y = np.append(x, limit), np.append(y, np.interp(limit, fpr, overlap))
    y = np.interp(x, fpr, overlap) if ramp else y
    return np.trapezoid(y, x) / (0.3 if divide else 1)


@pytest.mark.parametrize(("answer", "expected"), [
    (..., "not yet: set"),
    (0.5, "a function, not float"),
    (right_pro, "right"),
    (lambda s, m: torch.tensor(right_pro(s, m)), "right"),
    (lambda s, m: np.float32(right_pro(s, m)), "right"),
    (lambda s, m: metrics.pro(s[None], m[None]), "right"),
    (lambda s, m: metrics.pro(torch.from_numpy(s)[None], torch.from_numpy(m)[None]), "right"),
    (lambda s, m: [right_pro(s, m)] * 2, "returns the shape (2,), not ()"),
    (lambda s, m: None, "returns nothing"),
    (lambda s: 0.5, "it raises TypeError"),
    (lambda s, m: metrics.auroc(s, m), "that is the area up to 1, pixel AUROC"),
    (lambda s, m: pro_with(s, m, divide=False), "PRO divides it by 0.3"),
    (lambda s, m: pro_with(s, m, limit=1), "must stop at a false-positive rate of 0.3"),
    (lambda s, m: pro_with(s, m, end=False), "interpolate the point at 0.3"),
    (lambda s, m: pro_with(s, m, ramp=True), "np.interp turns each vertical step into a ramp"),
    (lambda s, m: 1 - right_pro(s, m), "one minus it"),
    (pro_one_by_one, "must enter together"),
    (lambda s, m: pro_with(s, m, mean=True), "the mean over points"),
    (lambda s, m: pro_with(s, m, of_all=True), "of the normal pixels, not of all"),
    (lambda s, m: pro_with(s, m, flagged=True), "is no false-positive rate"),
    (lambda s, m: 0.123, "draw the curve"),
    (lambda s, m: float("nan"), "draw the curve"),
])
def test_a_function_for_pro_is_tried_on_maps(capsys, answer, expected):
    found = verdict(capsys, data_and_metrics.pro_of_one_region, answer)
    assert expected in found
    assert found.startswith("right") == (expected == "right")


def enlarge(m, to, mode="bilinear", **how):
    return F.interpolate(m[:, None], size=to, mode=mode, **how)[:, 0]


def fuse_by_hand(maps, size):
    product = 1
    for m in maps:
        product = product * enlarge(m, size // 4)
    return enlarge(product, 256)


def fused(maps, size, *, at=None, combine=torch.prod, **how):
    return enlarge(combine(torch.stack([enlarge(m, at or size // 4, **how) for m in maps]), dim=0), 256, **how)


@pytest.mark.parametrize(("answer", "expected"), [
    (..., "not yet: set"),
    (torch.zeros(1), "a function, not Tensor"),
    (fuse_by_hand, "right"),
    (lambda maps, size: fuse_by_hand(maps, size).numpy(), "right"),
    (lambda maps, size: fuse_by_hand(maps, size).requires_grad_().double(), "right"),
    (lambda maps, size: upsample(torch.stack([upsample(m, size // 4).log() for m in maps]).sum(0).exp()), "right"),
    (lambda maps, size: fuse_by_hand(maps, size)[0], "returns the shape (256, 256), not (2, 256, 256)"),
    (lambda maps, size: torch.stack([enlarge(m, size // 4) for m in maps]).prod(dim=0), "still at size // 4"),
    (lambda maps, size: fused(maps, size, at=256), "as the paper has it"),
    (lambda maps, size: fused(maps, size, combine=torch.sum), "the sum of the maps"),
    (lambda maps, size: fused(maps, size, combine=torch.mean), "the mean of the maps"),
    (lambda maps, size: fused(maps, size, combine=torch.amax), "the maximum"),
    (lambda maps, size: fused(maps, size, align_corners=True), "align_corners=False"),
    (lambda maps, size: fused(maps, size, mode="nearest"), "copies the nearest pixel"),
    (lambda maps, size: fuse_by_hand(maps[:2], size), "the last level is missing"),
    (lambda maps, size: fuse_by_hand(maps[1:], size), "the first level is missing"),
    (lambda maps, size: fuse_by_hand(maps, size) ** (1 / 3), "geometric mean"),
    (lambda maps, size: fuse_by_hand(maps, size) / 2, "enlarge each map to size // 4, multiply"),
    (lambda maps, size: maps[0] * maps[1], "it raises RuntimeError"),
    (lambda maps, size: None, "returns nothing"),
])
def test_a_function_that_fuses_is_tried_on_maps(capsys, answer, expected):
    found = verdict(capsys, stfpm.fuse, answer)
    assert expected in found
    assert found.startswith("right") == (expected == "right")


def test_what_the_answer_is_compared_with_is_what_the_network_does():
    model = STFPM(Teacher("efficientnet_lite0", weights="random"))
    maps = [torch.rand(2, side, side, generator=torch.Generator().manual_seed(0)) for side in (24, 12, 6)]
    torch.testing.assert_close(stfpm.fuse_with(maps, 96), model.fuse(maps))
    model.fuse_at = "image"
    torch.testing.assert_close(stfpm.fuse_with(maps, 96, at=256), model.fuse(maps))


def largest(m):
    return m.amax(dim=(1, 2))


@pytest.mark.parametrize(("expected", "scores_of"), [
    ("right", lambda a, b, c: largest(b * c)),
    ("last level alone", lambda a, b, c: largest(c)),
    ("before the last alone", lambda a, b, c: largest(b)),
    ("the product of all levels", lambda a, b, c: largest(a * b * c)),
    ("the sum of the two", lambda a, b, c: largest(b + c)),
    ("not the mean", lambda a, b, c: (b * c).mean(dim=(1, 2))),
    ("turn the order around", lambda a, b, c: -largest(b * c)),
])
def test_two_levels_by_what_a_reader_may_have_computed(capsys, expected, scores_of):
    generator, labels = torch.Generator().manual_seed(3), np.arange(40) % 3 == 0
    levels = [torch.rand(40, side, side, generator=generator) for side in (16, 8, 4)]
    answer = metrics.auroc(scores_of(*(upsample(m, 16) for m in levels)), labels)
    found = verdict(capsys, stfpm.auroc_of_last_levels, answer, levels, labels)
    assert expected in found
    assert found.startswith("right") == (expected == "right")
    if expected == "right":
        at_full_size = metrics.auroc(largest(upsample(levels[1]) * upsample(levels[2])), labels)
        assert verdict(capsys, stfpm.auroc_of_last_levels, at_full_size, levels, labels).startswith("right")
        assert "not per cent" in verdict(capsys, stfpm.auroc_of_last_levels, 100 * answer, levels, labels)
    assert "not yet: set" in verdict(capsys, stfpm.auroc_of_last_levels, ..., levels, labels)

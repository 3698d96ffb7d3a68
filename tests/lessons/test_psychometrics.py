"""Painted discs, detection curves and intervals, against an oracle and numbers worked out by hand."""

import numpy as np
import pytest
import scipy.stats
import torch

from adlib.lessons import psychometrics
from adlib.lessons.psychometrics import equal_threshold, paint_discs, smallest_seen, wilson

DIAMETERS, CONTRASTS = [1, 2, 4, 8, 16, 32], [0.0, 0.05, 0.1, 0.2, 0.4]


@pytest.fixture(scope="module")
def normal():
    return torch.randint(60, 200, (12, 3, 128, 128), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)


def oracle(painted, images):
    """What was painted, exactly."""
    return (painted - images.float() / 255).abs().sum(dim=(1, 2, 3)).numpy()


def test_an_oracles_curve_is_monotone(normal):
    centres = np.random.default_rng(0).uniform(32, 224, (len(normal), 2))
    scores = np.array([[oracle(paint_discs(normal, centres, diameter=d, contrast=c), normal) for d in DIAMETERS]
                       for c in CONTRASTS])                                 # (C, D, N)
    assert (np.diff(scores, axis=0) >= 0).all()
    assert (np.diff(scores, axis=1) >= 0).all()
    assert not scores[0].any()
    rates = (scores >= np.median(scores[2, 3])).mean(axis=-1)               # (C, D)
    assert rates[0].max() == 0
    assert rates[-1, -1] == 1
    seen = [smallest_seen(DIAMETERS, r) for r in rates[2:]]
    assert np.isnan(smallest_seen(DIAMETERS, rates[0]))
    assert seen == sorted(seen, reverse=True)
    assert 4 < seen[0] <= 8


def test_a_disc_has_its_area_its_place_and_its_contrast():
    grey = torch.full((2, 3, 256, 256), 100, dtype=torch.uint8)
    grey[1] = 200
    painted = paint_discs(grey, [[100.5, 50.5], [60, 200]], diameter=20, contrast=0.2)
    change = painted - grey / 255
    assert change[0].amax() == pytest.approx(0.2)                           # brighter where dark
    assert change[1].amin() == pytest.approx(-0.2)                          # and darker where bright
    area = change.abs().sum(dim=(1, 2, 3)).numpy() / 3 / 0.2
    np.testing.assert_allclose(area, np.pi * 10**2, rtol=0.01)
    at = change[0, 0].nonzero().float().mean(dim=0) + 0.5
    assert at.tolist() == [100.5, 50.5]
    small = paint_discs(grey[:1, :, :64, :64], [[100.5, 50.5]], diameter=20, contrast=0.2)    # same disc at 64 px
    assert (small - 100 / 255).sum().item() / 3 / 0.2 * 16 == pytest.approx(np.pi * 10**2, rel=0.01)
    tiny = paint_discs(grey[:1], [[100.5, 50.5]], diameter=0.5, contrast=0.2) - 100 / 255
    assert tiny.amax() == pytest.approx(0.1, abs=1e-6)


def test_a_place_decides_whether_discs_are_bright_not_their_size():
    spotted = torch.full((1, 3, 256, 256), 230, dtype=torch.uint8)
    spotted[..., 98:102, 98:102] = 20                           # a dark speck on a bright ground
    for diameter in (3, 10, 100):
        assert (paint_discs(spotted, [[100, 100]], diameter=diameter, contrast=0.05) <= spotted / 255).all()


def test_painting_stays_within_the_colours_and_leaves_the_images_alone(normal):
    before = normal.clone()
    painted = paint_discs(normal, np.full((len(normal), 2), 128.0), diameter=40, contrast=1.0)
    assert painted.min() >= 0
    assert painted.max() <= 1
    assert torch.equal(normal, before)
    assert torch.equal(paint_discs(normal, np.full((len(normal), 2), 128.0), diameter=40, contrast=0),
                       normal.float() / 255)


@pytest.mark.parametrize("n", [1, 7, 20, 300])
def test_intervals_are_wilsons(n):
    hits = np.arange(n + 1)
    low, high = wilson(hits, n)
    expected = [scipy.stats.binomtest(int(k), n).proportion_ci(0.95, method="wilson") for k in hits]
    np.testing.assert_allclose(low, [e.low for e in expected], atol=1e-4)
    np.testing.assert_allclose(high, [e.high for e in expected], atol=1e-4)


def test_the_smallest_defect_by_hand():
    assert smallest_seen([2, 8], [0.0, 1.0]) == pytest.approx(4)          # half way, on a logarithmic axis
    assert smallest_seen([2, 4, 8], [0.0, 0.25, 0.5]) == pytest.approx(8)
    assert smallest_seen([2, 4], [0.7, 1.0]) == pytest.approx(2)
    assert smallest_seen([2, 4, 8], [0.2, 0.6, 0.3]) == pytest.approx(2 * 2**0.75)
    assert np.isnan(smallest_seen([2, 4], [0.0, 0.49]))


@pytest.mark.parametrize(("rate", "alarms"), [(0.0, 0), (0.1, 1), (0.19, 1), (0.2, 2), (0.3, 3), (1.0, 10)])
def test_a_threshold_for_a_rate_of_false_alarms(rate, alarms):
    scores = np.random.default_rng(0).permutation(10) + 0.5
    assert (scores >= equal_threshold(scores, rate)).sum() == alarms
    single = scores.astype(np.float32)
    assert (single >= equal_threshold(single, rate)).sum() == alarms
    tied = np.array([1.0, 2, 2, 2])
    assert (tied >= equal_threshold(tied, 0.5)).sum() <= 2


def test_an_image_is_moved_down_and_right_and_mirrored_in():
    image = torch.arange(16).reshape(1, 1, 4, 4)
    assert psychometrics.move(image, 0).equal(image)
    assert psychometrics.move(image, 1)[0, 0].tolist() == [[5, 4, 5, 6], [1, 0, 1, 2], [5, 4, 5, 6], [9, 8, 9, 10]]

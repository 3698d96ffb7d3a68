"""Facts against numbers worked out by hand, causes against cases whose cause is known."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import scipy.stats
import torch
from scipy.ndimage import gaussian_filter, zoom
from scipy.spatial import cKDTree

from adlib.lessons import appearance
from adlib.lessons import failures as f
from adlib.metrics import image_threshold

SIDE, CELL = 128, 8


# Constructed cases: two worlds, a detector that is simple enough to know why it fails ---------------------------------
# A cloth of stripes at any phase, plain or mottled, has no places; a board of coloured blocks, slightly shifted, has.
# The detector describes squares of pixels by mean colour and its spread: how far is the nearest normal square?

BLOCKS = [(14, 16, 26, 18), (14, 64, 18, 40), (52, 20, 20, 20), (50, 74, 28, 22), (90, 18, 22, 34), (88, 80, 24, 24)]
TONES = [(0.75, 0.7, 0.6), (0.2, 0.2, 0.25), (0.6, 0.3, 0.2), (0.2, 0.2, 0.25), (0.75, 0.7, 0.6), (0.6, 0.3, 0.2)]


def cloth(rng, noise=0.02):
    x = np.arange(SIDE)[None] + rng.uniform(0, 9)
    tone = 0.5 + 0.12 * np.sin(2 * np.pi * x / 9) * np.ones((SIDE, 1))
    return photograph(rng, np.stack([tone, 0.9 * tone, 0.8 * tone]), noise)


def mottled(rng):
    shade = gaussian_filter(rng.normal(size=(SIDE, SIDE)), 8, mode="wrap")
    return np.clip(cloth(rng) + 0.06 * shade / shade.std(), 0, 1).astype(np.float32)


def board(rng, blocks=BLOCKS, noise=0.02):
    image = np.zeros((3, SIDE, SIDE)) + np.array([0.1, 0.4, 0.2])[:, None, None]
    dy, dx = rng.integers(-1, 2, 2)
    for tone, block in zip(TONES, blocks, strict=True):
        if block:
            y, x, h, w = block
            image[:, y + dy : y + dy + h, x + dx : x + dx + w] = np.array(tone)[:, None, None]
    return photograph(rng, image, noise)


def photograph(rng, image, noise):
    return np.clip(gaussian_filter(image, (0, 0.7, 0.7)) + rng.normal(0, noise, image.shape), 0, 1).astype(np.float32)


class Detector:
    """Distance of each square to the nearest normal one, blurred; `channels` are those that it sees."""

    def __init__(self, normal, validation, *, channels=(0, 1, 2), pool=8):
        self.channels, self.pool = list(channels), pool
        self.tree = cKDTree(np.concatenate([self.cells(x) for x in normal]))
        self.validation = np.stack([self.map(x) for x in validation])
        self.scores = self.validation.max(axis=(1, 2))
        self.threshold = image_threshold(self.scores)

    def cells(self, image):
        n = SIDE // self.pool
        parts = image[self.channels].reshape(len(self.channels), n, self.pool, n, self.pool)
        return np.concatenate([parts.mean(axis=(2, 4)), parts.std(axis=(2, 4))]).reshape(2 * len(self.channels), -1).T

    def map(self, image):
        distance = self.tree.query(self.cells(image))[0].reshape(SIDE // self.pool, -1)
        return gaussian_filter(zoom(distance, self.pool, order=1, grid_mode=True, mode="nearest"), self.pool / 2)

    def facts(self, image, mask, usual):
        """None where it does not fail."""
        m = self.map(image)
        near = m if mask is None else f.only_near(torch.from_numpy(m)[None], torch.from_numpy(mask)[None], cell=CELL)
        margin, alone, loudest = f.margins([m.max(), near.max(), self.scores.max()], self.scores, self.threshold)
        level = f.normalize_maps(m[None], self.validation)[0]
        kind = f.kind_of(mask is not None, margin, alone)
        return kind and f.measure_facts(image, mask, level, usual, cell=CELL, kind=kind, margin=margin, loudest=loudest)


def disc(y, x, diameter):
    grid = np.mgrid[:SIDE, :SIDE] + 0.5
    return np.hypot(grid[0] - y, grid[1] - x) <= diameter / 2


def stained(image, mask, colour):
    return np.clip(image + mask * np.array(colour)[:, None, None], 0, 1).astype(np.float32)


def rectangle(*blocks):
    mask = np.zeros((SIDE, SIDE), bool)
    for y, x, h, w in blocks:
        mask[y : y + h, x : x + w] = True
    return mask


def build_cases(seed=0):
    """(known cause, facts) of detectors that failed as they were built to."""
    rng = np.random.default_rng(seed)
    cloths, boards, mottles = ([make(rng) for _ in range(24)] for make in (cloth, board, mottled))
    of_cloth, of_board, of_mottled = (appearance.fit_normal(as_uint8(x), side=SIDE) for x in (cloths, boards, mottles))
    on_cloth = Detector(cloths, [cloth(rng) for _ in range(20)])
    on_board = Detector(boards, [board(rng) for _ in range(20)])
    on_mottled = Detector(mottles, [mottled(rng) for _ in range(20)])
    blind = Detector(cloths, [cloth(rng) for _ in range(20)], channels=[0])
    coarse = Detector(cloths, [cloth(rng) for _ in range(20)], pool=32)
    restless = Detector(cloths, [cloth(rng, noise=n) for n in np.linspace(0.02, 0.06, 20)])
    for k in range(11):
        y, x = rng.uniform(40, 88, 2)
        tiny = disc(y, x, rng.uniform(2, 3))
        yield f.SMALL, coarse.facts(stained(cloth(rng), tiny, [-0.2] * 3), tiny, of_cloth)
        wide, barely = disc(y, x, rng.uniform(24, 50)), rng.choice([-1, 1]) * rng.uniform(0.002, 0.006)
        yield f.FAINT, on_cloth.facts(stained(cloth(rng), wide, [barely] * 3), wide, of_cloth)
        hidden = disc(y, x, rng.uniform(30, 50))
        yield f.FAINT, on_mottled.facts(stained(mottled(rng), hidden, [-0.015] * 3), hidden, of_mottled)
        without = BLOCKS[: k % 6] + [None] + BLOCKS[k % 6 + 1 :]
        yield f.PART, on_board.facts(board(rng, without), rectangle(BLOCKS[k % 6]), of_board)
        y0, x0, h, w = BLOCKS[k % 6]
        moved = (y0 + rng.choice([-8, 8]), x0 + rng.choice([-8, 8]), h, w)
        elsewhere = BLOCKS[: k % 6] + [moved] + BLOCKS[k % 6 + 1 :]
        yield f.PART, on_board.facts(board(rng, elsewhere), rectangle(BLOCKS[k % 6], moved), of_board)
        blot = stained(cloth(rng), disc(y, x, rng.uniform(14, 30)), [-0.12] * 3)
        yield f.AMBIGUOUS, on_cloth.facts(blot, None, of_cloth)             # visible, and nobody marked it
        yield f.AMBIGUOUS, on_cloth.facts(blot, disc(128 - y, 128 - x, 16) & ~disc(y, x, 70), of_cloth)     # or beside
        yield f.NOISY, on_cloth.facts(cloth(rng, noise=rng.uniform(0.035, 0.05)), None, of_cloth)
        shaded = stained(cloth(rng), frame(k % 4), [rng.uniform(-0.03, -0.02)] * 3)
        yield f.BORDER, on_cloth.facts(shaded, None, of_cloth)
        loud = disc(y, x, 26)
        yield f.DROWNED, restless.facts(stained(cloth(rng), loud, [-0.035] * 3), loud, of_cloth)
        yield f.BLIND, blind.facts(stained(cloth(rng), loud, [0, 0, 0.15]), loud, of_cloth)


def frame(side, width=8):
    """A strip along one side of the image, as the light falls off there."""
    return np.rot90(np.arange(SIDE)[:, None] * np.ones((1, SIDE)) < width, side)


def as_uint8(images):
    return torch.from_numpy((np.stack(images) * 255).round().astype(np.uint8))


@pytest.fixture(scope="module")
def cases():
    return list(build_cases())


@pytest.fixture(scope="module")
def normal():
    return as_uint8([cloth(np.random.default_rng(k)) for k in range(12)])


def test_the_suggested_cause_is_the_known_one(cases):
    found = Counter((known, f.suggest_causes(facts)[0]) for known, facts in cases if facts is not None)
    of = Counter(known for known, facts in cases if facts is not None)
    assert set(of) == {f.PART, f.SMALL, f.FAINT, f.AMBIGUOUS, f.NOISY, f.DROWNED, f.BORDER, f.BLIND}
    assert sum(of.values()) >= 40
    assert min(of.values()) >= 6
    assert sum(found[cause, cause] for cause in of) >= 0.8 * sum(of.values()), found
    assert all(found[cause, cause] > 0.5 * of[cause] for cause in of), found


def test_each_rule_by_itself():
    usually = appearance.RegionAppearance(pixels=640, cells=10, elongation=1, contrast=0.05, usual_contrast=0.1,
                                          difference=0.05, usual_difference=0.1, familiar=1, aligned=0.0)
    clear, weak = replace(usually, contrast=0.2), replace(usually, contrast=0.12)
    miss = f.Facts(f.MISS, -1, 0.1, share=0.1, area=0.1, peak=1.2, background=1.0, distance=9, region=clear,
                   edge=9, inner=0.5, spot=usually)
    alarm = replace(miss, kind=f.FALSE_ALARM, margin=1.0, peak=4.0, distance=np.nan, region=None, spot=clear)
    absent = replace(usually, aligned=0.9, difference=0.2)
    for facts, expected in [
        (miss, [f.BLIND]),
        (replace(miss, distance=2), [f.DROWNED]),
        (replace(miss, background=1.5, peak=2.0), [f.NOISY, f.BLIND]),
        (replace(miss, background=1.5, peak=2.0, distance=2), [f.NOISY, f.DROWNED]),
        (replace(miss, background=1.5, peak=4.0), [f.BLIND]),           # one place is much louder than the others
        (replace(miss, region=replace(clear, cells=3.9)), [f.SMALL, f.BLIND]),
        (replace(miss, region=usually), [f.FAINT]),
        (replace(miss, region=usually, spot=clear, distance=4), [f.AMBIGUOUS, f.FAINT]),
        (replace(miss, region=usually, spot=clear, distance=0), [f.FAINT, f.DROWNED]),
        (replace(miss, region=usually, spot=weak, distance=4), [f.FAINT]),
        (replace(miss, region=weak, spot=clear, distance=4), [f.BLIND]),
        (replace(miss, region=absent), [f.PART, f.BLIND]),
        (replace(miss, region=replace(absent, aligned=0.4)), [f.FAINT]),
        (replace(miss, region=replace(absent, difference=0.14)), [f.BLIND]),
        (replace(miss, region=replace(absent, elongation=4)), [f.BLIND]),
        (replace(miss, region=replace(absent, familiar=0.8)), [f.BLIND]),
        (alarm, [f.AMBIGUOUS]),
        (replace(alarm, margin=0.1), [f.RANGE, f.AMBIGUOUS]),
        (replace(alarm, spot=weak), [f.UNEXPLAINED]),
        (replace(alarm, spot=weak, edge=0.9), [f.BORDER]),
        (replace(alarm, spot=weak, edge=1.0), [f.UNEXPLAINED]),
        (replace(alarm, spot=weak, edge=0.9, background=2.0), [f.BORDER, f.NOISY]),     # the border is long
        (replace(alarm, spot=weak, edge=0.9, background=2.0, inner=2.0), [f.NOISY]),    # but so loud is all of it
        (replace(alarm, spot=weak, background=np.nan), [f.NOISY]),      # no place is away from the spot
        (replace(alarm, edge=0.0), [f.AMBIGUOUS]),                      # at the border, but something is there
        (replace(alarm, spot=weak, background=2.0), [f.NOISY]),
        (replace(miss, edge=0.0), [f.BLIND]),
        (replace(alarm, background=2.0), [f.NOISY, f.AMBIGUOUS]),
        (replace(alarm, kind=f.ELSEWHERE, region=clear, distance=1.0), [f.NOISY, f.AMBIGUOUS]),
        (replace(alarm, kind=f.ELSEWHERE, region=clear, distance=9.0), [f.AMBIGUOUS]),
    ]:
        assert f.suggest_causes(facts) == expected, facts


def test_a_case_without_a_region_has_no_cause_but_an_alarm_has():
    usual = appearance.fit_normal(as_uint8([cloth(np.random.default_rng(0)) for _ in range(3)]), side=SIDE)
    level = np.zeros((SIDE, SIDE))
    level[40:50, 40:50] = 3
    for mask in (None, np.zeros((SIDE, SIDE), bool)):
        facts = f.measure_facts(usual.images[0], mask, level, usual, cell=CELL, kind=f.MISS)
        assert f.suggest_causes(facts) == [f.NO_REGION]
        assert facts.region is None
        assert np.isnan([facts.share, facts.area, facts.distance]).all()
        alarm = f.measure_facts(usual.images[0], mask, level, usual, cell=CELL, kind=f.FALSE_ALARM, margin=1.0,
                                loudest=2.0)
        assert f.suggest_causes(alarm)[0] == f.RANGE


# Verdicts ------------------------------------------------------------------------------------------------------------


def test_normal_units_and_margins_by_hand():
    normal = np.linspace(0, 10, 10001).reshape(1, 1, -1)       # median 5, 99.9 % quantile 9.99
    np.testing.assert_allclose(f.normalize_maps([[[5.0, 9.99, 0.01]]], normal), [[[0, 1, -1]]], atol=1e-9)
    np.testing.assert_allclose(f.margins([4.0, 2.0, 5.0, 1.0], [1.0, 2.0, 3.0], 4.0), [0, -1, 0.5, -1.5])
    assert np.isfinite(f.margins([1.0], [0.0, 0.0], 0.0)).all()
    assert np.isfinite(f.normalize_maps(np.ones((1, 2, 2)), np.zeros((1, 2, 2)))).all()


def test_the_one_method_that_is_right():
    right = [[True, True, False, False], [False, True, False, True], [False, False, False, False]]
    assert f.only_one(right).tolist() == [0, -1, -1, 1]


def test_failures_are_found_and_the_worst_come_first():
    rng = np.random.default_rng(0)
    pixels, labels = np.stack([cloth(rng) for _ in range(6)]), np.array([False, False, True, True, True, True])
    masks, levels = np.zeros((6, SIDE, SIDE), bool), np.ones((6, SIDE, SIDE))
    masks[2:5, 60:70, 60:70] = True                             # the last one's region vanished
    found, alone = np.array([-0.1, 0.5, 2.0, 1.0, -0.7, 3.0]), np.array([-1, -1, -0.2, 0.1, -1, 3.0])
    usual = appearance.fit_normal(as_uint8(pixels), side=SIDE)
    failures = f.find_failures(pixels, masks, labels, levels, found, alone, usual, cell=CELL, loudest=0.6)
    assert [(x.index, x.kind) for x in failures] == [(2, f.ELSEWHERE), (4, f.MISS), (1, f.FALSE_ALARM)]
    assert failures[2].causes[0] == f.RANGE
    assert [x.causes for x in failures] == [f.suggest_causes(x.facts) for x in failures]
    blind = f.find_failures(pixels, None, labels, levels, found, found, usual, cell=CELL, loudest=0.6)
    assert [(x.index, x.kind) for x in blind] == [(4, f.MISS), (1, f.FALSE_ALARM)]


def test_a_map_silenced_away_from_its_region():
    maps, masks = torch.rand(3, 20, 20, generator=torch.Generator().manual_seed(0)), torch.zeros(3, 20, 20, dtype=bool)
    masks[0, 5, 5], masks[1, 0, :] = True, True
    away = torch.from_numpy(np.hypot(*(np.mgrid[:20, :20] - 5)) > f.REACH * 2)
    near = f.only_near(maps, masks, cell=2)
    assert torch.equal(near[0], torch.where(away, maps[0].min(), maps[0]))
    assert torch.equal(near[1, :5], maps[1, :5])
    assert (near[1, 5:] == maps[1].min()).all()
    assert torch.equal(near[2], maps[2])                        # no region
    assert torch.equal(f.only_near(maps, None, cell=2), maps)


# Facts ---------------------------------------------------------------------------------------------------------------


def test_contrast_is_the_wasserstein_distance_of_the_strongest_channel():
    rng = np.random.default_rng(0)
    image, region = rng.random((1, 3, 20, 20)), np.zeros((20, 20), bool)
    region[4:14, 4:14] = True
    image[0, 1][region] = image[0, 1][region] * 0.3 + 0.5
    ring = appearance.surroundings(region, width=4)
    expected = max(scipy.stats.wasserstein_distance(c[region], c[ring]) for c in image[0])
    assert appearance.region_contrast(image, region, ring, steps=2000)[0] == pytest.approx(expected, abs=2e-3)
    assert appearance.region_contrast(image, region, ring)[0] == pytest.approx(expected, abs=0.02)
    groove = np.full((1, 3, 20, 20), 0.5)                   # equal means, but a bright and a dark flank
    groove[..., 4:9, 4:14], groove[..., 9:14, 4:14] = 0.3, 0.7
    assert appearance.region_contrast(groove, region, ring)[0] == pytest.approx(0.2)


def test_surroundings_leave_a_gap_and_find_room():
    region = np.zeros((1, 12), bool)
    region[0, 4] = True
    assert np.flatnonzero(appearance.surroundings(region, width=3)).tolist() == [0, 1, 7, 8, 9]
    assert appearance.surroundings(np.array([[True, False]]), width=3).tolist() == [[False, True]]
    everything, nothing = np.ones((1, 2), bool), np.zeros((1, 2), bool)
    assert appearance.region_contrast(np.zeros((2, 3, 1, 2)), everything, nothing).tolist() == [0, 0]


def test_difference_to_the_nearest_normal_image_against_a_loop(monkeypatch):
    rng = np.random.default_rng(0)
    image, normal, region = rng.random((3, 6, 6)), rng.random((5, 3, 6, 6)), rng.random((6, 6)) > 0.5
    apart = np.array([[np.abs(a - b)[:, region].mean() for b in normal] for a in [image, *normal]])
    own, others = appearance.difference(image, region, normal)
    assert own == pytest.approx(apart[0].min())
    np.testing.assert_allclose(others, [np.delete(row, k).min() for k, row in enumerate(apart[1:])])
    assert appearance.difference(image, region, normal[:1])[1].tolist() == [0]
    monkeypatch.setattr(appearance, "SAMPLE", 7)
    assert len(appearance.sample(region)) <= 7


def test_an_appearance_by_hand():
    dark = np.full((3, 64, 64), 0.25, np.float32)
    usual = appearance.fit_normal(as_uint8([dark] * 4), side=64)
    image, region = dark.copy(), np.zeros((64, 64), bool)
    region[20:36, 20:28] = True                             # 16 x 8: thickness 8
    image[0, 20:28, 20:28] = 0.75                           # half of it is red
    found = appearance.measure_appearance(image, region, usual, cell=4)
    assert (found.pixels, found.cells, found.elongation) == (128, 8, 2)
    assert found.contrast == pytest.approx(0.25, abs=0.01)           # half of the region by 0.5
    assert found.difference == pytest.approx(0.5 / 6, abs=0.01)      # half of it in one of three channels
    assert found.usual_contrast == found.usual_difference == 0
    assert found.familiar == 0.5
    image[0, 20:28, 20:28] = 0.32                           # the next 16th above: noise can do that to 0.25
    assert appearance.measure_appearance(image, region, usual, cell=4).familiar == 1
    image[:, 20:28, 20:28] = 0.32                           # but not in all channels at once
    assert appearance.measure_appearance(image, region, usual, cell=4).familiar == 0.5
    assert found.visible
    assert not appearance.measure_appearance(dark, region, usual, cell=4).visible


def test_what_is_usual_is_what_nineteen_of_twenty_normal_images_stay_below(normal):
    usual, region = appearance.fit_normal(normal, side=64), np.zeros((64, 64), bool)
    region[20:30, 20:30] = True
    found = appearance.measure_appearance(usual.images[0], region, usual, cell=4)
    around = appearance.surroundings(region, width=8)
    assert found.contrast == appearance.region_contrast(usual.images, region, around)[0]
    assert found.usual_contrast == np.quantile(appearance.region_contrast(usual.images, region, around), 0.95)
    assert found.usual_difference == np.quantile(appearance.difference(usual.images[0], region, usual.images)[1], 0.95)


def test_visible_is_more_than_usual_and_than_a_few_grey_levels():
    found = appearance.RegionAppearance(pixels=9, cells=1, elongation=1, contrast=0.10, usual_contrast=0.08,
                                        difference=0.05, usual_difference=0.03, familiar=1, aligned=0.0)
    assert (found.visible, found.striking) == (True, False)
    assert replace(found, contrast=0.13).striking
    assert not replace(found, contrast=0.07).visible
    assert not replace(found, contrast=0.019, usual_contrast=0.0).visible
    assert replace(found, contrast=0.07, aligned=0.9).striking           # unlike its place
    assert not replace(found, contrast=0.07, aligned=0.9, difference=0.02).visible


def test_alignment_tells_places_from_textures():
    rng = np.random.default_rng(0)
    assert appearance.fit_normal(as_uint8([board(rng) for _ in range(8)]), side=SIDE).alignment > 0.7
    assert appearance.fit_normal(as_uint8([cloth(rng) for _ in range(8)]), side=SIDE).alignment < 0.3
    grey = torch.full((2, 3, 32, 32), 100, dtype=torch.uint8)
    assert appearance.fit_normal(grey, side=32).alignment == 0
    assert appearance.fit_normal(grey[:1], side=32).alignment == 0
    assert len(appearance.fit_normal(grey[:1].expand(100, -1, -1, -1), side=32).images) == 48


def test_facts_of_a_map_by_hand():
    usual = appearance.fit_normal(as_uint8([np.full((3, 32, 32), 0.5)] * 2), side=32)
    mask, level = np.zeros((32, 32), bool), np.full((32, 32), -1.0)
    mask[2, 3], mask[10:12, 10:12] = True, True             # the larger region counts
    level[10, 15], level[11, 11], level[30, 30] = 2.0, 0.9, 0.5     # the peak, 4 pixels from the region
    facts = f.measure_facts(usual.images[0], mask, level, usual, cell=1, kind=f.MISS)
    assert facts.distance == 4
    assert facts.edge == 10
    assert facts.inner == pytest.approx(np.quantile(level[3:-3, 3:-3], 0.999))
    assert facts.region.pixels == 4
    assert facts.spot.pixels == 1
    assert facts.peak == 2
    assert facts.share == pytest.approx(0.9 / 3.4)
    near = sum(min((y - v) ** 2 + (x - u) ** 2 for v, u in np.argwhere(mask)) <= 4 for y, x in np.ndindex(32, 32))
    assert facts.area == near / 32**2
    quiet = np.sort(level[(scipy.ndimage.distance_transform_edt(~mask) > 2)
                          & (np.hypot(*(np.mgrid[:32, :32] - np.array([10, 15])[:, None, None])) > 2)])
    assert facts.background == pytest.approx(np.quantile(quiet, 0.999))
    assert quiet[-1] == 0.5                                 # neither the region's response nor the peak's
    level[11, 11] = 3.0
    assert f.measure_facts(usual.images[0], mask, level, usual, cell=1, kind=f.MISS).distance == 0


def test_the_spot_is_the_connected_upper_half_of_the_peak():
    level = np.array([[0.0, 2.0, 4.0, 1.9, 3.0], [0, 0, 0, 2, 0]])
    assert f.spot(level).astype(int).tolist() == [[0, 1, 1, 0, 1], [0, 0, 0, 1, 0]]
    assert f.spot(np.array([[-2.0, -1.0]])).tolist() == [[False, True]]

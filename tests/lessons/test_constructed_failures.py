"""Constructed failures: the built-in cause is what the detector fails for, and the rules mostly find it."""

from collections import Counter

import numpy as np
import pytest

from adlib.lessons import failures as f
from adlib.lessons.constructed_failures import confusion_of_causes, constructed_failures, round_region, stone, strip


@pytest.fixture(scope="module")
def cases():
    return list(constructed_failures(6, seed=1))


def test_every_cause_occurs_in_the_way_that_it_was_built(cases):
    of = Counter(cause for cause, _ in cases)
    assert set(of) == {f.SMALL, f.PART, f.FAINT, f.AMBIGUOUS, f.NOISY, f.DROWNED, f.BORDER, f.BLIND}
    assert min(of.values()) >= 3
    assert {facts.kind for _, facts in cases} == {f.MISS, f.FALSE_ALARM}
    for cause, facts in cases:
        assert (facts.margin >= 0) == (facts.kind == f.FALSE_ALARM)
        if cause == f.SMALL:
            assert facts.region.cells < f.FEW_CELLS
        if cause == f.PART:
            assert facts.region.cells >= f.FEW_CELLS


def test_most_causes_are_found(cases):
    found = confusion_of_causes(iter(cases))
    assert sum(found.values()) == len(cases)
    right = sum(n for (built, named), n in found.items() if built == named)
    assert right >= 0.75 * len(cases), found


def test_the_same_seed_makes_the_same_cases(cases):
    again = list(constructed_failures(6, seed=1))
    assert [(cause, facts.margin) for cause, facts in again] == [(cause, facts.margin) for cause, facts in cases]


def test_regions_and_surfaces_by_hand():
    assert strip(0)[:8].all()
    assert not strip(0)[8:].any()
    assert strip(1)[:, :8].all() != strip(1)[:, -8:].all()
    assert abs(round_region(64, 64, 10).sum() - np.pi * 100) < 8
    surface = stone(np.random.default_rng(0), noise=0.0)
    assert surface.shape == (3, 128, 128)
    assert 0.02 < surface[0].std() < 0.08

"""Lesson 06: failures whose cause is built in, on surfaces and with detectors that the rules were not tuned on.

The rules were written while looking at the demo set and at the cases of tests/lessons/test_failures.py: striped and
mottled cloths, a board of blocks, and distances to the nearest normal square. Here are a speckled stone, a dial with
marks in their places, and a Gaussian around the normal squares.
"""

from collections import Counter
from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, zoom

from adlib.lessons import appearance
from adlib.lessons import failures as f
from adlib.metrics import image_threshold

PIXELS, CELL = 128, 8         # pixels of an image, and of a cell of level 1
MARKS = [(24, 64, 12), (42, 104, 12), (86, 104, 12), (104, 64, 12), (86, 24, 12), (42, 24, 12), (64, 64, 17)]
INKS = [(0.8, 0.15, 0.15), (0.12, 0.12, 0.16), (0.12, 0.12, 0.16), (0.8, 0.15, 0.15), (0.12, 0.12, 0.16),
        (0.12, 0.12, 0.16), (0.15, 0.25, 0.55)]


def stone(dice: np.random.Generator, *, noise: float = 0.015, grain: float = 0.05) -> NDArray:
    """(3, H, W) of a speckled surface, the same everywhere and nowhere repeated."""
    speckles = gaussian_filter(dice.normal(size=(PIXELS, PIXELS)), 1.4, mode="wrap")
    tone = 0.55 + grain * np.tanh(1.5 * speckles / speckles.std())
    image = np.stack([1.05 * tone, 0.95 * tone, 0.9 * tone])
    return np.clip(image + dice.normal(0, noise, image.shape), 0, 1).astype(np.float32)


def dial(dice: np.random.Generator, marks: list[tuple | None] = MARKS) -> NDArray:
    """(3, H, W) of a part with round marks in their places, shifted by a pixel at most; None is a missing one."""
    image = np.full((3, PIXELS, PIXELS), 0.82)
    dy, dx = dice.integers(-1, 2, 2)
    for ink, mark in zip(INKS, marks, strict=True):
        if mark:
            image[:, round_region(mark[0] + dy, mark[1] + dx, mark[2])] = np.array(ink)[:, None]
    image = gaussian_filter(image, (0, 0.6, 0.6)) + dice.normal(0, 0.015, image.shape)
    return np.clip(image, 0, 1).astype(np.float32)


def round_region(y: float, x: float, radius: float) -> NDArray:
    """(H, W) bool of a disc."""
    rows, columns = np.mgrid[:PIXELS, :PIXELS] + 0.5
    return np.hypot(rows - y, columns - x) <= radius


class SquareDetector:
    """How unusual squares of pixels are, by the mean and spread of their colours; `channels` are those that it sees.

    Of a stone by one Gaussian (Mahalanobis distance). Of a dial, whose squares come in kinds, by the nearest of many.
    """

    def __init__(self, normal: list[NDArray], validation: list[NDArray], *, channels: tuple[int, ...] = (0, 1, 2),
                 square: int = 8, kinds: bool = False):
        self.channels, self.square = list(channels), square
        known = np.concatenate([self.squares(image) for image in normal])
        self.centres = known[:: max(1, len(known) // 1500)] if kinds else known.mean(axis=0, keepdims=True)
        spread = np.diag(known.var(axis=0)) if kinds else np.cov(known, rowvar=False)
        self.weights = np.linalg.inv(spread + 1e-6 * np.eye(known.shape[1]))
        self.validation = np.stack([self.map(image) for image in validation])
        self.scores = self.validation.max(axis=(1, 2))
        self.threshold = image_threshold(self.scores)

    def squares(self, image: NDArray) -> NDArray:
        """(squares, 2 channels): mean and standard deviation of each colour."""
        n = PIXELS // self.square
        parts = image[self.channels].reshape(len(self.channels), n, self.square, n, self.square)
        return np.concatenate([parts.mean(axis=(2, 4)), parts.std(axis=(2, 4))]).reshape(2 * len(self.channels), -1).T

    def map(self, image: NDArray) -> NDArray:
        apart = self.squares(image)[:, None] - self.centres[None]           # (squares, centres, features)
        distance = np.einsum("sci,ij,scj->sc", apart, self.weights, apart).min(axis=1).clip(min=0) ** 0.5
        distance = distance.reshape(PIXELS // self.square, -1)
        return gaussian_filter(zoom(distance, self.square, order=1, grid_mode=True, mode="nearest"), self.square / 2)

    def fail(self, image: NDArray, mask: NDArray | None, normal: appearance.NormalStatistics) -> f.Facts | None:
        """The facts of its failure on an image; None where it does not fail."""
        m = self.map(image)
        near = m if mask is None else f.only_near(torch.from_numpy(m)[None], torch.from_numpy(mask)[None], cell=CELL)
        found = f.margins([m.max(), near.max(), self.scores.max()], self.scores, self.threshold)
        kind = f.kind_of(mask is not None, found[0], found[1])
        level = f.normalize_maps(m[None], self.validation)[0]
        return f.measure_facts(image, mask, level, normal, cell=CELL, kind=kind, margin=found[0],
                               loudest=found[2]) if kind else None


def constructed_failures(each: int = 8, *, seed: int = 0) -> Iterator[tuple[str, f.Facts]]:
    """(built-in cause, facts) of those cases in which the detector failed; up to `each` of every construction."""
    dice = np.random.default_rng(seed)
    stones, dials = [stone(dice) for _ in range(20)], [dial(dice) for _ in range(20)]
    of_stone, of_dial = (appearance.fit_normal(as_bytes(images), side=PIXELS) for images in (stones, dials))
    held = [stone(dice) for _ in range(20)]
    plain, coarse = SquareDetector(stones, held), SquareDetector(stones, held, square=32)
    no_red = SquareDetector(stones, held, channels=(2,))
    restless = SquareDetector(stones, [stone(dice, noise=n) for n in np.linspace(0.015, 0.05, 20)])
    on_dial = SquareDetector(dials, [dial(dice) for _ in range(20)], kinds=True)
    for k in range(each):
        y, x = dice.uniform(40, 88, 2)
        cases = list(stone_cases(dice, y, x, plain, coarse, no_red, restless, side=k % 4))
        marks = MARKS[: k % 6] + [None] + MARKS[k % 6 + 1:]
        gone = round_region(*MARKS[k % 6])
        moved = (MARKS[k % 6][0] + dice.choice([-9, 9]), MARKS[k % 6][1] + dice.choice([-9, 9]), MARKS[k % 6][2])
        elsewhere = MARKS[: k % 6] + [moved] + MARKS[k % 6 + 1:]
        found = [(cause, mask, detector.fail(image, mask, of_stone)) for cause, detector, image, mask in cases]
        found += [(f.PART, mask, on_dial.fail(dial(dice, of_marks), mask, of_dial)) for of_marks, mask in
                  [(marks, gone), (elsewhere, gone | round_region(*moved))]]
        for cause, mask, facts in found:
            if facts and facts.kind == (f.FALSE_ALARM if mask is None else f.MISS):     # as it was meant to
                yield cause, facts


def stone_cases(dice: np.random.Generator, y: float, x: float, plain: SquareDetector, coarse: SquareDetector,
                no_red: SquareDetector, restless: SquareDetector, *, side: int) -> Iterator[tuple]:
    """(cause, detector that fails for it, image, mask or None where it is a false alarm)."""
    tiny, wide = round_region(y, x, dice.uniform(1, 2.5)), round_region(y, x, dice.uniform(12, 22))
    yield f.SMALL, coarse, painted(stone(dice), tiny, [-0.2] * 3), tiny
    yield f.FAINT, plain, painted(stone(dice), wide, [dice.choice([-1, 1]) * 0.004] * 3), wide
    blot = painted(stone(dice), round_region(y, x, dice.uniform(8, 16)), [-0.15, -0.1, -0.1])
    yield f.AMBIGUOUS, plain, blot, None                                        # visible, and nobody marked it
    yield f.AMBIGUOUS, plain, blot, round_region(y, x, 34) & ~round_region(y, x, 28)        # or marked around it
    yield f.NOISY, plain, stone(dice, noise=dice.uniform(0.03, 0.045)), None
    yield f.DROWNED, restless, painted(stone(dice), wide, [-0.03] * 3), wide
    yield f.BORDER, plain, painted(stone(dice), strip(side), [dice.uniform(-0.045, -0.02)] * 3), None
    yield f.BLIND, no_red, painted(stone(dice), wide, [0.2, 0, 0]), wide


def painted(image: NDArray, region: NDArray, colour: list[float]) -> NDArray:
    """The image with a colour added in a region."""
    return np.clip(image + region * np.array(colour)[:, None, None], 0, 1).astype(np.float32)


def strip(side: int, width: int = 8) -> NDArray:
    """(H, W) bool of a strip along one side of the image."""
    return np.rot90(np.arange(PIXELS)[:, None] * np.ones((1, PIXELS)) < width, side)


def as_bytes(images: list[NDArray]) -> torch.Tensor:
    return torch.from_numpy((np.stack(images) * 255).round().astype(np.uint8))


def confusion_of_causes(cases: Iterator[tuple[str, f.Facts]]) -> dict[tuple[str, str], int]:
    """How often each (built-in cause, first suggestion) occurs."""
    return dict(Counter((cause, f.suggest_causes(facts)[0]) for cause, facts in cases))

"""Lesson 06: why a detector failed, from facts that can be measured to a cause that they suggest.

Maps are in normal units, so that those of different methods can stand side by side.
"""

from dataclasses import dataclass
from math import ceil, nan

import numpy as np
import torch
from numpy.typing import ArrayLike
from scipy import ndimage
from torch import Tensor

from adlib.lessons.appearance import (
    ALIGNED,
    CLEARLY,
    NormalStatistics,
    RegionAppearance,
    distance_to,
    measure_appearance,
)
from adlib.metrics import STRUCTURES

# Kinds of failure
FALSE_ALARM, MISS, ELSEWHERE = KINDS = ("false alarm", "miss", "alarm from elsewhere")
# Causes, and what holds when one is suggested
SMALL, PART, FAINT = "too small", "missing or misplaced part", "too faint"
AMBIGUOUS, NOISY, BORDER = "ambiguous ground truth", "noisy background", "border of the image"
DROWNED = "no louder than normal maps"
BLIND, RANGE, NO_REGION = "visible, no response", "within the normal range", "no region known"
UNEXPLAINED = "unexplained"
CAUSES = (SMALL, PART, FAINT, AMBIGUOUS, NOISY, DROWNED, BORDER, BLIND, RANGE, NO_REGION, UNEXPLAINED)

COMPACT = 3.0           # area over squared thickness: a disc has 0.8, a line L / w
FAMILIAR = 0.9          # of a region's colours, found on normal images too
FEW_CELLS = 4.0         # positions of level 1; four are one position of level 2
LOUD = 1.3              # normal units: 1 is what 99.9 % of normal pixels stay below
REACH, NEAR = 2.0, 5.0  # cells: how far a region's response spreads, and a mask may be off
EDGE = 1.0              # cells: a peak so near to the edge of the image may be of what was padded there


# Verdicts ------------------------------------------------------------------------------------------------------------


def normalize_maps(maps: ArrayLike, normal_maps: ArrayLike) -> np.ndarray:
    """Maps on a scale that all methods share: 0 is the median pixel of normal images, 1 their 99.9 % quantile.

    Parameters
    ----------
    maps : (N, H, W) float array
    normal_maps : (M, H, W) float array
        Of validation images.
    """
    low, high = np.quantile(np.asarray(normal_maps), [0.5, 0.999])
    return (np.asarray(maps) - low) / max(high - low, 1e-12)


def margins(scores: ArrayLike, normal_scores: ArrayLike, threshold: float) -> np.ndarray:
    """(N,) scores on a scale that all methods share: 0 is the threshold, -1 the median normal score; >= 0 alarms."""
    scores, middle = np.asarray(scores, float), float(np.median(normal_scores))
    return (scores - threshold) / max(threshold - middle, 1e-12)


def only_one(right: ArrayLike) -> np.ndarray:
    """Of (M, N) bool verdicts, the method that alone is right on each image; -1 where none is, or several are."""
    right = np.asarray(right, bool)
    return np.where(right.sum(axis=0) == 1, right.argmax(axis=0), -1)


# Facts ---------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Facts:
    """What is known of one failure. Map values in normal units, distances in cells; NaN where no region is known."""

    kind: str
    margin: float               # of the score: 0 is the threshold, -1 the median normal score
    loudest: float              # margin of the loudest validation image
    share: float                # of the response, inside the dilated region
    area: float                 # of the image, inside the dilated region: the share that chance would give
    peak: float                 # largest value of the map
    background: float           # 99.9 % quantile outside the dilated region and the dilated spot
    distance: float             # from the peak to the region, 0 inside it
    edge: float                 # from the peak to the edge of the image
    inner: float                # 99.9 % quantile farther inside than an edge's response spreads
    region: RegionAppearance | None         # the largest region of the mask
    spot: RegionAppearance                  # where the map peaks


def measure_facts(image: np.ndarray, mask: np.ndarray | None, level: np.ndarray, normal: NormalStatistics, *,
                  cell: float, kind: str, margin: float = nan, loudest: float = nan) -> Facts:
    """Facts about one image and one map.

    Parameters
    ----------
    image : (3, H, W) float array in [0, 1]
    mask : (H, W) bool array, or None
        None or empty where no region is known.
    level : (H, W) float array
        The map in normal units.
    normal : NormalStatistics
    cell : float
        Side of a position of level 1 in pixels of the map: 4 at an image size of 256, 8 at 128.
    kind : str
        One of `KINDS`.
    margin, loudest : float
        Of `margins`: this image's, and the loudest validation image's.
    """
    at_peak, region = spot(level), None
    away = np.full(level.shape, nan)                # cells from each position to the region
    share = area = nan
    if mask is not None and mask.any():
        region = measure_appearance(image, largest_region(mask), normal, cell=cell)
        away = distance_to(mask) / cell
        response = np.maximum(level, 0)
        share = float(response[away <= REACH].sum() / max(response.sum(), 1e-12))
        area = float((away <= REACH).mean())
    quiet = level[~(away <= REACH) & (distance_to(at_peak) / cell > REACH)]
    rim = ceil((EDGE + REACH) * cell)
    inner = level[rim:-rim, rim:-rim]
    return Facts(kind, margin, loudest, share=share, area=area, peak=float(level.max()),
                 background=float(np.quantile(quiet, 0.999)) if quiet.size else nan,
                 distance=float(away.flat[level.argmax()]), edge=distance_to_edge(level) / cell,
                 inner=float(np.quantile(inner, 0.999)) if inner.size else nan, region=region,
                 spot=measure_appearance(image, at_peak, normal, cell=cell))


def distance_to_edge(level: np.ndarray) -> int:
    """Pixels between the peak of a map and the nearest edge, 0 in the outermost row or column."""
    y, x = np.unravel_index(level.argmax(), level.shape)
    return int(min(y, x, level.shape[0] - 1 - y, level.shape[1] - 1 - x))


def spot(level: np.ndarray) -> np.ndarray:
    """(H, W) bool: the connected pixels around the peak of a map that reach at least half of it."""
    labels, _ = ndimage.label(level >= min(level.max() / 2, level.max()), STRUCTURES[8])
    return labels == labels.flat[level.argmax()]


def largest_region(mask: np.ndarray) -> np.ndarray:
    """(H, W) bool: the largest connected region of a mask that is not empty."""
    labels, _ = ndimage.label(mask, STRUCTURES[8])
    return labels == np.bincount(labels.ravel())[1:].argmax() + 1


# Causes --------------------------------------------------------------------------------------------------------------


def suggest_causes(facts: Facts) -> list[str]:
    """Causes that the facts suggest, the likeliest first; `UNEXPLAINED` where no rule holds."""
    region, spot = facts.region, facts.spot
    loud = max(LOUD, facts.peak / 2)
    if facts.kind in (FALSE_ALARM, ELSEWHERE):
        rules = {
            RANGE: facts.margin <= facts.loudest,
            BORDER: facts.edge < EDGE and not spot.striking and facts.inner < loud,
            NOISY: not facts.background < loud or facts.distance <= REACH,      # NaN: all is near the spot
            AMBIGUOUS: spot.striking,
        }
    elif region is None:
        rules = {NO_REGION: True}
    else:
        other_place = region.aligned >= ALIGNED and region.difference > CLEARLY * region.usual_difference
        rules = {
            SMALL: region.cells < FEW_CELLS,
            PART: other_place and region.elongation <= COMPACT and region.familiar >= FAMILIAR,
            AMBIGUOUS: not region.visible and spot.striking and 0 < facts.distance <= NEAR,
            FAINT: not region.visible,
            NOISY: facts.background >= loud,
            DROWNED: facts.distance <= REACH,       # the peak is where it should be, and normal maps peak as high
            BLIND: region.visible and facts.distance > REACH,
        }
    return [cause for cause, holds in rules.items() if holds] or [UNEXPLAINED]


@dataclass(frozen=True)
class Failure:
    index: int                  # which test image
    facts: Facts
    causes: list[str]           # as suggested

    @property
    def kind(self) -> str:
        return self.facts.kind


def find_failures(pixels: np.ndarray, masks: ArrayLike | None, labels: ArrayLike, levels: np.ndarray,
                  found: np.ndarray, alone: np.ndarray, normal: NormalStatistics, *, cell: float,
                  loudest: float) -> list[Failure]:
    """All failures of one method on a category's test images, the worst of each kind first.

    Parameters
    ----------
    pixels : (N, 3, H, W) float array in [0, 1]
    masks : (N, H, W) bool array, or None
    labels : (N,) bool array
    levels : (N, H, W) float array
        Maps in normal units.
    found, alone : (N,) float array
        `margins` of the scores, and of those that the maps would have with `only_near` the region.
    normal, cell, loudest
        As in `measure_facts`.
    """
    failures = []
    for i in np.argsort(-np.abs(found), kind="stable"):
        if kind := kind_of(labels[i], found[i], alone[i]):
            mask = None if masks is None else np.asarray(masks[i])
            facts = measure_facts(pixels[i], mask, levels[i], normal, cell=cell, kind=kind, margin=float(found[i]),
                                  loudest=loudest)
            failures.append(Failure(int(i), facts, suggest_causes(facts)))
    return failures


def kind_of(label: bool, margin: float, alone: float) -> str | None:
    """Which kind of failure a verdict is; None where an image is judged right, and because of its region."""
    if not label:
        return FALSE_ALARM if margin >= 0 else None
    return MISS if margin < 0 else ELSEWHERE if alone < 0 else None


def only_near(maps: Tensor, masks: Tensor | None, *, cell: float) -> Tensor:
    """(N, H, W) maps, silent (at their minimum) but for the dilated regions; unchanged where no region is known."""
    silenced = maps.clone()
    if masks is None:
        return silenced
    for i in torch.nonzero(masks.flatten(1).any(dim=1))[:, 0].tolist():
        away = torch.from_numpy(distance_to(masks[i].numpy())) > REACH * cell
        silenced[i][away] = maps[i].min()
    return silenced

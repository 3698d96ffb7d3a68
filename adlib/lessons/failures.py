"""Why a detector failed: facts that can be measured, a cause that they suggest, and the smallest defect that is seen.

Facts are measured at the maps' size, the images enlarged to it. What is usual is measured at the same place on normal
images. Maps are in normal units, so that those of different methods can stand side by side.
"""

from dataclasses import dataclass
from math import inf, nan

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import ArrayLike
from scipy import ndimage
from scipy.spatial.distance import cdist
from torch import Tensor

from adlib.metrics import STRUCTURES

# Kinds of failure
FALSE_ALARM, MISS, ELSEWHERE = KINDS = ("false alarm", "miss", "alarm from elsewhere")
# Causes, and what holds when one is suggested
SMALL, PART, FAINT = "too small", "missing or misplaced part", "too faint"
AMBIGUOUS, NOISY = "ambiguous ground truth", "noisy background"
BLIND, RANGE, NO_REGION = "visible, no response", "within the normal range", "no region known"
CAUSES = (SMALL, PART, FAINT, AMBIGUOUS, NOISY, BLIND, RANGE, NO_REGION)

ALIGNED = 0.5           # of `Usual.alignment`: from here on, parts can be missing
BARELY = 0.02           # black and white are 1 apart: five of 255 grey levels; less is not visible
CLEARLY = 1.5           # times the usual
COMPACT = 3.0           # area over squared thickness: a disc has 0.8, a line L / w
FAMILIAR = 0.9          # of a region's colours, found on normal images too
FEW_CELLS = 4.0         # positions of level 1; four are one position of level 2
LOUD = 1.3              # normal units: 1 is what 99.9 % of normal pixels stay below
REACH, NEAR = 2.0, 5.0  # cells: how far a region's response spreads, and a mask may be off
COLOURS, RARE = 16, 1e-4    # steps per colour channel; a colour that fewer normal pixels have is unfamiliar
VICINITY = 32           # pixels: how much around a place says whether it is bright
SAMPLE = 500            # pixels of an area that are looked at: enough for a distribution


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


# What normal images look like ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class NormalStatistics:
    """Normal images, and what follows from them.

    Attributes
    ----------
    images : (M, 3, H, W) float32 array
        In [0, 1].
    alignment : float
        Share of their variance that the place explains: near 0 for a texture, near 1 for a part always in one pose.
    colours : (16, 16, 16) bool array
        Which colours they have.
    """

    images: np.ndarray
    alignment: float
    colours: np.ndarray


def fit_normal(images: Tensor, *, side: int = 256, most: int = 48) -> NormalStatistics:
    """What is usual in (N, 3, S, S) uint8 normal images: of at most so many of them, spread evenly."""
    chosen = np.linspace(0, len(images) - 1, min(most, len(images))).round().astype(int)
    pixels = enlarge(images[chosen], side)
    total = pixels.var(axis=(0, 2, 3)).mean()
    alignment = 1 - pixels.var(axis=0).mean() / total if total > 1e-6 and len(pixels) > 1 else 0.0
    counts = np.bincount(colour_of(pixels.transpose(1, 0, 2, 3)).ravel(), minlength=COLOURS**3)
    known = (counts >= max(RARE * counts.sum(), 1)).reshape((COLOURS,) * 3)
    known = ndimage.binary_dilation(known)      # one step beside is the same colour with noise
    return NormalStatistics(pixels, float(alignment), known)


def enlarge(images: Tensor, side: int = 256) -> np.ndarray:
    """(N, 3, S, S) uint8 images as (N, 3, side, side) float32 in [0, 1]."""
    return F.interpolate(images.float() / 255, size=(side, side), mode="bilinear", antialias=True).numpy()


def colour_of(pixels: np.ndarray) -> np.ndarray:
    """(3, ...) colours in [0, 1] as one number each, 0 to 4095."""
    steps = np.clip((pixels * COLOURS).astype(int), 0, COLOURS - 1)
    return (steps[0] * COLOURS + steps[1]) * COLOURS + steps[2]


# Facts ---------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class RegionAppearance:
    """What can be seen at a region of an image, whatever a detector says.

    "Usual" is the 95 % quantile of normal images at the same place. Pixels are those of the map, cells positions of
    level 1. Contrast and difference: black and white are 1 apart.
    """

    pixels: int
    cells: float
    elongation: float           # area over squared thickness
    contrast: float             # to the surroundings
    usual_contrast: float
    difference: float           # to the most similar normal image, there
    usual_difference: float
    familiar: float             # share of its colours that normal images have
    aligned: float              # `Usual.alignment`

    @property
    def visible(self) -> bool:
        """More contrast than normal images have there; of aligned ones, or less like them than they are alike."""
        return self.exceeds(1)

    @property
    def striking(self) -> bool:
        """Clearly so, as has to be asked of a place that was picked for looking unusual."""
        return self.exceeds(CLEARLY)

    def exceeds(self, times: float) -> bool:
        unlike = self.aligned >= ALIGNED and self.difference > times * max(self.usual_difference, BARELY)
        return self.contrast > times * max(self.usual_contrast, BARELY) or unlike


def measure_appearance(image: np.ndarray, region: np.ndarray, usual: NormalStatistics, *, cell: float) -> RegionAppearance:
    """Measure a region of a (3, H, W) float image; `region` is (H, W) bool, not empty; `cell` the side of a cell."""
    thickness = 2 * ndimage.distance_transform_edt(np.pad(region, 1)).max()
    around = surroundings(region, width=2 * cell)
    contrasts, (own, others) = region_contrast(usual.images, region, around), difference(image, region, usual.images)
    known = usual.colours.ravel()[colour_of(image[:, region])]
    return RegionAppearance(int(region.sum()), float(region.sum() / cell**2), float(region.sum() / thickness**2),
                float(region_contrast(image[None], region, around)[0]), float(np.quantile(contrasts, 0.95)),
                own, float(np.quantile(others, 0.95)), float(known.mean()), usual.alignment)


def surroundings(region: np.ndarray, *, width: float, gap: float = 2) -> np.ndarray:
    """A ring around a region, (H, W) bool; the gap is for its blurred edge. Everything outside if there is no room."""
    away = distance_to(region)
    ring = (away > gap) & (away <= gap + width)
    return ring if ring.any() else ~region


def sample(area: np.ndarray) -> np.ndarray:
    """Flat indices of pixels of a (H, W) bool area, at most `SAMPLE` of them, spread evenly."""
    at = np.flatnonzero(area)
    return at[:: max(1, -(-len(at) // SAMPLE))]


def region_contrast(images: np.ndarray, region: np.ndarray, around: np.ndarray, *, steps: int = 20) -> np.ndarray:
    """(M,) distance between the colours of two areas: how far sorted values lie apart (Wasserstein-1), largest channel.

    Unlike the difference of means, it sees a groove with a bright and a dark flank.
    """
    if not around.any():
        return np.zeros(len(images))
    flat, at = images.reshape(len(images), 3, -1), (np.arange(steps) + 0.5) / steps
    inside, outside = (np.sort(flat[:, :, i], axis=-1)[:, :, (at * len(i)).astype(int)]      # (M, 3, steps)
                       for i in (sample(region), sample(around)))
    return np.abs(inside - outside).mean(axis=-1).max(axis=-1)


def difference(image: np.ndarray, region: np.ndarray, normal: np.ndarray) -> tuple[float, np.ndarray]:
    """How far a region is from that of the most similar normal image, and each of those from its own nearest other.

    Mean absolute difference of colours. The nearest, not the mean: being like one of them is enough to be normal.
    """
    at, m = sample(region), len(normal)
    flat = normal.reshape(m, 3, -1)[:, :, at].reshape(m, -1)        # (M, 3, H, W) -> (M, 3 P)
    own = cdist(image.reshape(3, -1)[:, at].reshape(1, -1), flat, "cityblock").min()
    others = (cdist(flat, flat, "cityblock") + np.diag(np.full(m, inf))).min(axis=1) if m > 1 else np.zeros(1)
    return float(own / flat.shape[1]), others / flat.shape[1]


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
    region: RegionAppearance | None         # the largest region of the mask
    spot: RegionAppearance                  # where the map peaks


def measure(image: np.ndarray, mask: np.ndarray | None, level: np.ndarray, usual: NormalStatistics, *, cell: float, kind: str,
            margin: float = nan, loudest: float = nan) -> Facts:
    """Facts about one image and one map.

    Parameters
    ----------
    image : (3, H, W) float array in [0, 1]
    mask : (H, W) bool array, or None
        None or empty where no region is known.
    level : (H, W) float array
        The map in normal units.
    usual : Usual
    cell : float
        Side of a position of level 1 in pixels of the map: 4 at an image size of 256, 8 at 128.
    kind : str
        One of `KINDS`.
    margin, loudest : float
        Of `margins`: this image's, and the loudest validation image's.
    """
    at_peak, known = spot(level), mask is not None and bool(mask.any())
    away = distance_to(mask) / cell if known else np.full(level.shape, nan)
    near, response = away <= REACH, np.maximum(level, 0)
    quiet = level[~near & (distance_to(at_peak) / cell > REACH)]
    share = response[near].sum() / max(response.sum(), 1e-12)
    return Facts(kind, margin, loudest, share=float(share) if known else nan, area=float(near.mean()) if known else nan,
                 peak=float(level.max()), background=float(np.quantile(quiet, 0.999)) if quiet.size else nan,
                 distance=float(away.flat[level.argmax()]),
                 region=measure_appearance(image, largest_region(mask), usual, cell=cell) if known else None,
                 spot=measure_appearance(image, at_peak, usual, cell=cell))


def distance_to(area: np.ndarray) -> np.ndarray:
    """(H, W) pixels from each position to a bool area that is not empty, 0 inside it."""
    return ndimage.distance_transform_edt(~area)


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
    """Causes that the facts suggest, the likeliest first. Of the rules of a kind at least one always holds."""
    region, spot = facts.region, facts.spot
    loud = facts.background >= max(LOUD, facts.peak / 2)
    if facts.kind in (FALSE_ALARM, ELSEWHERE):
        rules = {
            RANGE: facts.margin <= facts.loudest,
            NOISY: loud or not spot.striking or facts.distance <= REACH,
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
            NOISY: facts.distance <= REACH or loud,     # it stands out, but so do normal places
            BLIND: region.visible and facts.distance > REACH,
        }
    return [cause for cause, holds in rules.items() if holds]


@dataclass(frozen=True)
class Failure:
    index: int                  # which test image
    facts: Facts
    causes: list[str]           # as suggested

    @property
    def kind(self) -> str:
        return self.facts.kind


def find_failures(pixels: np.ndarray, masks: ArrayLike | None, labels: ArrayLike, levels: np.ndarray,
                  found: np.ndarray, alone: np.ndarray, usual: NormalStatistics, *, cell: float,
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
    usual, cell, loudest
        As in `measure`.
    """
    failures = []
    for i in np.argsort(-np.abs(found), kind="stable"):
        if kind := kind_of(labels[i], found[i], alone[i]):
            facts = measure(pixels[i], None if masks is None else np.asarray(masks[i]), levels[i], usual, cell=cell,
                            kind=kind, margin=float(found[i]), loudest=loudest)
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
    for i in range(len(maps)) if masks is not None else []:
        if masks[i].any():
            silenced[i][torch.from_numpy(distance_to(masks[i].numpy()) > REACH * cell)] = maps[i].min()
    return silenced


# Psychometric curves -------------------------------------------------------------------------------------------------


def paint_discs(images: Tensor, centres: ArrayLike, *, diameter: float, contrast: float, side: int = 256) -> Tensor:
    """A disc on each image, brighter than a dark place and darker than a bright one, whatever its size.

    Parameters
    ----------
    images : (N, 3, S, S) uint8 tensor
    centres : (N, 2) array
        Row and column, in pixels of a `side` x `side` grid, as is the diameter.
    contrast : float
        What is added to, or subtracted from, colours in [0, 1] in the middle of the disc.

    Returns
    -------
    (N, 3, S, S) float tensor in [0, 1]
    """
    size, grid = images.shape[-1], torch.arange(side) + 0.5
    y, x = torch.as_tensor(np.asarray(centres), dtype=torch.float32).T[..., None, None]     # (2, N, 1, 1)
    away = ((grid[:, None] - y) ** 2 + (grid - x) ** 2).sqrt()                              # (N, side, side)
    alpha = (0.5 + diameter / 2 - away).clamp(0, min(1.0, diameter))[:, None]
    alpha = F.interpolate(alpha, size=(size, size), mode="area")
    pixels = images.float() / 255
    around = F.interpolate((away <= VICINITY / 2)[:, None].float(), size=(size, size), mode="area")
    bright = (pixels * around).sum(dim=(1, 2, 3), keepdim=True) > 0.5 * 3 * around.sum(dim=(1, 2, 3), keepdim=True)
    return (pixels + contrast * alpha * torch.where(bright, -1.0, 1.0)).clamp(0, 1)


def wilson(hits: ArrayLike, n: int, *, z: float = 1.96) -> tuple[np.ndarray, np.ndarray]:
    """95 % interval of a probability after `hits` of `n` (Wilson 1927); it has a width even at 0 and at n."""
    p = np.asarray(hits) / n
    middle, half = p + z**2 / (2 * n), z * np.sqrt(p * (1 - p) / n + z**2 / (4 * n**2))
    return tuple(np.clip((middle + sign * half) / (1 + z**2 / n), 0, 1) for sign in (-1, 1))


def smallest_seen(diameters: ArrayLike, rates: ArrayLike, *, level: float = 0.5) -> float:
    """Diameter at which the detection rate first reaches a level, interpolated over its logarithm; NaN if it never is.

    The smallest diameter itself where its rate is that high already.
    """
    d, p = np.log(np.asarray(diameters, float)), np.asarray(rates, float)
    if not (p >= level).any():
        return nan
    k = int((p >= level).argmax())
    return float(np.exp(d[0] if k == 0 else d[k - 1] + (level - p[k - 1]) / (p[k] - p[k - 1]) * (d[k] - d[k - 1])))


def equal_threshold(normal_scores: ArrayLike, rate: float) -> float:
    """The threshold at which a share of at most `rate` of these normal scores alarms (score >= threshold)."""
    scores = np.sort(np.asarray(normal_scores))
    allowed = int(rate * len(scores) + 1e-9)
    if allowed >= len(scores):
        return float(scores[0])
    return float(np.nextafter(scores[len(scores) - allowed - 1], inf))      # the next number of their own type

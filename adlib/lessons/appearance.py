"""Lesson 06: what can be seen at a region of an image, and what is usual at the same place on normal images.

Everything is measured at the maps' size, the images enlarged to it.
"""

from dataclasses import dataclass
from math import ceil, inf

import numpy as np
import torch.nn.functional as F
from scipy import ndimage
from scipy.spatial.distance import cdist
from torch import Tensor

ALIGNED = 0.5           # of `NormalStatistics.alignment`: from here on, parts can be missing
BARELY = 0.02           # black and white are 1 apart: five of 255 grey levels; less is not visible
CLEARLY = 1.5           # times the usual
COLOUR_STEPS, RARE = 16, 1e-4       # per channel; a colour that fewer normal pixels have is unfamiliar
SAMPLE = 500            # pixels of an area that are looked at: enough for a distribution

# Normal images


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
    counts = np.bincount(colour_of(pixels.transpose(1, 0, 2, 3)).ravel(), minlength=COLOUR_STEPS**3)
    known = (counts >= max(RARE * counts.sum(), 1)).reshape((COLOUR_STEPS,) * 3)
    known = ndimage.binary_dilation(known)      # one step beside is the same colour with noise
    return NormalStatistics(pixels, float(alignment), known)


def enlarge(images: Tensor, side: int = 256) -> np.ndarray:
    """(N, 3, S, S) uint8 images as (N, 3, side, side) float32 in [0, 1]."""
    return F.interpolate(images.float() / 255, size=(side, side), mode="bilinear", antialias=True).numpy()


def colour_of(pixels: np.ndarray) -> np.ndarray:
    """(3, ...) colours in [0, 1] as one number each, 0 to 4095."""
    steps = np.clip((pixels * COLOUR_STEPS).astype(int), 0, COLOUR_STEPS - 1)
    return (steps[0] * COLOUR_STEPS + steps[1]) * COLOUR_STEPS + steps[2]


# A region


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
    aligned: float              # `NormalStatistics.alignment`

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


def measure_appearance(image: np.ndarray, region: np.ndarray, normal: NormalStatistics, *,
                       cell: float) -> RegionAppearance:
    """Measure a region of a (3, H, W) float image; `region` is (H, W) bool, not empty; `cell` the side of a cell."""
    thickness = 2 * ndimage.distance_transform_edt(np.pad(region, 1)).max()
    around = surroundings(region, width=2 * cell)
    usual_contrasts = region_contrast(normal.images, region, around)
    own_difference, usual_differences = difference(image, region, normal.images)
    familiar = normal.colours.ravel()[colour_of(image[:, region])]
    return RegionAppearance(
        pixels=int(region.sum()), cells=float(region.sum() / cell**2), elongation=float(region.sum() / thickness**2),
        contrast=float(region_contrast(image[None], region, around)[0]),
        usual_contrast=float(np.quantile(usual_contrasts, 0.95)),
        difference=own_difference, usual_difference=float(np.quantile(usual_differences, 0.95)),
        familiar=float(familiar.mean()), aligned=normal.alignment)


def surroundings(region: np.ndarray, *, width: float, gap: float = 2) -> np.ndarray:
    """A ring around a region, (H, W) bool; the gap is for its blurred edge. Everything outside if there is no room."""
    away = distance_to(region)
    ring = (away > gap) & (away <= gap + width)
    return ring if ring.any() else ~region


def sample(area: np.ndarray) -> np.ndarray:
    """Flat indices of pixels of a (H, W) bool area, at most `SAMPLE` of them, spread evenly."""
    at = np.flatnonzero(area)
    return at[:: max(1, ceil(len(at) / SAMPLE))]


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
    if m == 1:
        return float(own / flat.shape[1]), np.zeros(1)
    among = cdist(flat, flat, "cityblock")
    np.fill_diagonal(among, inf)        # itself does not count
    return float(own / flat.shape[1]), among.min(axis=1) / flat.shape[1]


def distance_to(area: np.ndarray) -> np.ndarray:
    """(H, W) pixels from each position to a bool area that is not empty, 0 inside it."""
    return ndimage.distance_transform_edt(~area)

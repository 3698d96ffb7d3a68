"""Lesson 06: the smallest defect that a detector sees, with discs painted on images; and images that are moved."""

from math import inf, nan

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import ArrayLike
from torch import Tensor

VICINITY = 32           # pixels: how much around a place says whether it is bright


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


def move(images: Tensor, pixels: int) -> Tensor:
    """(N, 3, S, S) images moved down and right by less than S pixels, mirrored at the upper and the left border."""
    source = (torch.arange(images.shape[-1]) - pixels).abs()
    return images[..., source, :][..., source]


def wilson(hits: ArrayLike, n: int, *, z: float = 1.96) -> tuple[np.ndarray, np.ndarray]:
    """95 % interval of a probability after `hits` of `n` (Wilson 1927); it has a width even at 0 and at n."""
    p = np.asarray(hits) / n
    middle, half = p + z**2 / (2 * n), z * np.sqrt(p * (1 - p) / n + z**2 / (4 * n**2))
    low, high = ((middle + sign * half) / (1 + z**2 / n) for sign in (-1, 1))
    return np.clip(low, 0, 1), np.clip(high, 0, 1)


def smallest_seen(diameters: ArrayLike, rates: ArrayLike, *, level: float = 0.5) -> float:
    """Diameter at which the detection rate first reaches a level, interpolated over its logarithm; NaN if it never is.

    The smallest diameter itself where its rate is that high already.
    """
    d, p = np.log(np.asarray(diameters, float)), np.asarray(rates, float)
    if not (p >= level).any():
        return nan
    k = int((p >= level).argmax())
    if k == 0:
        return float(np.exp(d[0]))
    return float(np.exp(d[k - 1] + (level - p[k - 1]) / (p[k] - p[k - 1]) * (d[k] - d[k - 1])))


def equal_threshold(normal_scores: ArrayLike, rate: float) -> float:
    """The threshold at which a share of at most `rate` of these normal scores alarms (score >= threshold)."""
    scores = np.sort(np.asarray(normal_scores))
    allowed = int(rate * len(scores) + 1e-9)
    if allowed >= len(scores):
        return float(scores[0])
    return float(np.nextafter(scores[len(scores) - allowed - 1], inf))      # the next number of their own type

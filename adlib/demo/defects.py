"""The demo set's defects: what each does to an image, and exactly where.

Shapes are random walks and outlines from a few random Fourier radii. None is cut from Perlin noise: methods that
train on Perlin anomalies would meet their own training data.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from PIL import Image, ImageDraw
from scipy.ndimage import binary_closing, binary_fill_holes, distance_transform_edt, gaussian_filter, shift

from adlib.demo.render import SIZE

VISIBLE = 0.12  # alpha from which a pixel belongs to the defect; below it the normal image is left as it was
Y, X = np.mgrid[:SIZE, :SIZE].astype(np.float32) + np.float32(0.5)


Painted = tuple[np.ndarray, np.ndarray]     # (256, 256, 3) with the defect; (256, 256) how much of it is where


@dataclass(frozen=True)
class Place:
    """Where a painted defect may be, and how it is lit.

    `support` is (256, 256) in [0, 1]; `light` the lamp's azimuth in radians; `ground` the usual colour there.
    """

    support: np.ndarray
    light: float
    ground: np.ndarray


def scratch(rng: Generator, image: np.ndarray, place: Place, strength: float, size: float) -> Painted:
    """A thin, slightly bent groove: one flank bright, the other dark."""
    path = curve(rng, pick(rng, place.support, size * 0.3), size, bend=0.35)
    taper = np.interp(np.linspace(0, 1, len(path)), [0, 0.2, 0.8, 1], [0.5, 1.0, 1.0, 0.4])
    core = stroke(path, taper * (1 + size / 130))
    flank = moved(core, place.light, 1.1)
    alpha = np.maximum(core, 0.8 * flank) * place.support
    polarity = 1 if place.ground.mean() < 0.7 else -1
    relief = (0.55 * polarity * core - 0.30 * flank * (1 - core)) * place.support
    return image + strength * relief[..., None], alpha


def crack(rng: Generator, image: np.ndarray, place: Place, strength: float, size: float) -> Painted:
    """A branching crack: a jagged walk that thins out, with shorter walks that leave it."""
    heading = rng.uniform(0, 2 * np.pi)
    start = pick(rng, place.support, size * 0.3) - 0.4 * size * np.array([np.cos(heading), np.sin(heading)])
    core = np.zeros((SIZE, SIZE), np.float32)
    for path, width in branches(rng, start, heading, size, 1.4 + size / 90):
        core = np.maximum(core, stroke(path, np.linspace(width, 0.5, len(path))))
    lip = moved(core, place.light + np.pi, 1.2) * (1 - core)  # the far lip catches the light
    shade = (0.80 * core * np.clip(0.3 + image.mean(-1), 0.3, 1) - 0.16 * lip) * place.support
    return image - strength * shade[..., None], np.maximum(core, 0.6 * lip) * place.support


def branches(rng, start, heading, length, width, depth=0):
    """Paths of a crack and of what leaves it, each with its width."""
    path = random_walk(rng, start, heading, length)
    yield path, width
    for _ in range(int(rng.integers(2, 4)) if depth == 0 else int(rng.integers(0, 2)) * (depth < 2)):
        i = int(rng.integers(len(path) // 5, max(4 * len(path) // 5, len(path) // 5 + 1)))
        turn = rng.choice([-1, 1]) * rng.uniform(0.5, 1.1)
        yield from branches(rng, path[i], heading + turn, length * rng.uniform(0.25, 0.5), width * 0.7, depth + 1)


def stain(rng: Generator, image: np.ndarray, place: Place, strength: float, size: float) -> Painted:
    """A dried liquid: a tint that multiplies, darker along its irregular edge."""
    tint = np.array([(0.45, 0.33, 0.20), (0.30, 0.30, 0.28), (0.55, 0.40, 0.22)][rng.integers(3)], np.float32)
    distance, _ = outline(rng, pick(rng, place.support, size * 0.4), size / 2, rough=0.13)
    soft = 2 + size / 14
    alpha = np.clip(0.5 - distance / soft, 0, 1) * place.support
    film = 0.80 + 0.28 * np.exp(-(((distance + soft * 0.8) / (soft * 0.7)) ** 2))
    return image * (1 - strength * (alpha * film)[..., None] * (1 - tint)), alpha


def hole(rng: Generator, image: np.ndarray, place: Place, strength: float, size: float) -> Painted:
    """A dark opening: its near wall in shadow, its far rim lit."""
    distance, _ = outline(rng, pick(rng, place.support, size * 0.5), size / 2, rough=0.09)
    alpha = np.clip(0.6 - distance / 1.6, 0, 1) * place.support
    dx, dy = X - X[distance < 0].mean(), Y - Y[distance < 0].mean()
    across = (np.cos(place.light) * dx + np.sin(place.light) * dy) / size
    depth = np.clip(-distance / (0.35 * size), 0, 1)
    inner = image * np.clip(0.42 - 0.30 * depth - 0.35 * across, 0.05, 0.9)[..., None]
    rim = np.exp(-((distance / 1.3) ** 2)) * np.clip(-across * 2.2, 0, 1)
    rim *= place.support
    out = image + strength * alpha[..., None] * (inner - image) + strength * 0.35 * rim[..., None]
    return out, np.maximum(alpha, rim)


def dent(rng: Generator, image: np.ndarray, place: Place, strength: float, size: float) -> Painted:
    """A shallow hollow that only changes the shading: dark towards the lamp, bright opposite."""
    distance, radius = outline(rng, pick(rng, place.support, size * 0.4), size / 2, rough=0.07)
    bowl = np.clip(-distance / radius, 0, 1)
    bowl = gaussian_filter(bowl * bowl * (3 - 2 * bowl), 1)
    gy, gx = np.gradient(bowl * radius)
    slope = (gx * np.cos(place.light) + gy * np.sin(place.light)).astype(np.float32)
    alpha = np.clip(1.6 * bowl**0.5, 0, 1) * place.support
    relief = np.tanh(slope - 0.15 * bowl)
    relief = np.where(relief > 0, 0.6 * relief, relief)
    return image * (1 + strength * 0.55 * (alpha * relief)[..., None]), alpha


def foreign_fibre(rng: Generator, image: np.ndarray, place: Place, strength: float, size: float) -> Painted:
    """A coloured thread that lies on the surface, bent, rounded by light, with a soft shadow beside it."""
    colour = np.array([(0.75, 0.12, 0.14), (0.12, 0.22, 0.70), (0.06, 0.06, 0.08), (0.85, 0.62, 0.10)][rng.integers(4)])
    path = curve(rng, pick(rng, place.support, size * 0.2), size, bend=1.5)
    width = 1.2 + size / 80
    core = stroke(path, np.full(len(path), width)) * place.support
    glint = moved(stroke(path, np.full(len(path), 0.35 * width)), place.light, -0.3 * width) * place.support
    cast = gaussian_filter(moved(core, place.light, 1.5 + 0.5 * width), 1.0) * (1 - core) * place.support
    thread = colour * (0.75 + 0.4 * glint[..., None])
    out = image * (1 - 0.45 * strength * cast[..., None])
    return out + strength * core[..., None] * (thread - out), np.maximum(core, 0.7 * cast)


def wrong_colour(rng: Generator, image: np.ndarray, place: Place, strength: float, size: float) -> Painted:
    """A stone, or a patch with corners, of another colour; its own light and dark stay."""
    hue = np.array([(1.25, 0.62, 0.50), (0.55, 0.80, 1.30), (1.30, 1.12, 0.45), (0.60, 1.15, 0.70)][rng.integers(4)])
    corners = int(rng.integers(5, 8))
    distance, _ = outline(rng, pick(rng, place.support, size * 0.4), size / 2, rough=0.05, corners=corners)
    alpha = np.clip(0.5 - distance / 1.5, 0, 1) * place.support
    other = image.mean(-1, keepdims=True) * hue
    return image + strength * alpha[..., None] * (other - image), alpha


@dataclass(frozen=True)
class Defect:
    """How to paint a defect, and its range: (strong, weak) strength, (large, small) size in pixels."""

    paint: Callable
    strength: tuple[float, float]
    size: tuple[float, float]


PAINTED = {
    "scratch": Defect(scratch, (1.0, 0.22), (190, 40)),
    "crack": Defect(crack, (1.0, 0.25), (150, 36)),
    "stain": Defect(stain, (0.80, 0.14), (130, 32)),
    "hole": Defect(hole, (1.0, 0.28), (52, 12)),
    "dent": Defect(dent, (1.0, 0.22), (96, 28)),
    "foreign_fibre": Defect(foreign_fibre, (0.95, 0.28), (210, 44)),
    "wrong_colour": Defect(wrong_colour, (0.9, 0.12), (76, 20)),
}


def paint(name: str, rng: Generator, image: np.ndarray, place: Place, level: float, *, strength_factor: float = 1.0,
          size_factor: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """Put a defect on `image`; `level` runs from 0, obvious, to 1, barely visible.

    Contrast falls with the level. Size falls more slowly and alternates around its trend, so that both are swept
    and neither follows from the other.

    Returns
    -------
    (256, 256, 3) float32 image, equal to the given one outside the mask; (256, 256) bool mask
    """
    kind = PAINTED[name]
    strength = min(strength_factor * kind.strength[0] * (kind.strength[1] / kind.strength[0]) ** level**1.4, 1.0)
    size = kind.size[0] * (kind.size[1] / kind.size[0]) ** np.clip(0.62 * level + rng.uniform(0, 0.38), 0, 1)
    for _ in range(20):  # a shape can slip off a narrow support
        painted, alpha = kind.paint(rng, image, place, np.float32(strength), size * size_factor)
        painted = np.clip(painted, 0, 1).astype(np.float32)
        mask = (alpha > VISIBLE) & (np.abs(painted - image).max(-1) > 1 / 255)
        mask = binary_fill_holes(binary_closing(mask)) & (alpha > VISIBLE)
        if mask.sum() >= 12:
            return np.where(mask[..., None], painted, image), mask
    raise RuntimeError(f"{name}: found no place for a defect of {size * size_factor:.0f} px in its support")


def swapped(normal: np.ndarray, changed: np.ndarray,
            footprints: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """A part that is missing, elsewhere or of another colour: the changed drawing wherever that shows.

    The mask is where the part is and should be (`footprints`), and what its shadow changed.
    """
    mask = np.abs(changed - normal).max(-1) > 8 / 255
    for cover in footprints:
        mask |= cover > 0.5
    mask = binary_fill_holes(binary_closing(mask) | mask)
    return np.where(mask[..., None], changed, normal), mask


def dust(rng: Generator, image: np.ndarray, place: Place) -> tuple[np.ndarray, np.ndarray]:
    """Harmless dust and lint, on normal images too: pale, and smaller and fainter than a foreign fibre."""
    alpha = np.zeros((SIZE, SIZE), np.float32)
    for _ in range(int(rng.integers(3, 9))):
        x, y = rng.uniform(4, SIZE - 4, 2)
        r = rng.uniform(0.5, 1.2)
        alpha = np.maximum(alpha, rng.uniform(0.25, 0.6) * np.clip(r + 0.5 - np.hypot(X - x, Y - y), 0, 1))
    for _ in range(int(rng.integers(0, 3))):
        path = curve(rng, rng.uniform(20, SIZE - 20, 2), rng.uniform(8, 20), bend=1.2)
        alpha = np.maximum(alpha, rng.uniform(0.22, 0.45) * stroke(path, np.full(len(path), 0.8)))
    pale = np.clip(place.ground + np.float32(0.28), 0, 0.95)
    return (image + alpha[..., None] * (pale - image)).astype(np.float32), alpha > VISIBLE


# Geometry


def pick(rng: Generator, support: np.ndarray, margin: float) -> np.ndarray:
    """A random point (x, y) of the support, away from the image's border and, where it can, from the support's."""
    margin = int(np.clip(margin, 6, 70))
    if support.min() < 0.5:
        depth = distance_transform_edt(support > 0.5)
        support = depth > min(0.8 * margin, 0.6 * depth[6:-6, 6:-6].max())
        margin = 6
    y, x = np.nonzero(support[margin : SIZE - margin, margin : SIZE - margin] > 0.9)
    k = rng.integers(len(y))
    return np.array([x[k] + margin, y[k] + margin], np.float64)


def curve(rng: Generator, middle: np.ndarray, length: float, bend: float) -> np.ndarray:
    """A smooth curve through `middle`, (N, 2): a heading that sways by up to about `bend` radians."""
    n = max(int(length), 6)
    s = np.linspace(0, 1, n)
    heading = rng.uniform(0, 2 * np.pi) + bend * rng.uniform(0.4, 1) * np.sin(
        2 * np.pi * rng.uniform(0.3, 0.9) * s + rng.uniform(0, 2 * np.pi))
    heading += 0.25 * bend * np.sin(2 * np.pi * rng.uniform(1, 2.2) * s + rng.uniform(0, 2 * np.pi))
    path = np.cumsum(np.stack([np.cos(heading), np.sin(heading)], 1), axis=0) * length / n
    return path - path[n // 2] + middle


def random_walk(rng: Generator, start: np.ndarray, heading: float, length: float) -> np.ndarray:
    """A jagged walk from `start`: short straight pieces, the heading pulled back to its course."""
    steps = rng.uniform(1.5, 4.5, max(int(length / 3), 3))
    headings = heading + np.cumsum(rng.normal(0, 0.16, len(steps))) + rng.normal(0, 0.45, len(steps))
    return start + np.cumsum(np.stack([np.cos(headings), np.sin(headings)], 1) * steps[:, None], axis=0)


def stroke(path: np.ndarray, widths: np.ndarray) -> np.ndarray:
    """An anti-aliased line of varying width: drawn four times as large and averaged. (256, 256) in [0, 1]."""
    paper = Image.new("L", (4 * SIZE, 4 * SIZE))
    pen = ImageDraw.Draw(paper)
    for a, b, w in zip(path[:-1], path[1:], widths, strict=False):
        pen.line([*(4 * a), *(4 * b)], 255, width=max(round(4 * w), 1))
        r = 2 * w
        pen.ellipse([4 * b[0] - r, 4 * b[1] - r, 4 * b[0] + r, 4 * b[1] + r], 255)
    return np.asarray(paper.reduce(4), np.float32) / 255


def outline(rng: Generator, centre: np.ndarray, radius: float, rough: float,
            corners: int = 0) -> tuple[np.ndarray, float]:
    """Signed distance (about) to a closed irregular outline, negative inside, and its mean radius."""
    dx, dy = X - centre[0], Y - centre[1]
    phi = np.arctan2(dy, dx)
    turn = rng.uniform(0, 2 * np.pi)
    stretch = rng.uniform(0.75, 1.0)
    harmonics = np.arange(2, 8)
    sizes, phases = rng.normal(0, rough, 6) / harmonics**0.8, rng.uniform(0, 2 * np.pi, 6)
    r = 1 + sum(a * np.cos(k * phi + p) for a, k, p in zip(sizes, harmonics, phases, strict=True))
    r *= stretch / np.sqrt((stretch * np.cos(phi - turn)) ** 2 + np.sin(phi - turn) ** 2)
    if corners:
        sector = np.pi / corners
        r *= np.cos(sector) / np.cos((phi + turn) % (2 * sector) - sector) * 1.1
    return (np.hypot(dx, dy) - radius * r).astype(np.float32), radius


def moved(alpha: np.ndarray, azimuth: float, distance: float) -> np.ndarray:
    """A field shifted away from the lamp."""
    return shift(alpha, (-distance * np.sin(azimuth), -distance * np.cos(azimuth)), order=1)

"""A small renderer for the demo set's objects: a height field, its colours and its gloss under one lamp.

Lengths are in pixels of the drawing board (`BOARD` wide); the camera sees its middle 512 x 512, two to an image pixel.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from scipy.ndimage import gaussian_filter, shift

SIZE = 256
BOARD = 600


@dataclass(frozen=True)
class Part:
    """One thing that can be absent, chipped, elsewhere, turned or of another colour.

    `bite` is the radius of a chip, `bite_at` where on the part's edge it broke off (degrees).
    """

    kind: str
    x: float
    y: float
    w: float
    h: float
    angle: float = 0.0
    colour: tuple[float, ...] = (0.5, 0.5, 0.5)
    label: str = ""
    present: bool = True
    bite: float = 0.0
    bite_at: float = 0.0


@dataclass
class Canvas:
    """What the light falls on: height (S, S) in pixels, colour (S, S, 3), gloss (S, S)."""

    height: np.ndarray
    colour: np.ndarray
    gloss: np.ndarray

    def paint(self, where, alpha, colour=None, *, gloss=None, height=None):
        """Blend colour, gloss and height into the window `where`, as far as `alpha` covers it."""
        if colour is not None:
            self.colour[where] += alpha[..., None] * (np.asarray(colour, np.float32) - self.colour[where])
        if gloss is not None:
            self.gloss[where] += alpha * (gloss - self.gloss[where])
        if height is not None:
            self.height[where] += alpha * (height - self.height[where])


def through_camera(board: np.ndarray, pose: tuple[float, float, float]) -> np.ndarray:
    """The posed board, (S, S, C) -> (256, 256, C); averaging 2 x 2 pixels is the anti-aliasing."""
    dx, dy, turn = pose
    c, s = np.cos(np.deg2rad(turn)), np.sin(np.deg2rad(turn))
    m, n = BOARD / 2, SIZE
    affine = (c, s, m - c * (n + dx) - s * (n + dy), -s, c, m + s * (n + dx) - c * (n + dy))
    planes = [Image.fromarray(np.ascontiguousarray(board[..., k])) for k in range(board.shape[2])]
    turned = [p.transform((2 * n, 2 * n), Image.Transform.AFFINE, affine, Image.Resampling.BILINEAR) for p in planes]
    return np.stack([np.asarray(p.reduce(2)) for p in turned], -1)


def shade(canvas: Canvas, azimuth: float, *, elevation: float = 0.9, ambient: float = 0.42) -> np.ndarray:
    """Diffuse light, a broad and a tight highlight, and a soft cast shadow: (S, S, 3)."""
    towards = np.array([np.cos(azimuth) * np.cos(elevation), np.sin(azimuth) * np.cos(elevation), np.sin(elevation)])
    towards = towards.astype(np.float32)
    gy, gx = np.gradient(canvas.height)
    norm = 1 / np.sqrt(gx * gx + gy * gy + 1)
    lit = shadow(canvas.height, towards)
    diffuse = np.clip((towards[2] - gx * towards[0] - gy * towards[1]) * norm, 0, None) / towards[2]
    half = towards + np.array([0, 0, 1], np.float32)
    half /= np.linalg.norm(half)
    broad = np.clip((half[2] - gx * half[0] - gy * half[1]) * norm, 0, 1) ** 10
    highlight = canvas.gloss * lit * (0.30 * broad + 0.9 * broad**7)
    return canvas.colour * (ambient + (1 - ambient) * diffuse * lit)[..., None] + highlight[..., None]


def shadow(height: np.ndarray, towards: np.ndarray, *, steps: int = 7, stride: float = 5.0) -> np.ndarray:
    """How much direct light reaches each pixel: the height is looked up in a few steps towards the light."""
    flat = np.hypot(towards[0], towards[1])
    low = gaussian_filter(height, 1)[::2, ::2]  # half size: a shadow's edge is soft anyway
    blocked = np.zeros_like(low)
    for k in range(1, steps + 1):
        way = k * stride
        seen = shift(low, (-way / 2 * towards[1] / flat, -way / 2 * towards[0] / flat), order=1, mode="nearest")
        blocked = np.maximum(blocked, np.clip((seen - low - way * towards[2] / flat) / 5, 0, 1))
    full = Image.fromarray(gaussian_filter(blocked, 1.2)).resize(height.shape[::-1], Image.Resampling.BILINEAR)
    return 1 - 0.75 * np.asarray(full)


# Shapes: signed distances in pixels, negative inside


def inside(distance):
    return np.clip(0.5 - distance, 0, 1).astype(np.float32)


def rounded_box(u, v, w, h, corner=0.0):
    a, b = np.abs(u) - w / 2 + corner, np.abs(v) - h / 2 + corner
    return np.hypot(np.maximum(a, 0), np.maximum(b, 0)) + np.minimum(np.maximum(a, b), 0) - corner


def hexagon(u, v, apothem):
    return np.max([np.abs(u * np.cos(t) + v * np.sin(t)) for t in (0, np.pi / 3, 2 * np.pi / 3)], axis=0) - apothem


def window(part: Part):
    """The board's slice around a part, and that slice's coordinates in the part's own axes."""
    r = int(max(part.w, part.h + 30) / 2 * 1.25) + 4
    y0, y1 = max(int(part.y) - r, 0), min(int(part.y) + r, BOARD)
    x0, x1 = max(int(part.x) - r, 0), min(int(part.x) + r, BOARD)
    y, x = np.mgrid[y0:y1, x0:x1].astype(np.float32) + np.float32(0.5)
    c = np.float32(np.cos(np.deg2rad(part.angle)))
    s = np.float32(np.sin(np.deg2rad(part.angle)))
    u, v = x - np.float32(part.x), y - np.float32(part.y)
    return (slice(y0, y1), slice(x0, x1)), c * u + s * v, -s * u + c * v


def letters(text: str, size: int, u, v) -> np.ndarray:
    """Ink of a centred text in a part's axes, sampled from a drawing of it."""
    ink = _ink(text, size)
    y = np.clip(v + ink.shape[0] / 2, 0, ink.shape[0] - 1).astype(int)
    x = np.clip(u + ink.shape[1] / 2, 0, ink.shape[1] - 1).astype(int)
    return ink[y, x]


@lru_cache(maxsize=256)
def _ink(text: str, size: int) -> np.ndarray:
    font = ImageFont.load_default(size)
    left, top, right, bottom = font.getbbox(text)
    paper = Image.new("L", (right - left + 6, bottom - top + 6))
    ImageDraw.Draw(paper).text((3 - left, 3 - top), text, 255, font)
    return np.asarray(paper, np.float32) / 255


def grain(rng: np.random.Generator, sigma, shape=(BOARD, BOARD)) -> np.ndarray:
    """Smoothed white noise of unit deviation: the roughness of a surface."""
    small = 4 if np.min(sigma) >= 4 else 1  # smooth noise needs few samples
    noise = rng.standard_normal([n // small for n in shape], dtype=np.float32)
    noise = gaussian_filter(noise, np.divide(sigma, small), mode="wrap", truncate=3)
    noise /= noise.std()
    return noise if small == 1 else np.asarray(Image.fromarray(noise).resize(shape[::-1], Image.Resampling.BICUBIC))

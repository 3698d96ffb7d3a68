"""Perlin noise by hand: lattice, rotation, threshold and opacity of a synthetic anomaly, moved one by one."""

import zlib

import numpy as np
import torch
import traitlets
from numpy.typing import ArrayLike

from adlib import metrics, perlin
from adlib.explorer.page import Playground, read_script

CELLS = [2**k for k in range(*perlin.EXPONENTS)]


def uniform_of_seed(seed: int, n: int) -> np.ndarray:
    """(n,) numbers in [0, 1), the same in Python and in a browser (mulberry32)."""
    low = 2**32 - 1
    a = (seed + np.arange(1, n + 1, dtype=np.uint64) * 0x6D2B79F5) & low
    t = ((a ^ (a >> 15)) * (1 | a)) & low
    t = ((t + (((t ^ (t >> 7)) * (61 | t)) & low)) & low) ^ t
    return (t ^ (t >> 14)) / 2**32


class PerlinPlayground(Playground):
    """Show how noise becomes a mask, and a mask an anomaly (DeSTSeg), on one image.

    Parameters
    ----------
    image : (3, S, S) uint8 array or tensor
        A normal image; S a multiple of 32.
    textures : (T, 3, S, S) uint8 array or tensor
    names : list of T str, optional

    Attributes
    ----------
    cells : [int, int]
        Of the lattice, along y and x: 1, 2, 4, ..., 32.
    threshold, rotation, opacity : float
        The mask is where the noise, turned by so many degrees, is above the threshold; beta.
    seed, texture : int
    """

    STATE = ("cells", "threshold", "rotation", "opacity", "seed", "texture")
    title = "Perlin noise by hand"
    _esm = read_script("noise.js")
    cells = traitlets.List(traitlets.Enum(CELLS), [4, 4], minlen=2, maxlen=2).tag(sync=True)
    threshold = traitlets.Float(0.5).tag(sync=True)
    rotation = traitlets.Float(0.0, min=-180, max=180).tag(sync=True)
    opacity = traitlets.Float(1.0, min=0, max=1).tag(sync=True)
    seed = traitlets.Int(0, min=0, max=2**31 - 1).tag(sync=True)
    texture = traitlets.Int(0, min=0).tag(sync=True)

    def __init__(self, image: ArrayLike, textures: ArrayLike, names: list[str] | None = None):
        self.image, self.textures = np.asarray(image), np.asarray(textures)
        size = self.image.shape[-1]
        if self.image.shape != (3, size, size) or self.textures.shape[1:] != self.image.shape or size % CELLS[-1] or \
                self.image.dtype != np.uint8 or self.textures.dtype != np.uint8:
            raise ValueError(f"expected an image (3, S, S) and textures (T, 3, S, S), uint8 and S a multiple of "
                             f"{CELLS[-1]}, not {self.image.shape} and {self.textures.shape}")
        self.names = names or [f"texture {i}" for i in range(len(self.textures))]
        super().__init__()

    def gradients(self) -> torch.Tensor:
        """(2, P, P) y and x components at the lattice's points; those beyond the lattice are 0."""
        y, x = (n + 1 for n in self.cells)
        angles = torch.zeros(2, max(y, x), max(y, x), dtype=torch.float64)
        drawn = 2 * np.pi * torch.from_numpy(uniform_of_seed(self.seed, y * x)).reshape(y, x)
        angles[0, :y, :x], angles[1, :y, :x] = drawn.sin(), drawn.cos()
        return angles.float()

    def noise(self) -> torch.Tensor:
        """(S, S) the noise before it is turned."""
        return perlin.noise_from_gradients(self.gradients()[None], torch.tensor([self.cells]), self.image.shape[-1])[0]

    def mask(self) -> torch.Tensor:
        """(S, S) bool: where the turned noise is above the threshold."""
        return perlin.rotate(self.noise()[None, None], torch.tensor([self.rotation]))[0, 0] > self.threshold

    def blended(self) -> np.ndarray:
        """(3, S, S) uint8: the image with the texture in it."""
        image, texture = self.image.astype(float), self.textures[self.texture].astype(float)
        return (image + self.opacity * self.mask().numpy() * (texture - image)).round().astype(np.uint8)

    def numbers(self) -> dict[str, float]:
        """The share of the image that the mask covers, and how many regions it has."""
        mask = self.mask()
        return {"coverage": mask.float().mean().item(), "regions": int(metrics.label_regions(mask[None].numpy()).max())}

    def _contents(self, *, static: bool = False) -> tuple[dict, dict]:
        pictures = [zlib.compress(x.transpose(1, 2, 0).tobytes()) for x in (self.image, *self.textures)]
        return {"size": self.image.shape[-1], "textures": self.names}, {"pictures": pictures}

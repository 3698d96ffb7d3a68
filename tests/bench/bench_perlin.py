"""How fast `adlib.perlin.corrupt` is beside one image at a time: python tests/bench/bench_perlin.py [rounds]

256 px, batch 32, channels_last as in training. The other side is numpy in float32 and scipy.ndimage.rotate, without
loops over pixels or cells; the two take turns, so that whatever else the machine does meets both.
"""

import sys
import time

import numpy as np
import torch
from scipy.ndimage import rotate

from adlib.perlin import corrupt

SIZE, BATCH, TEXTURES = 256, 32, 70


def one_mask(rng: np.random.Generator) -> np.ndarray:
    """(S, S) bool: gradients by index arrays, the four corners blended, turned, compared."""
    ny, nx = 2 ** rng.integers(0, 6, 2)
    angle = rng.uniform(0, 2 * np.pi, (ny + 1, nx + 1)).astype(np.float32)
    gy, gx = np.sin(angle), np.cos(angle)
    (row, ty), (column, tx) = (np.divmod(np.arange(SIZE, dtype=np.float32) * n / SIZE, 1) for n in (ny, nx))
    row, column, ty, tx = row.astype(int)[:, None], column.astype(int)[None], ty[:, None], tx[None]
    corner = [[gy[row + p, column + q] * (ty - p) + gx[row + p, column + q] * (tx - q) for q in (0, 1)] for p in (0, 1)]
    fy, fx = (t**3 * (t * (6 * t - 15) + 10) for t in (ty, tx))
    top, bottom = (left + fx * (right - left) for left, right in corner)
    noise = np.float32(2**0.5) * (top + fy * (bottom - top))
    return rotate(noise, rng.uniform(-90, 90), reshape=False, order=1) > 0.5


def one_image(rng: np.random.Generator, image: np.ndarray, textures: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(S, S, 3) float32: the texture is read and blended only where the mask is."""
    mask, image = one_mask(rng), image.copy()
    texture, beta = textures[rng.integers(len(textures))], np.float32(rng.uniform(0.2, 1))
    image[mask] += beta * (texture[mask] / np.float32(255) - image[mask])
    return image, mask


def timed(act) -> float:
    start = time.perf_counter()
    act()
    return time.perf_counter() - start


def main(rounds: int = 20):
    generator, rng = torch.Generator().manual_seed(0), np.random.default_rng(0)
    textures = torch.randint(0, 256, (TEXTURES, 3, SIZE, SIZE), dtype=torch.uint8, generator=generator)
    textures = textures.contiguous(memory_format=torch.channels_last)
    images = torch.rand(BATCH, 3, SIZE, SIZE, generator=generator).contiguous(memory_format=torch.channels_last)
    arrays = [x.permute(0, 2, 3, 1).numpy() for x in (images, textures)]        # (N, S, S, 3), the same memory
    contestants = {
        "batched": lambda: corrupt(images, textures, generator=generator),
        "one by one": lambda: [one_image(rng, image, arrays[1]) for image in arrays[0]],
    }
    times = {name: [] for name in contestants}
    for _ in range(rounds):
        for name, act in contestants.items():
            times[name].append(timed(act))
    best = {name: min(t) for name, t in times.items()}
    print(f"{SIZE} px, batch {BATCH}, {torch.get_num_threads()} threads: "
          + ", ".join(f"{name} {BATCH / seconds:.0f} images/s" for name, seconds in best.items()))
    print(f"one by one / batched  {best['one by one'] / best['batched']:.1f}   (at least 5)")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))

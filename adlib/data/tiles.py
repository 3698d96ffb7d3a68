"""Images too fine for one look: cut into overlapping square tiles, whose maps are blended into one."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import median
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from adlib.settings import MAP_SIZE

OVERLAP = 32            # px that neighbours share: where zero padding spoils a map, and two positions of level 3
MOST_TILES = 3          # along the longer side, that "auto" takes: nine tiles cost nine images
ELONGATED = 1.2         # ratio of the sides, from where "auto" keeps it


class Frame(NamedTuple):
    """What all images of a category are brought to before they are cut, pixels."""

    height: int
    width: int
    keep: bool      # the aspect: what an image leaves free is filled with its reflection

    def inside(self, width: int, height: int) -> tuple[int, int]:
        """Height and width of an image on the frame, in the middle of it."""
        scale = min(self.width / width, self.height / height)
        return (round(height * scale) or 1, round(width * scale) or 1) if self.keep else (self.height, self.width)


def pick_tiling(sizes: Sequence[tuple[int, int]], tiles: int | str, aspect: str) -> tuple[int, str]:
    """Tiles and aspect for images of these (width, height): where they are "auto", the images' size alone decides."""
    ratios = (max(size) / min(size) for size in sizes)
    tiles = min(MOST_TILES, round(median(map(max, sizes)) / MAP_SIZE) or 1) if tiles == "auto" else tiles
    aspect = ("keep" if median(ratios) > ELONGATED else "stretch") if aspect == "auto" else aspect
    if not isinstance(tiles, int) or tiles < 1 or aspect not in ("keep", "stretch"):
        raise ValueError(f"tiles={tiles!r} must be 'auto' or at least 1, aspect={aspect!r} auto, stretch or keep")
    return tiles, aspect


def plan_frame(sizes: Sequence[tuple[int, int]], tile: int, tiles: int | str, aspect: str) -> Frame:
    """The frame for images of these (width, height): so many tiles of `tile` px along its longer side.

    Where the aspect is kept, the shorter side gets as few tiles as cover it.
    """
    count, aspect = pick_tiling(sizes, tiles, aspect)
    ratio, step, keep = median(width / height for width, height in sizes), tile - OVERLAP, aspect == "keep"
    if count > 1 and step <= 0:
        raise ValueError(f"tiles of {tile} px cannot share {OVERLAP} px; take image_size=64 or more, or tiles=1")
    long = short = tile + (count - 1) * step
    if keep and count > 1:
        short = tile + max(0, math.ceil((long * min(ratio, 1 / ratio) - tile) / step)) * step
    return Frame(long, short, keep) if ratio < 1 else Frame(short, long, keep)


@dataclass(frozen=True)
class Tiles:
    """Images as a network sees them: a sequence of square tiles, image after image; by default whole images.

    Attributes
    ----------
    images : (N, 3, H, W) tensor
        Resident as uint8; a tile is cut when it is asked for.
    size : int
        S, of a tile; 0 where images are not cut.
    boxes : (N, 2) int tensor, optional
        Height and width of each image in the middle of its frame: what is around it never scores.
    """

    images: Tensor
    size: int = 0
    boxes: Tensor | None = None

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of tiles."""
        rows, columns = (1 + (x - self.size) // max(1, self.size - OVERLAP) for x in self.images.shape[-2:])
        return (rows, columns) if self.size else (1, 1)

    @property
    def each(self) -> int:
        """Tiles per image."""
        return math.prod(self.grid)

    def __len__(self) -> int:
        return len(self.images) * self.each

    def __getitem__(self, index: Tensor) -> Tensor:
        """(B, 3, S, S) tiles by their numbers."""
        if self.each == 1:
            return self.images[index]       # keeps channels_last
        step, columns = self.size - OVERLAP, self.grid[1]
        views = self.images.unfold(2, self.size, step).unfold(3, self.size, step)       # (N, 3, rows, columns, S, S)
        image, place = index // self.each, index % self.each
        tiles = views[image, :, place // columns, place % columns]
        return tiles.contiguous(memory_format=torch.channels_last)

    def split(self, batch: int) -> Iterator[Tensor]:
        """All tiles, so many at a time, as `Tensor.split` has it."""
        if self.each == 1:
            yield from self.images.split(batch)
        else:
            yield from (self[index] for index in torch.arange(len(self), device=self.images.device).split(batch))

    def draw(self, most: int = 512) -> Tensor:
        """(M, 3, S, S) tiles to measure something on: all whole images, but of tiles at most so many, at random."""
        chosen = torch.randperm(len(self), generator=torch.Generator().manual_seed(0))[:most].sort().values
        return self.images if self.each == 1 else self[chosen]

    def pick(self, index) -> "Tiles":
        """Those of some images."""
        return Tiles(self.images[index], self.size, None if self.boxes is None else self.boxes[index])

    def to(self, device: torch.device) -> "Tiles":
        return Tiles(self.images.to(device, memory_format=torch.channels_last), self.size, self.boxes)

    def blend(self, maps: Tensor, size: tuple[int, int]) -> Tensor:
        """(N, *size) maps of the images, from the maps of their tiles: (N each, 256, 256).

        Where tiles overlap, the weight of each falls towards its edge as a squared sine: two of them add up to 1.
        """
        if not self.size:
            return resize_maps(maps, size)
        columns, step, side = self.grid[1], self.size - OVERLAP, self.size
        i = torch.arange(side, device=maps.device)
        ramp = torch.sin(((torch.minimum(i, side - 1 - i) + 0.5) / OVERLAP).clamp(max=1) * (math.pi / 2)).square()
        window = ramp[:, None] * ramp                                                           # (S, S)
        total = torch.zeros(len(self.images), *self.images.shape[-2:], device=maps.device)      # (N, H, W)
        weight = torch.zeros_like(total[0])
        for place, tile in enumerate(resize_maps(maps, (side, side)).unflatten(0, (-1, self.each)).unbind(1)):
            y, x = place // columns * step, place % columns * step
            total[:, y:y + side, x:x + side] += tile * window
            weight[y:y + side, x:x + side] += window
        total /= weight
        if self.boxes is None:
            return resize_maps(total, size)
        (height, width), cut = total.shape[1:], []
        for whole, (h, w) in zip(total, self.boxes.tolist(), strict=True):
            y, x = (height - h) // 2, (width - w) // 2
            cut.append(resize_maps(whole[None, y:y + h, x:x + w], size))
        return torch.cat(cut)


def resize_maps(maps: Tensor, size: tuple[int, int]) -> Tensor:
    """(B, H, W) maps at another size: bilinear, with antialias where they shrink."""
    if maps.shape[-2:] == size:
        return maps
    return F.interpolate(maps[:, None], size=size, mode="bilinear", antialias=True)[:, 0]

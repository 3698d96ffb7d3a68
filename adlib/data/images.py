"""The one way to list and to open images and masks: upright, whatever their format, bit depth or transparency."""

import os
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image, ImageFile
from torch import Tensor

from adlib import find_input
from adlib.data.listing import Fault, images_in
from adlib.data.tiles import Frame
from adlib.settings import MAP_SIZE

MOST_PIXELS = 100_000_000
Image.MAX_IMAGE_PIXELS = None       # `open_upright` has the limit
Range = tuple[float, float]         # the values that are shown black and white
DEPTHS = (1, 255, 1023, 4095, 16383, 65535)     # the largest values of shares, and of 8, 10, 12, 14 and 16 bits
UPRIGHT = {2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180, 4: Image.Transpose.FLIP_TOP_BOTTOM,
           5: Image.Transpose.TRANSPOSE, 6: Image.Transpose.ROTATE_270, 7: Image.Transpose.TRANSVERSE,
           8: Image.Transpose.ROTATE_90}        # by EXIF's orientation; from 5 on, width and height change places


@contextmanager
def open_upright(path: Path) -> Iterator[ImageFile.ImageFile]:
    """Open an image or a mask and read its header; `upright` decodes it, `upright_size` does not.

    Raises
    ------
    Fault
        The file has too many pixels, or cannot be decoded, now or while it is open.
    """
    try:
        with Image.open(path) as file:
            if file.width * file.height > MOST_PIXELS:
                raise Fault(path, f"has {file.width} x {file.height} px, more than {MOST_PIXELS // 10**6} million",
                            "cut it into tiles, or shrink it and its mask")
            if any("LA;16" in str(tile.args) for tile in file.tile):
                raise Fault(path, "holds 16-bit grey with transparency, of which half the bits would be lost",
                            "export it without transparency")
            yield file
    except Fault:
        raise
    except Exception as error:          # decoders raise errors of many kinds on what is broken
        raise Fault(path, f"cannot be decoded ({error})", "replace or remove it") from error


def orientation(file: Image.Image) -> int:
    """How a file is to be turned, 1 to 8; 1, not at all, where its metadata cannot be read, or Pillow turns it."""
    try:
        found = 1 if file.format == "TIFF" else Image.Image.getexif(file).get(0x0112)   # PngImageFile's would decode
    except Exception:       # whatever a parser makes of broken metadata, the picture is still there
        found = 1
    return found if found in UPRIGHT else 1


def upright(file: Image.Image) -> Image.Image:
    turn = orientation(file)
    return file if turn == 1 else file.transpose(UPRIGHT[turn])


def upright_size(file: Image.Image) -> tuple[int, int]:
    return file.size if orientation(file) < 5 else (file.height, file.width)


def read_sizes(paths: list[Path]) -> list[tuple[int, int]]:
    """Width and height of each file, upright, by its header."""
    sizes = []
    for path in paths:
        with open_upright(path) as file:
            sizes.append(upright_size(file))
    return sizes


def fit_picture(picture: Image.Image, frame: Frame) -> np.ndarray:
    """(H, W, 3) uint8: a picture resized into the middle of a frame, around it its reflection."""
    height, width = frame.inside(*picture.size)
    pixels = np.array(picture.resize((width, height), Image.Resampling.BILINEAR))
    free = [(room // 2, room - room // 2) for room in (frame.height - height, frame.width - width)]
    return np.pad(pixels, [*free, (0, 0)], mode="symmetric") if frame.keep else pixels


def read_picture(path: Path, value_range: Range | None = None) -> Image.Image:
    """Any image file as an upright RGB image without alpha; of more than 8 bits it is scaled, by default by itself."""
    with open_upright(path) as file:
        values = deep_values(file)
        if values is None:
            return upright(file).convert("RGB")
        low, high = value_range or fit_range([ends_of(values)])
        shares = (np.nan_to_num(values.astype(np.float32), nan=low, posinf=high) - low) / (high - low)
        return Image.fromarray((255 * shares).clip(0, 255).round().astype(np.uint8)).convert("RGB")


def deep_values(file: ImageFile.ImageFile) -> np.ndarray | None:
    """(H, W) or (H, W, 3), upright, of a file with more than 8 bits; None of others."""
    if file.mode.startswith(("I", "F")):
        return np.asarray(upright(file))
    arguments = file.tile[0].args if file.tile else None
    raw = arguments[0] if isinstance(arguments, tuple) and arguments else arguments
    if raw not in {f"{mode};16{order}" for mode in ("RGB", "RGBA") for order in "BLN"}:
        return None
    # Of 16-bit colour Pillow decodes the upper bytes; told of the other byte order it decodes the lower ones.
    other = raw[:-1] + ("L" if raw[-1] == "B" or (raw[-1] == "N" and sys.byteorder == "big") else "B")
    swapped = (other, *arguments[1:]) if isinstance(arguments, tuple) else other
    with Image.open(file.filename) as again:
        again.seek(file.tell())
        again.tile = [tile._replace(args=swapped) for tile in again.tile]
        lower = np.asarray(upright(again))[..., :3]
    return np.asarray(upright(file))[..., :3].astype(np.uint16) * 256 + lower


def find_range(paths: list[Path]) -> Range | None:
    """Black and white of the files of more than 8 bits among (up to 32 of) a category's images; None without any."""
    def ask(path: Path) -> Range | None:
        with open_upright(path) as file:
            values = deep_values(file)
            return None if values is None else ends_of(values)

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        ends = [found for found in pool.map(ask, paths[:: len(paths) // 32 + 1]) if found]
    return fit_range(ends) if ends else None


def ends_of(values: np.ndarray) -> Range:
    """Smallest and largest value, but for a thousandth of the pixels at either end: some are dead or hot."""
    values = np.sort(values[np.isfinite(values)]) if np.isfinite(values).any() else np.zeros(1)
    return float(values[len(values) // 1000]), float(values[-1 - len(values) // 1000])


def fit_range(ends: list[Range]) -> Range:
    """Black and white of images with these ends: 0 and a bit depth's largest value, or the ends if none is near.

    The highest and the lowest eighth of the images are left out, so that none decides alone.
    """
    lows, highs = (sorted(values) for values in zip(*ends, strict=True))
    low, high = lows[len(ends) // 8], highs[-1 - len(ends) // 8]
    if low >= 0 and (high <= 1 or 64 <= high <= DEPTHS[-1]):
        return 0.0, float(next(depth for depth in DEPTHS if high <= depth))
    return low, max(high, low + 1e-6)


def read_masks(paths: list[Path | None], size: tuple[int, int] = (MAP_SIZE, MAP_SIZE)) -> tuple[Tensor, list[Fault]]:
    """(N, 256, 256) bool, or of another size, black where a path is None; and what is ambiguous in them."""
    doubts = []

    def fetch(path: Path | None) -> Tensor:
        mask = shrink_mask(read_mask(path, doubts), size) if path else torch.zeros(size, dtype=torch.bool)
        if path and not mask.any():
            doubts.append(Fault(path, f"is empty at {size[1]} px", "its image is anomalous, but without a region"))
        return mask

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return torch.stack(list(pool.map(fetch, paths))), sorted(doubts, key=str)


def read_mask(path: Path, doubts: list[Fault] | None = None) -> Tensor:
    """(H, W) bool, at the file's size, upright: what is neither black nor transparent is anomalous.

    The pages of a file are united, and so are the files of a folder. What is ambiguous is added to `doubts`.
    """
    pages, found = [], set()
    for part in images_in(path) if path.is_dir() else [path]:
        with open_upright(part) as file:
            for page in range(getattr(file, "n_frames", 1)):
                file.seek(page)
                mask, unclear = read_page(file)
                found |= unclear
                pages.append(mask)
    union = np.logical_or.reduce([mask for mask in pages if mask.shape == pages[0].shape])   # others are thumbnails'
    if union.mean() > 0.5:
        found.add(("covers more than half of its image", "it is read as it stands, not as inverted"))
    if doubts is not None:
        doubts += [Fault(path, what, reading) for what, reading in found]
    return torch.from_numpy(union)


def read_page(file: ImageFile.ImageFile) -> tuple[np.ndarray, set[tuple[str, str]]]:
    """(H, W) bool of one page of a mask; and what is unclear in it, with how it is read."""
    transparent = file.has_transparency_data
    levels, image = None if transparent else deep_values(file), upright(file)
    if levels is None:
        levels = np.asarray(image.convert("L" if image.mode in {"1", "L"} else "RGB"))
    brightness = levels if levels.ndim == 2 else levels.max(axis=2)
    drawn = brightness > 0
    if transparent:
        opaque = np.asarray(image.convert("RGBA").getchannel("A")) > 127
        drawn &= opaque
        if not drawn.any() and 0 < opaque.mean() < 1:
            return opaque, {("is drawn in black on transparency", "what is opaque is read as anomalous")}
    if not drawn.any():
        return drawn, set()
    inside, brightest = levels[drawn], brightness[drawn].max()
    unclear = (inside != inside[0]).any()
    if levels.dtype == np.uint8 and brightest > 127:
        # Nearly black is black beside what is bright: compression leaves fringes, also in a PNG made from a JPEG.
        share = 4 if file.format in {"JPEG", "MPO", "WEBP", "AVIF"} else 16
        drawn &= brightness > brightest // share
    words = ("holds several levels or colours besides black", "all but the nearly black are read as anomalous")
    return drawn, {words} if unclear else set()


def shrink_mask(mask: Tensor, size: int | tuple[int, int] = MAP_SIZE) -> Tensor:
    """(H, W) bool mask at (size, size) by DeSTSeg's rule: bilinear with antialias, then 0.5 and more is anomalous."""
    high, wide = (size, size) if isinstance(size, int) else size

    def resize(shares: Tensor, height: int, width: int) -> Tensor:
        return F.interpolate(shares[None, None].double(), size=(height, width), mode="bilinear", antialias=True)[0, 0]

    rows = max(1, 2**18 // mask.shape[1])       # strips of 2 MB; as one it would be 8 times the mask
    narrow = torch.empty(len(mask), wide, dtype=torch.double)
    for strip, narrowed in zip(mask.split(rows), narrow.split(rows), strict=True):
        narrowed.copy_(resize(strip, len(strip), wide))
    return resize(narrow, high, wide) >= 0.5 - 1e-9         # a tie counts as anomalous, whatever the last bit says


def as_images(images, size: int | Frame, value_range: Range | None = None) -> Tensor:
    """(N, 3, size, size) uint8, or on a frame (N, 3, H, W), as `load_category` prepares files: decoded on all cores.

    Parameters
    ----------
    images : list of paths; list of (H, W) or (H, W, 3) uint8 arrays, of any sizes; (N, H, W) or (N, H, W, 3) uint8
        array; or (N, 3, H, W) uint8 tensor
    value_range : (float, float), optional
        Black and white of files with more than 8 bits: the category's.

    Raises
    ------
    ValueError
        None at all, or values or shapes that are not those of images; says which image.
    """
    images = list_images(images)
    height, width = (size.height, size.width) if isinstance(size, Frame) else (size, size)
    prepared = torch.empty(len(images), 3, height, width, dtype=torch.uint8)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(lambda i: prepared[i].copy_(as_image(images[i], size, i, value_range)), range(len(images))))
    return prepared


def list_images(images) -> Sequence | np.ndarray:
    """What `as_images` takes, as a sequence of at least one file or array."""
    if isinstance(images, str | Path):
        images = [images]
    if isinstance(images, Tensor):
        images = list(images.permute(0, 2, 3, 1).cpu().numpy() if images.ndim == 4 else images.cpu().numpy())
    if isinstance(images, np.ndarray) and images.ndim == 3 and images.shape[-1] == 3:
        raise ValueError(f"an array of shape {images.shape} may be one image or many; give [image] for one")
    if not len(images):
        raise ValueError("there are no images to score; give at least one")
    return images


def as_image(image: str | Path | np.ndarray, size: int | Frame, number: int, value_range: Range | None) -> Tensor:
    """(3, size, size) uint8 of one file or array, or on a frame."""
    if isinstance(image, str | Path):
        picture = read_picture(find_input(image), value_range)
    else:
        image = np.asarray(image)
        if image.dtype != np.uint8 or image.ndim not in (2, 3) or image.shape[2:] not in ((), (1,), (3,), (4,)):
            raise ValueError(f"image {number} is {image.dtype} of shape {image.shape}, expected uint8 values 0 to 255 "
                             f"of shape (H, W) or (H, W, 3); floats in [0, 1]: (255 * image).round().astype('uint8')")
        image = image[..., 0] if image.shape[2:] == (1,) else image
        picture = Image.fromarray(image).convert("RGB")
    pixels = fit_picture(picture, size if isinstance(size, Frame) else Frame(size, size, keep=False))
    return torch.from_numpy(pixels).permute(2, 0, 1)        # (H, W, 3) -> (3, H, W)

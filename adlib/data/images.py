"""The one way to open an image or a mask."""

import os
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image, ImageOps
from torch import Tensor

from adlib import find_input
from adlib.settings import MAP_SIZE

SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff"}


def images_in(folder: Path) -> list[Path]:
    return sorted(p for p in folder.glob("*") if p.suffix.lower() in SUFFIXES and not p.name.startswith("."))


def image_size_of(path: Path) -> tuple[int, int]:
    """Width and height as shown, from the header: a camera's orientation tag is obeyed."""
    with Image.open(path) as image:
        width, height = image.size
        turned = image.getexif().get(0x0112, 1) >= 5
    return (height, width) if turned else (width, height)


def read_images(paths: list[Path], size: int) -> Tensor:
    """(N, 3, size, size) uint8, decoded on all cores: Pillow releases the interpreter while it decodes and resizes."""
    images = torch.empty(len(paths), 3, size, size, dtype=torch.uint8)

    def fill(i: int) -> None:
        images[i] = torch.from_numpy(read_image(paths[i], size)).permute(2, 0, 1)     # (S, S, 3) -> (3, S, S)

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(fill, range(len(paths))))
    return images


def read_image(path: Path, size: int) -> np.ndarray:
    """(size, size, 3) uint8 of any RGB, grey, alpha, palette or 16-bit image.

    Alpha is dropped; 16 bits map to 8 by the full range, 65535 to 255.
    """
    try:
        with Image.open(path) as file:
            image = ImageOps.exif_transpose(file)
            if image.mode.startswith("I"):
                image = Image.fromarray((np.asarray(image).clip(0, 65535) / 257).round().astype(np.uint8))
            if image.mode == "F":
                raise ValueError("it holds floating-point values; export it with 8 or 16 bits")
            return np.array(image.convert("RGB").resize((size, size), Image.Resampling.BILINEAR))
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise ValueError(f"{path} cannot be decoded ({error}); replace or remove it") from error


def read_masks(paths: list[Path | None], defects: list[str], folder: Path) -> Tensor:
    """(N, 256, 256) bool; black where a path is None. Says once how many anomalous images end up without a region."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        blank = torch.zeros(MAP_SIZE, MAP_SIZE, dtype=torch.bool)
        masks = torch.stack(list(pool.map(lambda p: blank if p is None else shrink_mask(read_mask(p)), paths)))
    empty = [p for p, mask, defect in zip(paths, masks, defects, strict=True) if defect != "good" and not mask.any()]
    if empty:
        names = ", ".join(f"{p.parent.name}/{p.name}" for p in empty[:4]) + (", …" if len(empty) > 4 else "")
        warnings.warn(f"{folder.name}: {len(empty)} anomalous images have an empty mask at {MAP_SIZE} px ({names}); "
                      f"they count as anomalous and belong to no region", stacklevel=3)
    return masks


def read_mask(path: Path) -> Tensor:
    """(H, W) bool at the file's size: 0/255, 0/1 and class-index masks; a JPEG's faint fringes are background."""
    try:
        with Image.open(path) as image:
            mask = np.asarray(image if image.mode in {"1", "P"} or image.mode.startswith("I") else image.convert("L"))
    except (OSError, ValueError, SyntaxError) as error:
        raise ValueError(f"{path} cannot be decoded ({error}); replace or remove it") from error
    return torch.from_numpy(mask > (127 if mask.max() > 127 else 0))


def shrink_mask(mask: Tensor, size: int = MAP_SIZE) -> Tensor:
    """(H, W) bool mask at (size, size) by DeSTSeg's rule: bilinear with antialias, then 0.5 and more is anomalous."""
    shares = F.interpolate(mask[None, None].double(), size=(size, size), mode="bilinear", antialias=True)[0, 0]
    return shares >= 0.5 - 1e-9     # a tie counts as anomalous, whatever the last bit says


def as_images(images, size: int) -> Tensor:
    """(N, 3, size, size) uint8, prepared as `load_category` prepares files.

    Parameters
    ----------
    images : list of paths; list of (H, W) or (H, W, 3) uint8 arrays, of any sizes; (N, H, W) or (N, H, W, 3) uint8
        array; or (N, 3, H, W) uint8 tensor

    Raises
    ------
    ValueError
        None at all, or values or shapes that are not those of images; says which image.
    """
    if isinstance(images, str | Path):
        images = [images]
    if isinstance(images, Tensor):
        images = list(images.permute(0, 2, 3, 1).cpu().numpy() if images.ndim == 4 else images.cpu().numpy())
    if isinstance(images, np.ndarray) and images.ndim == 3 and images.shape[-1] == 3:
        raise ValueError(f"an array of shape {images.shape} may be one image or many; give [image] for one")
    if not len(images):
        raise ValueError("there are no images to score; give at least one")
    return torch.stack([as_image(image, size, i) for i, image in enumerate(images)])


def as_image(image: str | Path | np.ndarray, size: int, number: int) -> Tensor:
    """(3, size, size) uint8 of one file or array."""
    if isinstance(image, str | Path):
        pixels = read_image(find_input(image), size)
    else:
        image = np.asarray(image)
        if image.dtype != np.uint8 or image.ndim not in (2, 3) or image.shape[2:] not in ((), (1,), (3,), (4,)):
            raise ValueError(f"image {number} is {image.dtype} of shape {image.shape}, expected uint8 values 0 to 255 "
                             f"of shape (H, W) or (H, W, 3); floats in [0, 1]: (255 * image).round().astype('uint8')")
        image = image[..., 0] if image.shape[2:] == (1,) else image
        pixels = np.array(Image.fromarray(image).convert("RGB").resize((size, size), Image.Resampling.BILINEAR))
    return torch.from_numpy(pixels).permute(2, 0, 1)        # (S, S, 3) -> (3, S, S)

"""Where the textures of synthetic anomalies come from: a folder, such as DTD's, or photographs inside scikit-image."""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from adlib import find_input
from adlib.data.images import as_images, read_picture
from adlib.data.listing import SUFFIXES, files_below

TEXTURE_LIMIT = 1024        # images of a folder: 201 MB at 256 px

# Not brick, grass and gravel: the demo's textures are cut from them, and an anomaly that looks like the normal image
# teaches that normal is anomalous. Not motorcycle_right, the same scene as the left one; not clock_motion and
# microaneurysms, blurred and small; not color, horse, logo, phantom and the chessboards, which are drawn.
PHOTOGRAPHS = (
    "astronaut.png", "camera.png", "cell.png", "chelsea.png", "coffee.png", "coins.png", "hubble_deep_field.jpg",
    "ihc.png", "moon.png", "motorcycle_left.png", "page.png", "retina.jpg", "rocket.jpg", "text.png",
)  # fmt: skip


def load_textures(source: str | Path, size: int, *, limit: int | None = TEXTURE_LIMIT, seed: int = 0) -> Tensor:
    """(T, 3, size, size) uint8 textures for `perlin.corrupt`, resized straight to the square.

    Parameters
    ----------
    source : "auto" or path
        "auto": `PHOTOGRAPHS`, each whole and as its four quadrants; nothing is downloaded. A path: all images in the
        folder and below, for example DTD's, which the papers take.
    size : int
        S, of the images that are to be corrupted.
    limit : int, optional
        Of a larger folder, this many images are drawn; None takes all (DTD: 5,640, 1.1 GB at 256 px).
    seed : int
        Of that draw.

    Raises
    ------
    FileNotFoundError
        No such folder, or no image in it.
    ValueError
        A file that cannot be decoded, by name, or a limit below 1.
    """
    if source == "auto":
        return as_images([crop for pixels in map(read_photograph, PHOTOGRAPHS) for crop in crops(pixels)], size)
    found = textures_in(source)
    if limit is None or len(found) <= limit:
        return as_images(found, size)
    if limit < 1:
        raise ValueError(f"limit={limit} must be at least 1, or None for all images")
    drawn = torch.randperm(len(found), generator=torch.Generator().manual_seed(seed))[:limit]
    print(f"textures: {limit} of the {len(found)} images in {source}, drawn with seed {seed}; limit=None takes all, "
          f"{len(found) * 3 * size**2 / 1e9:.1f} GB")
    return as_images([found[i] for i in drawn], size)


def describe_textures(source: str | Path, *, limit: int | None = TEXTURE_LIMIT) -> str:
    """What `load_textures` takes, in a line for a run's protocol: no path in it, as that differs between machines."""
    if source == "auto":
        names = ", ".join(Path(file).stem for file in PHOTOGRAPHS)
        return f"scikit-image photographs ({names}; not brick, grass, gravel), each whole and in quadrants"
    n = len(textures_in(source))
    return f"{find_input(source).resolve().name}: {n if limit is None else min(n, limit)} of {n} images"


def textures_in(folder: str | Path) -> list[Path]:
    """The images in a folder and in all folders below, sorted."""
    folder = find_input(folder)
    if not folder.is_dir():
        raise FileNotFoundError(f"texture_source {folder.resolve()} is not a folder; give one that holds images, for "
                                f"example DTD's (data/README.md), or 'auto' for the photographs in scikit-image")
    found = sorted(path for path in files_below(folder) if path.suffix.lower() in SUFFIXES)
    if not found:
        raise FileNotFoundError(f"texture_source {folder.resolve()} holds no images, nor does a folder below it "
                                f"({', '.join(sorted(SUFFIXES))}); put some there, or give 'auto'")
    return found


def read_photograph(file: str) -> np.ndarray:
    """(H, W, 3) uint8, one of `PHOTOGRAPHS`, as scikit-image ships it."""
    import skimage

    return np.asarray(read_picture(Path(skimage.__file__).parent / "data" / file))


def crops(pixels: np.ndarray) -> list[np.ndarray]:
    """A picture (H, W, 3) whole, and its four quadrants, each closer by two."""
    y, x = pixels.shape[0] // 2, pixels.shape[1] // 2
    return [pixels, pixels[:y, :x], pixels[:y, x:], pixels[y:, :x], pixels[y:, x:]]

"""The embedded demo data set: six categories in MVTec AD's layout, made here in well under a minute.

Three textures are crops of photographs that come inside scikit-image's wheel, three objects are drawn (`objects`);
all get the defects of `defects`. The same seed gives the same bytes. Tune on seed 1, report on seed 0.
"""

import csv
import os
import re
import shutil
import tempfile
import time
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from joblib import Parallel, delayed
from PIL import Image

from adlib import ROOT
from adlib.demo.defects import SIZE, Place, dust, paint, swapped
from adlib.demo.objects import CHANGES, SAMPLERS, Scene, bare_foil, footprint, render
from adlib.settings import CLASSES

BANDS = ("obvious", "clear", "moderate", "faint", "barely visible")
COUNTS = {"train/good": 200, "test/good": 40}
DEFECTIVE = 80  # per category, divided evenly among its defects
# Columns of the 512 x 512 photographs: what a test image shows, no training image has shown.
REGIONS = {"train": (0, 286), "test": (290, 512)}


@dataclass(frozen=True)
class Recipe:
    """How a category is made: a "photograph" or "drawn", its defects, and factors on their strength and size."""

    how: str
    defects: tuple[str, ...]
    strength_factor: float = 1.0
    size_factor: float = 1.0
    tones: tuple = ()  # photographs are grey: colours for black, mid grey and white
    quarter_turns: bool = True


CATEGORIES = {
    "gravel": Recipe("photograph", ("stain", "hole", "foreign_fibre", "wrong_colour"),
                     strength_factor=1.1, size_factor=1.3,
                     tones=((0.05, 0.05, 0.06), (0.50, 0.48, 0.45), (0.98, 0.97, 0.94))),
    "brick": Recipe("photograph", ("scratch", "crack", "stain", "hole"),
                    strength_factor=0.9, size_factor=0.9, quarter_turns=False,
                    tones=((0.16, 0.05, 0.03), (0.58, 0.33, 0.25), (0.93, 0.91, 0.86))),
    "grass": Recipe("photograph", ("stain", "hole", "dent", "foreign_fibre"),
                    strength_factor=1.25, size_factor=1.35,
                    tones=((0.03, 0.07, 0.02), (0.37, 0.47, 0.20), (0.93, 0.95, 0.78))),
    "hex_nut": Recipe("drawn", ("scratch", "crack", "dent", "stain", "missing_part")),
    "blister": Recipe("drawn", ("missing_part", "misplaced_part", "wrong_colour", "crack", "hole")),
    "circuit": Recipe("drawn", ("missing_part", "misplaced_part", "wrong_colour", "scratch", "foreign_fibre")),
}

README = """\
adlib demo data set, seed {seed}, recipe {recipe}

MVTec AD's layout: <category>/train/good, test/good, test/<defect>, ground_truth/<defect>/NNN_mask.png.
<category>/defects.csv lists each defective image with its band (from obvious to barely visible), its contrast (mean
over the mask of the largest channel's change, in [0, 1], before sensor noise) and its size (pixels of the mask).

gravel, brick and grass are tinted crops of the grey photographs in scikit-image's wheel (skimage.data). All three
are under the Creative Commons CC0 licence: gravel and brick from CC0Textures (Gravel04, Bricks25), grass from
DeviantArt (linolafett, Grass 01). Training and test images come from separate regions of the photograph.
hex_nut, blister and circuit are drawn. Defects are composed onto normal images; the masks are exact.
"""
RECIPE = 2  # raise it when images change, so that `ensure` makes old sets anew


def root(seed: int = 0) -> Path:
    """Where the set of a seed is kept: `data/demo`, or `data/demo-sN`."""
    return ROOT / "data" / ("demo" if seed == 0 else f"demo-s{seed}")


def ensure(data_root: str | Path) -> str | Path:
    """Make the demo set if `data_root` names one that is not there yet.

    Returns
    -------
    path
        The set's folder, absolute; any other `data_root` as it was, and the name of a one-class data set as a str,
        since Path("digits") would be a folder.
    """
    if data_root in CLASSES:
        return data_root
    path = Path(data_root)
    target = path if path.is_absolute() else ROOT / path
    name = re.fullmatch(r"demo(?:-s([1-9]\d*))?", target.name)
    if name is None or target.resolve().parent != (ROOT / "data").resolve():
        return path
    seed = int(name[1] or 0)
    return target if _complete(target, seed) else make_set(target, seed)


def make_set(root: str | Path, seed: int = 0, categories: Iterable[str] | str = "all", *,
             workers: int | None = None) -> Path:
    """Write a demo set; an interrupted or second call never leaves half of one.

    Parameters
    ----------
    root : path
        Its folder; relative paths start at the repository. An older demo set there is replaced.
    seed : int
        Every byte follows from it, whatever the number of workers.
    categories : "all" or names out of `CATEGORIES`
    workers : int, optional
        Processes; all cores by default.

    Raises
    ------
    FileExistsError
        `root` holds something that is not a demo set.
    """
    target = ROOT / root
    names = _check_categories(categories)
    if target.exists() and not _first_line(target).startswith(README.split(",")[0]):
        raise FileExistsError(f"{target} exists and is not a demo set; move it away or choose another folder")
    target.parent.mkdir(parents=True, exist_ok=True)
    renewed = _complete(target, seed)
    print(f"demo set (seed {seed}): drawing {len(names)} categories into {target}", flush=True)
    part = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
    try:
        _write(part, seed, names, workers or min(os.cpu_count() or 1, 8))
        (part / "README.txt").write_text(README.format(seed=seed, recipe=RECIPE), encoding="utf-8")
        part.chmod(0o755)  # mkdtemp's folders are for their owner only
        if renewed or not _complete(target, seed):  # a parallel call may have made the very same set meanwhile
            _move_into_place(part, target)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return target


def _check_categories(categories: Iterable[str] | str) -> list[str]:
    if isinstance(categories, str):
        categories = CATEGORIES if categories == "all" else [categories]
    names = list(categories)
    if unknown := [n for n in names if n not in CATEGORIES]:
        raise ValueError(f"unknown demo categories {unknown}; choose out of {', '.join(CATEGORIES)}")
    return names


def _complete(target: Path, seed: int) -> bool:
    """Whether the set is there and of this recipe; it is renamed into place, so it is complete."""
    first = README.format(seed=seed, recipe=RECIPE).splitlines()[0]
    return _first_line(target) == first and all((target / name).is_dir() for name in CATEGORIES)


def _first_line(target: Path) -> str:
    note = target / "README.txt"
    return note.read_text("utf-8", errors="replace").partition("\n")[0] if note.is_file() else ""


def _move_into_place(part: Path, target: Path) -> None:
    """Move the finished set into place. A folder cannot be renamed over a full one, so an old set steps aside."""
    old = part.with_name(part.name + "-old")
    for _ in range(5):
        try:
            if target.exists():
                target.rename(old)
            part.rename(target)
            return
        except OSError:  # a parallel call moved its own in between: try again
            time.sleep(0.2)
        finally:
            shutil.rmtree(old, ignore_errors=True)
    raise OSError(f"could not move the finished demo set to {target}; is a file in it open?")


# All images, drawn by several processes


def _write(part: Path, seed: int, names: list[str], workers: int) -> None:
    """Write all images, and each category's defects.csv when its last image is there."""
    start = time.perf_counter()
    with Parallel(n_jobs=workers) as parallel:
        for name in names:
            rows = parallel(delayed(_draw)(part / name, split, index, seed) for split, index in _plan(name))
            with open(part / name / "defects.csv", "w", newline="", encoding="utf-8") as file:
                table = csv.DictWriter(file, ["image", "defect", "band", "contrast", "pixels"], lineterminator="\n")
                table.writeheader()
                table.writerows(sorted(filter(None, rows), key=lambda row: row["image"]))
            print(f"  {name}: {len(_plan(name))} images, {time.perf_counter() - start:.0f} s", flush=True)


def _draw(folder: Path, split: str, index: int, seed: int) -> dict | None:
    """Draw one image of a category into its folder, with its mask; its row of defects.csv if it has a defect."""
    shot = photograph(folder.name, split, index, seed)
    file = folder / split / f"{index:03}.png"
    _save(shot.pixels, file)
    if not shot.mask.any():
        return None
    defect = file.parent.name
    _save(shot.mask.astype(np.uint8) * 255, folder / "ground_truth" / defect / f"{index:03}_mask.png")
    return {"image": f"{split}/{index:03}.png", "defect": defect, "band": shot.band,
            "contrast": round(shot.contrast, 4), "pixels": int(shot.mask.sum())}


def _save(pixels: np.ndarray, file: Path) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(file, compress_level=4)


def _plan(name: str) -> list[tuple[str, int]]:
    """Each image of a category: ("test/scratch", 3)."""
    defects = CATEGORIES[name].defects
    counts = COUNTS | {f"test/{d}": DEFECTIVE // len(defects) for d in defects}
    return [(split, i) for split, count in counts.items() for i in range(count)]


# One image


@dataclass
class Shot:
    """One image and what it was made of; `normal` and `image` are (256, 256, 3) float, before the sensor's noise."""

    normal: np.ndarray
    image: np.ndarray
    mask: np.ndarray
    dust: np.ndarray
    pixels: np.ndarray
    band: str = ""
    corners: np.ndarray | None = None  # (4, 2) x, y in the photograph, of a texture

    @property
    def contrast(self) -> float:
        return float(np.abs(self.image - self.normal).max(-1)[self.mask].mean())


def photograph(category: str, split: str, index: int, seed: int = 0) -> Shot:
    """Make one image: a normal one, the defect that its folder names on it, then the sensor.

    Each image has its own seeds, so that it depends neither on its neighbours nor on who draws it.
    """
    key = [seed, zlib.crc32(category.encode()), zlib.crc32(split.encode()), index]
    scene_seed, dust_seed, defect_seed, sensor_seed = np.random.SeedSequence(key).spawn(4)
    part, defect = split.split("/")
    scene, clean, corners, light = _clean_image(np.random.default_rng(scene_seed), category, part)
    place = Place(np.ones((SIZE, SIZE), np.float32), light, clean.mean((0, 1)))
    normal, specks = dust(np.random.default_rng(dust_seed), clean, place)
    image, mask, band = normal, np.zeros((SIZE, SIZE), bool), ""
    if defect != "good":
        rng, level = np.random.default_rng(defect_seed), _level_of(category, index)
        band = BANDS[round(level * (len(BANDS) - 1))]
        if defect in CHANGES.get(category, ()):
            changed, touched = CHANGES[category][defect](scene, level, rng)
            altered, _ = dust(np.random.default_rng(dust_seed), render(changed), place)     # the same dust
            image, mask = swapped(normal, altered, [footprint(s, i) for s in (scene, changed) for i in touched])
        else:
            where, size_factor = site(scene, defect, rng)
            recipe = CATEGORIES[category]
            spot = Place(where, light, clean[where > 0.5].mean(0))
            image, mask = paint(defect, rng, normal, spot, level, strength_factor=recipe.strength_factor,
                                size_factor=recipe.size_factor * size_factor)
    return Shot(normal, image, mask, specks, sensor(np.random.default_rng(sensor_seed), image), band, corners)


def _clean_image(rng: np.random.Generator, category: str, part: str) -> tuple:
    """A drawing's scene or None, the image without dust, a crop's corners or None, and the lamp's azimuth."""
    if CATEGORIES[category].how == "drawn":
        scene = SAMPLERS[category](rng)
        return scene, render(scene), None, scene.light
    return None, *crop(rng, category, part)


def _level_of(category: str, index: int) -> float:
    """From 0, the most obvious of a defect's images, to 1, the faintest."""
    return index / (DEFECTIVE // len(CATEGORIES[category].defects) - 1)


def sensor(rng: np.random.Generator, image: np.ndarray) -> np.ndarray:
    """Exposure, uneven light, falling-off corners, shot and read noise, 8 bits."""
    y, x = np.mgrid[-1 : 1 : SIZE * 1j, -1 : 1 : SIZE * 1j].astype(np.float32)
    slope = rng.normal(0, 0.035, 2)
    exposure = rng.normal(1, 0.03)
    white = rng.normal(1, 0.006, 3)
    light = exposure * (1 + slope[0] * x + slope[1] * y) * (1 - 0.05 * (x * x + y * y))
    seen = image * light[..., None].astype(np.float32) * white.astype(np.float32)
    noise = rng.standard_normal(seen.shape, dtype=np.float32) * np.sqrt(0.005**2 + 0.00010 * np.clip(seen, 0, 1))
    return np.round(255 * np.clip(seen + noise, 0, 1)).astype(np.uint8)


@lru_cache(maxsize=8)
def grey(category: str) -> np.ndarray:
    """The category's photograph, (512, 512) float32 in [0, 1], read from scikit-image's wheel."""
    import skimage

    with Image.open(Path(skimage.__file__).parent / "data" / f"{category}.png") as file:
        return np.asarray(file.convert("L"), np.float32) / 255


def crop(rng: np.random.Generator, category: str, split: str) -> tuple[np.ndarray, np.ndarray, float]:
    """A turned, flipped crop of about 170 px inside the split's region, enlarged to 256 and tinted.

    Returns
    -------
    (256, 256, 3) float32 image; (4, 2) its corners in the photograph; the lamp's azimuth, which turns along
    """
    recipe, (left, right) = CATEGORIES[category], REGIONS[split]
    side, angle = rng.uniform(162, 182), np.deg2rad(rng.uniform(-9, 9))
    extent = side / 2 * (abs(np.cos(angle)) + abs(np.sin(angle))) + 3  # 3: bicubic interpolation looks around
    centre = np.array([rng.uniform(left + extent, right - extent), rng.uniform(extent, 512 - extent)])
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    quarter = int(rng.integers(4)) if recipe.quarter_turns else 2 * int(rng.integers(2))
    turn = turn @ np.linalg.matrix_power(np.array([[0, -1], [1, 0]]), quarter) @ np.diag([rng.choice([-1, 1]), 1])
    a = turn * side / SIZE  # image pixel -> photograph pixel
    b = centre - a @ np.full(2, SIZE / 2)
    plane = Image.fromarray(grey(category)).transform(
        (SIZE, SIZE), Image.Transform.AFFINE, (*a[0], b[0], *a[1], b[1]), Image.Resampling.BICUBIC)
    corners = (a @ (np.array([[0, 0], [1, 0], [1, 1], [0, 1]]).T * SIZE)).T + b
    light = np.linalg.solve(turn, [np.cos(-2.2), np.sin(-2.2)])
    return tinted(rng, np.asarray(plane), recipe.tones), corners, float(np.arctan2(light[1], light[0]))


def tinted(rng: np.random.Generator, plane: np.ndarray, tones) -> np.ndarray:
    """A grey crop in colour: grey values are mapped onto three tones, with a lot's own gamma and cast."""
    values = np.clip(plane, 0, 1) ** np.float32(rng.uniform(0.94, 1.06))
    cast = rng.normal(1, 0.009, 3)
    planes = [np.interp(values, [0, 0.5, 1], [c * t[k] for t in tones]) for k, c in enumerate(cast)]
    return np.stack(planes, -1).astype(np.float32)


def site(scene: Scene | None, defect: str, rng: np.random.Generator) -> tuple[np.ndarray, float]:
    """Where a painted defect may lie, (256, 256) in [0, 1], and the factor on its size."""
    everywhere = np.ones((SIZE, SIZE), np.float32)
    if scene is None:
        return everywhere, 1.0
    if scene.draw == "nut":
        return footprint(scene, 0), {"crack": 0.7, "scratch": 0.75, "dent": 0.6, "stain": 0.55}[defect]
    if scene.draw == "blister" and defect == "crack":
        return footprint(scene, int(rng.integers(len(scene.parts)))), 0.42
    if scene.draw == "blister":  # the foil between the pockets
        return bare_foil(scene), 0.5
    return everywhere, 1.0

"""Data sets on disk: MVTec-layout categories, whatever their image format.

    <root>/<category>/train/good/*                          normal images
    <root>/<category>/test/good/*  test/<defect>/*          normal and anomalous images
    <root>/<category>/ground_truth/<defect>/<stem>_mask.*   masks, optional

In place of a root stands "digits" or "cifar10" for a one-class data set (`adlib.data.one_class`).
"""

import warnings
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor

from adlib import ROOT, find_input
from adlib.data.images import as_images, find_range, open_upright, read_masks, read_sizes, upright_size
from adlib.data.listing import CategoryFiles, Fault, group_faults, images_in, list_files, visible
from adlib.data.one_class import CLASSES, SUBSET_SIZES, draw
from adlib.data.tiles import Frame, Tiles, plan_frame
from adlib.settings import MAP_SIZE


@dataclass
class Category:
    """One category, decoded, resized and resident: S is the training size, masks are always 256 x 256."""

    name: str
    train: Tensor                   # (N, 3, S, S) uint8, normal
    validation: Tensor              # (N, 3, S, S) uint8, normal: 20 % of train/good, the same for every method
    test: Tensor                    # (N, 3, S, S) uint8
    masks: Tensor | None            # (N, 256, 256) bool, of the test images; None without ground_truth/
    labels: Tensor                  # (N,) bool: anomalous, by the folder's name
    defects: list[str]              # defect type of each test image, "good" where normal
    paths: list[Path]               # of each test image; of a one-class data set its name, no file
    image_level: bool = False       # the whole image is the anomaly, no part of it: scores are means of maps
    value_range: tuple[float, float] | None = None        # black and white of files with more than 8 bits
    frame: Frame | None = None    # on which images are cut; None where a network sees them as they are above
    tiles: dict[str, Tiles] = field(default_factory=dict)       # then of "train", "validation" and "test"
    fine_masks: Tensor | None = None    # then (N, H, W) bool, where the tiles show more than 256 px, and the files do

    def seen(self, part: str) -> Tiles:
        """What a network sees of "train", "validation" or "test"."""
        return self.tiles.get(part) or Tiles(getattr(self, part))

    @property
    def map_size(self) -> tuple[int, int]:
        """Height and width at which maps can be judged at best; never larger than a mask's file."""
        height, width = (MAP_SIZE,) * 2 if self.fine_masks is None else self.fine_masks.shape[1:]
        return int(height), int(width)


def load_category(root: str | Path, name: str, *, image_size: int = 256, tiles: int | str = 1,
                  aspect: str = "stretch") -> Category:
    """Check a category of an MVTec-layout data set, then decode it.

    Images are resized straight to the square, aspect not kept, bilinear with antialiasing; masks by DeSTSeg's rule.
    Warns of files that are not used and of masks that are empty or ambiguous.

    Parameters
    ----------
    root : path of the data set, or "digits" or "cifar10"
        A folder of such a name is given as a path: "./digits".
    name : str
        Category, a folder in it; or the class that is normal.
    image_size : int
        S, a multiple of 32.
    tiles, aspect
        How the images are cut, see `plan_frame`; it prints what comes of it.

    Raises
    ------
    FileNotFoundError
        No such root, category, train/good or test images; it lists what exists.
    ValueError
        An image or mask that cannot be used, an unknown class, or an image size that the networks cannot take.
    """
    if root in CLASSES:
        if tiles not in (1, "auto"):
            raise ValueError(f"tiles={tiles!r}: the images of {root} are too small to be cut; take tiles=1")
        return one_class_category(str(root), name, image_size=image_size)
    check_image_size(image_size)
    files = list_files(find_category(root, name))
    train, test = files.train, files.test
    problems = group_faults(find_faults(files))
    if problems:
        more = f" (and {len(problems) - 1} more: describe({str(root)!r}) lists them)" if len(problems) > 1 else ""
        raise (ValueError if train and test else FileNotFoundError)(problems[0] + more)
    kept, held = split_validation(len(train))
    value_range = find_range(train)
    images = as_images(train + test, image_size, value_range)
    masks, doubts = read_masks([files.masks.get(path) for path in test]) if files.masks else (None, [])
    for text in [*map(str, files.unused), *group_faults(doubts)]:
        warnings.warn(f"{name}: {text}", stacklevel=2)
    defects = [path.parent.name for path in test]
    category = Category(
        name, train=images[kept], validation=images[held], test=images[len(train) :], masks=masks,
        labels=torch.tensor([defect != "good" for defect in defects]), defects=defects, paths=test,
        value_range=value_range)
    parts = {"train": [train[i] for i in kept], "validation": [train[i] for i in held], "test": test}
    cut_category(category, parts, files.masks, tiles=tiles, aspect=aspect)
    return category


def cut_category(category: Category, parts: dict[str, list[Path]], masks: dict[Path, Path], *, tiles: int | str,
                 aspect: str) -> None:
    """Read a category's files anew where `plan_frame` has them cut or letterboxed, masks as fine too; tells of it."""
    if (tiles, aspect) == (1, "stretch"):
        return                      # whatever their sizes are: no file is opened for them
    sizes, side = {part: read_sizes(paths) for part, paths in parts.items()}, category.train.shape[-1]
    frame = plan_frame(sizes["train"], side, tiles, aspect)
    if frame == (side, side, False):
        return
    category.frame = frame
    for part, paths in parts.items():
        boxes = torch.tensor([frame.inside(*size) for size in sizes[part]])
        category.tiles[part] = Tiles(as_images(paths, frame, category.value_range), side, boxes)
    rows, columns = category.tiles["test"].grid
    print(f"{category.name}: {rows} x {columns} tiles of {side} px on {frame.height} x {frame.width} px, aspect "
          f"{'kept' if frame.keep else 'stretched'}: a map costs {rows * columns} maps of whole images", flush=True)
    smallest = torch.tensor(sizes["test"]).amin(dim=0).flip(0)
    high, wide = torch.minimum(boxes.median(dim=0).values, smallest).tolist()       # of the test images
    if masks and max(high, wide) > MAP_SIZE:
        category.fine_masks, _ = read_masks([masks.get(path) for path in parts["test"]], (high, wide))


def check_image_size(size: int) -> None:
    if not isinstance(size, int) or size < 32 or size % 32:
        raise ValueError(f"image_size={size!r} must be a multiple of 32, for example 128 or 256")


def split_validation(n: int) -> tuple[list[int], list[int]]:
    """Which of n training images are learnt from, and which 20 % are held back: the same for every method."""
    from sklearn.model_selection import train_test_split

    kept, held = train_test_split(range(n), test_size=0.2, random_state=0)
    return sorted(kept), sorted(held)


def list_categories(root: str | Path) -> list[str]:
    """Names of the categories in a data set: the folders that hold train/ or test/, or a one-class set's classes."""
    if root in CLASSES:
        return list(CLASSES[str(root)])
    root = find_input(root)
    if not root.is_dir():
        raise FileNotFoundError(f"data_root {root.resolve()} does not exist; data/README.md says where data sets come "
                                f"from, and `python -m adlib demo --data-only` makes data/demo")
    return [p.name for p in visible(root) if (p / "train").is_dir() or (p / "test").is_dir()]


def find_category(root: str | Path, name: str) -> Path:
    """The folder of a category, or an error that lists those that exist."""
    found, root = list_categories(root), find_input(root)
    if name in found:
        return root / name
    if (root / "train").is_dir():
        raise FileNotFoundError(f"{root.resolve()} is itself a category; give its parent as data_root and "
                                f"{root.resolve().name!r} as category")
    state = "is empty: it has neither train/ nor test/" if (root / str(name)).is_dir() else "does not exist"
    raise FileNotFoundError(f"category {name!r} {state} in {root.resolve()}; categories there: "
                            f"{', '.join(found) or 'none (expected <category>/train/good/*.png)'}")


def find_faults(files: CategoryFiles) -> list[Fault]:
    """What keeps a category from being used; reads the files' headers only."""
    sizes, faults = {}, list(files.faults)
    masks = [(part, path) for path, mask in files.masks.items() for part in (images_in(mask) or [mask])]
    for path in [*files.train, *files.test, *dict(masks)]:
        if str(path) != str(path).encode(errors="ignore").decode():
            faults.append(Fault(path, "has a name that is no UTF-8 text", "rename it"))
        try:
            with open_upright(path) as file:
                sizes[path] = upright_size(file)
        except Fault as fault:
            faults.append(fault)
    for mask, path in masks:
        if path in sizes and mask in sizes and sizes[path] != sizes[mask]:
            faults.append(Fault(mask, "is {}x{} but its image is {}x{}".format(*sizes[mask], *sizes[path]),
                                "export the mask at the image's size"))
    return faults


def one_class_category(name: str, category: str, *, image_size: int = 64,
                       limit: tuple[int, int, int] | None = SUBSET_SIZES) -> Category:
    """A class of a one-class data set as a category: it is normal, every other class is anomalous, there are no masks.

    Small images are enlarged, and grey ones become colour; for the parameters and errors see `one_class.draw`.
    """
    check_image_size(image_size)
    drawn = draw(name, category, limit=limit)
    kept, held = split_validation(len(drawn.train))
    train = as_images(drawn.train, image_size)
    paths = [ROOT / "data" / name / "test" / f"{number:04}" for number in drawn.numbers]
    return Category(category, train=train[kept], validation=train[held], test=as_images(drawn.test, image_size),
                    masks=None, labels=torch.tensor([defect != "good" for defect in drawn.defects]),
                    defects=drawn.defects, paths=paths, image_level=True)

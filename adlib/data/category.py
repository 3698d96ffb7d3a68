"""Data sets on disk: MVTec-layout categories, whatever their image format.

    <root>/<category>/train/good/*                          normal images
    <root>/<category>/test/good/*  test/<defect>/*          normal and anomalous images
    <root>/<category>/ground_truth/<defect>/<stem>_mask.*   masks, optional

In place of a root stands "digits" or "cifar10" for a one-class data set (`adlib.data.one_class`).
"""

from dataclasses import dataclass, replace
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from adlib import ROOT, find_input
from adlib.data.images import SUFFIXES, as_images, image_size_of, images_in, read_images, read_masks
from adlib.data.one_class import CLASSES, SUBSET_SIZES, draw


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
    image_level: bool = False             # the whole image is the anomaly, no part of it: scores are means of maps


def load_category(root: str | Path, name: str, *, image_size: int = 256) -> Category:
    """Check a category of an MVTec-layout data set, then decode it.

    Images are resized straight to the square, aspect not kept, bilinear with antialiasing; masks by DeSTSeg's rule.
    An anomalous image whose mask is empty, or vanishes at 256 px, keeps its label and belongs to no region.

    Parameters
    ----------
    root : path of the data set, or "digits" or "cifar10"
        A folder of such a name is given as a path: "./digits".
    name : str
        Category, a folder in it; or the class that is normal.
    image_size : int
        S, a multiple of 32.

    Raises
    ------
    FileNotFoundError
        No such root, category, train/good or test images; it lists what exists.
    ValueError
        An image or mask that cannot be used, an unknown class, or an image size that the networks cannot take.
    """
    if root in CLASSES:
        return one_class_category(root, name, image_size=image_size)
    check_image_size(image_size)
    folder = find_category(root, name)
    train, test, masks = list_files(folder)
    problems = find_problems(folder, train, test, masks)
    if problems:
        more = f" (and {len(problems) - 1} more: describe({str(root)!r}) lists them)" if len(problems) > 1 else ""
        raise ValueError(problems[0] + more)
    kept, held = split_validation(len(train))
    images = read_images(train + test, image_size)
    defects = [path.parent.name for path in test]
    return Category(
        name=name,
        train=images[kept],
        validation=images[held],
        test=images[len(train) :],
        masks=read_masks([masks.get(path) for path in test], defects, folder) if masks else None,
        labels=torch.tensor([defect != "good" for defect in defects]),
        defects=defects,
        paths=test,
    )


def check_image_size(size: int) -> None:
    if not isinstance(size, int) or size < 32 or size % 32:
        raise ValueError(f"image_size={size!r} must be a multiple of 32, for example 128 or 256")


def split_validation(n: int) -> tuple[list[int], list[int]]:
    """Which of n training images are learnt from, and which 20 % are held back: the same for every method."""
    from sklearn.model_selection import train_test_split

    kept, held = train_test_split(range(n), test_size=0.2, random_state=0)
    return sorted(kept), sorted(held)


def subsample(category: Category, share: float, *, seed: int) -> Category:
    """The category with a share of its normal training and validation images, at least one of each, drawn at random."""
    generator = torch.Generator().manual_seed(seed)

    def draw_from(images: Tensor) -> Tensor:
        kept = torch.randperm(len(images), generator=generator)[: max(1, round(share * len(images)))]
        return images[kept.sort().values]

    if share == 1:
        return category
    return replace(category, train=draw_from(category.train), validation=draw_from(category.validation))


def list_categories(root: str | Path) -> list[str]:
    """Names of the categories in a data set: the folders that hold train/ or test/, or a one-class set's classes."""
    if root in CLASSES:
        return list(CLASSES[root])
    root = find_input(root)
    if not root.is_dir():
        raise FileNotFoundError(f"data_root {root.resolve()} does not exist; data/README.md says where data sets come "
                                f"from, and `python -m adlib demo --data-only` makes data/demo")
    return sorted(p.name for p in root.iterdir() if (p / "train").is_dir() or (p / "test").is_dir())


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


def list_files(folder: Path) -> tuple[list[Path], list[Path], dict[Path, Path]]:
    """Training images, test images, and the mask of each test image that has one."""
    train, test = images_in(folder / "train" / "good"), []
    for defect in sorted(p for p in (folder / "test").glob("*") if p.is_dir()):
        test += images_in(defect)
    if not train:
        raise FileNotFoundError(f"{folder / 'train' / 'good'} holds no images ({', '.join(sorted(SUFFIXES))}); "
                                f"normal images to learn from belong there")
    if not test:
        raise FileNotFoundError(f"{folder / 'test'} holds no images; put normal ones into test/good and anomalous ones "
                                f"into test/<defect>")
    masks = {}
    for path in test:
        found = [m for m in mask_candidates(folder, path) if m.is_file()]
        if found and path.parent.name != "good":
            masks[path] = found[0]
    return train, test, masks


def mask_candidates(folder: Path, path: Path) -> list[Path]:
    """Where the mask of a test image may lie: MVTec's name first, then the image's own."""
    truth = folder / "ground_truth" / path.parent.name
    suffixes = sorted(SUFFIXES, key=lambda suffix: (suffix != ".png", suffix))
    return [truth / f"{path.stem}{end}{suffix}" for end in ("_mask", "") for suffix in suffixes]


def find_problems(folder: Path, train: list[Path], test: list[Path], masks: dict[Path, Path]) -> list[str]:
    """What keeps a category from being used, each with its mend; reads the files' headers only."""
    problems = []
    if len(train) < 2:
        problems.append(f"{folder / 'train' / 'good'} holds one image; training and validation need one each at least")
    sizes, seen = {}, set(masks.values())
    for path in [*train, *test, *seen]:
        try:
            sizes[path] = image_size_of(path)
        except (OSError, ValueError, Image.DecompressionBombError) as error:
            problems.append(f"{path} cannot be read as an image ({error}); replace or remove it")
    for path, mask in masks.items():
        if path in sizes and mask in sizes and sizes[path] != sizes[mask]:
            problems.append("{} is {}x{} but its image is {}x{}; export the mask at the image's size".format(
                mask, *sizes[mask], *sizes[path]))
    for path in test:
        if masks and path.parent.name != "good" and path not in masks:
            problems.append(f"{path} has no mask, though other images have one; add "
                            f"{mask_candidates(folder, path)[0]}, black if nothing can be marked")
    for mask in sorted((folder / "ground_truth").glob("*/*")):
        if mask.suffix.lower() in SUFFIXES and mask.parent.name != "good" and mask not in seen:
            problems.append(f"{mask} belongs to no image in {folder / 'test' / mask.parent.name}; rename it to "
                            f"<image's stem>_mask{mask.suffix} or remove it")
    return problems


def describe(root: str | Path) -> list[str]:
    """Print what an MVTec-layout data set holds and what is missing; return the problems, each with its mend."""
    if root in CLASSES:
        print(f"{root}: a one-class data set without masks; any of its classes can be the category, the normal one: "
              f"{', '.join(CLASSES[root])}")
        return []
    names, root, problems = list_categories(root), find_input(root), []
    print(f"{root.resolve()}: {len(names)} categories")
    print(f"{'category':<20}{'train':>7}{'normal':>8}{'anomalous':>11}{'masks':>7}  size, defect types")
    for name in names:
        try:
            train, test, masks = list_files(root / name)
        except FileNotFoundError as error:
            problems.append(str(error))
            continue
        found = find_problems(root / name, train, test, masks)
        problems += found
        defects = [p.parent.name for p in test]
        types = ", ".join(f"{d} {defects.count(d)}" for d in dict.fromkeys(defects) if d != "good")
        size = "?" if found else "{}x{}".format(*image_size_of(train[0]))
        normal = defects.count("good")
        print(f"{name:<20}{len(train):>7}{normal:>8}{len(test) - normal:>11}{len(masks):>7}  {size}, {types}")
        if not masks:
            print(f"{'':<20}no ground_truth: image metrics only")
    for problem in problems:
        print(f"problem: {problem}")
    if not names:
        print("expected <category>/train/good/*.png, test/good/*.png, test/<defect>/*.png, ground_truth/<defect>/")
    return problems


def one_class_category(name: str, category: str, *, image_size: int = 64,
              limit: tuple[int, int, int] | None = SUBSET_SIZES) -> Category:
    """A class of a one-class data set as a category: it is normal, every other class is anomalous, there are no masks.

    Small images are enlarged, and grey ones become colour, as `as_images` does it.

    Parameters
    ----------
    name : {"digits", "cifar10"}
    category : str
        The normal class: "0" to "9", or "airplane", "cat", ...
    image_size : int
        S, a multiple of 32.
    limit : (int, int, int), optional
        At most so many training, normal test and anomalous test images; None for the full protocol, which for a class
        of CIFAR-10 is 5,000, 1,000 and 9,000.

    Raises
    ------
    ValueError, OSError
        See `one_class.draw`.
    """
    check_image_size(image_size)
    drawn = draw(name, category, limit=limit)
    kept, held = split_validation(len(drawn.train))
    train = as_images(drawn.train, image_size)
    return Category(
        name=category,
        train=train[kept],
        validation=train[held],
        test=as_images(drawn.test, image_size),
        masks=None,
        labels=torch.tensor([defect != "good" for defect in drawn.defects]),
        defects=drawn.defects,
        paths=[ROOT / "data" / name / "test" / f"{number:04}" for number in drawn.numbers],
        image_level=True,
    )


FEWEST_PHOTOGRAPHS = 8


def folder_category(good: str | Path, new: str | Path | None = None, *, image_size: int = 128) -> Category:
    """A category from one folder of good photographs, of any sizes, and one of new ones.

    The same share as ever is held back for validation. Without `new`, the held-back ones stand in as test images.
    Nothing is known of the new ones: all labels are False, and there are no masks.

    Raises
    ------
    FileNotFoundError
        No such folder, or no photographs in it; says what is there instead.
    ValueError
        Fewer than 8 good ones, or a file that cannot be read.
    """
    good, train = find_input(good), photographs(good)
    if len(train) < FEWEST_PHOTOGRAPHS:
        raise ValueError(f"{good.resolve()} holds {len(train)} photographs, at least {FEWEST_PHOTOGRAPHS} are needed: a fifth of "
                         f"them, at least two, is held back to set the threshold, and from fewer than six others there "
                         f"is too little to learn what is normal; take more of good parts")
    kept, held = split_validation(len(train))
    test = photographs(new) if new else [train[i] for i in held]
    images = read_images(train, image_size)
    return Category(
        name=good.resolve().name,
        train=images[kept],
        validation=images[held],
        test=read_images(test, image_size),
        masks=None,
        labels=torch.zeros(len(test), dtype=torch.bool),
        defects=["new" if new else "good"] * len(test),
        paths=test,
    )


def photographs(folder: str | Path) -> list[Path]:
    """The images in a folder; prints which other files are left out."""
    folder = find_input(folder)
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder.resolve()} is not a folder; give one that holds photographs")
    found, kinds = images_in(folder), ", ".join(sorted(SUFFIXES))
    others = sorted(p.name for p in folder.iterdir() if p.is_file() and p not in found and not p.name.startswith("."))
    left_out = f"{len(others)} files of other kinds ({', '.join(others[:3])}{', …' if len(others) > 3 else ''})"
    if not found:
        inner = [p.name for p in sorted(folder.iterdir()) if p.is_dir() and images_in(p)]
        mend = (f"its sub-folders {', '.join(inner)} do: give one of them" if inner else
                f"it has {left_out}: export photographs (.heic, .webp, raw) as JPEG" if others else "it is empty")
        raise FileNotFoundError(f"{folder.resolve()} holds no photographs that can be read ({kinds}); {mend}")
    if others:
        print(f"{folder}: left out {left_out}; these are read: {kinds}")
    return found

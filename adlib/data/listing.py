"""What stands in a data set's folders, by names alone: images, the masks that belong to them, and what does not."""

import re
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from adlib.settings import is_clutter, printable

SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp", ".avif"}
NEARLY_GOOD = {"good", "goods", "ok", "okay", "normal", "nominal", "non_defective", "no_defect", "defect_free"}
MASK_ENDING = re.compile(r"_(mask|gt|label)$", re.IGNORECASE)
DOCUMENTS = {".txt", ".md", ".csv", ".json", ".html", ".pdf"}       # beside train/ they are not missed


class Fault(ValueError):
    """Something about a file, and its fix or how it is read."""

    def __init__(self, path: Path, what: str, fix: str):
        super().__init__(f"{printable(path)} {what}; {fix}")
        self.path, self.what, self.fix = path, what, fix


def group_faults(faults: list[Fault]) -> list[str]:
    """A sentence for all faults that have one fix."""
    kinds, sentences = {}, []
    for fault in faults:
        kinds.setdefault(fault.fix, []).append(fault)
    for first, *others in kinds.values():
        names = some(["/".join(fault.path.parts[-3:]) for fault in others])
        more = f" (and {len(others)} more: {names})" if others else ""
        sentences.append(f"{printable(first.path)} {first.what}{more}; {first.fix}")
    return sentences


def some(names: list[str]) -> str:
    return ", ".join(printable(name) for name in names[:3]) + (", …" if len(names) > 3 else "")


def visible(folder: Path) -> list[Path]:
    """What stands in a folder, sorted, without hidden files and the clutter that systems and archivers leave."""
    found = sorted(folder.iterdir()) if folder.is_dir() else []
    return [p for p in found if not is_clutter(p.name)]


def images_in(folder: Path) -> list[Path]:
    return [p for p in visible(folder) if p.suffix.lower() in SUFFIXES and not p.is_dir()]


def files_below(folder: Path) -> Iterator[Path]:
    """The files in a folder and in all folders below; links to folders are not followed."""
    for path in visible(folder):
        if not path.is_dir():
            yield path
        elif not path.is_symlink():
            yield from files_below(path)


def matching_name(name: str) -> str:
    """A name as it is compared: in small letters, each letter encoded in one way."""
    return unicodedata.normalize("NFC", name).casefold()


class CategoryFiles(NamedTuple):
    """What a category holds, by names alone."""

    train: list[Path]
    test: list[Path]
    masks: dict[Path, Path]     # of test images: a file, or a folder of files
    faults: list[Fault]         # what keeps it from being used
    unused: list[Fault]         # what is there and is not loaded


def list_files(folder: Path) -> CategoryFiles:
    """Find the images of a category, and the mask of each test image that has one."""
    train, test, masks, faults = images_in(folder / "train" / "good"), [], {}, []
    for defect in visible(folder / "test"):
        test += images_in(defect)
    if len(train) < 2:
        faults.append(Fault(folder / "train" / "good", "holds one image" if train else "holds no images",
                            f"put two normal ones there at least, to learn from ({', '.join(sorted(SUFFIXES))})"))
    if not test:
        faults.append(Fault(folder / "test", "holds no images",
                            "put normal ones into test/good and anomalous ones into test/<defect>"))
    for part in visible(folder / "train") + visible(folder / "test"):
        if part.name != "good" and matching_name(part.name).replace("-", "_") in NEARLY_GOOD:
            faults.append(Fault(part, "has another name than MVTec's", "rename the folder of normal images to good"))
    truths = {matching_name(truth.name): truth for truth in visible(folder / "ground_truth")}
    for defect in visible(folder / "test"):
        masks |= pair_masks(images_in(defect), truths.pop(matching_name(defect.name), defect / "none"), faults)
    for truth in truths.values():
        pair_masks([], truth, faults)
    faults += [Fault(path, "has no mask, though other images have one",
                     "add ground_truth/<defect>/<image's name>_mask.png, black if nothing can be marked")
               for path in test if masks and path.parent.name != "good" and path not in masks]
    return CategoryFiles(train, test, masks, faults, find_unused(folder, {*train, *test, *masks.values()}, faults))


def pair_masks(images: list[Path], truth: Path, faults: list[Fault]) -> dict[Path, Path]:
    """The mask of each image that has one in a folder: by name, but for a _mask at its end, capitals and encoding."""
    if truth.name == "good":
        return {}
    masks, found, taken = {}, {}, set()
    there = [p for p in visible(truth) if (images_in(p) if p.is_dir() else p.suffix.lower() in SUFFIXES)]
    for mask in there:
        name = mask.name if mask.is_dir() else mask.stem
        for stem in {name, MASK_ENDING.sub("", name)}:
            found.setdefault(matching_name(stem), {})[mask] = stem
    for image in images:
        stems = found.get(matching_name(image.stem), {})
        candidates = [mask for mask, stem in stems.items() if stem == image.stem] or list(stems)
        if len(candidates) > 1:
            faults.append(Fault(candidates[1], f"and {candidates[0].name} are both masks of {image.name}",
                                "keep one, or put them into a folder of the image's name, which unites them"))
        if candidates and candidates[0] in taken:
            faults.append(Fault(image, f"has another image's mask, {candidates[0].name}",
                                "give each image a name of its own, and its mask too"))
        if candidates:
            masks[image] = candidates[0]
        taken.update(candidates)
    faults += [Fault(mask, f"belongs to no image in test/{truth.name}",
                     "rename it to <image's name>_mask.png or remove it") for mask in there if mask not in taken]
    return masks


def find_unused(folder: Path, used: set[Path], faults: list[Fault]) -> list[Fault]:
    """What a category holds besides, for each folder and ending."""
    known, kinds = used | {fault.path for fault in faults} | {folder / "ground_truth" / "good"}, {}
    for path in files_below(folder):
        document = path.parent == folder and path.suffix.lower() in DOCUMENTS
        if not document and not known & {path, path.parent}:
            kinds.setdefault(path.parent / f"*{path.suffix}", []).append(path.name)
    return [Fault(kind, "is not used", f"{len(names)} files: {some(names)}") for kind, names in kinds.items()]

"""What a data set holds and what is wrong with it, told before anything is computed; and a share of it."""

import re
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import torch

from adlib import find_input
from adlib.data.category import Category, find_faults, list_categories
from adlib.data.images import find_range, open_upright, read_mask, upright_size
from adlib.data.listing import CategoryFiles, Fault, group_faults, list_files, visible
from adlib.settings import CLASSES, printable

MASK_SIGN = re.compile(r"mask|truth|label|annot|segm|(?<![a-z])gt(?![a-z])", re.IGNORECASE)


def describe(root: str | Path) -> list[str]:
    """Print what an MVTec-layout data set holds and what is missing; return the problems, each with its fix."""
    if root in CLASSES:
        print(f"{root}: a one-class data set without masks; any of its classes can be the category, the normal one: "
              f"{', '.join(CLASSES[str(root)])}")
        return []
    names, root = list_categories(root), find_input(root)
    deeper = [path for path in visible(root) if path.is_dir() and not names and list_categories(path)]
    if deeper:
        print(f"{root.resolve()} holds no category, but a folder in it does: give that as data_root")
        return [problem for path in deeper for problem in describe(path)]
    faults, notes = [], []
    print(f"{root.resolve()}: {len(names)} categories")
    print(f"{'category':<20}{'train':>7}{'normal':>8}{'anomalous':>11}{'masks':>7}  size, defect types")
    for name in names:
        files = list_files(root / name)
        found = find_faults(files)
        unclear = look_into(files, found)
        defects = [path.parent.name for path in files.test]
        types = ", ".join(f"{d} {defects.count(d)}" for d in dict.fromkeys(defects) if d != "good")
        normal, size = defects.count("good"), "?"
        if not found:
            with open_upright(files.train[0]) as file:
                size = "{}x{}".format(*upright_size(file))
        print(printable(f"{name:<20}{len(files.train):>7}{normal:>8}{len(defects) - normal:>11}{len(files.masks):>7}  "
                        f"{size}, {types}"))
        besides = (f"{fault.path.relative_to(root / name)} {fault.fix}" for fault in files.unused + found)
        if not files.masks and not any(map(MASK_SIGN.search, besides)):
            print(f"{'':<20}no ground_truth: image metrics only")
        faults, notes = faults + found, [*notes, *map(str, files.unused), *group_faults(unclear)]
    problems = group_faults(faults)
    if not names:
        where = "is itself a category: give its parent" if (root / "train").is_dir() else "holds no category"
        problems.append(f"{root.resolve()} {where}; expected <category>/train/good/*.png, test/good/*.png, "
                        f"test/<defect>/*.png, ground_truth/<defect>/<image's name>_mask.png")
    for line in [f"problem: {text}" for text in problems] + [f"note: {text}" for text in notes]:
        print(line)
    return problems


def subsample(category: Category, share: float, *, seed: int) -> Category:
    """The category with a share of its normal training and validation images, at least one of each, drawn at random."""
    if share == 1:
        return category
    generator, images, tiles = torch.Generator().manual_seed(seed), {}, dict(category.tiles)
    for part in ("train", "validation"):
        whole = getattr(category, part)
        kept = torch.randperm(len(whole), generator=generator)[: max(1, round(share * len(whole)))].sort().values
        images[part] = whole[kept]
        if part in tiles:
            tiles[part] = tiles[part].pick(kept)
    return replace(category, **images, tiles=tiles)


def look_into(files: CategoryFiles, faults: list[Fault]) -> list[Fault]:
    """What is unclear in a category, and how it is read; decodes the masks and some images, and adds to the faults."""
    unclear, broken = [], {fault.path for fault in faults}
    for mask in files.masks.values():
        try:
            read_mask(mask, unclear)
        except Fault as fault:
            faults += [fault] if fault.path not in broken else []
    with suppress(Fault):       # of a file that loading will name
        if values := find_range([path for path in files.train if path not in broken]):
            unclear.append(Fault(files.train[0].parent, "holds more than 8 bits",
                                 "values of {:g} to {:g} are read as black to white".format(*values)))
    return unclear

"""What several rooms share: paths, sizes, budgets, backbones, files that are written atomically, memory."""

import ctypes
import hashlib
import json
import math
import os
import platform
import sys
from collections.abc import Callable, Iterable
from functools import lru_cache
from pathlib import Path
from typing import BinaryIO


def find_root() -> Path:
    """The repository around this package; where it is installed without one, the working directory."""
    folder = Path(__file__).resolve().parent.parent
    return folder if (folder / "pyproject.toml").is_file() and (folder / "notebooks").is_dir() else Path.cwd()


ROOT = find_root()      # relative outputs are written below it
MAP_SIZE = 256      # px: every map, mask and number refers to this size
# px of a training image. smoke: seconds, for tests. demo: at most a minute on two CPU cores. paper: for a GPU.
IMAGE_SIZE = {"smoke": 64, "demo": 128, "paper": 256}
# Backbone -> timm architecture. The resnets mean torchvision's V1 weights, those of the papers: a bare timm name
# would be another training of the same network.
BACKBONES = {
    "efficientnet_lite0": "tf_efficientnet_lite0",
    "resnet18": "resnet18.tv_in1k",
    "resnet50": "resnet50.tv_in1k",
    "wide_resnet50_2": "wide_resnet50_2.tv_in1k",
}

# One-class data sets stand in place of a folder as data_root, their classes in place of a category.
CLASSES = {
    "digits": tuple("0123456789"),
    "cifar10": ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"),
}
# Widths of DeSTSeg's student and segmentation network, for its constructor.
DESTSEG_WIDTHS = {
    "smoke": {"student_width": 16, "width": 16},
    "demo": {"student_width": 16, "width": 32},
    "paper": {"student_width": 64, "width": 256},
}
# How far DeSTSeg's official code turns the normal images of each MVTec AD category; "none" elsewhere.
ROTATION = {
    **dict.fromkeys(("capsule", "metal_nut", "pill", "toothbrush", "transistor"), "none"),
    **dict.fromkeys(("cable", "wood", "zipper"), "slight"),
    **dict.fromkeys(("bottle", "carpet", "grid", "hazelnut", "leather", "screw", "tile"), "full"),
}

METRIC_NAMES = {"image_auroc": "image AUROC", "pixel_auroc": "pixel AUROC", "pixel_ap": "pixel AP", "pro": "PRO",
                "iap": "IAP", "iap90": "IAP@90"}
METRICS = tuple(METRIC_NAMES)

# What systems and archivers leave in folders, besides hidden files and folders.
CLUTTER = {"__macosx", "thumbs.db", "ehthumbs.db", "desktop.ini", "@eadir"}


def is_clutter(name: str) -> bool:
    return name.startswith(".") or name.casefold() in CLUTTER


def printable(text: str | Path) -> str:
    """A name or path with escapes for what no terminal shows: line breaks, and bytes that are no text."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in str(text))


def find_input(path: str | Path) -> Path:
    """A path to read from: relative to the working directory, else to the repository."""
    path = Path(os.path.expanduser(path))       # pathlib's own raises where ~name is no user
    return path if path.is_absolute() or path.exists() else ROOT / path


def find_output(path: str | Path) -> Path:
    """A path to write to: relative ones lie in the repository, wherever the notebook is run."""
    path = Path(os.path.expanduser(path))
    return path if path.is_absolute() else ROOT / path


def portable(path: str | Path) -> str:
    """A path as `find_input` finds it again from any working directory."""
    path = Path(os.path.abspath(path))
    return (path.relative_to(ROOT) if path.is_relative_to(ROOT) else path).as_posix()


def write(path: Path, fill: Callable[[BinaryIO], object]) -> Path:
    """Write a file atomically: under another name first, so that it is there complete or not at all."""
    part = path.with_name(path.name + ".part")
    try:
        with part.open("wb") as file:
            fill(file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    return path


def write_json(path: Path, entry: dict) -> None:
    write(path, lambda file: file.write(json.dumps(entry, indent=1, allow_nan=False).encode()))


@lru_cache
def keep_freed_memory() -> None:
    """Let glibc keep what this process frees: by itself it gives megabytes back, to have them zeroed at the next step.

    That is a tenth of a training on a CPU and a third of a prediction. Other systems' allocators keep it anyway.
    """
    if platform.libc_ver()[0] == "glibc":
        for option in (-1, -3):         # M_TRIM_THRESHOLD, M_MMAP_THRESHOLD
            ctypes.CDLL(None).mallopt(option, 2**30)


def peak_memory_mb(device: object = "cpu") -> float:
    """The most memory that this process has held on the device so far; nan where the system does not tell."""
    if str(device).startswith("cuda"):
        import torch

        return torch.cuda.max_memory_allocated(str(device)) / 2**20
    if sys.platform == "win32":
        return math.nan
    import resource  # Unix only

    unit = 1 if sys.platform == "darwin" else 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**20


def cpu_has_bf16() -> bool:
    """Whether this processor has instructions for bf16; elsewhere it is emulated, which is slow."""
    import torch

    able = torch.cpu.get_capabilities()
    return bool(able.get("avx512_bf16") or able.get("amx_bf16"))


def digest(tensors: Iterable) -> str:
    """Twelve hexadecimal digits that stand for the values of some tensors."""
    import torch

    found = hashlib.sha256()
    for x in tensors:
        found.update(x.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().data)
    return found.hexdigest()[:12]

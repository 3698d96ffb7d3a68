"""One-class data sets: images of ten classes, each of which can stand for what is normal.

    digits      1,797 grey digits of 8 x 8 pixels, inside scikit-learn: nothing is downloaded
    cifar10     60,000 photographs of 32 x 32 pixels, which torchvision puts into data/cifar10

Nothing is hidden in a part of such an image: the whole image is the anomaly. `data.one_class` makes a category of it.
"""

from contextlib import suppress
from typing import NamedTuple

import filelock
import numpy as np

from adlib import ROOT
from adlib.settings import CLASSES

SUBSET_SIZES = (500, 1000, 1000)       # training, normal and anomalous test images: 10,000 maps would be 2.6 GB
FOLDER = ROOT / "data" / "cifar10"


class LabelledImages(NamedTuple):
    """The training or the test images of a data set."""

    images: np.ndarray      # (N, H, W) or (N, H, W, 3) uint8
    classes: np.ndarray     # (N,) int, of `CLASSES`


class Drawn(NamedTuple):
    """What one class is learnt from, and what is judged: that class first, then all others."""

    train: np.ndarray       # (N, H, W) or (N, H, W, 3) uint8, normal
    test: np.ndarray        # (M, H, W) or (M, H, W, 3) uint8
    defects: list[str]      # of each test image: "good" where normal, else its class
    numbers: list[int]      # of each test image, within the data set's test part


def draw(name: str, category: str, *, limit: tuple[int, int, int] | None = SUBSET_SIZES) -> Drawn:
    """Take one class for normal: its training images, and test images of all classes; prints what is left out.

    Parameters
    ----------
    name : {"digits", "cifar10"}
    category : str
        The normal class: "0" to "9", or "airplane", "cat", ...
    limit : (int, int, int), optional
        At most so many training, normal test and anomalous test images, these in equal shares of the other classes,
        drawn with a fixed seed; a larger limit keeps those of a smaller one. None takes all, 5,000, 1,000 and 9,000
        for a class of CIFAR-10.

    Raises
    ------
    ValueError
        An unknown class, or a limit that leaves nothing.
    OSError
        CIFAR-10 is neither there nor to be had.
    """
    if category not in CLASSES[name]:
        raise ValueError(f"category {category!r} is no class of {name}; choose one of {', '.join(CLASSES[name])}")
    if limit is not None and (len(limit) != 3 or min(limit) < 2):
        raise ValueError(f"limit={limit!r} must be three numbers of at least 2 (training, normal and anomalous test "
                         f"images), or None")
    train, test = read_digits() if name == "digits" else read_cifar10()
    normal, most = CLASSES[name].index(category), limit or (None, None, None)
    learnt = choose(train.classes, normal, most[0])
    good, bad = choose(test.classes, normal, most[1]), choose_others(test.classes, normal, most[2])
    kept = (len(learnt), len(good), len(bad))
    there = ((train.classes == normal).sum(), (test.classes == normal).sum(), (test.classes != normal).sum())
    if kept != there:
        what = ("training images of the class", "normal test images", "anomalous test images")
        told = ", ".join(f"{few:,} of {every:,} {kind}" for few, every, kind in zip(kept, there, what, strict=True))
        print(f"{name} {category}: {told}; drawn with a fixed seed, the others are left out", flush=True)
    judged = np.concatenate([good, bad])
    defects = ["good"] * len(good) + [CLASSES[name][k] for k in test.classes[bad]]
    return Drawn(train.images[learnt], test.images[judged], defects, judged.tolist())


def choose(classes: np.ndarray, k: int, most: int | None) -> np.ndarray:
    """Where class k stands: all places, or `most` of them at random, in order."""
    return np.sort(np.random.default_rng(k).permutation(np.flatnonzero(classes == k))[:most])


def choose_others(classes: np.ndarray, normal: int, most: int | None) -> np.ndarray:
    """Where all classes but one stand, class after class; `most` is shared out equally, the first get what is over."""
    others = [k for k in np.unique(classes) if k != normal]
    shares = [None if most is None else (most + i) // len(others) for i in reversed(range(len(others)))]
    return np.concatenate([choose(classes, k, share) for k, share in zip(others, shares, strict=True)])


def read_digits() -> tuple[LabelledImages, LabelledImages]:
    """scikit-learn's digits, without a published split: half of each class is for training, of the same 13 writers."""
    from sklearn.datasets import load_digits

    values, classes = (np.asarray(x) for x in load_digits(return_X_y=True))
    images = (values.reshape(-1, 8, 8) * (255 / 16)).round().astype(np.uint8)      # grey values of 0 to 16
    train = np.zeros(len(images), bool)
    for k, count in enumerate(np.bincount(classes)):
        train[choose(classes, k, count // 2)] = True
    return LabelledImages(images[train], classes[train]), LabelledImages(images[~train], classes[~train])


def read_cifar10() -> tuple[LabelledImages, LabelledImages]:
    """CIFAR-10's own training and test part (Krizhevsky, 2009), downloaded first if they are not there."""
    from torchvision.datasets import CIFAR10

    def read(download: bool) -> tuple[LabelledImages, LabelledImages]:
        parts = [CIFAR10(FOLDER, train=train, download=download) for train in (True, False)]  # checks the files' sums
        train, test = (LabelledImages(part.data, np.array(part.targets)) for part in parts)
        return train, test

    with suppress(RuntimeError):        # torchvision's, where the files are missing or not whole
        return read(download=False)
    archive = FOLDER / CIFAR10.filename
    try:
        FOLDER.mkdir(parents=True, exist_ok=True)
        with filelock.FileLock(FOLDER / ".lock"):       # one process at a time
            print(f"CIFAR-10: unpacking {archive}" + ("" if archive.exists() else ", 170 MB, downloaded first"),
                  flush=True)
            return read(download=True)
    except (OSError, RuntimeError) as error:
        raise OSError(f"CIFAR-10 is not in {FOLDER} and could not be fetched ({error}); connect to the network once, "
                      f"or put {CIFAR10.filename} (from {CIFAR10.url}, md5 {CIFAR10.tgz_md5}) there, or take "
                      f"data_root='digits', which needs no network") from error

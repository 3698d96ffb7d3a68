"""Small data sets on disk, made here: no test needs a download."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from adlib.demo import generate


def pytest_collection_modifyitems(items):
    """The longest file first: with two workers, it takes one of them about as long as all others take the other."""
    items.sort(key=lambda item: item.path.name != "test_notebooks.py")


def save(path: Path, pixels: np.ndarray, **options) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, **options)
    return path


def texture(rng: np.random.Generator, size: tuple[int, int] = (48, 40)) -> np.ndarray:
    """(H, W, 3) uint8: smooth stripes with noise, a defect-free surface."""
    x = np.arange(size[1])[None, :, None]
    return (128 + 60 * np.sin(x / 3) + rng.normal(0, 10, (*size, 3))).clip(0, 255).astype(np.uint8)


def make_category(root: Path, name: str = "bolt", *, train=10, good=3, bad=4, masks=True) -> Path:
    """An MVTec-layout category of 48 x 40 images; the defect is a bright square, the mask is exact."""
    rng = np.random.default_rng(0)
    folder = root / name
    for i in range(train):
        save(folder / "train/good" / f"{i:03}.png", texture(rng))
    for i in range(good):
        save(folder / "test/good" / f"{i:03}.png", texture(rng))
    for i in range(bad):
        image, mask = texture(rng), np.zeros((48, 40), np.uint8)
        image[10:22, 8 + i : 20 + i], mask[10:22, 8 + i : 20 + i] = 255, 255
        save(folder / "test/crack" / f"{i:03}.png", image)
        if masks:
            save(folder / "ground_truth/crack" / f"{i:03}_mask.png", mask)
    return folder


@pytest.fixture(scope="session")
def demo_root(tmp_path_factory) -> Path:
    """A demo set of a texture and a part, with fewer images than the real one."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(generate, "COUNTS", {"train/good": 60, "test/good": 20})
        patch.setattr(generate, "DEFECTIVE", 40)
        return generate.make_set(tmp_path_factory.mktemp("sets") / "demo", 0, ["gravel", "circuit"], workers=1)


@pytest.fixture
def bolt(tmp_path) -> Path:
    """The folder of a small category, `tmp_path / "bolt"`."""
    return make_category(tmp_path)


def verdict(capsys, check, *arguments) -> str:
    """What an exercise's check prints on an answer: one line."""
    check(*arguments)
    printed = capsys.readouterr().out
    assert printed.count("\n") == 1
    return printed

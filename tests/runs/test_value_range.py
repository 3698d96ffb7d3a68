"""A run keeps what black and white were, and scores other files by it."""

import numpy as np
import pytest
import torch
from conftest import make_category
from helpers import leave
from PIL import Image

from adlib.data.category import load_category
from adlib.runs.record import load_run
from adlib.training import predict


def make_deep(root, top: int):
    """The small category in grey, with the same scene as 16-bit files whose values end at `top`; 255 stays as it is."""
    make_category(root / "set")
    for path in [*root.glob("set/bolt/t*/*/*.png")]:
        with Image.open(path) as image:
            grey = np.asarray(image.convert("L"))
        Image.fromarray(grey if top == 255 else (grey / 255 * top).round().astype(np.uint16)).save(path)
    return root


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    """A run on 8 bits."""
    return leave(make_deep(tmp_path_factory.mktemp("plain"), 255))


@pytest.mark.parametrize("top", [1023, 4095, 65535])
def test_the_same_scene_in_any_depth_gives_the_same_maps(tmp_path, plain, top):
    folder, data, maps = leave(make_deep(tmp_path, top))
    run = load_run(folder)
    assert run.entry["value_range"] == [0, top]
    torch.testing.assert_close(maps, plain[2], rtol=1e-2, atol=1e-3)
    darkest = min(range(len(data.paths)), key=lambda i: data.test[i].float().mean())
    again = run.score([data.paths[darkest]])
    torch.testing.assert_close(again.maps, maps[darkest:][:1])
    assert again.scores[0] == pytest.approx(float(run.scores[darkest]))


def test_a_run_on_eight_bits_has_no_range(plain):
    run = load_run(plain[0])
    assert run.entry["value_range"] is None
    data = load_category(plain[0].parents[4] / "set", "bolt", image_size=64)
    torch.testing.assert_close(predict(run.model, data.test), plain[2])

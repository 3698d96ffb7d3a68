"""Texture sources: a folder as DTD's, and scikit-image's own photographs."""

from importlib.metadata import files
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import save

from adlib.demo import generate
from adlib.demo.textures import PHOTOGRAPHS, crops, describe_textures, load_textures


@pytest.fixture
def dtd(tmp_path):
    """DTD's layout, 3 classes of 4 images; image i is grey value i, so that each can be recognised."""
    for i in range(12):
        folder = tmp_path / "dtd/images" / ("dotted", "banded", "woven")[i % 3]
        save(folder / f"{folder.name}_{i:04}.png", np.full((40, 50, 3), i, np.uint8))
    (tmp_path / "dtd/labels").mkdir()
    (tmp_path / "dtd/labels/train1.txt").write_text("banded/banded_0001.png")
    save(tmp_path / "dtd/images/woven/._woven_0002.png", np.zeros((4, 4), np.uint8))
    save(tmp_path / "dtd/.cache/woven_0002.png", np.zeros((4, 4), np.uint8))
    return tmp_path / "dtd"


def test_a_folder_is_read_with_all_below_it_in_order(dtd):
    textures = load_textures(dtd, 32)
    assert textures.shape == (12, 3, 32, 32)
    assert textures.dtype == torch.uint8
    assert textures[:, 0, 0, 0].tolist() == [1, 4, 7, 10, 0, 3, 6, 9, 2, 5, 8, 11]      # banded, dotted, woven


def test_of_a_larger_folder_the_seed_draws_and_says_what_is_left_out(dtd, capsys):
    def draw(seed):
        return load_textures(dtd, 32, limit=5, seed=seed)[:, 0, 0, 0].tolist()

    first = draw(0)
    assert "5 of the 12 images" in capsys.readouterr().out
    assert len(set(first)) == 5
    assert first == draw(0)
    assert len({tuple(draw(seed)) for seed in range(5)}) > 1
    assert {value for seed in range(12) for value in draw(seed)} == set(range(12))


def test_a_folder_within_its_limit_is_taken_whole_in_silence(dtd, capsys):
    assert len(load_textures(dtd, 32, limit=12)) == len(load_textures(dtd, 32, limit=None)) == 12
    assert capsys.readouterr().out == ""


def test_photographs_come_whole_and_in_quadrants_in_colour():
    textures = load_textures("auto", 32)
    assert textures.shape == (5 * len(PHOTOGRAPHS), 3, 32, 32)
    assert len(textures.flatten(1).unique(dim=0)) == len(textures)
    coloured = (textures.float().std(dim=1).mean(dim=(1, 2)) > 3).sum()
    assert coloured >= 5 * 6                        # astronaut, chelsea, coffee, ihc, motorcycle, retina, rocket, …
    assert torch.equal(textures, load_textures("auto", 32))


def test_photographs_ship_inside_the_wheel():
    shipped = {Path(file).name for file in files("scikit-image") if Path(file).parent.as_posix() == "skimage/data"}
    assert set(PHOTOGRAPHS) <= shipped
    assert len(set(PHOTOGRAPHS)) == len(PHOTOGRAPHS)


def test_no_photograph_is_one_that_the_demo_is_cut_from():
    cut = {name for name, recipe in generate.CATEGORIES.items() if recipe.how == "photograph"}
    assert cut
    assert not cut & {Path(file).stem for file in PHOTOGRAPHS}


def test_quadrants_of_a_numbered_picture():
    picture = np.arange(12).reshape(3, 4)
    whole, *quadrants = crops(picture)
    assert whole is picture
    assert [q.tolist() for q in quadrants] == [[[0, 1]], [[2, 3]], [[4, 5], [8, 9]], [[6, 7], [10, 11]]]


def test_a_source_is_described_without_its_path(dtd):
    assert describe_textures(dtd) == "dtd: 12 of 12 images"
    assert describe_textures(dtd, limit=5) == "dtd: 5 of 12 images"
    assert describe_textures(dtd, limit=None) == "dtd: 12 of 12 images"
    assert "camera, cell, chelsea" in describe_textures("auto")
    assert "not brick, grass, gravel" in describe_textures("auto")


@pytest.mark.parametrize("act", [lambda folder: load_textures(folder, 32), describe_textures])
def test_a_missing_or_empty_folder_says_what_to_give(tmp_path, act):
    with pytest.raises(FileNotFoundError, match="nowhere is not a folder.*'auto'"):
        act(tmp_path / "nowhere")
    (tmp_path / "empty/images").mkdir(parents=True)
    (tmp_path / "empty/images/list.txt").write_text("")
    with pytest.raises(FileNotFoundError, match="empty holds no images.*'auto'"):
        act(tmp_path / "empty")


def test_a_file_that_cannot_be_decoded_is_named(dtd):
    (dtd / "images/woven/woven_0020.jpg").write_bytes(b"not a picture")
    with pytest.raises(ValueError, match="woven_0020.jpg cannot be decoded.*replace or remove it"):
        load_textures(dtd, 32)


def test_a_limit_below_one_is_refused(dtd):
    with pytest.raises(ValueError, match="limit=0 must be at least 1"):
        load_textures(dtd, 32, limit=0)

import warnings

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from conftest import make_category, save
from PIL import Image

from adlib import ROOT, find_input, find_output
from adlib.data.category import load_category
from adlib.data.images import as_images, read_mask, shrink_mask
from adlib.runs.datasets import describe


def test_a_category_arrives_whole(bolt, tmp_path):
    data = load_category(tmp_path, "bolt", image_size=64)
    assert data.train.shape == (8, 3, 64, 64)
    assert data.train.dtype == torch.uint8
    assert data.validation.shape == (2, 3, 64, 64)
    assert data.test.shape == (7, 3, 64, 64)
    assert data.masks.shape == (7, 256, 256)
    assert data.labels.tolist() == [d != "good" for d in data.defects]
    for path, defect, mask in zip(data.paths, data.defects, data.masks, strict=True):
        assert path.parent.name == defect
        assert bool(mask.any()) == (defect != "good")


@pytest.mark.parametrize(("images", "validation"), [(2, 1), (60, 12), (209, 42), (391, 79)])
def test_a_fifth_is_held_back_and_nothing_is_lost(tmp_path, images, validation):
    for i in range(images):     # image i is grey value i, so that each can be recognised
        save(tmp_path / "c/train/good" / f"{i:03}.png", np.full((8, 8), i % 256, np.uint8))
    save(tmp_path / "c/test/good/0.png", np.zeros((8, 8), np.uint8))
    data = load_category(tmp_path, "c", image_size=32)
    assert len(data.validation) == validation
    found = torch.cat([data.train, data.validation])[:, 0, 0, 0]
    assert sorted(found.tolist()) == sorted(i % 256 for i in range(images))
    again = load_category(tmp_path, "c", image_size=32)
    assert torch.equal(data.validation, again.validation)


@pytest.mark.parametrize(("mode", "suffix", "dtype"), [
    ("RGB", "png", None), ("RGB", "jpg", None), ("RGB", "bmp", None), ("RGB", "tiff", None), ("L", "png", None),
    ("RGBA", "png", None), ("LA", "png", None), ("P", "png", None), ("1", "png", None), ("I;16", "png", np.uint16),
    ("I;16", "tif", np.uint16),
])
def test_every_image_format_gives_the_same_picture(tmp_path, mode, suffix, dtype):
    ramp = np.tile(np.where(np.arange(64) < 32, 0, 255).astype(np.uint8), (64, 1))
    image = Image.fromarray(ramp.astype(dtype) * 257) if dtype else Image.fromarray(ramp).convert("RGB").convert(mode)
    image.save(tmp_path / f"image.{suffix}")
    pixels = as_images([tmp_path / f"image.{suffix}"], 32)[0]
    assert pixels.shape == (3, 32, 32)
    assert pixels[..., :12].max() <= 3        # JPEG rings a little
    assert pixels[..., 20:].min() >= 252


def test_a_cameras_orientation_tag_is_obeyed(bolt, tmp_path):
    image, exif = Image.new("RGB", (60, 20)), Image.Exif()
    image.paste((255, 0, 0), (0, 0, 30, 20))                # left half red
    exif[0x0112] = 6                                        # to be shown turned by 90 degrees clockwise
    image.save(bolt / "test/crack/000.jpg", exif=exif)
    (bolt / "test/crack/000.png").unlink()
    save(bolt / "ground_truth/crack/000_mask.png", np.full((60, 20), 255, np.uint8))    # as it is shown
    pixels = as_images([bolt / "test/crack/000.jpg"], 32)[0]
    assert pixels[0, :10].min() > 200
    assert pixels[0, -10:].max() < 50
    with pytest.warns(UserWarning, match="covers more than half of its image"):
        load_category(tmp_path, "bolt", image_size=32)


def test_without_ground_truth_there_are_no_masks(tmp_path):
    make_category(tmp_path, masks=False)
    assert load_category(tmp_path, "bolt", image_size=32).masks is None


def test_mask_rule():
    mask = torch.zeros(8, 8, dtype=torch.bool)
    mask[:5, :5] = True
    assert shrink_mask(mask, 4).int().tolist() == [[1, 1, 1, 0], [1, 1, 1, 0], [1, 1, 0, 0], [0, 0, 0, 0]]
    column = torch.zeros(4, 4, dtype=torch.bool)
    column[:, 0] = True                     # 0.4286 with antialias: dropped; 0.5 without
    assert not shrink_mask(column, 2).any()
    plain = F.interpolate(column[None, None].float(), size=(2, 2), mode="bilinear")[0, 0]
    assert plain[0, 0] == 0.5


@pytest.mark.parametrize("width", [2, 4])
def test_thin_defects_vanish_at_a_quarter_of_the_size(width):
    mask = torch.zeros(1024, 1024, dtype=torch.bool)
    mask[:, 500 : 500 + width] = True
    assert bool(shrink_mask(mask).any()) == (width == 4)


@pytest.mark.parametrize("pixels", [
    np.array([[0, 255]], np.uint8), np.array([[0, 1]], np.uint8), np.array([[False, True]]),
    np.array([[5, 255]], np.uint8),                                                         # a JPEG's fringe
    np.array([[[0, 0, 0], [255, 0, 0]]], np.uint8), np.array([[0, 65535]], np.uint16),
])
def test_masks_of_every_coding(tmp_path, pixels):
    save(tmp_path / "mask.png", pixels)
    assert read_mask(tmp_path / "mask.png").tolist() == [[False, True]]


def test_class_index_masks_keep_every_class(tmp_path):
    save(tmp_path / "mask.png", np.array([[0, 1, 2, 3]], np.uint8))
    assert read_mask(tmp_path / "mask.png").tolist() == [[False, True, True, True]]


def test_an_empty_mask_keeps_its_label_and_is_said_once(bolt, tmp_path):
    save(bolt / "ground_truth/crack/001_mask.png", np.zeros((48, 40), np.uint8))
    with pytest.warns(UserWarning, match=r"crack/001_mask.png is empty at 256 px; its image is anomalous") as caught:
        data = load_category(tmp_path, "bolt", image_size=32)
    assert len(caught) == 1
    assert data.labels.sum() == 4
    assert data.masks.flatten(1).any(1).sum() == 3


@pytest.mark.parametrize("counts", [{"good": 0}, {"bad": 0}])
def test_a_test_set_may_lack_normal_or_anomalous_images(tmp_path, counts):
    make_category(tmp_path, **counts)
    data = load_category(tmp_path, "bolt", image_size=32)
    assert len(data.labels.unique()) == 1


def test_missing_root_says_where_data_comes_from(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nowhere does not exist.*data/README.md"):
        load_category(tmp_path / "nowhere", "bolt")


def test_missing_category_lists_those_that_exist(bolt, tmp_path):
    make_category(tmp_path, "nut")
    with pytest.raises(FileNotFoundError, match=r"'screw' does not exist.*categories there: bolt, nut"):
        load_category(tmp_path, "screw")


def test_empty_category_lists_those_that_exist(bolt, tmp_path):
    (tmp_path / "screw").mkdir()
    with pytest.raises(FileNotFoundError, match=r"'screw' is empty.*categories there: bolt"):
        load_category(tmp_path, "screw")


def test_a_category_given_as_root_is_recognised(bolt):
    with pytest.raises(FileNotFoundError, match=r"is itself a category; give its parent"):
        load_category(bolt, "bolt")


@pytest.mark.parametrize("part", ["train/good", "test"])
def test_no_images_to_learn_from_or_to_judge(bolt, tmp_path, part):
    for path in (bolt / part).rglob("*.png"):
        path.unlink()
    with pytest.raises(FileNotFoundError, match=rf"{part} holds no images"):
        load_category(tmp_path, "bolt")


def test_one_training_image_is_too_few(tmp_path):
    make_category(tmp_path, train=1)
    with pytest.raises(ValueError, match="holds one image"):
        load_category(tmp_path, "bolt")


@pytest.mark.parametrize("keep", [20, 300])     # an unreadable header, and a picture that breaks off
def test_a_broken_image_is_named(bolt, tmp_path, keep):
    path = bolt / "train/good/003.png"
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(ValueError, match=r"003\.png cannot be .*replace or remove it"):
        load_category(tmp_path, "bolt", image_size=32)


def test_a_mask_of_another_size_is_named(bolt, tmp_path):
    save(bolt / "ground_truth/crack/003_mask.png", np.zeros((20, 30), np.uint8))
    with pytest.raises(ValueError, match=r"003_mask.png is 30x20 but its image is 40x48; export the mask"):
        load_category(tmp_path, "bolt")


def test_a_mask_without_an_image_is_named(bolt, tmp_path):
    save(bolt / "ground_truth/crack/777_mask.png", np.zeros((48, 40), np.uint8))
    with pytest.raises(ValueError, match=r"777_mask.png belongs to no image"):
        load_category(tmp_path, "bolt")


def test_an_anomalous_image_without_a_mask_is_named_where_others_have_one(bolt, tmp_path):
    (bolt / "ground_truth/crack/002_mask.png").unlink()
    with pytest.raises(ValueError, match=r"crack/002.png has no mask, though other images have one"):
        load_category(tmp_path, "bolt")


@pytest.mark.parametrize("size", [100, 0, -32, 128.0, "128"])
def test_image_size_is_a_multiple_of_32(bolt, tmp_path, size):
    with pytest.raises(ValueError, match="must be a multiple of 32"):
        load_category(tmp_path, "bolt", image_size=size)


def test_describe_tells_what_is_there_and_what_is_missing(bolt, tmp_path, capsys):
    assert describe(tmp_path) == []
    assert "crack 4" in capsys.readouterr().out
    (bolt / "ground_truth/crack/002_mask.png").unlink()
    save(bolt / "ground_truth/crack/003_mask.png", np.zeros((20, 30), np.uint8))
    make_category(tmp_path, "nut", train=0)
    problems = describe(tmp_path)
    printed = capsys.readouterr().out
    assert len(problems) == 3
    assert all(problem in printed for problem in problems)


def test_relative_paths(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "here").mkdir()
    assert find_input("here").resolve() == tmp_path / "here"
    assert find_input("data/demo") == ROOT / "data/demo"
    assert find_output("here") == ROOT / "here"
    assert find_output(tmp_path / "there") == tmp_path / "there"


def test_loading_is_silent_when_all_is_well(bolt, tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        load_category(tmp_path, "bolt", image_size=32)

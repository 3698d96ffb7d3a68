"""Masks of every coding: what is neither black nor transparent is anomalous, and what is ambiguous is said once."""

import re

import numpy as np
import pytest
import torch
from conftest import save
from PIL import Image, ImageDraw

from adlib.data.category import load_category
from adlib.data.images import read_mask
from adlib.runs.datasets import describe

PLACE = (slice(4, 10), slice(3, 20))        # where the defect is, in 24 x 32 pixels
WANTED = np.zeros((24, 32), bool)
WANTED[PLACE] = True


def painted(background, defect, dtype=np.uint8) -> np.ndarray:
    pixels = np.empty((*WANTED.shape, *np.shape(background)), dtype)
    pixels[...], pixels[PLACE] = background, defect
    return pixels


def with_palette(indices: np.ndarray, *colours) -> Image.Image:
    image = Image.fromarray(indices, "P")
    image.putpalette([value for colour in colours for value in colour])
    return image


def halves(background, first, second, dtype=np.uint8) -> np.ndarray:
    """The defect's left part of one level, its right part of another."""
    pixels = painted(background, first, dtype)
    pixels[PLACE[0], 10:20] = second
    return pixels


BLACK, WHITE, RED, GREEN, BLUE = (0, 0, 0), (255, 255, 255), (255, 0, 0), (0, 255, 0), (0, 0, 255)
PLAIN = {
    "0/255": painted(0, 255), "0/1": painted(0, 1), "bits": WANTED, "one class index": painted(0, 7),
    "white": painted(BLACK, WHITE), "red": painted(BLACK, RED), "green": painted(BLACK, GREEN),
    "blue": painted(BLACK, BLUE), "dark blue": painted(BLACK, (0, 0, 60)),
    "16 bits, 0/65535": painted(0, 65535, np.uint16), "16 bits, 0/1": painted(0, 1, np.uint16),
    "16 bits, 0/256": painted(0, 256, np.uint16), "32 bits": painted(0, 70_000, np.int32),
    "float 0/1": painted(0, 1, np.float32), "float 0/0.2": painted(0, 0.2, np.float32),
    "float, no number outside": painted(np.nan, 1, np.float32), "float, -1/1": painted(-1, 1, np.float32),
    "white on transparency": painted((255, 255, 255, 0), (255, 255, 255, 255)),
    "red on transparency": painted((0, 0, 0, 0), (255, 0, 0, 255)),
    "any colour hidden by transparency": painted((9, 200, 30, 0), (0, 255, 0, 255)),
    "opaque, with an alpha layer": painted((0, 0, 0, 255), (255, 255, 255, 255)),
    "grey with alpha": Image.fromarray(painted((255, 0), (255, 255)), "LA"),
    "palette": with_palette(painted(0, 1), BLACK, WHITE),
    "palette, index 0 white": with_palette(painted(1, 0), WHITE, BLACK),
    "palette, dark index": with_palette(painted(5, 3), BLUE, BLUE, BLUE, (1, 1, 1), BLUE, BLACK),
    "palette, red, index 0 unused": with_palette(painted(2, 1), WHITE, RED, BLACK),
}
AMBIGUOUS = {
    "0/127/255": (halves(0, 127, 255), "levels"), "class indices": (halves(0, 1, 2), "levels"),
    "classes of fifty": (halves(0, 50, 200), "levels"), "16 bits of levels": (halves(0, 9, 900, np.uint16), "levels"),
    "float levels": (halves(0, 0.3, 0.9, np.float32), "levels"), "red and green": (halves(BLACK, RED, GREEN), "levels"),
    "palette of classes": (with_palette(halves(0, 1, 2), BLACK, RED, GREEN), "levels"),
    "classes on transparency": (halves((0, 0, 0, 0), (255, 0, 0, 255), (0, 0, 255, 255)), "levels"),
    "black on transparency": (painted((0, 0, 0, 0), (0, 0, 0, 255)), "black on transparency"),
}


def write(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    deep = isinstance(content, np.ndarray) and content.dtype.kind in "if" and content.dtype != np.uint8
    path = path.with_suffix(".tif" if deep else ".png")
    (content if isinstance(content, Image.Image) else Image.fromarray(content)).save(path)
    return path


@pytest.mark.parametrize("kind", [*PLAIN, *AMBIGUOUS])
def test_what_is_neither_black_nor_transparent_is_anomalous(tmp_path, kind):
    content = PLAIN[kind] if kind in PLAIN else AMBIGUOUS[kind][0]
    doubts = []
    assert np.array_equal(read_mask(write(tmp_path / "mask", content), doubts), WANTED)
    assert len(doubts) == (kind in AMBIGUOUS)


@pytest.mark.parametrize("suffix", ["jpg", "webp", "avif"])
@pytest.mark.parametrize("quality", [60, 75, 95])
def test_the_fringes_of_lossy_compression_are_no_anomaly(tmp_path, suffix, quality):
    drawn = Image.new("L", (200, 200))
    ImageDraw.Draw(drawn).ellipse((30, 40, 120, 150), fill=255)
    drawn.save(tmp_path / f"mask.{suffix}", quality=quality)
    with Image.open(tmp_path / f"mask.{suffix}") as image:
        image.convert("L").save(tmp_path / "exported.png")
    wanted = np.asarray(drawn) > 0
    for name, share in ((f"mask.{suffix}", 0.001), ("exported.png", 0.02)):
        assert (read_mask(tmp_path / name).numpy() != wanted).mean() < share


@pytest.mark.parametrize("pages", [2, 5])
def test_the_pages_of_a_file_are_united_but_for_thumbnails(tmp_path, pages):
    parts = np.array_split(np.argwhere(WANTED), pages)
    images = []
    for part in parts:
        page = np.zeros(WANTED.shape, np.uint8)
        page[part[:, 0], part[:, 1]] = 255
        images.append(Image.fromarray(page))
    images.append(Image.fromarray(np.full((6, 8), 255, np.uint8)))
    images[0].save(tmp_path / "mask.tif", save_all=True, append_images=images[1:])
    assert np.array_equal(read_mask(tmp_path / "mask.tif"), WANTED)


def test_an_all_black_mask_is_empty_in_every_coding(tmp_path):
    for name, content in {"grey": painted(0, 0), "colour": painted(BLACK, BLACK),
                          "transparent": painted((0, 0, 0, 0), (0, 0, 0, 0)),
                          "opaque": painted((0, 0, 0, 255), (0, 0, 0, 255)),
                          "palette": with_palette(painted(0, 0), BLACK, WHITE)}.items():
        assert not read_mask(write(tmp_path / name, content)).any()


def replace_masks(bolt, content):
    """The same mask for all images, which are made to fit."""
    for i in range(4):
        (bolt / f"ground_truth/crack/{i:03}_mask.png").unlink()
        write(bolt / f"ground_truth/crack/{i:03}_mask", content)
        save(bolt / f"test/crack/{i:03}.png", np.zeros(WANTED.shape, np.uint8))


@pytest.mark.parametrize("kind", AMBIGUOUS)
def test_the_ambiguous_is_said_once_with_what_was_assumed(bolt, tmp_path, capsys, kind):
    replace_masks(bolt, AMBIGUOUS[kind][0])
    word = AMBIGUOUS[kind][1]
    with pytest.warns(UserWarning, match=rf"bolt: .*{word}.* \(and 3 more: .*read as anomalous") as caught:
        data = load_category(tmp_path, "bolt", image_size=32)
    assert len(caught) == 1
    assert data.masks[data.labels].flatten(1).any(1).all()
    assert describe(tmp_path) == []
    assert len(re.findall(rf"note: .*{word}", capsys.readouterr().out)) == 1


@pytest.mark.parametrize("kind", PLAIN)
@pytest.mark.filterwarnings("error")
def test_the_plain_is_loaded_in_silence(bolt, tmp_path, capsys, kind):
    replace_masks(bolt, PLAIN[kind])
    data = load_category(tmp_path, "bolt", image_size=32)
    assert data.masks[data.labels].flatten(1).float().mean() == pytest.approx(WANTED.mean(), rel=0.05)
    assert describe(tmp_path) == []
    assert "note" not in capsys.readouterr().out


@pytest.mark.parametrize("content", [
    painted(255, 0), painted(WHITE, BLACK), with_palette(painted(0, 1), WHITE, BLACK), painted(7, 7),
])
def test_a_mask_of_most_of_its_image_may_be_inverted(bolt, tmp_path, capsys, content):
    replace_masks(bolt, content)
    message = r"covers more than half of its image \(and 3 more: .*it is read as it stands, not as inverted"
    with pytest.warns(UserWarning, match=message) as caught:
        data = load_category(tmp_path, "bolt", image_size=32)
    assert len(caught) == 1
    assert data.masks[data.labels].float().mean() > 0.5
    assert describe(tmp_path) == []
    assert re.search(message, capsys.readouterr().out)


def test_several_masks_in_a_folder_of_the_images_name_are_united(bolt, tmp_path):
    """MVTec LOCO's layout."""
    for i in range(4):
        whole = np.asarray(Image.open(bolt / f"ground_truth/crack/{i:03}_mask.png"))
        (bolt / f"ground_truth/crack/{i:03}_mask.png").unlink()
        for j, part in enumerate(np.array_split(np.argwhere(whole), 3)):
            one = np.zeros(whole.shape, np.uint8)
            one[part[:, 0], part[:, 1]] = 200 + i
            save(bolt / f"ground_truth/crack/{i:03}/{j:03}.png", one)
        assert torch.equal(read_mask(bolt / f"ground_truth/crack/{i:03}"), torch.from_numpy(whole > 0))
    assert describe(tmp_path) == []
    data = load_category(tmp_path, "bolt", image_size=32)
    assert data.masks.flatten(1).any(1).tolist() == data.labels.tolist()
    save(bolt / "ground_truth/crack/002/001.png", np.zeros((5, 5), np.uint8))
    with pytest.raises(ValueError, match=r"002/001.png is 5x5 but its image is 40x48"):
        load_category(tmp_path, "bolt", image_size=32)

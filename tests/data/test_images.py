"""Opening images: orientation, bit depth, broken metadata, size; the right pixels each time."""

import re
import struct
import subprocess
import sys
import warnings
import zlib

import numpy as np
import pytest
import tifffile
import torch
import torch.nn.functional as F
from conftest import make_category, save
from PIL import Image

from adlib.data.category import load_category
from adlib.data.images import as_images, open_upright, read_picture, shrink_mask, upright, upright_size
from adlib.runs.datasets import describe

# What has to be done to the picture as shown to get what is stored, for each orientation.
STORED = {1: None, 2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180,
          4: Image.Transpose.FLIP_TOP_BOTTOM, 5: Image.Transpose.TRANSPOSE, 6: Image.Transpose.ROTATE_90,
          7: Image.Transpose.TRANSVERSE, 8: Image.Transpose.ROTATE_270}


def shown(width=60, height=20) -> Image.Image:
    """A picture that no turn leaves as it is: red, green, blue and black quarters."""
    picture = Image.new("RGB", (width, height))
    picture.paste((255, 0, 0), (0, 0, width // 2, height // 2))
    picture.paste((0, 255, 0), (width // 2, 0, width, height // 2))
    picture.paste((0, 0, 255), (0, height // 2, width // 2, height))
    return picture


def save_turned(path, picture: Image.Image, orientation: int):
    """Store a picture so that it looks the same once its tag is obeyed."""
    stored = picture if STORED[orientation] is None else picture.transpose(STORED[orientation])
    exif = Image.Exif()
    exif[0x0112] = orientation
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".tif":
        stored.save(path, tiffinfo={0x0112: orientation}, compression="tiff_lzw")
    else:
        stored.save(path, exif=exif, **({"quality": 100, "subsampling": 0} if path.suffix == ".jpg" else
                                        {"lossless": True} if path.suffix == ".webp" else {}))
    return path


@pytest.mark.parametrize("orientation", STORED)
@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "tif", "avif"])
def test_every_orientation_of_every_format_is_shown_upright(tmp_path, suffix, orientation):
    path = save_turned(tmp_path / f"a.{suffix}", shown(), orientation)
    with open_upright(path) as file:
        assert upright_size(file) == (60, 20)
        pixels = np.asarray(upright(file).convert("RGB")).astype(int)
    close = np.abs(pixels - np.asarray(shown())) < 90       # AVIF blurs colours along the edges
    assert close.mean() > (0.9 if suffix == "avif" else 0.999)
    assert np.array_equal(read_picture(path), pixels)


@pytest.mark.parametrize(("of_image", "of_mask"), [(1, 6), (6, 1), (6, 6), (3, 8), (8, 3), (5, 7), (2, 4)])
@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_image_and_mask_meet_however_each_is_turned(bolt, tmp_path, suffix, of_image, of_mask):
    (bolt / "test/crack/000.png").unlink()
    (bolt / "ground_truth/crack/000_mask.png").unlink()
    image, mask = Image.new("RGB", (60, 20)), Image.new("L", (60, 20))
    image.paste((255, 255, 255), (0, 0, 30, 10))
    mask.paste(255, (0, 0, 30, 10))
    save_turned(bolt / f"test/crack/000.{suffix}", image, of_image)
    save_turned(bolt / f"ground_truth/crack/000_mask.{suffix}", mask, of_mask)
    assert describe(tmp_path) == []
    data = load_category(tmp_path, "bolt", image_size=256)
    place = data.defects.index("crack")
    wanted = torch.zeros(256, 256, dtype=torch.bool)
    wanted[:128, :128] = True
    assert (data.masks[place] == wanted).float().mean() > 0.99
    assert ((data.test[place, 0] > 127) == wanted).float().mean() > 0.99


def broken_png(path, key: bytes, data: bytes):
    """A PNG with a chunk of metadata before its pixels."""
    shown().save(path)
    content = path.read_bytes()
    chunk = struct.pack(">I", len(data)) + key + data + struct.pack(">I", zlib.crc32(key + data))
    path.write_bytes(content[:33] + chunk + content[33:])


@pytest.mark.parametrize("exif", [
    b"Exif\0\0", b"Exif\0\0garbage", b"Exif\0\0II*\0\xff\xff\xff\xff", b"Exif\0\0MM\0*\0\0\0\x08\0\x05\x01\x12",
    b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x02\0\x04\0\0\0abc\0\0\0\0\0",              # a text
    b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x09\0\0\0\0\0\0\0",          # 9
    b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x05\0\x01\0\0\0\xf0\0\0\0\0\0\0\0",          # a fraction that is not there
])
@pytest.mark.parametrize("suffix", ["jpg", "png", "webp"])
@pytest.mark.filterwarnings("ignore")       # Pillow's own, about what it found
def test_broken_metadata_means_upright(bolt, tmp_path, suffix, exif):
    path = bolt / f"train/good/900.{suffix}"
    if suffix == "png":
        broken_png(path, b"eXIf", exif[6:])
    else:
        shown().save(path, exif=exif, quality=100)
    assert describe(tmp_path) == []
    assert load_category(tmp_path, "bolt", image_size=32).train.shape[0] == 8
    with open_upright(path) as file:
        assert upright_size(file) == (60, 20)
    assert as_images([path], 32)[0, 0, 2, 2] > 200              # red is still at the top left


@pytest.mark.parametrize("value", ["upside down", 0, 9, 77])
def test_a_tiff_with_an_impossible_orientation_is_upright(tmp_path, value):
    kind = 2 if isinstance(value, str) else 3
    from PIL.TiffImagePlugin import ImageFileDirectory_v2

    tags = ImageFileDirectory_v2()
    tags.tagtype[0x0112] = kind
    tags[0x0112] = value
    shown().save(tmp_path / "a.tif", tiffinfo=tags)
    with open_upright(tmp_path / "a.tif") as file:
        assert upright_size(file) == (60, 20)
    assert np.array_equal(read_picture(tmp_path / "a.tif"), shown())


# Bit depth


def scene(seed: int) -> np.ndarray:
    """(48, 40) of 0 to 1."""
    rows, columns = np.mgrid[:48, :40]
    return 0.5 + 0.5 * np.sin(rows / (5 + seed) + columns / 7)


def png_of_16_bits(path, pixels: np.ndarray) -> None:
    """(H, W, C) values of grey and alpha, colour, or colour and alpha: Pillow writes none of them."""
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in pixels)

    def chunk(key: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + key + data + struct.pack(">I", zlib.crc32(key + data))

    header = struct.pack(">IIBBBBB", pixels.shape[1], pixels.shape[0], 16, {2: 4, 3: 2, 4: 6}[pixels.shape[2]], 0, 0, 0)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) +
                     chunk(b"IEND", b""))


def store(path, values: np.ndarray, kind: str) -> None:
    """Values in a file of a kind: png, tif, big-endian tif, colour png and tif, int32, float."""
    path.parent.mkdir(parents=True, exist_ok=True)
    colour = np.stack([values] * 3, axis=2)
    if kind in ("png", "tif"):
        Image.fromarray(values.round().astype(np.uint8 if values.max() <= 255 and kind == "png" else np.uint16)).save(
            path.with_suffix(f".{kind}"))
    elif kind == "colour png":
        png_of_16_bits(path.with_suffix(".png"), colour.round())
    elif kind == "alpha png":
        png_of_16_bits(path.with_suffix(".png"), np.dstack([colour, np.full(values.shape, 65535)]).round())
    elif kind in ("int32", "float"):
        Image.fromarray(values.round().astype(np.int32) if kind == "int32" else values.astype(np.float32)).save(
            path.with_suffix(".tif"))
    else:
        options = {"big-endian tif": {"byteorder": ">"}, "colour tif": {"photometric": "rgb"},
                   "packed colour tif": {"photometric": "rgb", "compression": "zlib"}}[kind]
        tifffile.imwrite(path.with_suffix(".tif"), (colour if "colour" in kind else values).round().astype(np.uint16),
                         **options)


def deep_category(root, top: float, kind: str, scenes=scene, count=8):
    for i in range(count):
        store(root / f"bolt/train/good/{i}", scenes(i) * top, kind)
        store(root / f"bolt/test/good/{i}", scenes(i + 2) * top, kind)
    return root


def test_deep_grey_with_transparency_is_refused_rather_than_halved(tmp_path):
    png_of_16_bits(tmp_path / "a.png", np.dstack([scene(0) * 4095, np.full((48, 40), 65535)]))
    with pytest.raises(ValueError, match=r"a.png holds 16-bit grey with transparency.*export it without"):
        read_picture(tmp_path / "a.png")


@pytest.mark.parametrize(("top", "kind"), [
    *[(top, kind) for top in (1023, 4095, 16383, 65535) for kind in (
        "png", "tif", "big-endian tif", "colour png", "alpha png", "colour tif", "packed colour tif", "int32")],
    (255, "tif"), (255, "int32"), (1, "float"), (255, "float"), (4095, "float"),
])
def test_the_same_scene_in_any_depth_is_the_same_picture(tmp_path, capsys, top, kind):
    plain = load_category(deep_category(tmp_path / "8", 255, "png"), "bolt", image_size=64)
    deep = load_category(deep_category(tmp_path / "deep", top, kind), "bolt", image_size=64)
    assert plain.value_range is None
    assert deep.value_range == (0, top)
    for part in ("train", "validation", "test"):
        assert (getattr(plain, part).int() - getattr(deep, part).int()).abs().max() <= 1
    assert describe(tmp_path / "deep") == []
    assert f"values of 0 to {top} are read as black to white" in capsys.readouterr().out
    [path] = tmp_path.glob("deep/bolt/test/good/3.*")
    wanted = as_images([next(tmp_path.glob("8/bolt/test/good/3.*"))], 64).int()
    assert (as_images([path], 64, deep.value_range).int() - wanted).abs().max() <= 1


def test_a_dark_image_is_dark_by_the_range_of_its_category(tmp_path):
    data = load_category(deep_category(tmp_path, 4095, "png"), "bolt", image_size=64)
    store(tmp_path / "dark", scene(0) * 200, "tif")
    assert as_images([tmp_path / "dark.tif"], 64, data.value_range).max() == round(200 / 4095 * 255)


def with_a_hot_pixel(number):
    picture = scene(number) * 4095 / 65535
    picture[3, number] = 1
    return picture


def with_a_wrong_image(number):
    return scene(number) * (1 if number == 4 else 4095 / 65535)


@pytest.mark.parametrize("scenes", [with_a_hot_pixel, with_a_wrong_image])
def test_no_outlier_decides_on_the_range(tmp_path, scenes):
    data = load_category(deep_category(tmp_path, 65535, "png", scenes), "bolt", image_size=64)
    assert data.value_range == (0, 4095)


def test_values_of_no_camera_are_stretched_between_their_ends(tmp_path):
    heights = load_category(deep_category(tmp_path, 1, "float", lambda i: 7 * scene(i) - 3), "bolt", image_size=64)
    low, high = heights.value_range
    assert (low, high) == (pytest.approx(-3, abs=0.05), pytest.approx(4, abs=0.05))
    assert heights.train.min() <= 2
    assert heights.train.max() >= 253


def test_what_is_no_number_is_black(tmp_path):
    def holey(number):
        values = scene(number)
        values[:10] = np.nan
        values[20, 20] = np.inf
        return values

    data = load_category(deep_category(tmp_path, 1, "float", holey), "bolt", image_size=64)
    assert data.value_range == (0, 1)
    assert data.train[:, :, :12].max() == 0
    assert data.train[:, :, 20:].max() > 250


def test_eight_bits_are_never_stretched(tmp_path):
    for i in range(4):
        save(tmp_path / f"bolt/train/good/{i}.png", np.full((8, 8), 40 + i, np.uint8))
    save(tmp_path / "bolt/test/good/0.png", np.full((8, 8), 50, np.uint8))
    data = load_category(tmp_path, "bolt", image_size=32)
    assert sorted(torch.cat([data.train, data.validation])[:, 0, 0, 0].tolist()) == [40, 41, 42, 43]


# Formats and sizes


@pytest.mark.parametrize(("suffix", "options"), [
    ("webp", {"lossless": True}), ("webp", {"quality": 95}), ("avif", {"quality": 95}), ("WEBP", {"lossless": True}),
])
def test_webp_and_avif_are_images_and_masks(bolt, tmp_path, suffix, options):
    for path in [*bolt.rglob("*.png")]:
        with Image.open(path) as image:
            image.convert("RGB").save(path.with_suffix(f".{suffix}"), **options)
    before = make_category(tmp_path / "png").parent
    for path in [*bolt.rglob("*.png")]:
        path.unlink()
    assert describe(tmp_path) == []
    wanted = load_category(before, "bolt", image_size=64)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")         # of levels between black and white, where they are lossy
        found = load_category(tmp_path, "bolt", image_size=64)
    assert (found.test.int() - wanted.test.int()).abs().float().mean() < 6
    assert (found.masks == wanted.masks).float().mean() > 0.998
    assert found.masks.any()


@pytest.mark.parametrize("part", ["train/good/900.png", "test/good/900.png"])
def test_an_image_too_large_for_memory_is_refused_with_its_size_and_the_way_out(bolt, tmp_path, part):
    Image.new("1", (14_000, 14_000)).save(bolt / part)
    message = r"900\.png has 14000 x 14000 px.*cut it into tiles, or shrink it and its mask"
    with pytest.raises(ValueError, match=message):
        load_category(tmp_path, "bolt")
    assert any("14000 x 14000" in problem for problem in describe(tmp_path))


def test_a_large_mask_is_shrunk_in_little_memory():
    program = ("import resource, torch; from adlib.data.images import shrink_mask\n"
               "peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
               "shrink_mask(torch.ones(512, 512, dtype=torch.bool)); mask = torch.ones(9000, 9000, dtype=torch.bool)\n"
               "before = peak(); assert shrink_mask(mask).all(); print((peak() - before) / 1024)")
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert float(done.stdout) < 100


@pytest.mark.parametrize("shape", [(5000, 700), (300, 4000), (257, 255), (3, 2_000_000)])
def test_shrinking_in_strips_changes_nothing(shape):
    mask = torch.rand(shape, generator=torch.Generator().manual_seed(0)) > 0.5
    whole = F.interpolate(mask[None, None].double(), size=(64, 64), mode="bilinear", antialias=True)[0, 0]
    assert torch.equal(shrink_mask(mask, 64), whole >= 0.5 - 1e-9)


@pytest.mark.parametrize("reader", [lambda path: as_images([path], 32), read_picture])
@pytest.mark.parametrize("suffix", ["png", "jpg", "webp", "avif", "tif", "bmp"])
@pytest.mark.filterwarnings("ignore")
def test_a_broken_file_is_named_whatever_is_broken(tmp_path, reader, suffix):
    shown().save(tmp_path / f"a.{suffix}")
    content, rng = (tmp_path / f"a.{suffix}").read_bytes(), np.random.default_rng(0)
    messages = []
    for _ in range(60):
        broken = bytearray(content)
        for place in rng.integers(len(content), size=3):
            broken[place] = rng.integers(256)
        (tmp_path / f"a.{suffix}").write_bytes(broken[: rng.integers(len(content) // 2, len(content))])
        try:
            reader(tmp_path / f"a.{suffix}")
        except ValueError as error:
            messages.append(str(error))
    said = re.compile(rf"a\.{suffix} (cannot be decoded .*; replace or remove it|has \d+ x \d+ px)", re.DOTALL)
    assert messages
    assert all(map(said.search, messages))

"""What a folder holds: clutter, pairs of images and masks, what is not used, and how a wrong data set is answered."""

import os
import re
import shutil
import subprocess
import sys
import unicodedata
import warnings
import zipfile

import numpy as np
import pytest
import torch
from conftest import make_category, save
from PIL import Image

from adlib import __main__
from adlib.data.category import list_categories, load_category
from adlib.demo import load_textures
from adlib.explorer.own_images import folder_category
from adlib.runs.datasets import describe
from adlib.runs.download import unpack


def load(root, **options):
    """The category bolt, loaded in silence."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return load_category(root, "bolt", image_size=32, **options)


def same(a, b) -> bool:
    return a.defects == b.defects and all(torch.equal(getattr(a, part), getattr(b, part))
                                          for part in ("train", "validation", "test", "masks", "labels"))


# Clutter

CLUTTER = [".ipynb_checkpoints/000-checkpoint.png", "._000.png", "Thumbs.db", "thumbs.db", ".DS_Store", "desktop.ini",
           "Desktop.ini", "__MACOSX/._000.png", "__MACOSX/000.png", ".hidden/000.png"]


def litter(folder, name):
    """Clutter in a folder and in all folders below it."""
    for inner in [folder, *(path for path in folder.rglob("*") if path.is_dir())]:
        (inner / name).parent.mkdir(exist_ok=True)
        (inner / name).write_bytes(b"clutter")


@pytest.mark.parametrize("name", CLUTTER)
def test_clutter_is_no_part_of_a_data_set(bolt, tmp_path, capsys, name):
    clean, described = load(tmp_path), describe(tmp_path)
    printed = capsys.readouterr().out
    litter(tmp_path, name)
    assert same(load(tmp_path), clean)
    assert list_categories(tmp_path) == ["bolt"]
    assert (describe(tmp_path), capsys.readouterr().out) == (described, printed)


@pytest.mark.parametrize("name", CLUTTER)
def test_clutter_is_no_texture_and_no_photograph(bolt, capsys, name):
    textures = load_textures(bolt / "train", 32)
    photographs = folder_category(bolt / "train/good", image_size=32)
    litter(bolt, name)
    assert torch.equal(load_textures(bolt / "train", 32), textures)
    again = folder_category(bolt / "train/good", image_size=32)
    assert torch.equal(again.train, photographs.train)
    assert "left out" not in capsys.readouterr().out


def test_a_category_of_clutter_is_none(bolt, tmp_path):
    for name in ("__MACOSX", ".ipynb_checkpoints"):
        shutil.copytree(bolt, tmp_path / name)
    assert list_categories(tmp_path) == ["bolt"]


@pytest.mark.parametrize("name", ["__MACOSX/set/._bolt", "._set", ".DS_Store", "Thumbs.db"])
def test_an_archives_top_folder_is_left_out_beside_clutter(tmp_path, name):
    with zipfile.ZipFile(tmp_path / "set.zip", "w") as archive:
        archive.writestr("set/bolt/train/good/0.png", b"a")
        archive.writestr(name, b"clutter")
    unpack(tmp_path / "set.zip", tmp_path / "found")
    assert (tmp_path / "found/bolt/train/good/0.png").read_bytes() == b"a"


# Pairs


def rename(bolt, image: str, mask: str):
    """The four images of bolt and their masks by patterns of their numbers; the masks keep their content."""
    for i in range(4):
        old_image, old_mask = bolt / f"test/crack/{i:03}.png", bolt / f"ground_truth/crack/{i:03}_mask.png"
        for old, pattern in ((old_image, image), (old_mask, mask)):
            new = old.with_name(pattern.format(i))
            with Image.open(old) as picture:
                picture.load()
            old.unlink()
            picture.save(new, format={"TIF": "TIFF", "JPG": "JPEG"}.get(new.suffix[1:].upper()))


COMPOSED, DECOMPOSED = (unicodedata.normalize(form, "größe é{}") for form in ("NFC", "NFD"))


@pytest.mark.parametrize(("image", "mask"), [
    *[("{:03}.png", "{:03}" + end) for end in ("_mask.png", ".png", "_GT.png", "_gt.png", "_label.png", "_Mask.PNG",
                                               "_MASK.bmp", "_mask.TIF", ".Bmp", "_LABEL.tiff")],
    ("A{}.PNG", "a{}_mask.png"), ("a{}.png", "A{}_mask.png"), ("Straße{}.png", "STRASSE{}_mask.png"),
    (f"{COMPOSED}.png", f"{DECOMPOSED}_mask.png"), (f"{DECOMPOSED}.png", f"{COMPOSED}_GT.png"),
    ("x_mask{}.png", "x_mask{}_mask.png"), ("{}_mask.png", "{}_mask.png"), ("v1.2.{}.png", "v1.2.{}_mask.png"),
    ("a [b]*{}.png", "a [b]*{}_mask.png"),
])
def test_masks_and_images_pair_by_name(bolt, tmp_path, image, mask):
    wanted = load(tmp_path)
    rename(bolt, image, mask)
    assert describe(tmp_path) == []
    assert same(load(tmp_path), wanted)


def test_a_folder_of_masks_may_differ_in_capitals(bolt, tmp_path):
    wanted = load(tmp_path)
    (bolt / "ground_truth/crack").rename(bolt / "ground_truth/Crack")
    assert same(load(tmp_path), wanted)


def test_the_very_same_name_comes_before_one_that_is_alike(bolt, tmp_path):
    wanted = load(tmp_path)
    for i, name in enumerate(["A", "a", "B", "b"]):     # sorted A, B, a, b
        (bolt / f"test/crack/{i:03}.png").rename(bolt / f"test/crack/{name}.png")
        (bolt / f"ground_truth/crack/{i:03}_mask.png").rename(bolt / f"ground_truth/crack/{name}_mask.png")
    if len(list((bolt / "test/crack").iterdir())) < 4:
        pytest.skip("this file system knows no capitals")
    found = load(tmp_path)
    assert torch.equal(found.masks[[0, 2, 1, 3]], wanted.masks[:4])
    assert torch.equal(found.test[[0, 2, 1, 3]], wanted.test[:4])


def test_two_masks_of_an_image_are_a_problem(bolt, tmp_path):
    save(bolt / "ground_truth/crack/002.png", np.zeros((48, 40), np.uint8))
    with pytest.raises(ValueError, match=r"are both masks of 002\.png; keep one, or put them into a folder"):
        load_category(tmp_path, "bolt")
    assert len(describe(tmp_path)) == 1


@pytest.mark.parametrize("name", ["002.jpg", "002.PNG"])
def test_two_images_of_a_mask_are_a_problem(bolt, tmp_path, name):
    save(bolt / "test/crack" / name, np.zeros((48, 40), np.uint8))
    with pytest.raises(ValueError, match=r"crack/002\.\w+ has another image's mask, 002_mask\.png; give each image"):
        load_category(tmp_path, "bolt")


@pytest.mark.parametrize("part", ["train", "test"])
@pytest.mark.parametrize("name", ["Good", "GOOD", "ok", "OK", "normal", "Normal", "non-defective", "defect_free"])
def test_a_folder_that_is_nearly_good_is_explained(bolt, tmp_path, capsys, part, name):
    (bolt / part / "good").rename(bolt / part / name)
    with pytest.raises((ValueError, FileNotFoundError), match=r"rename the folder|describe\("):
        load_category(tmp_path, "bolt")
    assert any(re.search(rf"{part}/{name} .*rename the folder of normal images to good", x) for x in describe(tmp_path))


# Not used


@pytest.mark.parametrize(("name", "said"), [
    ("train/good/inner/0.png", r"train/good/inner/\*\.png is not used; 2 files: 0\.png, 1\.png"),
    ("train/bad/0.png", r"train/bad/\*\.png is not used; 2 files"),
    ("test/crack/inner/0.png", r"test/crack/inner/\*\.png is not used; 2 files"),
    ("test/crack/0.gif", r"test/crack/\*\.gif is not used; 2 files"),
    ("train/good/0.HEIC", r"train/good/\*\.HEIC is not used; 2 files"),
    ("validation/good/0.png", r"validation/good/\*\.png is not used; 2 files"),
    ("test/0.png", r"test/\*\.png is not used; 2 files"),
    ("ground_truth/crack/0.npy", r"ground_truth/crack/\*\.npy is not used; 2 files"),
    ("masks/crack/0.png", r"masks/crack/\*\.png is not used; 2 files"),
    ("ground_truth/0_mask.png", r"ground_truth/\*\.png is not used; 2 files"),
    ("depth/0.npy", r"depth/\*\.npy is not used; 2 files"),
])
def test_what_is_not_used_is_counted_and_named_once(bolt, tmp_path, capsys, name, said):
    for number in ("0", "1"):
        path = bolt / name.replace("0", number)
        save(path.with_suffix(".png"), np.zeros((48, 40), np.uint8)).rename(path)
    with pytest.warns(UserWarning, match=said) as caught:
        load_category(tmp_path, "bolt", image_size=32)
    assert len(caught) == 1
    assert describe(tmp_path) == []
    assert len(re.findall(f"note: .*{said}", capsys.readouterr().out)) == 1


@pytest.mark.parametrize("name", ["license.txt", "readme.md", "defects.csv", "ground_truth/good/000_mask.png"])
def test_what_need_not_be_used_is_not_mentioned(bolt, tmp_path, capsys, name):
    save((bolt / name).with_suffix(".png"), np.zeros((48, 40), np.uint8)).rename(bolt / name)
    load(tmp_path)
    describe(tmp_path)
    assert "note" not in capsys.readouterr().out


@pytest.mark.parametrize(("sign", "none_said"), [
    (None, True), ("depth/crack/000.png", True), ("masks/crack/000.png", False), ("gt/000.png", False),
    ("ground_truth/crack/000.npy", False), ("ground_truth/crack/000.json", False), ("test/crack/000_mask.gif", False),
    ("ground_truth/Kratzer/000_mask.png", False), ("Annotations/crack.xml", False),
])
def test_no_ground_truth_is_said_only_without_a_sign_of_any(tmp_path, capsys, sign, none_said):
    bolt = make_category(tmp_path, masks=False)
    if sign:
        save((bolt / sign).with_suffix(".png"), np.zeros((48, 40), np.uint8)).rename(bolt / sign)
    describe(tmp_path)
    printed = capsys.readouterr().out
    assert ("no ground_truth" in printed) == none_said
    assert not sign or (bolt / sign).parent.name in printed


# Answers


@pytest.mark.parametrize("beside", [None, "__MACOSX", ".DS_Store"])
def test_categories_a_level_deeper_are_found(tmp_path, capsys, beside):
    make_category(tmp_path / "root/archive")
    if beside:
        (tmp_path / "root" / beside).mkdir()
    assert __main__.main(["data", "describe", str(tmp_path / "root")]) == 0
    printed = capsys.readouterr().out
    assert "give that as data_root" in printed
    assert re.search(r"archive: 1 categories", printed)
    assert "crack 4" in printed


def test_no_category_is_a_problem(tmp_path, capsys):
    (tmp_path / "empty/images").mkdir(parents=True)
    assert __main__.main(["data", "describe", str(tmp_path / "empty")]) == 1
    assert re.search("problem: .*holds no category; expected <category>/train/good", capsys.readouterr().out)
    make_category(tmp_path / "set")
    assert __main__.main(["data", "describe", str(tmp_path / "set/bolt")]) == 1
    assert "is itself a category: give its parent" in capsys.readouterr().out


def test_a_name_that_is_no_text_is_named_before_training(bolt, tmp_path, capfd):
    name = os.fsencode(bolt / "train/good") + b"/gr\xfc\xdfe.png"
    shutil.copy(bolt / "train/good/000.png", name)
    with pytest.raises(ValueError, match=r"gr\\udcfc\\udcdfe\.png has a name that is no UTF-8 text; rename it"):
        load_category(tmp_path, "bolt")
    assert __main__.main(["data", "describe", str(tmp_path)]) == 1
    assert r"gr\udcfc\udcdfe.png has a name" in capfd.readouterr().out


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "utf-8"])
def test_printing_never_fails_on_a_narrow_terminal(tmp_path, encoding):
    make_category(tmp_path, "größe 螺丝")
    done = subprocess.run([sys.executable, "-m", "adlib", "data", "describe", str(tmp_path)], capture_output=True,
                          env=os.environ | {"PYTHONIOENCODING": encoding}, check=False)
    assert done.returncode == 0, done.stderr
    assert "größe 螺丝".encode(encoding, "backslashreplace") in done.stdout


def break_in_many_ways(root):
    """Twenty different faults, most of them several times."""
    bolt = make_category(root, train=12, bad=30)
    (bolt / "train/good/000.png").write_bytes(b"no image")
    for i in (1, 2):
        (bolt / f"train/good/{i:03}.png").write_bytes(b"")
    for i in range(4):
        save(bolt / f"ground_truth/crack/{i:03}_mask.png", np.zeros((9, 9 + i), np.uint8))
    for i in range(4, 8):
        (bolt / f"ground_truth/crack/{i:03}_mask.png").unlink()
    for i in range(8, 10):
        save(bolt / f"ground_truth/crack/{i:03}_gt.png", np.zeros((48, 40), np.uint8))
    for i in range(3):
        save(bolt / f"ground_truth/crack/7{i}7_mask.png", np.zeros((48, 40), np.uint8))
    save(bolt / "ground_truth/dent/1_mask.png", np.zeros((48, 40), np.uint8))
    save(bolt / "test/OK/1.png", np.zeros((48, 40), np.uint8))
    Image.new("1", (14_000, 14_000)).save(bolt / "test/good/900.png")
    shutil.copy(bolt / "train/good/005.png", os.fsencode(bolt / "test/good") + b"/\xff.png")
    save(bolt / "ground_truth/crack/020_mask.png", np.full((48, 40), 255, np.uint8))
    save(bolt / "ground_truth/crack/021_mask.png", np.diag(np.arange(48, dtype=np.uint8))[:, :40].copy())
    for name in ("train/good/a.heic", "train/bad/0.png", "validation/good/0.png", "masks/0.npy", "test/stray.png"):
        save((bolt / name).with_suffix(".png"), np.zeros((48, 40), np.uint8)).rename(bolt / name)
    make_category(root, "nothing", train=0)
    make_category(root, "one", train=1)
    make_category(root, "untested", good=0, bad=0)
    make_category(root, "named")
    (root / "named/train/good").rename(root / "named/train/Good")
    return root


def test_many_faults_are_each_said_once_with_the_fix(tmp_path, capsys):
    problems = describe(break_in_many_ways(tmp_path))
    lines = capsys.readouterr().out.splitlines()
    said = [line for line in lines if line.startswith(("problem:", "note:"))]
    assert len(said) == len(set(said))
    assert [line for line in said if line.startswith("problem:")] == [f"problem: {text}" for text in problems]
    for wanted in (
        r"000\.png cannot be decoded .*\(and 2 more: train/good/001\.png, train/good/002\.png\); replace or remove it",
        r"000_mask\.png is 9x9 but its image is 40x48 \(and 3 more: .*\); export the mask at the image's size",
        r"OK/1\.png has no mask, .*\(and 4 more: test/crack/004\.png, .*\); add ground_truth/",
        r"008_mask\.png and 008_gt\.png are both masks of 008\.png \(and 1 more: .*\); keep one",
        r"_mask\.png belongs to no image in test/crack \(and 3 more: .*\); rename it to",
        r"test/OK has another name than MVTec's \(and 1 more: named/train/Good\); rename the folder of normal images",
        r"900\.png has 14000 x 14000 px.*; cut it into tiles",
        r"\\udcff\.png has a name that is no UTF-8 text; rename it",
        r"named/train/good holds no images \(and 2 more: nothing/train/good, one/train/good\); put two normal ones",
        r"untested/test holds no images; put normal ones into test/good",
        r"020_mask\.png covers more than half of its image; it is read as it stands",
        r"021_mask\.png holds several levels .*; all but the nearly black are read as anomalous",
        *[rf"{kind} is not used; 1 files" for kind in (r"good/\*\.heic", r"train/bad/\*\.png", r"masks/\*\.npy",
                                                     r"validation/good/\*\.png", r"test/\*\.png")],
    ):
        assert sum(bool(re.search(wanted, line)) for line in said) == 1, wanted

"""The demo set: same seed, same bytes; exact masks; a sweep of difficulty; a baseline that leaves room to learn."""

import csv
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.stats import spearmanr

from adlib.demo import generate

NINE = {"scratch", "crack", "stain", "hole", "dent", "foreign_fibre", "missing_part", "misplaced_part", "wrong_colour"}
KINDS = [(category, defect) for category, recipe in generate.CATEGORIES.items() for defect in recipe.defects]


@cache
def shot(category, split, index, seed=1):
    return generate.photograph(category, split, index, seed)


def last(category):
    return generate.DEFECTIVE // len(generate.CATEGORIES[category].defects) - 1


@pytest.fixture(scope="session")
def small(tmp_path_factory):
    return generate.make_set(tmp_path_factory.mktemp("demo") / "set", 1, ["brick"], workers=2)


def files_of(folder):
    return {f.relative_to(folder).as_posix(): f.read_bytes() for f in folder.rglob("*") if f.is_file()}


def test_same_seed_same_bytes_whatever_the_number_of_workers(small, tmp_path):
    again = generate.make_set(tmp_path / "again", 1, "brick", workers=1)
    assert files_of(again) == files_of(small)


@pytest.mark.parametrize("category", ["hex_nut", "blister", "circuit"])
def test_drawn_images_repeat(category):
    first, second = (generate.photograph(category, "train/good", 3, 1).pixels for _ in range(2))
    assert np.array_equal(first, second)


def test_another_seed_category_or_image_is_another_picture():
    pictures = [shot("brick", "train/good", 0, 1), shot("brick", "train/good", 0, 2), shot("brick", "train/good", 1, 1),
                shot("brick", "test/good", 0, 1), shot("grass", "train/good", 0, 1)]  # fmt: skip
    assert len({p.pixels.tobytes() for p in pictures}) == len(pictures)


def test_layout_and_counts(small):
    brick = small / "brick"
    assert len(list((brick / "train/good").glob("*.png"))) == 200
    assert len(list((brick / "test/good").glob("*.png"))) == 40
    images = sorted((brick / "test").glob("[!g]*/*.png"))
    assert len(images) == 80
    assert {f.parent.name for f in images} == set(generate.CATEGORIES["brick"].defects)
    for file in images:
        mask = Image.open(brick / "ground_truth" / file.parent.name / f"{file.stem}_mask.png")
        image = Image.open(file)
        assert (image.mode, image.size, mask.mode, mask.size) == ("RGB", (256, 256), "L", (256, 256))
        assert set(np.unique(mask)) == {0, 255}
    assert len(list((brick / "ground_truth").rglob("*.png"))) == 80
    assert "CC0" in (small / "README.txt").read_text()


def test_the_written_files_are_the_shots(small):
    made = shot("brick", "test/hole", 2)
    assert np.array_equal(np.asarray(Image.open(small / "brick/test/hole/002.png")), made.pixels)
    assert np.array_equal(np.asarray(Image.open(small / "brick/ground_truth/hole/002_mask.png")) > 0, made.mask)


def test_plan_of_every_category():
    assert len(generate.CATEGORIES) >= 6
    assert {d for _, d in KINDS} == NINE
    for category, recipe in generate.CATEGORIES.items():
        plan = generate._plan(category)
        assert len(recipe.defects) >= 4
        assert sum(split not in generate.COUNTS for split, _ in plan) == 80
        assert len(plan) == len(set(plan)) == 320


@pytest.mark.parametrize(("category", "defect"), KINDS)
def test_masks_are_exact(category, defect):
    for index in (0, last(category)):
        made = shot(category, f"test/{defect}", index)
        change = np.abs(made.image - made.normal).max(-1)
        assert made.mask.sum() >= 12
        assert change[~made.mask].max() == 0
        assert np.mean(change[made.mask] > 1 / 255) > 0.6
        assert made.contrast > 0.01


def test_bands_run_from_obvious_to_barely_visible(small):
    rows = list(csv.DictReader((small / "brick/defects.csv").read_text("utf-8").splitlines()))
    assert len(rows) == 80
    for defect in generate.CATEGORIES["brick"].defects:
        mine = [r for r in rows if r["defect"] == defect]
        assert [b for b in generate.BANDS if any(r["band"] == b for r in mine)] == list(generate.BANDS)
        contrast, pixels = np.array([(float(r["contrast"]), int(r["pixels"])) for r in mine]).T
        assert spearmanr(contrast, np.arange(len(mine))).statistic < -0.9
        assert contrast.max() > 0.18
        assert contrast.min() < 0.09
        assert pixels.max() > 3 * pixels.min()
        assert abs(spearmanr(contrast, pixels).statistic) < 0.97      # size is not just contrast again


@pytest.mark.parametrize(("category", "defect"), KINDS)
def test_every_defect_fades_towards_its_last_image(category, defect):
    n = last(category)
    ends = [[shot(category, f"test/{defect}", i) for i in which] for which in ((0, 1), (n - 1, n))]
    strong, weak = (np.mean([s.contrast * np.sqrt(s.mask.sum()) for s in end]) for end in ends)
    assert strong > 1.3 * weak
    assert {s.band for s in ends[0]} <= set(generate.BANDS[:2])
    assert ends[1][1].band == "barely visible"


@pytest.mark.parametrize("category", [c for c, r in generate.CATEGORIES.items() if r.how == "photograph"])
def test_crops_stay_in_their_region(category):
    for split, (left, right) in generate.REGIONS.items():
        for i in range(60):
            _, corners, _ = generate.crop(np.random.default_rng(i), category, split)
            assert corners[:, 0].min() >= left + 2
            assert corners[:, 0].max() <= right - 2
            assert corners[:, 1].min() >= 2
            assert corners[:, 1].max() <= 510
            assert 160 <= np.linalg.norm(corners[1] - corners[0]) <= 184
    assert generate.REGIONS["train"][1] <= generate.REGIONS["test"][0]


def test_normal_images_carry_harmless_dust():
    for category in generate.CATEGORIES:
        made = shot(category, "train/good", 1)
        assert made.dust.any()
        assert not made.mask.any()
        assert made.image is made.normal
        assert made.dust.mean() < 0.01


def test_photographs_need_no_download():
    code = ("import sys; sys.modules['pooch'] = None\n"
            "from adlib.demo import generate; print(generate.grey('gravel').shape)")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "(512, 512)"


def test_an_interrupted_call_leaves_nothing(tmp_path, monkeypatch):
    def stop(category, split, index, seed):
        if index == 5:
            raise KeyboardInterrupt
        return made

    made = shot("brick", "train/good", 0)
    monkeypatch.setattr(generate, "photograph", stop)
    with pytest.raises(KeyboardInterrupt):
        generate.make_set(tmp_path / "set", 1, "brick", workers=1)
    assert list(tmp_path.iterdir()) == []


def test_a_worker_that_dies_is_an_error_and_leaves_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(generate, "_draw", lambda *_: os._exit(3))
    with pytest.raises(RuntimeError, match=r"EXIT\(3\)"):
        generate.make_set(tmp_path / "set", 1, "brick", workers=2)
    assert list(tmp_path.iterdir()) == []


def quick(monkeypatch):
    monkeypatch.setattr(generate, "COUNTS", {"train/good": 1, "test/good": 1})
    monkeypatch.setattr(generate, "DEFECTIVE", 0)
    monkeypatch.setattr(generate, "CATEGORIES", {"brick": generate.CATEGORIES["brick"]})


def test_generate_replaces_a_set_but_nothing_else(tmp_path, monkeypatch):
    quick(monkeypatch)
    target = generate.make_set(tmp_path / "set", 1, workers=1)
    (target / "left over").mkdir()
    assert sorted(p.name for p in generate.make_set(target, 2, workers=1).iterdir()) == ["README.txt", "brick"]
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "README.txt").write_text("my photographs")
    with pytest.raises(FileExistsError, match="not a demo set"):
        generate.make_set(mine, 1, workers=1)
    with pytest.raises(ValueError, match="choose out of brick"):
        generate.make_set(tmp_path / "set", 1, "carpet")


def test_parallel_calls_end_in_one_complete_set(tmp_path, monkeypatch):
    quick(monkeypatch)
    with ThreadPoolExecutor(3) as pool:
        list(pool.map(lambda _: generate.make_set(tmp_path / "set", 1, workers=1), range(3)))
    assert [p.name for p in tmp_path.iterdir()] == ["set"]
    assert generate._complete(tmp_path / "set", 1)
    assert (tmp_path / "set/brick/test/good/000.png").is_file()


def test_ensure(tmp_path, monkeypatch, capsys):
    quick(monkeypatch)
    monkeypatch.setattr(generate, "ROOT", tmp_path)
    monkeypatch.setattr(generate.os, "cpu_count", lambda: 1)
    made = generate.ensure("data/demo-s7")
    assert made == generate.root(7) == tmp_path / "data" / "demo-s7"
    assert (made / "brick/train/good/000.png").is_file()
    written = (made / "README.txt").stat().st_mtime_ns
    capsys.readouterr()
    assert generate.ensure(made) == made
    assert (made / "README.txt").stat().st_mtime_ns == written
    assert capsys.readouterr().out == ""
    assert generate.ensure("data/mvtec") == Path("data/mvtec")
    assert generate.ensure(tmp_path / "elsewhere" / "demo") == tmp_path / "elsewhere" / "demo"
    assert not (tmp_path / "elsewhere").exists()


@pytest.mark.slow
def test_the_baseline_leaves_room_to_learn(tmp_path):
    torch = pytest.importorskip("torch")
    from adlib.data.category import load_category
    from adlib.metrics import auroc
    from adlib.networks.nearest import NearestPatch
    from adlib.networks.teacher import Teacher

    made, teacher, aurocs = generate.make_set(tmp_path / "set", 1), Teacher("efficientnet_lite0"), {}
    for name in generate.CATEGORIES:
        category = load_category(made, name, image_size=128)
        model = NearestPatch(teacher).fit(category.train)
        with torch.inference_mode():
            maps = torch.cat([model(part.float() / 255) for part in category.test.split(32)])
        aurocs[name] = auroc(model.image_scores(maps), category.labels)
    assert np.mean(list(aurocs.values())) < 0.95, aurocs
    assert all(0.6 < value < 1 for value in aurocs.values()), aurocs

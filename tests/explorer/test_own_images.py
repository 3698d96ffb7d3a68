"""One's own photographs: `python -m adlib try`."""

import csv
import re
import shlex

import numpy as np
import pytest
import torch
from conftest import save, texture
from PIL import Image

from adlib import __main__
from adlib.data.category import split_validation
from adlib.explorer.own_images import explain_threshold, folder_category
from adlib.metrics import image_threshold
from adlib.runs.folder import read_runs
from adlib.runs.record import load_run


def photograph(folder, count, *, bad=()):
    """Photographs of several sizes and formats; on the bad ones lies something bright."""
    rng = np.random.default_rng(len(bad))
    for i in range(count):
        pixels = texture(rng, (60 + 10 * (i % 3), 80))
        if i in bad:
            pixels[20:40, 30:50] = (255, 0, 0)
        save(folder / f"{i:02} <a&b>.{'jpg' if i % 2 else 'png'}", pixels)
    return folder


def attempt(tmp_path, *more) -> int:
    fixed = ["--budget", "smoke", "--out-dir", str(tmp_path / "runs")]
    return __main__.main(["try", str(tmp_path / "parts"), *more, *fixed])


def test_new_photographs_are_judged(tmp_path, capsys, monkeypatch):
    photograph(tmp_path / "parts", 8)
    photograph(tmp_path / "new", 5, bad=(1, 4))
    assert attempt(tmp_path, "--new", str(tmp_path / "new")) == 0
    [entry] = read_runs(tmp_path / "runs")
    run = load_run(entry["folder"])
    threshold = entry["thresholds"]["image"]
    assert threshold == image_threshold(run.validation_scores) > run.validation_scores.max()
    assert (entry["dataset"], entry["category"]) == (tmp_path.name, "parts")
    assert [entry[f"n_{name}"] for name in ("train", "validation", "test", "anomalous")] == [6, 2, 5, None]
    assert set(entry["metrics"].values()) == {None}
    assert set((-run.scores).argsort()[:2]) == {1, 4}
    assert run.scores[[1, 4]].min() >= threshold

    page = (run.folder / "sheet.html").read_text()
    shown = [float(x) for x in re.findall(r"score ([\d.e-]+)<br>", page)]
    assert shown == sorted(shown, reverse=True)
    np.testing.assert_allclose(shown, np.sort(run.scores)[::-1], rtol=1e-3)
    assert page.count("&#9650; flagged") == page.count("class=flagged") == (run.scores >= threshold).sum()
    assert page.count("data:image/jpeg;base64,") == page.count("alt=") == 10
    assert "photograph 01 &lt;a&amp;b&gt;.jpg" in page
    assert not re.search(r"https?:|<script", page)
    assert f"{threshold:.4g}, was set by 2 good photographs" in page
    assert f"it flags {entry['thresholds']['promise']}." in page
    assert entry["thresholds"]["promise"].startswith("at most 34 % of normal images, with 2 validation images")

    printed = capsys.readouterr().out
    assert str(run.folder / "sheet.html") in printed
    [command] = re.findall(r"^    python -m adlib (score .*) photographs$", printed, re.M)
    monkeypatch.chdir(tmp_path)
    assert __main__.main([*shlex.split(command), str(tmp_path / "new"), "--csv", "again.csv"]) == 3
    with open("again.csv", encoding="utf-8") as file:
        again = {row["image"]: float(row["score"]) for row in csv.DictReader(file)}
    assert list(again.values()) == run.scores.tolist()
    lines = [line.strip() for line in printed.splitlines()[-2:]]
    files = [str(path) for path in sorted((tmp_path / "new").iterdir())]
    found = {}
    exec("\n".join(lines).replace("['photograph.jpg']", repr(files)).replace("print(", "found = ("), found)
    assert torch.equal(found["found"], torch.from_numpy(run.scores))


def test_without_new_ones_the_held_back_are_shown(tmp_path, capsys):
    photograph(tmp_path / "parts", 8)
    assert attempt(tmp_path) == 0
    [entry] = read_runs(tmp_path / "runs")
    run = load_run(entry["folder"])
    assert np.array_equal(run.maps, run.validation_maps)
    page = (run.folder / "sheet.html").read_text()
    assert "the held-back ones themselves, so none can be flagged" in capsys.readouterr().out
    assert "the held-back ones themselves, so none can be flagged" in page
    assert "<p>0 of 2 are flagged." in page
    assert "class=flagged" not in page


@pytest.mark.parametrize("method", ["nearest", "destseg", "rd4ad", "masked_rd"])
def test_every_method_learns_from_photographs(tmp_path, method):
    photograph(tmp_path / "parts", 8)
    assert attempt(tmp_path, "--method", method) == 0
    [entry] = read_runs(tmp_path / "runs")
    assert entry["method"] == method
    run = load_run(entry["folder"])
    again = run.score(sorted((tmp_path / "parts").iterdir()))
    held = split_validation(8)[1]
    assert again.scores[held].tolist() == pytest.approx(run.validation_scores.tolist(), rel=1e-4)


@pytest.mark.parametrize(("method", "taken"), [("stfpm", 3), ("rd4ad", 3), ("destseg", 6), ("nearest", 0)])
def test_steps_stand_in_for_the_budgets(tmp_path, capsys, method, taken):
    photograph(tmp_path / "parts", 8)
    assert attempt(tmp_path, "--method", method, "--steps", "3") == 0
    [entry] = read_runs(tmp_path / "runs")
    assert max(map(int, re.findall(r"done at step (\d+)", capsys.readouterr().out)), default=0) == taken
    assert {value for name, value in entry["parameters"].items() if name.endswith("steps")} <= {3}


def test_an_unknown_method_is_named_before_anything_is_read(tmp_path, capsys):
    assert attempt(tmp_path, "--method", "patchcore") == 1
    assert "choose one of nearest, stfpm, destseg, rd4ad, masked_rd" in capsys.readouterr().err


def test_the_validation_photographs_are_not_learnt_from(tmp_path):
    good = photograph(tmp_path / "parts", 20)
    data = folder_category(good, image_size=64)
    assert (len(data.train), len(data.validation)) == (16, 4)
    everything = torch.cat([data.train, data.validation])
    assert len(torch.unique(everything, dim=0)) == 20
    assert torch.equal(data.test, data.validation)
    with Image.open(data.paths[0]) as file:
        wanted = np.asarray(file.convert("RGB").resize((64, 64), Image.Resampling.BILINEAR))
    assert np.array_equal(data.validation[0].permute(1, 2, 0), wanted)


def test_photographs_of_more_than_8_bits_are_scaled_alike(tmp_path):
    for i in range(8):
        pixels = texture(np.random.default_rng(i))[..., 0]
        save(tmp_path / f"plain/{i}.png", pixels)
        save(tmp_path / f"parts/{i}.tif", (pixels / 255 * 4095).round().astype(np.uint16))
    plain, deep = (folder_category(tmp_path / name, image_size=64) for name in ("plain", "parts"))
    assert (plain.value_range, deep.value_range) == (None, (0, 4095))
    assert (plain.train.int() - deep.train.int()).abs().max() <= 1
    assert (plain.test.int() - deep.test.int()).abs().max() <= 1


def prepare_few(root):
    photograph(root / "parts", 7)


def prepare_nested(root):
    photograph(root / "parts/good", 9)


def prepare_heic(root):
    for i in range(9):
        (root / "parts").mkdir(exist_ok=True)
        (root / f"parts/{i}.HEIC").write_bytes(b"x")


def prepare_broken(root):
    (photograph(root / "parts", 9) / "zz.jpg").write_bytes(b"no image")


def prepare_empty(root):
    (root / "parts").mkdir()


@pytest.mark.parametrize(("prepare", "message"), [
    (prepare_few, "holds 7 photographs, at least 8 are needed: a fifth of them, at least two, is held back"),
    (prepare_nested, "its sub-folders good do: give one of them"),
    (prepare_heic, "9 files of other kinds (0.HEIC, 1.HEIC, 2.HEIC, …): export photographs (.heic"),
    (prepare_broken, "zz.jpg cannot be decoded"),
    (prepare_empty, "it is empty"),
    (lambda root: None, "parts is not a folder"),
])
def test_what_cannot_be_tried_is_explained(prepare, message, tmp_path, capsys):
    prepare(tmp_path)
    assert attempt(tmp_path) == 1
    assert message in capsys.readouterr().err
    assert not (tmp_path / "runs").exists()


def test_files_of_other_kinds_are_mentioned(tmp_path, capsys):
    (photograph(tmp_path / "parts", 8) / "notes.txt").write_text("x")
    folder_category(tmp_path / "parts", image_size=32)
    assert "left out 1 files of other kinds (notes.txt)" in capsys.readouterr().out


def test_wrong_options_stop_at_once(tmp_path, capsys):
    photograph(tmp_path / "parts", 8)
    assert attempt(tmp_path, "--image-size", "100") == 1
    assert "image_size=100 must be a multiple of 32" in capsys.readouterr().err


@pytest.mark.parametrize(("n", "percent", "flagged"), [(2, 34, 0), (4, 20, 0), (19, 5, 0), (40, 5, 1)])
def test_the_expected_false_alarms(n, percent, flagged):
    """The highest of n held-back scores is passed by a further one in 1 / (n + 1) of all cases."""
    words, scores = explain_threshold(0.5, n, new=False), np.random.default_rng(n).random(n)
    assert f"it flags at most {percent} % of normal images, with {n} validation images" in words
    assert (f"at most {flagged} of them" if flagged else "none") + " can be flagged" in words
    assert (scores >= image_threshold(scores)).sum() == flagged
    assert "held-back ones themselves" not in explain_threshold(0.5, n, new=True)


def test_large_photographs_are_cut_and_keep_their_aspect(tmp_path, capsys):
    rng = np.random.default_rng(0)
    for i in range(8):
        save(tmp_path / "parts" / f"{i}.png", texture(rng, (300, 512)))
    assert attempt(tmp_path, "--tiles", "auto") == 0
    [entry] = read_runs(tmp_path / "runs")
    assert (entry["parameters"]["tiles"], entry["parameters"]["aspect"]) == (2, "keep")
    assert entry["frame"] == [64, 96, True]
    said = capsys.readouterr().out
    assert said.count("parts: 1 x 2 tiles of 64 px on 64 x 96 px, aspect kept") == 1
    run = load_run(entry["folder"])
    scored = ["score", entry["folder"], str(tmp_path / "parts/0.png"), "--csv", str(tmp_path / "scores.csv")]
    assert __main__.main(scored) in (0, 3)
    assert "tiles: 1 x 2 tiles of 64 px, the aspect kept, as the run was trained" in capsys.readouterr().err
    assert __main__.main([*scored, "--tiles", "3"]) == 1
    assert "trained on 1 x 2 tiles" in capsys.readouterr().err
    found = run.score([run.paths[0]])
    torch.testing.assert_close(found.maps[0], torch.from_numpy(run.maps[0]), rtol=0, atol=1e-5)


def test_photographs_that_are_small_stay_whole(tmp_path):
    data = folder_category(photograph(tmp_path / "parts", 8), image_size=64, tiles="auto", aspect="auto")
    assert data.frame is None
    assert data.tiles == {}

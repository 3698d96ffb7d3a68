"""Images judged with a run: `python -m adlib score`."""

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
import torch
from conftest import save, texture
from helpers import leave, parameters
from PIL import Image

from adlib import __main__
from adlib.data.category import one_class_category
from adlib.data.one_class import read_digits
from adlib.explorer import score
from adlib.networks.nearest import NearestPatch
from adlib.networks.teacher import Teacher
from adlib.runs import record
from adlib.runs.record import load_run
from adlib.training import predict


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A run without training, which tells cracks well, and its data."""
    return leave(tmp_path_factory.mktemp("made"))


@pytest.fixture(scope="module")
def run(made):
    return load_run(made[0])


@pytest.fixture
def cracks(made):
    return [path for path in made[1].paths if path.parent.name == "crack"]


@pytest.fixture
def passed(run, made):
    """A good image below the threshold."""
    good = sorted((made[1].paths[0].parents[2] / "train/good").iterdir())
    return good[int(run.score(good).scores.argmin())]


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    """The working directory, with a folder for photographs."""
    (tmp_path / "photos").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def call(run, *arguments) -> int:
    return __main__.main(["score", str(run.folder), *map(str, arguments)])


def rows(path="scores.csv") -> list[dict]:
    with open(path, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def largest_by_hand(heat, threshold) -> int:
    """By flood fill, 8-connected."""
    left, largest = set(map(tuple, np.argwhere(heat.numpy().astype(float) >= threshold))), 0
    while left:
        queue, size = [left.pop()], 0
        while queue:
            y, x = queue.pop()
            size += 1
            near = {(y + i, x + j) for i in (-1, 0, 1) for j in (-1, 0, 1)} & left
            left -= near
            queue += near
        largest = max(largest, size)
    return largest


def test_verdicts_are_those_of_the_loaded_run(run, cracks, passed, capsys):
    deep = np.asarray(Image.open(cracks[0]).convert("L")).astype(np.uint16) * 257
    others = [save(cracks[0].parents[4] / "others" / name, pixels) for name, pixels in [
        ("grey.jpg", deep.astype(np.uint8)[:30]), ("deep.png", deep), ("large.bmp", texture(np.random.default_rng(1),
                                                                                          (200, 90)))]]
    files = [*cracks, passed, *others]
    assert call(run, *files) == 3
    expected, thresholds = run.score(files), run.entry["thresholds"]
    found = rows()
    assert [row["image"] for row in found] == [str(path) for path in files]
    assert [float(row["score"]) for row in found] == expected.scores.tolist()
    flags = [x >= thresholds["image"] for x in expected.scores.tolist()]
    assert [row["flagged"] for row in found] == [str(flag) for flag in flags]
    assert [int(row["largest_region"]) for row in found] == [largest_by_hand(heat, thresholds["pixel"])
                                                             for heat in expected.maps]
    assert any(flags)
    assert not all(flags)
    assert {row["error"] for row in found} == {""}

    printed = capsys.readouterr()
    lines = [line.split() for line in printed.out.splitlines()]
    assert [line[-1] for line in lines] == [str(path) for path in files]
    assert [line[1] for line in lines] == ["flagged" if flag else "passed" for flag in flags]
    np.testing.assert_allclose([float(line[0]) for line in lines], expected.scores, rtol=1e-3)
    assert f"{len(files)} images, " in printed.err
    assert f"scores from {thresholds['image']:.4g} on (at most " in printed.err
    assert "images/s" in printed.err


def test_a_run_made_before_thresholds_promised_promises_nothing(run, passed, tmp_path, capsys):
    folder = shutil.copytree(run.folder, tmp_path / "older")
    entry = json.loads((folder / "run.json").read_text())
    assert entry["thresholds"].pop("promise")
    (folder / "run.json").write_text(json.dumps(entry))
    assert call(load_run(folder), passed) == 0
    assert "at most" not in capsys.readouterr().err


def test_nothing_flagged_is_zero_and_the_table_goes_where_it_is_told(run, passed, elsewhere):
    assert call(run, passed, "--csv", "photos/of today.csv") == 0
    assert [row["flagged"] for row in rows("photos/of today.csv")] == ["False"]
    assert [path.name for path in elsewhere.rglob("*.*")] == ["of today.csv"]       # no part of it, no other


def test_overlays_show_cracks_and_leave_normal_images_dark(run, cracks, passed, elsewhere):
    for place, path in (("a/x.png", cracks[0]), ("b/x.png", passed)):
        (elsewhere / "photos" / place).parent.mkdir()
        shutil.copy(path, elsewhere / "photos" / place)
    save(elsewhere / "photos/large.jpg", texture(np.random.default_rng(0), (1200, 2048)))
    for _ in range(2):          # the second time they are there, and are not scored, though they lie inside
        assert call(run, "photos", "--heatmaps", "photos/heat") == 3
        assert len(rows()) == 3
    written = {path.relative_to(elsewhere / "photos/heat").as_posix(): Image.open(path)
               for path in (elsewhere / "photos/heat").rglob("*.*")}
    assert {name: image.size for name, image in written.items()} == {
        "a/x.png.png": (40, 48), "b/x.png.png": (40, 48), "large.jpg.png": (1024, 600)}

    def heat_of(name, photo):
        """What was blended with the photograph, as brightness."""
        overlay, photo = np.asarray(written[name], float), np.asarray(Image.open(photo).convert("RGB"), float)
        return ((overlay - 0.4 * photo) / 0.6).max(axis=2)

    crack, normal = heat_of("a/x.png.png", cracks[0]), heat_of("b/x.png.png", passed)
    middle = 184        # magma's brightest channel in the middle of the scale
    assert normal.max() < middle + 5
    assert np.median(normal) < 40
    assert crack[10:22, 8:20].mean() > middle + 30          # the square


def test_json_and_files_that_cannot_be_read(run, cracks, passed, elsewhere, capsys):
    names = ["line\nbreak.png", "ä [1].png", "comma, \"quote\".PNG", os.fsdecode(b"bytes\xff.png")]
    for name in names:
        shutil.copy(cracks[0], elsewhere / "photos" / name)
    (elsewhere / "photos/broken.png").write_bytes(passed.read_bytes()[:200])
    assert call(run, "photos", "nowhere.png", passed, "--json", "--heatmaps", "heat") == 1
    printed = capsys.readouterr()
    found = [json.loads(line) for line in printed.out.splitlines()]
    inside = [f"photos/{name}" for name in sorted([*names, "broken.png"])]
    nowhere = found[-2]["image"]
    assert [x["image"] for x in found] == [*inside, nowhere, str(passed)]
    failed = [x for x in found if x["error"]]
    assert [x["image"].rsplit("/", 1)[1] for x in failed] == ["broken.png", "nowhere.png"]
    assert {(x["score"], x["flagged"], x["largest_region"]) for x in failed} == {(None, None, None)}
    for x in failed:
        assert f"error: {x['image']}: {x['image']} cannot be decoded" in printed.err
    torch.testing.assert_close([x["score"] for x in found if not x["error"]],
                               run.score([cracks[0]] * 4 + [passed]).scores.tolist(), rtol=1e-5, atol=0)
    assert [x["flagged"] for x in found if not x["error"]] == [True] * 4 + [False]
    assert [row["image"] for row in rows()] == [x["image"].encode(errors="backslashreplace").decode() for x in found]
    assert len(list((elsewhere / "heat").rglob("*.png"))) == 5


def test_an_overlay_that_cannot_be_written_stops_nothing(run, cracks, passed, elsewhere, capsys):
    (elsewhere / "heat").write_text("a file")
    assert call(run, cracks[0], cracks[1], "--heatmaps", "heat") == 1
    assert [row["flagged"] for row in rows()] == ["True", "True"]
    assert all("no overlay: " in row["error"] for row in rows())


def test_folders_and_globs_without_clutter(elsewhere):
    for name in ("a.png", "b.JPG", "notes.txt", ".hidden.png", "Thumbs.db", "__MACOSX/a.png", "today/c.tif", "x[1].png",
                 "scan"):
        path = elsewhere / "photos" / name
        path.parent.mkdir(exist_ok=True)
        path.touch()

    def names(*given):
        return [path.as_posix() for path in score.find_images(list(given))]

    everything = ["photos/a.png", "photos/b.JPG", "photos/today/c.tif", "photos/x[1].png"]
    assert names("photos") == everything
    assert names("photos/*") == names("photos/**") == everything
    assert names("photos/*.png") == ["photos/a.png", "photos/x[1].png"]
    assert names("photos/x[1].png", "photos/scan") == ["photos/x[1].png", "photos/scan"]
    assert names("photos/a.png", "photos", str(elsewhere / "photos/a.png")) == everything


@pytest.mark.parametrize(("arguments", "message"), [
    (["photos"], "photos holds no images that can be read (.avif, .bmp"),
    (["a.png", "--csv", "nowhere/x.csv"], "x.csv is no file in a folder that exists"),
    (["a.png", "--csv", "photos"], "photos is no file in a folder"),
    (["a.png", "--watch"], "--watch needs a folder to look into, not a.png"),
    (["photos", "--heatmaps", "."], "holds the images themselves; give a folder of its own"),
])
def test_what_cannot_be_done_is_refused_before_anything_is_scored(run, arguments, message, elsewhere, capsys):
    assert call(run, *arguments) == 1
    assert message in capsys.readouterr().err
    assert not (elsewhere / "scores.csv").exists()


def test_no_run(elsewhere, capsys):
    assert __main__.main(["score", "nowhere", "photos"]) == 1
    assert "there is no run" in capsys.readouterr().err


def test_memory_is_bounded(run, passed, monkeypatch):
    """Of many files, two batches at most are decoded and not yet scored."""
    lock, ahead, most = threading.Lock(), 0, 0
    as_image, predict = record.as_image, record.predict

    def counted(*arguments):
        nonlocal ahead, most
        with lock:
            ahead += 1
            most = max(most, ahead)
        return as_image(*arguments)

    def scored(model, images):
        nonlocal ahead
        time.sleep(0.05)        # long enough to decode everything
        with lock:
            ahead -= len(images)
        return predict(model, images)

    monkeypatch.setattr(record, "as_image", counted)
    monkeypatch.setattr(record, "predict", scored)
    found = list(run.score_each([passed] * 150))
    assert len(found) == 150
    assert ahead == 0
    assert 32 < most <= 64


def test_where_a_batch_ends_and_what_is_broken_changes_nothing(run, cracks, passed, elsewhere):
    files = [*cracks, passed] * 8
    mixed = [*files[:5], elsewhere / "nowhere.png", *files[5:]]
    found = list(run.score_each(mixed))
    assert isinstance(found.pop(5), ValueError)
    torch.testing.assert_close(torch.stack([heat for _, heat in found]), run.score(files).maps, rtol=1e-4, atol=1e-5)
    with pytest.raises(ValueError, match=r"nowhere.png cannot be decoded"):
        run.score(mixed)
    assert list(run.score_each([])) == []


# Watched -------------------------------------------------------------------------------------------------------------


@pytest.fixture
def until(monkeypatch):
    """Make looks quick, and press Ctrl-C when there are so many rows."""
    sleep, deadline = time.sleep, time.monotonic() + 30
    monkeypatch.setattr(score, "POLL", 0.05)

    def stop_at(count):
        def wait(seconds):
            assert time.monotonic() < deadline
            written = len(rows()) if os.path.exists("scores.csv") else 0
            if written >= count:
                raise KeyboardInterrupt
            sleep(seconds)
        monkeypatch.setattr(score.time, "sleep", wait)
        return sleep
    return stop_at


def test_a_file_that_is_written_slowly_is_waited_for(run, cracks, passed, elsewhere, until, capsys):
    sleep = until(3)
    shutil.copy(passed, elsewhere / "photos/0.png")
    content = cracks[0].read_bytes()

    def camera():
        with open("photos/slow.png", "wb") as file:
            for i in range(0, len(content), len(content) // 5):
                file.write(content[i:i + len(content) // 5])
                file.flush()
                sleep(0.3)          # longer than from one look to the next
        shutil.copy(cracks[1], "photos/last.png")

    writer = threading.Thread(target=camera)
    writer.start()
    assert call(run, "photos", "--watch", "--json", "--heatmaps", "photos/heat") == 3
    writer.join()
    printed = capsys.readouterr()
    found = [json.loads(line) for line in printed.out.splitlines()]
    assert [x["image"] for x in found] == ["photos/0.png", "photos/slow.png", "photos/last.png"]
    assert [x["flagged"] for x in found] == [False, True, True]
    assert {x["error"] for x in found} == {None}
    assert found[1]["score"] == pytest.approx(float(run.score([cracks[0]]).scores), rel=1e-5)
    assert "3 images" in printed.err
    assert "still being written" not in printed.err
    assert len(rows()) == 3


def test_what_stays_broken_is_named_and_a_changed_file_is_scored_again(run, cracks, passed, elsewhere, until,
                                                                       monkeypatch, capsys):
    sleep = until(3)
    monkeypatch.setattr(score, "PATIENCE", 0.3)
    (elsewhere / "photos/broken.png").write_bytes(b"no image")
    shutil.copy(passed, elsewhere / "photos/latest.png")

    def overwrite():
        while len(rows()) < 2 if os.path.exists("scores.csv") else True:
            sleep(0.05)
        shutil.copy(cracks[0], "photos/latest.png")

    writer = threading.Thread(target=overwrite)
    writer.start()
    assert call(run, "photos", "--watch") == 1
    writer.join()
    assert [(row["image"], row["flagged"]) for row in rows()] == [
        ("photos/latest.png", "False"), ("photos/broken.png", ""), ("photos/latest.png", "True")]
    assert "error: photos/broken.png: photos/broken.png cannot be decoded" in capsys.readouterr().err


def test_what_is_unfinished_at_the_end_is_named(run, passed, elsewhere, until, capsys):
    until(1)
    (elsewhere / "photos/half.png").write_bytes(passed.read_bytes()[:300])
    shutil.copy(passed, elsewhere / "photos/0.png")
    assert call(run, "photos", "--watch") == 0
    assert "not scored, still being written or just begun: half.png" in capsys.readouterr().err
    assert len(rows()) == 1


def test_ctrl_c_ends_a_watch_cleanly(run, cracks, elsewhere):
    shutil.copy(cracks[0], elsewhere / "photos/0.png")
    command = [sys.executable, "-m", "adlib", "score", str(run.folder), "photos", "--watch", "--json"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=elsewhere,
                               env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)})
    first = process.stdout.readline()
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 3, err
    assert json.loads(first)["flagged"]
    assert out == ""
    assert "Traceback" not in err
    assert len(rows()) == 1


# Other runs ----------------------------------------------------------------------------------------------------------


def test_a_run_of_a_one_class_set_scores_means(tmp_path, elsewhere):
    data = one_class_category("digits", "0", image_size=64, limit=(40, 15, 30))
    opened = record.start("nearest", parameters(tmp_path, data_root="digits", category="0"))
    model = NearestPatch(Teacher(), sampling_ratio=0.3).fit(data.train)
    maps = predict(model, data.test)
    record.finish(opened, model, data, maps=maps, scores=model.image_scores(maps, image_level=True),
                  validation_maps=predict(model, data.validation), report={})
    digits, run = read_digits()[1].images, load_run(opened.folder)
    for path in data.paths:
        save(elsewhere / f"photos/{path.name}.png", digits[int(path.name)])
    assert call(run, "photos") == 3
    expected = {f"photos/{path.name}.png": value for path, value in zip(data.paths, run.scores.tolist(), strict=True)}
    assert {row["image"]: float(row["score"]) for row in rows()} == pytest.approx(expected, rel=1e-5)
    assert {row["flagged"] for row in rows()} == {"True", "False"}

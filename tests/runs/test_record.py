import json
import subprocess
import sys

import numpy as np
import pytest
import torch
from conftest import make_category, save
from helpers import leave, parameters
from PIL import Image

from adlib import metrics, settings
from adlib.data.category import load_category
from adlib.networks.nearest import NearestPatch
from adlib.networks.stfpm import STFPM
from adlib.networks.teacher import Teacher
from adlib.runs import record
from adlib.runs.folder import LOCK_ENV, PENDING, read_runs, record_failure, run_folder
from adlib.runs.record import load_run
from adlib.training import History, predict

FIELDS = ["schema", "method", "dataset", "category", "seed", "budget", "backbone", "image_size", "value_range",
          "device", "precision", "threads", "cpu", "n_train", "n_validation", "n_test", "n_anomalous", "metrics",
          "protocol", "frame", "fine", "thresholds", "seconds", "peak_memory_mb", "parameters", "digests", "versions"]


@pytest.fixture(scope="module", params=["nearest", "stfpm"])
def complete(request, tmp_path_factory):
    return leave(tmp_path_factory.mktemp(request.param), request.param)


def test_the_files_of_a_run(complete):
    folder, data, maps = complete
    film = {"snapshots.npz"} if "stfpm" in str(folder) else set()
    assert {p.name for p in folder.iterdir()} == {"run.json", "model.pt", "maps.npz"} | film
    entry = json.loads((folder / "run.json").read_text())
    assert list(entry) == FIELDS
    assert [entry[f"n_{name}"] for name in ("train", "validation", "test", "anomalous")] == [8, 2, 7, 4]
    assert (entry["dataset"], entry["image_size"], entry["device"]) == ("set", 64, "cpu")
    assert entry["seconds"]["train"] > 0 == entry["seconds"]["evaluate"]
    assert entry["peak_memory_mb"] > 50
    assert (entry["schema"], entry["threads"]) == (2, torch.get_num_threads())
    assert entry["cpu"].startswith(torch.backends.cpu.get_cpu_capability())
    assert entry["cpu"].split(", ")[1] in ("bf16", "no bf16")
    assert entry["cpu"].split(", ")[2]          # whose processor it is


def test_numbers_and_thresholds_come_from_the_stored_maps(complete):
    folder, data, maps = complete
    run = load_run(folder)
    assert torch.equal(torch.from_numpy(run.maps), maps)
    assert run.entry["metrics"] == metrics.evaluate(run.maps, data.masks, run.scores, run.labels)
    image, pixel = run.validation_maps.max(axis=(1, 2)), np.quantile(run.validation_maps, 0.999)
    assert run.entry["thresholds"] == {"image": np.nextafter(image.max(), np.inf), "pixel": pixel, "promise":
                                       "at most 34 % of normal images, with 2 validation images; 5 % needs 19"}
    assert (image >= run.entry["thresholds"]["image"]).sum() == 0
    assert run.labels.tolist() == [d != "good" for d in run.defects] == data.labels.tolist()


def test_a_loaded_run_scores_as_the_run_did(complete, monkeypatch, tmp_path):
    folder, data, maps = complete
    monkeypatch.chdir(tmp_path)
    run = load_run(folder)
    files = run.score(list(run.paths))
    assert torch.equal(files.maps, maps)
    assert torch.equal(files.scores, torch.from_numpy(run.scores))
    arrays = [np.asarray(Image.open(path)) for path in data.paths]
    for images in (arrays, np.stack(arrays), data.test, torch.from_numpy(np.stack(arrays)).permute(0, 3, 1, 2)):
        assert torch.equal(run.score(images).maps, maps)


def test_grey_and_odd_arrays_are_images_too(complete):
    run, rng = load_run(complete[0]), np.random.default_rng(0)
    grey = rng.integers(0, 256, (2, 30, 50), dtype=np.uint8)
    colour = grey[..., None].repeat(3, axis=3)
    expected = run.score(colour).scores
    for images in (grey, list(grey), grey[..., None], list(colour), [grey[0], colour[1]]):
        assert torch.equal(run.score(images).scores, expected)
    assert torch.equal(run.score(np.pad(colour, ((0, 0),) * 3 + ((0, 1),))).scores, expected)


@pytest.mark.parametrize(("images", "message"), [
    ([], "no images"),
    ([np.zeros((8, 8, 3))], r"image 0 is float64 of shape \(8, 8, 3\), expected uint8.*round"),
    (np.zeros((8, 8, 3), np.uint8), r"one image or many; give \[image\]"),
    ([np.zeros((8, 8), np.uint8), np.zeros((8, 8, 2), np.uint8)], "image 1 is uint8 of shape"),
    (["nowhere.png"], "nowhere.png cannot be decoded"),
])
def test_what_is_no_image_is_named(complete, images, message):
    with pytest.raises(ValueError, match=message):
        load_run(complete[0]).score(images)


def test_the_model_file_holds_the_student_only(complete):
    saved = torch.load(complete[0] / "model.pt", weights_only=True)
    assert saved["state"]
    assert not any(name.startswith("teacher") for name in saved["state"])
    assert load_run(complete[0]).model.arguments == saved["arguments"]
    assert saved["arguments"]["seed"] == 1


def test_snapshots_are_kept(tmp_path):
    folder, data, _ = leave(tmp_path, "stfpm")
    run = load_run(folder)
    assert run.snapshot_steps.tolist() == [0, 1, 4]
    assert run.snapshot_images.tolist() == [0, 5]
    assert run.snapshot_maps.shape == (3, 2, 256, 256)
    untrained = predict(STFPM(Teacher(), seed=1, fuse_at="image"), data.test[[0, 5]])
    np.testing.assert_allclose(run.snapshot_maps[0], untrained, atol=1e-5)
    assert np.abs(run.snapshot_maps[2] - run.snapshot_maps[0]).max() > 0.01


def test_other_teacher_weights_are_noticed(tmp_path):
    folder = leave(tmp_path)[0]
    saved = torch.load(folder / "model.pt", weights_only=True)
    torch.save(saved | {"digest": "0" * 12}, folder / "model.pt")
    with pytest.raises(ValueError, match="other weights of efficientnet_lite0"):
        load_run(folder).score([np.zeros((8, 8), np.uint8)])


def test_what_tells_a_teachers_weights_does_not_depend_on_the_processor():
    """Packed weights always have these digits; what is folded of them is rounded, and stays out."""
    teacher = Teacher()
    for weights in teacher.folded.parameters():
        weights.data += 0.0 if any(weights is x for x in teacher.net.parameters()) else 1e-6
    assert record.fingerprint(teacher) == "5b7aa4209371"
    teacher.mean += 1e-6
    assert record.fingerprint(teacher) != "5b7aa4209371"


def test_undefined_numbers_are_null(tmp_path):
    entry = load_run(leave(tmp_path, masks=False)[0]).entry
    assert entry["metrics"]["image_auroc"] >= 0
    assert [entry["metrics"][name] for name in metrics.METRICS[1:]] == [None] * 5


def test_seconds_of_a_run_that_was_killed_before_count(tmp_path):
    folder, data, maps = leave(tmp_path)
    run = record.start("stfpm", parameters(tmp_path))
    record.finish(run, load_run(folder).model, data, maps=maps, scores=maps[:, 0, 0], validation_maps=maps[:2],
                  report={}, history=History(seconds=123.0))
    assert load_run(run.folder).entry["seconds"]["train"] == 123.0
    assert load_run(run.folder).entry["n_anomalous"] is None


# What is not complete ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("spoil", "error", "message"), [
    (lambda f: f.rename(f.with_name("moved")), FileNotFoundError, "there is no run .*python -m adlib run"),
    (lambda f: (f / "run.json").unlink(), FileNotFoundError, "no complete run.*interrupted"),
    (lambda f: (f / "run.json").write_text('{"method": "nea'), ValueError, "torn.*--again"),
    (lambda f: (f / "run.json").write_text("{}"), ValueError, "no entry, it lacks method"),
    (lambda f: (f / "model.pt").unlink(), FileNotFoundError, "lacks model.pt; copy the whole"),
    (lambda f: record_failure(f, "nearest", json.loads((f / "run.json").read_text())["parameters"],
                           {"name": "KeyError", "message": "'x'", "traceback": "", "cell": "load"}),
     RuntimeError, "failed in cell load with KeyError: 'x'"),
])
def test_a_run_that_is_not_complete_is_not_loaded(tmp_path, spoil, error, message):
    folder = leave(tmp_path)[0]
    spoil(folder)
    with pytest.raises(error, match=message):
        load_run(folder)
    assert not (folder / "failed.json").exists() or not (folder / "run.json").exists()


def test_a_failure_has_the_fields_of_an_entry(tmp_path):
    folder = tmp_path
    record_failure(folder, "stfpm", parameters(tmp_path), {"name": "E", "message": "m", "traceback": "t", "cell": None})
    assert list(json.loads((folder / "failed.json").read_text())) == [*FIELDS, "error"]


FULL = """
import resource, sys
sys.path.insert(0, "tests")
from pathlib import Path
from helpers import leave
root = Path(sys.argv[1])
folder = leave(root)[0]
(folder / "checkpoint.pt").write_bytes(b"kept")
resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))
try:
    leave(root)
except OSError as error:
    print(error)
"""


def test_a_full_disk_leaves_nothing_torn(tmp_path):
    """A limit on the size of files: the model fits, the maps do not."""
    found = subprocess.run([sys.executable, "-c", FULL, str(tmp_path)], capture_output=True, text=True, check=True)
    folder = run_folder("nearest", parameters(tmp_path))
    assert f"cannot be written to {folder}" in found.stdout
    assert "free space or choose another --out-dir" in found.stdout
    assert not (folder / "run.json").exists()
    assert (folder / "checkpoint.pt").read_bytes() == b"kept"
    assert not list(folder.glob("*.part"))
    assert len(np.load(folder / "maps.npz")["maps"]) == 7       # the former one, complete


def test_an_unwritable_folder_is_named(tmp_path):
    (tmp_path / "runs").write_text("a file")
    with pytest.raises(OSError, match=f"cannot be written to {tmp_path}/runs/stfpm.*another --out-dir"):
        record.start("stfpm", parameters(tmp_path))


HOLD = """
import sys, json, time
from adlib import runs
run = runs.start("stfpm", json.loads(sys.argv[1]))
print("held", flush=True)
time.sleep(60)
"""


def test_two_runs_at_once_are_kept_apart(tmp_path):
    given = parameters(tmp_path)
    other = subprocess.Popen([sys.executable, "-c", HOLD, json.dumps(given)], stdout=subprocess.PIPE, text=True)
    try:
        assert "run folder" in other.stdout.readline()
        assert other.stdout.readline() == "held\n"
        with pytest.raises(RuntimeError, match=f"another run is at work in {run_folder('stfpm', given)}; wait"):
            record.start("stfpm", given)
        record.start("stfpm", given | {"seed": 1})
    finally:
        other.kill()
        other.wait()
    run = record.start("stfpm", given)          # the killed process holds nothing
    again = record.start("stfpm", given)        # a cell that is executed twice
    assert run.folder == again.folder


# Many runs -----------------------------------------------------------------------------------------------------------


def test_many_runs_are_read(tmp_path):
    first = leave(tmp_path)[0]
    entry = json.loads((first / "run.json").read_text())
    for seed in (10, 2):
        folder = first.with_name(f"smoke-s{seed}-abcdef")
        folder.mkdir()
        settings.write_json(folder / "run.json", entry | {"seed": seed})
    torn = first.with_name("smoke-s3-ffffff")
    torn.mkdir()
    (torn / "run.json").write_text("{")
    with pytest.warns(UserWarning, match="left out: .*smoke-s3-ffffff"):
        entries = read_runs(tmp_path / "runs")
    assert sorted(e["seed"] for e in entries) == [0, 2, 10]
    assert entries[0]["folder"] == str(first)


def test_an_empty_ledger_is_empty(tmp_path):
    assert read_runs(tmp_path / "nothing") == []


def test_below_the_runner_the_entry_waits_for_the_notebook(tmp_path, monkeypatch):
    make_category(tmp_path / "set")
    folder = run_folder("nearest", parameters(tmp_path))
    folder.mkdir(parents=True)
    monkeypatch.setenv(LOCK_ENV, str(folder))
    leave(tmp_path)
    assert (folder / PENDING).exists()
    assert not (folder / "run.json").exists()


# Tiles


def test_a_tiled_run_scores_as_it_did_and_tells_its_full_resolution(tmp_path):
    rng = np.random.default_rng(0)
    good = [f"train/good/{i}" for i in range(3)]
    for name in (*good, "test/good/0", "test/spot/0", "ground_truth/spot/0_mask"):
        pixels = rng.integers(0, 1 if "mask" in name else 90, (200, 400, 3), np.uint8)
        if "spot" in name:
            pixels[150:170, 90:110] = 255
        save(tmp_path / "set/w" / f"{name}.png", pixels)
    data = load_category(tmp_path / "set", "w", image_size=64, tiles=9, aspect="keep")
    assert data.map_size == (160, 320)
    run = record.start("nearest", parameters(tmp_path, category="w", tiles=9, aspect="keep"))
    model = NearestPatch(Teacher(), seed=1, sampling_ratio=0.1).fit(data.seen("train"))
    maps, validation_maps = predict(model, data.seen("test")), predict(model, data.seen("validation"))
    scores = model.image_scores(maps)
    report = metrics.evaluate(maps, data.masks, scores, data.labels)
    folder = record.finish(run, model, data, maps=maps, scores=scores, validation_maps=validation_maps, report=report)
    loaded = load_run(folder)
    assert loaded.entry["frame"] == [160, 320, True]
    fine = predict(model, data.seen("test"), size=(160, 320))
    expected = metrics.evaluate(fine, data.fine_masks, model.image_scores(fine), data.labels)
    assert loaded.entry["fine"] == {"map_size": [160, 320], "metrics": expected}
    files = [str(path) for path in data.paths]
    found = loaded.score([files[0], np.asarray(Image.open(files[1]))])
    torch.testing.assert_close(found.maps, maps, rtol=0, atol=1e-5)
    torch.testing.assert_close(found.scores, scores, rtol=0, atol=1e-5)


def test_the_defaults_of_tiles_move_no_run(tmp_path, bolt):
    plain = {name: value for name, value in parameters(tmp_path).items() if name not in ("tiles", "aspect")}
    folder = run_folder("stfpm", plain | {"data_root": str(bolt.parent)})
    assert run_folder("stfpm", parameters(tmp_path, data_root=str(bolt.parent))) == folder
    assert run_folder("stfpm", parameters(tmp_path, data_root=str(bolt.parent), tiles=2)) != folder

"""The model of a run as one file, and the README's program that uses it without this package."""

import importlib.metadata
import json
import re
import subprocess
import sys
import venv
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import make_category
from helpers import parameters
from packaging.requirements import Requirement
from PIL import Image

from adlib import ROOT, __main__
from adlib.data.category import load_category
from adlib.networks import STFPM, DeSTSeg, MaskedRD, NearestPatch, ReverseDistillation, Teacher
from adlib.runs import export, record
from adlib.runs.export import export_run
from adlib.runs.record import load_run
from adlib.training import damp_borders, predict

SLOW = pytest.mark.slow         # an export takes ten seconds
MODELS = {
    "nearest": lambda teacher, images: NearestPatch(teacher, seed=1).fit(images),
    "stfpm": lambda teacher, images: STFPM(teacher),
    "destseg": lambda teacher, images: started(DeSTSeg(teacher, student_width=16, width=16), images),
    "rd4ad": lambda teacher, images: started(ReverseDistillation(teacher), images),
    "masked_rd": lambda teacher, images: started(MaskedRD(teacher), images),
}


def started(model, images):
    """A model that stands at the mean of the images' features, but with something to say of its own."""
    model.start_from_mean(model.teacher.pyramids(images))
    with torch.no_grad():
        for gain in model.start.parameters():
            gain += 0.1
    return model


def leave(root, method, *, make=None):
    """A complete run of a model that was never trained."""
    make_category(root / "set")
    data = load_category(root / "set", "bolt", image_size=64)
    model = (make or MODELS[method])(Teacher(weights="random", seed=3), data.train)
    damp_borders(model, data.validation)
    run = record.start(method, parameters(root))
    maps = predict(model, data.test)
    return record.finish(run, model, data, maps=maps, scores=model.image_scores(maps), report={},
                         validation_maps=predict(model, data.validation)), data


@pytest.fixture(scope="module")
def stfpm(tmp_path_factory):
    """A run, its data, and its export, with what the command prints of it."""
    pytest.importorskip("onnxruntime")
    folder, data = leave(tmp_path_factory.mktemp("stfpm"), "stfpm")
    return folder, data, export_run(folder)


def compare(path: Path, run, images: torch.Tensor) -> float:
    """The largest difference of an exported file's maps and scores from `predict`."""
    found = export.READERS[{v: k for k, v in export.EXPORT_FILES.items()}[path.name]](path.read_bytes())(
        images.permute(0, 2, 3, 1).contiguous())
    maps = predict(run.model, images)
    wanted = maps, run.model.image_scores(maps)
    assert [x.shape for x in found] == [x.shape for x in wanted]
    return max((a - b).abs().max().item() for a, b in zip(found, wanted, strict=True))


@pytest.mark.parametrize(("method", "form"), [
    ("nearest", "onnx"), ("stfpm", "torchscript"), ("nearest", "pt2"),
    *(pytest.param(method, form, marks=SLOW)
      for method in ("destseg", "rd4ad", "masked_rd") for form in export.EXPORT_FILES),
    pytest.param("nearest", "torchscript", marks=SLOW), pytest.param("stfpm", "pt2", marks=SLOW)])
def test_an_export_says_what_predict_says_whatever_the_batch(method, form, tmp_path):
    if form == "onnx":
        pytest.importorskip("onnxruntime")
    folder, data = leave(tmp_path, method)
    exported = export_run(folder, form)
    assert exported.path == folder / export.EXPORT_FILES[form]
    assert exported.difference <= 1e-4
    assert exported.speed > 0 < exported.torch_speed
    for images in (data.test[:1], data.test, torch.cat([data.test] * 6)):
        assert compare(exported.path, load_run(folder, device="cpu"), images) <= 1e-4


def test_the_files_metadata_are_the_runs(stfpm):
    import onnxruntime

    folder, _, exported = stfpm
    entry = load_run(folder).entry
    session = onnxruntime.InferenceSession(exported.path, providers=["CPUExecutionProvider"])
    about = session.get_modelmeta().custom_metadata_map
    assert float(about["image_threshold"]) == entry["thresholds"]["image"]
    assert float(about["pixel_threshold"]) == entry["thresholds"]["pixel"]
    assert (about["image_size"], about["method"], about["category"]) == ("64", "stfpm", "bolt")
    image, = session.get_inputs()
    assert (image.name, image.type, image.shape[1:]) == ("images", "tensor(uint8)", [64, 64, 3])
    assert [(x.name, x.shape[1:]) for x in session.get_outputs()] == [("maps", [256, 256]), ("scores", [])]


def test_the_files_of_pytorch_have_the_same_metadata(tmp_path):
    folder, _ = leave(tmp_path, "stfpm")
    about = export.describe_model(load_run(folder))
    content = export_run(folder, "torchscript").path
    extra = {export.METADATA: ""}
    torch.jit.load(content, _extra_files=extra)
    assert json.loads(extra[export.METADATA]) == about


# In an environment of its own ----------------------------------------------------------------------------------------


def bare_environment(folder: Path, *packages: str) -> Path:
    """A Python that sees these installed packages and what they need, and no other."""
    venv.create(folder)
    site, waiting, seen = next(folder.rglob("site-packages")), list(packages), set()
    while waiting:
        name = waiting.pop()
        if name in seen:
            continue
        seen.add(name)
        distribution = importlib.metadata.distribution(name)
        for entry in {Path(file).parts[0] for file in distribution.files} - {"..", "__pycache__"}:
            if not (site / entry).exists():
                (site / entry).symlink_to(distribution.locate_file(entry))
        needed = [Requirement(text) for text in distribution.requires or ()]
        waiting += [each.name for each in needed if not each.marker or each.marker.evaluate({"extra": ""})]
    return folder / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")


def test_the_readmes_program_needs_neither_this_package_nor_pytorch(stfpm, tmp_path):
    folder, data, exported = stfpm
    code = next(block for block in re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.S)
                if "import onnxruntime" in block)
    (tmp_path / "consumer.py").write_text(code)
    (tmp_path / "model.onnx").write_bytes(exported.path.read_bytes())
    python = bare_environment(tmp_path / "venv", "numpy", "pillow", "onnxruntime")

    def call(*arguments: str) -> subprocess.CompletedProcess:
        return subprocess.run([python, "-I", *arguments], cwd=tmp_path, capture_output=True, text=True)

    for absent in ("torch", "adlib"):
        assert "ModuleNotFoundError" in call("-c", f"import {absent}").stderr
    printed = call("consumer.py", *map(str, data.paths))
    assert printed.returncode == 0, printed.stderr
    run = load_run(folder, device="cpu")
    wanted = run.score(data.paths).scores.numpy()
    lines = [line.split() for line in printed.stdout.splitlines()]
    assert [line[0] for line in lines] == [str(path) for path in data.paths]
    np.testing.assert_allclose([float(line[1]) for line in lines], wanted, atol=1e-4)
    assert [line[2] == "flagged" for line in lines] == (wanted >= run.entry["thresholds"]["image"]).tolist()


# What cannot be ------------------------------------------------------------------------------------------------------


def test_a_model_that_draws_masks_is_refused_before_anything_is_written(tmp_path):
    folder, _ = leave(tmp_path, "masked_rd", make=lambda teacher, images: MaskedRD(teacher, test_mask="mean"))
    before = sorted(folder.iterdir())
    with pytest.raises(ValueError, match="test_mask='none'"):
        export_run(folder)
    assert sorted(folder.iterdir()) == before


def test_tiles_and_frames_are_refused(tmp_path):
    folder, _ = leave(tmp_path, "stfpm")
    entry = json.loads((folder / "run.json").read_text())
    (folder / "run.json").write_text(json.dumps(entry | {"frame": [64, 96, True]}))
    with pytest.raises(ValueError, match="export a run with tiles=1"):
        export_run(folder)


def test_an_export_that_differs_is_not_written(tmp_path, monkeypatch):
    folder, _ = leave(tmp_path, "stfpm")
    read = export.READERS["torchscript"]
    monkeypatch.setitem(export.READERS, "torchscript",
                        lambda content: lambda images: [x + 2e-4 for x in read(content)(images)])
    with pytest.raises(RuntimeError, match="differs from predict by 0.0002"):
        export_run(folder, "torchscript")
    assert not (folder / "model.torchscript").exists()


def test_missing_packages_and_folders_are_named(tmp_path, monkeypatch, capsys):
    folder, _ = leave(tmp_path, "stfpm")
    monkeypatch.setattr(export, "find_spec", lambda name: None if name == "onnxscript" else True)
    assert __main__.main(["export", str(folder)]) == 1
    assert "onnxscript not installed" in capsys.readouterr().err
    monkeypatch.undo()
    with pytest.raises(ValueError, match="onnx, torchscript, pt2"):
        export_run(folder, "tflite")
    with pytest.raises(FileNotFoundError, match="no file in a folder"):
        export_run(folder, "pt2", path=tmp_path / "none/model.pt2")
    assert __main__.main(["export", str(tmp_path / "gone")]) == 1
    assert "there is no run" in capsys.readouterr().err


def test_the_command(tmp_path, capsys):
    folder, _ = leave(tmp_path, "stfpm")
    target = tmp_path / "here.torchscript"
    assert __main__.main(["export", str(folder), "--format", "torchscript", "--out", str(target)]) == 0
    assert re.search(rf"exported to {re.escape(str(target))} .*images/s, predict \d+", capsys.readouterr().out, re.S)


def test_a_new_run_leaves_no_export_of_the_old_one(tmp_path):
    folder, _ = leave(tmp_path / "a", "stfpm")
    (folder / "model.onnx").write_bytes(b"old")
    record.clear(folder, *record.DERIVED)
    assert not (folder / "model.onnx").exists()


def test_pillow_resizes_as_training_does(stfpm):
    """The program of the README opens a photograph itself."""
    folder, data, _ = stfpm
    photo = Image.open(data.paths[0]).convert("RGB").resize((64, 64), Image.Resampling.BILINEAR)
    assert np.array_equal(np.asarray(photo), data.test[0].permute(1, 2, 0).numpy())

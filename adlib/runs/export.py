"""A run's model as one file that needs neither this package nor, as ONNX, PyTorch: `python -m adlib export`."""

import io
import json
import time
import warnings
from collections.abc import Callable
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Generator, Tensor, nn

from adlib import find_output
from adlib.runs.folder import explained
from adlib.runs.record import LoadedRun, load_run
from adlib.settings import MAP_SIZE, portable, write
from adlib.training import predict

EXPORT_FILES = {"onnx": "model.onnx", "torchscript": "model.torchscript", "pt2": "model.pt2"}
NEEDED = {"onnx": ("onnx", "onnxscript", "onnxruntime"), "torchscript": (), "pt2": ()}
PARITY = 1e-4           # what a map or a score may differ from `predict` at most
# The batch of the example. No other size in a network is one of its multiples, which an export would take for equal.
EXAMPLES = 37
SPEED_BATCH = 8
METADATA = "adlib.json"     # the file within .torchscript and .pt2; an ONNX file has each value under its name


class Exported(NamedTuple):
    """What an export left, and how it compares with `predict`."""

    path: Path
    difference: float       # the largest, of maps and scores
    speed: float            # images/s
    torch_speed: float      # of `predict`, images/s on the same threads


def describe_export(exported: Exported) -> str:
    """What was written, how to call it, and what it costs and gains."""
    return (f"exported to {exported.path} ({exported.path.stat().st_size / 2**20:.1f} MB)\n"
            f"images: uint8 (batch, size, size, 3) -> maps (batch, {MAP_SIZE}, {MAP_SIZE}), scores (batch,); size and "
            f"thresholds are in its metadata\n"
            f"at most {exported.difference:.1g} from predict; {exported.speed:.0f} images/s, predict "
            f"{exported.torch_speed:.0f}, in batches of {SPEED_BATCH} on {torch.get_num_threads()} threads")


class Detector(nn.Module):
    """What is exported: uint8 images as Pillow gives them to maps and scores, nothing to prepare, nothing to add."""

    def __init__(self, run: LoadedRun):
        super().__init__()
        self.model, self.image_level = run.model, run.image_level

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """(B, 256, 256) maps and (B,) scores of (B, S, S, 3) uint8 images."""
        maps = self.model(images.permute(0, 3, 1, 2).float().div(255))
        return maps, self.model.image_scores(maps, image_level=self.image_level)


def export_run(folder: str | Path, form: str = "onnx", *, path: str | Path | None = None) -> Exported:
    """Export the model of a run, compare it with `predict`, and write it if both agree.

    The file takes `images`, (B, S, S, 3) uint8 RGB with any B, and gives `maps`, (B, 256, 256), and `scores`, (B,),
    both float32. S, the thresholds and what they promise are its metadata, see `describe_model`.

    Parameters
    ----------
    folder : path
        Of the run.
    form : {"onnx", "torchscript", "pt2"}
        For onnxruntime, for `torch.jit.load` (C++ too), or for `torch.export.load`.
    path : path, optional
        Of the file; by default in the run's folder. Relative ones are below the repository.

    Raises
    ------
    FileNotFoundError, RuntimeError, ValueError
        There is no such run, it cannot be exported, its export differs from it, or ONNX's packages are not installed.
        Nothing is written then.
    """
    if form not in EXPORT_FILES:
        raise ValueError(f"format {form!r} is unknown; choose one of {', '.join(EXPORT_FILES)}")
    if absent := [name for name in NEEDED[form] if not find_spec(name)]:
        raise RuntimeError(f"{', '.join(absent)} not installed, which format {form} needs: "
                           f"pip install {' '.join(NEEDED[form])}")
    run = load_run(folder, device="cpu")
    target = run.folder / EXPORT_FILES[form] if path is None else find_output(path)
    if target.is_dir() or not target.parent.is_dir():
        raise FileNotFoundError(f"{target} is no file in a folder that exists; give another")
    check_exportable(run)
    detector, size = Detector(run).eval(), run.entry["image_size"]
    content = WRITERS[form](detector, torch.zeros(EXAMPLES, size, size, 3, dtype=torch.uint8), describe_model(run))
    generator = Generator().manual_seed(0)
    images = torch.randint(0, 256, (SPEED_BATCH, size, size, 3), dtype=torch.uint8, generator=generator)
    exported, own = READERS[form](content), partial(predict, run.model, images.permute(0, 3, 1, 2))
    difference = max(largest_difference(exported, run, batch) for batch in (images, images[:1]))
    if not difference <= PARITY:        # nan too
        raise RuntimeError(f"the exported model differs from predict by {difference:.2g}, more than {PARITY}; nothing "
                           f"was written. Try another format: {', '.join(EXPORT_FILES)}")
    with explained(target.parent):
        write(target, lambda file: file.write(content))
    return Exported(target, difference, measure_speed(partial(exported, images)), measure_speed(own))


def check_exportable(run: LoadedRun) -> None:
    """Raise where a model does more than one file of fixed arithmetic can hold."""
    if getattr(run.model, "test_masks", 0):
        raise ValueError(f"{run.folder} draws its test_masks anew for each size of a feature map (test_mask='mean'); "
                         f"export a run with test_mask='none'")
    if run.frame:
        raise ValueError(f"{run.folder} sees its images in tiles or in a frame that keeps their aspect, one file holds "
                         f"a single look at a square; export a run with tiles=1 and aspect='stretch'")


def describe_model(run: LoadedRun) -> dict[str, str]:
    """What a consumer needs besides the arithmetic, as texts: ONNX metadata holds nothing else."""
    entry, thresholds = run.entry, run.entry["thresholds"]
    value_range, size = entry.get("value_range"), entry["image_size"]
    return {
        "input": f"images: uint8 (batch, {size}, {size}, 3), RGB, resized bilinearly with antialias, as Pillow does",
        "output": f"maps: float32 (batch, {MAP_SIZE}, {MAP_SIZE}); scores: float32 (batch,); higher is more anomalous",
        "image_size": str(size),
        "image_threshold": repr(float(thresholds["image"])),        # flagged: scores from here on
        "pixel_threshold": repr(float(thresholds["pixel"])),        # a region: values of a map from here on
        "promise": thresholds.get("promise") or "",
        # Which values are black and white in files of more than 8 bits; empty where training saw none.
        "value_range": json.dumps(value_range) if value_range else "",
        "method": entry["method"], "dataset": entry["dataset"], "category": entry["category"],
        "run": portable(run.folder),
    }


def largest_difference(exported: Callable, run: LoadedRun, images: Tensor) -> float:
    """Between an exported model and `predict`, over maps and scores of (B, S, S, 3) uint8 images."""
    maps = predict(run.model, images.permute(0, 3, 1, 2))
    scores = run.model.image_scores(maps, image_level=run.image_level)
    return max((found - wanted).abs().max().item()
               for found, wanted in zip(exported(images), (maps, scores), strict=True))


def measure_speed(act: Callable[[], object], *, seconds: float = 1.0) -> float:
    """Images per second at the best of some runs of a batch, for about that long: other processes only add time."""
    best, until = float("inf"), time.perf_counter() + seconds
    while (began := time.perf_counter()) < until:
        act()
        best = min(best, time.perf_counter() - began)
    return SPEED_BATCH / best


# Formats: a writer makes the bytes of a file, a reader a function of images that gives maps and scores


def write_onnx(detector: Detector, example: Tensor, about: dict[str, str]) -> bytes:
    program = torch.onnx.export(capture(detector, example), input_names=["images"], output_names=["maps", "scores"],
                                dynamo=True, verbose=False)
    model = program.model_proto         # made anew whenever it is asked for
    for name, value in about.items():
        model.metadata_props.add(key=name, value=value)
    return model.SerializeToString()


def read_onnx(content: bytes) -> Callable:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    return lambda images: [torch.from_numpy(x) for x in session.run(None, {"images": images.numpy()})]


def write_torchscript(detector: Detector, example: Tensor, about: dict[str, str]) -> bytes:
    file = io.BytesIO()
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")         # of tracing as such: sizes are fixed but for the batch
        torch.jit.save(torch.jit.trace(detector, example[:2], check_trace=False), file,
                       _extra_files={METADATA: json.dumps(about)})
    return file.getvalue()


def read_torchscript(content: bytes) -> Callable:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.no_grad()(torch.jit.load(io.BytesIO(content)))


def write_pt2(detector: Detector, example: Tensor, about: dict[str, str]) -> bytes:
    file = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")         # of tensors that are parts of others, which are saved as such
        torch.export.save(capture(detector, example), file, extra_files={METADATA: json.dumps(about)})
    return file.getvalue()


def read_pt2(content: bytes) -> Callable:
    return torch.no_grad()(torch.export.load(io.BytesIO(content)).module())


def capture(detector: Detector, example: Tensor) -> torch.export.ExportedProgram:
    with torch.no_grad():
        return torch.export.export(detector, (example,), dynamic_shapes=({0: torch.export.Dim.DYNAMIC},), strict=False)


WRITERS = {"onnx": write_onnx, "torchscript": write_torchscript, "pt2": write_pt2}
READERS = {"onnx": read_onnx, "torchscript": read_torchscript, "pt2": read_pt2}

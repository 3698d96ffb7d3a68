"""A run recorded: started, finished, its files written atomically, and loaded again."""

import io
import math
import os
import platform
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import filelock
import numpy as np
import torch
from torch import Tensor, nn

from adlib import find_input, networks
from adlib.data.category import Category
from adlib.data.images import Range, as_image, list_images, read_sizes
from adlib.data.tiles import Frame, Tiles
from adlib.metrics import METRIC_NAMES, METRICS, evaluate, image_threshold, pixel_threshold
from adlib.networks.teacher import Teacher
from adlib.runs.folder import (
    IMAGE_LEVEL,
    LOCK_ENV,
    PENDING,
    PROTOCOL,
    SECONDS,
    clear,
    explained,
    lock_folder,
    new_entry,
    read_entry,
    read_runs,
    run_folder,
)
from adlib.runs.promise import describe_promise
from adlib.settings import MAP_SIZE, cpu_has_bf16, digest, peak_memory_mb, portable, write, write_json
from adlib.training import History, pick_device, predict

__all__ = ["finish", "load_run", "read_runs", "start"]

# What stands in a run's folder now and then, and is not another run's: a film, exports.
DERIVED = ("snapshots.npz", "model.onnx", "model.torchscript", "model.pt2")


@dataclass
class OpenRun:
    """A run under way; its folder stays locked until `finish`."""

    method: str
    parameters: dict
    folder: Path
    lock: filelock.BaseFileLock | None                  # None where the runner holds it
    seconds: dict[str, float] = field(default_factory=lambda: dict.fromkeys(SECONDS, 0.0))
    protocol: dict[str, str] = field(default_factory=dict)      # what a method adds to the entry's

    @property
    def checkpoint(self) -> Path:
        """For `fit`: a run that was killed goes on from here."""
        return self.folder / "checkpoint.pt"

    @contextmanager
    def timed(self, what: str) -> Iterator[None]:
        """Add the seconds inside to those of "train", "predict" or "evaluate"."""
        began = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[what] += time.perf_counter() - began


def start(method: str, parameters: dict) -> OpenRun:
    """Make and lock the folder of a run, and print where it is.

    The parameters are all of the lesson's, as given: what `runs.check_parameters` returns.

    Raises
    ------
    RuntimeError
        Another run is at work in the folder.
    OSError
        The folder cannot be written.
    """
    folder = run_folder(method, parameters)
    lock = None if os.environ.get(LOCK_ENV) == str(folder) else lock_folder(folder)
    print(f"run folder: {folder}" + (" (its run will be replaced)" if (folder / "run.json").exists() else ""),
          flush=True)
    return OpenRun(method, parameters, folder, lock)


def finish(run: OpenRun, model: nn.Module, data: Category, *, maps: Tensor, scores: Tensor, validation_maps: Tensor,
           report: dict[str, float], history: History | None = None, filmed: Sequence[int] | None = None) -> Path:
    """Write the files of a run, its entry last, free its folder, and print where it is.

    Parameters
    ----------
    run : OpenRun
    model : nn.Module
        With `teacher`, `arguments` (of its constructor) and `image_scores`.
    data : Category
    maps, validation_maps : (N, 256, 256) float tensor
        Of the test and the validation images.
    scores : (N,) float tensor
        Of the test images: `model.image_scores(maps, image_level=data.image_level)`.
    report : dict
        Of `metrics.evaluate`, with these scores; what is missing or NaN becomes null. Empty where
        nothing is known of the test images.
    history : History, optional
        Of a method that trains.
    filmed : sequence of int, optional
        Which test images the history's snapshots show.

    Raises
    ------
    OSError
        The files cannot be written: no entry is left then, but the checkpoint is.
    """
    validation_scores = model.image_scores(validation_maps, image_level=data.image_level)
    thresholds = {"image": image_threshold(validation_scores), "pixel": pixel_threshold(validation_maps)}
    entry = new_entry(run.method, run.parameters) | describe_run(run, model, data, history) | {
        "protocol": PROTOCOL | (IMAGE_LEVEL if data.image_level else {}) | run.protocol,
        "n_anomalous": int(data.labels.sum()) if report else None,
        "metrics": {name: finite(report.get(name, math.nan)) for name in METRICS},
        "frame": data.frame and list(data.frame), "fine": report_fine(model, data) if report else None,
        "thresholds": thresholds | {"promise": describe_promise(len(validation_scores))}}
    with explained(run.folder):
        clear(run.folder, *DERIVED)
        if run.lock:        # no runner is there to store another notebook
            (run.folder / "notebook.ipynb").unlink(missing_ok=True)
        write_model(run.folder / "model.pt", model)
        write_arrays(run.folder / "maps.npz", maps=maps, scores=scores, labels=data.labels, defects=data.defects,
                     paths=[portable(path) for path in data.paths], validation_maps=validation_maps,
                     validation_scores=validation_scores, thresholds=list(thresholds.values()))
        if history and history.snapshots:
            steps, film = zip(*sorted(history.snapshots.items()), strict=True)
            images = list(range(len(film[0]))) if filmed is None else filmed
            write_arrays(run.folder / "snapshots.npz", steps=steps, maps=torch.stack(film), images=images)
        write_json(run.folder / ("run.json" if run.lock else PENDING), entry)
        run.checkpoint.unlink(missing_ok=True)
    if run.lock:
        run.lock.release(force=True)
    print(f"run written to {run.folder}", flush=True)
    return run.folder


def report_fine(model: nn.Module, data: Category) -> dict | None:
    """The six numbers at the tiles' full resolution, with its height and width; None where 256 px hold as much."""
    if data.fine_masks is None:
        return None
    maps = predict(model, data.seen("test"), size=data.map_size)
    scores = model.image_scores(maps, image_level=data.image_level)
    numbers = evaluate(maps, data.fine_masks, scores, data.labels)
    print("at {} x {} px, not comparable with those at 256 x 256: ".format(*data.map_size)
          + ", ".join(f"{METRIC_NAMES[name]} {value:.3f}" for name, value in numbers.items()), flush=True)
    return {"map_size": list(data.map_size), "metrics": {name: finite(value) for name, value in numbers.items()}}


def describe_run(run: OpenRun, model: nn.Module, data: Category, history: History | None) -> dict:
    """The fields that only an ended run knows, besides the numbers."""
    device, size, seconds, precision = model.teacher.mean.device, data.train.shape[-1], dict(run.seconds), "float32"
    if history:
        precision = "+".join(dict.fromkeys(history.precision.values()))     # of the stages, where they differ
        seconds["train"] = max(seconds["train"], history.seconds)       # that counts a killed run's first part too
    return {
        "image_size": size, "value_range": data.value_range, "device": str(device), "precision": precision,
        "threads": torch.get_num_threads(), "cpu": describe_cpu(), "n_train": len(data.train),
        "n_validation": len(data.validation), "n_test": len(data.test),
        "seconds": {name: round(value, 3) for name, value in seconds.items()},
        "peak_memory_mb": finite(round(peak_memory_mb(device), 1)),
    }


def describe_cpu() -> str:
    """Vector instructions, and whose: "AVX512, bf16, AMD EPYC". Others round in another order."""
    bf16 = "bf16" if cpu_has_bf16() else "no bf16"
    name = str(torch.cpu.get_capabilities().get("cpu_name") or platform.processor() or platform.machine())
    return f"{torch.backends.cpu.get_cpu_capability()}, {bf16}, {name}"


def finite(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


# Models and arrays of a run


def write_arrays(path: Path, **arrays) -> None:
    write(path, lambda file: np.savez(file, **arrays))


def write_model(path: Path, model: nn.Module) -> None:
    """How a model was made, and its state without the frozen teacher's: what `read_model` builds it from again."""
    state = {name: x.cpu() for name, x in model.state_dict().items() if not name.startswith("teacher.")}
    file = io.BytesIO()     # on a full disk PyTorch itself says "unexpected pos 704 vs 598"
    torch.save({"network": type(model).__name__, "arguments": model.arguments, "state": state,
                "teacher": model.teacher.arguments, "digest": fingerprint(model.teacher)}, file)
    write(path, lambda target: target.write(file.getbuffer()))


def read_model(path: Path, device: str = "auto") -> nn.Module:
    """A model in eval mode, on the device.

    Raises
    ------
    ValueError
        The teacher's weights are no longer those that the model was trained with.
    """
    saved = torch.load(path, map_location="cpu", weights_only=True)
    teacher = Teacher(**saved["teacher"])
    if fingerprint(teacher) != saved["digest"]:
        raise ValueError(f"{path} was made with other weights of {teacher.backbone} than those found now "
                         f"(weights={saved['teacher']['weights']!r}); put the former back, or run it with --again")
    model = getattr(networks, saved["network"])(teacher, **saved["arguments"])
    model.load_state_dict({f"teacher.{k}": v for k, v in teacher.state_dict().items()} | saved["state"])
    return model.to(pick_device(device), memory_format=torch.channels_last).eval()


def fingerprint(teacher: nn.Module) -> str:
    """Twelve digits for its weights, without what is folded of them: each processor rounds that in its own way."""
    named = [*teacher.named_parameters(), *teacher.named_buffers()]
    return digest(x for name, x in named if not name.startswith("folded."))


def size_of(image) -> tuple[int, int]:
    """Width and height of a file or an array."""
    return read_sizes([find_input(image)])[0] if isinstance(image, str | Path) else np.shape(image)[1::-1]


def decode_batches(images: Sequence, size: int | Frame, value_range: Range | None, *,
                   batch: int = 32) -> Iterator[list[Tensor | Exception]]:
    """(3, size, size) uint8 of each image, or the error that says why it is none, a batch at a time.

    While a batch is in use the next is decoded, and no more: any number of files can be gone through.
    """
    def attempt(number: int) -> Tensor | Exception:
        try:
            return as_image(images[number], size, number, value_range)
        except (OSError, ValueError) as error:
            return error

    batches = [range(i, min(i + batch, len(images))) for i in range(0, len(images), batch)]
    with ThreadPoolExecutor(os.cpu_count()) as pool:        # Pillow releases the interpreter
        ahead = iter(())
        for following in [*batches, ()]:
            decoded, ahead = ahead, pool.map(attempt, following)
            yield list(decoded)


class Scores(NamedTuple):
    scores: Tensor      # (N,)
    maps: Tensor        # (N, 256, 256)


def stored(name: str, file: str = "maps.npz") -> cached_property:
    """An array of a run's folder."""
    def read(run: "LoadedRun") -> np.ndarray:
        with np.load(run.folder / file) as arrays:
            return arrays[name]
    return cached_property(read)


@dataclass
class LoadedRun:
    """A complete run: its entry, and what its folder holds, read when it is first asked for."""

    folder: Path
    entry: dict                                         # as in run.json
    device: str = "auto"

    maps = stored("maps")                               # (N, 256, 256) float32, of the test images
    scores = stored("scores")                           # (N,) float32
    labels = stored("labels")                           # (N,) bool
    defects = stored("defects")                         # (N,) str, the folders' names
    paths = stored("paths")                             # (N,) str, for `data.find_input`; names only if `image_level`
    validation_maps = stored("validation_maps")         # (V, 256, 256) float32
    validation_scores = stored("validation_scores")     # (V,) float32
    snapshot_steps = stored("steps", "snapshots.npz")   # (K,) int
    snapshot_maps = stored("maps", "snapshots.npz")     # (K, M, 256, 256) float32
    snapshot_images = stored("images", "snapshots.npz")     # (M,) int, which test images

    @cached_property
    def model(self) -> nn.Module:
        return read_model(self.folder / "model.pt", self.device)

    @property
    def image_level(self) -> bool:
        """Whether scores are means of maps, as in `Category`."""
        return self.entry["protocol"].get("image_score") == IMAGE_LEVEL["image_score"]

    @property
    def frame(self) -> Frame | None:
        """What images are brought to before they are cut, as in `Category`."""
        return Frame(*self.entry["frame"]) if self.entry.get("frame") else None

    def score(self, images) -> Scores:
        """Scores and maps of other images: files, or uint8 arrays of any size; `data.as_images` says which."""
        images = list_images(images)
        scores, maps = torch.empty(len(images)), torch.empty(len(images), MAP_SIZE, MAP_SIZE)
        for i, found in enumerate(self.score_each(images)):
            if isinstance(found, Exception):
                raise found
            scores[i], maps[i] = found
        return Scores(scores, maps)

    def score_each(self, images: Sequence) -> Iterator[tuple[Tensor, Tensor] | Exception]:
        """Score () and map (256, 256) of each image in turn, or the error that says why it has none.

        However many there are, two batches are in memory at a time; see `score` for what an image may be.
        """
        begun = 0
        for batch in decode_batches(images, self.frame or self.entry["image_size"], self.entry.get("value_range")):
            readable, found = [i for i, image in enumerate(batch) if isinstance(image, Tensor)], iter(())
            if readable:
                seen = torch.stack([batch[i] for i in readable])
                if self.frame:
                    boxes = torch.tensor([self.frame.inside(*size_of(images[begun + i])) for i in readable])
                    seen = Tiles(seen, self.entry["image_size"], boxes)
                maps = predict(self.model, seen)
                found = zip(self.model.image_scores(maps, image_level=self.image_level), maps, strict=True)
            begun += len(batch)
            for image in batch:
                yield image if isinstance(image, Exception) else next(found)


def load_run(path: str | Path, *, device: str = "auto") -> LoadedRun:
    """A complete run, from its folder.

    Raises
    ------
    FileNotFoundError
        There is no such run, or it never ended, or a file of it is missing.
    RuntimeError
        The run failed; says with what.
    ValueError
        Its run.json cannot be read.
    """
    folder = Path(os.path.abspath(find_input(path)))
    entry = read_entry(folder)
    missing = [name for name in ("model.pt", "maps.npz") if not (folder / name).is_file()]
    if missing:
        raise FileNotFoundError(f"{folder} lacks {' and '.join(missing)}; copy the whole folder, or run it --again")
    return LoadedRun(folder, entry, device)

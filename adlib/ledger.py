"""The ledger: which folder a run has, what stands in it, whole or not at all, and reading many of them."""

import csv
import hashlib
import io
import json
import math
import os
import time
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from platform import python_version

import filelock
import torch
from torch import Tensor, nn

from adlib import find_input, find_output
from adlib.data import Category
from adlib.files import explained, load_run, portable, read_entry, write, write_arrays, write_json, write_model
from adlib.metrics import image_threshold, pixel_threshold
from adlib.recipes import IMAGE_SIZE
from adlib.training import History, peak_memory_mb, pick_precision

__all__ = ["finish", "load_run", "read_runs", "run_folder", "start", "write_extract"]
METRICS = ("image_auroc", "pixel_auroc", "pixel_ap", "pro", "iap", "iap90")
PROTOCOL = {"pro": "MVTec AD: mean overlap over false-positive rates up to 0.3", "connectivity": 8,
            "mask_rule": "DeSTSeg: bilinear with antialias to 256 px, shares of 0.5 and more"}
PLACES = ("data_root", "out_dir", "device")     # parameters that say where, not what: no part of a run's identity
SECONDS = ("train", "predict", "evaluate")
PACKAGES = ("adlib", "torch", "torchvision", "timm", "numpy", "scipy", "pillow")
HELD = "ADLIB_RUN_FOLDER"       # environment: the folder whose lock the runner holds for its kernel
PENDING = "run.json.pending"    # the entry there, until the runner has stored the notebook too


@dataclass
class Run:
    """A run under way; its folder stays locked until `finish`."""

    method: str
    parameters: dict
    folder: Path
    lock: filelock.BaseFileLock | None                  # None where the runner holds it
    seconds: dict[str, float] = field(default_factory=lambda: dict.fromkeys(SECONDS, 0.0))

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


def start(method: str, parameters: dict) -> Run:
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
    lock = None if os.environ.get(HELD) == str(folder) else lock_folder(folder)
    print(f"run folder: {folder}" + (" (its run will be replaced)" if (folder / "run.json").exists() else ""),
          flush=True)
    return Run(method, parameters, folder, lock)


def run_folder(method: str, parameters: dict) -> Path:
    """Where a run lies: the same folder for the same method and parameters, on whatever device."""
    category = parameters["category"]
    if category in ("", "..") or Path(category).name != category:
        raise ValueError(f"category={category!r} must be the name of one folder in data_root")
    what = {"method": method} | {name: value for name, value in parameters.items() if name not in PLACES}
    digits = hashlib.sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()[:6]
    name = f"{parameters['budget']}-s{parameters['seed']}-{digits}"
    return Path(os.path.abspath(find_output(parameters["out_dir"]))) / method / dataset_of(parameters) / category / name


def dataset_of(parameters: dict) -> str:
    return os.path.basename(os.path.abspath(find_input(parameters["data_root"]))) or "root"


def lock_folder(folder: Path) -> filelock.BaseFileLock:
    """Make a run's folder and take its lock, `<folder>.lock`, at once or never; a process may take its own again."""
    lock = filelock.FileLock(f"{folder}.lock", thread_local=False, is_singleton=True)
    with explained(folder):
        folder.mkdir(parents=True, exist_ok=True)
        with suppress(filelock.Timeout):
            lock.acquire(blocking=False)
    if not lock.is_locked:
        raise RuntimeError(f"another run is at work in {folder}; wait for its end, restart the notebook kernel that "
                           f"began it, or choose another seed or --out-dir")
    return lock


def finish(run: Run, model: nn.Module, data: Category, *, maps: Tensor, validation_maps: Tensor,
           report: dict[str, float], history: History | None = None, filmed: Sequence[int] | None = None) -> Path:
    """Write the files of a run, its entry last, free its folder, and print where it is.

    Parameters
    ----------
    run : Run
    model : nn.Module
        With `teacher`, `arguments` (of its constructor) and `image_scores`.
    data : Category
    maps, validation_maps : (N, 256, 256) float tensor
        Of the test and the validation images.
    report : dict
        Of `metrics.evaluate`; what is missing or NaN becomes null. Empty where nothing is known of the test images.
    history : History, optional
        Of a method that trains.
    filmed : sequence of int, optional
        Which test images the history's snapshots show.

    Raises
    ------
    OSError
        The files cannot be written: no entry is left then, but the checkpoint is.
    """
    scores, validation_scores = model.image_scores(maps), model.image_scores(validation_maps)
    thresholds = {"image": image_threshold(validation_scores), "pixel": pixel_threshold(validation_maps)}
    entry = new_entry(run.method, run.parameters) | describe_run(run, model, data, history) | {
        "n_anomalous": int(data.labels.sum()) if report else None,
        "metrics": {name: finite(report.get(name, math.nan)) for name in METRICS}, "thresholds": thresholds}
    with explained(run.folder):
        clear(run.folder, "snapshots.npz", *["notebook.ipynb"][: run.lock is not None])
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


def fail(folder: Path, method: str, parameters: dict, error: dict) -> None:
    """Leave failed.json, with `error` (name, message, traceback, cell), in place of an entry."""
    clear(folder)
    write_json(folder / "failed.json", new_entry(method, parameters) | {"error": error})


def clear(folder: Path, *others: str) -> None:
    """Remove an earlier end of the run, before anything else of it is replaced."""
    for name in ("run.json", "failed.json", PENDING, *others):
        (folder / name).unlink(missing_ok=True)


def new_entry(method: str, parameters: dict) -> dict:
    """An entry with all its fields, as far as they are known before the run."""
    size = parameters["image_size"]
    return {
        "method": method, "dataset": dataset_of(parameters),
        **{name: parameters[name] for name in ("category", "seed", "budget", "backbone")},
        "image_size": IMAGE_SIZE[parameters["budget"]] if size == "auto" else size,
        **{name: parameters[name] for name in ("device", "precision")}, "threads": torch.get_num_threads(),
        **dict.fromkeys(("n_train", "n_validation", "n_test", "n_anomalous")), "metrics": dict.fromkeys(METRICS),
        "protocol": PROTOCOL | {"texture_source": parameters.get("texture_source")},
        "thresholds": dict.fromkeys(("image", "pixel")), "seconds": dict.fromkeys(SECONDS), "peak_memory_mb": None,
        "parameters": parameters, "versions": {"python": python_version()} | {name: version(name) for name in PACKAGES},
    }


def describe_run(run: Run, model: nn.Module, data: Category, history: History | None) -> dict:
    """The fields that only an ended run knows, besides the numbers."""
    device, size, seconds, precision = model.teacher.mean.device, data.train.shape[-1], dict(run.seconds), "float32"
    if history:
        trained = [module for module in model.children() if module is not model.teacher]
        precision = pick_precision(run.parameters["precision"], trained, device, size)
        seconds["train"] = max(seconds["train"], history.seconds)       # that counts a killed run's first part too
    return {
        "image_size": size, "device": str(device), "precision": precision, "n_train": len(data.train),
        "n_validation": len(data.validation), "n_test": len(data.test),
        "seconds": {name: round(value, 3) for name, value in seconds.items()},
        "peak_memory_mb": finite(round(peak_memory_mb(device), 1)),
    }


def finite(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


def read_runs(out_dir: str | Path = "runs") -> list[dict]:
    """Entries of all whole runs below a folder, each with its `folder`; what is torn is left out with a warning."""
    entries = []
    for path in sorted(find_output(out_dir).glob("*/*/*/*/run.json")):
        try:
            entries.append(read_entry(path.parent) | {"folder": str(path.parent)})
        except (OSError, ValueError, RuntimeError) as error:
            warnings.warn(f"left out: {error}", stacklevel=2)
    return entries


def write_extract(entries: list[dict], path: str | Path) -> Path:
    """The entries as a small table (CSV), sorted: the same runs give the same bytes, whatever their order."""
    identity = ("method", "dataset", "category", "seed", "budget", "backbone", "image_size")
    header = [*identity, *METRICS, *(f"{name}_seconds" for name in SECONDS), "peak_memory_mb", "run"]
    rows = [[*(e[name] for name in identity), *(rounded(e["metrics"][name], 6) for name in METRICS),
             *(rounded(e["seconds"][name], 1) for name in SECONDS), rounded(e["peak_memory_mb"], 0),
             Path(e["folder"]).name] for e in entries]
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([header, *sorted(rows)])
    path = find_output(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    return write(path, lambda file: file.write(text.getvalue().encode()))


def rounded(value: float | None, digits: int) -> str:
    return "" if value is None else f"{value:.{digits}f}"

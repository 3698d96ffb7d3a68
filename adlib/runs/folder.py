"""A run's folder: where it lies, its lock, its entry, and files that are written whole or not at all.

The runner imports this, so it imports no torch, which takes seconds.
"""

import hashlib
import json
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.metadata import version
from pathlib import Path
from platform import python_version

import filelock

from adlib import find_input, find_output
from adlib.settings import IMAGE_SIZE, METRICS, write_json

PROTOCOL = {"pro": "MVTec AD: mean overlap over false-positive rates up to 0.3", "connectivity": 8,
            "mask_rule": "DeSTSeg: bilinear with antialias to 256 px, shares of 0.5 and more", "texture_source": None,
            "image_score": "the model's"}
IMAGE_LEVEL = {"image_score": "mean of the map"}      # instead, where the whole image is the anomaly
NON_IDENTITY = ("data_root", "out_dir", "device")     # parameters that say where, not what: no part of a run's identity
SECONDS = ("train", "predict", "evaluate")
PACKAGES = ("adlib", "torch", "torchvision", "timm", "numpy", "scipy", "pillow")
LOCK_ENV = "ADLIB_RUN_FOLDER"       # environment: the folder whose lock the runner holds for its kernel
PENDING = "run.json.pending"    # the entry there, until the runner has stored the notebook too


def run_folder(method: str, parameters: dict) -> Path:
    """Where a run lies: the same folder for the same method and parameters, on whatever device."""
    category = parameters["category"]
    if category in ("", "..") or Path(category).name != category:
        raise ValueError(f"category={category!r} must be the name of one folder in data_root")
    what = {"method": method} | {name: value for name, value in parameters.items() if name not in NON_IDENTITY}
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


def record_failure(folder: Path, method: str, parameters: dict, error: dict) -> None:
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
        "value_range": None, **{name: parameters[name] for name in ("device", "precision")},
        **dict.fromkeys(("threads", "n_train", "n_validation", "n_test", "n_anomalous")),
        "metrics": dict.fromkeys(METRICS),
        "protocol": PROTOCOL,
        "thresholds": dict.fromkeys(("image", "pixel")), "seconds": dict.fromkeys(SECONDS), "peak_memory_mb": None,
        "parameters": parameters, "versions": {"python": python_version()} | {name: version(name) for name in PACKAGES},
    }


@contextmanager
def explained(folder: Path) -> Iterator[None]:
    """Say which folder could not be written, and what to do."""
    try:
        yield
    except OSError as error:
        raise OSError(f"the run cannot be written to {folder} ({error}); free space or choose another "
                      f"--out-dir (out_dir in a notebook)") from error


def read_entry(folder: Path) -> dict:
    """The entry of a whole run."""
    if not folder.is_dir():
        raise FileNotFoundError(f"there is no run {folder}; `python -m adlib run` makes runs and prints their folders")
    if (folder / "failed.json").is_file():
        error = json.loads((folder / "failed.json").read_text(encoding="utf-8"))["error"]
        raise RuntimeError(f"the run {folder} failed in cell {error['cell']} with {error['name']}: {error['message']}; "
                           f"mend that and give its command again")
    if not (folder / "run.json").is_file():
        raise FileNotFoundError(f"{folder} holds no whole run (no run.json): it is still at work or was interrupted; "
                                f"its command goes on with it")
    try:
        entry = json.loads((folder / "run.json").read_text(encoding="utf-8"))
        missing = [name for name in ("method", "metrics", "image_size", "parameters") if name not in entry]
    except ValueError as error:
        raise ValueError(f"{folder / 'run.json'} is torn ({error}); give its command with --again") from error
    if missing:
        raise ValueError(f"{folder / 'run.json'} is no entry, it lacks {', '.join(missing)}")
    return entry


def read_runs(out_dir: str | Path = "runs") -> list[dict]:
    """Entries of all whole runs below a folder, each with its `folder`; what is torn is left out with a warning."""
    entries = []
    for path in sorted(find_output(out_dir).glob("*/*/*/*/run.json")):
        try:
            entries.append(read_entry(path.parent) | {"folder": str(path.parent)})
        except (OSError, ValueError, RuntimeError) as error:
            warnings.warn(f"left out: {error}", stacklevel=2)
    return entries

"""A run's folder: where it lies, what makes it this run, its lock and its entry.

The runner imports this, so it imports no torch, which takes seconds.
"""

import hashlib
import json
import os
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path
from platform import python_version

import filelock

from adlib import find_input, find_output
from adlib.runs.parameters import LESSON_OF, lesson_parameters, resolve
from adlib.settings import CLASSES, METRICS, is_clutter, write_json

RECIPES = 4      # raise it when what "auto", a budget or a default means changes: old runs are then no answer any more
SCHEMA = 2      # of run.json; 1 had no threads, cpu, digests
PROTOCOL = {"pro": "MVTec AD: mean overlap over false-positive rates up to 0.3", "connectivity": 8,
            "mask_rule": "DeSTSeg: bilinear with antialias to 256 px, shares of 0.5 and more", "texture_source": None,
            "image_score": "the model's"}
IMAGE_LEVEL = {"image_score": "mean of the map"}      # instead, where the whole image is the anomaly
# Parameters that say where, not what: no part of a run's identity. The files there are, by their digests.
NON_IDENTITY = ("data_root", "out_dir", "device", "good", "new")
# Files that a run reads in its category, below its folder; LOCO's masks lie one folder deeper.
DATA_FILES = ("train/good/*", "test/*/*", "ground_truth/*/*", "ground_truth/*/*/*")
REQUIRED = ("method", "dataset", "category", "seed", "budget", "backbone", "image_size", "metrics", "parameters")
SECONDS = ("train", "predict", "evaluate")
PACKAGES = ("adlib", "torch", "torchvision", "timm", "numpy", "scipy", "pillow")
LOCK_ENV = "ADLIB_RUN_FOLDER"       # environment: the folder whose lock the runner holds for its kernel
PENDING = "run.json.pending"    # the entry there, until the runner has stored the notebook too


def run_folder(method: str, parameters: dict, *, digest: Callable[..., str] | None = None) -> Path:
    """Where a run lies: one folder for the same method, parameters, images and weights, on whatever device.

    Only parameters that differ from the lesson's defaults count, so a new one moves no run.

    Parameters
    ----------
    method : str
    parameters : dict
        All of the lesson's, as given: what `complete_parameters` returns.
    digest : callable, optional
        `digest_files`, or a cached one where many runs of the same data are looked up at once.
    """
    category = parameters["category"]
    if category in ("", "..") or Path(category).name != category:
        raise ValueError(f"category={category!r} must be the name of one folder in data_root")
    digests = {what: found for what, found in identify_files(parameters, digest or digest_files).items() if found}
    named = {"weights": "weights", "textures": "texture_source"}    # a file counts by what it holds, not by its path
    apart = {*NON_IDENTITY, *(named[what] for what in named if what in digests)}
    defaults = lesson_parameters(LESSON_OF[method])
    changed = {name: value for name, value in parameters.items()
               if name not in apart and (name not in defaults or value != defaults[name])}
    what = {"method": method, "recipe": RECIPES, "digests": digests} | changed
    digits = hashlib.sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()[:6]
    name = f"{parameters['budget']}-s{parameters['seed']}-{digits}"
    return Path(os.path.abspath(find_output(parameters["out_dir"]))) / method / dataset_of(parameters) / category / name


def identify_files(parameters: dict, digest: Callable[..., str]) -> dict[str, str | None]:
    """Digests of what a run reads: images and masks of its category, weights, textures; None where no file is named."""
    found = dict.fromkeys(("data", "weights", "textures"))
    root, own = parameters["data_root"], tuple(parameters[name] for name in ("good", "new") if parameters.get(name))
    if root in CLASSES:
        found["data"] = root
    else:
        found["data"] = digest(own, ("*",)) if own else digest((find_input(root) / parameters["category"],), DATA_FILES)
    weights, textures = parameters.get("weights", "auto"), parameters.get("texture_source", "auto")
    if weights not in ("auto", "random") and (file := find_input(weights)).is_file():
        found["weights"] = digest_content(file, file.stat().st_mtime_ns)
    if textures != "auto" and (folder := find_input(textures)).is_dir():
        found["textures"] = digest((folder,), ("**/*",))
    return found


def digest_files(folders: tuple[str | Path, ...], patterns: tuple[str, ...]) -> str:
    """Of the names and sizes of the files in each folder, wherever it lies; clutter does not count."""
    found = [sorted((path.relative_to(folder).as_posix(), path.stat().st_size)
                    for pattern in patterns for path in Path(folder).glob(pattern)
                    if path.is_file() and not any(map(is_clutter, path.relative_to(folder).parts)))
             for folder in folders]
    return hashlib.sha256(json.dumps(found).encode()).hexdigest()[:12]


@lru_cache      # weights are hundreds of megabytes, and a sweep asks a thousand times
def digest_content(path: Path, changed: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:12]


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
    return {
        "schema": SCHEMA, "method": method, "dataset": dataset_of(parameters),
        **{name: parameters[name] for name in ("category", "seed", "budget", "backbone")},
        "image_size": resolve(parameters)["image_size"],
        "value_range": None, **{name: parameters[name] for name in ("device", "precision")},
        **dict.fromkeys(("threads", "cpu", "n_train", "n_validation", "n_test", "n_anomalous")),
        "metrics": dict.fromkeys(METRICS),
        "protocol": PROTOCOL, "frame": None, "fine": None,
        "thresholds": dict.fromkeys(("image", "pixel", "promise")),
        "seconds": dict.fromkeys(SECONDS), "peak_memory_mb": None,
        "parameters": parameters, "digests": identify_files(parameters, digest_files),
        "versions": {"python": python_version()} | {name: version(name) for name in PACKAGES},
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
    """The entry of a complete run, of any schema."""
    if not folder.is_dir():
        raise FileNotFoundError(f"there is no run {folder}; `python -m adlib run` makes runs and prints their folders")
    if (folder / "failed.json").is_file():
        raise RuntimeError(f"the run {folder} failed in {read_failure(folder)}; fix that and give its command again")
    if not (folder / "run.json").is_file():
        raise FileNotFoundError(f"{folder} holds no complete run (no run.json): it is still at work or was "
                                f"interrupted; its command goes on with it")
    try:
        entry = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{folder / 'run.json'} is torn ({error}); give its command with --again") from error
    missing = [name for name in REQUIRED if name not in entry] if isinstance(entry, dict) else REQUIRED
    if missing:
        raise ValueError(f"{folder / 'run.json'} is no entry, it lacks {', '.join(missing)}")
    return {"schema": 1, "threads": None, "cpu": None, "digests": {}} | entry


def read_failure(folder: Path) -> str:
    """What failed.json says, on one line: "cell fit with ValueError: no mask"."""
    try:
        error = json.loads((folder / "failed.json").read_text(encoding="utf-8"))["error"]
        where = f"cell {error['cell']}" if error.get("cell") else "no cell"
        return f"{where} with {error['name']}: {error['message']}".splitlines()[0]
    except (ValueError, KeyError, TypeError, AttributeError):
        return "a way that its failed.json, which is torn, does not tell"


def read_runs(out_dir: str | Path = "runs") -> list[dict]:
    """Entries of all complete runs below a folder, each with its `folder`; what is torn is left out with a warning."""
    entries = []
    for path in sorted(find_output(out_dir).glob("*/*/*/*/run.json")):
        try:
            entries.append(read_entry(path.parent) | {"folder": str(path.parent)})
        except (OSError, ValueError, RuntimeError) as error:
            warnings.warn(f"left out: {error}", stacklevel=2)
    return entries

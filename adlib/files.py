"""The files of a run: each written whole or not at all, and read again when it is asked for."""

import io
import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from adlib import ROOT, find_input
from adlib.data import as_images
from adlib.networks.nearest import NearestPatch
from adlib.networks.stfpm import STFPM
from adlib.networks.teacher import Teacher
from adlib.training import digest, pick_device, predict

NETWORKS = {network.__name__: network for network in (NearestPatch, STFPM)}


@contextmanager
def explained(folder: Path) -> Iterator[None]:
    """Say which folder could not be written, and what to do."""
    try:
        yield
    except OSError as error:
        raise OSError(f"the run cannot be written to {folder} ({error}); free space or choose another "
                      f"--out-dir (out_dir in a notebook)") from error


def write(path: Path, fill: Callable[[BinaryIO], object]) -> Path:
    """Write a file whole or not at all: under another name first."""
    part = path.with_name(path.name + ".part")
    try:
        with part.open("wb") as file:
            fill(file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    return path


def write_json(path: Path, entry: dict) -> None:
    write(path, lambda file: file.write(json.dumps(entry, indent=1, allow_nan=False).encode()))


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
    model = NETWORKS[saved["network"]](teacher, **saved["arguments"])
    model.load_state_dict({f"teacher.{k}": v for k, v in teacher.state_dict().items()} | saved["state"])
    return model.to(pick_device(device), memory_format=torch.channels_last).eval()


def fingerprint(module: nn.Module) -> str:
    return digest([*module.parameters(), *module.buffers()])


def portable(path: str | Path) -> str:
    """A path as `data.find_input` finds it again from any working directory."""
    path = Path(os.path.abspath(path))
    return path.relative_to(ROOT).as_posix() if path.is_relative_to(ROOT) else str(path)


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
    """A whole run: its entry, and what its folder holds, read when it is first asked for."""

    folder: Path
    entry: dict                                         # as in run.json
    device: str = "auto"

    maps = stored("maps")                               # (N, 256, 256) float32, of the test images
    scores = stored("scores")                           # (N,) float32
    labels = stored("labels")                           # (N,) bool
    defects = stored("defects")                         # (N,) str, the folders' names
    paths = stored("paths")                             # (N,) str, for `data.find_input`
    validation_maps = stored("validation_maps")         # (V, 256, 256) float32
    validation_scores = stored("validation_scores")     # (V,) float32
    snapshot_steps = stored("steps", "snapshots.npz")   # (K,) int
    snapshot_maps = stored("maps", "snapshots.npz")     # (K, M, 256, 256) float32
    snapshot_images = stored("images", "snapshots.npz")     # (M,) int, which test images

    @cached_property
    def model(self) -> nn.Module:
        return read_model(self.folder / "model.pt", self.device)

    def score(self, images) -> Scores:
        """Scores and maps of other images: files, or uint8 arrays of any size; `data.as_images` says which."""
        maps = predict(self.model, as_images(images, self.entry["image_size"]))
        return Scores(self.model.image_scores(maps), maps)


def load_run(path: str | Path, *, device: str = "auto") -> LoadedRun:
    """A whole run, from its folder.

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


def read_entry(folder: Path) -> dict:
    """The entry of a whole run."""
    if not folder.is_dir():
        raise FileNotFoundError(f"there is no run {folder}; `python -m adlib run` makes runs and prints their folders")
    if (folder / "failed.json").is_file():
        error = json.loads((folder / "failed.json").read_text())["error"]
        raise RuntimeError(f"the run {folder} failed in cell {error['cell']} with {error['name']}: {error['message']}; "
                           f"mend that and give its command again")
    if not (folder / "run.json").is_file():
        raise FileNotFoundError(f"{folder} holds no whole run (no run.json): it is still at work or was interrupted; "
                                f"its command goes on with it")
    try:
        entry = json.loads((folder / "run.json").read_text())
        missing = [name for name in ("method", "metrics", "image_size", "parameters") if name not in entry]
    except ValueError as error:
        raise ValueError(f"{folder / 'run.json'} is torn ({error}); give its command with --again") from error
    if missing:
        raise ValueError(f"{folder / 'run.json'} is no entry, it lacks {', '.join(missing)}")
    return entry

"""Files and folders judged with a run, once or as they appear: `python -m adlib score`."""

import csv
import glob
import io
import json
import os
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image

from adlib import find_input
from adlib.data.images import Range, read_picture
from adlib.data.listing import SUFFIXES, files_below, some
from adlib.data.tiles import Tiles
from adlib.explorer.own_images import paint_heat
from adlib.explorer.quantize import normal_scale
from adlib.metrics import label_regions
from adlib.runs.record import LoadedRun, load_run
from adlib.settings import CLUTTER, is_clutter, printable, write

POLL = 1.0          # s between two looks into a watched folder; a new file must stay as it is from one to the next
PATIENCE = 30.0     # s that a watched file may stay unreadable and unchanged: its writer may only have paused
REPORT_EVERY = 5.0      # s
OVERLAY_SIZE = 1024     # px, the longer side of an overlay at most


class Verdict(NamedTuple):
    """What a run says of an image; where it could not be scored there is an error instead."""

    image: str
    score: float | None = None
    flagged: bool | None = None             # the score reaches the run's image threshold
    largest_region: int | None = None       # touching pixels of the 256 x 256 map at the run's pixel threshold
    error: str | None = None                # also if there is a score, but no overlay


def score_paths(folder: str | Path, given: list[str], *, tiles: str = "auto", table: str | Path = "scores.csv",
                heatmaps: str | Path | None = None, as_json: bool = False, watch: bool = False) -> list[Verdict]:
    """Score images with a run: a line for each on stdout, progress on stderr, all of them in a CSV.

    Parameters
    ----------
    folder : path
        Of the run.
    given : list of str
        Files, folders (with all below them) and globs.
    tiles : str
        "auto", or the number along the longer side that the run was trained on: its threshold holds for no other.
    table : path
        Of the CSV, relative to the working directory.
    heatmaps : path, optional
        Folder to write overlays to; images in it are not scored.
    as_json : bool
        Print JSON.
    watch : bool
        Go on with files that are new or have changed, until Ctrl-C.

    Raises
    ------
    FileNotFoundError, RuntimeError, ValueError
        There is no such run, no image, no folder to watch, or none to write to.
    """
    table, run = absolute(table), load_run(folder)
    note(say_tiles(run, tiles))
    if table.is_dir() or not table.parent.is_dir():
        raise FileNotFoundError(f"--csv {table} is no file in a folder that exists; give another")
    if watch and not any(find_input(name).is_dir() for name in given):
        raise ValueError(f"--watch needs a folder to look into, not {some(given)}")
    overlays = Overlays.of(run, absolute(heatmaps), given) if heatmaps else None
    paths = find_images(given, overlays)
    if not (watch or paths):
        raise FileNotFoundError(f"{some(given)} holds no images that can be read ({', '.join(sorted(SUFFIXES))})")
    run.model       # noqa: B018  loaded now, not while images are timed
    thresholds = run.entry["thresholds"]
    promise = f" ({thresholds['promise']})" if "promise" in thresholds else ""      # older runs had a quantile
    note(f"flagged: scores from {thresholds['image']:.4g} on{promise}; "
         f"regions: values from {thresholds['pixel']:.4g} on")
    verdicts, arrivals, seconds = [], Arrivals(), 0.0
    try:
        while True:
            due, began, known = arrivals.pick_due(paths), time.perf_counter(), len(verdicts)
            for path, verdict in judge_paths(run, due, overlays):
                if not (watch and verdict.score is None and arrivals.may_be_unfinished(path)):
                    arrivals.done[path] = arrivals.seen[path][0]
                    verdicts.append(verdict)
                    print_verdict(verdict, as_json)
            seconds += time.perf_counter() - began
            if len(verdicts) > known:
                write_table(table, verdicts)
            if not watch:
                break
            arrivals.settle = POLL      # at the first look, what can be decoded is complete
            time.sleep(POLL)
            paths = find_images(given, overlays)
    except KeyboardInterrupt:
        if not watch:
            raise
        write_table(table, verdicts)
        if waiting := [path.name for path in find_images(given, overlays) if path not in arrivals.done]:
            note(f"not scored, still being written or just begun: {some(waiting)}")
    flagged, failed = sum(bool(v.flagged) for v in verdicts), sum(v.error is not None for v in verdicts)
    note(f"{len(verdicts)} images, {len(verdicts) / max(seconds, 1e-9):.0f} images/s: {flagged} flagged, "
         f"{failed} with errors; {table}")
    return verdicts


def say_tiles(run: LoadedRun, wanted: str) -> str:
    """How the run sees images; what is wanted must be that."""
    side, frame = run.entry["image_size"], run.frame
    rows, columns = Tiles(torch.empty(1, 3, *frame[:2]), side).grid if frame else (1, 1)
    if wanted not in ("auto", str(max(rows, columns))):
        raise ValueError(f"--tiles {wanted}: {run.folder} was trained on {rows} x {columns} tiles, its threshold "
                         f"holds for those; leave it out, or train anew with --tiles {wanted}")
    words = f"{rows} x {columns} tiles of {side} px" if rows * columns > 1 else f"whole images at {side} px"
    return f"tiles: {words}, {'the aspect kept' if frame and frame.keep else 'stretched'}, as the run was trained"


def judge_paths(run: LoadedRun, paths: list[Path], overlays: "Overlays | None") -> Iterator[tuple[Path, Verdict]]:
    """Each path with its verdict, as soon as it is there; tells how far it is."""
    began = reported = time.perf_counter()
    thresholds = run.entry["thresholds"]
    for i, (path, found) in enumerate(zip(paths, run.score_each(paths), strict=True)):
        now = time.perf_counter()
        if i and now - reported > REPORT_EVERY:
            rate, reported = i / (now - began), now
            note(f"{i}/{len(paths)} images, {rate:.0f} images/s, about {(len(paths) - i) / rate:.0f} s left")
        if isinstance(found, Exception):
            yield path, Verdict(str(path), error=str(found))
            continue
        score, heat, error = float(found[0]), found[1].numpy(), None
        regions = label_regions((heat >= np.float64(thresholds["pixel"]))[None])
        largest = int(np.bincount(regions.ravel())[1:].max(initial=0))
        if overlays:
            try:
                overlays.write(path, heat)
            except (OSError, ValueError) as problem:
                error = f"no overlay: {problem}"
        yield path, Verdict(str(path), score, score >= thresholds["image"], largest, error)


def exit_code(verdicts: list[Verdict]) -> int:
    """1 after an error, else 3 if something was flagged, else 0."""
    return 1 if any(v.error is not None for v in verdicts) else 3 if any(v.flagged for v in verdicts) else 0


def print_verdict(verdict: Verdict, as_json: bool) -> None:
    if verdict.error is not None:
        note(f"error: {printable(verdict.image)}: {verdict.error}")
    if as_json:
        print(json.dumps(verdict._asdict()), flush=True)
    elif verdict.score is not None:
        print(f"{verdict.score:>10.4g}  {'flagged' if verdict.flagged else 'passed '}  {verdict.largest_region:>6} px  "
              f"{printable(verdict.image)}", flush=True)


def note(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def write_table(path: Path, verdicts: list[Verdict]) -> None:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([Verdict._fields, *verdicts])
    write(path, lambda file: file.write(text.getvalue().encode(errors="backslashreplace")))


# Files ---------------------------------------------------------------------------------------------------------------


@dataclass
class Arrivals:
    """Which files are due: new or changed, and unchanged again for `settle` seconds."""

    settle: float = 0.0
    seen: dict[Path, tuple] = field(default_factory=dict)       # the state of each, and since when it is so
    done: dict[Path, tuple] = field(default_factory=dict)       # the state that was scored

    def pick_due(self, paths: list[Path]) -> list[Path]:
        now, due = time.monotonic(), []
        for path in paths:
            state = state_of(path)
            if path not in self.seen or self.seen[path][0] != state:
                self.seen[path] = state, now
            if self.done.get(path) != state and now - self.seen[path][1] >= self.settle:
                due.append(path)
        return due

    def may_be_unfinished(self, path: Path) -> bool:
        """Whether a file that cannot be read is there, and has not been waited for long enough."""
        return path.exists() and time.monotonic() - self.seen[path][1] < PATIENCE


def state_of(path: Path) -> tuple[int, int]:
    """Size and time of the last change: writing to a file changes them."""
    try:
        found = path.stat()
        return found.st_size, found.st_mtime_ns
    except OSError:
        return -1, -1


def find_images(given: list[str], overlays: "Overlays | None" = None) -> list[Path]:
    """The images that files, folders and globs stand for, each once.

    A file that is named is taken whatever its ending, and if it does not exist; others must look like images.
    """
    found = {}
    for name in given:
        for match in matches(name):
            named = match == find_input(name) and not match.is_dir()
            for path in files_below(match) if match.is_dir() else [match]:
                if named or (path.suffix.lower() in SUFFIXES and not is_clutter(path.name)):
                    found.setdefault(absolute(path), path)
    return [path for place, path in found.items() if not (overlays and place.is_relative_to(overlays.folder))]


def matches(name: str) -> list[Path]:
    """A file or folder of that name, else what it matches as a glob, else the name itself."""
    path = find_input(name)
    found = [] if path.exists() else sorted(glob.glob(os.path.expanduser(name), recursive=True))
    found = [Path(match) for match in found if CLUTTER.isdisjoint(match.casefold().split(os.sep))]
    return found or [path]


def absolute(path: str | Path) -> Path:
    return Path(os.path.abspath(os.path.expanduser(path)))


# Overlays ------------------------------------------------------------------------------------------------------------


@dataclass
class Overlays:
    """Photographs under their heatmaps, all on the scale that a run's normal images set."""

    folder: Path
    common: Path                # files in it keep their place in `folder`, so that no two share a name
    scale: dict[str, float]
    value_range: Range | None

    @classmethod
    def of(cls, run: LoadedRun, folder: Path, given: list[str]) -> "Overlays":
        found = [absolute(match) for name in given for match in matches(name)]
        common = Path(os.path.commonpath([path if path.is_dir() else path.parent for path in found]))
        if common.is_relative_to(folder):
            raise ValueError(f"--heatmaps {folder} holds the images themselves; give a folder of its own")
        scale = normal_scale(run.validation_maps, np.zeros(len(run.validation_maps), bool))
        return cls(folder, common, scale, run.entry.get("value_range"))

    def write(self, path: Path, heat: np.ndarray) -> None:
        place, photo = absolute(path), read_picture(path, self.value_range)
        photo.thumbnail((OVERLAY_SIZE, OVERLAY_SIZE))
        overlay = Image.blend(photo, paint_heat(heat, self.scale, photo.size), 0.6)
        inside = place.relative_to(self.common if place.is_relative_to(self.common) else place.anchor)
        target = self.folder / inside.with_name(inside.name + ".png")
        target.parent.mkdir(parents=True, exist_ok=True)
        write(target, lambda file: overlay.save(file, "PNG"))

"""Lesson 10: what image size and tiles buy, and for how many seconds, over the demo's defects of all sizes.

    python -m adlib.lessons.resolution notebooks/results/resolution.csv --device cuda --minutes 8

By default the training-free baseline and STFPM, at each image size and number of tiles, without papermill.
Rows are written after each of them; what the file already holds is not computed again, and when the minutes are over,
it ends.
"""

import argparse
import time
from collections.abc import Callable, Iterator
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from adlib import demo
from adlib.data import load_category
from adlib.data.category import Category
from adlib.metrics import auroc, average_precision
from adlib.networks.teacher import Teacher
from adlib.runs.detector import make_detector
from adlib.runs.parameters import resolve
from adlib.settings import peak_memory_mb
from adlib.training import damp_borders, pick_device, predict

SIZES, TILES, THIRDS = (128, 192, 256), (1, 2, 3), ("smallest third", "middle third", "largest third")
KEY = ["method", "category", "seed", "image_size", "tiles"]


def pick_subsets(data: Category) -> dict[str, np.ndarray]:
    """Which anomalous test images are in each subset, (N,) bool: all, thirds by the mask's size, defect types."""
    labels, defects = data.labels.numpy(), np.array(data.defects)
    subsets = {"all": labels}
    if data.masks is not None:
        pixels = data.masks.sum(dim=(1, 2)).numpy()
        ends = np.quantile(pixels[labels], [1 / 3, 2 / 3])
        subsets |= {name: labels & (np.searchsorted(ends, pixels) == k) for k, name in enumerate(THIRDS)}
    return subsets | {name: defects == name for name in sorted(set(defects[labels]))}


def judge_subsets(data: Category, maps: torch.Tensor, scores: torch.Tensor) -> list[dict]:
    """Image AUROC and pixel AP of each subset of the anomalous images, with all normal ones."""
    rows = []
    for name, chosen in pick_subsets(data).items():
        kept = chosen | ~data.labels.numpy()
        rows.append({"subset": name, "images": int(chosen.sum()), "image_auroc": auroc(scores[kept], data.labels[kept]),
                     "pixel_ap": np.nan if data.masks is None else average_precision(maps[kept], data.masks[kept])})
    return rows


def compare_scores(first: torch.Tensor, second: torch.Tensor, labels: torch.Tensor) -> tuple[float, float]:
    """How far the AUROC of `second` lies above that of `first`, (N,) each, and its standard error over other images.

    Paired: both judge the same images, of which some are hard for both (DeLong et al., Biometrics 1988). NaN with fewer
    than two images of a kind.
    """
    won = []        # of each: which anomalous image lies above which normal one, ties counting 1/2
    for scores in (first, second):
        apart = scores[labels][:, None] - scores[~labels]
        won.append((apart > 0).double() + 0.5 * (apart == 0))
    gained = won[1] - won[0]                # (anomalous, normal)
    variance = gained.mean(dim=1).var() / gained.shape[0] + gained.mean(dim=0).var() / gained.shape[1]
    return gained.mean().item(), variance.sqrt().item()


def measure_setting(data: Category, **options) -> list[dict]:
    """Make a detector of a category, whole or tiled, and judge it: a row for each subset. Options of `make_maps`."""
    maps, scores, cost = make_maps(data, **options)
    return [row | cost for row in judge_subsets(data, maps, scores)]


def make_maps(data: Category, *, method: str, seed: int, budget: str = "demo", device: str = "auto",
              steps: int | None = None) -> tuple[torch.Tensor, torch.Tensor, dict]:
    """Maps and scores of the test images by a method that is made of a category as `run` does it; and what that costs.

    Seconds are the processor's, of all threads, where that does the work: a busy machine does not lengthen them.
    """
    at = pick_device(device)
    clock = time.process_time if at.type == "cpu" else time.perf_counter
    teacher, began = Teacher().to(at), clock()
    model, _ = make_detector(method, teacher, data, budget=budget, seed=seed, steps=steps or None, device=device,
                             log=lambda line: None)
    train_seconds = clock() - began
    if resolve({"budget": budget, "category": data.name, "borders": "auto"})["borders"] == "damp":
        damp_borders(model, data.seen("validation"))
    began = clock()
    maps = predict(model, data.seen("test"))
    cost = {"train_seconds": train_seconds, "ms_per_image": 1000 * (clock() - began) / len(maps), "device": at.type,
            "peak_memory_mb": peak_memory_mb(at)}
    return maps, model.image_scores(maps), cost


def write_resolution(target: Path, grid: list[dict], *, data_root: str, minutes: float = np.inf,
                     aspect: str = "stretch", measure: Callable[..., list[dict]] | None = None, **options) -> None:
    """Add the rows of a grid of `KEY`s (and steps) that a file lacks to it, as far as the minutes go."""
    measure = measure or measure_setting
    rows = pd.read_csv(target) if target.is_file() else pd.DataFrame(columns=KEY)
    until = time.perf_counter() + 60 * minutes
    for where in not_measured(rows, grid):
        if time.perf_counter() > until:
            print("time is over; the same command goes on")
            return
        if torch.cuda.is_available():
            torch.cuda.reset_peak_memory_stats()
        data = load_category(data_root, where["category"], image_size=where["image_size"], tiles=where["tiles"],
                             aspect=aspect)
        asked = {name: where[name] for name in ("method", "seed", "steps") if name in where}
        found = [where | row for row in measure(data, **asked, **options)]
        rows = pd.concat([rows, pd.DataFrame(found)]) if len(rows) else pd.DataFrame(found)
        rows.to_csv(target, index=False, float_format="%.4f", lineterminator="\n")
        numbers = {name: round(found[0][name], 3) for name in ("image_auroc", "pixel_ap", "train_seconds")}
        print(where | numbers, flush=True)


def not_measured(rows: pd.DataFrame, grid: list[dict]) -> Iterator[dict]:
    there = set(rows.reindex(columns=list(grid[0])).itertuples(index=False, name=None))
    return (where for where in grid if tuple(where.values()) not in there)


def read_grid(description: str | None, **defaults: tuple) -> tuple[argparse.Namespace, list[dict]]:
    """The command line of a measurement, and its grid of `KEY`s; other defaults by the options' names."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("target", type=Path)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--minutes", type=float, default=np.inf)
    parser.add_argument("--data-root", default="data/demo")
    parser.add_argument("--budget", default="demo")
    parser.add_argument("--steps", type=int, default=0, help="0: the budget's")
    parser.add_argument("--aspect", default="stretch", choices=("stretch", "keep"))
    for name, default in [("methods", ("nearest", "stfpm")), ("categories", ("circuit",)), ("seeds", (0, 1, 2)),
                          ("sizes", SIZES), ("tiles", TILES)]:
        parser.add_argument(f"--{name}", default=",".join(map(str, defaults.get(name, default))))
    given = parser.parse_args()
    words = (given.methods.split(","), given.categories.split(","))
    numbers = ([int(x) for x in text.split(",")] for text in (given.seeds, given.sizes, given.tiles))
    return given, [dict(zip(KEY, values, strict=True)) for values in product(*words, *numbers)]


if __name__ == "__main__":
    given, grid = read_grid(__doc__)
    write_resolution(given.target, grid, data_root=str(demo.ensure(given.data_root)), minutes=given.minutes,
                     aspect=given.aspect, budget=given.budget, device=given.device, steps=given.steps)

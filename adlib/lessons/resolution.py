"""Lesson 10: what image size and tiles buy, and for how many seconds, over the demo's defects of all sizes.

    python -m adlib.lessons.resolution notebooks/results/resolution.csv --device cuda --minutes 8

The training-free baseline and STFPM at each image size and number of tiles, a seed after the other, without papermill.
Rows are written after each of them; what the file already holds is not computed again, and when the minutes are over,
it ends.
"""

import argparse
import time
from collections.abc import Iterator
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from adlib import demo, recipes
from adlib.data import load_category
from adlib.data.category import Category
from adlib.metrics import auroc, average_precision
from adlib.networks.nearest import NearestPatch
from adlib.networks.stfpm import STFPM
from adlib.networks.teacher import Teacher
from adlib.runs.parameters import resolve
from adlib.settings import peak_memory_mb
from adlib.training import damp_borders, fit, pick_device, predict

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


def measure_setting(data: Category, *, method: str, seed: int, budget: str = "demo", device: str = "auto",
                    steps: int | None = None) -> list[dict]:
    """Make "nearest" or "stfpm" of a category, whole or tiled, as `run` does, and judge it: a row for each subset.

    Seconds are the processor's, of all threads, where that does the work: a busy machine does not lengthen them.
    """
    at = pick_device(device)
    clock = time.process_time if at.type == "cpu" else time.perf_counter
    teacher, began = Teacher().to(at), clock()
    if method == "nearest":
        model = NearestPatch(teacher, seed=seed).fit(data.seen("train"))
    else:
        model = STFPM(teacher, seed=seed)
        fit(model, data, recipes.stfpm(model, budget, steps=steps), seed=seed, device=device, log=lambda line: None)
    train_seconds = clock() - began
    if resolve({"budget": budget, "category": data.name, "borders": "auto"})["borders"] == "damp":
        damp_borders(model, data.seen("validation"))
    began = clock()
    maps = predict(model, data.seen("test"))
    cost = {"train_seconds": train_seconds, "ms_per_image": 1000 * (clock() - began) / len(maps), "device": at.type,
            "peak_memory_mb": peak_memory_mb(at)}
    return [row | cost for row in judge_subsets(data, maps, model.image_scores(maps))]


def write_resolution(target: Path, grid: list[dict], *, data_root: str, minutes: float = np.inf, **options) -> None:
    """Add the rows of a grid of `KEY`s that a file lacks to it, as far as the minutes go."""
    rows = pd.read_csv(target) if target.is_file() else pd.DataFrame(columns=KEY)
    until = time.perf_counter() + 60 * minutes
    for where in not_measured(rows, grid):
        if time.perf_counter() > until:
            print("time is over; the same command goes on")
            return
        if torch.cuda.is_available():
            torch.cuda.reset_peak_memory_stats()
        data = load_category(data_root, where["category"], image_size=where["image_size"], tiles=where["tiles"])
        found = [where | row for row in measure_setting(data, method=where["method"], seed=where["seed"], **options)]
        rows = pd.concat([rows, pd.DataFrame(found)]) if len(rows) else pd.DataFrame(found)
        rows.to_csv(target, index=False, float_format="%.4f", lineterminator="\n")
        numbers = {name: round(found[0][name], 3) for name in ("image_auroc", "pixel_ap", "train_seconds")}
        print(where | numbers, flush=True)


def not_measured(rows: pd.DataFrame, grid: list[dict]) -> Iterator[dict]:
    there = set(rows[KEY].itertuples(index=False, name=None))
    return (where for where in grid if tuple(where[name] for name in KEY) not in there)


def measure_grid() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("target", type=Path)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--minutes", type=float, default=np.inf)
    parser.add_argument("--data-root", default="data/demo")
    parser.add_argument("--budget", default="demo")
    for name, default in [("methods", ("nearest", "stfpm")), ("categories", ("circuit",)), ("seeds", (0, 1, 2)),
                          ("sizes", SIZES), ("tiles", TILES)]:
        parser.add_argument(f"--{name}", default=",".join(map(str, default)))
    given = parser.parse_args()
    words = (given.methods.split(","), given.categories.split(","))
    numbers = ([int(x) for x in text.split(",")] for text in (given.seeds, given.sizes, given.tiles))
    grid = [dict(zip(KEY, values, strict=True)) for values in product(*words, *numbers)]
    write_resolution(given.target, grid, data_root=str(demo.ensure(given.data_root)), minutes=given.minutes,
                     budget=given.budget, device=given.device)


if __name__ == "__main__":
    measure_grid()

"""Lessons 02 to 07: the small tables that they quote, made from a ledger of finished runs.

    python -m adlib.lessons.extracts runs notebooks/results

Numbers of a lesson's own run are computed in it; these are the same numbers for all runs of the reference sweep.
"""

import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from adlib.data import load_category
from adlib.data.category import Category
from adlib.demo import load_textures
from adlib.lessons import appearance, effects, failures, feature_space
from adlib.metrics import image_threshold
from adlib.runs import load_run, read_runs
from adlib.runs.record import LoadedRun
from adlib.settings import find_input

RUN = ("method", "dataset", "category", "seed")


def write_extracts(out_dir: str | Path, target: str | Path, *, data_root: str | Path = "data/demo") -> None:
    """Write verdicts.csv, causes.csv, feature_space.csv, films.csv and effects.csv from all complete runs.

    Parameters
    ----------
    out_dir : path
        The ledger.
    target : path
        Folder of the tables; they are replaced.
    data_root : path
        Where the runs' images are.
    """
    tables = {name: [] for name in ("verdicts", "causes", "feature_space", "films", "effects")}
    for data, seen, run in load_runs(out_dir, data_root):
        about = {name: run.entry[name] for name in RUN}
        print(*about.values(), flush=True)
        verdict, causes = judge_run(run, data, *seen)
        tables["verdicts"].append(about | verdict | {"run": run.folder.name})
        tables["causes"] += [about | row for row in causes]
        if run.entry["method"] != "nearest":
            tables["feature_space"] += [about | row | {"run": run.folder.name} for row in share_rows(run, data)]
            tables["effects"] += [about | row | {"run": run.folder.name} for row in effect_rows(run, data)]
            tables["films"].append(about | film_row(run, data))
    if not tables["verdicts"]:
        raise FileNotFoundError(f"{out_dir} holds no complete run; `python -m adlib sweep` makes them")
    for name, rows in tables.items():
        pd.DataFrame(rows).to_csv(Path(target) / f"{name}.csv", index=False, float_format="%.4f", lineterminator="\n")


def load_runs(out_dir: str | Path, data_root: str | Path) -> Iterator[tuple[Category, tuple, LoadedRun]]:
    """Each run with its category, and what `judge_run` sees in its images: both are made once for all its runs."""
    entries = sorted(read_runs(out_dir), key=lambda e: (e["category"], e["image_size"], e["method"], e["seed"]))
    loaded = {}
    for entry in entries:
        key = entry["category"], entry["image_size"]
        if key not in loaded:
            data = load_category(find_input(data_root), entry["category"], image_size=entry["image_size"])
            loaded = {key: (data, (appearance.enlarge(data.test), appearance.fit_normal(data.train)))}
        yield *loaded[key], load_run(entry["folder"])


def judge_run(run: LoadedRun, data: Category, pixels: np.ndarray,
              normal: appearance.NormalStatistics) -> tuple[dict, list[dict]]:
    """How many images the run's own threshold judges wrongly, and what causes are suggested, by kind and defect."""
    labels, cell = data.labels.numpy(), 4 * 256 / run.entry["image_size"]
    threshold = image_threshold(run.validation_scores)
    margins, normal_margins = (failures.margins(scores, run.validation_scores, threshold)
                               for scores in (run.scores, run.validation_scores))
    near = failures.only_near(torch.from_numpy(run.maps), data.masks, cell=cell)
    alone = run.model.image_scores(near, image_level=run.image_level)
    found = failures.find_failures(
        pixels, data.masks, labels, failures.normalize_maps(run.maps, run.validation_maps), margins,
        failures.margins(alone, run.validation_scores, threshold), normal, cell=cell, loudest=normal_margins.max())
    count = Counter((f.kind, data.defects[f.index], f.causes[0]) for f in found)
    return ({"normal": int((~labels).sum()), "false_alarms": int((margins[~labels] >= 0).sum()),
             "anomalous": int(labels.sum()), "misses": int((margins[labels] < 0).sum())},
            [dict(zip(("kind", "defect", "cause"), key, strict=True)) | {"failures": n}
             for key, n in sorted(count.items())])


def share_rows(run: LoadedRun, data: Category, *, count: int = 100, least: float = 0.25) -> list[dict]:
    """How often student features find their own teacher feature, per level and kind of position."""
    size, positions = run.entry["image_size"], {}
    for level in run.model.teacher.levels:
        shares = feature_space.cell_shares(data.masks, data.labels, size >> (level + 1))
        drawn = feature_space.draw_positions(shares, count=count, least=least, seed=0)
        if len(drawn) >= 12:
            positions[level] = drawn
    rows = []
    for level, (t, s) in feature_space.features_at(run.model, data.test, positions).items():
        found = feature_space.neighbour_shares(t, s, positions[level], draws=10)
        rows += [{"level": level, "kind": kind, "positions": len(s) // 2}
                 | {name: share for name, (share, *_) in numbers.items()} for kind, numbers in found.items()]
    return rows


def effect_rows(run: LoadedRun, data: Category) -> list[dict]:
    """What the student sees, per level: see `effects.measure_effects`."""
    textures = load_textures("auto", run.entry["image_size"]) if run.entry["method"] == "destseg" else None
    table = effects.measure_effects({run.entry["method"]: run.model}, data, textures=textures)
    return table.reset_index("method", drop=True).reset_index().to_dict("records")


def film_row(run: LoadedRun, data: Category) -> dict:
    """The mean inside the filmed defects over that of normal images: its highest value, its last, and what moved."""
    filmed = run.snapshot_images.tolist()
    masks = None if data.masks is None else data.masks[filmed].numpy()
    inside, normal = feature_space.defect_contrast(run.snapshot_maps, masks, data.labels[filmed].numpy())
    defect, steps = inside.mean(axis=1), np.asarray(run.snapshot_steps)
    ratio = defect / np.maximum(normal, 1e-12)
    best = int(ratio.argmax())
    return {"highest_ratio": ratio[best], "at_step": int(steps[best] - steps[0]), "last_ratio": ratio[-1],
            "last_step": int(steps[-1] - steps[0]), "defect_since": defect[-1] / defect[best],
            "normal_since": normal[-1] / normal[best]}


if __name__ == "__main__":
    write_extracts(*sys.argv[1:3])

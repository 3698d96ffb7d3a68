"""What an explorer can be given: runs, or maps and what is known of their images; checked, and in one form."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike

from adlib import find_input, metrics
from adlib.data.category import load_category
from adlib.data.images import as_images
from adlib.runs.record import LoadedRun, load_run

PICTURE = 256       # px that images of a run are shown at, whatever size the network saw


@dataclass
class Method:
    """What one method made of the test images, and of normal validation images if there are any."""

    name: str
    maps: ArrayLike                                 # (N, H, W) float
    scores: ArrayLike                               # (N,) float
    validation_maps: ArrayLike | None = None        # (V, H, W) float
    validation_scores: ArrayLike | None = None      # (V,) float


def runs_of_source(source) -> dict[str, LoadedRun]:
    """The runs among what an explorer was given, by name; none where it was given maps."""
    if isinstance(source, (str, Path, LoadedRun)):
        source = [source]
    if not isinstance(source, Mapping):
        if not (isinstance(source, (list, tuple)) and source and isinstance(source[0], (str, Path, LoadedRun))):
            return {}
        runs = [_load(x) for x in source]
        return dict(zip(_distinct_names(runs), runs, strict=True))
    runs = {str(name): _load(x) for name, x in source.items() if isinstance(x, (str, Path, LoadedRun))}
    if runs and len(runs) < len(source):
        raise ValueError("runs and maps cannot be mixed; give the run's maps: load_run(folder).maps")
    return runs


def _load(run: str | Path | LoadedRun) -> LoadedRun:
    return run if isinstance(run, LoadedRun) else load_run(run)


def _distinct_names(runs: list[LoadedRun]) -> list[str]:
    """The runs' methods, with the seed, then the folder, where those are the same."""
    names = [run.entry["method"] for run in runs]
    if len(set(names)) < len(names):
        names = [f"{run.entry['method']} seed {run.entry['seed']}" for run in runs]
    return names if len(set(names)) == len(names) else [f"{run.entry['method']} {run.folder.name}" for run in runs]


def methods_of_runs(runs: dict[str, LoadedRun]) -> tuple:
    """Methods, and the images, masks, labels and names that they share."""
    first, *others = runs.values()
    for run in others:
        if run.paths.tolist() != first.paths.tolist():
            raise ValueError(f"{run.folder} was made on other test images than {first.folder}; compare methods on one "
                             f"category of one data set")
    methods = [Method(name, r.maps, r.scores, r.validation_maps, r.validation_scores) for name, r in runs.items()]
    images, masks = _read_pictures(first)
    names = []
    for path, defect in zip(first.paths.tolist(), first.defects.tolist(), strict=True):
        folder, name = path.replace(os.sep, "/").split("/")[-2:]
        names.append(f"{defect} {name}" if first.image_level else f"{folder}/{name}")
    labels = None if first.entry["n_anomalous"] is None else first.labels
    return methods, images, masks, labels, names


def _read_pictures(run: LoadedRun) -> tuple:
    """Test images and masks of a run, in the order of its maps."""
    if run.entry["n_anomalous"] is None:            # one's own photographs: nothing but files
        paths = [find_input(path) for path in run.paths.tolist()]
        return as_images(paths, PICTURE, run.entry.get("value_range")), None
    given = run.entry["parameters"]
    size = run.entry["image_size"] if run.image_level else max(PICTURE, run.entry["image_size"])
    data = load_category(given["data_root"], given["category"], image_size=size)
    if len(data.test) != len(run.maps) or data.labels.tolist() != run.labels.tolist():
        raise ValueError(f"{given['data_root']}/{given['category']} holds {len(data.test)} test images now, the run "
                         f"{run.folder} saw {len(run.maps)} or others; put them back, or run it --again")
    return data.test, data.masks


def read_methods(source, scores, validation_maps, validation_scores) -> list[Method]:
    """Methods from maps, or from a dict of them, whose scores and validation maps are then dicts too."""
    if not isinstance(source, Mapping):
        name = "anomaly score"
        return [_method_of(name, source, scores, validation_maps, validation_scores)]
    if not source:
        raise ValueError("there is nothing to explore: give a run's folder, or maps")
    for what, given in (("scores", scores), ("validation_maps", validation_maps),
                        ("validation_scores", validation_scores)):
        if given is not None and not (isinstance(given, Mapping) and set(given) <= set(source)):
            raise ValueError(f"{what} must be a dict with the names of the maps: {', '.join(map(str, source))}")
    return [_method_of(str(name), maps, (scores or {}).get(name), (validation_maps or {}).get(name),
                      (validation_scores or {}).get(name)) for name, maps in source.items()]


def _method_of(name: str, maps, scores, validation_maps, validation_scores) -> Method:
    maps = metrics.as_maps(maps)
    if not maps.size:
        raise ValueError(f"the maps are empty, of shape {maps.shape}; give at least one image")
    if validation_maps is not None:
        validation_maps = metrics.as_maps(validation_maps)
        validation_scores = validation_maps.max(axis=(1, 2)) if validation_scores is None else validation_scores
    return Method(name, maps, maps.max(axis=(1, 2)) if scores is None else scores, validation_maps, validation_scores)


def check_sources(methods: list[Method], images, masks, labels, names) -> tuple[np.ndarray | None, np.ndarray | None]:
    """Masks and labels as bool arrays; raises where counts or sizes disagree."""
    shape = methods[0].maps.shape
    for m in methods:
        if m.maps.shape != shape:
            raise ValueError(f"maps of {m.name} are {m.maps.shape}, those of {methods[0].name} are {shape}; methods "
                             f"are compared on the same images at one size")
        m.scores = metrics.as_finite(m.scores, "score")
        if m.scores.shape != shape[:1]:
            raise ValueError(f"{shape[0]} maps of {m.name} need one score each, but scores are {m.scores.shape}")
    for what, given in (("images", images), ("masks", masks), ("labels", labels), ("names", names)):
        if given is not None and len(given) != shape[0]:
            raise ValueError(f"there are {shape[0]} maps but {len(given)} {what}; give one of each per image")
    if masks is not None:
        masks = metrics.as_masks(masks, methods[0].maps)
    if labels is None:
        return masks, None if masks is None else masks.any(axis=(1, 2))
    return masks, metrics.as_bool(labels, "labels")


def title_of(runs: dict[str, LoadedRun], methods: list[Method]) -> str:
    names = " and ".join(m.name for m in methods)
    return f"{names}: {next(iter(runs.values())).entry['category']}" if runs else names

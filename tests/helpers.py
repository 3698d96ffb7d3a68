"""What tests of several rooms share, besides the fixtures of conftest."""

import torch
from conftest import make_category

from adlib import metrics, recipes
from adlib.data.category import Category, load_category
from adlib.networks.nearest import NearestPatch
from adlib.networks.stfpm import STFPM
from adlib.networks.teacher import Teacher
from adlib.runs import record
from adlib.runs.parameters import lesson_parameters
from adlib.training import fit, predict


def category_of(train, validation, test=None) -> Category:
    """A category of images that are there already, of which nothing else is known."""
    test = train[:0] if test is None else test
    return Category("made", train=train, validation=validation, test=test, masks=None,
                    labels=torch.zeros(len(test), dtype=torch.bool), defects=["good"] * len(test), paths=[])


def parameters(root, **changed) -> dict:
    return lesson_parameters("01_stfpm") | {"data_root": str(root / "set"), "category": "bolt", "budget": "smoke",
                                            "out_dir": str(root / "runs")} | changed


def leave(root, method="nearest", *, masks=True, **changed):
    """A complete run, the category that it saw, and its maps."""
    if not (root / "set").exists():
        make_category(root / "set", masks=masks)
    data = load_category(root / "set", "bolt", image_size=64)
    run = record.start(method, parameters(root, **changed))
    history = None
    with run.timed("train"):
        if method == "nearest":
            model = NearestPatch(Teacher(), seed=1, sampling_ratio=0.5).fit(data.train)
        else:
            model = STFPM(Teacher(), seed=1, fuse_at="image")
            stages = recipes.stfpm(model, budget="smoke", steps=4)
            history = fit(model, data, stages, checkpoint=run.checkpoint, snapshots=[0, 1, 4],
                          snapshot_images=data.test[[0, 5]])
    with run.timed("predict"):
        maps, validation_maps = predict(model, data.test), predict(model, data.validation)
    scores = model.image_scores(maps)
    report = metrics.evaluate(maps, data.masks, scores, data.labels)
    folder = record.finish(run, model, data, maps=maps, scores=scores, validation_maps=validation_maps,
                           report=report, history=history, filmed=[0, 5])
    return folder, data, maps

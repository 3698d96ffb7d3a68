"""Lesson 01 films the levels during its training, which must not notice."""

import json

import pytest
import torch
from conftest import make_category

from adlib import recipes
from adlib.data.category import load_category
from adlib.networks.layers import to_float
from adlib.networks.stfpm import STFPM
from adlib.networks.teacher import Teacher
from adlib.runs.parameters import NOTEBOOKS
from adlib.training import fit


@pytest.mark.parametrize("precision", ["float32", "bf16"])
def test_filming_the_levels_changes_nothing(tmp_path, precision):
    make_category(tmp_path)
    data = load_category(tmp_path, "bolt", image_size=64)
    cells = json.loads((NOTEBOOKS / "01_stfpm.ipynb").read_text())["cells"]
    source, = ("".join(cell["source"]) for cell in cells if cell["id"] == "film-levels")
    weights, moments, snapshot_images = [], [0, 1, 3], data.test[:2]
    for filmed in (False, True):
        model = STFPM(Teacher(), seed=0)
        stages = recipes.stfpm(model, budget="smoke", steps=4)
        lesson = {"model": model, "stages": stages, "moments": moments, "snapshot_images": snapshot_images,
                  "at": torch.device("cpu"), "torch": torch, "to_float": to_float}
        if filmed:
            exec(source, lesson)
        history = fit(model, data, stages, precision=precision, device="cpu", snapshots=moments,
                      snapshot_images=snapshot_images)
        weights.append(model.student.state_dict())
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])
    assert list(lesson["by_level"]) == moments
    for step, levels in lesson["by_level"].items():     # their product is what `fit` has filmed at that step
        torch.testing.assert_close(model.fuse(levels), history.snapshots[step])

"""What a trained DeSTSeg student sees and repairs, as lesson 02 says: minutes of training, hence slow.

With `ADLIB_LEDGER`, a folder with demo runs of DeSTSeg on circuit, seeds 0 and 1, those are measured instead.
"""

import os

import pytest
import torch

from adlib import demo, recipes
from adlib.data import load_category
from adlib.demo import load_textures
from adlib.lessons import effects
from adlib.networks.destseg import DeSTSeg
from adlib.networks.teacher import Teacher
from adlib.runs import load_run, read_runs, tables
from adlib.settings import DESTSEG_WIDTHS, IMAGE_SIZE
from adlib.training import fit

pytestmark = pytest.mark.slow
LEDGER = os.environ.get("ADLIB_LEDGER")


@pytest.fixture(scope="module")
def circuit():
    return load_category(demo.ensure("data/demo"), "circuit", image_size=IMAGE_SIZE["demo"])


@pytest.fixture(scope="module")
def textures():
    return load_textures("auto", IMAGE_SIZE["demo"])


@pytest.fixture(scope="module", params=[0, 1], ids=["seed 0", "seed 1"])
def table(request, circuit, textures):
    """The effects of one student, per level; the segmentation network has no part in them."""
    if LEDGER:
        only = {"method": "destseg", "dataset": "demo", "category": "circuit", "budget": "demo", "setting": "",
                "image_size": "128", "seed": str(request.param)}
        run = tables.select_runs(tables.frame(read_runs(LEDGER)), only)["run"].item()
        model = load_run(f"{LEDGER}/destseg/demo/circuit/{run}").model
        return effects.measure_effects({"DeSTSeg": model}, circuit, textures=textures)
    model = DeSTSeg(Teacher(), segmentation=False, student_width=DESTSEG_WIDTHS["demo"]["student_width"],
                    seed=request.param)
    assert recipes.choose_start(model, circuit) == "mean"
    fit(model, circuit, recipes.destseg(model, textures), seed=request.param, log=lambda line: None, device="cpu")
    assert all(torch.isfinite(p).all() for p in model.start.parameters())
    return effects.measure_effects({"DeSTSeg": model}, circuit, textures=textures)


def test_the_student_sees_and_repairs(table):
    """Nearer to its own image than to another, and inside corruptions than the mean, at every level; by a tenth."""
    assert (table["own"] < 0.9 * table["other"]).all()
    assert (table["own"] < 0.9 * table["position"]).all()
    assert (table["repaired"] < 0.9 * table["inside"]).all()
    assert (table["repaired"] < 0.5 * table["corrupted"]).all()


def test_two_images_get_two_answers(table):
    """Since training images are shifted, less than before: circuit's three seeds had .24, .18 and .11 or more."""
    share = table["student_apart"] / table["teacher_apart"]
    assert (share > [0.2, 0.15, 0.09]).all()


@pytest.mark.xfail(strict=False, reason="a third is what the lesson asks for, and a minute does not reach; see "
                                        "notebooks/results/effects.csv, and the reference for a long training")
def test_they_differ_by_a_third_of_what_the_teachers_do(table):
    assert effects.student_sees(table)["differs"].all()

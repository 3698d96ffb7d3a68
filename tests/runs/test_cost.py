"""Counted operations against the definition of a convolution and PyTorch's own counter, where that is right."""

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from adlib import recipes
from adlib.data import Category
from adlib.networks.destseg import DeSTSeg
from adlib.networks.masked_rd import MaskedRD, ReverseDistillation
from adlib.networks.stfpm import STFPM
from adlib.networks.teacher import Teacher
from adlib.runs.cost import count_flops, estimate_flops
from adlib.settings import DESTSEG_WIDTHS
from adlib.training import fit


@pytest.mark.parametrize("groups", [1, 4, 32])
def test_a_convolution_by_its_definition(groups):
    conv, x = nn.Conv2d(32, 64, 3, stride=2, padding=1, groups=groups), torch.rand(3, 32, 16, 16, requires_grad=True)
    forward = 2 * 3 * 64 * 8 * 8 * (32 // groups) * 9
    assert count_flops(lambda: conv(x)) == forward
    assert count_flops(lambda: conv(x).sum().backward()) == 3 * forward


def test_an_input_without_gradient_costs_one_third_less():
    conv, x = nn.Conv2d(8, 8, 3, padding=1), torch.rand(2, 8, 8, 8)
    assert count_flops(lambda: conv(x).sum().backward()) == 2 * count_flops(lambda: conv(x))


@pytest.mark.parametrize("layer", [nn.Conv2d(8, 16, 3, padding=1), nn.ConvTranspose2d(8, 16, 2, stride=2)])
def test_as_pytorch_counts_where_nothing_is_grouped(layer):
    x = torch.rand(2, 8, 8, 8, requires_grad=True)
    with FlopCounterMode(display=False) as counter:
        layer(x).sum().backward()
    assert count_flops(lambda: layer(x).sum().backward()) == counter.get_total_flops()


def test_an_stfpm_step_is_three_forward_passes_of_its_student():
    """PyTorch 2.14's counter says 40."""
    model, x = STFPM(Teacher(weights="random")).train(), torch.rand(2, 3, 64, 64)
    features = model.teacher(x)
    forward = count_flops(lambda: model.student(x))
    assert 2.9 < count_flops(lambda: model.loss(*model.features(x, features)).backward()) / forward <= 3


# What trainings cost at `demo` on the demo set, 160 images of 128 px

STFPM_BEFORE = 1.8857e12     # of 500 steps of 8 images, out of 48
LIMITS = {"stfpm": 1.3, "rd4ad": 1.3, "masked_rd": 1.3, "destseg": 3.0}


@pytest.mark.parametrize("method", LIMITS)
def test_every_recipe_keeps_its_budget(method):
    stages = build(method)[1]
    assert 0.1 * STFPM_BEFORE < estimate_flops(stages, 160, 128) <= LIMITS[method] * STFPM_BEFORE


def test_an_estimate_is_the_cost_of_the_training_and_changes_nothing():
    model, stages = build("stfpm", steps=3, batch=4)
    before = copied(model)
    images = torch.randint(256, (8, 3, 64, 64), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    category = Category("x", train=images, validation=images[:0], test=images, masks=None,
                        labels=torch.zeros(8, dtype=torch.bool), defects=["good"] * 8, paths=[])
    estimate = estimate_flops(stages, 8, 64)
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())
    assert all(p.grad is None for p in model.parameters())
    spent = count_flops(lambda: fit(model, category, stages, log=lambda line: None, device="cpu"))
    assert estimate == pytest.approx(spent, rel=0.01)


def build(method, **options):
    teacher = Teacher(weights="random")
    if method == "destseg":
        model = DeSTSeg(teacher, **DESTSEG_WIDTHS["demo"])
        return model, recipes.destseg(model, torch.zeros(2, 3, 128, 128, dtype=torch.uint8), **options)
    model = {"stfpm": STFPM, "rd4ad": ReverseDistillation, "masked_rd": MaskedRD}[method](teacher)
    return model, getattr(recipes, method)(model, **options)


def copied(model):
    return {k: v.clone() for k, v in model.state_dict().items()}

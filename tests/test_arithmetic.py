"""Counted operations against the definition of a convolution and PyTorch's own counter, where that is right."""

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from adlib.networks.stfpm import STFPM
from adlib.networks.teacher import Teacher
from adlib.training import count_flops


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

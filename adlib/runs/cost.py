"""What a training costs in floating-point operations: a number that does not depend on the processor."""

import math
from collections.abc import Callable, Sequence

import torch
from torch import Generator, nn
from torch.utils.flop_counter import FlopCounterMode

from adlib.training import COPIES, Batch, Stage, count_steps

aten = torch.ops.aten


def estimate_flops(stages: Sequence[Stage], n: int, image_size: int) -> int:
    """Floating-point operations of the forward and backward passes of a training on n images of that size.

    A step of two images is counted and taken back. What is cached, the teacher's features, counts once per image and
    shifted copy.
    """
    total = 0
    for stage in stages:
        parts = nn.ModuleList(stage.modules)
        device = next(parts.parameters()).device
        before = {name: value.clone() for name, value in parts.state_dict().items()}
        batch = Batch(torch.rand(2, 3, image_size, image_size, device=device))
        if stage.teacher is not None:
            teacher = stage.teacher
            cached = n * (COPIES if stage.shift else 1)
            total += count_flops(lambda: teacher(batch.images)) * cached // 2       # noqa: B023 counted at once
            batch.features = teacher(batch.images)
        steps, size = count_steps(stage, n)
        generator = Generator(device).manual_seed(0)
        step = count_flops(lambda: stage.loss(batch, 0, generator).backward())      # noqa: B023 counted at once
        total += step * steps * size // 2
        parts.load_state_dict(before)
        parts.zero_grad()
    return total


def count_flops(function: Callable[[], object]) -> int:
    """Floating-point operations of a call, forward and backward: a cost that does not depend on the processor.

    Convolutions and products of matrices count. PyTorch's own formula for the gradient of a grouped convolution's
    weights ignores the groups (2.14: an STFPM step of efficientnet_lite0 counts 13 times), so it is replaced here.
    """
    with FlopCounterMode(display=False, custom_mapping={aten.convolution_backward: count_conv_backward}) as counter:
        function()
    return counter.get_total_flops()


def count_conv_backward(grad_shape, x_shape, w_shape, _bias, _stride, _padding, _dilation, transposed, _output_padding,
                        _groups, output_mask, **_) -> int:
    """Each gradient, of the input and of the weights, takes as many operations as the forward convolution."""
    spatial = x_shape[2:] if transposed else grad_shape[2:]
    forward = 2 * x_shape[0] * math.prod(spatial) * math.prod(w_shape)      # w is (C_out, C_in / groups, k, k)
    return forward * (bool(output_mask[0]) + bool(output_mask[1]))

"""Exercises of lesson 01."""

from functools import partial

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from adlib import metrics
from adlib.lessons.exercises import is_number, judge, judge_function
from adlib.networks.layers import upsample
from adlib.settings import MAP_SIZE


def effective_learning_rate(answer: object) -> None:
    """Lesson 01, exercise 2: learning rate 0.4 on twice the loss."""
    hints = {
        0.4: "the number is the same, but the loss it is applied to is not",
        0.2: "the other way round: the code's loss is larger, so its steps are",
        1.6: "the loss is twice as large, not four times: the norm is already squared in both",
    }
    judge(answer, 0.8, "gradients are linear in the loss: twice the loss, twice the step", hints,
          "write down one SGD step, weight - lr * gradient, for a loss L and for 2 L")


def fuse(answer: object) -> None:
    """Lesson 01, exercise 2: a function of a list of (B, H_k, W_k) maps and a size that fuses them as STFPM's code."""
    generator = torch.Generator().manual_seed(0)
    cases = [([torch.rand(batch, size // stride, size // stride, generator=generator) for stride in (4, 8, 16)], size)
             for size, batch in [(64, 2), (128, 1), (96, 3)]]
    judge_function(
        answer, fuse_with, cases, "on three batches of random maps it gives what adlib's STFPM gives",
        {"that enlarges to 256 and multiplies there, as the paper has it; here multiply at size // 4":
             partial(fuse_with, at=MAP_SIZE),
         "that is the sum of the maps; STFPM multiplies them": partial(fuse_with, reduce=torch.sum),
         "that is the mean of the maps; STFPM multiplies them": partial(fuse_with, reduce=torch.mean),
         "that is the maximum of the maps; STFPM multiplies them": partial(fuse_with, reduce=torch.amax),
         "with align_corners=False, please: a corner of the map is the centre of a pixel, not the image's corner":
             partial(fuse_with, align_corners=True),
         "that copies the nearest pixel; enlarge with mode='bilinear'":
             partial(fuse_with, mode="nearest", align_corners=None),
         "the last level is missing": lambda maps, size: fuse_with(maps[:-1], size),
         "the first level is missing": lambda maps, size: fuse_with(maps[1:], size),
         "that is the geometric mean; the map is the product itself":
             lambda maps, size: fuse_with(maps, size) ** (1 / len(maps)),
         "the product is still at size // 4: enlarge it to 256 x 256": partial(fuse_with, to=None)},
        "enlarge each map to size // 4, multiply, enlarge the product to 256; bilinear each time, align_corners=False")


def fuse_with(maps: list[Tensor], size: int, *, at: int | None = None, to: int | None = MAP_SIZE, reduce=torch.prod,
              mode: str = "bilinear", align_corners: bool | None = False) -> Tensor:
    """(B, 256, 256) product of level maps (or another reduction) at stride 4 (or `at`), then enlarged `to`."""
    def enlarge(m: Tensor, side: int) -> Tensor:
        return F.interpolate(m[:, None], (side, side), mode=mode, align_corners=align_corners)[:, 0]

    fused = reduce(torch.stack([enlarge(m, at or size // 4) for m in maps]), dim=0)
    return enlarge(fused, to) if to else fused


def auroc_of_last_levels(answer: object, level_maps: list, labels) -> None:
    """Lesson 01, exercise 3: image AUROC of the product of the last two levels, on the first level's grid or at 256."""
    levels = [torch.as_tensor(np.asarray(m)) for m in level_maps]

    def of(fuse, reduce=torch.amax, size=levels[0].shape[-1]):
        return metrics.auroc(reduce(fuse([upsample(m, size) for m in levels]), dim=(1, 2)), labels)

    def last_two(found):
        return found[-2] * found[-1]

    hints = {of(lambda found: found[-1]): "that is the last level alone",
             of(lambda found: found[-2]): "that is the level before the last alone",
             of(lambda found: torch.stack(found).prod(dim=0)): "that is the product of all levels",
             of(lambda found: found[-2] + found[-1]): "that is the sum of the two",
             of(last_two, torch.mean): "the score is the largest value of a map, not the mean",
             1 - of(last_two): "turn the order around: a higher score is more anomalous",
             100 * of(last_two): "between 0 and 1, please, not per cent"}
    either = of(last_two), of(last_two, size=256)       # enlarging further moves a maximum a little; both are an answer
    right = min(either, key=lambda x: abs(x - float(answer))) if is_number(answer) else either[0]
    every, last = of(lambda found: torch.stack(found).prod(dim=0)), of(lambda found: found[-1])
    judge(answer, right, f"the last two have {right:.3f}, all levels {every:.3f}, the last alone {last:.3f} (on the "
          "first level's grid; Section 4 enlarges all maps to 256)", hints,
          "enlarge both with upsample(m, size // 4), multiply, take .amax(dim=(1, 2)), then metrics.auroc")

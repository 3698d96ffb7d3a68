"""Exercises of lesson 04."""

import torch
from torch import Tensor

from adlib.lessons.exercises import judge_function, try_out


def mask_generator(answer: object) -> None:
    """Lesson 04, exercise 1: a function (b, h, w, ratio, generator) that draws (b, 1, h, w) masks, 0 where hidden."""
    def dice(seed: int) -> torch.Generator:
        return torch.Generator().manual_seed(seed)

    cases = [(4, 48, 64, 0.25, dice(1)), (4, 48, 64, 0.25, dice(1)), (4, 48, 64, 0.25, dice(2)), (2, 8, 8, 0, dice(3))]
    if (found := try_out(answer, cases)) is None:
        return None
    first, again, other, open_ = found
    hidden = (first == 0).float().mean().item()
    shapes = {(4, 48, 64): "one more axis, (b, 1, h, w), so that it is the same for all channels",
              (1, 1, 48, 64): "one mask for all images; each image gets its own",
              (48, 64): "one mask for all images; return (b, 1, h, w)"}
    if (shape := tuple(first.shape)) != (4, 1, 48, 64):
        otherwise = "one mask for all channels" if shape[2:] == (48, 64) else "it should be (b, 1, h, w)"
        return print(f"not yet: the shape is {shape}: {shapes.get(shape, otherwise)}")
    if not ((first == 0) | (first == 1)).all():
        return print("not yet: a position is hidden, 0, or visible, 1; there is nothing between")
    if abs(hidden - 0.75) < 0.05:
        return print("not yet: turned around: `ratio` is the share that is hidden, 0, not the share that is visible")
    if abs(hidden - 0.25) > 0.05:
        return print(f"not yet: {hidden:.0%} of the positions are 0 with a ratio of 0.25")
    if (first == first[:1]).all():
        return print("not yet: all images have the same mask; draw one for each")
    if not first.equal(again) or first.equal(other):
        return print("not yet: draw from `generator`: the same seed should give the same masks, another seed others")
    if not (open_ == 1).all():
        return print("not yet: with a ratio of 0 nothing is hidden")
    return print("right: `draw_mask` is two lines as well")


def simam(answer: object) -> None:
    """Lesson 04, exercise 2: SimAM as a function of (B, C, H, W) features."""
    generator = torch.Generator().manual_seed(0)
    x = torch.rand(2, 3, 3, 4, generator=generator) * torch.tensor([1.0, 5.0, 0.01])[:, None, None]     # one is quiet

    def weigh(x: Tensor, dims: tuple = (2, 3), eps: float = 1e-4, half: float = 0.5, correction: int = 1) -> Tensor:
        v = x.var(dim=dims, keepdim=True, correction=correction)
        return x * ((x - x.mean(dim=dims, keepdim=True)).square() / (4 * (v + eps)) + half).sigmoid()

    judge_function(
        answer, weigh, [(x,)], "no weight is learnt, and yet each channel is weighed",
        {"the variance divides by H W - 1, as torch.var does": lambda x: weigh(x, correction=0),
         "mean and variance are those of one channel of one image, not of the whole image":
             lambda x: weigh(x, dims=(1, 2, 3)),
         "mean and variance are those of one channel of one image, not of the whole batch":
             lambda x: weigh(x, dims=(0, 2, 3)),
         "mean and variance are taken over the positions, not over the channels": lambda x: weigh(x, dims=(1,)),
         "the 1/2 is missing": lambda x: weigh(x, half=0),
         "without epsilon a channel that hardly varies is lit up like any other": lambda x: weigh(x, eps=0),
         "those are the weights; multiply x by them": lambda x: weigh(x) / x,
         "those are the e; the weights are sigmoid(e), and they multiply x": lambda x: (weigh(x) / x).logit()},
        "mean and variance with dim=(2, 3), keepdim=True; then e, and x * sigmoid(e)")

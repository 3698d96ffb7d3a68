"""Exercises of lesson 04."""

import torch
from torch import Tensor

from adlib.lessons.exercises import judge_function


def twin_test(answer: object) -> None:
    """Lesson 04, exercise 1: a function (masked, twin, hidden) that says how much more hiding costs the twin."""
    dice = torch.Generator().manual_seed(0)
    masked, twin = torch.rand(2, 3, 4, 5, generator=dice)
    hidden = torch.rand(3, 4, 5, generator=dice) < 0.3

    def cost(x: Tensor, at: Tensor) -> Tensor:
        return x[at].mean() - x[~at].mean()

    def each(x: Tensor, at: Tensor) -> Tensor:
        return torch.stack([cost(a, b) for a, b in zip(x, at, strict=True)])

    judge_function(
        answer, lambda m, t, h: cost(t, h) - cost(m, h), [(masked, twin, hidden), (twin, 2 * masked, hidden)],
        "what zeros do alike at both kinds of positions drops out",
        {"turned around: the twin's cost comes first, and True is hidden": lambda m, t, h: cost(m, h) - cost(t, h),
         "that is the difference at hidden positions alone; zeros are new to the twin, so take off what visible ones "
         "lose": lambda m, t, h: (t - m)[h].mean(),
         "that is the difference at visible positions alone": lambda m, t, h: (t - m)[~h].mean(),
         "that is the difference over all positions": lambda m, t, h: (t - m).mean(),
         "that is what hiding costs the twin; take off what it costs the other": lambda m, t, h: cost(t, h),
         "that is what hiding costs masked RD; take it off the twin's": lambda m, t, h: cost(m, h),
         "one number for all images, not one for each": lambda m, t, h: each(t, h) - each(m, h),
         "all positions count alike, not all images": lambda m, t, h: (each(t, h) - each(m, h)).mean(),
         "sums grow with the number of positions; take means":
             lambda m, t, h: (t - m)[h].sum() - (t - m)[~h].sum()},
        "four means: of each network's distances, at `hidden` and at `~hidden`")


def one_sided_simam(answer: object) -> None:
    """Lesson 04, exercise 2: SimAM of (B, C, H, W) features that lights up only what lies above its channel's mean."""
    generator = torch.Generator().manual_seed(0)
    x = torch.rand(2, 3, 3, 4, generator=generator) * torch.tensor([1.0, 5.0, 0.01])[:, None, None]     # one is quiet

    def weigh(x: Tensor, dims: tuple = (2, 3), eps: float = 1e-4, half: float = 0.5, correction: int = 1,
              least: float = 0.0) -> Tensor:
        v = x.var(dim=dims, keepdim=True, correction=correction)
        above = (x - x.mean(dim=dims, keepdim=True)).clamp(min=least)
        return x * (above.square() / (4 * (v + eps)) + half).sigmoid()

    judge_function(
        answer, weigh, [(x,)], "a bright defect is lit up, a dark one no more than its surroundings",
        {"that is SimAM itself, which lights up what lies below the mean as well": lambda x: weigh(x, least=-torch.inf),
         "what lies below the mean keeps the weight of the mean, sigmoid(1/2); it is not set to 0":
             lambda x: weigh(x) * (x > x.mean(dim=(2, 3), keepdim=True)),
         "the variance divides by H W - 1, as torch.var does": lambda x: weigh(x, correction=0),
         "mean and variance are those of one channel of one image, not of the whole image":
             lambda x: weigh(x, dims=(1, 2, 3)),
         "mean and variance are those of one channel of one image, not of the whole batch":
             lambda x: weigh(x, dims=(0, 2, 3)),
         "mean and variance are taken over the positions, not over the channels": lambda x: weigh(x, dims=(1,)),
         "the 1/2 is missing": lambda x: weigh(x, half=0),
         "without epsilon a channel that hardly varies is lit up like any other": lambda x: weigh(x, eps=0),
         "those are the weights; multiply x by them": lambda x: weigh(x) / x,
         "those are the e; the weights are sigmoid(e), and they multiply x": lambda x: (weigh(x) / x).logit()},
        "mean and variance with dim=(2, 3), keepdim=True; the distance with clamp(min=0); then e, and x * sigmoid(e)")

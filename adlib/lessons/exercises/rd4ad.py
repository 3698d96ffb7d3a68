"""Exercises of lesson 03."""

import torch
import torch.nn.functional as F
from torch import Tensor

from adlib.lessons.exercises import judge, judge_function
from adlib.losses import cosine_distance


def who_is_heard(answer: object) -> None:
    """Lesson 03, exercise 1: nine of ten positions agree; the tenth has vectors of length 3, at right angles."""
    judge(answer, 5, "0.5 against 0.1: one position in ten has half of the weight in the flat loss", {
        0.5: "that is the flat loss; how many times the loss per position is it?",
        0.1: "that is the loss per position; how many times as large is the flat one?",
        0.2: "the other way round: the flat loss is the larger",
        1: "a flat cosine weighs each position by the lengths of its vectors",
        2.5: "3 of 12: a position counts by the product of both lengths, 9 of 18",
        3: "the factor between the lengths enters twice: each position counts by the product of both",
        9: "that is how much more the long position weighs than one of the others; what do both losses add up to?",
        10: "the agreeing positions count in the flat loss, too: their inner products are 1 each",
    }, "flat: one minus (sum of inner products) over (length of all teacher vectors) (length of all student vectors)")


def flat_cosine(answer: object) -> None:
    """Lesson 03, exercise 2: a function of (B, C, H, W) teacher and student features, the flat loss of each image."""
    generator = torch.Generator().manual_seed(0)
    lengths = torch.tensor([1.0, 5.0])[:, None]      # positions of unequal weight, or both losses would be alike
    cases = [tuple(torch.randn(3, 4, 2, 5, generator=generator) * lengths for _ in range(2)) for _ in range(2)]

    def cosines(t: Tensor, s: Tensor, start: int = 1) -> Tensor:
        return F.cosine_similarity(t.flatten(start), s.flatten(start), dim=-1)

    judge_function(
        answer, lambda t, s: 1 - cosines(t, s), cases,
        "one vector per image, one cosine per image; the mean over images is the loss of the level",
        {"that is the loss per position; flatten each image to one vector first, then take one cosine":
             lambda t, s: cosine_distance(t, s).mean(dim=(1, 2)),
         "that is the cosine; the loss is one minus it": cosines,
         "that is the mean over images; return one number per image": lambda t, s: (1 - cosines(t, s)).mean(),
         "the images are flattened too: each has a cosine of its own": lambda t, s: 1 - cosines(t, s, start=0),
         "that takes a cosine for each channel; channels and positions belong to one vector":
             lambda t, s: (1 - cosines(t, s, start=2)).mean(dim=1),
         "lengths are square roots of sums of squares": lambda t, s: 1 - (t * s).sum(dim=(1, 2, 3))
             / t.square().sum(dim=(1, 2, 3)) / s.square().sum(dim=(1, 2, 3)),
         "divide by the lengths of both vectors": lambda t, s: 1 - (t * s).sum(dim=(1, 2, 3))},
        "t.flatten(1) is (B, C H W): its inner product with s.flatten(1), over both lengths, and one minus that")


def transposed(answer: object) -> None:
    """Lesson 03, exercise 3: a function of (B, C, H, W) features and a (C, D, 2, 2) kernel that doubles the size."""
    generator = torch.Generator().manual_seed(0)
    cases = [(torch.randn(2, 3, 4, 5, generator=generator), torch.randn(3, 3, 2, 2, generator=generator)),
             (torch.randn(1, 2, 3, 3, generator=generator), torch.randn(2, 4, 2, 2, generator=generator))]

    def blocks(x: Tensor, kernel: Tensor, order: str = "bdhiwj") -> Tensor:
        b, _, h, w = x.shape
        return torch.einsum(f"bchw,cdij->{order}", x, kernel).reshape(b, kernel.shape[1], 2 * h, 2 * w)

    judge_function(
        answer, blocks, cases,
        "no two blocks overlap, so it is a matrix product per position, and a rearrangement",
        {"rows and columns of the kernel are swapped": lambda x, kernel: blocks(x, kernel.mT),
         "the kernel is upside down: a transposed convolution does not flip it":
             lambda x, kernel: blocks(x, kernel.flip((2, 3))),
         "the numbers are right, but each position's 2 x 2 block must stay together: order the axes h, i, w, j before "
         "you join them": lambda x, kernel: blocks(x, kernel, "bdhwij"),
         "the four numbers of the kernel have moved ahead of the positions: order the axes h, i, w, j before you join "
         "them": lambda x, kernel: blocks(x, kernel, "bdijhw"),
         "each input channel has its own kernel per output channel; sum over the input channels":
             lambda x, kernel: blocks(x.sum(dim=1, keepdim=True), kernel.sum(dim=0, keepdim=True))},
        "output row 2 h + i, column 2 w + j, channel d is the sum over c of x[c, h, w] kernel[c, d, i, j]")

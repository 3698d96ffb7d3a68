"""Exercises of lesson 02."""

import torch
from torch import Generator, Tensor

from adlib import perlin
from adlib.lessons.exercises import judge, judge_function
from adlib.losses import cosine_distance


def target_of_a_scratch(answer: object) -> None:
    """Lesson 02, exercise 1: a 1 x 40 px scratch over ten columns of cells, in a random row, shrunk by four."""
    hints = {
        10: "that is what the two inner rows of a cell give; average over all four",
        2.5: "that is the scratch's area in target pixels, 40 / 16; but a target pixel is 0 or 1, and rounded",
        0: "averaged over all of a 4 x 4 cell it would vanish; but only the central 2 x 2 pixels are read",
        40: "those are pixels of the mask; a pixel of the target stands for 4 x 4 of them",
        20: "that is the sum over the four rows of a cell; divide by four",
        7.5: "three rows of four? Only the two inner rows are read",
    }
    judge(answer, 5, "the two inner rows of a cell give 10 each, the outer two nothing: half of all such scratches "
          "are trained on as if they were normal", hints,
          "count the cells that the scratch crosses, then ask in which of a cell's four rows it is read")


def learning_rate_of_a_small_batch(answer: object) -> None:
    """Lesson 02, exercise 2: learning rate for a sum over 8 images that steps like 0.4 on a sum over 32."""
    hints = {
        0.4: "with fewer summands the gradient shrinks, and so does the step",
        0.1: "the other way round: the sum over 8 images has the smaller gradient",
        12.8: "that is the rate on the mean; the loss is still a sum, over 8",
        3.2: "that is what 0.4 on 8 images amounts to on their mean; the official code's amounts to 12.8",
        0.8: "gradients are linear in the number of images; a square root is another rule, for their noise",
    }
    judge(answer, 1.6, "0.4 x 32 = 12.8 on the mean = 1.6 x 8", hints,
          "write a sum over B images as B times their mean, and compare learning rate times B")


def corrupt_in_eight_lines(answer: object) -> None:
    """Lesson 02, exercise 3: a function of images, textures, noise and beta that blends anomalies into the images."""
    cases = [draw_corruptions(5, 32, seed)[1:] for seed in (0, 1)]

    def blend(images: Tensor, textures: Tensor, noise: Tensor, beta: Tensor, *, above: float = 0.5) -> Tensor:
        m, b = (noise > above)[:, None].float(), beta.reshape(-1, 1, 1, 1)
        return (1 - m) * images + m * (b * textures + (1 - b) * images)

    judge_function(
        answer, blend, cases, "and `adlib.perlin.corrupt` gives the same images for the same draws",
        {"beta is the opacity of the texture, 1 - beta what shines through of the image":
             lambda i, a, n, b: blend(i, a, n, 1 - b),
         "the anomaly is where the noise is high, the image stays as it is elsewhere":
             lambda i, a, n, b: blend(i, a, -n, b, above=-0.5),
         "the texture is blended in, not pasted: beta is missing":
             lambda i, a, n, b: blend(i, a, n, torch.ones_like(b)),
         "each image has its own beta": lambda i, a, n, b: blend(i, a, n, b[:1].expand_as(b)),
         "where the texture is, the image fades by 1 - beta":
             lambda i, a, n, b: i + (n > 0.5)[:, None] * b.reshape(-1, 1, 1, 1) * a,
         "outside the mask the image is missing: (1 - M) I":
             lambda i, a, n, b: blend(torch.zeros_like(i), a, n, b) + (n > 0.5)[:, None] * (
                 1 - b.reshape(-1, 1, 1, 1)) * i,
         "the mask is where the noise is above 0.5, not above 0": lambda i, a, n, b: blend(i, a, n, b, above=0.0),
         "dark noise is no anomaly: 0.5 is compared with the noise itself, not with its absolute value":
             lambda i, a, n, b: blend(i, a, n.abs(), b),
         "the mask is 0 or 1: compare the noise with 0.5, do not multiply with it":
             lambda i, a, n, b: torch.lerp(i, a, n[:, None] * b.reshape(-1, 1, 1, 1)),
         "those are the masks; blend with them": lambda i, a, n, b: (n > 0.5).float(),
         "that blends whole images; the mask is missing": lambda i, a, n, b: blend(i, a, torch.ones_like(n), b)},
        "M = noise > 0.5 with a channel axis, (B, 1, S, S); beta as (B, 1, 1, 1); then the equation for I_a")


def draw_corruptions(n: int, size: int, seed: int) -> tuple[Tensor, ...]:
    """What `perlin.corrupt` makes of random images, and what it draws for it: images, textures, noise and beta."""
    images, textures = torch.rand(2, n, 3, size, size, generator=Generator().manual_seed(seed)).unbind()
    made, _ = perlin.corrupt(images, textures, generator=Generator().manual_seed(seed))
    draws = Generator().manual_seed(seed)       # the same again, in the order of `corrupt`
    noise = perlin.perlin_noise(n, size, generator=draws)
    noise = perlin.rotate(noise[:, None], perlin.uniform(n, 90.0, draws))[:, 0]
    torch.rand(n, generator=draws)              # whether an image is touched at all
    beta = 1 - 0.8 * torch.rand(n, generator=draws)
    return made, images, textures[torch.randint(n, (n,), generator=draws)], noise, beta


def share_apart(answer: object) -> None:
    """Lesson 02, exercise 4: a function of (2, C, H, W) features t and s that says whether the student is alive."""
    generator = Generator().manual_seed(0)
    t = torch.randn(2, 6, 4, 5, generator=generator)
    cases = [(t, t.mean(dim=0, keepdim=True) + 0.4 * torch.randn(t.shape, generator=generator)),
             (t, torch.randn(t.shape, generator=generator))]

    def apart(x: Tensor) -> Tensor:
        return cosine_distance(x[:1], x[1:]).mean()

    def vectors(x: Tensor) -> Tensor:
        return cosine_distance(*x.flatten(1)[:, :, None, None].split(1)).mean()

    judge_function(
        answer, lambda t, s: apart(s) / apart(t), cases, "0 for a student that always says the same, 1 for the teacher",
        {"the other way round: the student's over the teacher's": lambda t, s: apart(t) / apart(s),
         "that is how far the student is from the teacher; compare its answers to two images with each other":
             lambda t, s: cosine_distance(t, s).mean(),
         "that is how far the student is from the teacher, as a share; compare its answers to two images":
             lambda t, s: cosine_distance(t, s).mean() / apart(t),
         "that is how far the two answers are apart; divide by the same of the teacher": lambda t, s: apart(s),
         "a share, please: divide": lambda t, s: apart(t) - apart(s),
         "a cosine for each position, then their mean; not one cosine of the whole feature map":
             lambda t, s: vectors(s) / vectors(t),
         "divide the means; a mean of the ratios is ruled by positions where the teacher hardly differs":
             lambda t, s: (cosine_distance(s[:1], s[1:]) / cosine_distance(t[:1], t[1:])).mean(),
         "take the cosine, not the length of the difference":
             lambda t, s: (s[0] - s[1]).norm(dim=0).mean() / (t[0] - t[1]).norm(dim=0).mean()},
        "cosine_distance(s[:1], s[1:]).mean() over the same of t")

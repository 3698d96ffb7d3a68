"""Each check of lesson 02 that judges a function, against right versions of it and plausible wrong ones."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from conftest import verdict

from adlib.lessons.exercises import destseg
from adlib.losses import cosine_distance


def test_the_draws_are_those_of_adlib():
    made, images, textures, noise, beta = destseg.draw_corruptions(7, 64, 3)
    mask, b = (noise > 0.5).float()[:, None], beta[:, None, None, None]
    by_hand = (1 - mask) * images + mask * (b * textures + (1 - b) * images)
    torch.testing.assert_close(by_hand, made)
    assert 0 < mask.mean() < 0.2


def by_pixels(images, textures, noise, beta):
    made = images.numpy().copy()
    for n, y, x in zip(*np.nonzero(noise.numpy() > 0.5), strict=True):
        b = float(beta[n])
        made[n, :, y, x] = b * textures.numpy()[n, :, y, x] + (1 - b) * made[n, :, y, x]
    return made


def in_place(images, textures, noise, beta):
    m = noise.gt(0.5)[:, None].expand_as(images)
    b = beta[:, None, None, None].expand_as(images)
    images[m] = (b * textures + (1 - b) * images)[m]
    return images


def blended(mask=lambda n: n > 0.5, weight=lambda b: b):
    return lambda i, a, n, b: torch.lerp(i, a, mask(n)[:, None].float() * weight(b).view(-1, 1, 1, 1))


CORRUPT = [
    (..., "not yet: set"), (0.5, "should be a function, not float"), (lambda *a: None, "returns nothing"),
    (lambda i, a: i, "it raises TypeError"),
    (lambda i, a, n, b: i * b, "it raises RuntimeError"),       # (B,) does not broadcast to (B, 3, S, S)
    (by_pixels, "right"), (in_place, "right"), (blended(), "right"),
    (lambda i, a, n, b: torch.where(n[:, None] > 0.5, b.view(-1, 1, 1, 1) * a + (1 - b.view(-1, 1, 1, 1)) * i, i),
     "right"),
    (blended(lambda n: n >= 0.5), "right"),                     # the code's > or >=: nothing lies at 0.5
    (blended(weight=lambda b: 1 - b), "the opacity of the texture"),
    (blended(lambda n: n <= 0.5), "stays as it is elsewhere"),
    (blended(weight=torch.ones_like), "beta is missing"),
    (blended(weight=lambda b: b[0].expand_as(b)), "its own beta"),
    (lambda i, a, n, b: i + (n > 0.5)[:, None] * b.view(-1, 1, 1, 1) * a, "fades by 1 - beta"),
    (lambda i, a, n, b: (n > 0.5)[:, None] * torch.lerp(i, a, b.view(-1, 1, 1, 1)), "outside the mask"),
    (blended(lambda n: n > 0), "not above 0"),
    (blended(lambda n: n.abs() > 0.5), "absolute value"),
    (blended(lambda n: n), "do not multiply"),
    (lambda i, a, n, b: (n > 0.5).float(), "those are the masks"),
    (blended(torch.ones_like), "blends whole images"),
    (lambda i, a, n, b: i, "M = noise > 0.5"),
    (lambda i, a, n, b: i[:, :1], "the shape (5, 1, 32, 32), not (5, 3, 32, 32)"),
]


def apart(x):
    return float(1 - F.cosine_similarity(x[0], x[1], dim=0).mean())


def by_numpy(t, s):
    def distance(x):
        a, b = np.asarray(x, np.float64)
        return np.mean(1 - (a * b).sum(0) / np.sqrt((a * a).sum(0) * (b * b).sum(0)))
    return distance(s) / distance(t)


def flattened(x):
    return 1 - F.cosine_similarity(x[0].flatten(), x[1].flatten(), dim=0)


SHARE = [
    (..., "not yet: set"), (0.3, "should be a function, not float"),
    (lambda t, s: apart(s) / apart(t), "right"), (by_numpy, "right"),
    (lambda t, s: cosine_distance(s, s.roll(1, 0)).mean() / cosine_distance(t, t.roll(1, 0)).mean(), "right"),
    (lambda t, s: apart(t) / apart(s), "the other way round"),
    (lambda t, s: cosine_distance(t, s).mean(), "from the teacher; compare"),
    (lambda t, s: cosine_distance(t, s).mean() / apart(t), "as a share; compare"),
    (lambda t, s: apart(s), "divide by the same of the teacher"),
    (lambda t, s: apart(t) - apart(s), "a share, please"),
    (lambda t, s: flattened(s) / flattened(t), "not one cosine"),
    (lambda t, s: (cosine_distance(s[:1], s[1:]) / cosine_distance(t[:1], t[1:])).mean(), "a mean of the ratios"),
    (lambda t, s: (s[0] - s[1]).norm(dim=0).mean() / (t[0] - t[1]).norm(dim=0).mean(), "not the length"),
    (lambda t, s: 0.5, "cosine_distance(s[:1], s[1:])"),
    (lambda t, s: cosine_distance(s[:1], s[1:]), "the shape (1, 4, 5), not ()"),
]


@pytest.mark.parametrize(("check", "answer", "expected"), [
    *[(destseg.corrupt_in_eight_lines, *case) for case in CORRUPT], *[(destseg.share_apart, *case) for case in SHARE]])
def test_every_function_gets_the_verdict_that_fits(capsys, check, answer, expected):
    found = verdict(capsys, check, answer)
    assert expected in found
    assert found.startswith("right") == (expected == "right")

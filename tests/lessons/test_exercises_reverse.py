"""Each check of lessons 03 and 04 that judges a function, against right versions of it and plausible wrong ones."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from conftest import verdict

from adlib.lessons.exercises import masked_rd, rd4ad
from adlib.losses import cosine_distance, cosine_loss
from adlib.networks.layers import SimAM


def flat_by_loops(t, s):
    found = []
    for a, b in zip(t.double().numpy(), s.double().numpy(), strict=True):
        found.append(1 - np.sum(a * b) / np.linalg.norm(a) / np.linalg.norm(b))
    return found                                        # a list of numpy numbers


def with_flat_vectors(fold):
    return lambda t, s: fold(t.flatten(1), s.flatten(1))


HEARD = [
    (..., "not yet: set"), (5, "right"), (4.9999, "right"), (0.5, "that is the flat loss"), (0.1, "per position"),
    (0.2, "the other way round"), (1, "by the lengths"), (2.5, "9 of 18"), (3, "enters twice"), (9, "add up to"),
    (10, "count in the flat loss"), (7, "sum of inner products"), ("five", "one number, not str"),
]
FLAT = [
    (..., "not yet: set"), (0.33, "should be a function, not float"), (lambda t, s: None, "returns nothing"),
    (lambda t: t, "it raises TypeError"), (lambda t, s: 1 / 0, "it raises ZeroDivisionError"),
    (flat_by_loops, "right"),
    (lambda t, s: torch.stack([cosine_loss([a[None]], [b[None]], cosine="flat") for a, b in zip(t, s, strict=True)]),
     "right"),
    (lambda t, s: t.copy_((1 - F.cosine_similarity(t.flatten(1), s.flatten(1))).view(3, 1, 1, 1))[:, 0, 0, 0], "right"),
    (lambda t, s: cosine_distance(t, s).mean(dim=(1, 2)), "the loss per position"),
    (with_flat_vectors(F.cosine_similarity), "one minus it"),
    (lambda t, s: cosine_loss([t], [s], cosine="flat"), "one number per image"),
    (lambda t, s: 1 - F.cosine_similarity(t.flatten(), s.flatten(), dim=0), "the images are flattened too"),
    (lambda t, s: (1 - F.cosine_similarity(t.flatten(2), s.flatten(2), dim=2)).mean(dim=1), "for each channel"),
    (with_flat_vectors(lambda a, b: 1 - (a * b).sum(1) / a.square().sum(1) / b.square().sum(1)), "square roots"),
    (with_flat_vectors(lambda a, b: 1 - (a * b).sum(1)), "divide by the lengths"),
    (lambda t, s: t, "it returns the shape (3, 4, 2, 5), not (3,)"),
    (with_flat_vectors(lambda a, b: a.sum(1)), "its inner product with s.flatten(1)"),
]


def doubled_by_loops(x, kernel):
    b, c, h, w = x.shape
    out = torch.zeros(b, kernel.shape[1], 2 * h, 2 * w)
    for y in range(h):
        for z in range(w):
            out[:, :, 2 * y:2 * y + 2, 2 * z:2 * z + 2] = torch.tensordot(x[:, :, y, z], kernel, dims=1)
    return out.numpy()


def shuffled(order):
    return lambda x, kernel: torch.einsum(f"bchw,cdij->{order}", x, kernel).reshape(
        len(x), kernel.shape[1], 2 * x.shape[2], 2 * x.shape[3])


def doubling(kernel_of):
    return lambda x, kernel: F.conv_transpose2d(x, kernel_of(kernel), stride=2)


TRANSPOSED = [
    (..., "not yet: set"), (doubled_by_loops, "right"), (doubling(lambda k: k), "right"),
    (lambda x, k: F.pixel_shuffle(F.conv2d(x, k.permute(1, 2, 3, 0).flatten(0, 2)[:, :, None, None]), 2), "right"),
    (doubling(lambda k: k.mT.contiguous()), "swapped"), (doubling(lambda k: k.flip((2, 3))), "upside down"),
    (shuffled("bdhwij"), "must stay together"), (shuffled("bdijhw"), "ahead of the positions"),
    (lambda x, k: F.conv_transpose2d(x.sum(1, keepdim=True), k.sum(0, keepdim=True), stride=2), "sum over the input"),
    (lambda x, k: F.conv_transpose2d(x, k, stride=1), "it returns the shape (2, 3, 5, 6), not (2, 3, 8, 10)"),
    (lambda x, k: 2 * F.conv_transpose2d(x, k, stride=2), "output row 2 h + i"),
    (lambda x, k: x @ k, "it raises RuntimeError"),
]


def cost_of_hiding(x, hidden):
    return x[hidden].mean() - x[~hidden].mean()


def costs_per_image(masked, twin, hidden):
    return torch.stack([cost_of_hiding(t, h) - cost_of_hiding(m, h)
                        for m, t, h in zip(masked, twin, hidden, strict=True)])


def twin_test_by_loops(masked, twin, hidden):
    found = {True: [], False: []}
    for i in np.ndindex(*hidden.shape):
        found[hidden[i].item()].append((twin[i] - masked[i]).item())
    return np.mean(found[True]) - np.mean(found[False])


TWINS = [
    (..., "not yet: set"), (0.005, "should be a function, not float"), (twin_test_by_loops, "right"),
    (lambda m, t, h: cost_of_hiding(t, h) - cost_of_hiding(m, h), "right"),
    (lambda m, t, h: float(cost_of_hiding(t - m, h)), "right"),
    (lambda m, t, h: cost_of_hiding(m, h) - cost_of_hiding(t, h), "turned around"),
    (lambda m, t, h: cost_of_hiding(t - m, ~h), "True is hidden"),
    (lambda m, t, h: (t - m)[h].mean(), "at hidden positions alone"),
    (lambda m, t, h: (t - m)[~h].mean(), "at visible positions alone"),
    (lambda m, t, h: (t - m).mean(), "over all positions"),
    (lambda m, t, h: cost_of_hiding(t, h), "costs the twin; take off"),
    (lambda m, t, h: cost_of_hiding(m, h), "costs masked RD; take it off"),
    (costs_per_image, "not one for each"),
    (lambda *given: costs_per_image(*given).mean(), "not all images"),
    (lambda m, t, h: (t - m)[h].sum() - (t - m)[~h].sum(), "take means"),
    (lambda m, t, h: t[h] - m[h], "it returns the shape"),
    (lambda m, t, h: cost_of_hiding(t, h) + cost_of_hiding(m, h), "four means"),
    (lambda m, t, h: t[h].mean() - t[not h].mean(), "it raises RuntimeError"),
]


def energies(x, dims=(2, 3), eps=1e-4, half=0.5, correction=1):
    v, above = x.var(dim=dims, keepdim=True, correction=correction), x - x.mean(dim=dims, keepdim=True)
    return torch.where(above > 0, above, 0) ** 2 / (4 * (v + eps)) + half


def one_sided_by_loops(x):
    out = np.empty(x.shape)
    for i in np.ndindex(*x.shape[:2]):
        a = x[i].double().numpy()
        e = np.maximum(a - a.mean(), 0) ** 2 / (4 * (a.var(ddof=1) + 1e-4)) + 0.5
        out[i] = a / (1 + np.exp(-e))
    return out


def silent_below(x):
    """Nothing of what lies below the mean."""
    return x * energies(x).sigmoid() * (x >= x.mean(dim=(2, 3), keepdim=True))


ONE_SIDED = [
    (..., "not yet: set"), (one_sided_by_loops, "right"), (lambda x: x * energies(x).sigmoid(), "right"),
    (lambda x: torch.where(x > x.mean((2, 3), keepdim=True), SimAM()(x), x * torch.tensor(0.5).sigmoid()), "right"),
    (SimAM(), "that is SimAM itself"), (silent_below, "keeps the weight of the mean"),
    (lambda x: x * energies(x, correction=0).sigmoid(), "H W - 1"),
    (lambda x: x * energies(x, dims=(1, 2, 3)).sigmoid(), "not of the whole image"),
    (lambda x: x * energies(x, dims=(0, 2, 3)).sigmoid(), "not of the whole batch"),
    (lambda x: x * energies(x, dims=(1,)).sigmoid(), "not over the channels"),
    (lambda x: x * energies(x, half=0).sigmoid(), "1/2 is missing"),
    (lambda x: x * energies(x, eps=0).sigmoid(), "without epsilon"),
    (lambda x: energies(x).sigmoid(), "those are the weights"), (energies, "those are the e"),
    (lambda x: x * energies(x), "the distance with clamp"),
]


@pytest.mark.parametrize(("check", "answer", "expected"), [
    (check, *row) for check, rows in [(rd4ad.who_is_heard, HEARD), (rd4ad.flat_cosine, FLAT),
                                      (rd4ad.transposed, TRANSPOSED),
                                      (masked_rd.twin_test, TWINS),
                                      (masked_rd.one_sided_simam, ONE_SIDED)] for row in rows])
def test_every_function_gets_the_verdict_that_fits(capsys, check, answer, expected):
    found = verdict(capsys, check, answer)
    assert expected in found
    assert found.startswith("right") == (expected == "right")

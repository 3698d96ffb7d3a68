"""Losses against hand-worked vectors, and what must hold for any features."""

import pytest
import torch
import torch.nn.functional as F

from adlib.losses import cosine_distance, cosine_loss, focal_loss, l1_loss

# Two images of one level, C=2, H=1, W=2; cos = 0.96, 1 | 0, 1.
T = torch.tensor([[[3.0, 4], [1, 0]], [[1, 0], [0, 2]]]).mT[:, :, None]      # (N, W, C) -> (N, C, 1, W)
S = torch.tensor([[[4.0, 3], [1, 0]], [[0, 1], [0, 1]]]).mT[:, :, None]
P, Y = torch.tensor([0.9, 0.9, 0.2, 0.5]), torch.tensor([1.0, 0, 0, 1])


def pyramid(*shape, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(*shape, generator=generator) for _ in range(2)]


def test_cosine_distance_of_the_worked_case():
    torch.testing.assert_close(cosine_distance(T, S), torch.tensor([[[0.04, 0]], [[1, 0]]]))


@pytest.mark.parametrize(("cosine", "reduction", "expected"), [
    ("pixel", "mean", 0.26), ("pixel", "sum", 0.52), ("flat", "mean", 0.2030030),
    ("flat", "sum", (1 - 25 / 26) + (1 - 2 / 10**0.5)),
])
def test_cosine_loss_of_the_worked_case(cosine, reduction, expected):
    loss = cosine_loss([T], [S], cosine=cosine, reduction=reduction)
    torch.testing.assert_close(loss.item(), expected, atol=1e-6, rtol=0)


def test_cosine_distance_is_half_the_squared_distance_of_unit_vectors():
    t, s = pyramid(2, 7, 3, 5)
    half = 0.5 * (F.normalize(t, dim=1) - F.normalize(s, dim=1)).square().sum(dim=1)
    torch.testing.assert_close(cosine_distance(t, s), half)


def test_cosine_distance_is_in_float32_whatever_the_features_are():
    t, s = (x.bfloat16() for x in pyramid(2, 64, 4, 4))
    d = cosine_distance(t, s)
    assert d.dtype == torch.float32
    torch.testing.assert_close(d, cosine_distance(t.float(), s.float()), atol=0, rtol=0)


def test_cosine_distance_never_dips_below_zero():
    t, _ = pyramid(8, 24, 16, 16)
    d = cosine_distance(t, t)
    assert d.min() >= 0
    assert d.max() < 1e-6


def test_zero_features_are_orthogonal_and_keep_a_finite_gradient():
    t, _ = pyramid(1, 3, 2, 2)
    s = torch.zeros_like(t, requires_grad=True)
    d = cosine_distance(t, s)
    d.sum().backward()
    torch.testing.assert_close(d, torch.ones_like(d))
    assert s.grad.isfinite().all()
    assert s.grad.abs().max() < 1e7


def test_levels_are_weighted_and_added():
    t, s = pyramid(2, 4, 4, 4), pyramid(2, 4, 4, 4, seed=1)
    a, b = (cosine_loss([x], [y]) for x, y in zip(t, s, strict=True))
    torch.testing.assert_close(cosine_loss(t, s), a + b)
    torch.testing.assert_close(cosine_loss(t, s, weights=(0.5, 2)), 0.5 * a + 2 * b)


@pytest.mark.parametrize("cosine", ["pixel", "flat"])
def test_a_mean_does_not_depend_on_the_batch_size_and_a_sum_grows_with_it(cosine):
    (t, _), (s, _) = pyramid(3, 4, 4, 4), pyramid(3, 4, 4, 4, seed=1)
    t2, s2 = torch.cat([t, t]), torch.cat([s, s])
    torch.testing.assert_close(cosine_loss([t2], [s2], cosine=cosine), cosine_loss([t], [s], cosine=cosine))
    once, twice = (cosine_loss([x], [y], cosine=cosine, reduction="sum") for x, y in ((t, s), (t2, s2)))
    torch.testing.assert_close(twice, 2 * once)


@pytest.mark.parametrize("wrong", [{"cosine": "image"}, {"reduction": "none"}, {"weights": (1, 1)}])
def test_unknown_forms_and_wrong_lengths_are_refused(wrong):
    with pytest.raises(ValueError, match="cosine='image'|reduction='none'|zip"):
        cosine_loss([T], [S], **wrong)


@pytest.mark.parametrize(("gamma", "expected"), [(0, 0.8310590), (2, 0.5120900), (4, 0.3886037)])
def test_focal_loss_of_the_worked_case(gamma, expected):
    torch.testing.assert_close(focal_loss(P.logit(), Y, gamma=gamma).item(), expected, atol=1e-6, rtol=0)


def test_focal_loss_keeps_its_gradient_where_a_probability_saturates():
    logits = torch.tensor([-200.0, 200.0], requires_grad=True)
    focal_loss(logits, torch.tensor([1.0, 0.0])).backward()
    torch.testing.assert_close(logits.grad, torch.tensor([-0.5, 0.5]))


def test_l1_loss_of_the_worked_case():
    torch.testing.assert_close(l1_loss(P.logit(), Y).item(), 0.425, atol=1e-6, rtol=0)

"""Layers against hand-worked vectors and their papers' formulas."""

import pytest
import torch
import torch.nn.functional as F
from scipy.ndimage import gaussian_filter

from adlib.networks.layers import (
    ChannelReconstruction,
    SCConv,
    SimAM,
    SpatialReconstruction,
    smooth,
)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def random(*shape, seed=0):
    return torch.randn(*shape, generator=seeded(seed))


@pytest.fixture(autouse=True)
def _same_weights():
    torch.manual_seed(0)


# SimAM


def test_simam_of_the_worked_case():
    x = torch.tensor([[[[1.0, 2], [3, 4]]]])
    gate = torch.tensor([0.837480, 0.537498, 0.537498, 0.837480]).sigmoid()
    torch.testing.assert_close(SimAM().gate(x).flatten(), gate, atol=1e-6, rtol=0)
    expected = torch.tensor([0.697934, 1.262460, 1.893690, 2.791737])
    torch.testing.assert_close(SimAM()(x).flatten(), expected, atol=1e-6, rtol=0)


@pytest.mark.parametrize("size", [1, 5])
def test_simam_weighs_a_constant_map_alike_everywhere(size):
    x = torch.full((1, 2, size, size), 3.0)
    torch.testing.assert_close(SimAM()(x), 0.622459 * x)


def test_simams_gate_is_the_sigmoid_of_the_inverse_energy():
    x, eps = random(2, 3, 4, 5), 1e-4
    mean, variance = x.mean(dim=(2, 3), keepdim=True), x.var(dim=(2, 3), keepdim=True)
    energy = 4 * (variance + eps) / ((x - mean) ** 2 + 2 * variance + 2 * eps)
    torch.testing.assert_close(SimAM().gate(x), (1 / energy).sigmoid())


def test_simam_measures_variance_in_float32():
    x = (100 + random(1, 2, 8, 8)).bfloat16()
    torch.testing.assert_close(SimAM().gate(x), SimAM().gate(x.float()), atol=0, rtol=0)
    assert SimAM()(x).dtype == torch.bfloat16


# SCConv


def test_soft_sru_of_a_case_worked_by_hand():
    # Two values per channel normalise to -1 and 1. gamma 1, 1, 1, 5 gives w = 1/8, 1/8, 1/8, 5/8, so below the mean
    # r is sigmoid(-1/8), and sigmoid(-25/8) in the last channel; above it W1 = 1 and W2 = 0.
    unit = SpatialReconstruction(4)
    unit.norm.weight.data = torch.tensor([1.0, 1, 1, 5])
    x = torch.tensor([[0.0, 2], [4, 2], [1, 3], [6, 2]]).view(1, 4, 1, 2)
    a, b = torch.tensor([-0.125, -3.125]).sigmoid().tolist()
    expected = torch.tensor([[a * 0 + a * 1, 2], [4, a * 2 + b * 2], [a * 1 + a * 0, 3], [6, b * 2 + a * 2]])
    torch.testing.assert_close(unit(x)[0, :, 0], expected, atol=1e-4, rtol=0)


def test_hard_sru_keeps_the_sum_of_the_halves():
    x = random(2, 16, 6, 6)
    unit = SpatialReconstruction(16, gate="hard")
    out = unit(x)
    torch.testing.assert_close(out[:, :8] + out[:, 8:], x[:, :8] + x[:, 8:])
    assert not torch.allclose(out, x)                       # but halves have been crossed
    kept, rest = unit.gates(x)
    assert torch.equal(kept + rest, torch.ones_like(x))
    assert 0.4 < kept.mean() < 0.6


def test_soft_gates_share_what_is_below_the_threshold():
    kept, rest = SpatialReconstruction(16).gates(random(2, 16, 6, 6))
    assert torch.equal(kept == 1, rest == 0)
    assert torch.equal(kept[kept < 1], rest[kept < 1])
    assert kept[kept < 1].max() <= 0.5


def test_sru_gates_in_float32():
    unit, x = SpatialReconstruction(256), random(1, 256, 4, 4).bfloat16()
    with torch.autocast("cpu", torch.bfloat16):
        kept, _ = unit.gates(x)
    torch.testing.assert_close(kept, unit.gates(x.float())[0], atol=0, rtol=0)
    assert 0.4 < (kept == 1).float().mean() < 0.6           # in bf16, 0.5 + 0.002 would be 0.5


def test_only_a_soft_gate_learns():
    for gate, learns in [("soft", True), ("hard", False)]:
        unit = SpatialReconstruction(16, gate=gate)
        unit(random(2, 16, 6, 6).requires_grad_()).square().sum().backward()
        assert (unit.norm.weight.grad is not None) == learns


def test_cru_weighs_two_branches_by_a_softmax_of_their_means_per_channel():
    unit, x = ChannelReconstruction(16), random(2, 16, 5, 5) + 1
    up, low = F.conv2d(x[:, :8], unit.squeeze_up.weight), F.conv2d(x[:, 8:], unit.squeeze_low.weight)
    rich = F.conv2d(up, unit.group.weight, unit.group.bias, padding=1, groups=2) + F.conv2d(up, unit.point.weight)
    cheap = torch.cat([F.conv2d(low, unit.extend.weight), low], dim=1)
    for branch, expected in zip(unit.branches(x), (rich, cheap), strict=True):
        torch.testing.assert_close(branch, expected)
    beta = torch.stack([rich, cheap]).mean(dim=(3, 4), keepdim=True).softmax(dim=0)     # (2, B, C, 1, 1)
    torch.testing.assert_close(beta.sum(dim=0), torch.ones(2, 16, 1, 1))
    torch.testing.assert_close(unit(x), beta[0] * rich + beta[1] * cheap)


def test_scconv_keeps_the_scale_that_simam_needs():
    # A softmax over all 2 C means leaves a standard deviation of 2.2e-4, and SimAM's gate in [0.6225, 0.6232].
    with torch.no_grad():
        out = SCConv(1024)(random(4, 1024, 16, 16).relu())
    assert out.std() == pytest.approx(0.22, abs=0.02)
    gate = SimAM().gate(out)
    assert gate.min() == pytest.approx(0.6225, abs=1e-4)
    assert gate.max() > 0.99


@pytest.mark.parametrize(("channels", "count"), [(256, 119_552), (1024, 1_903_616)])
def test_scconvs_parameters(channels, count):
    with torch.device("meta"):
        layer = SCConv(channels)
        assert layer(torch.empty(2, channels, 4, 4)).shape == (2, channels, 4, 4)
    assert sum(p.numel() for p in layer.parameters()) == count


def test_an_unknown_gate_is_refused():
    with pytest.raises(ValueError, match="gate='firm' must be"):
        SCConv(16, gate="firm")


# Smoothing


@pytest.mark.parametrize(("size", "sigma"), [(256, 4), (64, 4), (32, 1.3), (32, 8)])
def test_smoothing_is_scipys(size, sigma):
    maps = torch.rand(3, size, size, generator=seeded())
    expected = torch.stack([torch.from_numpy(gaussian_filter(m, sigma)) for m in maps.numpy()])
    torch.testing.assert_close(smooth(maps, sigma), expected, atol=1e-6, rtol=0)
    assert smooth(maps, 0) is maps

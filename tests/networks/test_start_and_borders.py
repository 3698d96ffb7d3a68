"""What no paper has: students that start from the mean of normal features, and maps whose borders are damped."""

import pytest
import torch
from torch.testing import assert_close

from adlib import recipes
from adlib.data import Category
from adlib.losses import cosine_distance
from adlib.networks.destseg import DeSTSeg
from adlib.networks.layers import BorderDamping
from adlib.networks.masked_rd import MaskedRD, ReverseDistillation
from adlib.networks.nearest import NearestPatch
from adlib.networks.stfpm import STFPM
from adlib.networks.teacher import Teacher
from adlib.training import damp_borders, fit, predict

METHODS = pytest.mark.parametrize("method", [DeSTSeg, ReverseDistillation, MaskedRD])


def noise_images(n=5, seed=0) -> torch.Tensor:
    return torch.randint(0, 256, (n, 3, 64, 64), generator=torch.Generator().manual_seed(seed), dtype=torch.uint8)


def make(method, seed=0, **options):
    options |= {"student_width": 8, "width": 8} if method is DeSTSeg else {}
    return method(Teacher(weights="random"), seed=seed, **options)


# The start


@METHODS
def test_a_student_answers_the_mean_at_first(method):
    model, images = make(method).eval(), noise_images()
    model.start_from_mean(model.teacher.pyramids(images))
    t, s = model.features(images[:2] / 255)
    every = model.features(images / 255)[0]
    for a, b, mean in zip(t, s, every, strict=True):
        assert a.shape == b.shape
        assert_close(b, mean.mean(dim=0, keepdim=True).expand_as(b), rtol=1e-4, atol=1e-4)


@METHODS
def test_until_then_a_network_is_the_papers(method):
    model, images = make(method).eval(), noise_images() / 255
    t, s = model.features(images)
    for a, b in zip(t, model.teacher(images), strict=True):
        assert torch.equal(a, b)
    if method is DeSTSeg:
        assert torch.equal(s[0], model.student(model.teacher.normalise(images))[0])
    elif method is ReverseDistillation:
        assert torch.equal(s[0], model.rebuild(images)[1][0])
    assert not [p for p in model.start.parameters() if p.numel()]


def test_destseg_compares_standardised_features():
    model, images = make(DeSTSeg).eval(), noise_images()
    model.start_from_mean(model.teacher.pyramids(images))
    for t in model.features(images / 255)[0]:
        std, mean = torch.std_mean(t, dim=(0, 2, 3))
        assert_close(mean, torch.zeros_like(mean), rtol=0, atol=1e-3)
        assert_close(std, torch.ones_like(std), rtol=0, atol=1e-3)


@METHODS
def test_a_started_student_learns_and_is_saved(method):
    images = noise_images(8)
    data = Category("x", train=images, validation=images[:2], test=images, masks=None,
                    labels=torch.zeros(8, dtype=torch.bool), defects=["good"] * 8, paths=[])
    model = make(method)
    model.start_from_mean(model.teacher.pyramids(images))
    stages = (recipes.destseg(model, noise_images(2, seed=1), "smoke") if method is DeSTSeg
              else {ReverseDistillation: recipes.rd4ad, MaskedRD: recipes.masked_rd}[method](model, "smoke"))
    stages[0].steps = 3
    fit(model, data, stages[:1], log=lambda line: None, device="cpu")
    assert all(model.start.get_parameter(f"gain_{k}").abs().max() > 0 for k in range(3))
    again = make(method, seed=1).eval()
    again.load_state_dict(model.state_dict())
    assert torch.equal(predict(again, images), predict(model, images))


def test_what_ends_in_relus_does_not_start_from_a_mean():
    model = DeSTSeg(Teacher("resnet18", weights="random"), width=8)
    with pytest.raises(ValueError, match="ends in ReLUs"):
        model.start_from_mean(model.teacher.pyramids(noise_images()))


def category(train, validation=None) -> Category:
    return Category("x", train=train, validation=train[:0] if validation is None else validation, test=train,
                    masks=None, labels=torch.zeros(len(train), dtype=torch.bool), defects=["good"] * len(train),
                    paths=[])


def test_the_means_are_compared_as_they_are_defined():
    teacher = Teacher(weights="random")
    train, held = noise_images(6), noise_images(3, seed=1)
    shares = []
    for seen, t in zip(teacher(train / 255), teacher(held / 255), strict=True):
        mean = torch.nn.functional.normalize(seen, dim=1).mean(dim=0)
        vector = mean.mean(dim=(1, 2), keepdim=True)
        shares.append(cosine_distance(mean.expand_as(t), t).mean() / cosine_distance(vector.expand_as(t), t).mean())
    found = recipes.compare_means(teacher.pyramids(train), teacher.pyramids(held))
    assert found == pytest.approx(sum(shares).item() / 3, rel=1e-4)


def test_aligned_parts_start_from_the_mean_and_textures_do_not(capsys):
    part = noise_images(1).repeat(6, 1, 1, 1).float()
    part = torch.nn.functional.interpolate(torch.nn.functional.avg_pool2d(part, 16), scale_factor=16) * 4 - 380
    noisy = (part + 8 * torch.randn(part.shape, generator=torch.Generator().manual_seed(0))).clamp(0, 255).byte()
    shifted = torch.stack([x.roll((13 * i, 29 * i), (1, 2)) for i, x in enumerate(noisy)])
    for images, expected in [(noisy, "mean"), (shifted, "none")]:
        model = make(ReverseDistillation)
        model.teacher = Teacher()
        assert recipes.choose_start(model, category(images[:4], images[4:])) == expected
        assert bool(model.start.mean_0.numel()) == (expected == "mean")
        assert "of the distance of one vector" in capsys.readouterr().out
    assert recipes.choose_start(make(MaskedRD), category(noisy), "none") == "none"
    with pytest.raises(ValueError, match="'middle' is unknown"):
        recipes.choose_start(make(MaskedRD), category(noisy), "middle")


# Borders


def shining(n=6, seed=0) -> torch.Tensor:
    """Maps of noise whose outermost pixels are brighter and more variable."""
    maps = torch.rand(n, 256, 256, generator=torch.Generator().manual_seed(seed))
    edge = torch.ones(256, 256, dtype=torch.bool)
    edge[4:-4, 4:-4] = False
    return torch.where(edge, 2 * maps + 1, maps)


def test_a_border_that_shines_becomes_like_the_rest():
    damping = BorderDamping()
    damping.fit(shining())
    maps = shining(seed=1)
    damped = damping(maps)
    assert torch.equal(damped[:, 40:-40, 40:-40], maps[:, 40:-40, 40:-40])
    edges, inside = damped[:, :4].flatten(), damped[:, 40:-40, 40:-40].flatten()
    assert_close(edges.mean(), inside.mean(), rtol=0, atol=0.01)
    assert_close(edges.std(), inside.std(), rtol=0, atol=0.01)


def test_a_quiet_border_is_left_as_it_is():
    maps = torch.rand(4, 256, 256, generator=torch.Generator().manual_seed(0))
    maps[:, :20] *= 0.5
    maps[:, -20:] *= 0.5
    maps[:, :, :20] *= 0.5
    maps[:, :, -20:] *= 0.5
    damping = BorderDamping()
    damping.fit(maps)
    assert_close(damping(maps), maps, rtol=0, atol=0.01)


def test_rings_are_distances_from_the_edge():
    ring = BorderDamping().rings(256)
    assert (ring[0, 100], ring[255, 3], ring[100, 5], ring[128, 128]) == (0, 0, 5, 32)
    assert torch.equal(BorderDamping().rings(512)[::2, ::2], ring)


@pytest.mark.parametrize("method", [NearestPatch, STFPM, ReverseDistillation, MaskedRD])
def test_models_damp_what_they_predict_and_keep_it(method):
    images, model = noise_images(8), make(method)
    if method is NearestPatch:
        model.fit(images)
    plain = predict(model, images)
    damp_borders(model, images[:4])
    damped = predict(model, images)
    assert_close(damped, model.damping(plain))
    assert not torch.equal(damped, plain)
    again = make(method, seed=1)
    again.load_state_dict(model.state_dict())
    assert torch.equal(predict(again, images), damped)
    damp_borders(model, images[:4])      # not twice
    assert_close(predict(model, images), damped)


def test_nothing_to_damp_with_changes_nothing():
    images, model = noise_images(4), make(STFPM)
    plain = predict(model, images)
    damp_borders(model, images[:0])
    assert torch.equal(predict(model, images), plain)
    damp_borders(make(DeSTSeg), images)

"""RD4AD and masked reverse distillation: the papers' sizes, and what must hold with any teacher."""

import functools

import pytest
import torch
import torch.nn.functional as F
from scipy.ndimage import gaussian_filter

from adlib.losses import cosine_distance, cosine_loss
from adlib.networks.layers import SCConv
from adlib.networks.masked_rd import MaskedRD, MaskGenerator, ReverseDistillation, draw_mask
from adlib.networks.teacher import Teacher
from adlib.settings import BACKBONES
from adlib.training import predict

BOTH = pytest.mark.parametrize("method", [ReverseDistillation, MaskedRD])


@functools.cache
def teacher(backbone, device):
    with torch.device(device):
        return Teacher(backbone, weights="random", seed=1)


def make(method, backbone="efficientnet_lite0", **options):
    return method(teacher(backbone, torch.get_default_device()), **options).eval()


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def loss_of(model, *arguments, **options) -> torch.Tensor:
    return model.loss(*model.features(*arguments, **options))


def millions(module) -> float:
    return sum(p.numel() for p in module.parameters()) / 1e6


@pytest.fixture(scope="module")
def rd():
    return make(ReverseDistillation)


@pytest.fixture(scope="module")
def masked():
    return make(MaskedRD)


@pytest.fixture(scope="module")
def images():
    return torch.rand(3, 3, 64, 64, generator=seeded())


# The papers' networks


@pytest.mark.parametrize(("backbone", "fusion", "embedding", "decoder"), [
    ("resnet18", 0.665, 11.015, 3.703), ("wide_resnet50_2", 10.622, 48.263, 24.918),
    ("resnet50", 10.622, 20.208, 15.822), ("efficientnet_lite0", 0.0996, 2.110, 0.643),
])
def test_parameters_of_rd4ad(backbone, fusion, embedding, decoder):
    with torch.device("meta"):
        model = make(ReverseDistillation, backbone)
    parts = [model.bottleneck.fusion, model.bottleneck.embedding, model.decoder]
    assert [millions(part) for part in parts] == pytest.approx([fusion, embedding, decoder], abs=1e-3)


@pytest.mark.parametrize(("backbone", "embedding", "generators", "trainable"), [
    ("resnet18", 8.394, [78_016, 311_680, 1_245_952], 14.714),
    ("wide_resnet50_2", 41.972, [1_245_952, 4_982_272, 19_926_016], 108.717),
])
def test_parameters_of_masked_rd(backbone, embedding, generators, trainable):
    with torch.device("meta"):
        model = make(MaskedRD, backbone)
    assert millions(model.bottleneck.embedding) == pytest.approx(embedding, abs=1e-3)
    assert [millions(g) * 1e6 for g in model.generators] == pytest.approx(generators)
    total = sum(p.numel() for p in model.parameters() if p.requires_grad) / 1e6
    assert total == pytest.approx(trainable, abs=1e-3)


@pytest.mark.parametrize(("backbone", "channels"), [
    ("resnet18", (64, 128, 256)), ("wide_resnet50_2", (256, 512, 1024)), ("efficientnet_lite0", (24, 40, 112)),
])
@pytest.mark.parametrize(("method", "fused"), [(ReverseDistillation, 3), (MaskedRD, 1)])
def test_shapes_at_256_pixels(backbone, channels, method, fused):
    with torch.device("meta"):
        model = make(method, backbone)
        t = model.teacher(torch.empty(1, 3, 256, 256))
        x = model.bottleneck.fusion(t)
        assert x.shape == (1, fused * channels[2], 16, 16)
        embedding = model.bottleneck(t)
        assert embedding.shape == (1, 2 * channels[2], 8, 8)
        shapes = [(1, c, size, size) for c, size in zip(channels, (64, 32, 16), strict=True)]
        assert [s.shape for s in model.decode(embedding)] == [x.shape for x in t] == shapes


@pytest.mark.parametrize("backbone", BACKBONES)
@pytest.mark.parametrize(("method", "options"), [
    (ReverseDistillation, {}), (MaskedRD, {}), (MaskedRD, {"test_mask": "mean", "test_masks": 2}),
    (MaskedRD, {"mask_generator": False, "simam": False, "scconv": False}),
])
def test_every_backbone_gives_maps(backbone, method, options):
    with torch.device("meta"):
        model = make(method, backbone, **options)
        assert model(torch.empty(2, 3, 64, 64)).shape == (2, 256, 256)
        t, s = model.features(torch.empty(2, 3, 64, 64))
        assert [x.shape for x in t] == [x.shape for x in s]


def test_parts_can_be_left_out(masked, images):
    bare = make(MaskedRD, mask_generator=False, simam=False, scconv=False)
    assert not len(bare.generators)
    assert not any(isinstance(m, SCConv) for m in bare.modules())
    assert isinstance(masked.bottleneck.attention.conv, SCConv)
    t = bare.teacher(images)
    x = bare.bottleneck.fusion(t)
    torch.testing.assert_close(bare.bottleneck.attention(x), bare.bottleneck.attention.conv(x))
    torch.testing.assert_close(bare.features(images)[1], bare.decode(bare.bottleneck(t)))     # S_k as they are
    no_simam = make(MaskedRD, simam=False).bottleneck.attention
    attention = masked.bottleneck.attention                 # the rest keeps its weights
    torch.testing.assert_close(attention(x), attention.simam(no_simam(x)))


# Loss and map


@BOTH
@pytest.mark.parametrize("cosine", ["flat", "pixel", None])
def test_the_loss_is_the_distance_of_whole_vectors_or_of_positions(method, cosine, images):
    model = make(method, **({"cosine": cosine} if cosine else {}))
    cosine = cosine or {ReverseDistillation: "flat", MaskedRD: "pixel"}[method]
    dim = 1 if cosine == "pixel" else (1, 2, 3)
    expected = 0
    for t, s in zip(*model.features(images), strict=True):
        norms = (t * t).sum(dim).sqrt() * (s * s).sum(dim).sqrt()
        expected += (1 - (t * s).sum(dim) / norms).mean()
    torch.testing.assert_close(loss_of(model, images), expected)


@BOTH
def test_the_map_is_the_smoothed_sum_of_the_level_maps(method, images):
    model = make(method, sigma=3)
    with torch.no_grad():
        levels = model.level_maps(*model.features(images))
        total = sum(F.interpolate(m[:, None], size=(256, 256), mode="bilinear")[:, 0] for m in levels)
        expected = torch.stack([torch.from_numpy(gaussian_filter(m, 3)) for m in total.numpy()])
        torch.testing.assert_close(model(images), expected, atol=1e-5, rtol=0)
    for m, t, s in zip(levels, *model.features(images), strict=True):
        torch.testing.assert_close(m, cosine_distance(t, s))


@BOTH
def test_levels_are_those_of_loss_and_map_only(method, images):
    every, some = make(method), make(method, levels=(1, 3))
    assert millions(every.bottleneck) == millions(some.bottleneck)
    t = some.features(images)[0]
    torch.testing.assert_close(t, [every.teacher(images)[k] for k in (0, 2)])
    one = make(method, levels=(2,))
    assert [m.shape for m in one.level_maps(*one.features(images))] == [(3, 8, 8)]
    torch.testing.assert_close(loss_of(one, images), cosine_loss(*one.features(images), cosine=one.cosine))
    if method is ReverseDistillation:
        torch.testing.assert_close(loss_of(some, images) + loss_of(one, images), loss_of(every, images))


@BOTH
def test_known_teacher_features_change_nothing(method, images):
    model = make(method)
    t = model.teacher(images)
    torch.testing.assert_close(loss_of(model, images, t), loss_of(model, images), atol=0, rtol=0)
    known, computed = (model.level_maps(*model.features(images, given)) for given in (t, None))
    torch.testing.assert_close(known, computed, atol=0, rtol=0)
    half = [x.bfloat16() for x in t]                        # as training caches them
    torch.testing.assert_close(loss_of(model, images, half), loss_of(model, images), atol=2e-3, rtol=0)


def test_scores_are_the_largest_value_or_the_mean(rd):
    maps = torch.zeros(2, 256, 256)
    maps[1, 3, 4] = 0.7
    assert rd.image_scores(maps).tolist() == pytest.approx([0, 0.7])
    assert rd.image_scores(maps, image_level=True).tolist() == pytest.approx([0, 0.7 / 256**2])


@pytest.mark.parametrize(("method", "options"), [
    (ReverseDistillation, {}), (MaskedRD, {}), (MaskedRD, {"test_mask": "mean", "rescale": True}),
])
def test_scores_are_the_same_twice_and_for_any_batch_size(method, options):
    model, images = make(method, **options), torch.rand(5, 3, 64, 64, generator=seeded(1))
    scores = model.image_scores(predict(model, images))
    assert scores.min() > 0.01
    assert torch.equal(scores, model.image_scores(predict(model, images)))
    for batch in (1, 2):
        torch.testing.assert_close(model.image_scores(predict(model, images, batch=batch)), scores, atol=1e-4, rtol=0)


# Masks


def test_mask_generator_of_a_case_worked_by_hand():
    # Aligned 2 x - 1, then the sum over a neighbourhood, then 3 times that plus 1: from the one position that is
    # hidden, only its eight neighbours are seen.
    layer = MaskGenerator(1).requires_grad_(False)
    first, _, second = layer.restore
    for convolution, weight, bias in [(layer.align, 2, -1), (first, 1, 0), (second, 0, 1)]:
        convolution.weight.fill_(weight)
        convolution.bias.fill_(bias)
    second.weight[0, 0, 1, 1] = 3
    x, mask = torch.full((1, 1, 3, 3), 2.0), torch.ones(1, 1, 3, 3)
    mask[0, 0, 1, 1] = 0
    assert layer(x)[0, 0, 1, 1] == 3 * (9 * 3) + 1
    assert layer(x, mask)[0, 0, 1, 1] == 3 * (8 * 3) + 1
    assert layer(x, mask)[0, 0].flatten().tolist() == [28, 46, 28, 46, 73, 46, 28, 46, 28]
    assert torch.equal(layer(x, torch.zeros_like(mask)), torch.ones_like(x))


def test_what_is_hidden_changes_nothing():
    layer, x, mask = MaskGenerator(4), torch.randn(2, 4, 6, 6, generator=seeded()), torch.ones(2, 1, 6, 6)
    mask[:, :, 2:4, 2:4] = 0
    other = torch.where(mask == 0, 100, x)
    torch.testing.assert_close(layer(x, mask), layer(other, mask), atol=0, rtol=0)
    assert not torch.allclose(layer(x), layer(other))


def test_masks_hide_their_ratio_of_positions_per_sample():
    mask = draw_mask(torch.empty(4, 7, 100, 100), 0.3, generator=seeded())
    assert mask.shape == (4, 1, 100, 100)                   # one mask for all channels
    assert torch.equal(mask, (torch.rand(4, 1, 100, 100, generator=seeded()) >= 0.3).float())
    hidden = 1 - mask.mean(dim=(1, 2, 3))
    assert (hidden - 0.3).abs().max() < 4 * (0.3 * 0.7 / 100**2) ** 0.5
    assert not torch.equal(mask[0], mask[1])


@pytest.mark.parametrize(("ratio", "value"), [(0, 1), (1, 0)])
def test_masks_can_hide_nothing_or_all(ratio, value):
    assert (draw_mask(torch.empty(2, 3, 8, 8), ratio, generator=seeded()) == value).all()


def test_training_hides_positions_and_validation_does_not(masked, images):
    t, s = masked.teacher(images), masked.decode(masked.bottleneck(masked.teacher(images)))
    generator = seeded(7)
    masks = [draw_mask(x, 0.5, generator=generator) for x in s]
    assert [m.shape for m in masks] == [(3, 1, 16, 16), (3, 1, 8, 8), (3, 1, 4, 4)]     # per image and level
    hidden = [g.restore(g.align(x) * m) for g, x, m in zip(masked.generators, s, masks, strict=True)]
    torch.testing.assert_close(loss_of(masked, images, generator=seeded(7)), cosine_loss(t, hidden))
    plain = [g.restore(g.align(x)) for g, x in zip(masked.generators, s, strict=True)]
    torch.testing.assert_close(loss_of(masked, images), cosine_loss(t, plain))
    assert torch.equal(loss_of(masked, images), loss_of(masked, images))
    assert not torch.equal(loss_of(masked, images, generator=seeded(7)), loss_of(masked, images, generator=seeded(8)))


def test_hiding_nothing_is_not_having_no_generator(images):
    nothing, none = make(MaskedRD, mask_ratio=0), make(MaskedRD, mask_generator=False)
    assert torch.equal(loss_of(nothing, images, generator=seeded()), loss_of(nothing, images))
    assert not torch.allclose(loss_of(none, images), loss_of(nothing, images))
    assert torch.equal(loss_of(none, images, generator=seeded()), loss_of(none, images))


def test_rescaled_masks_keep_the_mean():
    model = make(MaskedRD, mask_ratio=0.75, rescale=True)
    masks = model.draw_masks([torch.empty(8, 24, 32, 32)], seeded())
    assert masks[0].unique().tolist() == [0, 4]
    assert masks[0].mean() == pytest.approx(1, abs=0.1)


def test_test_masks_are_shared_by_all_images_and_averaged(images):
    model = make(MaskedRD, test_mask="mean", test_masks=3, seed=5)
    t, s = model.teacher(images), model.decode(model.bottleneck(model.teacher(images)))
    generator, expected = seeded(5), [0, 0, 0]
    for _ in range(3):
        masks = model.draw_masks([x[:1] for x in s], generator)
        restored = model.restore(s, [m.expand(3, -1, -1, -1) for m in masks])
        expected = [e + cosine_distance(a, b) / 3 for e, a, b in zip(expected, t, restored, strict=True)]
    torch.testing.assert_close(model(images), model.fuse(expected))
    assert not torch.allclose(model(images), make(MaskedRD, seed=5)(images))


# Training


@BOTH
def test_gradients_reach_all_of_the_student_and_nothing_else(method, images):
    model = make(method).train()
    loss_of(model, images, **({"generator": seeded()} if method is MaskedRD else {})).backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in model.parameters() if p.requires_grad)
    assert all(p.grad is None for p in model.teacher.parameters())


@BOTH
def test_training_lowers_the_loss_and_leaves_the_teacher_alone(method, images):
    model = make(method).train()
    before = {k: v.clone() for k, v in model.teacher.state_dict().items()}
    trained = [p for p in model.parameters() if p.requires_grad]
    optimizer, losses = torch.optim.Adam(trained, lr=1e-3), []
    options = {"generator": seeded()} if method is MaskedRD else {}
    for _ in range(12):
        losses.append(loss_of(model, images, **options))
        optimizer.zero_grad()
        losses[-1].backward()
        optimizer.step()
    assert losses[-1] < 0.8 * losses[0]
    assert all(torch.equal(before[k], v) for k, v in model.teacher.state_dict().items())


@BOTH
def test_a_step_in_bf16_has_float32_distances(method, images):
    model = make(method).train()
    options = {"generator": seeded()} if method is MaskedRD else {}
    with torch.autocast("cpu", torch.bfloat16):
        loss = loss_of(model, images, [x.bfloat16() for x in model.teacher(images)], **options)
    loss.backward()
    assert loss.dtype == torch.float32
    assert all(p.grad.isfinite().all() for p in model.parameters() if p.requires_grad)


def test_the_student_of_a_signed_teacher_can_be_negative(rd, images):
    assert all(s.min() < 0 for s in rd.features(images)[1])
    assert all(s.min() >= 0 for s in make(ReverseDistillation, "resnet18").features(images)[1])


@BOTH
def test_the_seed_makes_the_student_and_nothing_else(method):
    state = torch.random.get_rng_state()
    first, again, other = (make(method, seed=seed).state_dict() for seed in (3, 3, 4))
    assert torch.equal(torch.random.get_rng_state(), state)
    assert all(torch.equal(first[k], again[k]) for k in first)
    drawn = [k for k in first if "teacher" not in k and k.endswith("weight") and first[k].ndim == 4]
    assert not any(torch.equal(first[k], other[k]) for k in drawn)


def test_both_methods_start_from_the_same_decoder(rd, masked):
    a, b = rd.decoder.state_dict(), masked.decoder.state_dict()
    assert all(torch.equal(a[k], b[k]) for k in a)


@pytest.mark.parametrize(("method", "options"), [
    (ReverseDistillation, {"levels": (1, 3), "cosine": "pixel", "sigma": 2.0, "seed": 4}),
    (MaskedRD, {"mask_ratio": 0.25, "simam": False, "test_mask": "mean", "test_masks": 3, "rescale": True, "seed": 4}),
])
def test_arguments_build_the_same_model_again(method, options, images):
    model = make(method, **options)
    assert model.arguments.items() >= options.items()
    assert torch.equal(make(method, **model.arguments)(images), model(images))


@pytest.mark.parametrize(("method", "options", "message"), [
    (ReverseDistillation, {"levels": (1, 4)}, "out of 1, 2, 3"), (ReverseDistillation, {"levels": ()}, "out of 1, 2"),
    (ReverseDistillation, {"levels": (3, 1)}, "increasing"), (ReverseDistillation, {"cosine": "both"}, "'flat' or"),
    (ReverseDistillation, {"sigma": -1}, "sigma=-1"), (MaskedRD, {"mask_ratio": 1}, "mask_ratio=1"),
    (MaskedRD, {"mask_ratio": -0.1}, "mask_ratio=-0.1"), (MaskedRD, {"test_mask": "off"}, "'none' or 'mean'"),
    (MaskedRD, {"test_masks": 0}, "test_masks=0"),
    (MaskedRD, {"test_mask": "mean", "mask_generator": False}, "needs masks"),
])
def test_wrong_arguments_are_refused(method, options, message):
    with pytest.raises(ValueError, match=message), torch.device("meta"):
        make(method, **options)


def test_a_teacher_of_other_levels_is_refused():
    with pytest.raises(ValueError, match=r"levels are \(2, 3\), must be"):
        ReverseDistillation(Teacher(levels=(2, 3), weights="random"))

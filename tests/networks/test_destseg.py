"""DeSTSeg: the paper's shapes, numbers and small vectors, and what each training stage may move."""

from functools import cache

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from adlib.losses import cosine_distance, focal_loss, l1_loss
from adlib.networks.destseg import DeSTSeg, interpolate_by_matrices, resize, shrink_target
from adlib.networks.layers import ASPP
from adlib.networks.teacher import Teacher
from adlib.settings import BACKBONES

SMALL = {"student_width": 8, "width": 8}


@cache
def frozen(backbone: str, device: str) -> Teacher:
    """A teacher that all tests may share, since nothing moves it."""
    with torch.device(device):
        return Teacher(backbone, weights="random", seed=1)


def make(backbone="efficientnet_lite0", *, device="cpu", **options) -> DeSTSeg:
    """On the meta device there are shapes only: no memory, no time."""
    with torch.device(device):
        return DeSTSeg(frozen(backbone, device), **{**SMALL, **options}).eval()


def paper() -> DeSTSeg:
    return make("resnet18", device="meta", student_width=64, width=256)


def count(*modules: nn.Module) -> int:
    return sum(p.numel() for module in modules for p in module.parameters())


def shapes(features) -> list[tuple[int, ...]]:
    return [tuple(x.shape[1:]) for x in features]


def random(*shape, seed=0):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.fixture(scope="module")
def model():
    return make()


@pytest.fixture(scope="module")
def images():
    return random(2, 3, 64, 64)


@pytest.fixture(scope="module")
def corrupted(images):
    return torch.cat([images[..., :40], random(2, 3, 64, 24, seed=1)], dim=-1)


@pytest.fixture(scope="module")
def masks():
    return (random(2, 64, 64, seed=2) > 0.6).float()


# The paper's network


def test_the_student_has_the_papers_parameters():
    student = paper().student
    assert count(student.stem, student.encoder) == 11_176_512           # ResNet18 without its classifier
    assert [count(x) for x in (student.bottom, *student.decoder)] == [9_441_280, 3_082_752, 771_328, 193_152]
    assert count(student.bottom, student.decoder) == 13_488_512
    assert count(student.outputs) == 0
    assert count(student) == 11_176_512 + 13_488_512


def test_the_segmentation_network_has_the_papers_parameters():
    net = paper().segmentation_net
    assert (count(net.res), count(net.head)) == (2_918_912, 4_787_457)
    assert [name for name, _ in net.named_children()] == ["res", "head"]


def test_the_papers_shapes_at_256_pixels():
    model, x = paper(), torch.empty(2, 3, 256, 256, device="meta")
    t, s = model.features(x)
    assert shapes(t) == shapes(s) == [(64, 64, 64), (128, 32, 32), (256, 16, 16)]
    encoded = [model.student.stem(x)]
    for stage in model.student.encoder:
        encoded.append(stage(encoded[-1]))
    assert shapes(encoded) == [(64, 64, 64), (64, 64, 64), (128, 32, 32), (256, 16, 16), (512, 8, 8)]
    assert model.segment(x).shape == (2, 64, 64)
    assert model(x).shape == (2, 256, 256)


@pytest.mark.parametrize(("backbone", "kind", "channels"), [
    ("resnet18", "product", 448), ("resnet18", "concat", 896), ("resnet18", "distance", 3),
    ("efficientnet_lite0", "product", 176), ("wide_resnet50_2", "product", 1792),
])
def test_the_segmentation_input_has_the_papers_channels(backbone, kind, channels):
    model = make(backbone, device="meta", segmentation_input=kind)
    x = model.compare(*model.features(torch.empty(2, 3, 256, 256, device="meta")))
    assert x.shape == (2, channels, 64, 64)
    assert model.segmentation_net.res[0].main[0].in_channels == channels


def test_weights_start_as_in_the_official_code():
    model = make("resnet18", width=64, student_width=16)
    convs = {name: m.weight.std().item() * (m.out_channels * m.kernel_size[0] ** 2 / 2) ** 0.5
             for name, m in model.named_modules() if isinstance(m, nn.Conv2d) and not name.startswith("teacher")}
    kaiming = [v for k, v in convs.items() if k.startswith(("student", "segmentation_net.res"))]
    head = [v for k, v in convs.items() if k.startswith("segmentation_net.head") and "pooled" not in k]
    assert kaiming == pytest.approx([1] * len(kaiming), abs=0.2)       # std sqrt(2 / fan_out)
    assert max(head[:-1]) < 0.5
    gains = [m.weight for m in model.student.modules() if isinstance(m, nn.BatchNorm2d)]
    assert all(gain.eq(1).all() for gain in gains)                     # timm's last gain of a block would be 0


# Masks


def test_a_mask_shrinks_to_the_worked_case():
    mask = torch.zeros(1, 8, 8)
    for y, x in [(1, 1), (1, 2), (0, 4), (0, 5), (0, 6), (0, 7), (5, 1), (5, 5), (6, 5), (5, 6)]:
        mask[0, y, x] = 1
    halves = F.interpolate(mask[None], size=(2, 2), mode="bilinear")
    assert halves[0, 0].tolist() == [[0.5, 0], [0.25, 0.75]]
    assert shrink_target(mask, 2)[0].tolist() == [[1, 0], [0, 1]]      # a tie is anomalous
    antialiased = F.interpolate(mask[None], size=(2, 2), mode="bilinear", antialias=True)
    torch.testing.assert_close(antialiased[0, 0], torch.tensor([[0.1607, 0.1798], [0.0804, 0.1875]]), atol=1e-4, rtol=0)


def test_a_shrunk_mask_counts_the_four_central_pixels_of_each_cell(masks):
    cells = masks.unflatten(1, (16, 4)).unflatten(3, (16, 4))         # (B, 64, 64) -> (B, 16, 4, 16, 4)
    central = cells[:, :, 1:3, :, 1:3].sum(dim=(2, 4))
    assert {1.0, 2.0} <= set(central.unique().tolist())
    assert torch.equal(shrink_target(masks, 16), (central >= 2).float())
    for same in (masks > 0, masks[:, None]):
        assert torch.equal(shrink_target(same, 16), shrink_target(masks, 16))


# Segmentation input


@pytest.mark.parametrize("backbone", ["efficientnet_lite0", "resnet18"])
def test_the_products_channels_of_a_level_add_up_to_the_cosine(backbone, images):
    model = make(backbone)
    t, s = model.features(images)
    x = model.compare(t, s).split(model.teacher.channels, dim=1)
    for level, a, b in zip(x, t, s, strict=True):
        cos = (1 - cosine_distance(a, b))[:, None]
        torch.testing.assert_close(level.sum(dim=1, keepdim=True), resize(cos, level), atol=1e-5, rtol=0)


def test_a_worked_product():
    t, s = torch.tensor([3.0, -4]).view(1, 2, 1, 1), torch.tensor([0, -2.0]).view(1, 2, 1, 1)
    assert make().compare([t], [s]).flatten().tolist() == pytest.approx([0, 0.8])      # the sign of the paper


def test_vectors_become_unit_ones_before_they_are_up_sampled():
    # A long and a short vector: half way between them the short one counts as much.
    t = torch.tensor([[100.0, 0], [0, 1]]).view(1, 2, 1, 2).expand(-1, -1, 2, -1)
    first = torch.ones(1, 1, 4, 4)
    x = make(segmentation_input="concat").compare([first, t], [first, -t])
    assert x[0, :, 0].tolist() == [[1] * 4, [1, 0.75, 0.25, 0], [0, 0.25, 0.75, 1],          # T, then S
                                   [1] * 4, [-1, -0.75, -0.25, 0], [0, -0.25, -0.75, -1]]


def test_distance_maps_are_the_up_sampled_level_maps(images):
    model = make(segmentation_input="distance")
    x = model.compare(*model.features(images))
    for k, d in enumerate(model.level_maps(*model.features(images))):
        torch.testing.assert_close(x[:, k : k + 1], F.interpolate(d[:, None], size=(16, 16), mode="bilinear"))


def test_the_official_codes_sign_is_another_sign_of_the_first_weights(images):
    model = make()
    x = model.compare(*model.features(images))
    before = model.segmentation_net(x)
    first = model.segmentation_net.res[0]
    with torch.no_grad():
        first.main[0].weight.neg_()
        first.shortcut[0].weight.neg_()
    assert not torch.allclose(model.segmentation_net(x), before)
    torch.testing.assert_close(model.segmentation_net(-x), before)


# ASPP


def test_aspp_sees_the_mean_and_three_rings():
    aspp = ASPP(4).eval()
    probe = torch.zeros(1, 4, 49, 49)
    probe[..., 24, 24] = 1
    with torch.no_grad():
        for d, branch in zip((6, 12, 18), aspp.dilated, strict=True):
            moved = (branch[0](probe) != 0).any(dim=1)[0].nonzero().tolist()
            assert moved == [[y, x] for y in (24 - d, 24, 24 + d) for x in (24 - d, 24, 24 + d)]
        pooled = aspp.pooled(probe)
        expected = aspp.pooled[1][1:](aspp.pooled[1][0](probe.mean(dim=(2, 3), keepdim=True)))
    torch.testing.assert_close(pooled, expected)
    assert pooled.shape == (1, 4, 1, 1)
    assert aspp.fuse[0].in_channels == 16               # four branches: no plain 1x1


def test_aspp_is_its_branches_one_after_the_other():
    aspp, x = ASPP(4).eval(), random(2, 4, 9, 7)
    b0 = F.interpolate(aspp.pooled(x), size=(9, 7), mode="bilinear")
    expected = aspp.fuse(torch.cat([b0, *(branch(x) for branch in aspp.dilated)], dim=1))
    torch.testing.assert_close(aspp(x), expected)


def test_aspp_keeps_channels_last_for_its_last_convolution():
    seen = []
    aspp = ASPP(4).to(memory_format=torch.channels_last)
    aspp.fuse.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    aspp(random(2, 4, 9, 7).to(memory_format=torch.channels_last))
    assert seen[0].is_contiguous(memory_format=torch.channels_last)


# Student


@pytest.mark.parametrize(("student_width", "encoder_decoder"), [(8, True), (8, False), (24, True)])   # 24 is C_1
def test_the_student_of_a_signed_teacher_can_be_negative(student_width, encoder_decoder, images):
    model = make("efficientnet_lite0", student_width=student_width, encoder_decoder=encoder_decoder)
    t, s = model.features(images)
    assert shapes(s) == shapes(t) == [(24, 16, 16), (40, 8, 8), (112, 4, 4)]
    assert all(level.min() < 0 for level in s)


@pytest.mark.parametrize(("backbone", "student_width", "convolutions"), [
    ("resnet18", 64, 0), ("resnet18", 16, 3), ("resnet50", 8, 3)])
@pytest.mark.parametrize("encoder_decoder", [True, False])
def test_the_student_of_another_teacher_is_never_negative(
    backbone, student_width, convolutions, encoder_decoder, images
):
    model = make(backbone, student_width=student_width, encoder_decoder=encoder_decoder, segmentation=False)
    t, s = model.features(images[:1])
    assert shapes(s) == shapes(t)
    assert all(level.min() >= 0 and level.max() > 0 for level in s)
    assert sum(isinstance(m, nn.Conv2d) for m in model.student.outputs.modules()) == convolutions


def test_a_level_passes_its_own_channels_on_not_the_teachers():
    student = make(student_width=16).student
    assert [stage[0].main[0].in_channels for stage in student.decoder] == [128, 64, 32]
    assert [out[0].in_channels for out in student.outputs] == [16, 32, 64]


def test_without_a_decoder_the_levels_are_the_encoders(images):
    student = make("resnet18", student_width=64, encoder_decoder=False, segmentation=False).student
    assert count(student) == 2_782_784                  # ResNet18 up to level 3
    x = images[:1]
    x1 = student.encoder[0](student.stem(x))
    x2 = student.encoder[1](x1)
    expected = [x1, x2, student.encoder[2](x2)]
    for level, wanted in zip(student(x), expected, strict=True):
        torch.testing.assert_close(level, wanted)


def test_the_decoder_sees_nothing_but_the_encoders_last_stage(images):
    student = make().student
    before = student(images)
    student.encoder[-1].register_forward_hook(lambda module, inputs, x: torch.zeros_like(x))
    blind = student(images)
    assert all(torch.equal(level[0], level[1]) for level in blind)
    assert not any(torch.equal(level[0], level[1]) for level in before)


def test_images_need_not_divide_by_32():
    model = make()
    t, s = model.features(random(1, 3, 48, 48))
    assert shapes(t) == shapes(s)
    assert model(random(1, 3, 48, 48)).shape == (1, 256, 256)


# Losses


def student_loss(model, clean, corrupted) -> torch.Tensor:
    """As in stage 1: the teacher sees the clean image, the student the corrupted one."""
    return model.student_loss(*model.features(corrupted, model.teacher(clean)))


def test_the_student_loss_is_the_sum_over_images_of_the_level_means(model, images, corrupted):
    t, s = model.teacher(images), model.student((corrupted - 0.5) / 0.5)
    expected = sum(cosine_distance(a, b)[n].mean() for a, b in zip(t, s, strict=True) for n in (0, 1))
    torch.testing.assert_close(student_loss(model, images, corrupted), expected)


def test_the_student_loss_of_two_equal_images_is_twice_that_of_one(model, images, corrupted):
    one = student_loss(model, images[:1], corrupted[:1])
    two = student_loss(model, images[[0, 0]], corrupted[[0, 0]])
    torch.testing.assert_close(two, 2 * one)


def test_the_segmentation_loss_is_focal_plus_l1_of_the_corrupted_image(model, corrupted, masks):
    logits, target = model.segment(corrupted), shrink_target(masks, 16)
    focal, l1 = focal_loss(logits, target, gamma=4), l1_loss(logits, target)
    torch.testing.assert_close(model.segmentation_loss(corrupted, masks), focal + l1)
    torch.testing.assert_close(make(l1=False).segmentation_loss(corrupted, masks), focal)
    torch.testing.assert_close(model.segmentation_loss(corrupted[[0, 0]], masks[[0, 0]]),
                               model.segmentation_loss(corrupted[:1], masks[:1]))


def test_losses_and_maps_are_float32_under_bf16(images, corrupted, masks):
    model = make()
    exact = student_loss(model, images, corrupted)
    with torch.autocast("cpu", torch.bfloat16):
        assert model.features(images)[1][0].dtype == torch.bfloat16
        results = [student_loss(model, images, corrupted), model.segmentation_loss(corrupted, masks),
                   model.segment(images), model(images), model.product_map(images),
                   model.compare(*model.features(images))]
    assert [x.dtype for x in results] == [torch.float32] * len(results)
    assert results[0].item() == pytest.approx(exact.item(), rel=0.02)


# What each stage trains


def step(loss, *modules: nn.Module) -> None:
    optimizer = torch.optim.SGD([p for m in modules for p in m.parameters()], lr=0.4, momentum=0.9, weight_decay=1e-4)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()


def state(module: nn.Module) -> dict[str, torch.Tensor]:
    return {k: v.clone() for k, v in module.state_dict().items()}


def moved(before: dict, module: nn.Module) -> set[str]:
    return {k for k, v in module.state_dict().items() if not torch.equal(v, before[k])}


@pytest.mark.parametrize("backbone", ["efficientnet_lite0", "resnet18"])
def test_stage_1_moves_all_of_the_student_and_nothing_else(backbone, images, corrupted):
    model = make(backbone)
    model.student.train()
    before = state(model)
    step(student_loss(model, images, corrupted), model.student)
    assert moved(before, model) == {k for k in before if k.startswith("student.")}
    assert all(p.grad is None for m in (model.teacher, model.segmentation_net) for p in m.parameters())


@pytest.mark.parametrize("kind", ["product", "concat", "distance"])
def test_stage_2_moves_all_of_the_segmentation_network_and_nothing_else(kind, corrupted, masks):
    model = make(segmentation_input=kind)
    model.segmentation_net.train()
    before = state(model)
    step(model.segmentation_loss(corrupted, masks), model.segmentation_net.res, model.segmentation_net.head)
    assert moved(before, model) == {k for k in before if k.startswith("segmentation_net.")}
    assert all(p.grad is None for m in (model.teacher, model.student) for p in m.parameters())


def test_a_few_steps_lower_both_losses(images, corrupted, masks):
    model = make().train()
    first = student_loss(model, images, corrupted).item()
    for _ in range(8):
        step(student_loss(model, images, corrupted), model.student)
    assert student_loss(model, images, corrupted).item() < 0.8 * first
    model.student.eval()
    first = model.segmentation_loss(corrupted, masks).item()
    for _ in range(8):
        step(model.segmentation_loss(corrupted, masks), model.segmentation_net)
    assert model.segmentation_loss(corrupted, masks).item() < 0.9 * first


def test_the_seed_makes_the_weights_and_leaves_the_global_generator_alone():
    before = torch.get_rng_state()
    first, again, other = (make(seed=seed).state_dict() for seed in (3, 3, 4))
    assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(first[k], again[k]) for k in first)
    drawn = [k for k in first if k.endswith("weight") and first[k].ndim == 4 and not k.startswith("teacher")]
    assert not any(torch.equal(first[k], other[k]) for k in drawn)


def test_ablations_of_the_segmentation_share_their_student():
    student = state(make().student)
    for options in ({"segmentation": False}, {"segmentation_input": "concat"}, {"width": 16}, {"l1": False}):
        assert not moved(student, make(**options).student)


# Maps and scores


def test_the_map_is_the_up_sampled_probability(images):
    model = make()
    with torch.no_grad():
        model.segmentation_net.head[-1].weight.mul_(3000)       # far from where a sigmoid is a line
        probability, maps = model.segment(images).sigmoid(), model(images)
    expected = F.interpolate(probability[:, None], size=(256, 256), mode="bilinear")[:, 0]
    torch.testing.assert_close(maps, expected)
    assert 0 <= maps.min() < 0.2 < 0.8 < maps.max() <= 1


def test_without_segmentation_the_map_is_the_product_at_a_quarter_of_the_image(model, images):
    plain = make(segmentation=False)
    maps = plain.level_maps(*plain.features(images))
    assert [m.shape for m in maps] == [(2, 16, 16), (2, 8, 8), (2, 4, 4)]
    a, b, c = (F.interpolate(m[:, None], size=(16, 16), mode="bilinear") for m in maps)
    expected = F.interpolate(a * b * c, size=(256, 256), mode="bilinear")[:, 0]
    torch.testing.assert_close(plain(images), expected)
    torch.testing.assert_close(model.product_map(images), expected)


def test_the_score_is_the_mean_of_the_largest_pixels(model):
    maps = torch.zeros(2, 256, 256)
    maps[0, 0, :50] = 1
    maps[1, 10, :250], maps[1, 99, 7] = 0.5, 1.5
    assert model.image_scores(maps).tolist() == pytest.approx([0.5, 0.51])
    assert make(top=1).image_scores(maps).tolist() == [1, 1.5]
    values = random(3, 256, 256)
    torch.testing.assert_close(model.image_scores(values), values.flatten(1).sort().values[:, -100:].mean(dim=1))


def test_a_smaller_map_has_the_same_share_of_pixels(model):
    values = random(1, 64, 64)
    torch.testing.assert_close(model.image_scores(values), values.flatten(1).sort().values[:, -6:].mean(dim=1))


@pytest.mark.parametrize(("options", "message"), [
    ({"segmentation_input": "sum"}, "one of product, concat, distance"), ({"student_width": 0}, "1 or more"),
    ({"width": 0}, "1 or more"), ({"top": 0}, "between 1 and"), ({"top": 65537}, "between 1 and the 65536 pixels"),
])
def test_wrong_arguments_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        make(**options)


def test_a_teacher_of_other_levels_is_refused():
    with pytest.raises(ValueError, match=r"levels \(1, 2\); build it with levels=\(1, 2, 3\)"):
        DeSTSeg(Teacher(levels=(1, 2), weights="random"))


def test_segmenting_without_a_segmentation_network_is_refused(images, masks):
    with pytest.raises(ValueError, match="segmentation=False; use product_map"):
        make(segmentation=False).segmentation_loss(images, masks)


def test_the_arguments_build_the_network_again(images):
    options = {"denoising": False, "encoder_decoder": False, "l1": False, "segmentation_input": "distance", "top": 7,
               "seed": 5, **SMALL}
    model = make(**options)
    assert model.arguments == {**options, "segmentation": True}
    again = DeSTSeg(model.teacher, **model.arguments).eval()
    assert torch.equal(again(images), model(images))
    assert (again.denoising, again.l1, again.top) == (False, False, 7)


@pytest.mark.parametrize("backbone", BACKBONES)
@pytest.mark.parametrize("options", [
    {"student_width": 64, "width": 256}, {"encoder_decoder": False, "segmentation": False},
    {"encoder_decoder": False, "segmentation_input": "concat"},
], ids=str)
def test_every_backbone_gives_maps(backbone, options):
    model, x = make(backbone, device="meta", **options), torch.empty(2, 3, 64, 64, device="meta")
    assert shapes(model.student(x)) == [(c, 16 >> k, 16 >> k) for k, c in enumerate(model.teacher.channels)]
    assert model(x).shape == (2, 256, 256)


@pytest.mark.parametrize("size", [(8, 6), (12, 12), (4, 3)])
def test_interpolation_by_matrices_is_that_of_pytorch(size):
    x = torch.randn(2, 3, 4, 3, generator=torch.Generator().manual_seed(0), requires_grad=True)
    weights = torch.randn(2, 3, *size, generator=torch.Generator().manual_seed(1))
    results = [interpolate_by_matrices(x, size), F.interpolate(x, size=size, mode="bilinear")]
    gradients = [torch.autograd.grad((y * weights).sum(), x)[0] for y in results]
    torch.testing.assert_close(*results)
    torch.testing.assert_close(*gradients)

"""STFPM: the papers' numbers for small cases, and what must hold with any backbone."""

import pytest
import torch

from adlib.losses import cosine_distance
from adlib.networks.layers import upsample
from adlib.networks.stfpm import STFPM
from adlib.networks.teacher import Teacher
from adlib.settings import BACKBONES


def make(backbone="efficientnet_lite0", *, teacher_seed=1, **options) -> STFPM:
    return STFPM(Teacher(backbone, weights="random", seed=teacher_seed), **options).eval()


def loss_of(model, *arguments, **options) -> torch.Tensor:
    return model.loss(*model.features(*arguments, **options))


@pytest.fixture(scope="module")
def model():
    return make()


@pytest.fixture(scope="module")
def images():
    return torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))


def test_product_before_or_after_up_sampling_of_one_row():
    a, b = torch.tensor([[[0.0, 1]] * 2]), torch.tensor([[[1.0, 0]] * 2])
    assert upsample(a * b, 4)[0, 0].tolist() == [0, 0, 0, 0]
    assert (upsample(a, 4) * upsample(b, 4))[0, 0].tolist() == [0, 0.1875, 0.1875, 0]
    row = torch.tensor([[[0.0, 1], [2, 3]]])
    assert upsample(row, 4)[0, 0].tolist() == [0, 0.25, 0.75, 1]


def test_product_before_or_after_up_sampling():
    # Level maps [0, 1] and [1, 0]: nothing is left of their product, but something of their up-sampled product.
    a, b = torch.tensor([[[0.0, 1], [0, 1]]]), torch.tensor([[[1.0, 0], [1, 0]]])
    early = make(levels=(1, 2)).fuse([a, b])
    assert early.shape == (1, 256, 256)
    assert early.max() == 0
    late = make(levels=(1, 2), fuse_at="image").fuse([a, b])
    assert late[0, 0, 127] == pytest.approx(0.25, abs=1e-4)     # (1 - x) x at the middle
    assert late[0, 0, [0, 255]].abs().max() == 0


def test_stride4_takes_the_product_at_a_quarter_of_the_image(model):
    maps = [torch.rand(2, s, s, generator=torch.Generator().manual_seed(s)) for s in (16, 8, 4)]
    resize = [torch.nn.functional.interpolate(m[:, None], size=(16, 16), mode="bilinear") for m in maps]
    expected = torch.nn.functional.interpolate(resize[0] * resize[1] * resize[2], size=(256, 256), mode="bilinear")
    torch.testing.assert_close(model.fuse(maps), expected[:, 0])
    single = make(levels=(2,))                                  # also where level 1 is not among the levels
    expected = torch.nn.functional.interpolate(resize[1], size=(256, 256), mode="bilinear")
    torch.testing.assert_close(single.fuse(maps[1:2]), expected[:, 0])


def test_the_loss_is_the_weighted_sum_of_the_level_maps_means(images):
    model = make(weights=(1, 0.5, 2))
    maps = model.level_maps(*model.features(images))
    assert [m.shape for m in maps] == [(2, 16, 16), (2, 8, 8), (2, 4, 4)]
    torch.testing.assert_close(loss_of(model, images), maps[0].mean() + 0.5 * maps[1].mean() + 2 * maps[2].mean())


def test_known_teacher_features_change_nothing(model, images):
    torch.testing.assert_close(loss_of(model, images, model.teacher(images)), loss_of(model, images), atol=0, rtol=0)


def test_the_loss_does_not_depend_on_the_batch_size(model, images):
    torch.testing.assert_close(loss_of(model, images), (loss_of(model, images[:1]) + loss_of(model, images[1:])) / 2)


def test_a_student_with_the_teachers_weights_agrees_with_it(images):
    model = make()
    assert model(images).max() > 1e-4
    model.student.load_state_dict(model.teacher.net.state_dict())
    assert model(images).max() < 1e-6


def test_levels_pick_out_of_the_teachers(model, images):
    one = make(levels=(2,))
    t, s = one.features(images)
    torch.testing.assert_close(t[0], model.teacher(images)[1])
    torch.testing.assert_close(one.level_maps(*one.features(images))[0], cosine_distance(t[0], s[0]))


def test_gradients_reach_all_of_the_student_and_nothing_else(images):
    model = make().train()
    loss_of(model, images).backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in model.student.parameters())
    assert all(p.grad is None for p in model.teacher.parameters())


def test_the_student_of_a_signed_teacher_can_be_negative(images):
    t, s = make("efficientnet_lite0").train().features(images)
    assert all(level.min() < 0 for level in [*t, *s])
    assert all(level.min() >= 0 for level in make("resnet18").features(images)[1])


def test_the_seed_makes_the_student():
    first, again, other = (make(seed=seed).student.state_dict() for seed in (3, 3, 4))
    assert all(torch.equal(first[k], again[k]) for k in first)
    assert not torch.equal(first["conv_stem.weight"], other["conv_stem.weight"])


def test_scores_are_the_largest_values(model):
    maps = torch.zeros(2, 256, 256)
    maps[1, 3, 4] = 0.7
    assert model.image_scores(maps).tolist() == pytest.approx([0, 0.7])
    assert model.image_scores(maps, image_level=True).tolist() == pytest.approx([0, 0.7 / 256**2])


@pytest.mark.parametrize(("options", "message"), [
    ({"levels": (1, 4)}, "among the teacher's"), ({"weights": (1, 1)}, "one per level"), ({"fuse_at": "64"}, "fuse_at"),
])
def test_wrong_arguments_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        make(**options)


@pytest.mark.parametrize("backbone", BACKBONES)
def test_every_backbone_gives_maps(backbone):
    with torch.device("meta"):          # shapes only: no memory, no time
        model = make(backbone)
        assert model(torch.empty(2, 3, 64, 64)).shape == (2, 256, 256)
        t, s = model.features(torch.empty(2, 3, 64, 64))
        assert [x.shape for x in t] == [x.shape for x in s]

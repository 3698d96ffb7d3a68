"""Synthetic anomalies: noise against a slow oracle, the statistics of the masks, and what a blend must keep."""

import numpy as np
import pytest
import torch
from scipy import ndimage

from adlib.perlin import (
    GREY,
    anomaly_masks,
    corrupt,
    noise_from_gradients,
    perlin_noise,
    rotate,
    rotate_images,
)
from adlib.settings import ROTATION

CORNERS = [(p, q) for p in (0, 1) for q in (0, 1)]
LAST = torch.channels_last


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def slow_noise(gradients, cells, size):
    """One image, one pixel after the other."""
    noise = np.zeros((size, size))
    for i, j in np.ndindex(size, size):
        y, x = i * cells[0] / size, j * cells[1] / size
        for p, q in CORNERS:
            dy, dx = y - (int(y) + p), x - (int(x) + q)
            gy, gx = gradients[:, int(y) + p, int(x) + q]
            ty, tx = 1 - abs(dy), 1 - abs(dx)
            wy, wx = (6 * t**5 - 15 * t**4 + 10 * t**3 for t in (ty, tx))
            noise[i, j] += wy * wx * (gy * dy + gx * dx)
    return 2**0.5 * noise


@pytest.fixture(scope="module")
def images():
    return torch.rand(4, 3, 64, 64, generator=generator())


@pytest.fixture(scope="module")
def textures():
    return torch.randint(0, 256, (5, 3, 64, 64), dtype=torch.uint8, generator=generator(1))


@pytest.fixture(scope="module")
def coverage():
    """Share of the image under each of 2,048 masks at 256 px."""
    draw = generator()
    return torch.cat([anomaly_masks(32, 256, generator=draw).mean(dim=(1, 2, 3)) for _ in range(64)])


def test_noise_is_what_a_loop_over_pixels_gives():
    gradients = torch.randn(4, 2, 33, 33, generator=generator())
    cells = torch.tensor([[1, 1], [2, 8], [32, 1], [4, 32]])
    noise = noise_from_gradients(gradients, cells, 32)
    for one, g, n in zip(noise, gradients, cells, strict=True):
        np.testing.assert_allclose(one, slow_noise(g.double().numpy(), n.tolist(), 32), atol=2e-6)


def test_noise_of_one_gradient_by_hand():
    gradients = torch.zeros(1, 2, 2, 2)
    gradients[0, 1, 0, 0] = 1                       # points along x, at the top left corner
    noise = noise_from_gradients(gradients, torch.tensor([[1, 1]]), 4)
    fades = [1, 1 - 0.103515625, 0.5, 0.103515625]  # of 1, 3/4, 1/2, 1/4
    expected = torch.tensor([[2**0.5 * wy * wx * j / 4 for j, wx in enumerate(fades)] for wy in fades])
    torch.testing.assert_close(noise[0], expected)


def test_gradients_have_length_one_and_every_direction():
    # Where hardly any weight but one corner's is left, the noise of a 1 x 1 lattice is sqrt(2) g d.
    noise = perlin_noise(2000, 64, generator=generator(), exponents=(0, 1)).double()
    step = 2**0.5 / 64
    slopes = torch.stack([noise[:, 1, 0], noise[:, 0, 1]]) / step
    torch.testing.assert_close(slopes.square().sum(0), torch.ones(2000).double(), atol=0.01, rtol=0)
    quarters = torch.bincount(2 * (slopes[0] > 0) + (slopes[1] > 0), minlength=4)
    assert quarters.min() > 430         # 500 expected; 70 are 3.6 standard deviations


def test_each_image_has_a_lattice_of_its_own():
    noise = perlin_noise(400, 32, generator=generator(), exponents=(0, 3))
    # The noise is 0 on lattice points: of 1, 2 or 4 cells, those at pixels 0; 0, 16; 0, 8, 16, 24.
    fine = (noise[:, [0, 0, 8, 8], [8, 24, 0, 16]].abs() < 1e-6).all(dim=1)         # 4 x 4
    coarse = (noise[:, 0, [8, 16, 24]].abs() > 1e-6).all(dim=1)                     # one cell along x
    assert 25 < fine.sum() < 65         # a ninth
    assert 100 < coarse.sum() < 167     # a third
    assert noise[:, 0, 0].abs().max() < 1e-6


def test_statistics_of_the_masks(coverage):
    some = coverage[coverage > 0]
    assert 0.035 < (coverage == 0).float().mean() < 0.065
    assert 0.045 < coverage.mean() < 0.052                      # 0.054 where nothing is turned
    assert 0.044 < some.median() < 0.050
    low, high = some.quantile(torch.tensor([0.05, 0.95]))
    assert 0.0145 < low < 0.0195                                # a linear or cubic fade: 0.008, 0.013
    assert 0.088 < high < 0.104
    assert (coverage > 0.2).float().mean() < 0.02


@pytest.mark.parametrize(("exponents", "least", "most"), [((0, 1), 0.54, 0.62), ((1, 2), 0.13, 0.20), ((3, 4), 0, 0)])
def test_share_of_empty_masks_for_one_lattice(exponents, least, most):
    masks = anomaly_masks(2000, 32, generator=generator(), exponents=exponents)
    assert least <= (masks.sum(dim=(1, 2, 3)) == 0).float().mean() <= most


def test_turning_costs_a_tenth_of_the_area():
    def area(rotation):         # lattices that are coarse for 64 px, so that bilinear smoothing costs nothing besides
        return anomaly_masks(1000, 64, generator=generator(), exponents=(1, 4), rotation=rotation).mean().item()

    assert area(90) / area(0) == pytest.approx(0.9, abs=0.04)


def test_a_threshold_is_strict():
    assert anomaly_masks(3, 32, generator=generator(), exponents=(0, 1), rotation=0, threshold=0)[:, 0, 0, 0].sum() == 0
    masks = anomaly_masks(3, 32, generator=generator(), rotation=0, threshold=-2)
    assert torch.equal(masks, torch.ones(3, 1, 32, 32))


@pytest.mark.parametrize("degrees", [-67.0, -5.0, 30.0, 90.0, 135.0])
def test_rotation_is_scipys_inside_the_image(images, degrees):
    turned = rotate(images, torch.full((4,), degrees))
    expected = ndimage.rotate(images.double().numpy(), degrees, axes=(3, 2), reshape=False, order=1)
    y, x = torch.meshgrid(*[torch.arange(64) - 31.5] * 2, indexing="ij")
    inside = y.hypot(x) < 31
    np.testing.assert_allclose(turned[..., inside], expected[..., inside], atol=2e-5)
    if degrees == 135:
        assert turned[..., 0, 0].abs().max() == 0       # from outside


def test_rotation_by_nothing_and_by_quarter_turns_is_exact(images):
    turned = rotate(images, torch.tensor([0.0, 90, 180, 270]))
    expected = torch.stack([image.rot90(k, (1, 2)) for k, image in enumerate(images)])
    torch.testing.assert_close(turned, expected, atol=2e-5, rtol=0)


def test_outside_its_mask_an_image_stays_bit_for_bit(images, textures):
    corrupted, masks = corrupt(images, textures, generator=generator())
    assert 0 < masks.mean() < 0.3
    assert torch.equal(masks, (masks > 0).float())
    outside = (masks == 0).expand_as(images)
    assert torch.equal(corrupted[outside], images[outside])
    assert (corrupted != images).any(dim=1, keepdim=True).float().sum() == masks.sum()


@pytest.mark.parametrize("beta", [0.2, 0.7, 1.0])
def test_inside_a_mask_stands_the_blend_of_the_worked_equation(images, beta):
    textures = torch.full((1, 3, 64, 64), 51, dtype=torch.uint8)                    # 0.2
    corrupted, masks = corrupt(images, textures, generator=generator(), opacity=(beta, beta))
    expected = (1 - masks) * images + masks * (beta * 0.2 + (1 - beta) * images)
    torch.testing.assert_close(corrupted, expected, atol=1e-7, rtol=0)


def test_textures_may_be_floats(images, textures):
    once, again = (corrupt(images, t, generator=generator()) for t in (textures, textures / 255))
    assert torch.equal(once[0], again[0])


@pytest.mark.parametrize("values", [(0.0, 1.0), (1.0, 0.0), (1.0, 1.0), (0.0, 0.0)])
def test_a_blend_stays_between_0_and_1(values):
    image, texture = (torch.full((64, 3, 32, 32), value) for value in values)
    corrupted, _ = corrupt(image, texture, generator=generator(), threshold=-2, opacity=(0, 1))
    assert corrupted.min() >= 0
    assert corrupted.max() <= 1


def test_opacity_and_texture_are_drawn_for_each_image():
    images, grey = torch.zeros(2000, 3, 32, 32), torch.tensor([255, 128]).to(torch.uint8)
    textures = grey[:, None, None, None].expand(2, 3, 32, 32)
    corrupted, _ = corrupt(images, textures, generator=generator(), threshold=-2, rotation=0, opacity=(0.9, 1.0))
    assert torch.equal(corrupted.amin(dim=(1, 2, 3)), corrupted.amax(dim=(1, 2, 3)))
    value = corrupted[:, 0, 0, 0]
    bright = value > 0.7
    assert 0.45 < bright.float().mean() < 0.55
    beta = value / torch.where(bright, 1.0, 128 / 255)
    assert 0.9 <= beta.min() < 0.901
    assert 0.999 < beta.max() <= 1.00001
    assert beta.mean() == pytest.approx(0.95, abs=0.003)


@pytest.mark.parametrize(("probability", "least", "most"), [(0.0, 0, 0), (0.5, 0.4, 0.6), (1.0, 1, 1)])
def test_a_probability_leaves_whole_images_clean(probability, least, most):
    images, textures = torch.zeros(400, 3, 32, 32), torch.ones(1, 3, 32, 32)
    corrupted, masks = corrupt(images, textures, generator=generator(), probability=probability, exponents=(3, 4))
    touched = masks.amax(dim=(1, 2, 3))
    assert least <= touched.mean() <= most
    assert torch.equal(corrupted.amax(dim=(1, 2, 3)) > 0, touched > 0)


def test_an_empty_mask_is_kept_and_its_image_stays_clean():
    images, textures = torch.rand(50, 3, 32, 32, generator=generator()), torch.ones(1, 3, 32, 32)
    corrupted, masks = corrupt(images, textures, generator=generator(), exponents=(0, 1))
    empty = masks.sum(dim=(1, 2, 3)) == 0
    assert 10 < empty.sum() < 45
    assert torch.equal(corrupted[empty], images[empty])


def test_the_generator_decides_everything(images, textures):
    def draw(seed):
        turned = rotate_images(images, "full", generator=generator(seed))
        return torch.cat([turned, *corrupt(images, textures, generator=generator(seed))], dim=1)

    first = draw(3)
    torch.manual_seed(1)
    assert torch.equal(first, draw(3))
    assert not torch.equal(first, draw(4))
    going_on = generator(3)
    pair = [anomaly_masks(4, 64, generator=going_on) for _ in range(2)]
    assert not torch.equal(*pair)


def test_masks_of_a_batch_are_independent():
    masks = anomaly_masks(64, 32, generator=generator(), exponents=(3, 6)).flatten(1)
    correlation = torch.corrcoef(masks).nan_to_num().fill_diagonal_(0)       # NaN: an empty mask
    assert correlation.max() < 0.6
    assert correlation.mean().abs() < 0.01


def test_an_autocast_around_it_changes_nothing(images, textures):
    def draw():
        turned = rotate_images(images, "slight", generator=generator())
        noise = perlin_noise(4, 64, generator=generator())
        return [turned, noise, *corrupt(turned, textures, generator=generator())]

    plain = draw()
    with torch.autocast("cpu", torch.bfloat16):
        inside = draw()
    assert all(x.dtype == torch.float32 for x in inside)
    assert all(torch.equal(x, y) for x, y in zip(plain, inside, strict=True))


@pytest.mark.parametrize("of", ["images", "textures", "both", "none"])
def test_the_memory_format_of_the_images_is_kept(images, textures, of):
    x = images.contiguous(memory_format=LAST) if of in ("images", "both") else images
    t = textures.contiguous(memory_format=LAST) if of in ("textures", "both") else textures
    corrupted, _ = corrupt(x, t, generator=generator())
    turned = rotate_images(x, "full", generator=generator())
    assert corrupted.is_contiguous(memory_format=LAST) == turned.is_contiguous(memory_format=LAST)
    assert corrupted.is_contiguous(memory_format=LAST) == (of in ("images", "both"))
    torch.testing.assert_close(corrupted, corrupt(images, textures, generator=generator())[0], atol=0, rtol=0)


def test_what_goes_in_is_not_changed(images, textures):
    kept = images.clone(), textures.clone()
    corrupt(images, textures, generator=generator())
    corrupt(images, textures / 255, generator=generator())
    rotate_images(images, "full", generator=generator())
    assert torch.equal(images, kept[0])
    assert torch.equal(textures, kept[1])


def angles_of(rotation, n=400):
    """Degrees by which images were turned, read from where a dot right of the centre went."""
    dot = torch.zeros(n, 3, 64, 64)
    dot[:, :, 31:33, 52:54] = 1
    turned = rotate_images(dot, rotation, generator=generator())[:, 0]
    turned = (turned - GREY) * (turned > 0.5)
    at, mass = torch.arange(64) - 31.5, turned.sum(dim=(1, 2))
    y, x = ((turned.sum(dim=d) * at).sum(dim=1) / mass for d in (2, 1))
    return torch.atan2(-y, x).rad2deg()


def test_a_slight_rotation_is_by_up_to_five_degrees():
    angles = angles_of("slight")
    assert 4.5 < angles.max() < 5.6
    assert -5.6 < angles.min() < -4.5
    assert angles.mean().abs() < 0.5


def test_a_full_rotation_adds_quarter_turns():
    angles = angles_of("full")
    turns = (angles / 90).round()
    assert (angles - 90 * turns).abs().max() < 5.6
    assert torch.bincount(turns.int() % 4, minlength=4).min() > 65         # 100 expected


def test_empty_corners_are_grey_and_values_stay_between_0_and_1():
    turned = rotate_images(torch.ones(50, 3, 32, 32), "slight", generator=generator())
    assert turned.max() <= 1
    assert turned[:, :, 8:24, 8:24].min() > 0.9999
    assert turned.min() == pytest.approx(114 / 255, abs=0.1)
    assert turned.min() >= 114 / 255 - 1e-6


def test_no_rotation_is_none_at_all(images):
    assert torch.equal(rotate_images(images, "none", generator=generator()), images)


def test_every_category_of_mvtec_has_its_rotation():
    kinds = list(ROTATION.values())
    assert [kinds.count(kind) for kind in ("none", "slight", "full")] == [5, 3, 7]
    assert (ROTATION["capsule"], ROTATION["zipper"], ROTATION["screw"]) == ("none", "slight", "full")


@pytest.mark.parametrize(("options", "message"), [
    ({"opacity": (1.0, 0.2)}, "smaller first"), ({"opacity": (0.2, 1.2)}, r"in \[0, 1\]"),
    ({"opacity": (-0.1, 1)}, r"in \[0, 1\]"), ({"probability": 2}, "probability=2"),
    ({"textures": torch.zeros(0, 3, 64, 64)}, r"\(0, 3, 64, 64\).*at least one"),
    ({"textures": torch.zeros(1, 3, 32, 32)}, r"load_textures\(source, 64\)"),
    ({"exponents": (3, 3)}, "second left out"), ({"exponents": (0, 8)}, "size=64 must be a multiple of 128"),
])
def test_wrong_arguments_are_refused(images, textures, options, message):
    with pytest.raises(ValueError, match=message):
        corrupt(images, options.pop("textures", textures), generator=generator(), **options)


@pytest.mark.parametrize(("size", "fix"), [(100, 96), (16, 32)])
def test_a_size_that_no_lattice_divides_is_refused(size, fix):
    with pytest.raises(ValueError, match=f"size={size} must be a multiple of 32.*for example {fix}"):
        anomaly_masks(1, size, generator=generator())


def test_an_unknown_rotation_is_refused(images):
    with pytest.raises(ValueError, match="rotation='some' must be"):
        rotate_images(images, "some", generator=generator())

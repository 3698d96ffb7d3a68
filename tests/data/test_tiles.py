"""Tiles against slices cut by hand; blending against its promise; frames, masks and maps of letterboxed images."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from conftest import save
from torch import nn
from torch.testing import assert_close

from adlib import recipes
from adlib.data.category import load_category
from adlib.data.images import fit_picture, read_picture
from adlib.data.tiles import OVERLAP, Frame, Tiles, plan_frame, resize_maps
from adlib.networks.nearest import NearestPatch
from adlib.networks.stfpm import STFPM
from adlib.networks.teacher import Teacher
from adlib.training import damp_borders, fit, predict


def numbered(n: int = 2, height: int = 160, width: int = 96) -> torch.Tensor:
    """Images of random pixels, so that no two tiles are alike."""
    return torch.randint(0, 256, (n, 3, height, width), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)


class Grey(nn.Module):
    """A detector whose map is the grey value: what it says of a tile shows where the tile comes from."""

    def __init__(self):
        super().__init__()
        self.register_buffer("nothing", torch.zeros(1))

    def forward(self, images):
        return nn.functional.interpolate(images.mean(dim=1, keepdim=True), size=(256, 256), mode="bilinear")[:, 0]


# Cutting


def test_tiles_are_slices_row_by_row():
    images = numbered()                 # 160 x 96 px hold 4 x 2 tiles of 64 px, which begin every 32
    tiles = Tiles(images, 64)
    assert tiles.grid == (4, 2)
    assert len(tiles) == 16
    found = tiles[torch.tensor([0, 1, 7, 8 + 2])]
    slices = [images[0, :, :64, :64], images[0, :, :64, 32:96], images[0, :, 96:, 32:], images[1, :, 32:96, :64]]
    assert torch.equal(found, torch.stack(slices))
    assert torch.equal(torch.cat(list(tiles.split(5))), tiles[torch.arange(16)])
    assert torch.equal(tiles.pick([1])[torch.arange(8)], tiles[torch.arange(8, 16)])


def test_images_that_are_not_cut_pass_as_they_are():
    images = numbered(3, 64, 64)
    tiles = Tiles(images)
    assert (len(tiles), tiles.each) == (3, 1)
    assert torch.equal(tiles[torch.tensor([2, 0])], images[[2, 0]])
    assert torch.equal(torch.cat(list(tiles.split(2))), images)
    assert tiles.draw(1) is images
    maps = torch.rand(3, 256, 256)
    assert tiles.blend(maps, (256, 256)) is maps


def test_what_is_drawn_are_tiles_each_once():
    tiles = Tiles(numbered(), 64)
    drawn = tiles.draw(10)
    every = [tile.numpy().tobytes() for tile in tiles[torch.arange(16)]]
    found = [tile.numpy().tobytes() for tile in drawn]
    assert len(set(found)) == 10
    assert set(found) <= set(every)
    assert torch.equal(tiles.draw(10), drawn)


# Blending


@pytest.mark.parametrize(("size", "shape"), [(64, (160, 96)), (128, (224, 224)), (256, (480, 256))])
@pytest.mark.parametrize("wanted", [(256, 256), (100, 50)])
def test_a_constant_stays_constant(size, shape, wanted):
    tiles = Tiles(numbered(2, *shape), size)
    constants = torch.tensor([0.3, -2.0]).repeat_interleave(tiles.each)[:, None, None].expand(-1, 256, 256)
    blended = tiles.blend(constants, wanted)
    assert blended.shape == (2, *wanted)
    assert_close(blended, torch.tensor([0.3, -2.0])[:, None, None].expand(2, *wanted), rtol=0, atol=1e-5)


def test_a_map_that_tiles_agree_on_comes_back():
    whole = torch.rand(2, 160, 96, generator=torch.Generator().manual_seed(0))
    tiles = Tiles(numbered(), 64)
    views = whole.unfold(1, 64, 32).unfold(2, 64, 32).flatten(0, 2)      # (N, rows, columns, S, S) -> (N each, S, S)
    assert_close(tiles.blend(views, (160, 96)), whole)


def test_no_seam_shows_where_tiles_disagree():
    tiles = Tiles(numbered(1, 64, 96), 64)
    blended = tiles.blend(torch.stack([torch.zeros(64, 64), torch.ones(64, 64)]), (64, 96))[0]
    t = (torch.arange(32) + 0.5) / 32
    assert_close(blended[7, 32:64], torch.sin(t * torch.pi / 2) ** 2, rtol=0, atol=1e-5)
    assert blended.diff(dim=1).abs().max() < 0.06                       # without a window it would be 1


# Frames


@pytest.mark.parametrize(("sizes", "tiles", "aspect", "expected"), [
    ([(600, 800)], 1, "stretch", (128, 128, False)),
    ([(600, 800)], 1, "keep", (128, 128, True)),
    ([(600, 800)], 2, "stretch", (224, 224, False)),
    ([(600, 800)], 3, "keep", (320, 320, True)),        # 240 of 320 px: two tiles hold 224, so there are three
    ([(500, 1000)], 3, "keep", (320, 224, True)),
    ([(1000, 500)], 3, "keep", (224, 320, True)),
    ([(1000, 100)], 3, "keep", (128, 320, True)),
    ([(256, 256)], "auto", "auto", (128, 128, False)),
    ([(512, 512)], "auto", "auto", (224, 224, False)),
    ([(4000, 3000)], "auto", "auto", (320, 320, True)),
    ([(100, 100), (512, 450), (520, 520)], "auto", "auto", (224, 224, False)),     # the median image decides
])
def test_the_frame(sizes, tiles, aspect, expected):
    assert plan_frame(sizes, 128, tiles, aspect) == expected


@pytest.mark.parametrize(("tile", "tiles", "aspect", "complaint"), [
    (128, 0, "keep", "at least 1"), (128, "two", "keep", "'auto' or at least 1"), (128, 2, "crop", "auto, stretch"),
    (OVERLAP, 2, "keep", "image_size=64 or more")])
def test_no_frame(tile, tiles, aspect, complaint):
    with pytest.raises(ValueError, match=complaint):
        plan_frame([(100, 100)], tile, tiles, aspect)


def test_a_letterbox_holds_the_image_and_its_reflection(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (40, 120, 3), np.uint8)
    frame = Frame(120, 120, keep=True)
    found = fit_picture(read_picture(save(tmp_path / "x.png", pixels)), frame)
    assert frame.inside(120, 40) == (40, 120)
    assert (found[40:80] == pixels).all()
    assert (found[:40] == pixels[::-1]).all()
    assert (found[80:] == pixels[::-1]).all()
    narrow = fit_picture(read_picture(save(tmp_path / "y.png", pixels[:20])), frame)      # reflected more than once
    assert (narrow[50:70] == pixels[:20]).all()
    assert (narrow[10:30] == pixels[:20]).all()


# Categories


def make_wide_category(root, *, size=(300, 600), spot=(90, 500), others=()):
    """Dark images with a bright spot, its mask, and one image of another shape."""
    rng = np.random.default_rng(0)
    for i, shape in enumerate([size] * 6 + list(others)):
        save(root / "w/train/good" / f"{i}.png", rng.integers(0, 60, (*shape, 3), np.uint8))
    bad, mask = rng.integers(0, 60, (*size, 3), np.uint8), np.zeros(size, np.uint8)
    y, x = spot
    bad[y:y + 12, x:x + 12], mask[y:y + 12, x:x + 12] = 255, 255
    save(root / "w/test/spot/0.png", bad)
    save(root / "w/ground_truth/spot/0_mask.png", mask)
    save(root / "w/test/good/0.png", rng.integers(0, 60, (*size, 3), np.uint8))
    return root


@pytest.mark.parametrize(("options", "map_size"), [
    ({}, (256, 256)), ({"tiles": 2}, (256, 256)), ({"tiles": 2, "aspect": "keep"}, (256, 256)),
    ({"aspect": "keep"}, (256, 256)), ({"tiles": 4, "image_size": 128}, (300, 416)),      # the masks have 300 rows
    ({"tiles": 4, "image_size": 128, "aspect": "keep"}, (208, 416))])
def test_maps_lie_on_their_masks(tmp_path, options, map_size):
    data = load_category(make_wide_category(tmp_path), "w", **{"image_size": 64} | options)
    assert data.map_size == map_size
    maps = predict(Grey(), data.seen("test"), size=data.map_size)
    masks = data.masks if data.fine_masks is None else data.fine_masks
    assert maps.shape == masks.shape == (2, *map_size)
    i = data.defects.index("spot")
    weights = maps[i] * (maps[i] > maps[i].max() / 2)
    centre = [float((weights.sum(dim=d) * torch.arange(n)).sum() / weights.sum()) for d, n in [(1, map_size[0]),
                                                                                            (0, map_size[1])]]
    for found, where in zip(centre, masks[i].nonzero().float().mean(dim=0).tolist(), strict=True):
        assert abs(found - where) < 0.01 * max(map_size)
    assert not masks[1 - i].any()
    plain = load_category(tmp_path, "w", image_size=64)         # whole images are there all the same
    if data.train.shape == plain.train.shape:
        assert torch.equal(data.test, plain.test)
    assert torch.equal(data.masks, plain.masks)


def test_what_surrounds_an_image_never_scores(tmp_path):
    class Border(nn.Module):
        """Alarms outside the image only."""

        def __init__(self):
            super().__init__()
            self.register_buffer("nothing", torch.zeros(1))

        def forward(self, images):
            maps = torch.zeros(len(images), 256, 256)
            maps[:, :60] = maps[:, -60:] = 1        # of 64 px, the image has 32, from 16 on
            return maps

    data = load_category(make_wide_category(tmp_path), "w", image_size=64, aspect="keep")
    assert data.seen("test").boxes.tolist() == [[32, 64]] * 2
    assert predict(Border(), data.seen("test")).max() == 0
    assert predict(Border(), data.test).max() == 1


def test_every_image_keeps_its_own_aspect(tmp_path):
    data = load_category(make_wide_category(tmp_path, others=[(600, 300)]), "w", image_size=64, tiles=3, aspect="keep")
    boxes = torch.cat([data.seen(part).boxes for part in ("train", "validation")]).tolist()
    assert sorted(boxes) == [[64, 32]] + [[64, 128]] * 6


def test_aspect_keep_changes_no_square_image_but_is_said(tmp_path, capsys):
    root = make_wide_category(tmp_path, size=(300, 300), spot=(90, 90))
    data = load_category(root, "w", image_size=64, tiles="auto", aspect="auto")
    assert data.frame is None
    assert capsys.readouterr().out == ""
    load_category(root, "w", image_size=64, tiles=2, aspect="keep")
    assert "2 x 2 tiles of 64 px on 96 x 96 px, aspect kept: a map costs 4" in capsys.readouterr().out


def test_one_class_images_are_not_cut():
    with pytest.raises(ValueError, match="too small to be cut"):
        load_category("digits", "3", image_size=64, tiles=2)


# Training and prediction


@pytest.fixture(scope="module")
def wide(tmp_path_factory):
    root = make_wide_category(tmp_path_factory.mktemp("wide"), size=(360, 600))
    return load_category(root, "w", image_size=64, tiles=3, aspect="keep")


def test_one_model_learns_from_all_tiles(wide):
    model, seen = STFPM(Teacher(weights="random"), seed=0), []
    stages = recipes.stfpm(model, "smoke", steps=6, batch=4)
    loss = stages[0].loss
    stages[0].loss = lambda batch, step, generator: seen.append(batch.images) or loss(batch, step, generator)
    history = fit(model, wide, stages, log=lambda line: None, device="cpu", precision="float32")
    assert wide.seen("train").grid == (2, 3)
    assert {tuple(images.shape) for images in seen} == {(4, 3, 64, 64)}
    shown = {(255 * tile).round().byte().numpy().tobytes() for images in seen for tile in images}
    tiles = {tile.contiguous().numpy().tobytes() for tile in wide.seen("train")[torch.arange(24)]}
    assert len(shown) == 24         # no tile twice before all were there
    assert shown <= tiles
    assert len(history.validation) > 0


def test_a_look_at_the_validation_loss_costs_no_more_than_with_whole_images(wide):
    held = replace(wide, tiles=wide.tiles | {"validation": wide.seen("validation").pick([0] * 40)})
    assert len(held.seen("validation")) == 240
    model, seen = STFPM(Teacher(weights="random"), seed=0), []
    stages = recipes.stfpm(model, "smoke", steps=2, batch=4, validate_every=2)
    validate = stages[0].validate
    stages[0].validate = lambda batch: seen.append(len(batch.images)) or validate(batch)
    fit(model, held, stages, log=lambda line: None, device="cpu", precision="float32")
    assert sum(seen) == 40


def test_the_cache_holds_the_features_of_tiles(wide):
    def last_loss(cache_gb):
        model = STFPM(Teacher(weights="random"), seed=0)
        return fit(model, wide, recipes.stfpm(model, "smoke", steps=4, lr=0.01), log=lambda line: None, device="cpu",
                   precision="float32", cache_gb=cache_gb).losses
    assert last_loss(2.0) == pytest.approx(last_loss(0.0), rel=1e-4)


def test_borders_are_damped_tile_by_tile(wide):
    model = NearestPatch(Teacher(weights="random"), seed=0).fit(wide.seen("train"))
    plain = predict(model, wide.seen("validation").draw())
    damp_borders(model, wide.seen("validation"))
    by_hand = type(model.damping)()
    by_hand.fit(plain)
    assert torch.equal(model.damping.gain, by_hand.gain)
    assert not torch.equal(model.damping.gain, torch.ones_like(by_hand.gain))


def test_maps_do_not_depend_on_the_batch(wide):
    model = NearestPatch(Teacher(weights="random"), seed=0).fit(wide.seen("train"))
    maps = predict(model, wide.seen("test"))
    assert_close(predict(model, wide.seen("test"), batch=4), maps, rtol=0, atol=1e-5)
    fine = predict(model, wide.seen("test"), size=(77, 128))
    assert_close(resize_maps(fine, (256, 256)), maps, rtol=0, atol=1e-5)


def test_whole_stretched_images_are_not_opened_for_their_sizes(bolt, monkeypatch):
    monkeypatch.setattr("adlib.data.category.read_sizes", lambda paths: pytest.fail("files were opened once more"))
    data = load_category(bolt.parent, "bolt", image_size=64)
    assert data.frame is None
    assert len(data.seen("train")) == len(data.train)

import pytest
import torch
import torch.nn.functional as F

from adlib.networks.nearest import NearestPatch, largest_cosine
from adlib.networks.teacher import Teacher
from adlib.training import predict


@pytest.fixture(scope="module")
def teacher():
    return Teacher("efficientnet_lite0")


def images(n: int, seed: int, size: int = 64) -> torch.Tensor:
    return torch.randint(0, 256, (n, 3, size, size), dtype=torch.uint8, generator=torch.Generator().manual_seed(seed))


def test_against_a_loop_over_everything(teacher):
    train, test = images(3, 0), images(2, 1)
    model = NearestPatch(teacher, sampling_ratio=1).fit(train)
    expected = torch.zeros(2, 256, 256)
    for t, m in zip(teacher(test.float() / 255), teacher(train.float() / 255), strict=True):
        memory = m.permute(0, 2, 3, 1).flatten(0, 2)                            # (N, C, H, W) -> (NHW, C)
        level = torch.empty(2, t.shape[2], t.shape[3])
        for b, y, x in torch.cartesian_prod(*map(torch.arange, level.shape)):
            level[b, y, x] = (1 - F.cosine_similarity(t[b, :, y, x][None], memory)).min()
        expected += F.interpolate(level[:, None], size=(256, 256), mode="bilinear", align_corners=False)[:, 0]
    maps = predict(model, test)
    torch.testing.assert_close(maps, expected, atol=2e-5, rtol=0)
    assert torch.equal(model.image_scores(maps), maps.flatten(1).max(dim=1).values)


def test_what_was_seen_is_not_unusual(teacher):
    train = images(2, 0)
    maps = predict(NearestPatch(teacher, sampling_ratio=1).fit(train), train)
    assert maps.min() >= 0
    assert maps.max() < 1e-5


def test_blocks_change_nothing():
    generator = torch.Generator().manual_seed(0)
    q, m = (F.normalize(torch.randn(n, 8, generator=generator), dim=1) for n in (50, 70))
    torch.testing.assert_close(largest_cosine(q, m, rows=7, columns=11), (q @ m.T).amax(dim=1))


def test_a_tenth_is_kept_by_seed(teacher):
    a, b, c = (NearestPatch(teacher, seed=s).fit(images(4, 0)) for s in (0, 0, 1))
    assert len(a.memory_0) == pytest.approx(0.1 * 4 * 16 * 16, rel=0.02)
    assert torch.equal(a.memory_1, b.memory_1)
    assert not torch.equal(a.memory_1, c.memory_1)


@pytest.mark.parametrize("most", [1000, 100, 1])
def test_no_level_keeps_more_than_the_most(teacher, most):
    model = NearestPatch(teacher, sampling_ratio=0.5, most=most).fit(images(70, 0))
    for memory, positions in zip(model.memory, (256, 64, 16), strict=True):
        expected = min(70 * positions // 2, most)
        assert expected <= len(memory) <= expected + 3      # each of three batches rounds, and keeps one at least
    assert predict(model, images(2, 1)).isfinite().all()


def test_predict_does_not_depend_on_the_batch(teacher):
    model = NearestPatch(teacher).fit(images(4, 0))
    test = images(5, 1)
    torch.testing.assert_close(predict(model, test, batch=2), predict(model, test, batch=5), atol=1e-5, rtol=0)


def test_the_memory_is_saved_with_the_module(teacher, tmp_path):
    model = NearestPatch(teacher).fit(images(4, 0))
    torch.save(model.state_dict(), tmp_path / "model.pt")
    again = NearestPatch(teacher)
    again.load_state_dict(torch.load(tmp_path / "model.pt", weights_only=True))
    test = images(2, 1)
    assert torch.equal(predict(again, test), predict(model, test))


def test_misuse_is_named(teacher):
    with pytest.raises(RuntimeError, match="fit"):
        NearestPatch(teacher)(torch.rand(1, 3, 64, 64))
    with pytest.raises(ValueError, match="sampling_ratio=0"):
        NearestPatch(teacher, sampling_ratio=0)
    with pytest.raises(ValueError, match="most=0"):
        NearestPatch(teacher, most=0)

"""Feature space against constructed features whose neighbours are known, brute force and scikit-learn."""

import numpy as np
import pytest
import torch
from sklearn.metrics.pairwise import cosine_similarity

from adlib.lessons import feature_space as fs
from adlib.networks.stfpm import STFPM
from adlib.networks.teacher import Teacher


def draw(shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape)


def square_masks(n=6, side=256):
    """Two normal images, then images with a square of 64 x 64 pixels at another place each."""
    masks = torch.zeros(n, side, side, dtype=torch.bool)
    for i in range(2, n):
        masks[i, 32 * i : 32 * i + 64, 96:160] = True
    return masks


def labels_of(masks):
    return masks.flatten(1).any(dim=1)


def positions_of(images, anomalous=None):
    zeros = np.zeros(len(images), int)
    return fs.Positions(np.asarray(images), zeros, zeros, zeros > 0 if anomalous is None else np.asarray(anomalous))


# Positions


def test_cell_shares_of_a_worked_mask():
    mask = torch.zeros(1, 256, 256, dtype=torch.bool)
    mask[0, :128, :64] = mask[0, 128:192, 128:192] = True
    found = fs.cell_shares(mask, torch.tensor([True]), 2)
    assert found.tolist() == [[[0.5, 0.0], [0.0, 0.25]]]


def test_without_masks_the_label_stands_for_every_cell():
    found = fs.cell_shares(None, torch.tensor([False, True]), 3)
    assert found.shape == (2, 3, 3)
    assert found[0].max() == 0
    assert found[1].min() == 1


def test_a_border_cell_belongs_to_neither_kind():
    shares = np.zeros((1, 6, 6))
    shares[0, 2, 2], shares[0, 2, 3] = 0.25, 0.24
    p = fs.draw_positions(shares, count=100)
    assert [(p.row[i], p.column[i]) for i in np.flatnonzero(p.anomalous)] == [(2, 2)]
    wide = fs.draw_positions(np.repeat(shares, 60, axis=0), count=60)
    normal = ~wide.anomalous
    assert not any(1 <= r <= 3 and 1 <= c <= 4 for r, c in zip(wide.row[normal], wide.column[normal], strict=True))


def test_positions_are_balanced_and_lie_in_their_regions():
    masks = square_masks()
    shares = fs.cell_shares(masks, labels_of(masks), 32)
    p = fs.draw_positions(shares, count=40)
    assert p.anomalous.tolist() == [False] * 40 + [True] * 40
    found = shares[p.image, p.row, p.column]
    assert (found[p.anomalous] >= 0.25).all()
    assert (found[~p.anomalous] == 0).all()
    assert len(set(zip(p.image, p.row, p.column, strict=True))) == 80, "no position is drawn twice"
    # Forty over four anomalous images, and over six with normal regions.
    assert np.bincount(p.image[p.anomalous]).tolist() == [0, 0, 10, 10, 10, 10]
    assert set(np.bincount(p.image[~p.anomalous])) == {6, 7}


def test_where_one_kind_is_rare_both_are():
    shares = np.zeros((3, 8, 8))
    shares[0, 0, 0] = shares[1, 7, 7] = shares[1, 7, 6] = 1
    assert len(fs.draw_positions(shares, count=50)) == 6
    assert len(fs.draw_positions(np.zeros((3, 8, 8)), count=50)) == 0
    assert len(fs.draw_positions(np.ones((3, 8, 8)), count=50)) == 0


def test_the_draw_belongs_to_the_seed():
    masks = square_masks()
    shares = fs.cell_shares(masks, labels_of(masks), 32)
    first, again, other = (fs.draw_positions(shares, count=20, seed=seed) for seed in (0, 0, 1))
    assert first.row.tolist() == again.row.tolist()
    assert first.row.tolist() != other.row.tolist()


def test_every_image_has_its_first_before_any_has_its_second():
    cells = np.array([[0, y, 0] for y in range(9)] + [[4, y, 0] for y in range(2)] + [[7, 0, 0]])
    found = fs.spread_in_image(cells, np.random.default_rng(0))[:, 0].tolist()
    assert sorted(found[:3]) == [0, 4, 7]
    assert sorted(found[3:5]) == [0, 4]
    assert found[5:] == [0] * 7


def test_the_deepest_point_of_a_thick_and_a_thin_part():
    mask = np.zeros((20, 20), bool)
    mask[2, :] = mask[8:13, 10:15] = True
    assert fs.deepest_point(mask) == (10, 12)
    assert fs.deepest_point(np.ones((9, 9), bool)) == (4, 4), "an image's border is outside"


# Features


@pytest.fixture(scope="module")
def model():
    return STFPM(Teacher("efficientnet_lite0", weights="random"), levels=(1, 3), seed=0).eval()


def test_features_are_those_of_their_positions(model):
    images = torch.randint(0, 256, (5, 3, 64, 64), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    p = {3: fs.Positions(np.array([4, 0, 2, 4]), np.array([0, 1, 2, 3]), np.array([3, 2, 1, 0]), np.zeros(4, bool)),
         1: positions_of([3, 1])}
    found = fs.features_at(model, images, p, batch=2)
    with torch.no_grad():
        t, s = model.features(images.float() / 255)
    for level, k in ((1, 0), (3, 1)):
        for j, (i, r, c) in enumerate(zip(p[level].image, p[level].row, p[level].column, strict=True)):
            np.testing.assert_allclose(found[level][0][j], t[k][i, :, r, c], rtol=1e-4, atol=1e-4)
            np.testing.assert_allclose(found[level][1][j], s[k][i, :, r, c], rtol=1e-4, atol=1e-4)


def test_embedding_keeps_groups_together_and_belongs_to_the_seed():
    x = np.concatenate([draw((30, 8)), draw((30, 8), 1) + 20])
    y = fs.embed(x, perplexity=10, init="random")
    assert y.shape == (60, 2)
    nearest = ((y[:, None] - y) ** 2).sum(axis=2) + 1e9 * np.eye(60)
    assert ((nearest.argmin(axis=1) < 30) == (np.arange(60) < 30)).all()
    assert np.array_equal(y, fs.embed(x, perplexity=10, init="random"))
    assert not np.allclose(y, fs.embed(x, perplexity=10, init="random", seed=1), atol=1)
    assert np.allclose(fs.embed(x), fs.embed(x, seed=1), atol=1e-2), "from a PCA the seed changes nothing"
    assert fs.embed(x[:6], perplexity=30).shape == (6, 2), "a perplexity that is too large is lowered"


# Whose feature is nearest


def test_ranks_by_brute_force():
    t, s = draw((40, 6)), draw((40, 6), 1) + 0.8 * draw((40, 6))
    cos = cosine_similarity(s, t)
    expected = [sorted(cos[i], reverse=True).index(cos[i, i]) + 1 for i in range(40)]
    assert fs.own_ranks(t, s).tolist() == expected
    assert fs.own_ranks(7 * t, 0.1 * s).tolist() == expected, "lengths do not matter"


def test_a_perfect_student_always_finds_its_own_and_one_that_cannot_tell_never():
    t = draw((50, 8))
    assert fs.own_ranks(t, 3 * t).tolist() == [1] * 50
    assert fs.own_ranks(np.ones((50, 8)), np.ones((50, 8))).tolist() == [50] * 50
    assert fs.own_ranks(t, np.zeros((50, 8))).tolist() == [50] * 50


def test_an_independent_and_a_shuffled_student_are_at_chance():
    n, p = 600, positions_of(np.arange(600), np.arange(600) >= 300)
    t = draw((n, 16))
    for s in (draw((n, 16), 1), t[np.random.default_rng(2).permutation(n)]):
        ranks = fs.own_ranks(t, s)
        assert abs(ranks.mean() / n - 0.5) < 0.04
        found = fs.neighbour_shares(t, s, p, k=30)
        assert all(abs(kind["hit@30"][0] - 30 / n) < 0.04 for kind in found.values())
        assert all(kind["hit@1"][0] < 0.02 for kind in found.values())


def test_a_student_that_is_shuffled_only_where_it_is_anomalous():
    anomalous = np.arange(80) >= 40
    t = draw((80, 16))
    s = np.concatenate([t[:40], np.roll(t[:40], 3, axis=0)])     # it answers a defect with a normal feature
    found = fs.neighbour_shares(t, s, positions_of(np.arange(80) // 2, anomalous), k=5)
    assert found["normal"]["hit@1"] == (1, 1, 1)
    assert found["normal"]["normal"] == (0, 0, 0)
    assert found["anomalous"]["normal"] == (1, 1, 1)
    assert found["anomalous"]["hit@1"] == (0, 0, 0)


def test_answers_of_a_worked_example():
    t = np.array([[1.0, 0, 0], [0, 1, 0], [0, 0, 1]])
    s = np.array([[5.0, 1, 0], [3, 1, 0], [0, 1, 0.5]])
    whose = fs.nearest_kind(t, s, np.array([False, True, True]))
    assert [fs.NEAREST_KINDS[i] for i in whose] == ["own", "normal", "anomalous"]


def test_the_last_of_the_k_nearest_is_a_hit():
    t = np.array([[1.0, 0], [1, 1], [0, 1]])
    s = np.array([[1.0, 3], [1, 1], [0, 1]])                            # ranks 3, 1, 1
    found = {k: fs.neighbour_shares(t, s, positions_of([0, 1, 2], [False, False, True]), k=k)["normal"] for k in (2, 3)}
    assert found[2]["hit@2"][0] == 0.5
    assert found[3]["hit@3"][0] == 1


def test_a_turned_student_keeps_its_angles_and_nothing_else():
    t, s = draw((200, 12)), draw((200, 12), 1) + draw((200, 12))
    x = fs.random_direction_baseline(t, s, seed=5)          # not the seed that drew t
    cosines = [np.diag(cosine_similarity(t, y)) for y in (x, s)]
    np.testing.assert_allclose(*cosines, atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(x, axis=1), 1, atol=1e-6)
    aside = x - cosines[0][:, None] * fs.unit(t)
    assert abs((fs.unit(aside) @ fs.unit(s.mean(axis=0)[None]).T).mean()) < 0.1
    assert np.allclose(fs.random_direction_baseline(t, t, seed=5), fs.unit(t), atol=1e-3)


def test_what_is_pulled_to_the_mean_ends_there_at_the_latest():
    dice = np.random.default_rng(0)
    t = dice.normal(size=(200, 12)) + 1
    mean = fs.unit(fs.unit(t).mean(axis=0, keepdims=True))
    np.testing.assert_allclose(fs.pulled_to_mean(t, -t), np.repeat(mean, 200, axis=0), atol=1e-6)
    s = t + 0.1 * dice.normal(size=t.shape)
    x = fs.pulled_to_mean(t, s)
    wanted, found = ((fs.unit(t) * fs.unit(y)).sum(axis=1) for y in (s, x))
    short_of_it = wanted > (fs.unit(t) * mean).sum(axis=1)
    assert short_of_it.mean() > 0.9
    np.testing.assert_allclose(found[short_of_it], wanted[short_of_it])
    assert ((x * mean).sum(axis=1) > (fs.unit(t) * mean).sum(axis=1)).all()


def test_median_angles_of_worked_vectors():
    t = np.array([[1.0, 0], [0, 2], [1, 0], [3, 3], [1, 0]])
    s = np.array([[5.0, 5], [0, 1], [0, 7], [1, 1], [-1, 0]])           # 45, 0, 90, 0, 180 degrees
    found = fs.median_angles(t, s, np.array([False, False, False, True, True]))
    assert found == {"normal": pytest.approx(45), "anomalous": pytest.approx(90, abs=1e-4)}


def test_the_interval_is_over_images():
    image = np.repeat(np.arange(20), 10)
    complete = np.repeat(np.arange(20) < 10, 10)                   # the positions of an image agree
    share, low, high = fs.share_of(complete, image)
    assert share == 0.5
    spread = 1.96 * np.sqrt(0.25 / 20)
    assert (low, high) == (pytest.approx(0.5 - spread, abs=0.03), pytest.approx(0.5 + spread, abs=0.03))
    alone = fs.share_of(complete, np.arange(200))                  # as if each had an image of its own
    assert high - low > 2.5 * (alone[2] - alone[1])
    assert fs.share_of(complete, image + 100) == (share, low, high), "numbers of images are only names"
    assert fs.share_of(np.ones(15, bool), np.repeat([0, 1, 2, 3, 4], [1, 1, 1, 2, 10])) == (1, 1, 1)


def test_the_interval_covers_the_truth_as_often_as_it_says():
    rng, covered = np.random.default_rng(0), 0
    for n in range(200):
        image = np.repeat(np.arange(30), rng.integers(1, 8, 30))
        hits = rng.random(len(image)) < np.repeat(rng.beta(2, 3, 30), np.bincount(image))     # mean 0.4
        _, low, high = fs.share_of(hits, image, draws=400, seed=n)
        covered += low <= 0.4 <= high
    assert 0.88 <= covered / 200 <= 0.98


# Nearest normal patches


def test_patches_by_brute_force(model):
    images = torch.randint(0, 256, (7, 3, 64, 64), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))
    t = model.teacher(images.float() / 255)[0].numpy()          # (7, C, 16, 16)
    queries = draw((2, t.shape[1]), 3)
    found = fs.nearest_patches(model.teacher, images, queries, level=1, top=3, batch=4)
    assert found.cos.shape == (2, 3)
    for q in range(2):
        cos = cosine_similarity(queries[q : q + 1], np.moveaxis(t, 1, 3).reshape(-1, t.shape[1])).reshape(7, -1)
        best = np.argsort(-cos.max(axis=1))[:3]
        assert found.image[q].tolist() == best.tolist(), "the best of each image, at most one of an image"
        assert (16 * found.row + found.column)[q].tolist() == cos[best].argmax(axis=1).tolist()
        np.testing.assert_allclose(found.cos[q], cos.max(axis=1)[best], atol=1e-5)


def test_a_training_image_is_its_own_nearest_patch(model):
    images = torch.randint(0, 256, (3, 3, 64, 64), dtype=torch.uint8, generator=torch.Generator().manual_seed(2))
    query = model.teacher(images.float() / 255)[2][1, :, 2, 3].numpy()[None]
    found = fs.nearest_patches(model.teacher, images, query, level=3, top=9)
    assert (found.image[0, 0], found.row[0, 0], found.column[0, 0]) == (1, 2, 3)
    assert found.cos[0, 0] == pytest.approx(1, abs=1e-5)
    assert found.image.shape == (1, 3), "no more patches than images"


# Maps while a student learns


def test_contrast_of_worked_maps():
    maps = np.ones((2, 3, 4, 4))
    maps[:, 1], maps[1, 2, 0, 0] = 2, 34
    masks = np.zeros((3, 4, 4), bool)
    masks[2, 0, :2] = True
    inside, normal = fs.defect_contrast(maps, masks, [False, True, True])
    assert inside.tolist() == [[2, 1], [2, 17.5]], "of an empty mask all of the image counts"
    assert normal.tolist() == [1, 1]
    inside, _ = fs.defect_contrast(maps, None, [False, True, True])
    assert inside.tolist() == [[2, 1], [2, 3.0625]]
    _, normal = fs.defect_contrast(maps, masks, [True, True, True])
    assert normal.tolist() == [1, 1], "without a normal image: what lies outside the masks"

"""A share of a category. What is told of a data set is tested with its folders, in tests/data."""

import torch

from adlib.data.category import load_category
from adlib.runs.datasets import subsample


def test_a_share_of_the_training_images(bolt):
    category = load_category(bolt.parent, "bolt", image_size=32)         # 8 to learn from, 2 held back
    half = subsample(category, 0.5, seed=0)
    assert (len(half.train), len(half.validation)) == (4, 1)
    assert half.test is category.test
    known = {image.numpy().tobytes() for image in category.train}
    assert all(image.numpy().tobytes() in known for image in half.train)
    assert torch.equal(subsample(category, 0.5, seed=0).train, half.train)
    assert any(not torch.equal(subsample(category, 0.5, seed=s).train, half.train) for s in (1, 2, 3))
    few = subsample(category, 0.01, seed=0)
    assert (len(few.train), len(few.validation)) == (1, 1)
    assert subsample(category, 1.0, seed=0) is category


def test_a_share_of_tiled_images_is_the_same_share(bolt):
    category = load_category(bolt.parent, "bolt", image_size=64, tiles=2)
    half = subsample(category, 0.5, seed=0)
    kept = [i for i, image in enumerate(category.train) if any(torch.equal(image, x) for x in half.train)]
    assert len(kept) == len(half.train) == 4
    assert torch.equal(half.seen("train").images, category.seen("train").images[kept])
    assert half.seen("test") is category.seen("test")

"""A promise in words, against counting: which of n + 1 scores alarm where each in turn is the new one."""

import re

import numpy as np
import pytest

from adlib.metrics import image_threshold
from adlib.runs.promise import describe_promise


def largest_share(n, alpha):
    scores = np.arange(n + 1.0)
    return np.mean([scores[i] >= image_threshold(np.delete(scores, i), alpha) for i in range(n + 1)])


@pytest.mark.parametrize("alpha", [0.05, 0.1, 0.01, 0.29])
@pytest.mark.parametrize("n", [1, 2, 12, 13, 18, 19, 40, 99, 100])
def test_words_are_what_counting_gives(n, alpha):
    words = describe_promise(n, alpha)
    percent, told = map(int, re.match(r"at most (\d+) % of normal images, with (\d+) validation image", words).groups())
    assert told == n
    assert percent - 1 < 100 * largest_share(n, alpha) <= percent + 1e-9
    needed = next(m for m in range(1, 200) if largest_share(m, alpha) <= alpha + 1e-9)
    assert words.endswith(f"; {100 * alpha:g} % needs {needed}") == (n < needed)
    assert ("needs" in words) == (n < needed)


def test_one_image_is_no_plural():
    assert describe_promise(1) == "at most 50 % of normal images, with 1 validation image; 5 % needs 19"
    assert "2 validation images;" in describe_promise(2)

import numpy as np
import pytest
from conftest import verdict

from adlib.lessons.exercises import feature_space as exercises

# Eight positions, the last five anomalous; the nearest teacher feature of each, in this order.
KINDS = np.array([False] * 3 + [True] * 5)
T = np.eye(8)
NEAREST = [0, 3, 2, 0, 1, 2, 6, 7]
S = T[NEAREST]
LONG = T * np.array([1, 1, 1, 99, 1, 1, 1, 1])[:, None]     # one long teacher feature attracts what is not normalised
BENT = S + 0.1 * T[3]
DATA, LENGTHS = (T, S, KINDS), (LONG, BENT, KINDS)


@pytest.mark.parametrize(("check", "answer", "rest", "expected"), [
    (exercises.hit_by_chance, ..., (), "not yet: set"),
    (exercises.hit_by_chance, 0.1, (), "right"),
    (exercises.hit_by_chance, 0.2, (), "both kinds are candidates"),
    (exercises.hit_by_chance, 1 / 40, (), "that is hit@1"),
    (exercises.hit_by_chance, 4 / 39, (), "not besides them"),
    (exercises.hit_by_chance, 4 / 19, (), "one of them"),
    (exercises.hit_by_chance, 0.5, (), "of the same kind"),
    (exercises.hit_by_chance, 4, (), "how many of the 40"),
    (exercises.hit_by_chance, 10, (), "not percent"),
    (exercises.hit_by_chance, 0.9, (), "can stand at any rank"),
    (exercises.hit_by_chance, "a tenth", (), "one number, not str"),
    (exercises.hit_by_hand, ..., (), "not yet: set"),
    (exercises.hit_by_hand, 2 / 3, (), "right"),
    (exercises.hit_by_hand, 0.6667, (), "right"),
    (exercises.hit_by_hand, 1 / 3, (), "directions, not lengths"),
    (exercises.hit_by_hand, 1, (), "that is hit@2"),
    (exercises.hit_by_hand, 2, (), "divide by"),
    (exercises.hit_by_hand, 0.67, (), "three decimals"),
    (exercises.hit_by_hand, 0, (), "cosine 0.98"),
    (exercises.hit_by_hand, 0.5, (), "the cosine to all three"),
    (exercises.half_width, ..., (), "not yet: set"),
    (exercises.half_width, 0.155, (), "right"),
    (exercises.half_width, 0.0693, (), "200 independent"),
    (exercises.half_width, 0.079, (), "times 1.96"),
    (exercises.half_width, 0.31, (), "half of that"),
    (exercises.half_width, 0.0354, (), "how many are independent"),
    (exercises.half_width, 0.438, (), "how many images are there"),
    (exercises.half_width, 0.0123, (), "the root"),
    (exercises.half_width, 0.15, (), "three decimals"),
    (exercises.half_width, 0.16, (), "three decimals"),
    (exercises.half_width, 0.7, (), "which n?"),
    (exercises.share_taken_for_normal, ..., DATA, "not yet: set"),
    (exercises.share_taken_for_normal, 3 / 5, DATA, "right"),
    (exercises.share_taken_for_normal, 5 / 8, DATA, "over all positions"),
    (exercises.share_taken_for_normal, 2 / 5, DATA, "whose nearest is anomalous"),
    (exercises.share_taken_for_normal, 2 / 3, DATA, "the normal positions"),
    (exercises.share_taken_for_normal, 3, DATA, "a number of positions"),
    (exercises.share_taken_for_normal, 60, DATA, "not percent"),
    (exercises.share_taken_for_normal, 3 / 8, DATA, "not of all"),
    (exercises.share_taken_for_normal, 0.9, DATA, "argmax along it"),
    (exercises.share_taken_for_normal, 3 / 5, LENGTHS, "right"),
    (exercises.share_taken_for_normal, 0.0, LENGTHS, "length 1 first"),
])
def test_every_answer_gets_the_verdict_that_fits(capsys, check, answer, rest, expected):
    found = verdict(capsys, check, answer, *rest)
    assert expected in found
    assert found.startswith("right") == (expected == "right")


def test_the_other_way_round_is_told(capsys):
    t, s = np.random.default_rng(0).standard_normal((2, 60, 5))
    kinds = np.arange(60) >= 30
    cos = exercises.unit(t) @ exercises.unit(s).T
    answer = (~kinds[cos.argmax(axis=1)])[kinds].mean()
    assert "turned around" in verdict(capsys, exercises.share_taken_for_normal, answer, t, s, kinds)


def test_the_solution_by_hand_is_the_right_one():
    t, s = np.array([[2.0, 0], [0, 1], [3, 3]]), np.array([[1, 0.2], [1, 3], [0.5, 2]])
    cos = exercises.unit(s) @ exercises.unit(t).T
    assert np.mean(cos.argmax(axis=1) == np.arange(3)) == 2 / 3
    assert np.mean((s @ t.T).argmax(axis=1) == np.arange(3)) == pytest.approx(1 / 3)
    assert np.mean(cos.T.argmax(axis=1) == np.arange(3)) == pytest.approx(1 / 3)

import numpy as np
import pytest
import torch
from conftest import verdict

from adlib.lessons.exercises import feature_space as exercises


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
])
def test_every_answer_gets_the_verdict_that_fits(capsys, check, answer, rest, expected):
    found = verdict(capsys, check, answer, *rest)
    assert expected in found
    assert found.startswith("right") == (expected == "right")


def taken(t, s, *, scaled=True, turned=False):
    """The nearest of the other side's features, for each of t's or s's, by loops."""
    found = []
    for x in (t if turned else s):
        others = s if turned else t
        lengths = np.linalg.norm(others, axis=1) if scaled else np.ones(len(others))
        found.append(max(range(len(others)), key=lambda i: x @ others[i] / lengths[i]))
    return np.array(found)


@pytest.mark.parametrize(("answer", "expected"), [
    (..., "not yet: set"),
    (lambda t, s, kinds: np.mean(~kinds[taken(t, s)][kinds]), "right: here 60%"),
    (lambda t, s, kinds: torch.tensor(np.mean(~kinds[taken(t, s)][kinds])), "right"),
    (lambda t, s, kinds: np.mean(~kinds[taken(t, s)]), "over all positions"),
    (lambda t, s, kinds: np.mean(kinds[taken(t, s)][kinds]), "whose nearest is anomalous"),
    (lambda t, s, kinds: np.mean(~kinds[taken(t, s)][~kinds]), "the normal positions"),
    (lambda t, s, kinds: np.sum(~kinds[taken(t, s)][kinds]), "a number of positions"),
    (lambda t, s, kinds: 100 * np.mean(~kinds[taken(t, s)][kinds]), "not percent"),
    (lambda t, s, kinds: np.mean(~kinds[taken(t, s)] & kinds), "not of all"),
    (lambda t, s, kinds: np.mean(~kinds[taken(t, s, scaled=False)][kinds]), "length 1 first"),
    (lambda t, s, kinds: np.mean(~kinds[taken(t, s, turned=True)][kinds]), "turned around"),
    (lambda t, s, kinds: 1.0, "of both kinds"),
    (lambda t, s, kinds: 0.5, "argmax along a row"),
    (lambda t, s: 0.5, "it raises TypeError"),
    (0.6, "should be a function"),
])
def test_a_function_of_features(capsys, answer, expected):
    # Eight positions, the last five anomalous; the nearest teacher feature of each is NEAREST.
    kinds, features = np.array([False] * 3 + [True] * 5), np.eye(8)
    found = verdict(capsys, exercises.taken_for_normal, answer, features, features[[0, 3, 2, 0, 1, 2, 6, 7]], kinds)
    assert expected in found
    assert found.startswith("right") == expected.startswith("right")


def test_the_solution_by_hand_is_the_right_one():
    t, s = np.array([[2.0, 0], [0, 1], [3, 3]]), np.array([[1, 0.2], [1, 3], [0.5, 2]])
    cos = exercises.unit(s) @ exercises.unit(t).T
    assert np.mean(cos.argmax(axis=1) == np.arange(3)) == 2 / 3
    assert np.mean((s @ t.T).argmax(axis=1) == np.arange(3)) == pytest.approx(1 / 3)
    assert np.mean(cos.T.argmax(axis=1) == np.arange(3)) == pytest.approx(1 / 3)

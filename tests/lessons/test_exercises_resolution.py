import pytest
import torch
from conftest import verdict

from adlib.lessons.exercises import resolution as exercises
from adlib.lessons.exercises.resolution import blend_linearly, cut_rows


@pytest.mark.parametrize(("check", "answer", "expected"), [
    (exercises.tiles_needed, ..., "not yet: set"),
    (exercises.tiles_needed, 3, "right"),
    (exercises.tiles_needed, 2, "0.7 px wide"),
    (exercises.tiles_needed, 4, "more than is needed"),
    (exercises.tiles_needed, 8, "shrink to a third"),
    (exercises.tiles_needed, 10, "shrink to a third"),
    (exercises.tiles_needed, 683, "how many tiles"),
    (exercises.tiles_needed, 5, "256 + (n - 1) 224"),
    (exercises.cut_an_image, ..., "not yet: set"),
    (exercises.cut_an_image, cut_rows, "right"),
    (exercises.cut_an_image, lambda image, size, overlap: cut_rows(image, size, 0), "do not overlap"),
    (exercises.cut_an_image, lambda image, size, overlap: cut_rows(image.mT, size, overlap).mT, "column by column"),
    (exercises.cut_an_image, lambda image, size, overlap: cut_rows(image[:, :-1, :-1], size, overlap), "are missing"),
    (exercises.cut_an_image, lambda image, size, overlap: cut_rows(image, size, overlap)[0], "it returns the shape"),
    (exercises.cut_an_image, 3, "should be a function"),
    (exercises.join_two_maps, ..., "not yet: set"),
    (exercises.join_two_maps, blend_linearly, "right"),
    (exercises.join_two_maps, lambda a, b, n: blend_linearly(a, b, n, turned=True), "wrong way round"),
    (exercises.join_two_maps, lambda a, b, n: blend_linearly(a, b, n, constant=0.5), "the mean of both"),
    (exercises.join_two_maps, lambda a, b, n: torch.cat([a[:, :-n], b], 1), "right map simply wins"),
    (exercises.join_two_maps, lambda a, b, n: torch.cat([a, b[:, n:]], 1), "left map simply wins"),
    (exercises.join_two_maps, lambda a, b, n: torch.cat([a, b], 1), "it returns the shape"),
])
def test_a_check_knows_the_answer_and_what_went_wrong(capsys, check, answer, expected):
    assert expected in verdict(capsys, check, answer)

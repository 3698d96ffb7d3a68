import pytest
import torch
from conftest import verdict

from adlib.lessons.exercises import resolution as exercises
from adlib.lessons.exercises.resolution import best_setting, blend_linearly, cut_rows


def best_by_row(rows, number, least=False):
    """The setting of the row with the largest (least) number."""
    return tuple(rows.sort_values(number, ascending=least)[["image_size", "tiles"]].iloc[0])


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
    (exercises.choose_setting, ..., "not yet: set"),
    (exercises.choose_setting, best_setting, "right"),
    (exercises.choose_setting, lambda rows, limit: list(best_setting(rows, limit)), "right"),
    (exercises.choose_setting, lambda rows, limit: best_setting(rows, 1e9), "beyond the time allowed"),
    (exercises.choose_setting, lambda rows, limit: best_by_row(rows[rows["ms_per_image"] <= limit], "pixel_ap"),
     "best single run"),
    (exercises.choose_setting, lambda rows, limit: best_setting(rows, limit, number="image_auroc"), "image AUROC"),
    (exercises.choose_setting, lambda rows, limit: best_setting(rows[rows["ms_per_image"] <= limit], limit),
     "not that of its fastest run"),
    (exercises.choose_setting, lambda rows, limit: best_by_row(rows, "ms_per_image", least=True), "the cheapest"),
    (exercises.choose_setting, lambda rows, limit: best_setting(rows, limit)[0], "it returns the shape"),
    (exercises.choose_setting, lambda rows, limit: (192, 3), "group the rows"),
])
def test_a_check_knows_the_answer_and_what_went_wrong(capsys, check, answer, expected):
    assert expected in verdict(capsys, check, answer)

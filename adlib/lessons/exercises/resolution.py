"""Exercises of lesson 10."""

import pandas as pd
import torch
from torch import Tensor

from adlib.lessons.exercises import judge, judge_function


def tiles_needed(answer: object) -> None:
    """Lesson 10, exercise 1: a scratch of 3 of 2048 px must be 1 px wide; tiles of 256 px share 32."""
    judge(answer, 3, "three tiles make 704 px, on which 3 of 2048 px are 1.03 px", {
        2: "two tiles make 480 px: there the scratch is 0.7 px wide",
        4: "that is enough, and more than is needed: how wide is the scratch on three tiles?",
        8: "eight tiles without overlap would hold the photograph as it is; the scratch may shrink to a third",
        9: "that holds the photograph as it is; the scratch may shrink to a third",
        10: "that holds the photograph as it is; the scratch may shrink to a third",
        683: "that many pixels are needed; how many tiles make them?",
    }, "n tiles of 256 px that share 32 make 256 + (n - 1) 224 px; the image may shrink by three")


def cut_an_image(answer: object) -> None:
    """Lesson 10, exercise 2: (rows columns, 3, size, size) tiles of a (3, H, W) image, row by row."""
    images = [torch.arange(3 * h * w).reshape(3, h, w).float() for h, w in ((10, 14), (14, 10))]
    judge_function(answer, cut_rows, [(image, 6, 2) for image in images], "row by row, every size - overlap pixels", {
        "that is column by column; go along a row first": lambda image, size, overlap: cut_rows(
            image.transpose(1, 2), size, overlap).transpose(2, 3),
        "the last row and column are missing: the last tile ends at the image's border": lambda image, size, overlap:
            cut_rows(image[:, :-1, :-1], size, overlap),
        "the tiles do not overlap; the step is size - overlap": lambda image, size, overlap: cut_rows(image, size, 0),
    }, "tile (r, c) begins at row r (size - overlap) and column c (size - overlap), and lies whole in the image")


def cut_rows(image: Tensor, size: int, overlap: int) -> Tensor:
    step = size - overlap
    return torch.stack([image[:, y:y + size, x:x + size] for y in range(0, image.shape[1] - size + 1, step)
                        for x in range(0, image.shape[2] - size + 1, step)])


def join_two_maps(answer: object) -> None:
    """Lesson 10, exercise 3: two (H, W) maps side by side, blended with weights that rise linearly over the overlap."""
    generator = torch.Generator().manual_seed(0)
    cases = [(torch.rand(3, w, generator=generator), torch.rand(3, w, generator=generator), 4) for w in (8, 10)]
    judge_function(answer, blend_linearly, cases, "no seam, and what both agree on stays", {
        "the weights are the wrong way round: at its own edge a map counts least":
            lambda a, b, overlap: blend_linearly(a, b, overlap, turned=True),
        "that is the mean of both over the overlap: two seams, half as high": lambda a, b, overlap: blend_linearly(
            a, b, overlap, constant=0.5),
        "there the right map simply wins: a seam": lambda a, b, overlap: blend_linearly(a, b, overlap, constant=1.0),
        "there the left map simply wins: a seam": lambda a, b, overlap: blend_linearly(a, b, overlap, constant=0.0),
    }, "return (H, 2 W - overlap): left alone, (1 - t) left + t right with t = (i + 0.5) / overlap, then right alone")


def blend_linearly(a: Tensor, b: Tensor, overlap: int, *, turned: bool = False,
                   constant: float | None = None) -> Tensor:
    t = (torch.arange(overlap) + 0.5) / overlap if constant is None else torch.full((overlap,), constant)
    t = 1 - t if turned else t
    return torch.cat([a[:, :-overlap], (1 - t) * a[:, -overlap:] + t * b[:, :overlap], b[:, overlap:]], dim=1)


def choose_setting(answer: object) -> None:
    """Lesson 10, exercise 4: a function of rows (a seed of a setting each) and the milliseconds allowed for a map, that
    returns (image_size, tiles) of the highest mean pixel AP."""
    rows = pd.DataFrame([(128, 1, 0.80, 0.50, 20), (128, 1, 0.80, 0.50, 20), (128, 2, 0.85, 0.60, 40),
                         (128, 2, 0.85, 0.60, 40), (192, 1, 0.95, 0.30, 50), (192, 1, 0.95, 0.80, 50),
                         (128, 3, 0.90, 0.65, 50), (128, 3, 0.90, 0.65, 80), (256, 1, 0.70, 0.85, 90),
                         (256, 1, 0.70, 0.85, 90)],
                        columns=["image_size", "tiles", "image_auroc", "pixel_ap", "ms_per_image"])
    judge_function(answer, best_setting, [(rows, 60), (rows, 100)], "means over seeds, then the limit, then the best", {
        "that is beyond the time allowed": lambda rows, limit: best_setting(rows, 1000),
        "that is the best single run; take means over seeds first":
            lambda rows, limit: best_setting(rows, limit, fold="max"),
        "that is for image AUROC": lambda rows, limit: best_setting(rows, limit, number="image_auroc"),
        "a setting's mean time counts, not that of its fastest run: means first, then the limit":
            lambda rows, limit: best_setting(rows[rows["ms_per_image"] <= limit], limit),
        "that is the cheapest": lambda rows, limit: (128, 1),
    }, "group the rows by image_size and tiles, and average; of those within the limit take that of highest pixel AP")


def best_setting(rows: pd.DataFrame, limit: float, *, fold: str = "mean", number: str = "pixel_ap") -> tuple:
    settings = rows.groupby(["image_size", "tiles"]).agg({number: fold, "ms_per_image": "mean"})
    return settings.loc[settings["ms_per_image"] <= limit, number].idxmax()

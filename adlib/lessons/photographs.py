"""Lesson 10: all methods on photographs of real parts, whole and in tiles.

    python -m adlib.lessons.photographs notebooks/results/photographs.csv --data-root <folder> --categories tire \\
        --tiles 1,3 --aspect keep

The data sets are not ours to hand on. What is committed was measured on *tire*, the photographs of MVTec 3D-AD's
category of that name (Bergmann et al., VISAPP 2022), and on *magnetic_tile*, the Magnetic Tile Defects (Huang et al.,
2018) with 80 % of the normal images for training. Rows are the six numbers; the file goes on where it stopped. With
`--steps` as many are taken in each stage, instead of the budget's: whole images as long as tiles, say.
"""

import torch

from adlib import demo
from adlib.data.category import Category
from adlib.lessons.resolution import make_maps, read_grid, write_resolution
from adlib.metrics import evaluate
from adlib.runs.detector import METHODS
from adlib.runs.record import describe_cpu


def measure_numbers(data: Category, **options) -> list[dict]:
    """One row: the six numbers at 256 x 256, and what they cost. Options of `resolution.make_maps`."""
    maps, scores, cost = make_maps(data, **options)
    about = {"threads": torch.get_num_threads(), "processor": describe_cpu()}
    return [evaluate(maps, data.masks, scores, data.labels) | cost | about]


if __name__ == "__main__":
    given, grid = read_grid(__doc__, methods=METHODS, sizes=(128,), tiles=(1, 2))
    grid = [where | {"steps": given.steps} for where in grid]
    write_resolution(given.target, grid, data_root=str(demo.ensure(given.data_root)), minutes=given.minutes,
                     aspect=given.aspect, measure=measure_numbers, budget=given.budget, device=given.device)

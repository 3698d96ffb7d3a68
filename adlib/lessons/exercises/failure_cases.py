"""Exercises of lesson 06."""

import numpy as np

from adlib.lessons.exercises import judge, judge_function
from adlib.lessons.failures import EDGE, distance_to_edge


def cells_of_a_region(answer: object) -> None:
    """Lesson 06, exercise 1: positions of level 2 that a 12 x 12 region covers, image size 128, mask at 256."""
    hints = {
        2.25: "that is level 1, or level 2 at an image size of 256; stride 8 at 128 px is 16 pixels of the mask",
        1.5: "that is 12 / 8: level 2 has stride 8 in the image, which is 16 pixels of the mask; and areas are squares",
        0.75: "that is one side, 12 / 16; a region has two",
        9: "that is 144 / 16; a position of 16 x 16 pixels has an area of 256",
        18: "that is 144 / 8; a position has two sides, and stride 8 at 128 px is 16 pixels of the mask",
        0.1406: "that is level 3, stride 16; level 2 has stride 8",
        144: "those are its pixels; divide by the pixels of one position",
    }
    judge(answer, 0.5625, "about half a position: to level 2, this defect is half of one position",
          hints | {0.56: "nearly: give three decimals"},
          "a position of level 2 covers 8 x 8 pixels of the image, so 16 x 16 of the mask: 12 x 12 over that")


def lower_end(answer: object) -> None:
    """Lesson 06, exercise 2: lower end of Wilson's interval for 3 of 10."""
    hints = {
        0.016: "that is 0.3 - 1.96 sqrt(0.3 x 0.7 / 10), negative for 1 of 10; Wilson's has a shifted middle",
        0.6032: "that is the upper end",
        0.3555: "that is the middle; subtract the half width",
        0.3: "that is the rate itself",
        0.2477: "that is the half width; subtract it from the middle",
        0.1492: "do not forget to divide both terms by 1 + z^2 / n",
    }
    judge(answer, 0.1078, "3 of 10 is compatible with 11 % and with 60 %", hints,
          "p = 0.3, n = 10, z = 1.96 in (p + z^2/2n - z sqrt(p(1-p)/n + z^2/4n^2)) / (1 + z^2/n)")


def missed_by_all(answer: object, alarms: np.ndarray, labels: np.ndarray) -> None:
    """Lesson 06, exercise 3: share of the anomalous images on which none of (M, N) alarms is raised."""
    alarms, labels = np.asarray(alarms, bool), np.asarray(labels, bool)
    quiet = ~alarms.any(axis=0)
    missed = ~alarms[:, labels]
    right = float(quiet[labels].mean())
    hints = {
        float(quiet[~labels].mean()): "those are the normal images; take the columns where labels is True",
        float((quiet & labels).mean()): "divide by the number of anomalous images, not of all",
        float(quiet.mean()): "that counts normal images, too; take the columns where labels is True",
        float(missed.any(axis=0).mean()): "that is missed by at least one; none may alarm: ~alarms.any(axis=0)",
        float(missed.mean(axis=1).min()): "that is what the best method misses; others may find some of it",
        float(missed.mean()): "that is the mean over methods; an image counts only if none of them alarms",
        float(1 - right): "that is the share found by at least one; the question is the rest",
        float(quiet[labels].sum()): "that is a number of images; divide by the number of anomalous ones",
        100 * right: "as a share, not percent",
    }
    best = float(missed.mean(axis=1).min())
    judge(answer, right, f"the best single method misses {best:.3f}; all together miss {right:.3f}, "
          f"and flag {(~quiet[~labels]).sum()} of {(~labels).sum()} normal images (the worst single one "
          f"{alarms[:, ~labels].sum(axis=1).max()})", hints,
          "alarms.any(axis=0) says on which images any method alarms; the mean of its opposite where labels is True")


def at_the_border(answer: object, levels: dict[str, np.ndarray], labels: np.ndarray, cell: float) -> None:
    """Lesson 06, exercise 4: whether an (H, W) map peaks in its outermost cell; `levels` are (N, H, W) by method."""
    def rule(holds):
        return lambda level, cell: holds(*to_edges(level), cell)

    side, normal = next(iter(levels.values())).shape[-1], ~np.asarray(labels, bool)
    rates = [f"{m} {np.mean([peaks_at_border(x, cell) for x in maps[normal]]):.0%}" for m, maps in levels.items()]
    judge_function(answer, peaks_at_border, [(level, cells) for cells in (8, 5) for level in peaks_everywhere(cells)],
                   f"of the normal test maps, {', '.join(rates)} peak there, on {1 - (1 - 2 * cell / side) ** 2:.0%} "
                   "of the area", {
        "the pixel at distance `cell` is already in the second cell: smaller than, not at most": rule(
            lambda top, left, bottom, right, c: min(top, left, bottom, right) <= c),
        "that is the outermost row of pixels; a cell has `cell` of them": rule(
            lambda top, left, bottom, right, c: min(top, left, bottom, right) < 1),
        "a map has four edges; that is the top and the left one": rule(
            lambda top, left, bottom, right, c: min(top, left) < c),
        "a map has four edges; that is the bottom and the right one": rule(
            lambda top, left, bottom, right, c: min(bottom, right) < c),
        "that is top and bottom only": rule(lambda top, left, bottom, right, c: min(top, bottom) < c),
        "that is left and right only": rule(lambda top, left, bottom, right, c: min(left, right) < c),
        "that is a corner; one edge is enough: or, not and": rule(
            lambda top, left, bottom, right, c: min(top, bottom) < c and min(left, right) < c),
        "the other way round: True where the peak lies at the border": rule(
            lambda top, left, bottom, right, c: min(top, left, bottom, right) >= c),
        "a map can be higher than wide: shape[0] limits the rows, shape[1] the columns": turned,
        "return True or False, not the distance": rule(lambda *edges: min(edges[:4])),
    }, "y, x = np.unravel_index(level.argmax(), level.shape) is the peak; how far is it from each of the four edges?")


def peaks_everywhere(cell: int) -> list[np.ndarray]:
    """(5 cell, 4 cell) maps of noise, each with one peak: on both sides of every line that could be drawn."""
    generator, found = np.random.default_rng(0), []
    for y in (0, 1, cell - 1, cell, 2 * cell, 4 * cell - 1, 4 * cell, 5 * cell - 1):
        for x in (0, cell - 1, cell, 2 * cell, 3 * cell - 1, 3 * cell, 4 * cell - 1):
            level = generator.random((5 * cell, 4 * cell))
            level[y, x] = 2.0
            found.append(level)
    return found


def to_edges(level: np.ndarray) -> tuple[int, int, int, int]:
    """Pixels between the peak of a map and its top, left, bottom and right edge."""
    y, x = np.unravel_index(level.argmax(), level.shape)
    return y, x, level.shape[0] - 1 - y, level.shape[1] - 1 - x


def turned(level: np.ndarray, cell: float) -> bool:
    """`peaks_at_border` with height and width exchanged."""
    y, x = np.unravel_index(level.argmax(), level.shape)
    return min(y, x, level.shape[1] - 1 - y, level.shape[0] - 1 - x) < cell


def peaks_at_border(level: np.ndarray, cell: float) -> bool:
    return distance_to_edge(level) / cell < EDGE

"""Figures of lesson 07: positions, t-SNE planes, whose feature is nearest, maps while a student learns, patches."""

import numpy as np
from matplotlib.figure import Figure
from torch import Tensor

from adlib.data.category import Category
from adlib.explorer import CMAP
from adlib.lessons.feature_space import Patches, Positions
from adlib.lessons.plots import (
    ACCENT,
    ANOMALOUS,
    METHOD_MARKS,
    NORMAL,
    OUTLINE,
    QUIET,
    defect_name,
    new_figure,
    panel_grid,
    picture,
)
from adlib.lessons.plots.diagrams import BLUE, GREEN, LIGHT_GREY, ORANGE, diagram_arrow, diagram_box, new_diagram

POSITION_MARKS = {"normal": (NORMAL, "o"), "anomalous": (ANOMALOUS, "^")}
MOMENTS = 5         # of a film strip
ANSWER_COLOURS = {"own": "0.25", "normal": NORMAL, "anomalous": ANOMALOUS}


def feature_diagram(level: int, shape: tuple[int, int], size: int, count: int) -> Figure:
    """From an image to the two things this lesson makes of features; `shape` is (C, H) of a level."""
    channels, side = shape
    figure, ax = new_diagram(width=9.6, height=3.0, top=34)
    diagram_box(ax, 0, 13, 12, 9, f"test image\n3 x {size} x {size}", LIGHT_GREY)
    for y, name, colour in [(24, "teacher", BLUE), (2, "student", GREEN)]:
        diagram_box(ax, 18, y, 17, 9, f"{name}, level {level}\n{channels} x {side} x {side}", colour)
        diagram_box(ax, 44, y, 21, 9, f"features at {count} drawn\npositions: {count} x {channels}", colour)
        diagram_arrow(ax, 12, 17.5, 18, y + 4.5)
        diagram_arrow(ax, 35, y + 4.5, 44, y + 4.5)
    diagram_box(ax, 76, 24, 23, 9, f"PCA, then t-SNE\na picture: {2 * count} x 2", ORANGE)
    diagram_box(ax, 76, 2, 23, 9, "which teacher feature is\nnearest? a number", ORANGE)
    for y in (28.5, 6.5):
        for end in (28.5, 6.5):
            diagram_arrow(ax, 65, y, 76, end)
    return figure


def drawn_positions(category: Category, positions: dict[int, Positions], sides: dict[int, int],
                    indices: list[int]) -> Figure:
    """The positions of each level, a row each, on some test images; the mask outlined."""
    figure, axes = new_figure(len(positions), len(indices), width=1.6, height=1.7)
    for n, (line, (level, p)) in enumerate(zip(axes, positions.items(), strict=True)):
        line[0].set_ylabel(f"level {level}")
        for ax, i in zip(line, indices, strict=True):
            mask = None if category.masks is None else category.masks[i]
            picture(ax, category.test[i], mask=mask, title="" if n else defect_name(category, i))
            for name, (colour, marker) in POSITION_MARKS.items():
                here = (p.image == i) & (p.anomalous == (name == "anomalous"))
                x, y = ((v[here] + 0.5) * 256 / sides[level] for v in (p.column, p.row))
                ax.plot(x, y, marker, color=colour, ms=4.5, mec="white", mew=0.6, ls="", label=name)
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=2, frameon=False)
    return figure


def embeddings(panels: dict[tuple[str, str], tuple[np.ndarray, np.ndarray]]) -> Figure:
    """t-SNE pictures in a grid: the shape says the kind of a position, filled or open the network, a line the pair.

    Parameters
    ----------
    panels : dict
        By the names of row and column: (2P or 3P, 2) points, the teacher's, the student's, and where there are 3P the
        student's before another image; and (P,) bool, anomalous.
    """
    rows, columns = (list(dict.fromkeys(name[i] for name in panels)) for i in (0, 1))
    figure, axes = new_figure(len(rows), len(columns), width=3.1, height=2.9)
    for row, line in zip(rows, axes, strict=True):
        line[0].set_ylabel(f"{row}\nt-SNE 2".strip())
        for column, ax in zip(columns, line, strict=True):
            ax.set(xticks=[], yticks=[], title=column, xlabel="" if row != rows[-1] else "t-SNE 1")
            if (row, column) in panels:
                draw_embedding(ax, *panels[row, column])
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=2 if len(columns) < 3 else len(labels),
                  frameon=False, handletextpad=0.2, columnspacing=1.2)
    return figure


def draw_embedding(ax, y: np.ndarray, anomalous: np.ndarray) -> None:
    """One embedding: the teacher's marks open, the student's filled, its answers to another image small crosses."""
    teacher, student, *other = np.split(y, len(y) // len(anomalous))
    ax.plot(*np.stack([teacher, student], axis=1).T, color="0.6", lw=0.5, zorder=0)     # (P, 2, 2) -> x and y, (2, P)
    for kind, (colour, marker) in POSITION_MARKS.items():
        chosen = anomalous == (kind == "anomalous")
        ax.scatter(*teacher[chosen].T, s=30, marker=marker, fc="none", ec=colour, lw=0.9, label=f"teacher, {kind}")
        ax.scatter(*student[chosen].T, s=13, marker=marker, color=colour, lw=0, zorder=3, label=f"student, {kind}")
    for points in other:
        ax.scatter(*points.T, s=16, marker="x", color="0.35", lw=0.7, label="student, another image")


def shares(found: dict[str, dict[int, dict]], chance: dict[int, dict[str, float]], *,
           control: dict[str, dict[int, dict]] | None = None) -> Figure:
    """How often a student feature finds its own teacher feature, with intervals; a column per level, a row per number.

    Parameters
    ----------
    found, control : dict
        By name and level, what `neighbour_shares` returns.
    chance : dict
        By level and number, what a student that knows nothing reaches.
    """
    names, levels, numbers = list(found), list(chance), list(next(iter(chance.values())))
    figure, axes = new_figure(len(numbers), len(levels), width=3.1, height=0.42 * len(names) + 0.9, sharex=True,
                              sharey=True)
    for number, line in zip(numbers, axes, strict=True):
        for level, ax in zip(levels, line, strict=True):
            ax.set_title(f"level {level}" if number == numbers[0] else "")
            ax.axvline(chance[level][number], color=ACCENT, ls=":", lw=1, label="chance")
            for n, name in enumerate(names):
                for kind, offset in (("normal", -0.15), ("anomalous", 0.15)):
                    draw_interval(ax, found[name][level][kind][number], n + offset, kind, n == 0)
                    if control:
                        colour, marker = POSITION_MARKS[kind]
                        ax.plot(control[name][level][kind][number][0], n + offset, marker, color=colour, mfc="none",
                                ms=7, label=f"{kind}, same angles at random" if n == 0 else "")
            ax.set(xlabel=f"{number} (share of positions)", xlim=(-0.03, 1.03), yticks=range(len(names)),
                   yticklabels=names, ylim=(len(names) - 0.5, -0.5))
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=5, frameon=False)
    return figure


def draw_interval(ax, share: tuple[float, float, float], y: float, kind: str, labelled: bool) -> None:
    colour, marker = POSITION_MARKS[kind]
    ax.hlines(y, *share[1:], color=colour, lw=2, alpha=0.5)
    ax.plot(share[0], y, marker, color=colour, ms=4.5, label=kind if labelled else "")


def nearest_kind_shares(found: dict[str, dict[int, dict]]) -> Figure:
    """Whose teacher feature is nearest to a student feature: stacked shares, per level, method and kind of position."""
    names, levels = list(found), list(next(iter(found.values())))
    figure, axes = new_figure(1, len(levels), width=3.1, height=0.5 * len(names) + 1.1, sharey=True)
    ticks = [f"{name}, {kind}" for name in names for kind in POSITION_MARKS]
    for level, ax in zip(levels, axes[0], strict=True):
        for y, (name, kind) in enumerate((name, kind) for name in names for kind in POSITION_MARKS):
            entry, left = found[name][level][kind], 0.0
            own, normal = entry["hit@1"][0], entry["normal"][0]
            for answer, width in zip(ANSWER_COLOURS, (own, normal, 1 - own - normal), strict=True):
                label = {"own": "its own", "normal": "another, normal", "anomalous": "another, anomalous"}[answer]
                ax.barh(y, width, left=left, height=0.7, color=ANSWER_COLOURS[answer], label=label if y == 0 else "")
                left += width
        ax.set(title=f"level {level}", xlabel="share of positions", yticks=range(len(ticks)), yticklabels=ticks,
               xlim=(0, 1), ylim=(len(ticks) - 0.4, -0.6))
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=3, frameon=False,
                  title="nearest teacher feature")
    return figure


def film_strips(category: Category, reels: dict[str, tuple[np.ndarray, np.ndarray, np.ndarray]], defect: int,
          normal: int | None) -> Figure:
    """Maps of one defect and of a normal image, at first and at four late moments; a logarithmic scale per method.

    Parameters
    ----------
    reels : dict
        By method: (K,) steps, (K, M, H, W) maps, (M,) which test images.
    defect, normal : int
        Numbers of test images; the second may be None.
    """
    from matplotlib.colors import LogNorm

    shown = [i for i in (defect, normal) if i is not None]
    figure, axes = new_figure(len(reels) * len(shown), 1 + MOMENTS, width=1.4, height=1.42)
    for ax in axes.flat:
        ax.set_axis_off()
    for (name, (steps, maps, images)), lines in zip(reels.items(), np.split(axes, len(reels)), strict=True):
        positive = np.maximum(maps, 1e-6)
        quiet = positive[-1, [i for i, n in enumerate(images) if not category.labels[n]] or slice(None)]
        scale = LogNorm(np.median(quiet), positive.max(), clip=True)
        for n, (line, i) in enumerate(zip(lines, shown, strict=True)):
            mask = None if category.masks is None else category.masks[i]
            picture(line[0], category.test[i], mask=mask, title="" if n else name)
            moments = sorted({0, *range(len(steps))[1 - MOMENTS:]})     # the start, and the last
            for ax, k in zip(line[1:], moments, strict=False):
                heat = picture(ax, positive[k, list(images).index(i)], cmap=CMAP, norm=scale,
                               title="" if n else f"step {steps[k]}")
        bar = figure.colorbar(heat, ax=lines, label="pixel score", shrink=0.9, pad=0.01, aspect=18)
        plain_ticks(bar.ax.yaxis, scale.vmin, scale.vmax)
    return figure


def plain_ticks(axis, low: float, high: float) -> None:
    """Ticks of a logarithmic axis as plain numbers, a few of them whatever it spans."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

    subs = (1, 1.5, 2, 3, 4, 6) if high < 12 * low else (1, 3) if high < 100 * low else (1,)
    axis.set_major_locator(LogLocator(subs=subs))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))


def contrast_curves(found: dict[str, tuple[np.ndarray, np.ndarray, np.ndarray]]) -> Figure:
    """Score inside defects over normal images while students learn: all methods, then what each ratio is made of.

    Parameters
    ----------
    found : dict
        By method: (K,) steps, (K, A) means inside the defects, (K,) means of the normal images. In bold what the ratio
        is made of: the mean over the defects, and the normal images.
    """
    figure, axes = panel_grid(1 + len(found), 3, width=3.2, height=2.6)
    for ax, (name, (steps, inside, normal)) in zip(axes[1:], found.items(), strict=True):
        x, (colour, marker) = steps - steps[0], METHOD_MARKS[name]
        axes[0].plot(x, inside.mean(axis=1) / normal, marker=marker, color=colour, ms=3.5, lw=1.2, label=name)
        ax.plot(x, inside, color=ANOMALOUS, lw=0.6, alpha=0.5)
        ax.plot(x, inside.mean(axis=1), color=ANOMALOUS, marker="^", ms=3.5, lw=1.4, label="inside the defects")
        ax.plot(x, normal, color=NORMAL, marker="o", ms=3.5, lw=1.4, label="normal images")
        ax.set(title=name, ylabel="mean pixel score")
    axes[0].axhline(1, color=QUIET, ls=":", lw=1)
    axes[0].set(title="defect / normal", ylabel="ratio of mean pixel scores")
    for ax in axes:
        ax.set(xlabel="step, from the first picture", yscale="log")
        step_axis(ax)
        plain_ticks(ax.yaxis, *ax.get_ylim())
    axes[0].legend(fontsize=8)
    axes[1].legend(fontsize=8)
    return figure


def step_axis(ax) -> None:
    """Training steps on a logarithmic axis that begins with 0."""
    ax.set_xscale("symlog", linthresh=1)
    ax.set_xlim(-0.3, None)
    ax.set_xticks([0, 1, 10, 100], ["0", "1", "10", "100"])


def learning_curves(grown: dict[int, dict[int, tuple[dict, dict]]]) -> Figure:
    """What a student's features do while it learns: hit@1 above, the angle to the teacher below, a column per level.

    Parameters
    ----------
    grown : dict
        By step and level: what `neighbour_shares` and `median_angles` return, and the former with another image.
    """
    steps, levels = list(grown), list(next(iter(grown.values())))
    figure, axes = new_figure(2, len(levels), width=3.1, height=2.3, sharex=True, sharey="row")
    for level, (hit, angle) in zip(levels, axes.T, strict=True):
        for kind, (colour, marker) in POSITION_MARKS.items():
            share, low, high = np.array([grown[step][level][0][kind]["hit@1"] for step in steps]).T
            hit.fill_between(steps, low, high, color=colour, alpha=0.15, lw=0)
            hit.plot(steps, share, marker=marker, color=colour, ms=4, label=kind)
            hit.plot(steps, [grown[step][level][2][kind]["hit@1"][0] for step in steps], color=colour, ls="--", lw=1)
            angle.plot(steps, [grown[step][level][1][kind] for step in steps], marker=marker, color=colour, ms=4)
        hit.set(title=f"level {level}", ylim=(-0.03, 1.03))
        angle.set(xlabel="training step")
        step_axis(angle)
    axes[0, 0].set_ylabel("hit@1 (share of positions)")
    axes[1, 0].set(ylabel="median angle (degrees)", ylim=(0, axes[1, 0].get_ylim()[1]))     # of all the row
    axes[0, 0].legend(loc="upper left")
    return figure


def retrieved_patches(category: Category, index: int, spot: tuple[int, int], side: int, patches: Patches,
            names: list[str]) -> Figure:
    """One position of a test image, and the normal training patches nearest to each network's feature of it.

    Parameters
    ----------
    spot : (row, column) on the level's grid of side x side cells
    patches : Patches
        A row for each of `names`.
    """
    figure, axes = new_figure(len(names), 2 + patches.cos.shape[1], width=1.25, height=1.4)
    for ax in axes[1:, :2].flat:
        ax.set_axis_off()
    picture(axes[0, 0], category.test[index], title=defect_name(category, index))
    axes[0, 0].plot(*((spot[i] + 0.5) * 256 / side for i in (1, 0)), "s", mfc="none", color=OUTLINE, ms=7, mew=1.4)
    draw_patch(axes[0, 1], category.test[index], spot, side, title="position")
    for q, line in enumerate(axes):
        for ax, i, r, c, cos in zip(line[2:], *(v[q] for v in vars(patches).values()), strict=True):
            draw_patch(ax, category.train[i], (r, c), side, title=f"{cos:.2f}")
        line[2].set_ylabel(names[q])
    return figure


def draw_patch(ax, image: Tensor, spot: tuple[int, int], side: int, *, title: str, reach: int = 5) -> None:
    """The surroundings of a grid cell, `reach` cells across and at least a quarter of the image; the cell framed."""
    cell, half = 256 / side, max(reach * 128 / side, 32)
    centre = [float(np.clip((x + 0.5) * cell, half, 256 - half)) for x in spot]
    picture(ax, image, title=title)
    ax.set(xlim=(centre[1] - half, centre[1] + half), ylim=(centre[0] + half, centre[0] - half))
    y, x = (i * cell for i in spot)
    ax.plot([x, x + cell, x + cell, x, x], [y, y, y + cell, y + cell, y], color=OUTLINE, lw=1.1)

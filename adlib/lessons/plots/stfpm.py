"""Figures of lesson 01: two pyramids, their distance at each level, and how it changes while the student learns."""

import numpy as np
from matplotlib.figure import Figure
from torch import Tensor

from adlib.data.category import Category
from adlib.explorer import CMAP, normal_scale
from adlib.lessons.plots import ACCENT, ANOMALOUS, NORMAL, OUTLINE, QUIET, defect_name, new_figure, picture
from adlib.lessons.plots.diagrams import BLUE, GREEN, LIGHT_GREY, ORANGE, diagram_arrow, diagram_box, new_diagram
from adlib.networks.layers import upsample


def stfpm_architecture(shapes: dict[int, tuple[int, int]], size: int) -> Figure:
    """Teacher above, student below, a distance at each level between them; `shapes` holds (C, H) of each level."""
    figure, ax = new_diagram(width=9.6, height=3.6, top=40)
    diagram_box(ax, 0, 16, 11, 9, f"image\n3 x {size} x {size}", LIGHT_GREY)
    step = 66 / len(shapes)
    for y, name, colour in [(30, "teacher\nfrozen", BLUE), (1, "student\ntrained", GREEN)]:
        diagram_box(ax, 16, y, 9, 9, name, colour)
        diagram_arrow(ax, 11, 20.5, 16, y + 4.5)
        for k, (level, (channels, side)) in enumerate(shapes.items()):
            x = 29 + step * k * 0.8
            diagram_box(ax, x, y, 13, 9, f"level {level}\n{channels} x {side} x {side}", colour)
            diagram_arrow(ax, x - 4 if k == 0 else x - step * 0.8 + 13, y + 4.5, x, y + 4.5)
    for k, (_, side) in enumerate(shapes.values()):
        x = 29 + step * k * 0.8
        diagram_box(ax, x, 16, 13, 9, f"1 - cos\n{side} x {side}", ORANGE)
        diagram_arrow(ax, x + 6.5, 30, x + 6.5, 25)
        diagram_arrow(ax, x + 6.5, 10, x + 6.5, 16)
    diagram_box(ax, 86, 16, 14, 9, "product\nmap 256 x 256", LIGHT_GREY)
    diagram_arrow(ax, 29 + step * (len(shapes) - 1) * 0.8 + 13, 20.5, 86, 20.5)
    return figure


def feature_planes(category: Category, index: int, features: dict[int, Tensor], *, planes: int = 4) -> Figure:
    """One image and a few teacher channels at each level: those that vary most over it."""
    figure, axes = new_figure(len(features), 1 + planes, width=1.5, height=1.6)
    for row, (level, t) in zip(axes, features.items(), strict=True):
        picture(row[0], category.test[index], title=defect_name(category, index))
        row[0].set_ylabel(f"level {level}")
        strongest = t[0].flatten(1).std(dim=1).argsort(descending=True)[:planes]
        for ax, c in zip(row[1:], strongest.tolist(), strict=True):
            picture(ax, t[0, c].cpu(), cmap="gray", title=f"channel {c}")
    return figure


def training_curve(losses: list[float], validation: list[tuple[int, float]] = (), *, kept: int | None = None) -> Figure:
    """Training loss of each step, validation loss where it was taken, and the step whose weights were kept."""
    figure, axes = new_figure(1, 1, width=6.4, height=2.6)
    ax = axes[0, 0]
    ax.plot(np.arange(1, len(losses) + 1), losses, color=NORMAL, lw=0.9, alpha=0.7, label="training, each step")
    if validation:
        ax.plot(*zip(*validation, strict=True), "o-", color=ANOMALOUS, ms=3, lw=1.2, label="validation")
    if kept is not None:
        ax.axvline(kept, color=ACCENT, ls="--", lw=1, label=f"kept: step {kept}")
    ax.set(xlabel="step", ylabel="loss, summed over levels", yscale="log")
    low, high = ax.get_ylim()
    ax.yaxis.set_major_formatter("{x:g}")
    ax.yaxis.set_minor_formatter("{x:g}" if high < 10 * low else "")      # else the decades are enough
    ax.locator_params(axis="x", integer=True)
    ax.legend(loc="upper left", bbox_to_anchor=(1, 1))
    return figure


def xray(category: Category, index: int, spot: tuple[int, int], map_: Tensor, *, levels: list[int],
         angles: np.ndarray, normal_angles: np.ndarray, shares: np.ndarray) -> Figure:
    """One pixel taken apart: the angle between teacher and student at each level, and each level's share of the score.

    Parameters
    ----------
    spot : (row, column) at 256 x 256
    angles, shares : (K,) degrees; parts of 1
    normal_angles : (K, 3) degrees, the 5 %, 50 % and 95 % quantiles over validation images
    """
    figure, axes = new_figure(1, 4, width=2.3, height=2.3, gridspec_kw={"width_ratios": [1, 1, 1.3, 1]})
    image, heat, degrees, share = axes[0]
    picture(image, category.test[index], title=defect_name(category, index))
    picture(heat, map_, cmap=CMAP, title="map")
    for ax in (image, heat):
        ax.plot(spot[1], spot[0], "+", color=OUTLINE, ms=13, mew=1.6)
    names, y = [f"level {level}" for level in levels], np.arange(len(levels))
    degrees.hlines(y, normal_angles[:, 0], normal_angles[:, 2], color=QUIET, lw=7, label="normal, 5 to 95 %")
    degrees.plot(angles, y, "D", color=ANOMALOUS, label="this pixel")
    degrees.set(yticks=y, yticklabels=names, xlabel="angle (degrees)", xlim=(0, None))
    degrees.legend(fontsize=8, loc="upper center", bbox_to_anchor=(0.5, 1.28), ncols=2, handlelength=1, columnspacing=1)
    share.barh(y, shares, color=NORMAL, height=0.5)
    share.set(yticks=y, yticklabels=[], xlabel="share of the excess score")
    for ax in (degrees, share):
        ax.set_ylim(len(angles) - 0.5, -0.5)
    return figure


def film_strip(images: Tensor, snapshots: dict[int, Tensor], labels: Tensor) -> Figure:
    """Maps of a few images while the student learns: a column per step, on the scale that its normal images set."""
    figure, axes = new_figure(len(images), 1 + len(snapshots), width=1.15, height=1.2)
    for row, image in zip(axes, images, strict=True):
        picture(row[0], image)
    for column, (step, maps) in zip(axes.T[1:], snapshots.items(), strict=True):
        scale = normal_scale(maps, labels)
        for ax, m in zip(column, maps, strict=True):
            picture(ax, upsample(m[None])[0], cmap=CMAP, title=f"step {step}" if ax is column[0] else "", **scale)
    return figure


def compare_losses(runs: dict[str, list[float]], *, ylabel: str = "loss, summed over levels",
                   yscale: str = "log") -> Figure:
    """Training losses of several trainings, one line each."""
    figure, axes = new_figure(1, 1, width=6.4, height=2.4)
    styles = zip((NORMAL, ANOMALOUS, ACCENT), ("-", "--", "-."), strict=True)
    for (name, losses), (colour, style) in zip(runs.items(), styles, strict=False):
        axes[0, 0].plot(np.arange(1, len(losses) + 1), losses, style, color=colour, lw=1.2, label=name)
    axes[0, 0].set(xlabel="step", ylabel=ylabel, yscale=yscale)
    axes[0, 0].locator_params(axis="x", integer=True)
    axes[0, 0].legend()
    return figure

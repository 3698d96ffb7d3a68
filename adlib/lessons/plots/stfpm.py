"""Figures of lesson 01: two pyramids, their distance at each level, and how it changes while the student learns."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from adlib.data.category import Category
from adlib.explorer import CMAP, normal_scale
from adlib.lessons.plots import (
    ACCENT,
    ANOMALOUS,
    NORMAL,
    OUTLINE,
    QUIET,
    defect_name,
    new_figure,
    picture,
)
from adlib.lessons.plots.diagrams import (
    STACK,
    STUDENT,
    TEACHER,
    diagram_arrow,
    diagram_features,
    diagram_map,
    diagram_picture,
    diagram_route,
    new_diagram,
    strongest_channels,
)
from adlib.networks.layers import upsample


def stfpm_architecture(image: Tensor, t: dict[int, Tensor], s: list[Tensor], distances: list[Tensor],
                       fused: Tensor) -> Figure:
    """A row per level: channels of teacher and student, their distance, and the product of all distances.

    Parameters
    ----------
    image : (3, S, S)
    t : dict of a level to (1, C_k, H_k, W_k) teacher features
    s : list of the student's
    distances : list of (H_k, W_k) maps
    fused : (H, W)
    """
    top = 18.5 * len(t) + 4
    figure, ax = new_diagram(width=9.4, height=9.4 * (top + 2) / 102, top=top)
    middle = (top - 5) / 2 + 1.5
    diagram_picture(ax, 0, middle - 6, 12, image)
    ax.text(6, middle - 6.8, " x ".join(map(str, image.shape)), ha="center", va="top", fontsize=7.5)
    ax.text(73, top - 2.5, "1 - cos", ha="center", va="bottom", fontsize=9)
    for k, ((level, x), own, d) in enumerate(zip(t.items(), s, distances, strict=True)):
        y = 18.5 * (len(t) - 1 - k) + 5
        chosen = strongest_channels(x, 3)
        diagram_features(ax, 22, y, x, TEACHER, f"teacher, level {level}", chosen=chosen)
        diagram_features(ax, 45, y, own, STUDENT, f"student, level {level}", chosen=chosen)
        diagram_map(ax, 68, y, d, f"{d.shape[0]} x {d.shape[1]}")
        diagram_route(ax, [(29, y + 11.9), (29, y + 13.7), (64, y + 13.7), (67.6, y + 8.5)])
        diagram_arrow(ax, 57, y + 5, 67.6, y + 5)
        diagram_arrow(ax, 78.3, y + 5, 83.6, middle)
        if k:
            for right in (22, 45):
                diagram_arrow(ax, right + 5, y + 15, right + 5, y + STACK + 2)
    diagram_arrow(ax, 12.5, middle, 21.6, y + 18.5 * (len(t) - 1) + 6)
    diagram_route(ax, [(6, middle + 6.4), (6, top - 0.5), (50, top - 0.5), (50, top - 6.5)])
    ax.text(85, middle, "×", fontsize=17, ha="center", va="center")
    diagram_arrow(ax, 86.6, middle, 88.6, middle)
    diagram_map(ax, 89, middle - STACK / 2, fused, f"map, {fused.shape[0]} x {fused.shape[1]}")
    return figure


def feature_planes(category: Category, index: int, features: dict[int, Tensor], *, planes: int = 4) -> Figure:
    """One image and a few teacher channels at each level: those that vary most over it; white is zero."""
    figure, axes = new_figure(len(features), 1 + planes, width=1.6, height=1.6)
    for row, (level, t) in zip(axes, features.items(), strict=True):
        picture(row[0], category.test[index], title=defect_name(category, index))
        row[0].set_ylabel(f"level {level}")
        chosen = strongest_channels(t, planes).tolist()
        limit = t[0, chosen].abs().max().item()
        for ax, c in zip(row[1:], chosen, strict=True):
            shown = picture(ax, t[0, c].cpu(), cmap="PuOr_r", title=f"channel {c}", vmin=-limit, vmax=limit)
        figure.colorbar(shown, ax=row, shrink=0.8, pad=0.01, label="feature")
    return figure


def rates_and_paths(rates: dict[str, np.ndarray], paths: dict[str, np.ndarray]) -> Figure:
    """Learning rates by step, and where a weight is that each of them moves; 0 is the best weight."""
    figure, axes = new_figure(1, 2, width=3.8, height=2.3)
    for (name, rate), colour, style in zip(rates.items(), (ANOMALOUS, NORMAL), ("--", "-"), strict=True):
        axes[0, 0].plot(rate, style, color=colour, label=name)
        axes[0, 1].plot(paths[name], color=colour, lw=0.8, alpha=0.85)
    axes[0, 0].set(xlabel="step", ylabel="learning rate", ylim=(0, None))
    axes[0, 1].set(xlabel="step", ylabel="weight (best: 0)")
    axes[0, 0].legend()
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
    ax.set(xlabel="step", ylabel="loss, summed over levels")
    plain_log(ax)
    ax.legend(loc="upper left", bbox_to_anchor=(1, 1))
    return figure


def plain_log(ax: Axes) -> None:
    """A logarithmic y axis with plain numbers at 1, 2, 3, 5 and 7, and whole steps on x."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    ax.set_yscale("log")
    ax.yaxis.set_major_locator(LogLocator(subs=(1, 2, 3, 5, 7)))
    ax.yaxis.set_major_formatter(FuncFormatter(lambda y, _: f"{y:g}"))
    ax.yaxis.set_minor_formatter(NullFormatter())
    ax.locator_params(axis="x", integer=True)


def xray(category: Category, index: int, spot: tuple[int, int], map_: Tensor, *, levels: list[int],
         angles: np.ndarray, normal_angles: np.ndarray, shares: np.ndarray, scale: dict[str, float]) -> Figure:
    """One pixel taken apart: the angle between teacher and student at each level, and each level's share of the score.

    Parameters
    ----------
    spot : (row, column) at 256 x 256
    angles, shares : (K,) degrees; parts of 1
    normal_angles : (K, 3) degrees, the 5 %, 50 % and 95 % quantiles over validation images
    scale : dict
        Colour limits of the map, those of all maps.
    """
    figure, axes = new_figure(1, 4, width=2.3, height=2.3, gridspec_kw={"width_ratios": [1, 1, 1.3, 1]})
    image, heat, degrees, share = axes[0]
    mask = None if category.masks is None else category.masks[index]
    picture(image, category.test[index], mask=mask, title=defect_name(category, index))
    picture(heat, map_, mask=mask, cmap=CMAP, title="map", **scale)
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


def film_strip(category: Category, indices: list[int], snapshots: dict[int, Tensor]) -> Figure:
    """Maps of a few test images while the student learns, defects outlined: a column per step.

    Each column has the scale that its normal images set.
    """
    figure, axes = new_figure(len(indices), 1 + len(snapshots), width=1.15, height=1.2)
    scales = {step: normal_scale(maps, category.labels[indices]) for step, maps in snapshots.items()}
    for k, (i, row) in enumerate(zip(indices, axes, strict=True)):
        mask = None if category.masks is None else category.masks[i]
        picture(row[0], category.test[i], mask=mask)
        row[0].set_ylabel(defect_name(category, i), fontsize=8)
        for ax, (step, maps) in zip(row[1:], snapshots.items(), strict=True):
            picture(ax, upsample(maps[k : k + 1])[0], mask=mask, cmap=CMAP, title="" if k else f"step {step}",
                    **scales[step])
    return figure


def compare_losses(runs: dict[str, list[float]], *, ylabel: str = "loss, summed over levels",
                   yscale: str = "log") -> Figure:
    """Training losses of several trainings, one line each."""
    figure, axes = new_figure(1, 1, width=6.4, height=2.4)
    ax, styles = axes[0, 0], zip((NORMAL, ANOMALOUS, ACCENT), ("-", "--", "-."), strict=True)
    for (name, losses), (colour, style) in zip(runs.items(), styles, strict=False):
        ax.plot(np.arange(1, len(losses) + 1), losses, style, color=colour, lw=1.2, label=name)
    ax.set(xlabel="step", ylabel=ylabel)
    if yscale == "log":
        plain_log(ax)
    ax.locator_params(axis="x", integer=True)
    ax.legend(loc="upper left", bbox_to_anchor=(1, 1))
    return figure

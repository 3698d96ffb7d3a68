"""Figures of lesson 03, and of 04 where they are alike: the bottleneck between teacher and decoder, blur, seeds."""

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from adlib.lessons.plots import METHOD_MARKS, NORMAL, QUIET, new_figure
from adlib.lessons.plots.diagrams import (
    ADDED,
    PINK,
    STACK,
    STUDENT,
    TEACHER,
    diagram_arrow,
    diagram_box,
    diagram_features,
    diagram_map,
    diagram_picture,
    diagram_route,
    diagram_stack,
    new_diagram,
    strongest_channels,
)
from adlib.settings import METRIC_NAMES

SHORT_NAMES = {"nearest": "nearest patch (no training)", "stfpm": "STFPM", "destseg": "DeSTSeg", "rd4ad": "RD4AD",
               "masked_rd": "masked RD"}


def rd_architecture(image: Tensor, t: list[Tensor], s: list[Tensor], distances: list[Tensor], map_: Tensor, *,
                    bottleneck: dict[str, Tensor], levels: list[int], hidden: list[Tensor] | None = None) -> Figure:
    """Teacher above, decoder below and in reverse order, what squeezes the features between; with masks or without.

    Parameters
    ----------
    image : (3, S, S) tensor
    t, s : list of (1, C_k, H_k, W_k) tensors
        Teacher's and decoder's features of levels 1, 2, 3.
    distances : list of (H_k, W_k) tensors
        Of the compared levels.
    map_ : (256, 256) tensor
    bottleneck : dict of (1, C, H, W) tensors
        By name, from the fusion to the embedding.
    levels : list of int
        Those that are compared.
    hidden : list of (1, C_k, H_k, W_k) tensors, optional
        Decoder's features of the compared levels behind masks, in front of generators.
    """
    compare, teacher = (51, 70) if hidden else (24, 43)
    figure, ax = new_diagram(width=9.6, height=9.6 * (teacher + 19) / 108, top=teacher + 17, right=106)
    diagram_picture(ax, 0, teacher, STACK, image)
    ax.text(5, teacher - 0.8, "image\n" + " x ".join(map(str, image.shape)), ha="center", va="top", fontsize=7.5)
    for k, (a, b) in enumerate(zip(t, s, strict=True)):
        x, chosen = 19 + 20 * k, strongest_channels(a, 3)
        diagram_features(ax, x, teacher, a, TEACHER, f"teacher, level {k + 1}", chosen=chosen, side="above")
        diagram_arrow(ax, x - (7.7 if k else 8.5), teacher + 5, x - 0.5, teacher + 5)
        ax.plot([x + 11.3] * 2, [teacher + 12.2, teacher + 16.5], color="0.3", lw=0.9)      # to the fusion
        diagram_features(ax, x, 5, b, STUDENT, f"decoder, level {k + 1}", chosen=chosen)
        diagram_arrow(ax, x + (22.5 if k == 2 else 19.5), 10, x + 12.4, 10)
        if k + 1 not in levels:
            continue
        at = levels.index(k + 1)
        if hidden:
            diagram_stack(ax, x, 24, STACK, hidden[at][0][chosen], STUDENT, hidden=(hidden[at][0] == 0).all(dim=0))
            ax.text(x + 12.6, 29.5, "hidden", color=ADDED, fontsize=7.5)
            diagram_box(ax, x - 1, 40.5, 13, 5, "generator", PINK)
            diagram_arrow(ax, x + 5, 17.2, x + 5, 23.5)
            diagram_arrow(ax, x + 5, 36.2, x + 5, 40.2)
        diagram_arrow(ax, x + 5, 45.9 if hidden else 17.2, x + 5, compare - 0.5)
        diagram_map(ax, x, compare, distances[at], "1 - cos", beside=True)
        diagram_arrow(ax, x + 5, teacher - 0.5, x + 5, compare + STACK + 0.3)
    compared = [20 * k - 1 for k in levels]
    for x, left in zip(compared, [STACK, *(x + STACK for x in compared)], strict=False):
        diagram_arrow(ax, x - 0.5, compare + 4, left + 0.6, compare + 4)
    diagram_map(ax, 0, compare, map_, "sum, blurred:\nmap, 256 x 256")
    diagram_route(ax, [(30.3, teacher + 16.5), (87, teacher + 16.5), (87, teacher + 12.3)])
    draw_bottleneck(ax, bottleneck, teacher)
    return figure


def draw_bottleneck(ax: Axes, bottleneck: dict[str, Tensor], top: float) -> None:
    """The right column of `rd_architecture`, downwards: what is attention has a colour of its own.

    Of RD4AD's fusion one channel of each level is shown, of all else those that vary most.
    """
    heights = np.linspace(top, 5, len(bottleneck))
    for k, ((name, x), y) in enumerate(zip(bottleneck.items(), heights, strict=True)):
        frame = ADDED if 0 < k < len(heights) - 1 else STUDENT
        joined = x[:, : x.shape[1] // 3 * 3].chunk(3, dim=1) if len(heights) == 2 and k == 0 else ()    # RD4AD's fusion
        chosen = [j * x.shape[1] // 3 + int(strongest_channels(third, 1)) for j, third in enumerate(joined)]
        diagram_features(ax, 82, y, x, frame, name, chosen=torch.tensor(chosen) if chosen else None, side="right")
        if k:
            diagram_arrow(ax, 87, heights[k - 1] - 0.5, 87, y + 12.3)


def blur_profile(before: Tensor, after: Tensor) -> Figure:
    """A row of pixels through the middle of a map, before and after smoothing."""
    figure, axes = new_figure(1, 1, width=6.4, height=2.3)
    axes[0, 0].plot(before, drawstyle="steps-mid", color=QUIET, lw=1.2, label="before")
    axes[0, 0].plot(after, color=NORMAL, lw=1.6, label="after")
    axes[0, 0].set(xlabel="column (pixels of 256)", ylabel="pixel score")
    axes[0, 0].legend(loc="upper left", bbox_to_anchor=(1, 1))
    return figure


def seed_dots(entries: list[dict], numbers: tuple[str, ...] = ("image_auroc", "pixel_ap")) -> Figure:
    """A dot per seed, a row per category, a mark per method and a stroke at its mean: how far both differ."""
    methods = [m for m in METHOD_MARKS if any(e["method"] == m for e in entries)]
    categories = sorted({e["category"] for e in entries})
    figure, axes = new_figure(1, len(numbers), width=4.4, height=0.55 * len(categories) + 1.0, sharey=True)
    for ax, number in zip(axes[0], numbers, strict=True):
        for m, method in enumerate(methods):
            colour, marker = METHOD_MARKS[method]
            own = [e for e in entries if e["method"] == method and e[number] not in ("", None)]
            y = [categories.index(e["category"]) + 0.16 * (m - (len(methods) - 1) / 2) for e in own]
            ax.plot([float(e[number]) for e in own], y, marker, color=colour, ms=4.5, label=SHORT_NAMES[method])
            for height in sorted(set(y)):
                mean = np.mean([float(e[number]) for e, at in zip(own, y, strict=True) if at == height])
                ax.plot([mean, mean], [height - 0.07, height + 0.07], color=colour, lw=1.6)
        ax.hlines(np.arange(len(categories) - 1) + 0.5, 0, 1, color="0.9", lw=0.8, transform=ax.get_yaxis_transform())
        ax.set(xlabel=METRIC_NAMES[number], yticks=range(len(categories)), yticklabels=categories,
               ylim=(len(categories) - 0.5, -0.5))
    axes[0, -1].legend(loc="upper left", bbox_to_anchor=(1, 1))
    return figure

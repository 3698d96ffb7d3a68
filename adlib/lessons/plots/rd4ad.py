"""Figures of lesson 03, and of 04 where they are alike: the bottleneck between teacher and decoder, blur, seeds."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from torch import Tensor

from adlib.lessons.plots import METHOD_MARKS, NORMAL, QUIET, new_figure
from adlib.lessons.plots.diagrams import BLUE, GREEN, LIGHT_GREY, ORANGE, PINK, diagram_arrow, diagram_box, new_diagram
from adlib.settings import METRIC_NAMES

SHORT_NAMES = {"nearest": "nearest patch (no training)", "stfpm": "STFPM", "destseg": "DeSTSeg", "rd4ad": "RD4AD",
               "masked_rd": "masked RD"}


def rd_architecture(image: Tensor, t: list[Tensor], fused: Tensor, embedding: Tensor, *, levels: list[int],
                    masked: bool) -> Figure:
    """Teacher above, decoder below and in reverse order, the narrow embedding between; with masked RD's parts or not.

    Parameters
    ----------
    image : (3, S, S) tensor
    t : list of (B, C_k, H_k, W_k) tensors
        Teacher features of levels 1, 2, 3; the last one's lengths are shown.
    fused, embedding : (B, C, H, W) tensor
        Behind the fusion, and behind the one-class embedding.
    levels : list of int
        Those that are compared.
    """
    top, distance = (44, 29.5) if masked else (31, 15.5)
    figure, ax = new_diagram(width=9.6, height=4.9 if masked else 3.9, top=top + 13)
    side, right = image.shape[-1], 81
    picture_box(ax, 0, top, image.permute(1, 2, 0), f"image\n3 x {side}\nx {side}", LIGHT_GREY, width=13)
    for k, x in enumerate((19, 38, 57)):
        c, h, w = t[k].shape[1:]
        picture_box(ax, x, top, t[k][-1].norm(dim=0), f"teacher\nlevel {k + 1}\n{c} x\n{h} x {w}", BLUE, sheets=3)
        diagram_arrow(ax, x - (6 if k == 0 else 5), top + 4.5, x, top + 4.5)
        ax.plot([x + 7, x + 7], [top + 9.3, top + 12], color="0.3", lw=0.9)
        diagram_box(ax, x, 0, 14, 9, f"decoder $S_{k + 1}$\n{shape(t[k])}", GREEN)
        diagram_arrow(ax, x + 14 + (10 if k == 2 else 5), 4.5, x + 14, 4.5)
        if k + 1 not in levels:
            continue
        if masked:
            diagram_box(ax, x, 15, 14, 9, "mask $M$, then\ngenerator", PINK)
            diagram_arrow(ax, x + 7, 9, x + 7, 15)
        diagram_box(ax, x, distance, 14, 9, f"1 - cos\n{t[k].shape[2]} x {t[k].shape[3]}", ORANGE)
        diagram_arrow(ax, x + 7, top, x + 7, distance + 9)
        diagram_arrow(ax, x + 7, distance - (5.5 if masked else 6.5), x + 7, distance)
    ax.plot([26, right + 9], [top + 12, top + 12], color="0.3", lw=0.9)
    diagram_arrow(ax, right + 9, top + 12, right + 9, top + 9)
    diagram_box(ax, right, top, 18, 9, f"{'MSFF' if masked else 'MFF: fusion'}\n{shape(fused)}", GREEN)
    below = top
    for y, text in [(29.5, "SCConv"), (15, "SimAM")] if masked else []:
        diagram_box(ax, right, y, 18, 9, f"{text}\n{shape(fused)}", PINK)
        diagram_arrow(ax, right + 9, below, right + 9, y + 9)
        below = y
    diagram_arrow(ax, right + 9, below, right + 9, 9)
    diagram_box(ax, right, 0, 18, 9, f"embedding\n{shape(embedding)}", "#fff2cc")
    diagram_box(ax, 0, distance, 12, 9, "sum, blur\nmap 256 x 256", LIGHT_GREY)
    compared = [19 * k for k in levels]
    for x, left in zip(compared, [12, *(x + 14 for x in compared)], strict=False):
        diagram_arrow(ax, x, distance + 4.5, left, distance + 4.5)
    ax.set(xlim=(-1, 101), ylim=(-1, top + 14))     # pictures move the limits
    return figure


def picture_box(ax: Axes, x: float, y: float, picture: Tensor, text: str, colour: str, *, width: float = 14,
                sheets: int = 1) -> None:
    """A box with a small picture beside its text; of several sheets, it is the uppermost."""
    diagram_box(ax, x, y, width, 9, "", colour)
    for i in reversed(range(sheets)):
        left, low = x + 0.3 + 0.5 * i, y + 0.6 + 0.5 * i
        ax.add_patch(Rectangle((left, low), 6.6, 6.8, fc="white", ec="0.3", lw=0.7, zorder=2))
    ax.imshow(picture.cpu(), extent=(x + 0.3, x + 6.9, y + 0.6, y + 7.4), aspect="auto", cmap="gray",
              interpolation="nearest", zorder=3)
    ax.text(x + 0.5 * (width + 7.9), y + 4.5, text, ha="center", va="center", fontsize=7.5)


def shape(x: Tensor) -> str:
    return " x ".join(map(str, x.shape[1:]))


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

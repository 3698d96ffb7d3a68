"""Figures of lesson 03: the bottleneck between teacher and decoder, what its parts light up, and masks."""

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor

from adlib.explorer import CMAP
from adlib.lessons.plots import ACCENT, ANOMALOUS, METHOD_MARKS, NORMAL, QUIET, new_figure, picture
from adlib.lessons.plots.diagrams import BLUE, GREEN, LIGHT_GREY, ORANGE, PINK, diagram_arrow, diagram_box, new_diagram
from adlib.settings import METRIC_NAMES


def masked_rd_architecture(t: list[Tensor], fused: Tensor, embedding: Tensor, *, levels: list[int],
                           masked: bool) -> Figure:
    """Teacher above, decoder below and in reverse order, the narrow embedding between; with masked RD's parts or not.

    Parameters
    ----------
    t : list of (B, C_k, H_k, W_k) tensors
        Teacher features of levels 1, 2, 3.
    fused, embedding : (B, C, H, W) tensor
        Behind the fusion, and behind the one-class embedding.
    levels : list of int
        Those that are compared.
    """
    top, distance = (44, 29.5) if masked else (31, 15.5)
    figure, ax = new_diagram(width=9.6, height=4.9 if masked else 3.9, top=top + 13)
    side, right = 4 * t[0].shape[-1], 81
    diagram_box(ax, 0, top, 12, 9, f"image\n3 x {side} x {side}", LIGHT_GREY)
    for k, x in enumerate((19, 38, 57)):
        diagram_box(ax, x, top, 14, 9, f"teacher, level {k + 1}\n{shape(t[k])}", BLUE)
        diagram_arrow(ax, x - (7 if k == 0 else 5), top + 4.5, x, top + 4.5)
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
    return figure


def shape(x: Tensor) -> str:
    return " x ".join(map(str, x.shape[1:]))


def map_grid(images: Tensor, columns: dict[str, Tensor], *, label: str, limits: tuple[float, float] | None = None,
         names: list[str] | None = None) -> Figure:
    """Images in rows, a column per set of maps, all on one colour scale with its bar.

    Parameters
    ----------
    images : (B, 3, S, S) tensor
    columns : dict of (B, H, W) tensors
    label : str
        Of the colour bar, with the unit.
    limits : (float, float), optional
        Of the colours; by default from the smallest to the largest value of all columns.
    names : list of str, optional
        Of the images.
    """
    low, high = limits or (min(float(m.min()) for m in columns.values()), max(float(m.max()) for m in columns.values()))
    figure, axes = new_figure(len(images), 1 + len(columns), width=1.7, height=1.75)
    for n, row in enumerate(axes):
        picture(row[0], images[n].cpu(), title=names[n] if names else "")
        for ax, (name, maps) in zip(row[1:], columns.items(), strict=True):
            shown = picture(ax, maps[n].cpu(), cmap=CMAP, vmin=low, vmax=high, interpolation="nearest",
                            title=name if n == 0 else "")
    figure.colorbar(shown, ax=axes[:, 1:], label=label, shrink=0.9, pad=0.02, aspect=25)
    return figure


def blur_profile(before: Tensor, after: Tensor) -> Figure:
    """A row of pixels through the middle of a map, before and after smoothing."""
    figure, axes = new_figure(1, 1, width=6.4, height=2.3)
    axes[0, 0].plot(before, drawstyle="steps-mid", color=QUIET, lw=1.2, label="before")
    axes[0, 0].plot(after, color=NORMAL, lw=1.6, label="after")
    axes[0, 0].set(xlabel="column (pixels of 256)", ylabel="pixel score")
    axes[0, 0].legend(loc="upper left", bbox_to_anchor=(1, 1))
    return figure


def errors_behind_masks(images: Tensor, masks: Tensor, errors: dict[str, Tensor]) -> Figure:
    """What a generator saw, and its error at each position, hidden or not, on one scale that the trained ones set.

    Parameters
    ----------
    images : (B, 3, S, S) tensor
    masks : (B, H, W) tensor
        0 where hidden.
    errors : dict of (B, H, W) tensors
    """
    figure, axes = new_figure(len(images), 2 + len(errors), width=1.75, height=1.8)
    high = max(float(e.max()) for e in list(errors.values())[1:])      # the first, untrained, may exceed it
    for n, row in enumerate(axes):
        picture(row[0], images[n].cpu())
        picture(row[1], masks[n].cpu(), cmap="gray", vmin=-0.4, vmax=1, interpolation="nearest",
                title="mask: dark is hidden" if n == 0 else "")
        for ax, (name, error) in zip(row[2:], errors.items(), strict=True):
            shown = picture(ax, error[n].cpu(), cmap=CMAP, vmin=0, vmax=high, interpolation="nearest",
                            title=name if n == 0 else "")
    figure.colorbar(shown, ax=axes[:, 2:], label="1 - cos", shrink=0.9, pad=0.02, aspect=25)
    return figure


def two_calls(first: Tensor, second: Tensor, labels: Tensor) -> Figure:
    """Image scores of two predictions against each other; equal predictions lie on the diagonal."""
    figure, axes = new_figure(1, 1, width=4.0, height=3.4)
    ax, labels = axes[0, 0], np.asarray(labels, bool)
    for name, chosen, colour, marker in [("normal", ~labels, NORMAL, "o"), ("anomalous", labels, ANOMALOUS, "^")]:
        ax.plot(first[chosen], second[chosen], marker, color=colour, ms=4, alpha=0.7, label=name)
    ends = [float(torch.stack([first, second]).min()), float(torch.stack([first, second]).max())]
    ax.plot(ends, ends, color=ACCENT, ls="--", lw=1, label="equal")
    ax.set(xlabel="image score, first call", ylabel="image score, second call")
    ax.legend(loc="upper left", bbox_to_anchor=(1, 1))
    return figure


def seed_dots(entries: list[dict], numbers: tuple[str, ...] = ("image_auroc", "pixel_ap")) -> Figure:
    """A dot per seed, a row per category, a mark per method: how far apart methods are, and how far seeds are."""
    methods = [m for m in METHOD_MARKS if any(e["method"] == m for e in entries)]
    categories = sorted({e["category"] for e in entries})
    figure, axes = new_figure(1, len(numbers), width=4.4, height=0.55 * len(categories) + 1.0, sharey=True)
    for ax, number in zip(axes[0], numbers, strict=True):
        for m, method in enumerate(methods):
            colour, marker = METHOD_MARKS[method]
            own = [e for e in entries if e["method"] == method and e[number] not in ("", None)]
            y = [categories.index(e["category"]) + 0.16 * (m - (len(methods) - 1) / 2) for e in own]
            ax.plot([float(e[number]) for e in own], y, marker, color=colour, ms=4.5, label=method)
        ax.hlines(np.arange(len(categories) - 1) + 0.5, 0, 1, color="0.9", lw=0.8, transform=ax.get_yaxis_transform())
        ax.set(xlabel=METRIC_NAMES[number], yticks=range(len(categories)), yticklabels=categories,
               ylim=(len(categories) - 0.5, -0.5))
    axes[0, -1].legend(loc="upper left", bbox_to_anchor=(1, 1))
    return figure

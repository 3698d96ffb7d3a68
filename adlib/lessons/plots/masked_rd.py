"""Figures of lesson 04: what the parts of masked reverse distillation light up, and masks."""

import numpy as np
from matplotlib.figure import Figure
from torch import Tensor

from adlib.explorer import CMAP
from adlib.lessons.plots import ACCENT, ANOMALOUS, NORMAL, QUIET, new_figure, picture


def map_grid(images: Tensor, columns: dict[str, Tensor], *, label: str, limits: tuple[float, float] | None = None,
         apart: str = "", names: list[str] | None = None, masks: Tensor | None = None) -> Figure:
    """Images in rows, a column per set of maps, all on one colour scale with its bar.

    Parameters
    ----------
    images : (B, 3, S, S) tensor
    columns : dict of (B, H, W) tensors
    label : str
        Of the colour bar, with the unit.
    limits : (float, float), optional
        Of the colours; by default from the smallest to the largest value of all columns.
    apart : str
        Name of the first column, if that has a scale of its own, from its smallest to its largest value.
    names : list of str, optional
        Of the images.
    masks : (B, 256, 256) bool tensor, optional
        Outlined in the images and in their maps.
    """
    low, high = limits or (min(float(m.min()) for m in columns.values()), max(float(m.max()) for m in columns.values()))
    figure, axes = new_figure(len(images), 1 + len(columns), width=1.7, height=1.75)
    for n, row in enumerate(axes):
        mask = None if masks is None else masks[n]
        picture(row[0], images[n].cpu(), mask=mask, title=names[n] if names else "")
        for ax, (name, maps) in zip(row[1:], columns.items(), strict=True):
            ends = (float(maps.min()), float(maps.max())) if name == apart else (low, high)
            shown = picture(ax, maps[n].cpu(), mask=mask, cmap=CMAP, vmin=ends[0], vmax=ends[1],
                            interpolation="nearest", title=name if n == 0 else "")
    if apart:
        figure.colorbar(axes[0, 1].images[0], ax=axes[:, 1], shrink=0.9, pad=0.05, aspect=25)
    figure.colorbar(shown, ax=axes[:, 2 if apart else 1:], label=label, shrink=0.9, pad=0.02, aspect=25)
    return figure


def costs_of_hiding(found: dict[str, tuple[Tensor, Tensor]]) -> Figure:
    """How much farther from the teacher restored features are where they were hidden, a dot per image and network.

    Parameters
    ----------
    found : dict of (errors, hidden)
        (B, H, W) distances 1 - cos, and a bool tensor of the same shape.
    """
    figure, axes = new_figure(1, 1, width=6.4, height=1.7)
    ax = axes[0, 0]
    ax.axvline(0, color=QUIET, lw=1)
    for row, ((errors, hidden), colour) in enumerate(zip(found.values(), (NORMAL, ANOMALOUS), strict=False)):
        costs = np.array([float(e[h].mean() - e[~h].mean()) for e, h in zip(errors, hidden, strict=True)])
        ax.plot(costs, np.full(len(costs), row), "o", color=colour, ms=4, alpha=0.6)
        ax.plot([costs.mean()] * 2, [row - 0.3, row + 0.3], color=ACCENT, lw=1.5)
        ax.annotate(f"{costs.mean():+.4f}", (costs.mean(), row - 0.34), ha="center", va="bottom", fontsize=8.5)
    ax.set(yticks=range(len(found)), yticklabels=list(found), ylim=(len(found) - 0.5, -0.7),
           xlabel="1 - cos to the teacher, hidden less visible positions")
    ax.locator_params(axis="x", nbins=6)
    return figure


def two_calls(first: Tensor, second: Tensor, labels: Tensor, threshold: float) -> Figure:
    """What the second of two predictions adds to each image score, over the first; equal predictions lie on 0."""
    figure, axes = new_figure(1, 1, width=6.0, height=2.7)
    ax, labels = axes[0, 0], np.asarray(labels, bool)
    for name, chosen, colour, marker in [("normal", ~labels, NORMAL, "o"), ("anomalous", labels, ANOMALOUS, "^")]:
        ax.plot(first[chosen], second[chosen] - first[chosen], marker, color=colour, ms=4, alpha=0.7, label=name)
    ax.axhline(0, color=ACCENT, ls="--", lw=1, label="equal")
    ax.axvline(threshold, color=ACCENT, lw=1, label="threshold")
    ax.set(xlabel="image score, first call", ylabel="second less first")
    ax.legend(loc="upper left", bbox_to_anchor=(1, 1))
    return figure

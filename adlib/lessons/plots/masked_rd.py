"""Figures of lesson 04: what the parts of masked reverse distillation light up, and masks."""

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor

from adlib.explorer import CMAP
from adlib.lessons.plots import ACCENT, ANOMALOUS, NORMAL, new_figure, picture


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

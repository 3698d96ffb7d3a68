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


def hidden_and_visible(found: dict[str, tuple[Tensor, Tensor]]) -> Figure:
    """How far restored features are from the teacher's, where they were hidden and where not; a column per network.

    Parameters
    ----------
    found : dict of (errors, hidden)
        (B, H, W) distances 1 - cos, and a bool tensor of the same shape.
    """
    figure, axes = new_figure(1, len(found), width=3.6, height=2.5, sharex=True, sharey=True)
    bins = np.linspace(0, max(float(errors.max()) for errors, _ in found.values()), 41)
    for ax, (name, (errors, hidden)) in zip(axes[0], found.items(), strict=True):
        for label, chosen, colour in [("hidden", hidden, ANOMALOUS), ("visible", ~hidden, NORMAL)]:
            values = errors[chosen].cpu().numpy()
            ax.hist(values, bins, histtype="step", lw=1.5, color=colour, label=f"{label}, mean {values.mean():.3f}",
                    weights=np.full(len(values), 1 / len(values)))
            ax.axvline(values.mean(), color=colour, ls=":", lw=1.2)
        ax.set(title=name, xlabel="1 - cos to the teacher")
        ax.legend(fontsize=8.5, loc="upper right")
    axes[0, 0].set_ylabel("share of the positions")
    axes[0, 0].set_ylim(top=1.4 * axes[0, 0].get_ylim()[1])     # room for the legends; the axes share it
    return figure


def two_calls(first: Tensor, second: Tensor, labels: Tensor) -> Figure:
    """Image scores of two predictions against each other; equal predictions lie on the diagonal."""
    figure, axes = new_figure(1, 1, width=4.0, height=3.4)
    ax, labels = axes[0, 0], np.asarray(labels, bool)
    for name, chosen, colour, marker in [("normal", ~labels, NORMAL, "o"), ("anomalous", labels, ANOMALOUS, "^")]:
        ax.plot(first[chosen], second[chosen], marker, color=colour, ms=4, alpha=0.7, label=name)
    ends = [float(torch.stack([first, second]).min()), float(torch.stack([first, second]).max())]
    ax.plot(ends, ends, color=ACCENT, ls="--", lw=1, label="equal")
    ax.set(xlabel="image score, first call", ylabel="image score, second call", aspect="equal")
    ax.legend(loc="upper left", bbox_to_anchor=(1, 1))
    return figure

"""Figures of lesson 08: what a threshold does to an image, what it trades, and where ways of choosing one land."""

import numpy as np
from matplotlib.figure import Figure
from scipy.stats.distributions import rv_frozen

from adlib.data.category import Category
from adlib.explorer import decisions
from adlib.lessons.plots import ACCENT, ANOMALOUS, NORMAL, QUIET, defect_name, new_figure, picture
from adlib.lessons.plots.diagrams import BLUE, LIGHT_GREY, ORANGE, diagram_arrow, diagram_box, new_diagram

WAY_MARKERS, FLAGGED = "osD^vPX*", "#ffb000"


def decision_diagram() -> Figure:
    """From a map to three decisions, as a diagram."""
    figure, ax = new_diagram(width=9.2, height=2.6, top=30)
    diagram_box(ax, 0, 17, 16, 10, "map\n256 x 256", LIGHT_GREY)
    diagram_box(ax, 0, 2, 16, 10, "image score\n1 number", LIGHT_GREY)
    diagram_box(ax, 29, 9, 17, 12, "at or above\nthe threshold?", BLUE)
    ends = [(22, "pixels: precision, recall, FPR, IoU"), (12, "regions: more than half found?"),
            (2, "image: flagged or passed")]
    for y, text in ends:
        diagram_box(ax, 60, y, 40, 6.5, text, ORANGE)
        diagram_arrow(ax, 46.5, 15, 59.5, y + 3.2)
    diagram_arrow(ax, 16.5, 22, 28.5, 17)
    diagram_arrow(ax, 16.5, 7, 28.5, 13)
    return figure


def threshold_effects(data: Category, index: int, columns: dict[str, tuple[np.ndarray, list[float]]]) -> Figure:
    """One image under each method (rows) at each of its thresholds (columns), flagged pixels outlined."""
    n = max(len(thresholds) for _, thresholds in columns.values())
    figure, axes = new_figure(len(columns), n, width=2.3, height=2.55)
    mask = None if data.masks is None else np.asarray(data.masks[index])
    grid = np.arange(256) + 0.5
    for row, (method, (map_, thresholds)) in zip(axes, columns.items(), strict=True):
        for ax, t in zip(row, thresholds, strict=True):
            flagged = map_ >= np.float64(t)
            picture(ax, data.test[index], mask=mask, title=f"{flagged.mean():.1%} of the pixels")
            if flagged.any() and not flagged.all():
                ax.contourf(grid, grid, flagged, [0.5, 1.5], colors=FLAGGED, alpha=0.45)
            ax.set_xlabel(f"threshold {t:.3g}", fontsize=9)
        row[0].set_ylabel(method)
    figure.suptitle(defect_name(data, index), fontsize=9)
    return figure


def score_axis(ax, scores: np.ndarray) -> None:
    """A logarithmic axis where scores span more than a factor of 20: products and probabilities do."""
    if scores.min() > 0 and scores.max() > 20 * scores.min():
        ax.set_xscale("log")


def flagged_shares(scores: dict[str, np.ndarray], labels: np.ndarray, thresholds: dict[str, float]) -> Figure:
    """Share of anomalous and of normal images flagged at every threshold, a panel per method."""
    figure, axes = new_figure(1, len(scores), width=4.3, height=2.7, sharey=True)
    for ax, (method, s) in zip(axes[0], scores.items(), strict=True):
        for kind, name, colour, line in [(True, "anomalous", ANOMALOUS, "-"), (False, "normal", NORMAL, "--")]:
            chosen = np.sort(s[labels == kind])
            if len(chosen):
                ax.step([chosen[0], *chosen, chosen[-1]], [1, *np.arange(len(chosen), 0, -1) / len(chosen), 0],
                        color=colour, ls=line, label=name)
        ax.axvline(thresholds[method], color=ACCENT, lw=1, ls=":", label="validation images")
        ax.set(xlabel="threshold (image score)", title=method, ylim=(-0.03, 1.03))
        score_axis(ax, s)
    axes[0, -1].legend(loc="upper left", bbox_to_anchor=(1.02, 1), fontsize=8)
    axes[0, 0].set_ylabel("share of images flagged")
    return figure


def ways_on_roc(scores: dict[str, np.ndarray], labels: np.ndarray, ways: dict[str, dict[str, float]]) -> Figure:
    """The ROC curve of the images of each method, and where each way of choosing a threshold lands on it."""
    figure, axes = new_figure(1, len(scores), width=4.0, height=3.3, sharey=True)
    for ax, (method, s) in zip(axes[0], scores.items(), strict=True):
        order = np.append(np.inf, np.unique(s)[::-1])
        found = [decisions.confusion(s, labels, t) for t in order]
        ax.plot([c.fpr for c in found], [c.recall for c in found], color=QUIET, lw=1.5)
        for (way, t), mark in zip(ways[method].items(), WAY_MARKERS, strict=False):
            c = decisions.confusion(s, labels, t)
            ax.plot(c.fpr, c.recall, mark, ms=9, mec="0.15", mfc=NORMAL if "validation" in way else ANOMALOUS,
                    alpha=0.85, label=way, clip_on=False, ls="none")
        ax.set(xlabel="share of normal images flagged", title=method, xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
    axes[0, 0].set_ylabel("share of anomalous images flagged")
    axes[0, -1].legend(loc="upper left", bbox_to_anchor=(1.02, 1), fontsize=8)
    return figure


def spread_of_rates(rates: dict[int, rv_frozen], alpha: float) -> Figure:
    """The middle 90 % of the false-alarm rates that n validation images can lead to, a row for each n, and the mean."""
    figure, axes = new_figure(1, 1, width=6.6, height=0.36 * len(rates) + 1.0)
    ax = axes[0, 0]
    for y, rate in enumerate(rates.values()):
        ax.plot(100 * np.array(rate.interval(0.9)), [y, y], color=NORMAL, lw=5, alpha=0.5, solid_capstyle="butt")
        ax.plot(100 * rate.mean(), y, "D", color=NORMAL, ms=6, label="mean: the promise" if y == 0 else None)
    ax.axvline(100 * alpha, color=ACCENT, ls="--", lw=1, label=f"wanted: {100 * alpha:g} %")
    ax.set(yticks=range(len(rates)), yticklabels=[f"n = {n}" for n in rates], ylim=(len(rates) - 0.5, -0.5),
           xlabel="normal images that alarm (%)", xlim=(0, None))
    ax.legend(loc="upper left", bbox_to_anchor=(1, 1), fontsize=8)
    return figure


def cost_curves(scores: np.ndarray, labels: np.ndarray, costs: list[tuple[float, float]]) -> Figure:
    """Cost of all images at every threshold, for several pairs of costs; the lowest point is marked."""
    figure, axes = new_figure(1, 1, width=6.4, height=2.8)
    ax, candidates = axes[0, 0], np.unique(scores)
    score_axis(ax, candidates)
    candidates = np.append(candidates, candidates[-1] + 0.03 * np.ptp(candidates))
    for (miss, alarm), colour, line in zip(costs, (NORMAL, ACCENT, ANOMALOUS), ("--", ":", "-"), strict=False):
        cost = np.array([miss * c.fn + alarm * c.fp for c in
                         (decisions.confusion(scores, labels, t) for t in candidates)]) / (miss + alarm)
        best = len(cost) - 1 - int(np.argmin(cost[::-1]))
        ax.step(candidates, cost, where="pre", color=colour, ls=line, label=f"miss {miss:g}, false alarm {alarm:g}")
        ax.plot(candidates[best], cost[best], "o", color=colour, ms=7)
    ax.set(xlabel="threshold (image score)", ylabel="cost / (a + b)", ylim=(0, None))
    ax.legend(loc="upper left", bbox_to_anchor=(1, 1), fontsize=8)
    return figure


def half_against_half(measured: dict[str, np.ndarray], label: str) -> Figure:
    """What thresholds reached on the half that chose them and on the other half, all draws."""
    figure, axes = new_figure(1, 1, width=6.6, height=0.75 * len(measured) + 0.9)
    ax = axes[0, 0]
    for y, values in enumerate(measured.values()):
        for down, half, colour, name in [(-0.16, 0, ANOMALOUS, "the half that chose (where one did)"),
                                         (0.16, 1, NORMAL, "the other half")]:
            low, middle, high = np.nanquantile(values[:, half], [0.05, 0.5, 0.95])
            ax.plot([low, high], [y + down] * 2, color=colour, lw=3, alpha=0.5)
            ax.plot(middle, y + down, "o" if half else "D", color=colour, ms=7, label=name if y == 0 else None)
    ax.set(yticks=range(len(measured)), yticklabels=list(measured), xlabel=label, ylim=(len(measured) - 0.5, -0.5))
    ax.legend(loc="upper left", bbox_to_anchor=(1, 1), fontsize=8)
    return figure


def score_strips(scores: dict[str, np.ndarray], thresholds: dict[str, float]) -> Figure:
    """Image scores of several sets of images, a row each, and two thresholds."""
    figure, axes = new_figure(1, 1, width=6.6, height=0.42 * len(scores) + 1.0)
    ax = axes[0, 0]
    for y, (name, values) in enumerate(scores.items()):
        colour = ANOMALOUS if "anomalous" in name else NORMAL
        ax.plot(values, np.full(len(values), y), "|", ms=15, mew=1.5, color=colour)
    score_axis(ax, np.concatenate(list(scores.values())))
    for (name, t), line in zip(thresholds.items(), ("--", ":"), strict=True):
        ax.axvline(t, color=ACCENT, ls=line, lw=1.2, label=f"threshold from {name}")
    ax.set(yticks=range(len(scores)), yticklabels=list(scores), xlabel="image score", ylim=(len(scores) - 0.4, -0.6))
    ax.legend(loc="upper left", bbox_to_anchor=(1, 1), fontsize=8)
    return figure

"""Figures of lesson 06: verdicts, a page per failure, causes, disagreement, and psychometric curves."""

from collections.abc import Mapping
from textwrap import shorten

import numpy as np
from matplotlib.figure import Figure
from torch import Tensor

from adlib.data.category import Category
from adlib.explorer import CMAP
from adlib.lessons import failures
from adlib.lessons.appearance import ALIGNED, RegionAppearance
from adlib.lessons.failures import Facts, Failure
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
from adlib.lessons.psychometrics import wilson

SCALE = {"vmin": 0.0, "vmax": 2.0, "cmap": CMAP}        # of maps in normal units
UNITS = "normal units: 0 median, 1 the 99.9 %\nquantile of the validation images' pixels"


def steps_diagram(methods: list[str], size: int) -> Figure:
    """From a run to a cause, as a diagram."""
    figure, ax = new_diagram(width=9.6, height=3.1, top=36)
    runs = f"of {len(methods)} runs"
    rows = [(27, f"test image 3 x {size} x {size}\nand mask 256 x 256", LIGHT_GREY,
             "what can be seen\nsize, contrast, what is usual"),
            (14, f"maps 256 x 256\n{runs}", BLUE, "where the map responds\nshare, distance, loudness"),
            (1, f"scores and thresholds\n{runs}", BLUE, "verdict: false alarm, miss\nor alarm from elsewhere")]
    for y, start, colour, fact in rows:
        diagram_box(ax, 0, y, 22, 9, start, colour)
        diagram_box(ax, 36, y, 28, 9, fact, ORANGE)
        diagram_arrow(ax, 22, y + 4.5, 36, y + 4.5)
        diagram_arrow(ax, 64, y + 4.5, 78, 15.5 + y / 5)
    for y0, y1 in [(28, 21), (16, 8)]:
        diagram_arrow(ax, 22, y0, 36, y1)
    diagram_box(ax, 78, 14, 21, 9, "rules in a fixed order:\na suggested cause", GREEN)
    return figure


def verdict_grid(margins: dict[str, np.ndarray], labels: np.ndarray, normal: dict[str, np.ndarray]) -> Figure:
    """A dot per image and method on the scale that the methods share, the threshold as a line.

    Parameters
    ----------
    margins, normal : dict of (N,) and (V,) float arrays
        Of test and of validation images, by method.
    labels : (N,) bool array
    """
    figure, axes = new_figure(1, 1, width=8.6, height=0.62 * len(margins) + 0.9)
    ax = axes[0, 0]
    labels = np.asarray(labels, bool)
    rng = np.random.default_rng(0)
    for y, (method, found) in enumerate(margins.items()):
        rows = [("validation, normal", normal[method], QUIET, "|", -0.27),
                ("test, normal", found[~labels], NORMAL, "o", 0),
                ("test, anomalous", found[labels], ANOMALOUS, "^", 0.27)]
        for name, x, colour, marker, down in rows:
            ax.plot(x, y + down + rng.uniform(-0.08, 0.08, len(x)), marker, color=colour, ms=8 if marker == "|" else 4,
                    alpha=0.75, label=None if y else name)
    ax.axvline(0, color=ACCENT, lw=1, ls="--")
    ax.set(yticks=range(len(margins)), yticklabels=list(margins), ylim=(len(margins) - 0.5, -0.5), xscale="symlog",
           xlabel="margin (0: threshold, -1: median of the validation images; linear from -1 to 1, then logarithmic)")
    ax.set_xscale("symlog", linthresh=1, linscale=2)
    ax.set_xticks([-2, -1, 0, 1, 2, 5, 10, 20], ["-2", "-1", "0", "1", "2", "5", "10", "20"])
    ends = np.concatenate([*margins.values(), *normal.values()])
    ax.set_xlim(min(ends.min() * 1.1, -1.5), max(ends.max() * 1.2, 1.5))
    ax.legend(loc="upper left", bbox_to_anchor=(1, 1))
    return figure


def failure_page(data: Category, failure: Failure, method: str, levels: dict[str, np.ndarray],
         margins: dict[str, np.ndarray]) -> Figure:
    """One failure on one page: the image, its mask, the map of every method on one scale, and the facts.

    Parameters
    ----------
    data : Category
    failure : Failure
    method : str
        Whose failure it is.
    levels, margins : dict of (N, 256, 256) and (N,) float arrays
        Maps in normal units, and margins, by method.
    """
    i = failure.index
    lines = 1 + max(3, (len(facts_of(failure.facts)) + 1) // 2)
    columns = max(2 + len(levels), 7)           # the text needs the width
    figure, axes = new_figure(2, columns, width=1.55, height=0.9 + 0.085 * lines,
                              gridspec_kw={"height_ratios": [1.8, 0.17 * lines]})
    mask, marked = region_or_spot(data, i, levels[method][i])
    picture(axes[0, 0], data.test[i], title=defect_name(data, i))
    picture(axes[0, 1], data.test[i], mask=mask, title=marked)
    for ax, (name, level) in zip(axes[0, 2:], levels.items(), strict=False):
        shown = picture(ax, level[i], mask=mask, title=f"{name}\n{verdict(margins[name][i])}", **SCALE)
        ax.title.set_fontweight("bold" if name == method else "normal")
        y, x = divmod(int(level[i].argmax()), level[i].shape[1])
        ax.plot(x, y, "+", color=OUTLINE, ms=9, mew=1.3)
    for ax in axes[0, 2 + len(levels) :]:
        ax.set_axis_off()
    bar = figure.colorbar(shown, ax=axes[0], label=UNITS, shrink=0.9, pad=0.01, aspect=14)
    bar.ax.yaxis.label.set_fontsize(7)
    below = axes[1, 0].get_gridspec()[1, :]
    for ax in axes[1]:
        ax.remove()
    describe_failure(figure.add_subplot(below), failure, method, lines)
    return figure


def region_or_spot(data: Category, i: int, level: np.ndarray) -> tuple[np.ndarray, str]:
    """What a page outlines: the mask, or where there is none the spot at the map's peak."""
    if data.masks is not None and data.masks[i].any():
        return np.asarray(data.masks[i]), "its mask"
    return failures.spot(level), "no mask;\nspot at the peak"


def describe_failure(ax, failure: Failure, method: str, lines: int) -> None:
    """Verdict and facts as text; the suggested cause is for a fold below, so that a reader can say their own first."""
    ax.set(xlim=(0, 100), ylim=(lines, 0))
    ax.set_axis_off()
    ax.text(0, 0, f"{method}: {failure.kind}", fontsize=10, fontweight="bold", va="top")
    ax.text(0, 1.2, "Why?", fontsize=9.5, va="top")
    rows = facts_of(failure.facts)
    half = (len(rows) + 1) // 2
    for k, (name, value) in enumerate(rows):
        x, y = (28, k) if k < half else (66, k - half)
        ax.text(x, y, name, fontsize=8.5, va="top", color="0.35")
        ax.text(x + 16, y, value, fontsize=8.5, va="top")


def verdict(margin: float) -> str:
    return f"{'alarm' if margin >= 0 else 'quiet'} {margin:+.2f}"


def facts_of(facts: Facts) -> list[tuple[str, str]]:
    """Names and values of the facts, as a page shows them."""
    rows = [("score's margin", f"{facts.margin:+.2f} (loudest validation {facts.loudest:+.2f})")]
    if facts.region:
        rows += [("region", f"{facts.region.pixels} px = {facts.region.cells:.1f} cells"),
                 *appearance_rows("region", facts.region),
                 ("response near the region", f"{facts.share:.0%} (by chance {facts.area:.0%})"),
                 ("peak to region", f"{facts.distance:.1f} cells")]
    rows += [("response elsewhere", f"{facts.background:.2f} (usual 1), peak {facts.peak:.2f}"),
             ("peak to the edge", f"{facts.edge:.1f} cells (response inside {facts.inner:.2f})"),
             ("spot at the peak", f"{facts.spot.pixels} px = {facts.spot.cells:.1f} cells"),
             *appearance_rows("spot", facts.spot)]
    return rows


def appearance_rows(name: str, found: RegionAppearance) -> list[tuple[str, str]]:
    rows = [(f"{name}: contrast", f"{found.contrast:.3f} (usual {found.usual_contrast:.3f})")]
    if found.aligned >= ALIGNED:
        rows += [(f"{name}: unlike its place", f"{found.difference:.3f} (usual {found.usual_difference:.3f})")]
        if name == "region":
            rows += [("region: shape, colours", f"{found.elongation:.1f} long, {found.familiar:.0%} familiar")]
    return rows


def cause_table(found: dict[str, list[Failure]]) -> Figure:
    """How many failures of each kind have which suggested cause, by method."""
    causes = {kind: {method: [x.causes[0] for x in failed if x.kind == kind] for method, failed in found.items()}
              for kind in failures.KINDS}
    return count_tables(causes, "failures")


def defect_table(data: Category, found: dict[str, list[Failure]]) -> Figure:
    """The suggested causes of misses by defect type, over all methods."""
    missed = {name: [] for name in dict.fromkeys(data.defects) if name != "good"}
    for failure in [x for failed in found.values() for x in failed if x.kind == failures.MISS]:
        missed[data.defects[failure.index]].append(failure.causes[0])
    return count_tables({"misses, all methods": {k.replace("_", " "): v for k, v in missed.items()}}, "misses")


def confusion_table(found: Mapping[tuple[str, str], int], title: str = "built in (row), suggested (column)",
                    unit: str = "failures") -> Figure:
    """How often a failure of one cause (row), by default a built-in one, got which first suggestion (column)."""
    rows = {cause: [name for (first, name), n in found.items() if first == cause for _ in range(n)]
            for cause in failures.CAUSES if any(first == cause for first, _ in found)}
    return count_tables({title: rows}, unit)


def count_tables(panels: dict[str, dict[str, list[str]]], unit: str) -> Figure:
    """Heat tables of how often each cause occurs in each row, on one colour scale; causes that never occur left out."""
    from matplotlib.ticker import MaxNLocator

    causes = [c for c in failures.CAUSES if any(c in row for rows in panels.values() for row in rows.values())]
    causes = causes or list(failures.CAUSES[:3])        # an empty table says that there is none
    numbers = {name: np.array([[row.count(c) for c in causes] for row in rows.values()]).reshape(len(rows), -1)
               for name, rows in panels.items()}
    high = max(1, *(int(n.max(initial=0)) for n in numbers.values()))
    height = max(len(rows) for rows in panels.values())
    width = max(1.0 + 0.42 * len(causes), 9.6 / (1 + len(panels)))
    figure, axes = new_figure(1, len(panels), width=width, height=0.36 * height + 2.0, sharey=len(panels) > 1)
    for ax, (name, rows) in zip(axes[0], panels.items(), strict=True):
        n = numbers[name]
        shown = ax.imshow(n, cmap="Blues", vmin=0, vmax=high, aspect="auto")
        for (y, x), value in np.ndenumerate(n):
            ax.text(x, y, str(value or ""), ha="center", va="center", fontsize=9,
                    color="white" if value > 0.7 * high else "0.1")
        ax.set(xticks=range(len(causes)), yticks=range(len(rows)), yticklabels=list(rows), title=f"{name} ({n.sum()})")
        ax.set_xticklabels(causes, rotation=40, ha="right", rotation_mode="anchor", fontsize=8.5)
        ax.tick_params(length=0)
    ticks = MaxNLocator(4, integer=True)
    figure.colorbar(shown, ax=axes[0], label=f"number of {unit}", shrink=0.9, pad=0.01, ticks=ticks)
    return figure


def right_or_wrong(right: dict[str, np.ndarray], data: Category) -> Figure:
    """Every test image as a column, every method as a row: blue where right, orange where wrong."""
    from matplotlib.colors import ListedColormap

    order = np.argsort([d != "good" for d in data.defects], kind="stable")
    names = [data.defects[i].replace("good", "normal").replace("_", " ") for i in order]
    figure, axes = new_figure(1, 1, width=9.4, height=0.32 * len(right) + 1.1)
    ax, verdicts = axes[0, 0], np.array([right[method][order] for method in right])
    colours = ListedColormap([ANOMALOUS, NORMAL])
    ax.imshow(verdicts, cmap=colours, vmin=0, vmax=1, aspect="auto", interpolation="nearest")
    starts = [k for k, name in enumerate(names) if k == 0 or name != names[k - 1]]
    ends = [*starts[1:], len(names)]
    for k in starts[1:]:
        ax.axvline(k - 0.5, color="white", lw=2)
    ax.set(yticks=range(len(right)), yticklabels=list(right),
           xlabel="test image, by defect type (blue: right, orange: wrong)")
    ax.set_xticks([(a + b - 1) / 2 for a, b in zip(starts, ends, strict=True)], [names[k] for k in starts])
    ax.set_yticks(np.arange(len(right) - 1) + 0.5, minor=True)
    ax.grid(which="minor", axis="y", color="white", lw=2)
    ax.tick_params(which="both", length=0)
    return figure


def disagreement(data: Category, chosen: list[tuple[int, str]], levels: dict[str, np.ndarray],
                 margins: dict[str, np.ndarray]) -> Figure:
    """Images on which exactly one method is right, and the map of every method; that one's title is bold."""
    figure, axes = new_figure(len(chosen), 1 + len(levels), width=1.6, height=1.8)
    for row, (i, winner) in zip(axes, chosen, strict=True):
        mask = None if data.masks is None else np.asarray(data.masks[i])
        picture(row[0], data.test[i], mask=mask, title=defect_name(data, i))
        for ax, (name, level) in zip(row[1:], levels.items(), strict=True):
            shown = picture(ax, level[i], mask=mask, title=f"{name}\n{verdict(margins[name][i])}", **SCALE)
            ax.title.set_fontweight("bold" if name == winner else "normal")
    figure.colorbar(shown, ax=axes, label=UNITS, shrink=min(1.0, 2 / len(chosen)), pad=0.01, aspect=25)
    return figure


def painted_images(images: Tensor, titles: list[str], across: int, *, around: np.ndarray) -> Figure:
    """Painted images, (N, 3, S, S) in [0, 1], so many across: 96 x 96 of 256 pixels around a (row, column)."""
    figure, axes = panel_grid(len(images), across, width=1.5, height=1.65)
    y, x = np.clip(around, 48, 256 - 48)
    for ax, image, title in zip(axes, images, titles, strict=True):
        picture(ax, image, title=shorten(title, 40), vmin=0, vmax=1)
        ax.set(xlim=(x - 48, x + 48), ylim=(y + 48, y - 48))
    return figure


def psychometric(diameters: list[float], contrasts: list[float], rates: dict[str, np.ndarray],
                 false_alarms: dict[str, float], n: int) -> Figure:
    """Detection rate over the diameter, a panel per contrast, with 95 % intervals; false-alarm rates at the left end.

    Parameters
    ----------
    rates : dict of (C, D) arrays
        By method: share of n painted images that alarm.
    false_alarms : dict of float
        The same for the images as they are.
    """
    figure, axes = new_figure(1, len(contrasts), width=3.0, height=2.9, sharey=True)
    left = diameters[0] / 2
    shifts = np.geomspace(0.9, 1.11, len(rates))
    for c, (ax, contrast) in enumerate(zip(axes[0], contrasts, strict=True)):
        for (method, p), shift in zip(rates.items(), shifts, strict=True):
            colour, marker = METHOD_MARKS[method]
            x = np.array([left, *diameters]) * shift
            y = np.array([false_alarms[method], *p[c]])
            low, high = wilson(np.round(y * n), n)
            ax.vlines(x, low, high, color=colour, lw=0.9, alpha=0.6)
            ax.plot(x[1:], y[1:], marker=marker, color=colour, ms=4.5, lw=1.2, label=method if c == 0 else None)
            ax.plot(x[0], y[0], marker, color=colour, ms=4.5)
        ax.axhline(0.5, color=QUIET, ls=":", lw=1)
        ax.axvline(left * 2**0.5, color=QUIET, lw=0.8)
        ax.set(xscale="log", title=f"contrast {contrast:g}", ylim=(-0.03, 1.03), xlabel="diameter (pixels of 256)")
        ax.set_xticks([left, *diameters], ["none", *[f"{d:g}" for d in diameters]])
        ax.set_xticks([], minor=True)
    axes[0, 0].set_ylabel("share of images that alarm")
    figure.legend(loc="outside right upper", frameon=False)
    return figure


def moved_parts(distances: list[int], alarms: dict[str, list[int]], n: int) -> Figure:
    """Share of n normal images that alarm over how far they were moved, with 95 % intervals; alarms[method][d]."""
    figure, axes = new_figure(1, 1, width=6.4, height=2.9)
    ax, places = axes[0, 0], np.arange(len(distances))
    for k, (method, counts) in enumerate(alarms.items()):
        colour, marker = METHOD_MARKS[method]
        x = places + (k - (len(alarms) - 1) / 2) * 0.08
        ax.vlines(x, *wilson(counts, n), color=colour, lw=0.9, alpha=0.6)
        ax.plot(x, np.array(counts) / n, marker=marker, color=colour, ms=4.5, lw=1.2, label=method)
    ax.set_xticks(places, [str(d) for d in distances])
    ax.set(ylim=(-0.03, 1.03), xlabel="moved by (pixels of the image)", ylabel="share of images that alarm")
    figure.legend(loc="outside right upper", frameon=False)
    return figure


def smallest_defects(rows: dict[str, list[float]], diameters: list[float], contrasts: list[float],
             false_alarms: dict[str, float]) -> Figure:
    """The smallest diameter that each method sees at each contrast, beside its false-alarm rate."""
    figure, axes = new_figure(1, 1, width=6.4, height=0.36 * len(rows) + 1.0)
    ax = axes[0, 0]
    values = np.array([[np.nan if false_alarms[name] >= 0.5 else d for d in row] for name, row in rows.items()])
    shown = ax.imshow(np.log2(values), cmap="cividis", vmin=np.log2(diameters[0]), vmax=np.log2(diameters[-1]),
                      aspect="auto")
    for (y, x), value in np.ndenumerate(values):
        text = "none" if np.isnan(value) else f"<= {value:g} px" if value <= diameters[0] else f"{value:.1f} px"
        text = "alarms anyway" if list(false_alarms.values())[y] >= 0.5 else text
        dark = np.isfinite(value) and shown.norm(np.log2(value)) < 0.5
        ax.text(x, y, text, ha="center", va="center", fontsize=9, color="white" if dark else "0.1")
    names = [f"{name} ({false_alarms[name]:.0%} false alarms)" for name in rows]
    ax.set(xticks=range(len(contrasts)), xticklabels=[f"{c:g}" for c in contrasts], yticks=range(len(rows)),
           yticklabels=names, xlabel="contrast (black to white is 1)")
    ax.tick_params(length=0)
    bar = figure.colorbar(shown, ax=ax, label="diameter (pixels of 256)", pad=0.02)
    bar.set_ticks(np.log2(diameters), labels=[f"{d:g}" for d in diameters])
    return figure

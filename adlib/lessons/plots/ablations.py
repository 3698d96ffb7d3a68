"""Figures of lesson 05: our differences beside the papers', and what chance makes of rows that are all alike."""

import numpy as np
from matplotlib.figure import Figure

from adlib.lessons.ablations import Grid
from adlib.lessons.plots import ACCENT, ANOMALOUS, NORMAL, QUIET, new_figure
from adlib.lessons.plots.diagrams import BLUE, GREEN, LIGHT_GREY, ORANGE, diagram_arrow, diagram_box, new_diagram
from adlib.runs.tables import count
from adlib.settings import METRIC_NAMES

# One colour and marker per row, of seaborn's "colorblind" palette: the shape says it too.
STYLES = [("#0173b2", "o"), ("#de8f05", "s"), ("#029e73", "^"), ("#d55e00", "D"), ("#cc78bc", "v"), ("#ca9161", "P"),
          ("#56b4e9", "X"), ("#949494", "<"), ("#7a5195", ">"), ("#003f5c", "*")]
STEP = 0.11     # between rows on our side of a slope chart; the paper's side is at 0, ours begins at 1
POINTS = "difference to the base row\n(percentage points)"
VERDICTS = {"agrees": ("#9ecae1", "our difference is beyond chance and has the paper's sign"),
            "contradicts": ("#fdae6b", "beyond chance, with the opposite sign"),
            "chance": ("#e8e8e8", "chance alone could make our difference")}


def grid_diagram(grid: Grid, changed: list[str], seeds: int) -> Figure:
    """From the rows of a table to a difference that can be put beside the paper's, as a diagram.

    Parameters
    ----------
    grid : Grid
    changed : list of str
        Parameters that one of the rows changes.
    seeds : int
    """
    figure, ax = new_diagram(width=9.8, height=2.9, top=32)
    others = len(grid.rows) - len(grid.base)
    head = f"{others} other rows, such as\none that changes" if others > 1 else "the other row\nchanges"
    diagram_box(ax, 0, 21, 19, 10, "base row\nour defaults", GREEN)
    diagram_box(ax, 0, 3, 19, 13, "\n".join([head, *changed]), ORANGE)
    for y in (21, 6):
        diagram_box(ax, 29, y, 15, 8, f"{count(seeds, 'seed')},\na run each", BLUE)
        diagram_arrow(ax, 19.5, y + 4, 28.5, y + 4)
        diagram_arrow(ax, 44.5, y + 4, 53.5, 20 if y > 10 else 17)
    diagram_box(ax, 54, 13, 18, 11, "differences,\nseed by seed,\nin points", LIGHT_GREY)
    diagram_box(ax, 81, 21, 18, 9, "ours: mean, spread,\nmargin of chance", BLUE)
    diagram_arrow(ax, 72.5, 19, 80.5, 25)
    if grid.source:
        diagram_box(ax, 81, 4, 18, 9, "the paper's: one\nnumber less another", LIGHT_GREY)
        ax.annotate("", (90, 13.5), (90, 20.5), arrowprops={"arrowstyle": "<->", "color": "0.3", "lw": 0.9})
        ax.text(91, 17, "agree?", fontsize=8.5, va="center")
    return figure


def slopes(found, grid: Grid) -> Figure:
    """Differences to the base row: a line per row from the paper's number to our mean, a panel per metric.

    Our points are hollow where they lie within their margin of chance.

    Parameters
    ----------
    found : pandas.DataFrame
        What `paper_comparison.compare_with_paper` returns.
    grid : Grid
    """
    order = [row.label for row in (*grid.rows, *grid.others)]
    styles = dict(zip([label for label in order if label not in set(found["base"])], STYLES, strict=False))
    theirs = bool(found["their_points"].notna().any())
    figure, axes = new_figure(1, len(grid.metrics), width=3.0, height=3.5)
    for ax, metric in zip(axes[0], grid.metrics, strict=True):
        lines = [line for line in found[found["metric"] == metric].to_dict("records") if line["label"] in styles]
        for k, line in enumerate(lines):
            draw_row(ax, 1 + STEP * k, line, *styles[line["label"]])
        right = 1 + STEP * (len(lines) - 1)
        frame_slopes(ax, METRIC_NAMES[metric], lines, right, theirs=theirs)
    axes[0, 0].set_ylabel(POINTS)
    slopes_legend(axes[0, -1], styles, sorted(set(found["base"]), key=order.index))
    return figure


def draw_row(ax, x: float, line: dict, colour: str, marker: str) -> None:
    """One row of a slope chart: the paper's point at 0; ours at x with spread, margin, and seeds as small dots."""
    their, ours, margin = line["their_points"], line["points"], line["margin"]
    face = colour if abs(ours) > margin else "white"
    ax.fill_between([x - 0.035, x + 0.035], -margin, margin, color=colour, alpha=0.2, lw=0)
    ax.plot([0, x], [their, ours], color=colour, lw=1, alpha=0.7)
    ax.plot(0, their, marker, color=colour, ms=5.5)
    ax.errorbar(x, ours, line["points_std"], color=colour, marker=marker, mfc=face, ms=5.5, lw=1.2)
    ax.plot([x + 0.055] * len(line["each"]), line["each"], ".", color=colour, ms=3)


def frame_slopes(ax, title: str, lines: list[dict], right: float, *, theirs: bool) -> None:
    """Axes of a slope chart, as far as its points go, and the base row."""
    ends = [x for line in lines for x in (line["their_points"], *line["each"], line["points"] + line["points_std"],
                                          line["points"] - line["points_std"]) if np.isfinite(x)]
    low, high = min(ends, default=0), max(ends, default=0)
    room = 0.08 * max(high - low, 1)
    low, high = min(low, 0) - room, max(high, 0) + room
    ax.axhline(0, color=ACCENT, lw=1, ls="--")
    ax.set(title=title, xlim=(-0.15 if theirs else 0.8, right + 0.2), ylim=(low, high))
    ticks = {0: "paper", (1 + right) / 2: "ours"} if theirs else {(1 + right) / 2: "ours"}
    ax.set_xticks(list(ticks), list(ticks.values()))


def slopes_legend(ax, styles: dict[str, tuple], bases: list[str]) -> None:
    """Rows by colour and marker, the base rows as a line, and the margins."""
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    handles = [Line2D([], [], color=ACCENT, lw=1, ls="--", label=f"base: {' / '.join(bases)}")]
    handles += [Line2D([], [], color=colour, marker=marker, lw=1, label=label)
                for label, (colour, marker) in styles.items()]
    handles += [Patch(color=QUIET, alpha=0.4, lw=0, label="margin of chance"),
                Line2D([], [], color="0.3", marker="o", mfc="white", lw=0, label="hollow: within it")]
    ax.legend(handles=handles, loc="upper left", bbox_to_anchor=(1.0, 1.0), fontsize=8.5)


def identical_rows_figure(table: np.ndarray, leads: dict[str, np.ndarray]) -> Figure:
    """A simulated table of rows that do not differ, and how far its best row leads, over many such tables.

    Parameters
    ----------
    table : (R,) float array
        Differences to the first row, the base row, in percentage points.
    leads : dict of (T,) float array
        Lead of the best row over the base row, in points, by what was averaged.
    """
    figure, axes = new_figure(1, 2, width=4.4, height=2.9)
    left, right = axes[0]
    best = int(table.argmax())
    for i, y in enumerate(table):
        colour = ACCENT if i == 0 else ANOMALOUS if i == best else QUIET
        left.vlines(i + 1, 0, y, color=colour, lw=2)
        left.plot(i + 1, y, "o", color=colour, ms=6)
    left.axhline(0, color=ACCENT, lw=1, ls="--")
    left.annotate("the method that would\nbe published" if best else "the base row", (best + 1, table[best]), (0, 8),
                  textcoords="offset points", ha="center", fontsize=8.5, color=ANOMALOUS if best else ACCENT)
    left.set(xlabel="row of a table (1: base row)", ylabel=POINTS, xticks=range(1, len(table) + 1),
             title="One table of rows that do not differ")
    left.margins(y=0.3)
    for (name, lead), (colour, _), style in zip(leads.items(), STYLES, ("-", "--", ":"), strict=False):
        x = np.sort(lead)
        right.plot(x, np.linspace(0, 1, len(x)), color=colour, ls=style, lw=1.6, label=name)
    right.axhline(0.95, color=QUIET, lw=1)
    right.text(right.get_xlim()[1], 0.94, "19 tables of 20", fontsize=8, ha="right", va="top", color="0.35")
    right.set(xlabel="lead of the best row (percentage points)", ylabel="share of tables with less",
              title=f"{len(x):,} such tables")
    right.legend(fontsize=8.5, loc="lower right")
    return figure


def one_seed(values: dict[str, dict[int, float]], metric: str) -> Figure:
    """The rows of a table as each seed alone would give it, and their means.

    Parameters
    ----------
    values : dict
        By row: the number of each seed, the same seeds in all.
    metric : str
    """
    seeds = list(next(iter(values.values())))
    figure, axes = new_figure(1, 1, width=6.2, height=3.2)
    ax = axes[0, 0]
    for k, ((label, by_seed), (colour, marker)) in enumerate(zip(values.items(), STYLES, strict=False)):
        numbers = [100 * by_seed[seed] for seed in seeds]
        spread = np.std(numbers, ddof=1) if len(numbers) > 1 else 0
        ax.plot(range(len(seeds)), numbers, color=colour, marker=marker, ms=6, lw=1.2, label=label)
        ax.errorbar(len(seeds) + STEP * k, np.mean(numbers), spread, color=colour, marker=marker, ms=6, lw=1.2)
    ax.axvline(len(seeds) - 0.4, color="0.85", lw=1)
    middle = len(seeds) + STEP * (len(values) - 1) / 2
    ax.set_xticks([*range(len(seeds)), middle], [*(f"seed {seed}" for seed in seeds), "mean ± spread"])
    ax.set(xlabel="what the table would be made of", ylabel=f"{METRIC_NAMES[metric]} (%)")
    ax.legend(loc="upper left", bbox_to_anchor=(1, 1), fontsize=8.5)
    return figure


def two_at_once(gains: dict[str, list[float]], metrics: tuple[str, ...]) -> Figure:
    """Gains in points, a group of bars per metric, each with its number."""
    figure, axes = new_figure(1, 1, width=7.6, height=2.9)
    ax = axes[0, 0]
    width = 0.8 / len(gains)
    colours = (ACCENT, NORMAL, ANOMALOUS)
    for k, ((name, values), colour, hatch) in enumerate(zip(gains.items(), colours, ("", "//", ".."), strict=False)):
        x = np.arange(len(metrics)) + width * (k - (len(gains) - 1) / 2)
        bars = ax.bar(x, values, 0.92 * width, color=colour, alpha=0.8, hatch=hatch, edgecolor="white", label=name)
        ax.bar_label(bars, fmt="%+.1f", fontsize=8.5, padding=2)
    ax.axhline(0, color="0.3", lw=0.8)
    ax.set(xticks=range(len(metrics)), xticklabels=[METRIC_NAMES[m] for m in metrics],
           ylabel="gain (percentage points)")
    ax.margins(y=0.15)
    ax.legend(loc="upper left", bbox_to_anchor=(1, 1), fontsize=8.5)
    return figure


def verdict_table(found: dict) -> Figure:
    """Every difference that both sides have: ours and the paper's in points, coloured by how they agree.

    Parameters
    ----------
    found : dict of pandas.DataFrame
        What `paper_comparison.compare_with_paper` returns, by table.
    """
    from matplotlib.patches import Patch

    metrics = [m for m in METRIC_NAMES if any(m in set(f["metric"][f["verdict"] != ""]) for f in found.values())]
    rows = [(name, label) for name, f in found.items() for label in dict.fromkeys(f["label"][f["verdict"] != ""])]
    figure, axes = new_figure(1, 1, width=1.35 * len(metrics) + 4.2, height=0.29 * len(rows) + 1.3)
    ax = axes[0, 0]
    for name, f in found.items():
        for line in f[f["verdict"] != ""].to_dict("records"):
            x, y = metrics.index(line["metric"]), rows.index((name, line["label"]))
            ax.barh(y, 0.96, 0.92, left=x - 0.48, color=VERDICTS[line["verdict"]][0])
            ax.text(x, y, f"{line['points']:+.1f}  ({line['their_points']:+.1f})", ha="center", va="center", fontsize=8)
    ax.set(xticks=range(len(metrics)), yticks=range(len(rows)), yticklabels=[f"{name}: {row}" for name, row in rows],
           xlim=(-0.5, len(metrics) - 0.5), ylim=(len(rows) - 0.5, -0.5))
    ax.set_xticklabels([METRIC_NAMES[m] for m in metrics])
    ax.tick_params(length=0, top=True, labeltop=True, bottom=False, labelbottom=False)
    for spine in ax.spines.values():
        spine.set_visible(False)
    patches = [Patch(color=colour, label=text) for colour, text in VERDICTS.values()]
    figure.legend(handles=patches, loc="outside lower center", fontsize=8.5, frameon=False)
    return figure

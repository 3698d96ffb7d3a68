"""Figures of lesson 05: our differences beside the papers', and what chance makes of rows that are all alike."""

import numpy as np
from matplotlib.figure import Figure

from adlib.lessons.ablations import Grid
from adlib.lessons.plots import ACCENT, ANOMALOUS, METHOD_MARKS, NORMAL, QUIET, new_figure
from adlib.lessons.plots.diagrams import BLUE, GREEN, LIGHT_GREY, ORANGE, diagram_arrow, diagram_box, new_diagram
from adlib.runs.tables import count
from adlib.settings import METRIC_NAMES

# One colour and marker per row, of seaborn's "colorblind" palette: the shape says it too.
STYLES = [("#0173b2", "o"), ("#de8f05", "s"), ("#029e73", "^"), ("#d55e00", "D"), ("#cc78bc", "v"), ("#ca9161", "P"),
          ("#56b4e9", "X"), ("#949494", "<"), ("#7a5195", ">"), ("#003f5c", "*")]
STEP = 0.11     # between the means of rows, at the right of the seeds
POINTS = "difference to the base row\n(percentage points)"
VERDICTS = {"agrees": (NORMAL, "o", "beyond chance, with\nthe paper's sign"),
            "contradicts": (ANOMALOUS, "D", "beyond chance, with\nthe opposite sign"),
            "smaller": (QUIET, "s", "within our margin,\nand not of the\npaper's size"),
            "chance": (QUIET, "o", "within our margin\nof chance")}


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


def difference_forest(found, grid: Grid) -> Figure:
    """Differences to the base row, one line per row and a panel per metric: ours with its margin, and the paper's.

    A star stands where zero lies outside our bar: beyond chance, with the margin that allows for all rows of the table.

    Parameters
    ----------
    found : pandas.DataFrame
        What `paper_comparison.compare_with_paper` returns.
    grid : Grid
    """
    rows = [row.label for row in (*grid.rows, *grid.others)]
    of_base = found.drop_duplicates("label").set_index("label")["base"]
    rows = [label for label in rows if label != of_base[label]]
    bases = of_base[rows].unique()
    height = 0.3 if len(bases) == 1 else 0.5
    figure, axes = new_figure(1, len(grid.metrics), width=2.9, height=height * len(rows) + 1.35, sharey=True)
    for ax, metric in zip(axes[0], grid.metrics, strict=True):
        for line in found[found["metric"] == metric].to_dict("records"):
            if line["label"] in rows:
                draw_difference(ax, rows.index(line["label"]), line)
        ax.axvline(0, color=ACCENT, lw=1, ls="--")
        ax.set(title=METRIC_NAMES[metric], ylim=(len(rows) - 0.4, -0.6))
        ax.margins(x=0.08)
        if found.loc[found["metric"] == metric, ["points", "their_points"]].abs().max(axis=None) > 12:
            ax.set_xscale("symlog", linthresh=2)        # one row that loses much would hide all other bars
            ax.xaxis.set_major_formatter("{x:g}")
    axes[0, 0].set_yticks(range(len(rows)), [
        label if len(bases) == 1 else f"{label}\n(less {of_base[label]})" for label in rows])
    figure.supxlabel(f"difference to the base row{f' ({bases[0]})' if len(bases) == 1 else ''}, percentage points",
                     fontsize=10)
    forest_legend(figure, theirs=bool(found["their_points"].notna().any()))
    return figure


def draw_difference(ax, y: float, line: dict) -> None:
    """One row of a forest: the paper's diamond above; our point below, its margin as a bar, its seeds as strokes."""
    ours, margin, beyond = line["points"], line["margin"], abs(line["points"]) > line["margin"]
    colour = NORMAL if beyond else QUIET
    if np.isfinite(margin):
        ax.plot([ours - margin, ours + margin], [y, y], color=colour, lw=5, alpha=0.35, solid_capstyle="butt")
    ax.plot(line["each"], [y] * len(line["each"]), "|", color=colour, ms=7)
    ax.plot(ours, y, "o", color=colour, mfc=colour if beyond else "white", ms=6)
    if beyond:
        ax.annotate("*", (ours, y), (0, 1), textcoords="offset points", ha="center", fontsize=13)
    ax.plot(line["their_points"], y - 0.27, "D", color=ANOMALOUS, ms=4.5)


def forest_legend(figure: Figure, *, theirs: bool) -> None:
    from matplotlib.lines import Line2D

    handles = [Line2D([], [], color=NORMAL, marker="o", lw=5, alpha=0.7, label="* ours, beyond chance"),
               Line2D([], [], color=QUIET, marker="o", mfc="white", lw=5, alpha=0.7, label="ours, within the margin"),
               Line2D([], [], color=QUIET, marker="|", ms=8, lw=0, label="single seeds")]
    handles += [Line2D([], [], color=ANOMALOUS, marker="D", ms=5, lw=0, label="the paper's")] if theirs else []
    figure.legend(handles=handles, loc="outside upper center", ncols=len(handles), fontsize=8.5, frameon=False)


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
    for k, ((label, by_seed), other) in enumerate(zip(values.items(), STYLES, strict=False)):
        colour, marker = METHOD_MARKS.get(label, other)
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


def agreement_figure(found: dict) -> Figure:
    """Every difference that both sides have, ours over the paper's; in the shaded quarters the signs agree.

    Parameters
    ----------
    found : dict of pandas.DataFrame
        What `paper_comparison.compare_with_paper` returns, by table.
    """
    figure, axes = new_figure(1, 1, width=7.4, height=4.2)
    ax = axes[0, 0]
    lines = [line for f in found.values() for line in f[f["verdict"] != ""].to_dict("records")]
    for verdict, (colour, marker, text) in VERDICTS.items():
        own = [line for line in lines if line["verdict"] == verdict]
        x, y = ([line[name] for line in own] for name in ("their_points", "points"))
        ax.plot(x, y, marker, color=colour, mfc="white" if verdict in ("chance", "smaller") else colour, ms=6, lw=0,
                label=f"{text} ({len(own)})")
        for k, line in enumerate(own if verdict == "contradicts" else []):      # a number each, and names at the side
            ax.annotate(str(k + 1), (line["their_points"], line["points"]), (5, 5 if k % 2 else -11),
                        textcoords="offset points", fontsize=8.5)
            ax.text(1.03, 0.4 - 0.07 * k, f"{k + 1}  {line['label']}, {METRIC_NAMES[line['metric']]}", fontsize=8.5,
                    transform=ax.transAxes)
    ax.set_xscale("symlog", linthresh=1)
    ax.set_yscale("symlog", linthresh=1)
    ends = {side: [sign * 1.6 * max(1, *(sign * line[name] for line in lines)) for sign in (-1, 1)]
            for side, name in (("x", "their_points"), ("y", "points"))} if lines else {"x": (-2, 2), "y": (-2, 2)}
    for k in (0, 1):
        ax.fill_between([0, ends["x"][k]], 0, ends["y"][k], color=QUIET, alpha=0.15, lw=0)
    ax.set(xlim=ends["x"], ylim=ends["y"], xlabel="the paper's difference (points)", ylabel="our difference (points)")
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_major_formatter("{x:g}")
    ax.axhline(0, color=ACCENT, lw=0.8)
    ax.axvline(0, color=ACCENT, lw=0.8)
    ax.legend(loc="upper left", bbox_to_anchor=(1, 1), fontsize=8.5)
    return figure

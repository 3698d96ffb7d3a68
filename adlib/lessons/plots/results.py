"""Figures of lesson 09: runs and their spread, tables, intervals, what a number costs, the bias of a chosen seed."""

from collections.abc import Iterable

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from adlib.lessons.plots import ACCENT, ANOMALOUS, METHOD_MARKS, NORMAL, QUIET, new_figure, panel_grid
from adlib.lessons.plots.diagrams import BLUE, GREEN, LIGHT_GREY, ORANGE, diagram_arrow, diagram_box, new_diagram
from adlib.lessons.psychometrics import wilson
from adlib.runs import report, tables
from adlib.runs.bootstrap import Comparison
from adlib.runs.tables import count, in_points
from adlib.settings import METRIC_NAMES

MARK_OF_OTHERS = ("#333333", "P")       # of a method that has no mark


def claim_diagram(rows: pd.DataFrame, resamples: int) -> Figure:
    """From runs to a claim, as a diagram."""
    m, c, n = (rows[name].nunique() for name in ("variant", "category", "seed"))
    factors = "\nx ".join([count(m, "method"), count(c, "category"), count(n, "seed")])
    figure, ax = new_diagram(width=9.6, height=2.6, top=28)
    steps = [("runs", f"{factors}: {count(len(rows), 'run')}", LIGHT_GREY),
             ("pairs", f"a - b within a category:\n{c} x {n} differences", BLUE),
             ("a mean", "over seeds,\nthen over categories", BLUE),
             ("an interval", f"{resamples:,} times\nother runs are drawn", ORANGE),
             ("a claim", '"a is ahead of b,\non these categories"', GREEN)]
    for k, (head, text, colour) in enumerate(steps):
        diagram_box(ax, 21 * k, 9, 16, 11, text, colour)
        ax.text(21 * k + 8, 23, head, ha="center", fontsize=10, fontweight="bold")
        if k:
            diagram_arrow(ax, 21 * k - 5, 14.5, 21 * k, 14.5)
    where = ["section 1", "sections 4, 10", "sections 1, 2", "sections 4, 5", "and its limits: 6, 8, 9"]
    for k, text in enumerate(where):
        ax.text(21 * k + 8, 4, text, ha="center", fontsize=8.5, color="0.35")
    return figure


def winners(rows: pd.DataFrame, metrics: list[str]) -> Figure:
    """Which method has the highest number, of each category and seed: a panel per metric."""
    from matplotlib.colors import to_rgb

    best = {m: rows.pivot_table(index=["category", "seed"], columns="variant", values=m).idxmax(axis=1).unstack()
            for m in metrics if rows[m].notna().any()}
    height = max(len(table) for table in best.values())
    figure, axes = panel_grid(len(best), 2, width=4.2, height=0.42 * height + 0.8)
    for ax, (metric, table) in zip(axes, best.items(), strict=True):
        for (y, x), name in np.ndenumerate(table.to_numpy()):
            known = isinstance(name, str)
            colour = 0.45 + 0.55 * np.array(to_rgb(mark_of(name)[0])) if known else (1, 1, 1)
            ax.add_patch(_cell(x, y, facecolor=colour, hatch=None if known else "///"))
            ax.text(x, y, name if known else "", ha="center", va="center", fontsize=9)
        m, n = table.shape
        ax.set(title=f"highest {METRIC_NAMES[metric]}", xlim=(-0.5, n - 0.5), ylim=(m - 0.5, -0.5), xlabel="seed",
               xticks=range(n), xticklabels=table.columns, yticks=range(m), yticklabels=table.index)
        ax.tick_params(length=0)
    return figure


def every_run(rows: pd.DataFrame, metrics: list[str]) -> Figure:
    """Every run as a mark, every mean over seeds as a line: a panel per metric, methods side by side."""
    names, categories = tables.variants(rows), list(dict.fromkeys(sorted(rows["category"])))
    figure, axes = new_figure(len(metrics), 1, width=9.4, height=2.6, sharex=True)
    for ax, metric in zip(axes[:, 0], metrics, strict=True):
        for k, name in enumerate(names):
            colour, marker = mark_of(name)
            shift = (k - (len(names) - 1) / 2) * 0.8 / len(names)
            for x, category in enumerate(categories):
                own = rows.loc[(rows["variant"] == name) & (rows["category"] == category), metric]
                ax.plot(np.full(len(own), x + shift), own, marker, color=colour, ms=5, mew=1.2, alpha=0.8, label=name)
                ax.hlines(own.mean(), x + shift - 0.06, x + shift + 0.06, color=colour, lw=1.5)
        for x in range(1, len(categories)):
            ax.axvline(x - 0.5, color="0.9", lw=1)
        ax.set(ylabel=METRIC_NAMES[metric], xticks=range(len(categories)), xticklabels=categories)
        ax.tick_params(axis="x", length=0)
    figure.legend(*first_of_each(axes[0, 0]), loc="outside right upper", frameon=False)
    return figure


def spreads(rows: pd.DataFrame, metric: str) -> Figure:
    """Standard deviations over seeds: of each category, of the mean over categories, and what was to be expected."""
    cells, names = tables.summarize(rows), tables.variants(rows)
    cells = cells[(cells["metric"] == metric) & ~cells["category"].isin(["textures", "objects"])]
    figure, axes = new_figure(1, 1, width=6.8, height=0.42 * len(names) + 1.1)
    ax = axes[0, 0]
    for y, name in enumerate(names):
        std = cells[cells["variant"] == name].set_index("category")["std"]
        each, mean = in_points(std.drop("all").to_numpy()), in_points(std["all"])
        ax.plot(each, np.full(len(each), y), "o", color=mark_of(name)[0], ms=6, alpha=0.6, label="one category")
        ax.plot(mean, y, "D", color=ACCENT, ms=7, label="mean over categories")
        ax.plot((each**2).sum() ** 0.5 / len(each), y, "|", color=ACCENT, ms=16, mew=1.5, label="by the formula")
    ax.set(yticks=range(len(names)), yticklabels=names, ylim=(len(names) - 0.5, -0.5), xlim=(0, None),
           xlabel=f"standard deviation over seeds, {METRIC_NAMES[metric]} (percentage points)")
    ax.legend(*first_of_each(ax), loc="upper left", bbox_to_anchor=(1, 1))
    return figure


def heat_tables(group: pd.DataFrame, metrics: list[str]) -> Figure:
    """Methods x categories and the means over them, a panel per metric, all on one colour scale; gaps are hatched."""
    found = {m: tables.table(group, m) for m in metrics if group[m].notna().any()}
    every = np.concatenate([table["mean"].to_numpy().ravel() for table in found.values()])
    low, high = np.nanmin(every), np.nanmax(every)
    rows = max(len(t) for t in found.values())
    columns = max(t["mean"].shape[1] for t in found.values())
    figure, axes = new_figure(len(found), 1, width=0.92 * columns + 2.2, height=0.46 * rows + 0.75)
    for ax, (metric, table) in zip(axes[:, 0], found.items(), strict=True):
        shown = heat(ax, table["mean"], texts(table), low, high)
        ax.set_title(METRIC_NAMES[metric])
        last = [k for k, name in enumerate(table["mean"].columns) if name in ("textures", "objects", "all")]
        ax.axvline(last[0] if last else 0, color="white", lw=6)
    figure.colorbar(shown, ax=axes[:, 0], label="mean over seeds", pad=0.01, shrink=0.9)
    return figure


def texts(table: pd.DataFrame) -> np.ndarray:
    """What is written into the cells of `tables.table`: mean and spread, or how many categories are there."""
    parts = (table[name].to_numpy() for name in ("mean", "std", "n", "found", "of"))
    found = [[f"{found:.0f} of {of:.0f}" if n == 0 else "" if np.isnan(mean) else
              f"{mean:.3f}" + (f"\n± {std:.3f}" if n > 1 else "") for mean, std, n, found, of in zip(*row, strict=True)]
             for row in zip(*parts, strict=True)]
    return np.array(found, object)


def beside_papers(rows: pd.DataFrame) -> Figure:
    """Printed means over MVTec AD, in percent: a row per method, backbone and paper, a column per metric."""
    label = rows["method"] + ", " + rows["backbone"].replace("", "backbone not said") + "  (" + rows["paper"] + ")"
    wide = rows.assign(row=label).pivot_table(index="row", columns="metric", values="value", aggfunc="first")
    wide = wide.reindex(index=label.unique(), columns=[m for m in METRIC_NAMES if m in wide])
    wide = wide.rename(columns=METRIC_NAMES)
    written = np.where(wide.isna(), "", wide.map("{:.1f}".format))
    figure, axes = new_figure(1, 1, width=8.6, height=0.36 * len(wide) + 0.6)
    heads = wide.rename(columns=lambda name: name.replace(" ", "\n"))
    shown = heat(axes[0, 0], heads, written, float(wide.min(axis=None)), 100)
    figure.colorbar(shown, ax=axes[0, 0], label="percent", pad=0.01)
    return figure


def heat(ax, values: pd.DataFrame, written: np.ndarray, low: float, high: float):
    """A heat table with text in its cells, missing ones hatched; returns what a colour bar needs."""
    import seaborn as sns

    sns.heatmap(values.astype(float), cmap="cividis", linewidths=1, cbar=False, ax=ax, vmin=low, vmax=high)
    for (y, x), value in np.ndenumerate(values.to_numpy(float)):
        if np.isnan(value):
            ax.add_patch(_cell(x + 0.5, y + 0.5, facecolor="none", hatch="///"))
        white = {"bbox": {"facecolor": "white", "edgecolor": "none", "pad": 1}} if np.isnan(value) else {}
        ax.text(x + 0.5, y + 0.5, written[y, x], ha="center", va="center", fontsize=8,
                color="white" if value < (low + high) / 2 else "0.1", **(white if written[y, x] else {}))
    ax.set(xlabel="", ylabel="")
    ax.tick_params(length=0, labelrotation=0)
    return ax.collections[0]


def _cell(x: float, y: float, **options):
    from matplotlib.patches import Rectangle

    return Rectangle((x - 0.5, y - 0.5), 1, 1, edgecolor="0.75" if options["hatch"] else "white", lw=1.5, **options)


def all_draws(draws: dict[str, Iterable[float]], intervals: dict[str, tuple[float, float]], centre: float) -> Figure:
    """Distributions of a resampled difference, a panel each, with the interval that holds 95 % of it."""
    figure, axes = new_figure(1, len(draws), width=4.2, height=2.5, sharex=True, sharey=True)
    for ax, (name, values), colour in zip(axes[0], draws.items(), (NORMAL, ANOMALOUS), strict=False):
        values = in_points(np.asarray(values))
        ax.hist(values, 25, weights=np.full(len(values), 1 / len(values)), color=colour, alpha=0.55)
        low, high = in_points(np.array(intervals[name]))
        ax.hlines(-0.008, low, high, color=colour, lw=5)
        ax.axvline(in_points(centre), color=ACCENT, ls="--", lw=1)
        ax.axvline(0, color=QUIET, ls=":", lw=1)
        ax.set(title=f"{name}: [{low:+.1f}, {high:+.1f}]", xlabel="mean difference (percentage points)")
    axes[0, 0].set_ylabel("share of the draws")
    return figure


def forest(found: dict[str, list[Comparison]]) -> Figure:
    """Differences with both intervals, a panel per metric, each on its own axis: what crosses the line may be noise."""
    longest = max(len(comparisons) for comparisons in found.values())
    figure, axes = panel_grid(len(found), 2, width=4.8, height=0.34 * longest + 0.8, sharey=True)
    for k, (ax, (metric, comparisons)) in enumerate(zip(axes, found.items(), strict=True)):
        for y, c in enumerate(comparisons):
            draw_intervals(ax, y, c)
        ax.axvline(0, color=ACCENT, lw=0.8)
        ax.set(title=METRIC_NAMES[metric], yticks=range(len(comparisons)), ylim=(longest - 0.5, -0.5),
               yticklabels=[c.a for c in comparisons])
        ax.set_xlabel(f"ahead of {comparisons[0].b} (points)" if k >= len(found) - 2 else "")
    figure.legend(*first_of_each(axes[0]), loc="outside lower center", ncols=3, frameon=False)
    return figure


def draw_intervals(ax, y: float, c: Comparison) -> None:
    """A difference with its two intervals, in percentage points; one that is None is left out."""
    colour, marker = mark_of(c.a)
    styles = [(c.ci_random_categories, {"lw": 1.4, "label": "95 %, categories like these"}),
              (c.ci_fixed_categories, {"lw": 8, "alpha": 0.35, "label": "95 %, these categories"})]
    for interval, style in styles:
        if interval is not None:
            ax.hlines(y, *in_points(np.array(interval)), color=colour, **style)
    ax.plot(in_points(c.difference), y, marker, color=colour, ms=5, label="mean difference")


def who_wins(found: dict[str, list[Comparison]], names: list[str], grades: dict[tuple[str, str, str], str]) -> Figure:
    """Row minus column for all pairs, a panel per metric on one scale, each with the stars of its (a, b, metric)."""
    differences = {m: np.full((len(names), len(names)), np.nan) for m in found}
    for m, c in ((m, c) for m, comparisons in found.items() for c in comparisons):
        i, j = names.index(c.a), names.index(c.b)
        differences[m][i, j], differences[m][j, i] = in_points(c.difference), -in_points(c.difference)
    high = max(1.0, *(np.nanmax(np.abs(p), initial=0) for p in differences.values()))
    side = 0.56 * len(names)
    figure, axes = panel_grid(len(found), 3, width=side + 0.35, height=0.62 * side + 0.75, sharex=True, sharey=True)
    for ax, (metric, values) in zip(axes, differences.items(), strict=True):
        shown = ax.imshow(values, cmap="PuOr_r", vmin=-high, vmax=high, aspect="auto")
        for c in found[metric]:
            stars = grades.get((c.a, c.b, metric), "")
            i, j = names.index(c.a), names.index(c.b)
            for y, x in ((i, j), (j, i)):
                ax.text(x, y, f"{values[y, x]:+.1f}{stars}", ha="center", va="center", fontsize=7.5,
                        color="white" if abs(values[y, x]) > 0.7 * high else "0.1")
        ax.set(title=METRIC_NAMES[metric], xticks=range(len(names)), yticks=range(len(names)), yticklabels=names)
        ax.set_xticklabels(names, rotation=40, ha="right", rotation_mode="anchor")
        ax.tick_params(length=0)
    figure.colorbar(shown, ax=axes, label="row minus column (percentage points)", pad=0.01, shrink=0.7)
    return figure


def excludes_zero(interval: tuple[float, float] | None) -> bool:
    """Whether an interval is there and lies on one side of 0."""
    return interval is not None and (interval[0] > 0 or interval[1] < 0)


def by_chance(counts: dict[str, list[int]], observed: dict[str, int], total: int) -> Figure:
    """How many findings there are where there is nothing to find, a panel per kind, and how many in our runs."""
    figure, axes = new_figure(1, len(counts), width=3.3, height=2.5, sharey=True)
    edges = np.arange(-0.5, max(max(max(found) for found in counts.values()), 0.1 * total) + 1.5)
    for ax, (name, found), colour in zip(axes[0], counts.items(), (NORMAL, ANOMALOUS, QUIET), strict=True):
        ax.hist(found, edges, color=colour, alpha=0.6, label="names shuffled")
        if name != "stars":     # these promise something else: that few worlds have any
            ax.axvline(0.05 * total, color=ACCENT, ls="--", lw=1.2, label="5 %")
        ax.axvline(observed[name], color=colour, lw=2.5, label=f"our runs: {observed[name]}")
        ax.set(title=name, xlabel=f"of {total} comparisons")
        ax.locator_params(axis="x", integer=True)
        ax.legend(fontsize=8)
    axes[0, 0].set_ylabel("shuffles")
    return figure


def cost(rows: pd.DataFrame, metrics: list[str]) -> Figure:
    """Quality over seconds, a panel per metric, memory in the legend; ringed is what nothing quicker beats."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

    figure, axes = panel_grid(len(metrics), 2, width=4.0, height=3.0)
    for ax, metric in zip(axes, metrics, strict=True):
        known, n = with_quality(report.costs(rows), rows, metric)
        for run in known.itertuples():
            colour, marker = mark_of(run.Index)
            memory = f" ({run.peak_memory_mb / 1000:.1f} GB)"
            ax.errorbar(run.seconds, run.mean, np.nan_to_num(run.std), fmt=marker, color=colour, ms=7, capsize=3,
                        label=run.Index + memory.replace(" (nan GB)", ""))
        front = known[known["mean"] > known["mean"].cummax().shift(fill_value=-np.inf)]
        ax.plot(front["seconds"], front["mean"], "o:", color=ACCENT, ms=14, mfc="none", lw=1)
        ax.set(xscale="log", xlabel="seconds of a run, median", title=METRIC_NAMES[metric],
               ylabel=f"{METRIC_NAMES[metric]}, mean over {count(n, 'category')}")
        ax.xaxis.set(major_locator=LogLocator(subs=(1, 3)), minor_locator=NullLocator(),
                     major_formatter=FuncFormatter(lambda x, _: f"{x:g}"))
        ax.margins(x=0.15, y=0.15)
    figure.legend(*first_of_each(axes[0]), loc="outside right upper", frameon=False)
    return figure


def with_quality(costs: pd.DataFrame, rows: pd.DataFrame, metric: str) -> tuple[pd.DataFrame, int]:
    """`report.costs`, quickest first, with `mean` and `std` over the categories that all have, and their number."""
    wide = rows.pivot_table(index="seed", columns=["category", "variant"], values=metric)
    common = [c for c in dict.fromkeys(rows["category"]) if all((c, v) in wide for v in costs.index)]
    means = {v: wide[[(c, v) for c in common]].mean(axis=1, skipna=False) for v in costs.index}
    costs = costs.assign(mean=[means[v].mean() for v in costs.index], std=[means[v].std() for v in costs.index])
    return costs.dropna(subset=["seconds", "mean"]).sort_values("seconds"), len(common)


def interval_kinds(found: dict[str, dict[str, tuple[float, float]]], middles: dict[str, dict[str, float]],
            xlabel: str) -> Figure:
    """Intervals of different kinds below each other, in percentage points.

    Parameters
    ----------
    found : dict
        By kind, in the legend's words: by name, both ends on the scale of the metric.
    middles : dict
        Likewise, what the intervals are of.
    """
    names, step = list(next(iter(middles.values()))), 0.6 / len(found)
    figure, axes = new_figure(1, 1, width=6.8, height=(0.16 + 0.14 * len(found)) * len(names) + 0.9)
    ax = axes[0, 0]
    for k, (kind, colour) in enumerate(zip(found, (NORMAL, ANOMALOUS), strict=False)):
        for y, name in enumerate(names):
            at = y + (k - (len(found) - 1) / 2) * step
            ax.hlines(at, *in_points(np.array(found[kind][name])), color=colour, lw=3, label=kind)
            ax.plot(in_points(middles[kind][name]), at, "|", color=ACCENT, ms=7, mew=1.5)
    ax.axvline(0, color=ACCENT, lw=0.8)
    ax.set(yticks=range(len(names)), yticklabels=names, ylim=(len(names) - 0.5, -0.5), xlabel=xlabel)
    ax.legend(*first_of_each(ax), loc="upper left", bbox_to_anchor=(1, 1))
    return figure


def best_seed_bias(rows: pd.DataFrame, metric: str) -> Figure:
    """Means over categories from all seeds, from the one best seed, and from the best seed of each category."""
    numbers = rows.pivot_table(index="category", columns=["variant", "seed"], values=metric)
    names = tables.variants(rows)
    figure, axes = new_figure(1, 1, width=6.8, height=0.4 * len(names) + 1.0)
    ax = axes[0, 0]
    for y, name in enumerate(names):
        own = numbers[name]                                          # categories x seeds
        honest = own.mean(axis=None)
        seed = own.mean(axis=0).max()
        each = own.max(axis=1).mean()
        ax.hlines(y, honest, each, color=mark_of(name)[0], lw=2)
        ax.plot(honest, y, "o", color=mark_of(name)[0], ms=8, label="all seeds")
        ax.plot(seed, y, "|", color=ACCENT, ms=13, mew=1.5, label="the best seed")
        ax.plot(each, y, ">", color=mark_of(name)[0], ms=8, label="the best seed of each category")
        ax.text(each, y - 0.12, f"  {in_points(each - honest):+.1f}", fontsize=8.5, va="bottom")
    ax.set(yticks=range(len(names)), yticklabels=names, ylim=(len(names) - 0.5, -0.6),
           xlabel=f"{METRIC_NAMES[metric]}, mean over categories")
    ax.margins(x=0.12)
    ax.legend(*first_of_each(ax), loc="upper left", bbox_to_anchor=(1, 1))
    return figure


def mark_of(variant: str) -> tuple[str, str]:
    """Colour and marker of a method, also with other settings."""
    return METHOD_MARKS.get(variant.split()[0], MARK_OF_OTHERS)


def first_of_each(ax) -> tuple[list, list[str]]:
    """Handles and labels of a legend, each label once."""
    found = {}
    for handle, label in zip(*ax.get_legend_handles_labels(), strict=True):
        found.setdefault(label, handle)
    return list(found.values()), list(found)


def calibration(judged: list[tuple[float, bool]]) -> Figure:
    """How often a reader was right, over how sure they were: (probability, right) of each prediction, in five bins."""
    figure, axes = new_figure(1, 1, width=4.2, height=3.4)
    ax, edges = axes[0, 0], [0, 0.4, 0.6, 0.8, 0.95, 1.01]
    ax.plot([0, 1], [0, 1], "--", color=QUIET, label="calibrated")
    for low, high in zip(edges[:-1], edges[1:], strict=True):
        right = [r for sure, r in judged if low <= sure < high]
        if not right:
            continue
        sure = np.mean([s for s, _ in judged if low <= s < high])
        bottom, top = wilson(sum(right), len(right))
        ax.plot([sure, sure], [bottom, top], color=NORMAL, lw=1.5)
        ax.plot(sure, np.mean(right), "o", color=NORMAL, ms=4 + 2 * len(right) ** 0.5)
        ax.annotate(f"{sum(right)} of {len(right)}", (sure, np.mean(right)), (6, -3), textcoords="offset points")
    if judged:
        brier = np.mean([(sure - right) ** 2 for sure, right in judged])
        ax.set_title(f"{count(len(judged), 'prediction')}, mean squared error {brier:.2f}")
    else:
        ax.set_title("no prediction answered yet")
    ax.set(xlabel="how sure", ylabel="share that was right", xlim=(0, 1.05), ylim=(-0.03, 1.03))
    ax.legend(loc="upper left")
    return figure

"""The ledger as text: tables, intervals, costs, and what to beware of."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd

from adlib import find_output
from adlib.runs.bootstrap import compare, sensible_pairs
from adlib.runs.folder import SECONDS, read_runs
from adlib.runs.tables import (
    GROUP,
    PARTS,
    beside_published,
    by_seed,
    count,
    frame,
    groups,
    in_points,
    kinds,
    listed,
    select_runs,
    summarize,
    tidy,
    title,
    variants,
)
from adlib.settings import METRIC_NAMES, METRICS

FILL = ("python -m adlib sweep --methods nearest,stfpm,destseg,rd4ad,masked_rd --data-root data/demo "
        "--categories all --seeds 0,1,2 --budget demo")
WIDTH = 100         # of a terminal
FORMATS = ("table", "csv", "markdown")


def costs(group: pd.DataFrame) -> pd.DataFrame:
    """Medians of seconds and memory of each variant, and how many `runs` they are of."""
    by_variant = group.groupby("variant")
    medians = by_variant[[*PARTS, "seconds", "peak_memory_mb"]].median()
    return medians.assign(runs=by_variant.size()).reindex(variants(group))


def notes(frame: pd.DataFrame) -> list[str]:
    """What cannot be compared, or only with care, a sentence each."""
    found, across = groups(frame), other_groups(frame)
    return across + [f"{title(group)}: {note}" if across else note for group in found for note in group_notes(group)]


def other_groups(frame: pd.DataFrame) -> list[str]:
    differ = listed(frame, GROUP)
    return [f"{len(groups(frame))} groups of runs, and no number of one can be compared with one of another: they "
            f"differ in {differ}."] if differ else []


def group_notes(group: pd.DataFrame) -> list[str]:
    return [*mixtures(group), *other_settings(group), *missing_runs(group), *undefined(group), *repeated(group),
            *other_images(group)]


def mixtures(group: pd.DataFrame) -> list[str]:
    """What moves a number or a time without being a setting."""
    effects = {"threads": "rounding differs, which can move a run as much as another seed does, and times differ",
               "precision": "rounding and times differ", "device": "times do not compare",
               "texture_source": "not the same textures to train on"}
    found = []
    for name, effect in effects.items():
        if len(set(group[name])) < 2:
            continue
        known = group[group[name].notna() & (group[name] != "")]
        within = known.groupby("variant")[name].nunique().max()
        if (within if name == "texture_source" else known[name].nunique()) > 1:     # only some methods have textures
            who = known.groupby(name)["variant"].agg(lambda names: ", ".join(dict.fromkeys(names)))
            found.append(f"{name}: " + "; ".join(f"{short(value)} ({names})" for value, names in who.items())
                         + f": {effect}.")
    return found


def other_settings(group: pd.DataFrame) -> list[str]:
    found = [variant for variant in variants(group) if variant not in set(group["method"])]
    return [f"not with the lesson's defaults, so rows of their own: {'; '.join(found)}."] if found else []


def missing_runs(group: pd.DataFrame) -> list[str]:
    """What each variant lacks of all categories x all seeds of the group."""
    categories, seeds = sorted(set(group["category"])), sorted(set(group["seed"]))
    there, found = set(group[["variant", "category", "seed"]].itertuples(index=False, name=None)), []
    for variant in variants(group):
        lacks = defaultdict(list)       # the same seeds: these categories
        for category in categories:
            lacks[tuple(seed for seed in seeds if (variant, category, seed) not in there)].append(category)
        n = sum(len(missing) * len(names) for missing, names in lacks.items())
        texts = [("" if len(missing) == len(seeds) else f"seed {', '.join(map(str, missing))} of ")
                 + ("every category" if names == categories else ", ".join(names))
                 for missing, names in lacks.items() if missing]
        if texts:
            found.append(f"{variant} lacks {n} of {len(categories) * len(seeds)} runs: {'; '.join(texts)}.")
    return found


def undefined(group: pd.DataFrame) -> list[str]:
    gaps = group[[*METRICS]].isna().sum()
    return [f"{', '.join(METRIC_NAMES[name] for name in gaps.index[gaps == n])}: undefined in {n} of "
            f"{count(len(group), 'run')}, for want of masks, of good or of defective images; these count as missing."
            for n in sorted(set(gaps) - {0})]


def repeated(group: pd.DataFrame) -> list[str]:
    n = group.duplicated(["variant", "category", "seed"]).sum()
    return [f"{count(n, 'run')} of a variant, category and seed that have one already: they count as one, their mean."
            ] if n else []


def other_images(group: pd.DataFrame) -> list[str]:
    """Categories of one name whose images are not the same."""
    seen = set(group[["category", "n_train", "n_test"]].dropna().itertuples(index=False, name=None))
    several = Counter(category for category, *_ in seen)
    return [f"{category} had other numbers of images in some runs than in others." for category in sorted(several)
            if several[category] > 1]


def ledger_report(out_dir: str | Path = "runs", format: str = "table", *, only: dict[str, str] | None = None) -> str:
    """The ledger below a folder as text.

    Parameters
    ----------
    out_dir : path
    only : dict, optional
        Leave out runs that differ from this, as for `select`.
    format : "table", "csv" or "markdown"
        "csv" is `tidy`, only its header if there are no runs.

    Raises
    ------
    ValueError
        The format is another.
    """
    if format not in FORMATS:
        raise ValueError(f"format={format!r} is unknown; choose one of {', '.join(FORMATS)}")
    runs = select_runs(frame(read_runs(out_dir)), only or {})
    if format == "csv":
        return tidy(runs).to_csv(index=False, float_format="%.6f", lineterminator="\n")
    failed = len(list(find_output(out_dir).glob("*/*/*/*/failed.json")))
    retry = [f"{count(failed, 'run')} failed; their failed.json says why, their command retries."] * bool(failed)
    if runs.empty:
        return "\n".join([f"no whole runs below {find_output(out_dir)} yet; this makes some:\n\n    {FILL}", *retry])
    draw, head = (piped, "## {}") if format == "markdown" else (aligned, "== {} ==")
    parts = [f"{count(len(runs), 'run')}. All numbers lie in [0, 1], differences are in percentage points.\n"
             f"± is the standard deviation over seeds; (n) says of how many, where others in the table have more.",
             *other_groups(runs), *retry]
    for group in groups(runs):
        parts += [head.format(title(group)), *sections(group, draw)]
        parts += ["\n".join(f"- {note}" for note in group_notes(group))]
    return "\n\n".join(filter(None, parts))


def markdown_table(frame: pd.DataFrame, metrics: Iterable[str] = METRICS) -> str:
    """Variants x metrics: mean over all categories ± standard deviation over seeds of that mean, as in the README."""
    return piped(overview(summarize(frame), variants(frame), "all", metrics))


def sections(group: pd.DataFrame, draw: Callable[[list[list[str]]], str]) -> list[str]:
    """The tables of a group, each below what it shows."""
    rows, names, known = summarize(group), variants(group), kinds(group)
    present = [name for name in known["all"] if name in set(group["category"])]
    shown = [m for m in METRICS if group[m].notna().any()]
    seeds = count(max(rows["n"], default=0), "seed")
    if len(present) == 1:
        parts = [f"{present[0]}, {seeds}", draw(overview(rows, names, present[0], METRICS))]
    else:
        parts = [f"Means over {len(known['all'])} categories, {seeds}", draw(overview(rows, names, "all", METRICS))]
        parts += [x for m in shown for x in (METRIC_NAMES[m], draw(by_category(rows, names, [*present, *known], m)))]
    return [*parts, *paper_sections(group, draw), *comparisons(group, shown, draw), "Medians of the runs' costs",
            draw(cost_rows(group))]


def overview(rows: pd.DataFrame, names: list[str], category: str, metrics: Iterable[str]) -> list[list[str]]:
    texts, metrics = cell_texts(rows), list(metrics)
    return [["method", *(METRIC_NAMES[m] for m in metrics)],
            *([name, *(texts.get((name, category, m), "-") for m in metrics)] for name in names)]


def by_category(rows: pd.DataFrame, names: list[str], categories: list[str], metric: str) -> list[list[str]]:
    texts = cell_texts(rows)
    return [["category", *names], *([c, *(texts.get((name, c, metric), "-") for name in names)] for c in categories)]


def cell_texts(rows: pd.DataFrame) -> dict[tuple[str, str, str], str]:
    """What is printed of each row of `cells`: "0.862 ± 0.007", or "5 of 6" categories."""
    usual, texts = rows["n"].max(), {}
    for row in rows.itertuples():
        number = f"{row.mean:.3f} ± {row.std:.3f}" if row.n > 1 else f"{row.mean:.3f}"
        number += f" ({row.n})" if row.n != usual else ""
        texts[row.variant, row.category, row.metric] = number if row.n else f"{row.found} of {row.of}"
    return texts


def paper_sections(group: pd.DataFrame, draw: Callable[[list[list[str]]], str]) -> list[str]:
    """Per variant the published numbers, and ours minus them."""
    if not group["dataset"].iloc[0].startswith("mvtec"):
        return []
    rows, order, parts = beside_published(group), [*kinds(group)["all"], "all"], []
    for variant in [name for name in variants(group) if name in set(rows["variant"])]:
        found = rows[rows["variant"] == variant]
        sources = ", ".join(dict.fromkeys(found["paper"] + " " + found["table"]))
        parts += [f"{variant}: published, and (ours minus that); tables {sources}", draw(paper_rows(found, order)),
                  caveats(found)]
    return parts


def paper_rows(found: pd.DataFrame, order: list[str]) -> list[list[str]]:
    texts = {(r.category, r.metric): f"{r.published:.3f} ({r.points:+.1f})" for r in found.itertuples()}
    metrics = [metric for metric in METRICS if metric in set(found["metric"])]
    categories = [category for category in order if category in set(found["category"])]
    return [["category", *(METRIC_NAMES[m] for m in metrics)],
            *([c, *(texts.get((c, m), "-") for m in metrics)] for c in categories)]


def caveats(found: pd.DataFrame) -> str:
    """Each caveat once, after the metrics that it is about."""
    lines = found[found["caveat"] != ""].groupby("caveat", sort=False)["metric"].unique()
    return "\n".join(f"{', '.join(METRIC_NAMES[m] for m in metrics)}: {text}" for text, metrics in lines.items())


def comparisons(group: pd.DataFrame, metrics: list[str], draw: Callable[[list[list[str]]], str]) -> list[str]:
    """Per metric how far one of two variants is ahead, with both intervals."""
    pairs = sensible_pairs(group)
    seeds = by_seed(group)
    found = {metric: [] for metric in metrics}
    for (a, b), metric in product(pairs, metrics):
        found[metric].append(compare(seeds, a, b, metric, resamples=10_000, seed=0))
    reasons = dict.fromkeys(c.why for cs in found.values() for c in cs if c.why)
    if not any(c.ci_fixed_categories for cs in found.values() for c in cs):
        return [f"No interval of the differences: {reason}." for reason in list(reasons)[:1]]
    parts = ["Differences with 95 % intervals from a paired bootstrap: on these categories with other seeds, and on\n"
             "other categories like these too. * excludes 0, as one in twenty does by chance."]
    for metric, cs in found.items():
        rows = [[f"{c.a} - {c.b}", f"{in_points(c.difference):+.1f}", bounds(c.ci_fixed_categories), bounds(c.ci_random_categories),
                 f"{c.ahead} of {c.categories}"] for c in cs if c.pairs]
        parts += [METRIC_NAMES[metric], draw([["a - b", "difference", "these", "like these", "a ahead in"], *rows])]
    return [*parts, "\n".join(f"No interval: {reason}." for reason in reasons)]


def bounds(interval: tuple[float, float] | None) -> str:
    if interval is None:
        return "-"
    low, high = map(in_points, interval)
    return f"[{low:+.1f}, {high:+.1f}]" + ("*" if low > 0 or high < 0 else " ")


def cost_rows(group: pd.DataFrame) -> list[list[str]]:
    rows = costs(group)
    return [["method", "runs", *(f"{name} s" for name in SECONDS), "total s", "memory MB"],
            *([row.Index, str(row.runs), *(decimals(getattr(row, name), 1) for name in [*PARTS, "seconds"]),
               decimals(row.peak_memory_mb, 0)] for row in rows.itertuples())]


def aligned(rows: list[list[str]]) -> str:
    """Columns side by side, in blocks no wider than a terminal, each with the first column."""
    widths = [max(map(len, column)) + 2 * (i > 0) for i, column in enumerate(zip(*rows, strict=True))]
    blocks, room = [[]], 0
    for i, width in enumerate(widths[1:], 1):
        if blocks[-1] and width > room:
            blocks.append([])
        room = (room if blocks[-1] else WIDTH - widths[0]) - width
        blocks[-1].append(i)
    return "\n\n".join("\n".join((row[0].ljust(widths[0]) + "".join(row[i].rjust(widths[i]) for i in block)).rstrip()
                                  for row in rows) for block in blocks)


def piped(rows: list[list[str]]) -> str:
    """A Markdown table."""
    return "\n".join(f"| {' | '.join(row)} |" for row in [rows[0], ["---"] * len(rows[0]), *rows[1:]]
                     ).replace("| --- ", "|---").replace("|--- |", "|---|")


def short(value: object) -> str:
    text = f"{value:g}" if isinstance(value, float) else str(value)
    return text if len(text) <= 40 else text[:37] + "..."


def decimals(value: float, digits: int) -> str:
    return "-" if np.isnan(value) else f"{value:.{digits}f}"

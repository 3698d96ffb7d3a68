"""The ledger as text: tables, intervals, costs, and what to beware of."""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable
from pathlib import Path

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
    to_csv,
    variants,
)
from adlib.settings import METRIC_NAMES, METRICS, printable

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
    rounding = "rounding differs, which can move a run as much as another seed does, and times differ"
    effects = {"threads": rounding, "cpu": rounding, "precision": "rounding and times differ",
               "device": "times do not compare", "texture_source": "not the same textures to train on"}
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
    found = []
    for variant in variants(group):
        runs = group[group["variant"] == variant]
        there = pd.crosstab(runs["category"], runs["seed"]).reindex(
            index=sorted(set(group["category"])), columns=sorted(set(group["seed"])), fill_value=0) > 0
        lacks = defaultdict(list)       # the same seeds: these categories
        for category, seeds in there.iterrows():
            lacks[tuple(seeds.index[~seeds])].append(category)
        texts = [describe_gap(seeds, names, there.shape) for seeds, names in lacks.items() if seeds]
        if texts:
            found.append(f"{variant} lacks {(~there).sum(axis=None)} of {there.size} runs: {'; '.join(texts)}.")
    return found


def describe_gap(seeds: tuple[int, ...], categories: list[str], shape: tuple[int, int]) -> str:
    """Seeds that are missing in some categories, of a table of (categories, seeds)."""
    where = "every category" if len(categories) == shape[0] else ", ".join(categories)
    return where if len(seeds) == shape[1] else f"seed {', '.join(map(str, seeds))} of {where}"


def undefined(group: pd.DataFrame) -> list[str]:
    gaps = group[[*METRICS]].isna().sum()
    return [f"{', '.join(METRIC_NAMES[name] for name in gaps.index[gaps == n])}: undefined in {n} of "
            f"{count(len(group), 'run')}, for want of masks, of good or of defective images; these count as missing."
            for n in sorted(set(gaps) - {0})]


def repeated(group: pd.DataFrame) -> list[str]:
    n = group.duplicated(["variant", "category", "seed"]).sum()
    note = f"{count(n, 'run')} of a variant, category and seed that have one already: they count as one, their mean."
    return [note] if n else []


def other_images(group: pd.DataFrame) -> list[str]:
    """Categories of one name whose images are not the same: by their digest, in old entries by their numbers."""
    found = []
    for category, runs in group.groupby("category"):
        sizes = runs.loc[runs["images"] == "", ["n_train", "n_test"]].dropna().drop_duplicates()
        if len(sizes) > 1 or len(set(runs["images"]) - {""}) > 1:
            found.append(f"{category} had other images in some runs than in others; these are not told apart here.")
    return found


def ledger_report(out_dir: str | Path = "runs", format: str = "table", *, only: dict[str, str] | None = None) -> str:
    """The ledger below a folder as text.

    Parameters
    ----------
    out_dir : path
    only : dict, optional
        Leave out runs that differ from this, as for `tables.select_runs`.
    format : "table", "csv" or "markdown"
        "csv" is `tables.tidy`, only its header if there are no runs.

    Raises
    ------
    ValueError
        The format is another.
    """
    if format not in FORMATS:
        raise ValueError(f"format={format!r} is unknown; choose one of {', '.join(FORMATS)}")
    runs = select_runs(frame(read_runs(out_dir)), only or {})
    if format == "csv":
        return to_csv(tidy(runs), float_format="%.6f")
    runs = runs.assign(**{name: runs[name].map(printable) for name in ("dataset", "category", "setting", "variant",
                                                                       "weights")})
    failed = len(list(find_output(out_dir).glob("*/*/*/*/failed.json")))
    retry = f"{count(failed, 'run')} failed; their failed.json says why, their command retries." if failed else ""
    if runs.empty:
        return f"no complete runs below {find_output(out_dir)} yet; this makes some:\n\n    {FILL}\n{retry}".rstrip()
    parts = [f"{count(len(runs), 'run')}. All numbers lie in [0, 1], differences are in percentage points.\n"
             f"± is the standard deviation over seeds; (n) says of how many, where others in the table have more.",
             *other_groups(runs), retry]
    for group in groups(runs):
        head = f"## {title(group)}" if format == "markdown" else f"== {title(group)} =="
        parts += [head, *sections(group, piped if format == "markdown" else aligned),
                  "\n".join(f"- {note}" for note in group_notes(group))]
    return "\n\n".join(filter(None, parts))


def markdown_table(frame: pd.DataFrame, metrics: Iterable[str] = METRICS) -> str:
    """Variants x metrics: mean over all categories ± standard deviation over seeds of that mean, as in the README."""
    return piped(overview(summarize(frame), variants(frame), "all", metrics))


def sections(group: pd.DataFrame, draw: Callable[[pd.DataFrame], str]) -> list[str]:
    """The tables of a group, each below what it shows."""
    rows, names, known = summarize(group), variants(group), kinds(group)
    present = [name for name in known["all"] if name in set(group["category"])]
    shown = [m for m in METRICS if group[m].notna().any()]
    seeds = count(max(rows["n"], default=0), "seed")
    if len(present) == 1:
        parts = [f"{present[0]}, {seeds}", draw(overview(rows, names, present[0], METRICS))]
    else:
        parts = [f"Means over {len(known['all'])} categories, {seeds}", draw(overview(rows, names, "all", METRICS))]
        for metric in shown:
            parts += [METRIC_NAMES[metric], draw(by_category(rows, names, [*present, *known], metric))]
    return [*parts, *paper_sections(group, draw), *comparisons(group, shown, draw), "Medians of the runs' costs",
            draw(cost_table(group))]


# Tables of texts


def overview(rows: pd.DataFrame, names: list[str], category: str, metrics: Iterable[str]) -> pd.DataFrame:
    """Variants x metrics of a category, or of a mean over several, from `summarize`."""
    texts = with_texts(rows).query("category == @category")
    wide = pivot_texts(texts, "variant", "metric")
    wide = wide.reindex(index=names, columns=list(metrics), fill_value="-").fillna("-")
    return wide.rename(columns=METRIC_NAMES).rename_axis(columns="method", index=None)


def by_category(rows: pd.DataFrame, names: list[str], categories: list[str], metric: str) -> pd.DataFrame:
    texts = with_texts(rows).query("metric == @metric")
    wide = pivot_texts(texts, "category", "variant")
    wide = wide.reindex(index=categories, columns=names, fill_value="-").fillna("-")
    return wide.rename_axis(columns="category", index=None)


def pivot_texts(rows: pd.DataFrame, index: str, columns: str) -> pd.DataFrame:
    return rows.pivot_table("text", index, columns, aggfunc="last").astype(object)      # a category may be called "all"


def with_texts(rows: pd.DataFrame) -> pd.DataFrame:
    """Rows of `summarize` with a `text` of each: "0.862 ± 0.007", or "5 of 6" categories."""
    usual = rows["n"].max()

    def text(row) -> str:
        if row.n == 0:
            return f"{row.found} of {row.of}"
        spread = f" ± {row.std:.3f}" if row.n > 1 else ""
        return f"{row.mean:.3f}{spread}" if row.n == usual else f"{row.mean:.3f}{spread} ({row.n})"

    return rows.assign(text=[text(row) for row in rows.itertuples()])


def paper_sections(group: pd.DataFrame, draw: Callable[[pd.DataFrame], str]) -> list[str]:
    """Per variant the published numbers, and ours minus them."""
    if not group["dataset"].iloc[0].startswith("mvtec"):
        return []
    rows, order, parts = beside_published(group), [*kinds(group)["all"], "all"], []
    for variant in [name for name in variants(group) if name in set(rows["variant"])]:
        found = rows[rows["variant"] == variant]
        sources = ", ".join(dict.fromkeys(found["paper"] + " " + found["table"]))
        parts += [f"{variant}: published, and (ours minus that); tables {sources}", draw(paper_numbers(found, order)),
                  caveats(found)]
    return parts


def paper_numbers(found: pd.DataFrame, order: list[str]) -> pd.DataFrame:
    texts = found.assign(text=[f"{r.published:.3f} ({r.points:+.1f})" for r in found.itertuples()])
    wide = pivot_texts(texts, "category", "metric").fillna("-").rename_axis(index=None, columns="category")
    categories = [category for category in order if category in wide.index]
    return wide.loc[categories, [m for m in METRICS if m in wide]].rename(columns=METRIC_NAMES)


def caveats(found: pd.DataFrame) -> str:
    """Each caveat once, after the metrics that it is about."""
    lines = found[found["caveat"] != ""].groupby("caveat", sort=False)["metric"].unique()
    return "\n".join(f"{', '.join(METRIC_NAMES[m] for m in metrics)}: {text}" for text, metrics in lines.items())


def comparisons(group: pd.DataFrame, metrics: list[str], draw: Callable[[pd.DataFrame], str]) -> list[str]:
    """Per metric how far one of two variants is ahead, with both intervals."""
    pairs, seeds = sensible_pairs(group), by_seed(group)
    found = {metric: [compare(seeds, a, b, metric, resamples=10_000, seed=0) for a, b in pairs] for metric in metrics}
    reasons = dict.fromkeys(c.why for cs in found.values() for c in cs if c.why)
    if not any(c.ci_fixed_categories for cs in found.values() for c in cs):
        return [f"No interval of the differences: {reason}." for reason in list(reasons)[:1]]
    parts = ["Differences with 95 % intervals from a paired bootstrap: on these categories with other seeds, and on\n"
             "other categories like these too. * excludes 0, as one in twenty does by chance."]
    for metric, cs in found.items():
        rows = {f"{c.a} - {c.b}": [
            f"{in_points(c.difference):+.1f}", bounds(c.ci_fixed_categories), bounds(c.ci_random_categories),
            f"{c.ahead} of {c.categories}"] for c in cs if c.pairs}
        columns = pd.Index(["difference", "these", "like these", "a ahead in"], name="a - b")
        parts += [METRIC_NAMES[metric], draw(pd.DataFrame.from_dict(rows, orient="index", columns=columns))]
    return [*parts, "\n".join(f"No interval: {reason}." for reason in reasons)]


def bounds(interval: tuple[float, float] | None) -> str:
    if interval is None:
        return "-"
    low, high = map(in_points, interval)
    return f"[{low:+.1f}, {high:+.1f}]" + ("*" if low > 0 or high < 0 else " ")


def cost_table(group: pd.DataFrame) -> pd.DataFrame:
    found = costs(group)
    digits = {"runs": 0, **dict.fromkeys([*PARTS, "seconds"], 1), "peak_memory_mb": 0}
    texts = {name: ["-" if pd.isna(x) else f"{x:.{n}f}" for x in found[name]] for name, n in digits.items()}
    columns = ["runs", *(f"{name} s" for name in SECONDS), "total s", "memory MB"]
    return pd.DataFrame(texts, index=found.index.rename(None)).set_axis(pd.Index(columns, name="method"), axis=1)


# As text: the columns' name heads the first column


def aligned(table: pd.DataFrame) -> str:
    """Columns side by side, in blocks no wider than a terminal, each with the first column."""
    widths = [max(map(len, (name, *table[name]))) + 1 for name in table]        # pandas itself leaves one blank only
    n = len(widths)
    while n > 1 and max(map(len, (table.columns.name, *table.index))) + sum(widths[:n]) + n > WIDTH:
        n -= 1
    block = table.iloc[:, :n].to_string(col_space=widths[:n])
    return block if n == len(widths) else f"{block}\n\n{aligned(table.iloc[:, n:])}"


def piped(table: pd.DataFrame) -> str:
    """A Markdown table."""
    return as_table([table.columns.name, *table.columns],
                    ([name, *row] for name, row in zip(table.index, table.to_numpy(), strict=True)))


def as_table(head: Iterable[str], rows: Iterable[Iterable[str]], *, right: Collection[str] = ()) -> str:
    """A Markdown table; the columns named in `right` are aligned to the right."""
    head = [*head]
    rules = "".join("|---:" if name in right else "|---" for name in head) + "|"
    first, *others = ("| " + " | ".join(text.replace("|", "\\|") for text in row) + " |" for row in (head, *rows))
    return "\n".join([first, rules, *others])


def short(value: object) -> str:
    text = f"{value:g}" if isinstance(value, float) else str(value)
    return text if len(text) <= 40 else text[:37] + "..."

"""The ledger as tables: what can be compared, how surely one method is ahead, and the papers' numbers beside ours.

Numbers lie in [0, 1] throughout; differences are printed in percentage points. Imports no torch.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations, product
from math import isnan, nan
from pathlib import Path
from statistics import fmean, stdev

import numpy as np
import pandas as pd

from adlib import find_input, find_output
from adlib.files import METRICS, NAMES, PROTOCOL, SECONDS, read_runs, write
from adlib.published import IMAGE_SIZE, OWN_PAPER, from_percent, read_published
from adlib.runs import LESSON_OF, lesson_parameters

TEXTURES = {"mvtec": ("carpet", "grid", "leather", "tile", "wood"), "demo": ("brick", "grass", "gravel")}
OBJECTS = {"mvtec": ("bottle", "cable", "capsule", "hazelnut", "metal_nut", "pill", "screw", "toothbrush",
                     "transistor", "zipper"), "demo": ("blister", "circuit", "hex_nut")}
GROUP = ["dataset", "budget", "backbone", "weights", "image_size", "protocol"]      # runs that agree are comparable
IDENTITY = ["method", "dataset", "category", "seed", "budget", "backbone", "image_size"]
PARTS = [f"{name}_seconds" for name in SECONDS]
COLUMNS = [*IDENTITY, "weights", "precision", "threads", "device", "n_train", "n_test", *METRICS, "seconds", *PARTS,
           "peak_memory_mb", "protocol", "texture_source", "setting", "variant", "run"]
EXTRACT = [*IDENTITY, "weights", "setting", *METRICS, *PARTS, "threads", "peak_memory_mb", "run"]
# Parameters that are no setting: they name the run, or stand in a column of their own.
NO_SETTING = {"category", "seed", "data_root", "out_dir", "device", "budget", "backbone", "image_size", "weights",
              "precision", "method"}
FILL = ("python -m adlib sweep --methods nearest,stfpm,destseg,rd4ad,masked_rd --data-root data/demo "
        "--categories all --seeds 0,1,2 --budget demo")
FEWEST = 3          # seeds, or categories, that an interval is drawn from
WIDTH = 100         # of a terminal
FORMATS = ("table", "csv", "markdown")
# The papers quote RD4AD without a backbone; table 6 of the masked RD paper repeats the row as its own WRN50-2 baseline.
QUOTED_BACKBONE = {"rd4ad": "wide_resnet50_2"}


# Runs as rows


def frame(entries: Iterable[dict]) -> pd.DataFrame:
    """One row a run, from `files.read_runs`.

    Returns
    -------
    DataFrame
        `COLUMNS`: those of an entry; `seconds`, the sum of its parts; `protocol`, what differs from the house's, empty
        if nothing does; `setting`, likewise the lesson's parameters ("levels=[2]"); `variant`, method and setting.
    """
    entries = list(entries)
    methods = {entry["method"] for entry in entries} & {*LESSON_OF}
    defaults = {method: lesson_parameters(LESSON_OF[method]) for method in methods}
    return complete(pd.DataFrame([row_of(entry, defaults.get(entry["method"], {})) for entry in entries]))


def read_extract(path: str | Path) -> pd.DataFrame:
    """The same rows from an extract of a ledger; what it lacks counts as the default."""
    return complete(pd.read_csv(find_input(path), dtype={"category": str}, keep_default_na=False,
                                na_values=dict.fromkeys((*METRICS, *PARTS, "threads", "peak_memory_mb"), "")))


def write_extract(frame: pd.DataFrame, path: str | Path) -> Path:
    """The rows as a small table (CSV) to commit: the same runs give the same bytes, whatever their order."""
    digits = dict.fromkeys(METRICS, 6) | dict.fromkeys(PARTS, 1) | {"threads": 0, "peak_memory_mb": 0}
    rows = frame.sort_values([*IDENTITY, "weights", "setting", "run"])[EXTRACT]
    texts = rows.assign(**{name: ["" if isnan(x) else f"{x:.{n}f}" for x in rows[name]] for name, n in digits.items()})
    path = find_output(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    return write(path, lambda file: file.write(texts.to_csv(index=False, lineterminator="\n").encode()))


def complete(rows: pd.DataFrame) -> pd.DataFrame:
    """Add the columns that can be derived, and those that are not there."""
    rows = rows.assign(**{name: "auto" if name == "weights" else "" for name in
                          ("weights", "precision", "device", "protocol", "texture_source", "setting", "run")
                          if name not in rows})
    rows = rows.reindex(columns=[name for name in COLUMNS if name not in ("seconds", "variant")])
    numbers = [*METRICS, *PARTS, "threads", "peak_memory_mb", "n_train", "n_test"]
    rows = rows.astype(dict.fromkeys(("method", "dataset", "setting"), str) | dict.fromkeys(numbers, float))
    return rows.assign(seconds=rows[PARTS].sum(axis=1, min_count=len(PARTS)),
                       variant=(rows["method"] + " " + rows["setting"]).str.strip())[COLUMNS]


def row_of(entry: dict, defaults: dict) -> dict:
    given, protocol = entry["parameters"], PROTOCOL | (entry.get("protocol") or {})
    fields = ("precision", "threads", "device", "n_train", "n_test", "peak_memory_mb")
    return {
        **{name: entry[name] for name in IDENTITY}, **{name: entry.get(name) for name in fields},
        "weights": given.get("weights", "auto"), **{name: entry["metrics"].get(name) for name in METRICS},
        **{f"{name}_seconds": (entry.get("seconds") or {}).get(name) for name in SECONDS},
        "protocol": deviations(protocol, PROTOCOL, {"texture_source"}),     # that says what a method trained on
        "texture_source": protocol["texture_source"] or "", "setting": deviations(given, defaults, NO_SETTING),
        "run": Path(entry.get("folder", "")).name,
    }


def deviations(given: dict, defaults: dict, apart: set[str]) -> str:
    return ", ".join(f"{name}={given[name]}" for name, default in defaults.items()
                     if name not in apart and given.get(name, default) != default)


def select(frame: pd.DataFrame, only: dict[str, str]) -> pd.DataFrame:
    """The runs that have these values, as texts, in these columns: {"setting": ""} are those with all defaults.

    Raises
    ------
    ValueError
        There is no such column.
    """
    for name, value in only.items():
        if name not in COLUMNS:
            raise ValueError(f"runs have no {name!r}; there are {', '.join(COLUMNS)}")
        frame = frame[frame[name].astype(str) == str(value)]
    return frame


def groups(frame: pd.DataFrame) -> list[pd.DataFrame]:
    """Runs that can be compared with each other: those that agree in `GROUP`."""
    return [group for _, group in frame.groupby(GROUP, dropna=False)]


def only_group(frame: pd.DataFrame) -> pd.DataFrame:
    """The rows, if they can be compared."""
    if differ := listed(frame, GROUP):
        raise ValueError(f"these runs cannot be compared, they differ in {differ}; take one of `results.groups`")
    return frame


def title(group: pd.DataFrame) -> str:
    """What the runs of a group have in common."""
    run = group.iloc[0]
    return ", ".join([run["dataset"], f"budget {run['budget']}", f"{run['backbone']} at {run['image_size']} px",
                      *[f"weights {run['weights']}"] * (run["weights"] != "auto"), *filter(None, [run["protocol"]])])


def variants(frame: pd.DataFrame) -> list[str]:
    """The rows of a group's tables: methods in the lessons' order, each before its other settings."""
    order = {method: i for i, method in enumerate(LESSON_OF)}
    rows = set(zip(frame["method"], frame["setting"], frame["variant"], strict=True))
    return [v for *_, v in sorted((order.get(m, len(order)), m, setting, v) for m, setting, v in rows)]


def by_seed(group: pd.DataFrame) -> dict[tuple[str, str, str], dict[int, float]]:
    """What each seed gave, of each variant, category and metric that is there: the mean where a seed has several runs.

    A plain dict: with pandas, a ledger of many small groups would take a minute.
    """
    values = defaultdict(lambda: defaultdict(list))
    rows = only_group(group)[["variant", "category", "seed", *METRICS]].itertuples(index=False, name=None)
    for variant, category, seed, *numbers in rows:
        for metric, number in zip(METRICS, numbers, strict=True):
            if not isnan(number):
                values[variant, category, metric][seed].append(number)
    return {key: {seed: fmean(x) for seed, x in sorted(seeds.items())} for key, seeds in values.items()}


# Categories and their means


def kinds(group: pd.DataFrame) -> dict[str, tuple[str, ...]]:
    """Which categories "textures", "objects" and "all" mean; only "all", those that are there, in unknown data sets."""
    dataset, there = group["dataset"].iloc[0], set(group["category"])
    for name, textures in TEXTURES.items():
        if dataset.startswith(name) and there <= {*textures, *OBJECTS[name]}:
            return {"textures": textures, "objects": OBJECTS[name], "all": textures + OBJECTS[name]}
    return {"all": tuple(sorted(there))}


def cells(group: pd.DataFrame) -> pd.DataFrame:
    """Mean and spread of each variant, category and metric, and over categories.

    A mean over categories is taken seed by seed, over the seeds that have every category; its spread is that of those
    means, so what a seed does to all categories alike is in it. Runs that only differ in what is no setting (precision,
    for instance) count as one, their mean.

    Returns
    -------
    DataFrame
        `variant, category, metric`; `mean, std` (NaN for one seed) and `n`, the number of seeds; `found, of`: how many
        categories the fullest seed has, and how many there are. `mean` is NaN where these differ. `category` is
        "textures", "objects" or "all" in the rows over categories.
    """
    seeds, rows = by_seed(group), []
    for key, values in seeds.items():
        rows.append([*key, *spread(values.values()), 1, 1])
    for (name, members), variant, metric in product(kinds(group).items(), variants(group), METRICS):
        parts = [seeds[key] for key in product([variant], members, [metric]) if key in seeds]
        found = Counter(seed for part in parts for seed in part)
        means = [fmean(part[seed] for part in parts) for seed, n in found.items() if n == len(members)]
        if found:
            rows.append([variant, name, metric, *spread(means), max(found.values()), len(members)])
    types = {"mean": float, "std": float, "n": int, "found": int, "of": int}        # also where there are no rows
    return pd.DataFrame(rows, columns=["variant", "category", "metric", *types]).astype(types)


def spread(values: Iterable[float]) -> tuple[float, float, int]:
    """Mean, standard deviation and number."""
    values = list(values)
    return fmean(values) if values else nan, stdev(values) if len(values) > 1 else nan, len(values)


def table(group: pd.DataFrame, metric: str) -> pd.DataFrame:
    """Variants x categories, textures first, then the means over categories.

    Returns
    -------
    DataFrame
        `table["mean"]`, `["std"]`, `["n"]`, `["found"]` and `["of"]` are tables of that statistic, as in `cells`.
    """
    rows, known = cells(group), kinds(group)
    rows = rows[rows["metric"] == metric]
    wide = rows.pivot(index="variant", columns="category", values=["mean", "std", "n", "found", "of"])
    order = [name for name in (*known["all"], *known) if name in set(rows["category"])]
    return wide.reindex(index=variants(group)).reindex(columns=order, level="category")


# Beside the papers


def beside_published(frame: pd.DataFrame) -> pd.DataFrame:
    """Our means on MVTec AD beside the papers', where category, metric and method are the same.

    Of several published numbers the one with our backbone is taken, else the one of the method's own paper.

    Returns
    -------
    DataFrame
        `variant, method, category, metric` ("all" is the papers' mean); `ours, std, n, published, spread`, in [0, 1];
        `points`, ours minus the paper's in percentage points; `backbone, image_size` of ours and `paper, table,
        paper_backbone, paper_image_size` of theirs; `caveat`: empty, or "not comparable: ..." and the reasons.
    """
    rows = tidy(frame[frame["dataset"].str.startswith("mvtec")]).dropna(subset="mean")
    theirs = read_published().query("dataset == 'mvtec'").replace({"category": {"mean": "all"}})
    rows = rows.merge(theirs.drop(columns=["dataset", "printed", "note"]), on=["method", "category", "metric"],
                      suffixes=("", "_there"))
    quoted = rows["method"].map(QUOTED_BACKBONE).fillna("")
    rows = rows.assign(paper_backbone=rows["backbone_there"].where(rows["backbone_there"] != "", quoted),
                       paper_image_size=IMAGE_SIZE, ours=rows["mean"], published=from_percent(rows["value"]),
                       spread=from_percent(rows["spread"]))
    rows = rows.assign(other=rows["paper_backbone"] != rows["backbone"],
                       quoted=rows["paper"] != rows["method"].map(OWN_PAPER))
    rows = rows.sort_values(["other", "quoted"], kind="stable")
    rows = rows.drop_duplicates([*GROUP, "variant", "category", "metric"]).sort_index()
    rows = rows.assign(points=in_points(rows["ours"] - rows["published"]),
                       caveat=[caveat(row) for row in rows.to_dict("records")])
    return rows[["variant", "method", "category", "metric", "ours", "std", "n", "published", "spread", "points",
                 "backbone", "image_size", "paper", "table", "paper_backbone", "paper_image_size", "caveat"]
                ].reset_index(drop=True)


def caveat(row: dict) -> str:
    """Why a number of ours and a published one do not measure the same thing; empty if they do."""
    theirs = row["paper_backbone"] or "a backbone that is not stated"
    settings = [s for s in row["setting"].split(", ") if s and not s.startswith("texture_source=")]
    reasons = [
        (f"{row['backbone']} here, {theirs} there", row["paper_backbone"] != row["backbone"]),
        (f"{row['image_size']} px here, {IMAGE_SIZE} px there", row["image_size"] != IMAGE_SIZE),
        (f"weights {row['weights']} here", row["weights"] != "auto"),
        (f"budget {row['budget']} here", row["budget"] != "paper"),
        (f"{', '.join(settings)} here", settings), (f"{row['protocol']} here", row["protocol"]),
        ("the papers' own PRO codes there (lesson 00)", row["metric"] == "pro"),
    ]
    found = [text for text, holds in reasons if holds]
    return f"not comparable: {'; '.join(found)}" if found else ""


def in_points(difference):
    """A difference on our scale in percentage points."""
    return 100 * difference


# How surely one is ahead


@dataclass(frozen=True)
class Comparison:
    """What `paired_bootstrap` finds; differences on the scale of the metric, [0, 1]."""

    a: str
    b: str
    metric: str
    difference: float                           # mean over categories of a - b
    these: tuple[float, float] | None           # 95 % interval: these categories, other seeds
    like_these: tuple[float, float] | None      # 95 % interval: other categories of this kind, other seeds
    pairs: int
    categories: int
    seeds: int                                  # that both have, in the category with the fewest
    ahead: int                                  # categories in which a is better on average
    why: str                                    # an interval is missing; empty if none is


def paired_bootstrap(frame: pd.DataFrame, a: str, b: str, metric: str, *, resamples: int = 10_000,
                     seed: int = 0) -> Comparison:
    """By how much variant `a` is ahead of `b`, and how surely, on the category x seed pairs that both have.

    Two intervals answer two questions. `these` keeps the categories and resamples the seeds within each: is a better
    *on these categories*, whatever the seed? `like_these` resamples categories, then seeds within each: would a be
    better on *other categories of this kind*? That takes the categories for a random draw of such a kind, which those
    of a benchmark are not, and six are few. Seeds count as independent runs. Neither interval knows of other test
    images: all runs of a category share them, so a difference that a handful of images makes looks as sure as any.

    Each level draws one fewer than there are, with replacement (McCarthy and Snowden 1985): as many as there are would
    give (n - 1) / n of the variance, two thirds of it with three seeds. With normal noise, six categories and three
    seeds, `these` then holds the truth in about 0.92 of all cases (else 0.87), `like_these` in 0.91 where categories
    differ much and in 0.99 where they do not, since the seeds' noise is also in the differences between categories.

    Parameters
    ----------
    frame : DataFrame
        Runs that can be compared: one of `groups`.
    a, b : str
        Of its column `variant`.
    metric : str
    resamples, seed : int
        Of the bootstrap.

    Returns
    -------
    Comparison
        An interval is None where there are fewer than three seeds (in any category), or categories; `why` says so.

    Raises
    ------
    ValueError
        The runs are of several groups, or there is no such variant.
    """
    return wins(frame, metric, pairs=[(a, b)], resamples=resamples, seed=seed)[0]


def wins(frame: pd.DataFrame, metric: str, *, pairs: list[tuple[str, str]] | None = None, resamples: int = 10_000,
         seed: int = 0) -> list[Comparison]:
    """`paired_bootstrap` of all pairs of variants, or of the given ones; `pandas.DataFrame` makes a table of it."""
    seeds = by_seed(frame)
    pairs = list(combinations(variants(frame), 2) if pairs is None else pairs)
    missing = {name for pair in pairs for name in pair} - set(frame["variant"])
    if missing:
        raise ValueError(f"there are no runs of {', '.join(sorted(missing))} here; there are "
                         f"{', '.join(variants(frame))}")
    return [compare(seeds, a, b, metric, resamples=resamples, seed=seed) for a, b in pairs]


def compare(seeds: dict, a: str, b: str, metric: str, **options) -> Comparison:
    """As `paired_bootstrap`, from `by_seed`; options as in `resampled`."""
    both = {category: (seeds[a, category, metric], seeds[b, category, metric]) for variant, category, m in sorted(seeds)
            if (variant, m) == (a, metric) and (b, category, metric) in seeds}
    differences = {category: [x[seed] - y[seed] for seed in x if seed in y] for category, (x, y) in both.items()}
    differences = {category: values for category, values in differences.items() if values}
    sizes, means = tuple(map(len, differences.values())), [fmean(values) for values in differences.values()]
    why, flat, these, like_these = too_few(differences), np.concatenate([*differences.values(), []]), None, None
    if min(sizes, default=0) >= FEWEST:
        these = interval(flat, resampled(sizes, among_categories=False, **options))
    if not why:
        like_these = interval(flat, resampled(sizes, among_categories=True, **options))
    return Comparison(a, b, metric, fmean(means) if means else nan, these, like_these, len(flat), len(sizes),
                      min(sizes, default=0), sum(mean > 0 for mean in means), why)


def too_few(differences: dict[str, list[float]]) -> str:
    """Why an interval is missing, from the differences of each category."""
    if not differences:
        return "no category and seed that both have"
    fewest = min(differences, key=lambda category: len(differences[category]))
    if len(differences[fewest]) < FEWEST:
        return f"{count(len(differences[fewest]), 'seed')} of {fewest} that both have, and an interval needs {FEWEST}"
    if len(differences) < FEWEST:
        return f"{count(len(differences), 'category')} only, and an interval for others like these needs {FEWEST}"
    return ""


@lru_cache(maxsize=4)       # the metrics of a pair have the same seeds, and so have most pairs: they share the draws
def resampled(seeds: tuple[int, ...], *, among_categories: bool, resamples: int, seed: int) -> np.ndarray:
    """How often each pair is drawn, as weights of a mean; with `among_categories`, categories are drawn first.

    Parameters
    ----------
    seeds : tuple of int
        How many each of C categories has, at least 2; the pairs are in this order.

    Returns
    -------
    (resamples, pairs) float array
        Rows sum to 1.
    """
    generator, c = np.random.default_rng(seed), len(seeds)
    drawn = generator.multinomial(c - 1, [1 / c] * c, resamples) if among_categories else np.ones((resamples, c), int)
    parts = [generator.multinomial(drawn[:, i] * (n - 1), [1 / n] * n) / (n - 1) for i, n in enumerate(seeds)]
    return np.concatenate(parts, axis=1) / drawn.sum(axis=1, keepdims=True)        # (R, n) each -> (R, pairs)


def interval(differences: np.ndarray, weights: np.ndarray) -> tuple[float, float]:
    low, high = np.quantile(weights @ differences, (0.025, 0.975))
    return float(low), float(high)


def sensible_pairs(group: pd.DataFrame) -> list[tuple[str, str]]:
    """Methods with each other, and each other setting with its own method's defaults."""
    method = dict(zip(group["variant"], group["method"], strict=True))
    return [(a, b) for a, b in combinations(variants(group), 2) if a == method[a] and method[b] in (a, b)]


# Cost, and what to beware of


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
    return [f"{', '.join(NAMES[name] for name in gaps.index[gaps == n])}: undefined in {n} of "
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


# Print


def report(out_dir: str | Path = "runs", format: str = "table", *, only: dict[str, str] | None = None) -> str:
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
    runs = select(frame(read_runs(out_dir)), only or {})
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


def tidy(frame: pd.DataFrame) -> pd.DataFrame:
    """`cells` of all groups, in [0, 1], with variant, method, setting and what the group has in common."""
    known = ["variant", "method", "setting"]
    parts = [cells(group).merge(group[[*GROUP, *known]].drop_duplicates(), on="variant") for group in groups(frame)]
    columns = [*GROUP, *known, "category", "metric", "mean", "std", "n", "found", "of"]
    return pd.concat(parts, ignore_index=True)[columns] if parts else pd.DataFrame(columns=columns)


def markdown_table(frame: pd.DataFrame, metrics: Iterable[str] = METRICS) -> str:
    """Variants x metrics: mean over all categories ± standard deviation over seeds of that mean, as in the README."""
    return piped(overview(cells(frame), variants(frame), "all", metrics))


def sections(group: pd.DataFrame, draw: Callable[[list[list[str]]], str]) -> list[str]:
    """The tables of a group, each below what it shows."""
    rows, names, known = cells(group), variants(group), kinds(group)
    present = [name for name in known["all"] if name in set(group["category"])]
    shown = [m for m in METRICS if group[m].notna().any()]
    seeds = count(max(rows["n"], default=0), "seed")
    if len(present) == 1:
        parts = [f"{present[0]}, {seeds}", draw(overview(rows, names, present[0], METRICS))]
    else:
        parts = [f"Means over {len(known['all'])} categories, {seeds}", draw(overview(rows, names, "all", METRICS))]
        parts += [x for m in shown for x in (NAMES[m], draw(by_category(rows, names, [*present, *known], m)))]
    return [*parts, *papers(group, draw), *comparisons(group, shown, draw), "Medians of the runs' costs",
            draw(cost_rows(group))]


def overview(rows: pd.DataFrame, names: list[str], category: str, metrics: Iterable[str]) -> list[list[str]]:
    texts, metrics = cell_texts(rows), list(metrics)
    return [["method", *(NAMES[m] for m in metrics)],
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


def papers(group: pd.DataFrame, draw: Callable[[list[list[str]]], str]) -> list[str]:
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
    return [["category", *(NAMES[m] for m in metrics)],
            *([c, *(texts.get((c, m), "-") for m in metrics)] for c in categories)]


def caveats(found: pd.DataFrame) -> str:
    """Each caveat once, after the metrics that it is about."""
    lines = found[found["caveat"] != ""].groupby("caveat", sort=False)["metric"].unique()
    return "\n".join(f"{', '.join(NAMES[m] for m in metrics)}: {text}" for text, metrics in lines.items())


def comparisons(group: pd.DataFrame, metrics: list[str], draw: Callable[[list[list[str]]], str]) -> list[str]:
    """Per metric how far one of two variants is ahead, with both intervals."""
    pairs = sensible_pairs(group)
    seeds = by_seed(group)
    found = {metric: [] for metric in metrics}
    for (a, b), metric in product(pairs, metrics):
        found[metric].append(compare(seeds, a, b, metric, resamples=10_000, seed=0))
    reasons = dict.fromkeys(c.why for cs in found.values() for c in cs if c.why)
    if not any(c.these for cs in found.values() for c in cs):
        return [f"No interval of the differences: {reason}." for reason in list(reasons)[:1]]
    parts = ["Differences with 95 % intervals from a paired bootstrap: on these categories with other seeds, and on\n"
             "other categories like these too. * excludes 0, as one in twenty does by chance."]
    for metric, cs in found.items():
        rows = [[f"{c.a} - {c.b}", f"{in_points(c.difference):+.1f}", bounds(c.these), bounds(c.like_these),
                 f"{c.ahead} of {c.categories}"] for c in cs if c.pairs]
        parts += [NAMES[metric], draw([["a - b", "difference", "these", "like these", "a ahead in"], *rows])]
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


def listed(frame: pd.DataFrame, columns: Iterable[str]) -> str:
    """The columns that hold several values, and these: "budget (demo, paper)"."""
    values = {name: sorted(set(frame[name])) for name in columns}
    return ", ".join(f"{name} ({', '.join(str(value) or 'the usual one' for value in found)})"
                     for name, found in values.items() if len(found) > 1)


def count(n: int, what: str) -> str:
    plural = f"{what[:-1]}ies" if what.endswith("y") else f"{what}s"
    return f"{n} {what if n == 1 else plural}"


def short(value: object) -> str:
    text = f"{value:g}" if isinstance(value, float) else str(value)
    return text if len(text) <= 40 else text[:37] + "..."


def decimals(value: float, digits: int) -> str:
    return "-" if np.isnan(value) else f"{value:.{digits}f}"

"""The ledger as tables: what can be compared, means and spreads, and the papers' numbers beside ours.

Numbers lie in [0, 1] throughout; differences are printed in percentage points. Imports no torch.
"""

import csv
from collections import Counter, defaultdict
from collections.abc import Iterable
from itertools import product
from math import isnan, nan
from pathlib import Path
from statistics import fmean, stdev

import pandas as pd

from adlib import find_input, find_output
from adlib.runs.execute import LESSON_OF
from adlib.runs.folder import PROTOCOL, SECONDS
from adlib.runs.parameters import lesson_parameters
from adlib.runs.published import OWN_PAPER, PAPER_IMAGE_SIZE, from_percent, read_published
from adlib.settings import METRICS, write

TEXTURES = {"mvtec": ("carpet", "grid", "leather", "tile", "wood"), "demo": ("brick", "grass", "gravel")}
OBJECTS = {"mvtec": ("bottle", "cable", "capsule", "hazelnut", "metal_nut", "pill", "screw", "toothbrush",
                     "transistor", "zipper"), "demo": ("blister", "circuit", "hex_nut")}
GROUP = ["dataset", "budget", "backbone", "weights", "image_size", "protocol"]      # runs that agree are comparable
IDENTITY = ["method", "dataset", "category", "seed", "budget", "backbone", "image_size"]
PARTS = [f"{name}_seconds" for name in SECONDS]
COLUMNS = [*IDENTITY, "weights", "precision", "threads", "cpu", "device", "images", "n_train", "n_test", *METRICS,
           "seconds", *PARTS, "peak_memory_mb", "protocol", "texture_source", "setting", "variant", "run"]
EXTRACT_COLUMNS = [*IDENTITY, "weights", "setting", *METRICS, *PARTS, "threads", "cpu", "peak_memory_mb", "run"]
# Parameters that are no setting: they name the run, or stand in a column of their own.
NO_SETTING = {"category", "seed", "data_root", "out_dir", "device", "budget", "backbone", "image_size", "weights",
              "precision"}
# The papers quote RD4AD without a backbone; table 6 of the masked RD paper repeats the row as its own WRN50-2 baseline.
QUOTED_BACKBONE = {"rd4ad": "wide_resnet50_2"}


def frame(entries: Iterable[dict]) -> pd.DataFrame:
    """One row a run, from `read_runs`.

    Returns
    -------
    DataFrame
        `COLUMNS`: those of an entry; `seconds`, the sum of its parts; `protocol`, what differs from our protocol, empty
        if nothing does; `setting`, likewise the lesson's parameters ("levels=[2]"); `variant`, method and setting.
    """
    entries = list(entries)
    methods = {entry["method"] for entry in entries} & {*LESSON_OF}
    defaults = {method: lesson_parameters(LESSON_OF[method]) for method in methods}
    return fill_columns(pd.DataFrame([row_of(entry, defaults.get(entry["method"], {})) for entry in entries]))


def read_extract(path: str | Path) -> pd.DataFrame:
    """The same rows from an extract of a ledger; what it lacks counts as the default."""
    texts = dict.fromkeys(("dataset", "category", "backbone", "weights", "setting", "cpu", "run"), str)
    return fill_columns(pd.read_csv(find_input(path), dtype=texts, keep_default_na=False,
                                na_values=dict.fromkeys((*METRICS, *PARTS, "threads", "peak_memory_mb"), "")))


def write_extract(frame: pd.DataFrame, path: str | Path) -> Path:
    """The rows as a small table (CSV) to commit: the same runs give the same bytes, whatever their order."""
    digits = dict.fromkeys(METRICS, 6) | dict.fromkeys(PARTS, 1) | {"threads": 0, "peak_memory_mb": 0}
    rows = frame.sort_values([*IDENTITY, "weights", "setting", "run"])[EXTRACT_COLUMNS]
    texts = rows.assign(**{name: ["" if isnan(x) else f"{x:.{n}f}" for x in rows[name]] for name, n in digits.items()})
    path = find_output(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    return write(path, lambda file: file.write(to_csv(texts).encode()))


def to_csv(frame: pd.DataFrame, **options) -> str:
    """CSV; all is quoted where a text holds a carriage return, which pandas leaves bare and reads as a line's end."""
    bare = any("\r" in str(value) for value in frame.to_numpy().flat)
    quoting = csv.QUOTE_ALL if bare else csv.QUOTE_MINIMAL
    return frame.to_csv(index=False, lineterminator="\n", quoting=quoting, **options)


def fill_columns(rows: pd.DataFrame) -> pd.DataFrame:
    """Add the columns that can be derived, and those that are not there."""
    absent = {"weights": "auto"} | dict.fromkeys(("precision", "cpu", "device", "images", "protocol", "texture_source",
                                                  "setting", "run"), "")
    rows = rows.assign(**{name: value for name, value in absent.items() if name not in rows})
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
        "cpu": entry.get("cpu") or "", "images": (entry.get("digests") or {}).get("data") or "",
        "weights": given.get("weights", "auto"),
        **{name: entry["metrics"].get(name) for name in METRICS},
        **{f"{name}_seconds": (entry.get("seconds") or {}).get(name) for name in SECONDS},
        "protocol": deviations(protocol, PROTOCOL, {"texture_source"}),     # that says what a method trained on
        "texture_source": protocol["texture_source"] or "", "setting": deviations(given, defaults, NO_SETTING),
        "run": Path(entry.get("folder", "")).name,
    }


def deviations(given: dict, defaults: dict, apart: set[str]) -> str:
    return ", ".join(f"{name}={given[name]}" for name, default in defaults.items()      # "auto" was an older default
                     if name not in apart and given.get(name, default) not in (default, "auto"))


def select_runs(frame: pd.DataFrame, only: dict[str, str]) -> pd.DataFrame:
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
        raise ValueError(f"these runs cannot be compared, they differ in {differ}; take one of `tables.groups`")
    return frame


def title(group: pd.DataFrame) -> str:
    """What the runs of a group have in common."""
    run = group.iloc[0]
    weights = "" if run["weights"] == "auto" else f"weights {run['weights']}"
    parts = [run["dataset"], f"budget {run['budget']}", f"{run['backbone']} at {run['image_size']} px", weights,
             run["protocol"]]
    return ", ".join(part for part in parts if part)


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


def kinds(group: pd.DataFrame) -> dict[str, tuple[str, ...]]:
    """Which categories "textures", "objects" and "all" mean; only "all", those that are there, in unknown data sets."""
    dataset, there = group["dataset"].iloc[0], set(group["category"])
    for name, textures in TEXTURES.items():
        if dataset.startswith(name) and there <= {*textures, *OBJECTS[name]}:
            return {"textures": textures, "objects": OBJECTS[name], "all": textures + OBJECTS[name]}
    return {"all": tuple(sorted(there))}


def summarize(group: pd.DataFrame) -> pd.DataFrame:
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
        rows.append([*key, *mean_std_n(values.values()), 1, 1])
    for (name, members), variant, metric in product(kinds(group).items(), variants(group), METRICS):
        parts = [seeds[key] for key in product([variant], members, [metric]) if key in seeds]
        found = Counter(seed for part in parts for seed in part)
        means = [fmean(part[seed] for part in parts) for seed, n in found.items() if n == len(members)]
        if found:
            rows.append([variant, name, metric, *mean_std_n(means), max(found.values()), len(members)])
    types = {"mean": float, "std": float, "n": int, "found": int, "of": int}        # also where there are no rows
    return pd.DataFrame(rows, columns=["variant", "category", "metric", *types]).astype(types)


def mean_std_n(values: Iterable[float]) -> tuple[float, float, int]:
    """Mean, standard deviation and number."""
    values = list(values)
    return fmean(values) if values else nan, stdev(values) if len(values) > 1 else nan, len(values)


def table(group: pd.DataFrame, metric: str) -> pd.DataFrame:
    """Variants x categories, textures first, then the means over categories.

    Returns
    -------
    DataFrame
        `table["mean"]`, `["std"]`, `["n"]`, `["found"]` and `["of"]` are tables of that statistic, as in `summarize`.
    """
    rows, known = summarize(group), kinds(group)
    rows = rows[rows["metric"] == metric]
    wide = rows.pivot(index="variant", columns="category", values=["mean", "std", "n", "found", "of"])
    order = [name for name in (*known["all"], *known) if name in set(rows["category"])]
    return wide.reindex(index=variants(group)).reindex(columns=order, level="category")


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
                       paper_image_size=PAPER_IMAGE_SIZE, ours=rows["mean"], published=from_percent(rows["value"]),
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
        (f"{row['image_size']} px here, {PAPER_IMAGE_SIZE} px there", row["image_size"] != PAPER_IMAGE_SIZE),
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


def tidy(frame: pd.DataFrame) -> pd.DataFrame:
    """`summarize` of all groups, in [0, 1], with variant, method, setting and what the group has in common."""
    known = ["variant", "method", "setting"]
    parts = [summarize(group).merge(group[[*GROUP, *known]].drop_duplicates(), on="variant") for group in groups(frame)]
    columns = [*GROUP, *known, "category", "metric", "mean", "std", "n", "found", "of"]
    return pd.concat(parts, ignore_index=True)[columns] if parts else pd.DataFrame(columns=columns)


def listed(frame: pd.DataFrame, columns: Iterable[str]) -> str:
    """The columns that hold several values, and these: "budget (demo, paper)"."""
    values = {name: sorted(set(frame[name])) for name in columns}
    return ", ".join(f"{name} ({', '.join(str(value) or 'the usual one' for value in found)})"
                     for name, found in values.items() if len(found) > 1)


def count(n: int, what: str) -> str:
    plural = f"{what[:-1]}ies" if what.endswith("y") else f"{what}s"
    return f"{n} {what if n == 1 else plural}"

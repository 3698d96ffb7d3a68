"""Lesson 09: which method for whom, and how far the answer carries, from the extracts and the papers' tables."""

from itertools import product
from math import ceil, sqrt

import pandas as pd

from adlib.lessons.ablations import find_grid
from adlib.lessons.failures import MISS, SMALL
from adlib.lessons.paper_comparison import compare_with_paper, select_rows
from adlib.lessons.quotes import as_table, kind_of_categories, link, listing, method_order, percent
from adlib.lessons.quotes.resolution import spell_setting
from adlib.lessons.quotes.results import BASELINE, means_of, regret
from adlib.runs import report, tables
from adlib.settings import METRIC_NAMES

FULL_SET = 160          # training images behind ablations.csv
Z = 1.96                # of a 95 % interval


def say_prices(rows: pd.DataFrame) -> str:
    """What a method needs, the quickest first: seconds to train and to judge the test images, memory."""
    lines = []
    for name in report.costs(rows)["seconds"].sort_values().index:
        own = rows[rows["variant"] == name]
        lines.append([name, *("{:,.0f} ({:,.0f} to {:,.0f})".format(*own[column].quantile([0.5, 0.25, 0.75]))
                              for column in ("train_seconds", "predict_seconds", "peak_memory_mb"))])
    return (f"Medians and quartiles of the reference sweep's runs at {listing_of(rows, 'image_size')} px, one thread "
            f"of a shared processor (its instructions: {listing_of(rows, 'cpu')}):\n\n"
            + as_table(["method", "training, s", "judging, s", "memory, MB"], lines))


def listing_of(rows: pd.DataFrame, column: str) -> str:
    return listing(sorted(set(rows[column].astype(str))))


def say_small_defects(rows: pd.DataFrame, *, cell: float) -> str:
    """Who misses defects for their size, from causes.csv; `cell` is a position of level 1 in pixels of 256."""
    missed = rows[rows["kind"] == MISS]
    every = missed.groupby("method")["failures"].sum()
    small = missed[missed["cause"] == SMALL].groupby("method")["failures"].sum()
    shares = [f"{name} {small.get(name, 0)} of {every[name]}" for name in method_order(every.index)]
    return (f"A position of level 1 is {cell:g} pixels of 256 wide in these runs, and one of level 2 {2 * cell:g}. A "
            "smaller defect only tints a feature, and needs the more contrast (lesson 06, section 7). Misses that the "
            f"rules of lesson 06 put down to size ({link('causes')}): "
            f"{listing(shares)}. Against these a larger `image_size` may help, or tiles: lesson 10 measures where.")


def say_few_images(rows: pd.DataFrame) -> str:
    """Down to which share of the training images STFPM loses nothing that its seeds can show, from ablations.csv."""
    grid = find_grid("stfpm_5")
    found = compare_with_paper(select_rows(rows, grid), grid)
    found = found[(found["metric"] == "image_auroc") & (found["label"] != found["base"]) & found["points"].notna()]
    if not len(found):
        return "There are no runs with fewer images."
    found = found.iloc[found["label"].map(lambda label: -float(label.split()[0])).argsort()]    # most images first
    images = [round(FULL_SET * float(label.split()[0]) / 100) for label in found["label"]]
    parts = [f"{n} images {points:+.1f} ± {margin:.1f}"
             for n, points, margin in zip(images, found["points"], found["margin"], strict=True)]
    lost = [n for n, points, margin in zip(images, found["points"], found["margin"], strict=True) if points < -margin]
    told = f"A loss beyond chance begins at {max(lost)} images." if lost else (
        f"No loss is beyond chance; one of up to {(found['margin'] - found['points']).max():.1f} points could hide in "
        "these runs.")
    return (f"STFPM on *{listing_of(rows, 'category')}* with fewer than {FULL_SET} images, points of image AUROC and "
            f"the margin of chance of lesson 05 ({link('ablations')}): {listing(parts)}. {told} A threshold "
            "needs normal images, too: 19 for a promise of 5 % (lesson 08).")


def auroc_error(auroc: float, normal: float, anomalous: float) -> float:
    """Standard error of an AUROC over draws of the images (Hanley and McNeil 1982)."""
    of_two = {"anomalous": auroc / (2 - auroc), "normal": 2 * auroc**2 / (1 + auroc)}     # both beat, or lose to, one
    variance = auroc * (1 - auroc)
    variance += (anomalous - 1) * (of_two["anomalous"] - auroc**2) + (normal - 1) * (of_two["normal"] - auroc**2)
    return sqrt(variance / (normal * anomalous))


def images_to_settle(points: float, auroc: float, *, correlation: float) -> int:
    """How many images of each kind make the 95 % interval of a difference of two AUROCs as narrow as ± so many points.

    `correlation` is that of the two methods' errors, which judge the same images.
    """
    def half_width(n: int) -> float:
        return Z * auroc_error(auroc, n, n) * sqrt(2 * (1 - correlation))

    low, high = 2, 2
    while tables.in_points(half_width(high)) > points:
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if tables.in_points(half_width(middle)) <= points else (middle, high)
    return high


def say_test_images(rows: pd.DataFrame, verdicts: pd.DataFrame, *, correlation: float = 0.5) -> str:
    """How many test images tell two methods apart, at the sweep's mean image AUROC."""
    auroc = float(rows["image_auroc"].mean())
    needed = {p: 2 * images_to_settle(p, auroc, correlation=correlation) for p in (1, 2, 5)}
    normal, anomalous = verdicts["normal"].median(), verdicts["anomalous"].median()
    here = Z * auroc_error(auroc, normal, anomalous) * sqrt(2 * (1 - correlation))
    alone = 2 * images_to_settle(2, auroc, correlation=0)
    return (f"With an image AUROC of {auroc:.2f} and errors of two methods that correlate by {correlation:g} (an "
            f"assumption; section 6 measures the intervals of your runs), a 95 % interval over test images is as "
            f"narrow as ± 5 points with {hundreds(needed[5])} images, half of them anomalous, ± 2 with "
            f"{hundreds(needed[2])}, ± 1 with {hundreds(needed[1])}. Two methods tested on *different* images need "
            f"{hundreds(alone)} for ± 2. "
            f"One category here has {normal:.0f} normal and {anomalous:.0f} anomalous images: ± "
            f"{tables.in_points(here):.0f} points; where section 6 measures another length, another "
            "correlation or AUROC is behind it.")


def hundreds(n: int) -> str:
    step = 10 if n < 500 else 100
    return f"{step * ceil(n / step):,}"


def say_photographs(published: pd.DataFrame, rows: pd.DataFrame) -> str:
    """The regret table once more, from the papers' tables on photographs, beside the sweep's on drawn defects."""
    lines, order, by_chance = [], [], 0.0
    for metric in ("image_auroc", "pixel_auroc", "pixel_ap", "pro"):
        own = published[(published["dataset"] == "mvtec") & (published["metric"] == metric)
                        & (published["category"] != "mean")]
        own = own[own["method"].isin(set(rows["method"]) - {BASELINE})]
        for paper, part in own.groupby("paper"):
            wide = part.pivot_table(index="method", columns="category", values="value")
            wide = wide[wide.notna().all(axis=1)]
            if len(wide) < 2 or wide.shape[1] < 15:
                continue
            lost = (wide.max() - wide).mean(axis=1)
            ours = means_of(rows, metric)
            ours = tables.in_points(ours.loc[wide.index].max() - ours.loc[wide.index]).mean(axis=1)
            lines += [[paper, METRIC_NAMES[metric], name, f"{lost[name]:.1f}", f"{ours[name]:.1f}"]
                      for name in method_order(wide.index)]
            order.append(lost.idxmin() == ours.idxmin())
            by_chance += 1 / len(wide)
    if not lines:
        return "No paper has two of these methods on all categories."
    same = (
        f"In {sum(order)} of these {len(order)} comparisons the same method loses least on both sides; blind "
        f"guessing would agree in {by_chance:.1f} of them.")
    head = ["paper", "number", "always", "lost there, on photographs", "lost here, against the same rivals"]
    return (f"{as_table(head, lines)}\n\n{same} DeSTSeg's own numbers are means of five seeds, the others single "
            "ones, measured or quoted by the paper that is named (a rival's, for some), at 256 px, with larger "
            "backbones where they are named.")


def say_kinds_of_trust(verdicts: pd.DataFrame, rows: pd.DataFrame) -> str:
    """How often a threshold from normal images kept its promise, by kind of category."""
    joined = verdicts.assign(kind=kind_of_categories(verdicts)).groupby("kind")[["false_alarms", "normal"]].sum()
    shares = listing(f"{percent(*joined.loc[k])} on {k}" for k in joined.index)
    return (f"Normal test images that alarmed at the threshold of the held-back ones, over all {len(verdicts)} runs: "
            f"{shares}. So check a threshold on images of another day before you trust it. The choice above rests on "
            f"{rows['seed'].nunique()} seeds and {rows['category'].nunique()} categories.")


def say_real_parts(rows: pd.DataFrame, drawn: pd.DataFrame) -> str:
    """The regret table of the sweep's drawn defects, `drawn`, beside that of the real parts of photographs.csv."""
    plain = rows[(rows["tiles"] == 1) & (rows["steps"] == 0) & (rows["image_size"] == rows["image_size"].min())]
    shown, heads, columns, told = ("image_auroc", "pixel_ap"), [], [], []
    for metric in shown:
        lost = tables.in_points(regret(means_of(drawn, metric))).mean(axis=1)
        means = plain.pivot_table(index="method", columns="category", values=metric)[plain["category"].unique()]
        parts = tables.in_points(regret(means))
        heads += [f"{METRIC_NAMES[metric]}: drawn", *(f"*{part}*" for part in parts)]
        columns += [lost, *(parts[part] for part in parts)]
        choice = lost.idxmin()
        told.append(f"in {METRIC_NAMES[metric]} {choice}, which on real parts is "
                    + listing(f"{parts.at[choice, part]:.1f} points behind on *{part}*" for part in parts))
    lines = [[name, *(f"{column.get(name, float('nan')):.1f}" for column in columns)]
             for name in method_order(plain["method"])]
    ways = rows.groupby(["category", "method", "image_size", "tiles", "steps"], sort=False)[list(shown)].mean()
    best = []
    for part, metric in product(plain["category"].unique(), shown):
        name, size, tiles, steps = ways.loc[part][metric].idxmax()
        best.append(f"{name} in {METRIC_NAMES[metric]} on *{part}* ({spell_setting(size, tiles)}"
                    f"{f', {steps:,} steps' if steps else ''}: {ways.loc[part][metric].max():.3f})")
    return (f"Points behind the best, all whole images of {listing_of(plain, 'image_size')} px with the same recipes: "
            f"the mean over the demo's categories, and two real parts ({link('photographs')}, lesson 10):\n\n"
            f"{as_table(['always', *heads], lines)}\n\nOn drawn defects the least is lost by always taking, "
            f"{'; '.join(told)}. So do not carry a ranking over. The best of all ways that were measured: "
            f"{listing(best)}.")

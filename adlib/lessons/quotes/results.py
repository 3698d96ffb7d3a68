"""Lessons 04 and 09: what the reference sweep, demo.csv, says of the methods; and threads.csv of one of them.

Claims obey what the lessons teach: see `grade`.
"""

from collections.abc import Collection, Iterable
from itertools import combinations, permutations
from math import inf, isnan, sqrt
from statistics import fmean, stdev, variance

import pandas as pd
from scipy.stats import t as student

from adlib.lessons.plots.rd4ad import SHORT_NAMES
from adlib.lessons.plots.results import excludes_zero, with_quality
from adlib.lessons.quotes import as_table, listing, method_order
from adlib.runs import bootstrap, report, tables
from adlib.settings import METRIC_NAMES, METRICS

BASELINE = "nearest"
TEXTURES_AND_OBJECTS = ("textures", "objects")
GRADES = {"**": "on these categories, with a hint of others", "*": "on these categories",
          "": "within chance, as means over the categories"}


# How sure


Samples = dict[str, tuple[list[float], list[float]]]      # of each category, what the seeds of two methods gave


def samples(rows: pd.DataFrame, a: str, b: str, metric: str, *, seeds: dict | None = None) -> Samples:
    """A metric of a's and of b's seeds in points, of each category; `seeds` is `tables.by_seed(rows)` where known."""
    seeds = tables.by_seed(rows) if seeds is None else seeds
    found = {}
    for category in sorted(set(rows["category"])):
        x, y = ([tables.in_points(n) for n in seeds.get((m, category, metric), {}).values()] for m in (a, b))
        if x and y:
            found[category] = x, y
    return found


def leads(each: Samples) -> dict[str, float]:
    """By how much the first method's mean lies above the second's, of each category."""
    return {category: fmean(x) - fmean(y) for category, (x, y) in each.items()}


def grade(each: Samples, *, comparisons: int) -> str:
    """How far a mean difference can be trusted: a key of `GRADES`.

    "*": Student's t over seeds, each method with its own spread on each category (Welch's degrees of freedom), passes
    5 % divided by the number of comparisons (Bonferroni, lesson 05). Seeds of two methods make no pairs: what the same
    seed gives both (an order of images, moved copies) three runs cannot show. "**": besides, a paired t
    over the categories' means passes 5 % by itself, which allows for no comparisons.
    """
    means = [*leads(each).values()]
    runs = [x for both in each.values() for x in both]
    if len(means) < 2 or any(len(x) < 2 for x in runs):
        return ""
    parts = [variance(x) / len(x) for x in runs]        # of each mean's own variance
    error = sqrt(sum(parts)) / len(means)
    free = sum(parts) ** 2 / max(sum(v**2 / (len(x) - 1) for v, x in zip(parts, runs, strict=True)), 1e-300)
    if abs(fmean(means)) <= error * student.ppf(1 - 0.025 / comparisons, max(free, 1.0)):
        return ""
    among = stdev(means) / sqrt(len(means)) * student.ppf(0.975, len(means) - 1)
    return "**" if abs(fmean(means)) > among else "*"


def grade_pairs(rows: pd.DataFrame, pairs: Iterable[tuple[str, str]],
                metrics: Iterable[str]) -> dict[tuple[str, str, str], str]:
    """The `grade` of each (a, b, metric), with as many comparisons as there are pairs times metrics."""
    wanted, seeds = [(a, b, m) for a, b in pairs for m in metrics], tables.by_seed(rows)
    return {(a, b, m): grade(samples(rows, a, b, m, seeds=seeds), comparisons=len(wanted)) for a, b, m in wanted}


def say_against(rows: pd.DataFrame, a: str, b: str, metrics: tuple[str, ...], *, comparisons: int) -> str:
    """By how many points a is ahead of b or behind, in each metric, grouped by how sure that is."""
    by_grade = {name: [] for name in GRADES}
    for metric in metrics:
        if each := samples(rows, a, b, metric):
            d = fmean(leads(each).values())
            ahead = sum(x > 0 for x in leads(each).values())
            by_grade[grade(each, comparisons=comparisons)].append(
                f"{d:+.1f} {METRIC_NAMES[metric]} (ahead on {ahead} of {len(each)})")
    parts = [f"*{GRADES[name]}*: {listing(found)}" for name, found in by_grade.items() if found]
    return "; ".join(parts) or "no runs of both"


def say_claims(rows: pd.DataFrame) -> str:
    """Each method against the baseline, in all metrics; only what survives is a claim."""
    others = [m for m in method_order(rows["method"]) if m != BASELINE]
    if len(others) == len(set(rows["method"])):
        return "Without runs of the baseline there is nothing to compare with."
    m = len(others) * len(METRICS)
    seeds = tables.by_seed(rows)
    found = {(name, metric): samples(rows, name, BASELINE, metric, seeds=seeds)
             for name in others for metric in METRICS}
    lines = ([name, *(spell_difference(found[name, metric], comparisons=m) for metric in METRICS)] for name in others)
    strict = spell_strict(found.values(), rows["category"].nunique())
    return "\n".join([
        f"Ahead of the baseline, in points; in brackets the categories on which a method is ahead. \\*: *on these "
        f"categories*, beyond chance by the t test over seeds that allows for all {m} comparisons (Bonferroni, lesson "
        "05). \\*\\*: *with a hint of others*, since a paired t over the categories passes 5 % by itself, too. It "
        f"allows for no comparisons; {strict} The rest earns no star, which proves no equality. A single star knows "
        "nothing of other test images; and DeSTSeg alone trains on drawn defects, such as these are (section 11).", "",
        as_table(["points", *(METRIC_NAMES[metric] for metric in METRICS)], lines)])


def spell_difference(each: Samples, *, comparisons: int) -> str:
    """A cell: mean difference, its stars, and on how many categories it is positive."""
    if not each:
        return ""
    means = [*leads(each).values()]
    stars = grade(each, comparisons=comparisons).replace("*", "\\*")
    return f"{fmean(means):+.1f}{stars} ({sum(x > 0 for x in means)} of {len(means)})"


def spell_strict(found: Collection[Samples], categories: int) -> str:
    """How many of these differences pass a paired t over the categories that allows for all of them."""
    needed = student.ppf(1 - 0.025 / len(found), categories - 1) if categories > 1 else inf
    passed = 0
    for means in ([*leads(each).values()] for each in found):
        spread = stdev(means) if len(means) > 1 else 0.0
        passed += spread > 0 and abs(fmean(means)) > needed * spread / sqrt(len(means))
    return f"if it did, it would ask for a t beyond {needed:.1f}, passed by {passed} of them."


# Methods and categories


def means_of(rows: pd.DataFrame, metric: str) -> pd.DataFrame:
    """Mean over seeds of each method (row) and category (column)."""
    wide = rows.pivot_table(index="method", columns="category", values=metric)
    return wide.reindex(method_order(wide.index))


def say_beside_baseline(rows: pd.DataFrame, method: str) -> str:
    """Where one method is ahead of the training-free baseline in image AUROC, and where behind."""
    wide = means_of(rows, "image_auroc")
    if not {method, BASELINE} <= {*wide.index}:
        return f"There are no runs of both {method} and the training-free baseline."
    d = wide.loc[method] - wide.loc[BASELINE]
    ahead, behind = (listing(f"*{c}*" for c in d.index[sign * d > 0]) for sign in (1, -1))
    return (f"{SHORT_NAMES[method]} has a mean image AUROC of {wide.loc[method].mean():.3f}, the training-free "
            f"baseline (nearest patch) {wide.loc[BASELINE].mean():.3f}; by these means, small as some differences "
            f"are, ahead of it on {ahead}, behind on {behind}.")


def say_reverse_distillations(rows: pd.DataFrame) -> str:
    """RD4AD and masked RD against the baseline, and each other."""
    pair = say_against(rows, "masked_rd", "rd4ad", METRICS, comparisons=len(METRICS))
    return " ".join([say_beside_baseline(rows, "rd4ad"), say_beside_baseline(rows, "masked_rd"),
                     f"Masked RD less RD4AD, in points (a family of {len(METRICS)}), {pair}.",
                     say_where(rows, "masked_rd", "rd4ad", "image_auroc"),
                     say_where(rows, "masked_rd", "rd4ad", "pixel_ap")])


def say_where(rows: pd.DataFrame, a: str, b: str, metric: str) -> str:
    """On which categories two methods differ most, either way."""
    means = leads(samples(rows, a, b, metric))
    largest = sorted(means, key=lambda c: -abs(means[c]))[:2]
    where = listing(f"*{c}* ({means[c]:+.1f})" for c in largest)
    return f"In {METRIC_NAMES[metric]} they differ most on {where}." if means else ""


def say_winners(rows: pd.DataFrame, metrics: list[str]) -> str:
    """On which categories the name of the winner changes with the seed."""
    parts = []
    for metric in metrics:
        wide = rows.pivot_table(index=["category", "seed"], columns="method", values=metric).dropna()
        names = wide.idxmax(axis=1).groupby("category").nunique()
        changed = [f"*{c}*" for c in names.index[names > 1]]
        parts.append(f"the name of the highest {METRIC_NAMES[metric]} changes with the seed on {len(changed)} of the "
                     f"{len(names)} categories{f' ({listing(changed)})' if changed else ''}")
    return f"In the reference sweep {listing(parts)}."


def say_kinds(rows: pd.DataFrame, metrics: list[str]) -> str:
    """How methods do on textures and on objects, and whether another kind would have another winner."""
    known = tables.kinds(rows)
    if not set(TEXTURES_AND_OBJECTS) <= {*known}:
        return "The kinds of these categories are not known."
    lines = []
    for metric in metrics:
        wide = means_of(rows, metric)
        means = {k: wide[[c for c in known[k] if c in wide]].mean(axis=1) for k in (*TEXTURES_AND_OBJECTS, "all")}
        leans = [f"{m} {tables.in_points(means['objects'][m] - means['textures'][m]):+.1f}" for m in wide.index]
        best = [f"{means[k].idxmax()} on {k} ({means[k].max():.2f})" for k in (*TEXTURES_AND_OBJECTS, "all")]
        lines.append(f"- {METRIC_NAMES[metric]}: objects less textures, in points: {', '.join(leans)}. The highest "
                     f"mean: {listing(best)}.")
    return "\n".join(["In the reference sweep:", "", *lines, "",
                      "Where textures and objects have different winners, the mean over all depends on how many of "
                      "each a data set has."])


def say_front(rows: pd.DataFrame, metrics: list[str]) -> str:
    """Which methods no quicker one equals, and what each step costs."""
    lines = []
    for metric in metrics:
        known, _ = with_quality(report.costs(rows), rows, metric)
        front = known[known["mean"] > known["mean"].cummax().shift(fill_value=float("-inf"))]
        steps = [f"{run.Index} ({run.mean:.3f}, {run.seconds:.0f} s)" for run in front.itertuples()]
        lines.append(f"- {METRIC_NAMES[metric]}: {', then '.join(steps)}")
    return "\n".join(["Ringed in the reference sweep (mean, median seconds of a run):", "", *lines, "",
                      "A step is only as sure as its difference (the squares of section 5); seconds a few per cent "
                      "apart are a tie."])


def regret(means):
    """How far each method (row) is behind the best of each category (column); an array or a DataFrame."""
    return means.max(axis=0) - means


def say_regret(rows: pd.DataFrame, metrics: list[str]) -> str:
    """What it costs to always choose one method, against the best of each category."""
    lines = []
    lost = {m: tables.in_points(regret(means_of(rows, m))) for m in metrics}
    for name in method_order(rows["method"]):
        lines.append([name])
        for d in (d.loc[name] for d in lost.values() if name in d.index and d.loc[name].notna().any()):
            worst = f" (*{d.idxmax()}*)" if d.max() > 0 else ", nowhere behind"
            lines[-1] += [f"{d.mean():.1f}", f"{d.max():.1f}{worst}"]
    best = [f"{d.mean(axis=1).idxmin()} in {METRIC_NAMES[m]}" for m, d in lost.items() if len(d)]
    return "\n".join([
        "Points behind the best method of each category, if you always choose the same one:", "",
        as_table(["always", *(head for m in metrics for head in (f"{METRIC_NAMES[m]}: mean", "worst"))], lines), "",
        f"The least mean loss: {listing(best)}. The best of several noisy means is itself flattered (section 10), so "
        "on average these losses are too large. Beware: the defects here are drawn, and DeSTSeg alone trains on drawn "
        "defects."])


def say_best_seeds(rows: pd.DataFrame, metric: str) -> str:
    """What reporting the best seed of each category would add, and which pairs it would turn around."""
    numbers = rows.pivot_table(index="category", columns=["method", "seed"], values=metric)
    names = method_order(rows["method"])
    honest = {m: numbers[m].mean(axis=None) for m in names}
    best = {m: numbers[m].max(axis=1).mean() for m in names}
    added = tables.in_points(pd.Series(best) - pd.Series(honest))
    gap = max((abs(honest[a] - honest[b]) for a, b in combinations(names, 2)), default=0)
    turned = [f"{a} past {b}" for a, b in permutations(names, 2) if honest[a] < honest[b] < best[a]]
    return (f"In the reference sweep the best seed of each category adds {added.min():.1f} to {added.max():.1f} points "
            f"of {METRIC_NAMES[metric]}, and the largest gap between the means of two methods is "
            f"{tables.in_points(gap):.1f}. It would turn {tables.count(len(turned), 'pair')} around"
            f"{f': {listing(turned)}' if turned else ''}.")


# Threads


def say_threads(rows: pd.DataFrame) -> str:
    """The same runs with one thread and with two, from threads.csv."""
    rows = rows.assign(variant=[f"threads {n:.0f}" for n in rows["threads"]])
    names = sorted(set(rows["variant"]))
    if len(names) != 2:
        return "There are no two numbers of threads to compare."
    lines, clear = [], []
    for metric in (m for m in METRICS if rows[m].notna().any()):
        c = bootstrap.paired_bootstrap(rows, *names, metric)
        interval = "" if c.ci_fixed_categories is None else "; 95 % interval [{:+.2f}, {:+.2f}]".format(
            *map(tables.in_points, c.ci_fixed_categories))
        clear += [METRIC_NAMES[metric]] * bool(excludes_zero(c.ci_fixed_categories))
        if not isnan(c.difference):
            lines.append(f"- {METRIC_NAMES[metric]}: {tables.in_points(c.difference):+.2f} points{interval}")
    return "\n".join([
        f"{listing(sorted(set(rows['method'])))}, {len(rows) // 2} pairs of runs; {names[0]} less "
        f"{names[1]}, and the interval over seeds for these categories:", "", *lines, "",
        f"Nothing was changed that a paper would mention, and {len(clear)} of the {len(lines)} intervals "
        f"({listing(clear)}) {'excludes' if len(clear) == 1 else 'exclude'} 0. "
        + ("Where one does, it is chance, or chaotic trainings do not vary as independently as the bootstrap assumes. "
           if clear else "") +
        "Whoever sees only one of the two columns cannot know. A lead of this size over three seeds is a reason to run "
        "more seeds, not a result."])

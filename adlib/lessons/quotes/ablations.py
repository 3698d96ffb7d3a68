"""Lesson 05: what a table's runs say beside the paper's, in sentences."""

from collections.abc import Mapping, Sequence
from math import isnan

import pandas as pd
from scipy.stats import t as student

from adlib.lessons.ablations import find_grid
from adlib.lessons.paper_comparison import compare_with_paper, margins_of_two_rows, select_rows
from adlib.lessons.quotes import as_details, listing
from adlib.runs.tables import in_points
from adlib.settings import METRIC_NAMES

PARTS_METRICS = ("image_auroc", "pixel_ap", "pro")      # those of the table of lesson 04


def say_origin(rows: pd.DataFrame) -> str:
    """Which runs ablations.csv holds."""
    columns = ("category", "budget", "backbone", "image_size")
    same = {name: listing(map(str, sorted(set(rows[name])))) for name in columns}
    return (f"The extract: {len(rows)} runs of all its tables, category *{same['category']}*, budget "
            f"`{same['budget']}`, {same['backbone']} at {same['image_size']} px, {rows['seed'].nunique()} seeds, "
            f"{rows['threads'].max():.0f} thread each on "
            f"{listing(sorted(set(rows['cpu'])))}. The base rows are those of the reference sweep.")


def say_parts(rows: pd.DataFrame, method: str) -> str:
    """What leaving a part of one method out gains or loses, and what other settings do, beyond chance.

    By lesson 05's margin, the larger of the two spreads, which allows for all settings in each number.
    """
    own = rows[rows["method"] == method]
    others, lost, gained, ends = [x for x in sorted(set(own["setting"])) if x], {}, {}, {}
    if "" not in set(own["setting"]) or not others or own.groupby("setting").size().max() < 2:
        return f"There are too few runs of {method} to compare its parts."
    for name in PARTS_METRICS:
        values = {setting: list(x) for setting, x in own.groupby("setting")[name]}
        mean = {setting: sum(x) / len(x) for setting, x in values.items()}
        for setting in others:
            *_, margin = margins_of_two_rows(values[setting], values[""], [*values.values()], comparisons=len(others))
            low, high = ends.get(name, (margin, margin))
            ends[name] = min(low, margin), max(high, margin)
            if abs(d := mean[setting] - mean[""]) > margin:
                text = f"{METRIC_NAMES[name]} ({mean[setting]:.3f} against {mean['']:.3f})"
                (lost if d < 0 else gained).setdefault(setting, []).append(text)
    needed = [x for x in others if is_left_out(x) and x in lost]
    worse, better = (listing(f"`{setting}` in {listing(texts)}" for setting, texts in found.items())
                     for found in (lost, gained))
    verdict = (f"So what earns its place here: without it ({listing(f'`{x}`' for x in needed)}) the network is worse."
               if needed else "So, of those left out, no part earns its place here by these numbers.")
    margins = listing(f"{in_points(x):.1f} to {in_points(y):.1f} points of {METRIC_NAMES[name]}"
                      for name, (x, y) in ends.items())
    return (f"Beyond chance (lesson 05's margin, which allows for {len(others)} settings in each number), worse than "
            f"the full network: {worse}; better: {better}. {verdict} Margins differ from row to row: {margins}. (A "
            "table of fewer rows allows for fewer, so its margins are narrower, and a row may be beyond them there.)")


def say_cosine(rows: pd.DataFrame) -> str:
    """What the loss per position and the flat one give, for each method of the table `cosine`."""
    found = compare_with_paper(select_rows(rows, find_grid("cosine")), find_grid("cosine"))
    compared = compared_rows(found)
    ahead = compared[compared["points"].abs() > compared["margin"]]
    per_position = sum((line["points"] > 0) == ("pixel" in line["label"]) for line in ahead.to_dict("records"))
    close = int(((ahead["points"].abs() - ahead["margin"]) < 0.1).sum())
    against = (f" Those past it by less than 0.1 point: {close}. In the thread of Section 3 the flat loss "
               "did better; how stable either is, ReContrast's argument, is not measured."
               if 2 * per_position > len(ahead) else "")
    return (f"{say_findings(found)}\n\nOf {len(compared)} comparisons {len(compared) - len(ahead)} are within "
            f"lesson 05's margin; of the others the loss per position is ahead in {per_position}.{against}")


def is_left_out(setting: str) -> bool:
    """Whether a setting takes parts away, and changes nothing else."""
    return all(x.endswith("=False") or x == "mask_ratio=0.0" for x in setting.split(", "))


def compared_rows(found: pd.DataFrame) -> pd.DataFrame:
    """The lines of `compare_with_paper` that are a difference of ours: not of a base row, and with runs."""
    return found[(found["label"] != found["base"]) & found["points"].notna()]


def say_findings(found: pd.DataFrame) -> str:
    """What `compare_with_paper` found: per metric, which rows differ from their base row beyond chance.

    In brackets the paper's difference, where it has one.
    """
    lines, compared = [], compared_rows(found)
    for metric, known in compared.groupby("metric", sort=False):
        beyond = known[known["points"].abs() > known["margin"]]
        named = f": {listing(map(difference_as_text, beyond.to_dict('records')))}" if len(beyond) else ""
        lines.append(f"- {METRIC_NAMES[metric]}, {len(beyond)} of {len(known)} rows beyond chance{named}.")
    if not lines:
        return "No row has runs beside the base row's."
    if not any(":" in line for line in lines):
        return f"No row differs from the base row beyond chance, in any of the {len(lines)} numbers."
    printed = ", in brackets the paper's" if compared["their_points"].notna().any() else ""
    return "\n".join([f"Points against the base row{printed}:", "", *lines])


def fold_table(text: pd.DataFrame, name: str) -> str:
    """A long table as a block to open."""
    return as_details(f"All numbers of {name}", text.to_html(border=0))


def difference_as_text(line: dict) -> str:
    theirs = "" if isnan(line["their_points"]) else f" ({line['their_points']:+.1f})"
    return f"*{line['label']}* {line['points']:+.1f}{theirs}"


def compare_two_rows(rows: pd.DataFrame, first: str, second: str, metrics: Sequence[str]
                     ) -> dict[str, tuple[float, float]]:
    """Two rows of a table that are no base row: per metric the points that the first is ahead by, and their margin.

    The margin is the larger of those with the spread of the two and with that of all rows, as in
    `paper_comparison.compare_with_paper`; 5 % are divided among the metrics.
    """
    found = {}
    for metric in metrics:
        values = {label: list(x) for label, x in rows.groupby("variant")[metric]}
        if first not in values or second not in values:
            continue
        one, other = values[first], values[second]
        *_, margin = margins_of_two_rows(one, other, list(values.values()), comparisons=len(metrics))
        found[metric] = (in_points(sum(one) / len(one) - sum(other) / len(other)), in_points(margin))
    return found


def say_two_rows(pair: Mapping[str, tuple[float, float]], first: str, second: str) -> str:
    """In which numbers of `compare_two_rows` the rows differ beyond chance."""
    if not pair:
        return f"There are no runs of *{first}* and *{second}* to compare."
    parts = [f"{METRIC_NAMES[m]} {ahead:+.2f} points ({'**beyond**' if abs(ahead) > margin else 'within'} "
             f"the margin of {margin:.2f})" for m, (ahead, margin) in pair.items()]
    return f"*{first}* less *{second}*: {listing(parts)}."


def rank_correlations(every: pd.DataFrame) -> list[float]:
    """Spearman's, of ours and the papers' rows: one for each table and metric of four rows or more.

    `every` has the differences to the base row, whose own is 0 on both sides.
    """
    groups = [g for _, g in every.groupby(["table", "metric"]) if len(g) > 2]
    pairs = [[pd.Series([0, *g[name]]) for name in ("points", "their_points")] for g in groups]
    return [float(ours.corr(theirs, method="spearman")) for ours, theirs in pairs if theirs.nunique() > 1]


def say_agreement(extracted: Mapping[str, pd.DataFrame]) -> str:
    """How many differences agree with the papers, and how many verdicts hang on whose spread is pooled."""
    if not extracted:
        return ""
    every = pd.concat([f.assign(table=name, flips=flipped_verdicts(f)) for name, f in extracted.items()])
    every = every[every["verdict"] != ""]
    if not len(every):
        return "There is no difference that both sides have."
    count = every["verdict"].value_counts()
    against = [f"*{line['label']}* in {METRIC_NAMES[line['metric']]} ({line['table']})"
               for line in every[every["verdict"] == "contradicts"].to_dict("records")]
    sizes = [f"{every.loc[every['verdict'] == v, 'their_points'].abs().median():.1f} points {where}"
             for v, where in [("agrees", "where we agree"), ("chance", "where chance would do")] if v in count]
    other_size = int(((every["verdict"] == "agrees")
                      & ((every["points"] - every["their_points"]).abs() > every["margin"])).sum())
    within = count.get("chance", 0) + count.get("smaller", 0)
    n, same_row = int(every["n"].max()), every[every["verdict"] == "agrees"].groupby(["table", "label"]).ngroups
    worse, orders = int((every["their_points"] < 0).sum()), rank_correlations(every)
    ordered = (f" Do the orders agree? The rank correlation of ours and theirs, over the rows of a table and number "
               f"with four or more, is {sum(orders) / len(orders):+.2f} on average (of {len(orders)}, "
               f"{sum(x > 0 for x in orders)} above 0)." if orders else "")
    return (f"Of the papers' differences {worse} of {len(every)} are negative: a paper's base row is the one it chose, "
            f"so guessing \"worse\" each time would be right in as many.{ordered}\n\n"
            f"Of {len(every)} differences that both sides have, {count.get('agrees', 0)} agree in sign beyond chance "
            f"(in {same_row} rows: the numbers of one row go up and down together, and the rows of a table share one "
            f"base row; {other_size} of them not in size: the papers' lie farther from ours than the margin), "
            f"{len(against)} contradict{'s' * (len(against) == 1)}{f' ({listing(against)})' if against else ''}, and "
            f"{within} are within their margin; {count.get('smaller', 0)} of these are farther from the paper's than "
            "that, so an effect of the paper's size is not there, at this schedule. The median size of the paper's "
            f"difference is {listing(sizes)}. How firm are the verdicts? With the spread of two rows alone, or of all "
            f"rows alone, {int(every['flips'].sum())} more would be called beyond chance. To halve the margin of "
            f"{n} seeds takes {seeds_to_halve(n)} seeds (for one comparison, with the spread of its two rows): more "
            "runs also make Student's $t$ smaller.")


def flipped_verdicts(found: pd.DataFrame) -> list[bool]:
    """Whether each difference is beyond chance by one of its two margins only."""
    return [bool(min(margins) < abs(points) <= max(margins)) for margins, points in
            zip(found["margins"], found["points"], strict=True)]


def seeds_to_halve(n: int, *, comparisons: int = 1) -> int:
    """How many seeds each of two rows needs for half the margin that n seeds give, for the same spread."""
    def margin(k: int) -> float:
        return (2 / k) ** 0.5 * student.ppf(1 - 0.025 / comparisons, 2 * k - 2)

    return next(k for k in range(n, 100 * n) if margin(k) <= margin(n) / 2)


# One seed


def orders_by_category(rows: pd.DataFrame, metric: str) -> pd.DataFrame:
    """The methods of each category (row) and seed (column) in order, the best first: "stfpm > rd4ad"."""
    wide = rows.pivot_table(index=["category", "seed"], columns="method", values=metric).dropna()
    names = wide.apply(lambda x: " > ".join(x.sort_values(ascending=False, kind="stable").index), axis=1)
    return names.unstack() if len(names) else pd.DataFrame()


def say_orders(orders: pd.DataFrame) -> str:
    """On how many categories the order of the methods changes with the seed, and the winner."""
    if not orders.size:
        return ""
    changed = (orders.nunique(axis=1) > 1).sum()
    winners = orders.map(lambda names: names.partition(" > ")[0]).nunique(axis=1) > 1
    return (f"The order of the methods changes with the seed on {changed} of {len(orders)} categories, and the winner "
            f"on {winners.sum()}.")

"""Lesson 06: what the reference sweep says of false alarms and of causes."""

from collections import Counter
from collections.abc import Mapping, Sequence
from math import pi

import pandas as pd

from adlib.lessons.failures import FALSE_ALARM, FEW_CELLS, MISS, PART, SMALL
from adlib.lessons.psychometrics import wilson
from adlib.lessons.quotes import as_details, kind_of_categories, link, listing, percent

PART_FOLDERS = ("missing_part", "misplaced_part")
NAMES = {"textures": "the textures", "objects": "the drawn parts", "all": "all categories"}


def say_false_alarms(rows: pd.DataFrame) -> str:
    """How many normal test images alarm at the runs' own thresholds, from verdicts.csv."""
    rows = rows.assign(kind=kind_of_categories(rows))
    counts = rows.groupby("kind")[["false_alarms", "normal"]].sum()
    by_method = rows.groupby(["kind", "method"])[["false_alarms", "normal"]].sum()
    rates = (by_method["false_alarms"] / by_method["normal"]).unstack("kind")
    shares = [f"{percent(*counts.loc[k])} of the normal test images of {name}"
              for k, name in NAMES.items() if k in rates]
    ranks = []
    for kind in (k for k in NAMES if k in rates):
        worst, best = rates[kind].idxmax(), rates[kind].idxmin()
        ranks.append(f"on {NAMES[kind]} {worst} alarms most often ({percent(rates.loc[worst, kind])}) and {best} least "
                     f"({percent(rates.loc[best, kind])})")
    return (f"Over all {len(rows)} runs of the reference sweep ({link('verdicts')}) {listing(shares)} raise an alarm. "
            f"By method: {'; '.join(ranks)}. Where even the baseline (nearest patch) alarms often, over-fitting by a "
            "student cannot be the only reason: it has none.")


def fold_causes(causes: Sequence[str]) -> str:
    """The cause that the rules suggest first, and what else holds, as a block to open."""
    also = f" Also holds: {listing(causes[1:])}." if len(causes) > 1 else ""
    return as_details("The rules suggest ...", f"**{causes[0]}**.{also}")


def say_moved(distances: list[int], alarms: dict[str, list[int]], n: int, size: int) -> str:
    """Whose false alarms grow most when n normal images of that size are moved, from the counts of this run."""
    found = []
    for k, d in list(enumerate(distances))[1:3]:
        growth = {m: counts[k] - counts[0] for m, counts in alarms.items()}
        most, least = max(growth, key=growth.__getitem__), min(growth, key=growth.__getitem__)
        if growth[most] <= 0:
            found.append(f"Moved by {d} of {size} px, no method alarms more often than before")
            continue
        rise = {m: f"from {percent(alarms[m][0], n)} to {percent(alarms[m][k], n)}" for m in (most, least)}
        others = f"; those of {least} go {rise[least]}" if growth[least] < growth[most] else ", as for all"
        found.append(f"Moved by {d} of {size} px, the alarms of {most} grow most ({rise[most]}){others}")
    return f"In this run: {'. '.join(found)}. One image more or less is {100 / n:.1f} %."


def say_small_rule(diameters: Sequence[float], rates: Mapping[str, Sequence[float]], cell: float,
                   contrast: float, n: int) -> str:
    """How often discs are seen that the rules of causes would call too small, were they missed.

    `rates` are each method's shares of alarms on n images over the diameters, in pixels of 256 as `cell` is, at that
    contrast. Often is more than half, by the lower end of Wilson's interval.
    """
    limit = 2 * (FEW_CELLS * cell ** 2 / pi) ** 0.5
    below = [k for k, d in enumerate(diameters) if d < limit]
    if not below:
        return f"No disc is as small as the rule *{SMALL}* asks: below {limit:.0f} px."
    largest = below[-1]
    seen = listing(f"{m} {percent(x[largest])}" for m, x in rates.items())
    often = [m for m, x in rates.items() if wilson(round(n * x[largest]), n)[0] > 0.5]
    meaning = (f"So for {listing(often)} such a defect is not *too* small where it is strong enough: read the rule as "
               "\"small, and that may be why\"." if often else
               "At that size no method sees more than half of them beyond doubt: nothing here speaks against the rule.")
    return (f"**Is the rule *{SMALL}* of Section 3 right?** It comes first, and asks for less than {FEW_CELLS:g} "
            f"cells: a disc below {limit:.0f} px. Of the discs of {diameters[largest]:g} px and contrast {contrast:g} "
            f"are seen: {seen}. {meaning}")


def share_kept(pairs: Mapping[tuple[str, str], int]) -> float | None:
    """Per cent of pairs of causes, counted, that are the same twice; None without any."""
    return 100 * sum(n for (own, other), n in pairs.items() if own == other) / sum(pairs.values()) if pairs else None


def say_swapped(pairs: Mapping[tuple[str, str], int]) -> str:
    """How many misses keep their cause with another image's mask, beside what chance explains, and what they become."""
    total, share = sum(pairs.values()), share_kept(pairs)
    if share is None:
        return "No method misses anything here, so there is nothing to swap."
    own, other = Counter(), Counter()
    for (first, second), n in pairs.items():
        own[first] += n
        other[second] += n
    chance = 100 * sum(own[cause] * other[cause] for cause in own) / total**2
    gained = max(other, key=lambda cause: other[cause] - own[cause])
    growth = (f" What grows most is *{gained}*, from {own[gained]} to {other[gained]}."
              if other[gained] > own[gained] else " No cause becomes more frequent.")
    common = max(other, key=other.__getitem__)
    worth = (f"Nearly all become *{common}*, whatever they were" if other[common] > 0.9 * total else
             "So the causes follow the mask that is given" if share < chance + 10 else
             "So a part of the causes does not hang on the mask")
    return (f"Of {total} misses {share:.0f} % keep their first cause with another image's mask; if the two had nothing "
            f"to do with each other, it would be {chance:.0f} %. {worth}.{growth}")


def say_causes(rows: pd.DataFrame) -> str:
    """Which causes are suggested most often, by kind of failure and of category, from causes.csv."""
    rows = rows.assign(group=kind_of_categories(rows))
    parts = []
    for kind in (MISS, FALSE_ALARM):
        for group in (g for g in NAMES if g in set(rows["group"])):
            own = rows[(rows["kind"] == kind) & (rows["group"] == group)]
            counts = own.groupby("cause")["failures"].sum().sort_values(ascending=False, kind="stable")
            if len(counts):
                causes = listing(f"*{cause}* ({n})" for cause, n in counts.head(3).items())
                parts.append(f"- Of the {counts.sum()} {kind}{'es' if kind == MISS else 's'} on {NAMES[group]}, most "
                             f"often suggested: {causes}.")
    total = f"In the reference sweep ({link('causes')}: {rows['failures'].sum():,} failures):"
    return "\n".join([total, "", *parts, "", say_part_rule(rows)])


def say_part_rule(rows: pd.DataFrame) -> str:
    """Whether the rule for missing and misplaced parts falls on folders of that name."""
    missed = rows[rows["kind"] == MISS]
    named, inside = missed["cause"] == PART, missed["defect"].isin(PART_FOLDERS)
    count = [int(missed.loc[which, "failures"].sum()) for which in (named, named & inside, inside)]
    strangers = missed[named & ~inside].groupby(["defect", "category"])["failures"].sum()
    also = [f"{n} {defect} of *{category}*" for (defect, category), n in strangers.items()]
    elsewhere = f" The others: {listing(also)}." if also else ""
    others = missed[inside & ~named].groupby(["defect", "cause"])["failures"].sum()
    instead = []
    for defect, of in others.groupby(level=0):
        most = of.droplevel(0).nlargest(2)
        instead.append(f"{defect.replace('_', ' ')}s {listing(f'*{cause}* ({n})' for cause, n in most.items())}")
    rest = f" What the others are called most often: {'; '.join(instead)}." if instead else ""
    return (f"*{PART.capitalize()}* is suggested for {count[0]} misses, of which {count[1]} are in folders of that "
            f"name.{elsewhere} The other way round: of the {count[2]} misses in those folders the rule names "
            f"{count[1]}.{rest}")

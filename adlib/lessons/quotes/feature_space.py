"""Lesson 07: what the reference sweep says of students' features and of the films of their training."""

import numpy as np
import pandas as pd

from adlib.lessons.effects import student_sees
from adlib.lessons.quotes import as_table, link, listing, method_order

LOST = 0.1      # of hit@1 at normal positions: a student with less does not know them one by one


def say_own_hits(rows: pd.DataFrame) -> str:
    """Mean hit@1 of each method and level at both kinds of positions, from feature_space.csv, and what stands out."""
    share = rows.pivot_table(index=["method", "level"], columns="kind", values="hit@1")
    methods, levels = method_order(rows["method"]), sorted(set(rows["level"]))
    lines = []
    gaps = (share["normal"] - share["anomalous"]).unstack("level").reindex(methods)
    widest = [f"{gaps[k].idxmax()} at level {k} ({gaps[k].max():+.2f})" for k in levels]
    for m in methods:
        own = share.loc[m].reindex(levels)
        cells = [f"{n:.2f} / {a:.2f}" for a, n in zip(own["anomalous"], own["normal"], strict=True)]
        lines.append([m, *cells])
    runs = len(rows[["method", "category", "seed"]].drop_duplicates())
    return "\n".join([
        f"Over {runs} runs ({rows['category'].nunique()} categories, {rows['seed'].nunique()} seeds, up to "
        f"{rows['positions'].max()} positions of each kind; {link('feature_space')}) the mean hit@1 at normal / "
        "anomalous positions is", "", as_table(["method", *(f"level {k}" for k in levels)], lines), "",
        f"Normal is furthest ahead of anomalous (unrounded) for {listing(widest)}. Where the difference is narrow and "
        "both are high, defects are found as well as the rest; where it is wide, normal positions are easier to find. "
        "Either may be by sight or by place. "
        + say_lost(rows)])


def say_lost(rows: pd.DataFrame) -> str:
    """On which categories a method hardly finds even its normal positions."""
    normal = rows[rows["kind"] == "normal"].groupby(["method", "level", "category"])["hit@1"].mean()
    lost = normal[normal < LOST].reset_index()
    if not len(lost):
        return f"At normal positions no mean over seeds is below {LOST}."
    parts = []
    for method in method_order(lost["method"]):
        own = lost[lost["method"] == method].groupby("category")["level"].agg(lambda x: ", ".join(map(str, sorted(x))))
        parts.append(f"{method}: " + listing(f"*{category}* (level {levels})" for category, levels in own.items()))
    return (f"Where hit@1 is below {LOST} at normal positions too, a student seldom finds its own place, "
            f"defect or not: {'; '.join(parts)}.")


def say_seen(rows: pd.DataFrame) -> str:
    """Whether students answer about their own image, from effects.csv."""
    seen = student_sees(rows.reindex(columns=[*rows, *({"repaired", "inside"} - {*rows})]))
    seen = seen.assign(method=rows["method"], level=rows["level"])
    lines = []
    for method in method_order(seen["method"]):
        cells = [f"{int(own['own'].sum())} and {int(own['beats_mean'].sum())} of {len(own)} at level {level}"
                 for level, own in seen[seen["method"] == method].groupby("level")]
        lines.append(f"- {method}: {listing(cells)}")
    return "\n".join([
        f"A related question to all runs of the reference sweep ({link('effects')}): in how many is the student's "
        "answer, on average over normal images, nearer to its own image than to another, by a hundredth at least, and "
        "in how many nearer than the mean of each position?", "", *lines])


def say_films(rows: pd.DataFrame) -> str:
    """How often the ratio of defect to normal turns back in training, and which of the two moved, from films.csv."""
    turned = rows["last_ratio"] < 0.99 * rows["highest_ratio"]       # less is no turning back
    far = rows["last_ratio"] < 0.95 * rows["highest_ratio"]
    risen = np.log(rows["normal_since"].clip(lower=1e-9)) > -np.log(rows["defect_since"].clip(lower=1e-9))
    lines = []
    for method in method_order(rows["method"]):
        own = rows["method"] == method
        back = rows[own & turned]
        line = (f"- {method}: within 1 % of its highest in the last picture in {int((own & ~turned).sum())} of "
                f"{int(own.sum())} runs")
        if len(back):
            up, down = int((risen & own & turned).sum()), int((~risen & own & turned).sum())
            causes = [f"in {n} mainly {what}" for n, what in [(up, "because the normal images rise"),
                                                              (down, "because the defects sink")] if n]
            line += (f"; it turns back on {listing(sorted(set(back['category'])))}, {listing(causes)}, "
                     f"by more than 5 % in {int((own & far).sum())}")
        lines.append(line)
    return "\n".join([f"In the {len(rows)} filmed runs of the reference sweep ({link('films')}, means over the filmed "
                      "defects) the ratio is", "", *lines, "",
                      "Defects that sink faster than normal images would be over-generalisation; normal images that "
                      "rise are not."])

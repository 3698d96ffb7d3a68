"""Lesson 10: what the measurement over image sizes and tiles says."""

import pandas as pd

from adlib.lessons.quotes import link, listing, method_order
from adlib.runs.tables import count
from adlib.settings import METRIC_NAMES

SPOKEN_OF = {"nearest": "The training-free baseline", "stfpm": "STFPM"}
SHOWN = ["image_auroc", "pixel_ap", "pro", "iap"]
CONTEXT = ("missing_part", "misplaced_part")


def say_price(rows: pd.DataFrame) -> str:
    """Best setting of all, of small defects and per price, for each method, from resolution.csv."""
    key, sentences = ["image_size", "tiles"], []
    for method, of_method in rows.groupby("method"):
        every, small = (of_method[of_method["subset"] == name] for name in ("all", "smallest third"))
        mean = every.groupby(key)[["image_auroc", "pixel_ap", "ms_per_image"]].mean()
        few = small.groupby(key)["image_auroc"].mean()
        least = min(mean.index)
        best = {"image AUROC": mean["image_auroc"], "image AUROC of the smallest third": few,
                "pixel AP": mean["pixel_ap"]}
        times = mean["ms_per_image"] / mean["ms_per_image"][least]
        parts = [f"{name} is best at {spell_setting(*values.idxmax())} ({values.max():.3f}, {values[least]:.3f} at "
                 f"{spell_setting(*least)}), for {times[values.idxmax()]:.1f} times the time of a map"
                 for name, values in best.items()]
        seeds = every.groupby(["category", *key])["seed"].nunique()
        sentences.append(
            f"{SPOKEN_OF[method]} on {listing(sorted(every['category'].unique()))} (on "
            f"{listing(sorted(every['device'].unique()))}, {count(len(seeds), 'setting')}, {say_seeds(seeds)} "
            f"for each): {'; '.join(parts)}.")
    return f"From {link('resolution')}. " + " ".join(sentences)


def say_seeds(seeds: pd.Series) -> str:
    low, high = seeds.min(), seeds.max()
    return f"{low} to {high} seeds" if low < high else count(low, "seed")


def say_context(rows: pd.DataFrame) -> str:
    """Whether tiles lose the parts that are missing or misplaced, per method and image size, from resolution.csv."""
    sentences = []
    for (method, size), group in rows[rows["subset"].isin(CONTEXT)].groupby(["method", "image_size"]):
        mean = group.groupby(["subset", "tiles"])["image_auroc"].mean().unstack("tiles")
        if len(mean.columns) < 2:
            continue
        changes = [f"{name.replace('_', ' ')} " + ", ".join(f"{value:.2f}" for value in row)
                   for name, row in mean.iterrows()]
        sentences.append(f"{SPOKEN_OF[method]} at {size} px, image AUROC with {listing(map(str, mean.columns))} tiles "
                         f"a side: {'; '.join(changes)}.")
    return " ".join(sentences) or "No defect type of this measurement is a missing or misplaced part."


def say_photographs(rows: pd.DataFrame) -> str:
    """What tiles do for each method on real parts, a table per category and what it says, from photographs.csv."""
    blocks = []
    for category, of_category in rows.groupby("category", sort=False):
        means = of_category.groupby(["method", "tiles"], sort=False)[[*SHOWN, "ms_per_image"]].mean()
        seeds = of_category.groupby(["method", "tiles"])["seed"].nunique()
        lines = [f"| {category} | tiles | " + " | ".join(METRIC_NAMES[m] for m in SHOWN) + " | ms |",
                 "|---" * (len(SHOWN) + 3) + "|"]
        for name in method_order(of_category["method"]):
            for tiles, row in means.loc[name].sort_index().iterrows():
                numbers = " | ".join(f"{row[m]:.3f}" for m in SHOWN)
                lines.append(f"| {name} | {spell_tiles(tiles)} | {numbers} | {row['ms_per_image']:.0f} |")
        blocks += ["\n".join(lines), say_gain(of_category, means), ""]
    low, high = seeds.min(), seeds.max()
    return "\n\n".join([*blocks, f"From {link('photographs')}: {rows['image_size'].iloc[0]} px, means over "
                         f"{low if low == high else f'{low} to {high}'} seeds, milliseconds of a map."])


def say_gain(rows: pd.DataFrame, means: pd.DataFrame) -> str:
    """In how many methods tiles raise each number with every seed, and which detector is best then."""
    wide = rows.pivot_table(index=["method", "seed"], columns="tiles", values=SHOWN)
    methods = [m for m, group in rows.groupby("method") if group["tiles"].nunique() > 1]
    found = []
    for m in SHOWN:
        change = (wide[m][max(wide[m])] - wide[m][min(wide[m])]).dropna()
        up, down = (sum((sign * change[name] > 0).all() for name in methods) for sign in (1, -1))
        found.append(f"{METRIC_NAMES[m]} {up} up, {down} down")
    best = [f"{name}, {spell_tiles(tiles)}, in {METRIC_NAMES[m]}" for m in ("image_auroc", "pixel_ap")
            for name, tiles in [means[m].idxmax()]]
    return (f"Of {count(len(methods), 'method')}, with every seed by the most tiles: {'; '.join(found)}. The best: "
            f"{listing(best)}.")


def spell_tiles(tiles: int) -> str:
    return f"{tiles} x {tiles}" if tiles > 1 else "whole"


def spell_setting(size: int, tiles: int) -> str:
    return f"{size} px" + (f" and {tiles} x {tiles} tiles" if tiles > 1 else ", whole")

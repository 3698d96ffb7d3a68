"""Lesson 10: what the measurement over image sizes and tiles says."""

import pandas as pd

from adlib.lessons.quotes import link, listing
from adlib.runs.tables import count

SPOKEN_OF = {"nearest": "The training-free baseline", "stfpm": "STFPM"}
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


def spell_setting(size: int, tiles: int) -> str:
    return f"{size} px" + (f" and {tiles} x {tiles} tiles" if tiles > 1 else ", whole")

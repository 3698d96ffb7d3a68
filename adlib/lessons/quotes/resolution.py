"""Lesson 10: what the measurement over image sizes and tiles says."""

import pandas as pd

from adlib.lessons.quotes import link, listing

CONTEXT = ("missing_part", "misplaced_part")


def say_price(rows: pd.DataFrame) -> str:
    """Best setting of all, of small defects and per price, from resolution.csv."""
    key = ["image_size", "tiles"]
    every, small = (rows[rows["subset"] == name] for name in ("all", "smallest third"))
    mean = every.groupby(key)[["image_auroc", "pixel_ap", "ms_per_image", "train_seconds"]].mean()
    few = small.groupby(key)["image_auroc"].mean()
    least = min(mean.index)
    best = {"image AUROC": mean["image_auroc"].idxmax(), "image AUROC of the smallest third": few.idxmax(),
            "pixel AP": mean["pixel_ap"].idxmax()}
    values = dict(zip(best, (mean["image_auroc"], few, mean["pixel_ap"]), strict=True))
    times = mean["ms_per_image"] / mean["ms_per_image"][least]
    parts = [f"{name} is best at {spell_setting(*at)} ({values[name][at]:.3f}, {values[name][least]:.3f} at "
             f"{spell_setting(*least)}), for {times[at]:.1f} times the time of a map" for name, at in best.items()]
    seeds = every.groupby(["category", *key])["seed"].nunique()
    return (f"STFPM on {listing(sorted(every['category'].unique()))} ({link('resolution')}; on "
            f"{listing(sorted(every['device'].unique()))}, {seeds.min()} to {seeds.max()} seeds for each setting): "
            f"{'; '.join(parts)}.")


def say_context(rows: pd.DataFrame) -> str:
    """Whether tiles lose the parts that are missing or misplaced, at one image size, from resolution.csv."""
    sentences = []
    for size, group in rows[rows["subset"].isin(CONTEXT)].groupby("image_size"):
        mean = group.groupby(["subset", "tiles"])["image_auroc"].mean().unstack("tiles")
        changes = [f"{name.replace('_', ' ')} " + ", ".join(f"{value:.2f}" for value in row)
                   for name, row in mean.iterrows()]
        sentences.append(f"At {size} px, image AUROC with {listing(map(str, mean.columns))} tiles a side: "
                         f"{'; '.join(changes)}.")
    return " ".join(sentences) or "No defect type of this measurement is a missing or misplaced part."


def spell_setting(size: int, tiles: int) -> str:
    return f"{size} px" + (f" and {tiles} x {tiles} tiles" if tiles > 1 else ", whole")

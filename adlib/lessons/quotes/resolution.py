"""Lesson 10: what the measurement over image sizes and tiles says."""

import pandas as pd

from adlib.lessons.paper_comparison import margins_of_two_rows
from adlib.lessons.quotes import as_table, link, listing, method_order
from adlib.runs.tables import count
from adlib.settings import METRIC_NAMES

SPOKEN_OF = {"nearest": "The training-free baseline", "stfpm": "STFPM"}
OF_PARTS = ["image_auroc", "pixel_ap", "pro", "iap"]
CONTEXT = ("missing_part", "misplaced_part")


def say_price(rows: pd.DataFrame) -> str:
    """Best setting of all, of small defects and per price, for each method, from resolution.csv."""
    key, blocks = ["image_size", "tiles"], []
    for method, of_method in rows.groupby("method"):
        every, small = (of_method[of_method["subset"] == name] for name in ("all", "smallest third"))
        by_setting = every.groupby(key)
        times = by_setting["ms_per_image"].mean()
        least, lines = min(times.index), []
        times /= times[least]
        numbers = {"image AUROC": by_setting["image_auroc"],
                   "image AUROC of the smallest third": small.groupby(key)["image_auroc"],
                   "pixel AP": by_setting["pixel_ap"]}
        for name, runs in numbers.items():
            values = runs.mean()
            top, cheap = values.idxmax(), cheapest_alike({setting: list(x) for setting, x in runs}, times)
            lines.append([name, *(f"{values[x]:.3f}: {spell_setting(*x)} ({times[x]:.1f})"
                                  for x in (least, cheap, top))])
        seeds = every.groupby(["category", *key])["seed"].nunique()
        blocks += [
            f"{SPOKEN_OF[method]} on {listing(sorted(every['category'].unique()))} (on "
            f"{listing(sorted(every['device'].unique()))}, {count(len(seeds), 'setting')}, {say_seeds(seeds)} "
            "for each):",
            as_table(["", "cheapest", "cheapest that chance does not tell from the best", "best"], lines),
            "A larger image or tiles? " + say_either(numbers, times)]
    return "\n\n".join([f"From {link('resolution')}; in brackets how many times the time of the cheapest. Chance does "
                        "not tell two settings apart that lie within lesson 05's margin over seeds.", *blocks])


def say_either(numbers: dict, times: pd.Series) -> str:
    """The best setting of whole images and the best with tiles of each number, and what they take."""
    parts = []
    for name, runs in numbers.items():
        values = runs.mean()
        cut = values.index.get_level_values("tiles") > 1
        if cut.all() or not cut.any():
            return "Only one of the two was measured."
        whole, tiled = values[~cut].idxmax(), values[cut].idxmax()
        samples = {setting: list(x) for setting, x in runs}
        *_, margin = margins_of_two_rows(samples[whole], samples[tiled], [*samples.values()],
                                         comparisons=int(cut.sum() * (~cut).sum()))     # both are picked
        apart = abs(values[whole] - values[tiled]) > margin       # NaN: no verdict
        parts.append(f"{name} {values[whole]:.3f} whole ({times[whole]:.1f}) and {values[tiled]:.3f} in tiles "
                     f"({times[tiled]:.1f}), {'beyond' if apart else 'within'} chance")
    return f"The best of either: {'; '.join(parts)}."


def cheapest_alike(values: dict[tuple, list[float]], times: pd.Series) -> tuple:
    """Of the settings that lie within the margin of chance (lesson 05's) of the best, that which takes least time."""
    best = max(values, key=lambda setting: sum(values[setting]) / len(values[setting]))
    alike = [best]
    for setting, own in values.items():
        *_, margin = margins_of_two_rows(values[best], own, [*values.values()], comparisons=max(1, len(values) - 1))
        if sum(values[best]) / len(values[best]) - sum(own) / len(own) <= margin:       # NaN: no verdict
            alike.append(setting)
    return min(alike, key=times.__getitem__)


def say_seeds(seeds: pd.Series) -> str:
    low, high = seeds.min(), seeds.max()
    return f"{low} to {high} seeds" if low < high else count(low, "seed")


def say_context(rows: pd.DataFrame) -> str:
    """Whether tiles lose the parts that are missing or misplaced, per method and image size, from resolution.csv."""
    lines, falls = [], {}
    for (method, size), group in rows[rows["subset"].isin(CONTEXT)].groupby(["method", "image_size"]):
        mean = group.groupby(["subset", "tiles"])["image_auroc"].mean().unstack("tiles")
        if len(mean.columns) < 2:
            continue
        for name, row in mean.iterrows():
            lines.append([method, f"{size} px", name.replace("_", " "),
                          *(f"{row[n]:.2f}" if n in row.index else "" for n in sorted(set(rows["tiles"])))])
            falls.setdefault(name, []).append(row.iloc[-1] < row.iloc[0])
    if not lines:
        return "No defect type of this measurement is a missing or misplaced part."
    counts = listing(f"{name.replace('_', ' ')} in {sum(found)} of {len(found)}" for name, found in falls.items())
    head = ["method", "image", "defect", *map(spell_tiles, sorted(set(rows["tiles"])))]
    where = listing(f"*{c}*" for c in sorted(set(rows["category"])))
    return (f"Image AUROC over image sizes and tiles on {where} ({link('resolution')}):\n\n{as_table(head, lines)}\n\n"
            f"From whole images to the most tiles it falls for: {counts} settings.")


def say_tiled_parts(rows: pd.DataFrame) -> str:
    """What tiles do for each method on real parts, a table per category and what it says, from photographs.csv."""
    rows, blocks = complete_settings(of_smallest_size(rows).query("steps == 0")), []
    for category, of_category in rows.groupby("category", sort=False):
        means = of_category.groupby(["method", "tiles"])[[*OF_PARTS, "train_seconds", "ms_per_image"]].mean()
        lines = ([name, spell_tiles(tiles), *(f"{row[m]:.3f}" for m in OF_PARTS), f"{row['train_seconds']:.0f}",
                  f"{row['ms_per_image']:.0f}"]
                 for name in method_order(of_category["method"]) for tiles, row in means.loc[name].iterrows())
        blocks += [as_table([category, "tiles", *map(METRIC_NAMES.get, OF_PARTS), "training, s", "ms"], lines),
                   say_gain(of_category, means)]
    return "\n\n".join([*blocks, f"From {link('photographs')}: {listing(map(str, rows['image_size'].unique()))} px, "
                         f"means over {count(rows['seed'].nunique(), 'seed')}, milliseconds of a map "
                         f"({rows['processor'].iloc[0]})."])


def say_gain(rows: pd.DataFrame, means: pd.DataFrame) -> str:
    """For how many methods the most tiles raise or lower each number with every seed, and which detector is best."""
    directions = {m: [] for m in OF_PARTS}
    for _, group in rows.groupby("method"):
        by_tiles = group.pivot_table(index="seed", columns="tiles", values=OF_PARTS)
        for m in OF_PARTS:
            whole, most = by_tiles[m].iloc[:, 0], by_tiles[m].iloc[:, -1]
            if by_tiles[m].shape[1] > 1:
                directions[m].append(int((most > whole).all()) - int((most < whole).all()))
    best = [f"{name}, {spell_tiles(tiles)}, in {METRIC_NAMES[m]}" for m in ("image_auroc", "pixel_ap")
            for name, tiles in [means[m].idxmax()]]
    return (f"From whole images to the most tiles, in every seed, {say_directions(directions)}. The best: "
            f"{listing(best)}.")


def say_directions(directions: dict[str, list[int]]) -> str:
    """For how many methods each number rises (1) or falls (-1)."""
    rise, fall = (", ".join(f"{METRIC_NAMES[m]} ({found.count(sign)} of {count(len(found), 'method')})"
                            for m, found in directions.items() if found.count(sign)) for sign in (1, -1))
    return f"what rises is {rise or 'nothing'}; what falls is {fall or 'nothing'}"


def of_smallest_size(rows: pd.DataFrame) -> pd.DataFrame:
    return rows[rows["image_size"] == rows["image_size"].min()]


def complete_settings(rows: pd.DataFrame) -> pd.DataFrame:
    """Without the settings that have fewer seeds than others: these are still being measured."""
    seeds = rows.groupby(["category", "method", "image_size", "tiles", "steps"])["seed"].transform("nunique")
    return rows[seeds == seeds.max()]


def longer_share(rows: pd.DataFrame, metric: str) -> pd.DataFrame:
    """(methods, 2): what tiles add to a number, where they do, and what a longer training of whole images adds."""
    found = {}
    for name, group in of_smallest_size(rows).groupby(["category", "method"]):
        means = group.groupby(["steps", "tiles"])[metric].mean()
        if group["steps"].any() and (tiled := means[0].iloc[-1]) > (short := means[0].iloc[0]):
            found[name] = {"tiles": tiled - short, "longer": means[group["steps"].max(), 1] - short}
    return pd.DataFrame.from_dict(found, orient="index", columns=["tiles", "longer"])


def say_longer(rows: pd.DataFrame) -> str:
    """How much of what tiles add a longer training on whole images adds as well, from photographs.csv."""
    rows, parts, lone = of_smallest_size(rows), [], []
    for m in ("image_auroc", "pixel_ap"):
        parts += [f"{100 * gain['longer']:+.1f} of {100 * gain['tiles']:+.1f} points {METRIC_NAMES[m]} ({method} on "
                  f"{category})" for (category, method), gain in longer_share(rows, m).iterrows()]
    steps = rows.loc[rows["steps"] > 0, "steps"].unique()
    seeds = rows[rows["steps"] > 0].groupby(["category", "method"])["seed"].nunique()
    for (category, method), own in rows.groupby(["category", "method"], sort=False):
        means = own.groupby(["steps", "tiles"])[["image_auroc", "iap"]].mean()
        if own["steps"].any() and means.loc[0, "image_auroc"].iloc[-1] <= means.loc[0, "image_auroc"].iloc[0]:
            change = 100 * (means.loc[(own["steps"].max(), 1)] - means.loc[(0, 1)])
            lone.append(f" Where tiles do not raise image AUROC ({method} on {category}), a longer training changes it "
                        f"by {change['image_auroc']:+.1f} points, and IAP by {change['iap']:+.1f}.")
    return (f"Whole images with {listing(f'{n:,}' for n in steps)} steps get {listing(parts)}, means over "
            f"{say_seeds(seeds)}: that much the longer training alone brings. (Tiles with as few steps as whole images "
            "were not run.)"
            f"{''.join(lone)} (Try a longer training before you tile; it costs time once, nothing for an image that "
            "is judged.)"
            if parts else "No whole image of this extract was trained as long as tiles are.")


def means_by_way(rows: pd.DataFrame, method: str, category: str) -> pd.DataFrame:
    """A method's means over seeds on a category, in ascending order of size, tiles and steps, by the way in words."""
    own = rows[(rows["method"] == method) & (rows["category"] == category)]
    means = own.groupby(["image_size", "tiles", "steps"])[OF_PARTS].mean()
    names = [spell_setting(size, tiles) + (f", {steps:,} steps" if steps else "") for size, tiles, steps in means.index]
    return means.set_index(pd.Index(names))


def say_larger(rows: pd.DataFrame) -> str:
    """What a larger image brings, alone and with a longer training, beside small tiles, from photographs.csv."""
    rows, blocks = complete_settings(rows), []
    for category, of_category in rows.groupby("category", sort=False):
        lines, directions = [], {m: [] for m in OF_PARTS}
        for name in method_order(of_category["method"]):
            own = of_category[of_category["method"] == name]
            whole = own[(own["tiles"] == 1) & (own["steps"] == 0)]
            if whole["image_size"].nunique() == 1:
                continue
            lines += [[name, way, *(f"{row[m]:.3f}" for m in OF_PARTS)]
                      for way, row in means_by_way(rows, name, category).iterrows()]
            for m in OF_PARTS:
                low, high = (part[m] for _, part in whole.groupby("image_size"))
                directions[m].append(int(high.min() > low.max()) - int(high.max() < low.min()))
        if not lines:
            continue
        blocks += [as_table([category, "image", *map(METRIC_NAMES.get, OF_PARTS)], lines),
                   "From the small to the large image, whole, and with every seed of the one above every seed of the "
                   f"other, {say_directions(directions)}."]
    if not blocks:
        return "No larger image was measured."
    on_card = int((rows["device"] == "cuda").sum())
    where = f" {on_card} of the {len(rows)} rows were made on a GPU: rounding may differ." if on_card else ""
    return "\n\n".join([*blocks, say_either_way(rows), f"From {link('photographs')}.{where}"])


def say_either_way(rows: pd.DataFrame) -> str:
    """Pixel AP of a larger image, trained longest, and of the most tiles, where both are measured."""
    parts = []
    for (category, method), own in rows.groupby(["category", "method"], sort=False):
        most, large = own["tiles"].max(), own["image_size"].max()
        steps = own.loc[own["image_size"] == large, "steps"].max()
        if most > 1 and own["image_size"].nunique() > 1 and (steps or method == "nearest"):     # which takes no steps
            ways = [own[own["tiles"] == most], own[(own["image_size"] == large) & (own["steps"] == steps)]]
            tiled, whole = (way["pixel_ap"].mean() for way in ways)
            taken = f" ({steps:,} steps)" if steps else ""
            parts.append(f"{method} on {category} {whole:.3f} by the larger image{taken}, {tiled:.3f} by tiles")
    return (f"Pixel AP: {'; '.join(parts)}. Tiles take the epochs of the budget: with RD4AD on *tire* as many steps, "
            "with masked RD more. Twice the side costs a student four maps, n x n tiles n²; the baseline's search "
            "costs more (section 6).")


def spell_tiles(tiles: int) -> str:
    return f"{tiles} x {tiles}" if tiles > 1 else "whole"


def spell_setting(size: int, tiles: int) -> str:
    return f"{size} px" + (f" and {tiles} x {tiles} tiles" if tiles > 1 else ", whole")

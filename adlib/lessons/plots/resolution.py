"""Figures of lesson 10: what shrinking leaves of a defect, what levels answer, tiles and their seams, the price."""

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from matplotlib.figure import Figure
from torch import Tensor

from adlib.data import Tiles
from adlib.data.tiles import OVERLAP
from adlib.explorer.quantize import CMAP
from adlib.lessons.plots import ACCENT, ANOMALOUS, METHOD_MARKS, NORMAL, OUTLINE, QUIET, new_figure, picture
from adlib.lessons.quotes.resolution import spell_setting
from adlib.settings import METRIC_NAMES

LEVEL_MARKS = [(NORMAL, "o"), ("#de8f05", "s"), (ANOMALOUS, "^"), ("#029e73", "D")]
TILE_MARKS = {1: (NORMAL, "o"), 2: ("#de8f05", "s"), 3: (ANOMALOUS, "^")}


def shrunk_crops(image: Tensor, centre: tuple[int, int], sizes: list[int], mask: Tensor | None = None, *,
                 half: int = 40) -> Figure:
    """The surroundings of a place in a (3, H, H) image after it was brought to each size and shown as large again.

    At least `half` pixels to each side; a frame is drawn around what is anomalous in the (H, H) mask.
    """
    from matplotlib.patches import Rectangle

    figure, axes = new_figure(1, len(sizes), width=1.9, height=2.0)
    side, box = image.shape[-1], None
    if mask is not None and mask.any():
        box = mask.nonzero().amin(dim=0) - 3, mask.nonzero().amax(dim=0) + 4        # (y, x) each
        half = min(side // 2, max(half, *((end - torch.tensor(centre)).abs().max().item() for end in box)))
    y, x = (int(np.clip(c, half, side - half)) for c in centre)
    for ax, size in zip(axes[0], sizes, strict=True):
        small = F.interpolate(image[None].float() / 255, size=(size, size), mode="bilinear", antialias=True)
        shown = F.interpolate(small, size=(side, side), mode="nearest")[0].clamp(0, 1)
        picture(ax, shown[:, y - half:y + half, x - half:x + half], title=f"{size} px")
        if box is not None:
            grid = 128 / half       # units of a picture in a pixel
            top, left = (grid * (box[0] - torch.tensor([y - half, x - half]))).tolist()
            height, width = (grid * (box[1] - box[0])).tolist()
            ax.add_patch(Rectangle((left, top), width, height, fc="none", ec=OUTLINE, lw=1.2))
    return figure


def grids(before: np.ndarray, after: np.ndarray) -> Figure:
    """A small image with its numbers, before and after it was shrunk."""
    figure, axes = new_figure(1, 2, width=3.2, height=3.0)
    for ax, values, title in zip(axes[0], (before, after), ("8 x 8", "4 x 4"), strict=True):
        ax.imshow(values, cmap="gray", vmin=0, vmax=1)
        for (i, j), value in np.ndenumerate(values):
            ax.text(j, i, f"{value:.2f}".lstrip("0") if value else "0", ha="center", va="center", fontsize=7.5,
                    color="0.1" if value > 0.5 else "0.95")
        ax.set(xticks=[], yticks=[], title=title)
    return figure


def level_responses(diameters: list[float], responses: dict[str, np.ndarray]) -> Figure:
    """How far a dot moves the features of each level, over its diameter; 1 is another normal image."""
    figure, axes = new_figure(1, 1, width=6.0, height=3.2)
    ax = axes[0, 0]
    for (name, values), (colour, marker) in zip(responses.items(), LEVEL_MARKS, strict=False):
        ax.plot(diameters, values, marker=marker, color=colour, lw=1.4, label=name)
    ax.axhline(1, color=QUIET, ls=":", lw=1)
    ax.set(xscale="log", xlabel="diameter of the dot (pixels of 256)", ylabel="strongest response\n(another image = 1)")
    ax.set_xticks(diameters, [f"{d:g}" for d in diameters])
    ax.set_xticks([], minor=True)
    ax.legend(frameon=False)
    return figure


def response_maps(images: Tensor, levels: list[Tensor], diameters: list[float]) -> Figure:
    """A row per dot: the image, and the map of each level, on one scale per level."""
    figure, axes = new_figure(len(images), 1 + len(levels), width=1.6, height=1.65)
    for i, row in enumerate(axes):
        picture(row[0], images[i], title=f"{diameters[i]:g} px")
        for k, (ax, level) in enumerate(zip(row[1:], levels, strict=True)):
            picture(ax, level[i], cmap=CMAP, vmin=0, vmax=float(level.max()), interpolation="nearest",
                    title=f"level {k + 1}: {level.shape[-1]} x {level.shape[-1]}" if i == 0 else "")
    return figure


def tile_grid(tiles: Tiles) -> Figure:
    """The first image with the borders of its tiles, and the weight of each pixel of one tile."""
    from matplotlib.patches import Rectangle

    figure, axes = new_figure(1, 2, width=3.0, height=3.0)
    height, width = tiles.images.shape[-2:]
    axes[0, 0].imshow(tiles.images[0].permute(1, 2, 0))
    for place in range(tiles.each):
        y, x = (k * (tiles.size - OVERLAP) for k in divmod(place, tiles.grid[1]))
        axes[0, 0].add_patch(Rectangle((x, y), tiles.size - 1, tiles.size - 1, fc="none", ec=OUTLINE, lw=1.2))
    axes[0, 0].set(xlabel=f"{width} px", ylabel=f"{height} px", xticks=[], yticks=[], title="tiles")
    edge = torch.arange(tiles.size)
    ramp = torch.sin(((torch.minimum(edge, tiles.size - 1 - edge) + 0.5) / OVERLAP).clamp(max=1) * np.pi / 2) ** 2
    shown = axes[0, 1].imshow(ramp[:, None] * ramp, cmap="cividis", vmin=0, vmax=1)
    axes[0, 1].set(xticks=[], yticks=[], title="weight within a tile")
    figure.colorbar(shown, ax=axes[0, 1], shrink=0.8)
    return figure


def seams(maps: dict[str, Tensor]) -> Figure:
    """(H, W) maps of one image, made in several ways, on one scale."""
    figure, axes = new_figure(1, len(maps), width=2.3, height=2.4)
    top = max(float(m.max()) for m in maps.values())
    for ax, (name, m) in zip(axes[0], maps.items(), strict=True):
        picture(ax, m, cmap=CMAP, vmin=0, vmax=top, title=name)
    return figure


def letterbox(images: dict[str, Tensor]) -> Figure:
    """(3, H, W) images beside each other, each at its own aspect."""
    figure, axes = new_figure(1, len(images), width=2.6, height=2.6)
    for ax, (name, image) in zip(axes[0], images.items(), strict=True):
        ax.imshow(image.permute(1, 2, 0))
        ax.set(xticks=[], yticks=[], title=name)
    return figure


def cost_quality(rows: pd.DataFrame, *, subset: str = "smallest third") -> Figure:
    """Quality over the milliseconds of an image's map, a row per method, with a line from the worst to the best seed.

    A kind of mark per number of tiles; the larger the image, the larger the mark.
    """
    from matplotlib.lines import Line2D
    from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

    figure, axes = new_figure(rows["method"].nunique(), 3, width=3.1, height=2.8)
    for line, (method, of_method) in zip(axes, rows.groupby("method"), strict=True):
        every, few = of_method[of_method["subset"] == "all"], of_method[of_method["subset"] == subset]
        panels = [(every, "image_auroc", "image AUROC"), (few, "image_auroc", f"image AUROC,\n{subset}"),
                  (every, "pixel_ap", "pixel AP")]
        for ax, (chosen, number, label) in zip(line, panels, strict=True):
            for tiles, group in chosen.groupby("tiles"):
                colour, marker = TILE_MARKS.get(tiles, (ACCENT, "x"))
                by_size = group.groupby("image_size")[[number, "ms_per_image"]]
                mean, low, high = by_size.mean(), by_size.min()[number], by_size.max()[number]
                ax.vlines(mean["ms_per_image"], low, high, color=colour, lw=1, alpha=0.6)
                ax.plot(mean["ms_per_image"], mean[number], color=colour, lw=1)
                ax.scatter(mean["ms_per_image"], mean[number], (mean.index / 25) ** 2, color=colour, marker=marker)
            ax.set(xscale="log", xlabel="ms for an image's map", ylabel=label)
            ax.xaxis.set(major_locator=LogLocator(subs=(1, 3)), minor_locator=NullLocator(),
                         major_formatter=FuncFormatter("{:g}".format))
        line[0].set_title("STFPM" if method == "stfpm" else "training-free baseline", loc="left", fontsize=9)
    marks = [Line2D([], [], color=colour, marker=marker, label=f"{tiles} x {tiles}")
             for tiles, (colour, marker) in TILE_MARKS.items()]
    sizes = [Line2D([], [], color=QUIET, ls="", marker="o", ms=size / 25, label=f"{size} px")
             for size in sorted(rows["image_size"].unique())]
    axes[0, 0].legend(handles=marks, title="tiles", frameon=False, fontsize=8)
    axes[0, 1].legend(handles=sizes, title="image size", frameon=False, fontsize=8)
    return figure


def ways_on_parts(rows: pd.DataFrame) -> Figure:
    """Image AUROC and pixel AP on real parts, a row of panels per category, from photographs.csv.

    A line of a panel is a way to see the images; on it a mark per method, with a bar from its worst to its best seed.
    """
    from matplotlib.lines import Line2D

    categories = rows["category"].unique()
    figure, axes = new_figure(len(categories), 2, width=4.2, height=2.9)
    for line, category in zip(axes, categories, strict=True):
        of_category = rows[rows["category"] == category]
        ways = list(dict.fromkeys(way for _, way in sorted(
            ((size, steps, tiles), spell_way(size, tiles, steps)) for size, tiles, steps in
            of_category[["image_size", "tiles", "steps"]].drop_duplicates().itertuples(index=False))))
        methods = [name for name in METHOD_MARKS if name in set(of_category["method"])]
        for ax, number in zip(line, ("image_auroc", "pixel_ap"), strict=True):
            for k, name in enumerate(methods):
                colour, marker = METHOD_MARKS[name]
                own = of_category[of_category["method"] == name]
                for (size, tiles, steps), group in own.groupby(["image_size", "tiles", "steps"]):
                    y = ways.index(spell_way(size, tiles, steps)) + 0.15 * (k - (len(methods) - 1) / 2)
                    ax.hlines(y, group[number].min(), group[number].max(), color=colour, lw=1)
                    ax.plot(group[number].mean(), y, marker=marker, color=colour, ms=5, ls="")
            for y in range(1, len(ways)):
                ax.axhline(y - 0.5, color="0.9", lw=0.8)
            ax.set(ylim=(len(ways) - 0.5, -0.5), xlabel=METRIC_NAMES[number], yticks=range(len(ways)),
                   yticklabels=ways if number == "image_auroc" else [])
        line[0].set_title(category, loc="left")
    marks = [Line2D([], [], color=colour, marker=marker, ls="", label=name)
             for name, (colour, marker) in METHOD_MARKS.items() if name in set(rows["method"])]
    figure.legend(handles=marks, loc="outside upper center", ncols=len(marks), frameon=False, fontsize=9)
    return figure


def spell_way(size: int, tiles: int, steps: int) -> str:
    return spell_setting(size, tiles) + (f",\n{steps:,} steps" if steps else "")

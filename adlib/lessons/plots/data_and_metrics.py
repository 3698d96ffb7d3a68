"""Figures of lesson 00: the data, the baseline's maps, and how the six numbers come about."""

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor

from adlib import find_input, metrics
from adlib.data.category import Category, list_categories
from adlib.data.images import read_image, read_mask, shrink_mask
from adlib.data.listing import list_files
from adlib.explorer import CMAP, normal_scale
from adlib.lessons.plots import ACCENT, ANOMALOUS, NORMAL, QUIET, defect_name, new_figure, picture
from adlib.lessons.plots.diagrams import BLUE, LIGHT_GREY, ORANGE, diagram_arrow, diagram_box, new_diagram
from adlib.metrics import METRIC_NAMES


def contact_sheet(data_root: str, *, size: int = 256, normal: int = 2) -> Figure:
    """A row per category of a data set: normal training images, then one image of each defect type, outlined."""
    names = list_categories(data_root)
    files = [list_files(find_input(data_root) / name) for name in names]
    rows = [[(p, "normal", None) for p in train[:normal]] + examples(test, masks) for train, test, masks, *_ in files]
    figure, axes = new_figure(len(rows), max(map(len, rows)), width=1.5, height=1.65)
    for ax in axes.flat:
        ax.set_axis_off()
    for name, row, line in zip(names, rows, axes, strict=True):
        for (path, title, mask), ax in zip(row, line, strict=False):
            outline = shrink_mask(read_mask(mask)) if mask else None
            picture(ax, read_image(path, size).transpose(2, 0, 1), mask=outline, title=title.replace("_", " "))
        line[0].set_title(f"{name}: normal", fontsize=9, fontweight="bold")
    return figure


def examples(test: list, masks: dict) -> list:
    """(path, defect, mask) of the middle image of each defect type: neither the most obvious nor the faintest."""
    by_defect = {}
    for path in test:
        by_defect.setdefault(path.parent.name, []).append(path)
    middle = {defect: paths[len(paths) // 2] for defect, paths in by_defect.items() if defect != "good"}
    return [(path, defect, masks.get(path)) for defect, path in middle.items()]


def gallery(category: Category, indices: list[int], *, outlined: bool = True) -> Figure:
    """Test images side by side, defects outlined where there is a mask."""
    figure, axes = new_figure(1, len(indices), width=1.55, height=1.75)
    for i, ax in zip(indices, axes.flat, strict=True):
        mask = category.masks[i] if outlined and category.masks is not None else None
        picture(ax, category.test[i], mask=mask, title=defect_name(category, i))
    return figure


def nearest_patch_diagram(shapes: list[tuple], size: int) -> Figure:
    """How the training-free baseline (nearest patch) turns an image into a map, with the shapes of this run."""
    figure, ax = new_diagram(width=9.6, height=2.9, top=34)
    diagram_box(ax, 0, 13, 12, 9, f"image\n3 x {size} x {size}", LIGHT_GREY)
    diagram_box(ax, 18, 9, 13, 17, "frozen teacher\n(ImageNet)", BLUE)
    for k, (channels, side) in enumerate(shapes):
        y = 25 - 12 * k
        diagram_box(ax, 38, y, 15, 8, f"level {k + 1}\n{channels} x {side} x {side}", BLUE)
        diagram_box(ax, 59, y, 18, 8, "distance to the nearest\nstored feature", ORANGE)
        for x0, x1, y0 in [(31, 38, 17.5), (53, 59, y + 4)]:
            diagram_arrow(ax, x0, y0, x1, y + 4)
        diagram_arrow(ax, 77, y + 4, 84, 17.5)
    diagram_box(ax, 84, 12, 15, 11, "upsample, add\nmap 256 x 256\nscore = largest", LIGHT_GREY)
    diagram_arrow(ax, 12, 17.5, 18, 17.5)
    return figure


def heatmaps(category: Category, maps: Tensor, indices: list[int], *, scale: dict | None = None) -> Figure:
    """Test images above their maps, all on one colour scale that normal images set; ground truth outlined."""
    scale = scale or normal_scale(maps, category.labels)
    figure, axes = new_figure(2, len(indices), width=1.55, height=1.7)
    for column, i in zip(axes.T, indices, strict=True):
        mask = None if category.masks is None else category.masks[i]
        picture(column[0], category.test[i], mask=mask, title=defect_name(category, i))
        shown = picture(column[1], maps[i], mask=mask, cmap=CMAP, **scale)
    figure.colorbar(shown, ax=axes[1], label="pixel score", shrink=0.8, pad=0.01)
    return figure


def side_by_side(category: Category, columns: dict[str, Tensor], indices: list[int], *,
                 extra: dict[str, tuple[Tensor, Tensor, dict[str, Tensor]]] | None = None,
                 across: bool = False) -> Figure:
    """Images, and a column for each kind of map on one scale, which the normal test images set.

    Parameters
    ----------
    category : Category
    columns : dict of (N, H, W) tensors
        Maps of all test images, by name.
    indices : list of int
        Which test images are shown.
    extra : dict, optional
        Rows put above them, by title: an image (3, S, S), its mask (256, 256), and its maps by the columns' names.
    across : bool
        Images side by side instead, a row for each kind of map.
    """
    scales = {name: normal_scale(m, category.labels) for name, m in columns.items()}
    rows = [(title, *row) for title, row in (extra or {}).items()]
    for i in indices:
        mask = None if category.masks is None else category.masks[i]
        rows.append((defect_name(category, i), category.test[i], mask, {name: m[i] for name, m in columns.items()}))
    shape = (1 + len(columns), len(rows)) if across else (len(rows), 1 + len(columns))
    figure, axes = new_figure(*shape, width=1.5, height=1.55)
    for n, (line, (title, image, mask, maps)) in enumerate(zip(axes.T if across else axes, rows, strict=True)):
        picture(line[0], image, mask=mask, title=title)
        for ax, (name, scale) in zip(line[1:], scales.items(), strict=True):
            picture(ax, maps[name], mask=mask, cmap=CMAP, title=name if n == 0 and not across else "", **scale)
            if n == 0 and across:
                ax.set_ylabel(name)
    return figure


def level_maps(category: Category, index: int, levels: list[Tensor], total: Tensor) -> Figure:
    """One image, its distance map at each level, each on a scale of its own, and their sum."""
    figure, axes = new_figure(1, 2 + len(levels), width=1.9, height=1.9)
    mask = None if category.masks is None else category.masks[index]
    picture(axes[0, 0], category.test[index], mask=mask, title=defect_name(category, index))
    for k, (ax, level) in enumerate(zip(axes[0, 1:], levels, strict=False)):
        picture(ax, level, cmap=CMAP, title=f"level {k + 1}: {level.shape[-1]} x {level.shape[-1]}")
    picture(axes[0, -1], total, mask=mask, cmap=CMAP, title="sum at 256 x 256")
    return figure


def score_histogram(scores: Tensor, labels: Tensor, *, threshold: float | None = None) -> Figure:
    """Image scores of normal and anomalous test images, each image a tick below its histogram."""
    figure, axes = new_figure(1, 1, width=5.6, height=2.5)
    ax = axes[0, 0]
    scores = np.asarray(scores)
    labels = np.asarray(labels, bool)
    bins = np.linspace(scores.min(), scores.max(), 25)
    for name, chosen, colour, y in [("normal", ~labels, NORMAL, -0.6), ("anomalous", labels, ANOMALOUS, -1.3)]:
        ax.hist(scores[chosen], bins, color=colour, alpha=0.55, label=f"{name} ({chosen.sum()})")
        ax.plot(scores[chosen], np.full(chosen.sum(), y), "|", color=colour, ms=7)
    if threshold is not None:
        ax.axvline(threshold, color=ACCENT, ls="--", lw=1, label=f"threshold {threshold:.2f}")
    ax.set(xlabel="image score (largest pixel of its map)", ylabel="images", yticks=np.arange(0, ax.get_ylim()[1], 2))
    ax.legend(loc="upper left", bbox_to_anchor=(1, 1))
    return figure


def threshold_steps(maps: np.ndarray, masks: np.ndarray) -> Figure:
    """A small map thresholded at each anomalous score, from strict to lax: hits, false alarms and misses, counted."""
    curves = metrics.pixel_curves(maps, masks)
    figure, axes = new_figure(len(maps), len(curves.thresholds) + 1, width=1.75, height=1.95)
    for image, (line, scores, mask) in enumerate(zip(axes, maps, masks, strict=True)):
        draw_numbers(line[0], scores, mask, np.full(mask.shape, "1.0", object), f"image {image}: scores")
        for ax, t in zip(line[1:], curves.thresholds, strict=True):
            found = scores >= t
            colours = np.where(mask, np.where(found, "#009e73", "#e69f00"), np.where(found, "#cc79a7", "1.0"))
            hits = (found & mask).sum()
            false = (found & ~mask).sum()
            missed = (~found & mask).sum()
            draw_numbers(ax, scores, mask, colours, f"score >= {t:g}\n{hits} hit, {missed} missed, {false} false")
    return figure


def draw_numbers(ax, scores: np.ndarray, mask: np.ndarray, colours: np.ndarray, title: str) -> None:
    """A map as a grid of numbers, one colour a cell, anomalous cells framed."""
    from matplotlib.patches import Rectangle

    rows, columns = scores.shape
    ax.set(xlim=(-0.05, columns + 0.05), ylim=(rows + 0.05, -0.05), xticks=[], yticks=[], aspect="equal")
    ax.set_title(title, fontsize=8)
    for (y, x), score in np.ndenumerate(scores):
        ax.add_patch(Rectangle((x, y), 1, 1, fc=colours[y, x], ec="0.8", lw=0.6, alpha=0.75))
        ax.text(x + 0.5, y + 0.5, f"{score:.2g}".lstrip("0") or "0", ha="center", va="center", fontsize=7.5)
        if mask[y, x]:
            ax.add_patch(Rectangle((x + 0.04, y + 0.04), 0.92, 0.92, fc="none", ec="0.1", lw=1.5))
    for spine in ax.spines.values():
        spine.set_visible(False)


def metric_curves(maps: Tensor, masks: Tensor, *, limit: float = 0.3, marks: bool = False) -> Figure:
    """ROC, PR, PRO and instance curve of one category, the area that each number measures shaded."""
    c = metrics.pixel_curves(maps, masks)
    figure, axes = new_figure(1, 4, width=2.75, height=2.7)
    roc, pr, region, instance = axes[0]
    style = {"color": NORMAL, "lw": 1.6} | ({"marker": "o", "ms": 3.5} if marks else {})
    roc.plot(c.fpr, c.tpr, **style)
    roc.fill_between(c.fpr, c.tpr, color=NORMAL, alpha=0.15, lw=0)
    roc.plot([0, 1], [0, 1], color=QUIET, ls=":", lw=1)
    roc.set(title=f"ROC: pixel AUROC {c.roc_area():.3f}", xlabel="false-positive rate", ylabel="true-positive rate")
    draw_steps(pr, c.recall, c.precision, style)
    pr.axhline(np.asarray(masks).mean(), color=QUIET, ls=":", lw=1)
    pr.set(title=f"PR: pixel AP {c.average_precision():.3f}", xlabel="recall of pixels", ylabel="precision")
    region.plot(c.fpr, c.pro, **style)
    inside = c.fpr <= limit
    end = np.append(c.pro[inside], np.interp(limit, c.fpr, c.pro))
    region.fill_between(np.append(c.fpr[inside], limit), end, color=NORMAL, alpha=0.15, lw=0)
    region.axvline(limit, color=QUIET, ls=":", lw=1)
    title = f"PRO to {limit}: {c.pro_area(limit):.3f}"
    region.set(title=title, xlabel="false-positive rate", ylabel="mean overlap per region")
    draw_steps(instance, c.instance_recall[::-1], c.instance_envelope[::-1], style)
    if marks:
        instance.plot(c.instance_recall, c.instance_precision, "x", color=ANOMALOUS, label="before taking the better")
        instance.legend(fontsize=8, loc="lower right")
    title = f"IAP {c.iap():.3f}, IAP@90 {c.iap_at(90):.3f}"
    instance.set(title=title, xlabel="regions found", ylabel="precision of pixels")
    for ax in axes.flat:
        ax.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.04))
    return figure


def draw_steps(ax, recall: np.ndarray, precision: np.ndarray, style: dict) -> None:
    """A step curve whose filled area is the sum that the number is defined as."""
    r, p = np.concatenate([[0], recall]), np.concatenate([precision[:1], precision])
    ax.plot(r, p, drawstyle="steps-pre", **style)
    ax.fill_between(r, p, step="pre", color=style["color"], alpha=0.15, lw=0)


def change_table(rows: dict[str, dict[str, float]]) -> Figure:
    """Numbers by row as a heat table: the numbers as text, the change against the first row as colour."""
    import seaborn as sns

    names, columns = list(rows), list(next(iter(rows.values())))
    heads = [METRIC_NAMES.get(c, c).replace(" ", "\n") for c in columns]
    values = np.array([[rows[n][c] for c in columns] for n in names])
    figure, axes = new_figure(1, 1, width=7.4, height=0.42 * len(names) + 0.9)
    sns.heatmap(values - values[0], annot=values, fmt=".3f", cmap="vlag_r", vmin=-0.3, vmax=0.3, linewidths=1,
                xticklabels=heads, yticklabels=names, cbar_kws={"label": "change to the first row"}, ax=axes[0, 0])
    axes[0, 0].tick_params(length=0, labelrotation=0)
    return figure


def protocol_changes(rows: list[dict]) -> Figure:
    """How far each published choice moves each number: a dot per variant, named where it moves by 0.015 and more."""
    groups = list(dict.fromkeys((r["what"], r["metric"]) for r in rows if r["what"] != "ours"))
    figure, axes = new_figure(1, 1, width=7.6, height=0.36 * len(groups) + 0.9)
    ax = axes[0, 0]
    ax.axvline(0, color=ACCENT, lw=1)
    for row in [r for r in rows if r["what"] != "ours"]:
        y, moved = groups.index((row["what"], row["metric"])), row["difference"]
        ax.scatter(moved, y, s=28, color=QUIET if abs(moved) < 0.015 else ANOMALOUS, zorder=2)
        if abs(moved) >= 0.015:
            side = "left" if moved > 0 else "right"
            ax.annotate(f"{row['variant']} {moved:+.2f}", (moved, y), (6 if moved > 0 else -6, 0), fontsize=8, ha=side,
                        textcoords="offset points", va="center")
    ax.set(yticks=range(len(groups)), yticklabels=[f"{what}: {METRIC_NAMES[metric]}" for what, metric in groups],
           xlabel="difference to the same number by this package's protocol", ylim=(len(groups) - 0.5, -0.8))
    ax.margins(x=0.2)
    return figure


def mask_rules(mask: Tensor, rounded: dict[str, Tensor]) -> Figure:
    """A mask next to what each rounding rule leaves of it at a smaller size."""
    figure, axes = new_figure(1, 1 + len(rounded), width=1.8, height=2.0)
    everything = {f"mask, {mask.shape[-1]} px": mask} | rounded
    for ax, (title, m) in zip(axes.flat, everything.items(), strict=True):
        title = f"{title}\n{int(m.sum())} px"
        picture(ax, torch.as_tensor(m).float(), title=title, cmap="gray_r", interpolation="nearest")
        for spine in ax.spines.values():
            spine.set_visible(True)
    return figure

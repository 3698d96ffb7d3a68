"""Figures of lesson 00: the data, the baseline's maps, and how the six numbers come about."""

import numpy as np
import torch
from matplotlib.figure import Figure
from scipy.ndimage import binary_dilation
from torch import Tensor

from adlib import find_input, metrics
from adlib.data.category import Category, list_categories
from adlib.data.images import as_images, read_mask, shrink_mask
from adlib.data.listing import list_files
from adlib.explorer import CMAP, normal_scale
from adlib.lessons.plots import ACCENT, ANOMALOUS, METHOD_MARKS, NORMAL, QUIET, defect_name, new_figure, picture
from adlib.lessons.plots.diagrams import (
    BLUE,
    LIGHT_GREY,
    ORANGE,
    TEACHER,
    diagram_arrow,
    diagram_box,
    diagram_picture,
    diagram_route,
    diagram_stack,
    new_diagram,
    strongest_channels,
)
from adlib.metrics import METRIC_NAMES


def contact_sheet(data_root: str, *, size: int = 256, normal: int = 2) -> Figure:
    """A row per category of a data set: normal training images, then one image of each defect type.

    The line runs outside of the mask, since it would cover a thin defect.
    """
    names = list_categories(data_root)
    files = [list_files(find_input(data_root) / name) for name in names]
    rows = [[(p, "normal", None) for p in train[:normal]] + examples(test, masks) for train, test, masks, *_ in files]
    figure, axes = new_figure(len(rows), max(map(len, rows)), width=1.5, height=1.65)
    for ax in axes.flat:
        ax.set_axis_off()
    for name, row, line in zip(names, rows, axes, strict=True):
        for (path, title, mask), ax in zip(row, line, strict=False):
            outline = binary_dilation(shrink_mask(read_mask(mask)), iterations=6) if mask else None
            picture(ax, as_images([path], size)[0], mask=outline, title=title.replace("_", " "))
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


def nearest_patch_diagram(image: Tensor, features: list[Tensor]) -> Figure:
    """How the training-free baseline (nearest patch) turns (3, S, S) into a map; (1, C_k, H_k, W_k) per level."""
    top = 15 * len(features) + 11
    figure, ax = new_diagram(width=9.4, height=9.4 * (top + 2) / 102, top=top)
    middle = (top - 11) / 2
    diagram_box(ax, 57, top - 10, 23, 9, "memory: a tenth at most of the\nfeatures of normal images", BLUE)
    diagram_picture(ax, 0, middle - 6, 12, image)
    diagram_box(ax, 17, middle - 5, 12, 10, "teacher\n(frozen)", BLUE)
    diagram_arrow(ax, 12.5, middle, 16.5, middle)
    diagram_box(ax, 86, middle - 6, 13, 12, "enlarge, add:\nmap 256 x 256\nscore = largest", LIGHT_GREY)
    for k, t in enumerate(features):
        y = 15 * (len(features) - 1 - k) + 1
        diagram_arrow(ax, 29.5, middle, 35, y + 5)
        diagram_stack(ax, 36, y, 10, t[0][strongest_channels(t, 3)], TEACHER)
        ax.text(53.5, y + 5, f"level {k + 1}\n{t.shape[1]} channels\n{t.shape[2]} x {t.shape[3]}", fontsize=8.5,
                ha="center", va="center")
        diagram_box(ax, 63, y + 1, 17, 9, "distance to nearest\nstored feature", ORANGE)
        diagram_arrow(ax, 58.5, y + 3.5, 62.5, y + 3.5)
        diagram_route(ax, [(60.5, top - 10.5), (60.5, y + 8), (62.5, y + 8)])
        diagram_arrow(ax, 80.5, y + 5.5, 85.5, middle)
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


def border_peaks(maps: dict[str, tuple[Tensor, Tensor]], strip: int) -> Figure:
    """A row per category: where normal (N, H, W) maps peak before and after damping, and their deviation by ring."""
    from matplotlib.patches import Rectangle

    figure, axes = new_figure(len(maps), 3, width=2.4, height=2.3, gridspec_kw={"width_ratios": [1, 1, 1.4]})
    for row, (category, pair) in zip(axes, maps.items(), strict=True):
        side = pair[0].shape[-1]
        i = torch.arange(side)
        ring = torch.minimum(i, side - 1 - i)
        ring = torch.minimum(ring[:, None], ring)                               # (H, W): distance to the nearest edge
        styles = [("as computed", ANOMALOUS, "--"), ("damped", NORMAL, "-")]
        for ax, m, (name, colour, style) in zip(row, pair, styles, strict=False):
            peak = m.flatten(1).argmax(dim=1)                                   # (N, H, W) -> (N,)
            ax.plot(peak % side, peak // side, "o", color=colour, ms=4, alpha=0.7)
            ax.add_patch(Rectangle((strip, strip), side - 2 * strip, side - 2 * strip, fc="none", ec=QUIET, ls=":"))
            ax.set(xlim=(0, side), ylim=(side, 0), xticks=[], yticks=[], aspect="equal", title=f"{category}: {name}")
            ax.spines[["top", "right"]].set_visible(True)
            row[2].plot([m[:, ring == k].std() for k in range(48)], style, color=colour, label=name)
        row[2].axvline(side / 8, color=QUIET, ls=":", lw=1)        # what is damped ends here
        row[2].set(ylabel="deviation of scores", ylim=(0, None))
        row[2].legend(fontsize=8)
    axes[-1, 2].set_xlabel("distance to the nearest edge\n(pixels of 256)")
    return figure


def level_maps(category: Category, index: int, levels: list[Tensor], total: Tensor) -> Figure:
    """One image, its distance map at each level, each on a scale of its own beside a bar, and their sum."""
    figure, axes = new_figure(1, 2 + len(levels), width=2.1, height=1.9)
    mask = None if category.masks is None else category.masks[index]
    picture(axes[0, 0], category.test[index], mask=mask, title=defect_name(category, index))
    titles = [f"level {k + 1}: {m.shape[-1]} x {m.shape[-1]}" for k, m in enumerate(levels)] + ["sum, border damped"]
    for ax, m, title in zip(axes[0, 1:], [*levels, total], titles, strict=True):
        shown = picture(ax, m, mask=mask, cmap=CMAP, title=title)
        figure.colorbar(shown, ax=ax, shrink=0.75, pad=0.02).ax.tick_params(labelsize=7)
    return figure


def score_dots(scores: Tensor, labels: Tensor, *, threshold: float | None = None) -> Figure:
    """A dot per test image at its score, normal and anomalous ones in rows of their own."""
    figure, axes = new_figure(1, 1, width=6.8, height=1.7)
    ax = axes[0, 0]
    scores, labels = np.asarray(scores), np.asarray(labels, bool)
    jitter = np.random.default_rng(0).uniform(-0.28, 0.28, len(scores))     # of the drawing only
    for y, (name, chosen, colour, mark) in enumerate([("normal", ~labels, NORMAL, "o"),
                                                      ("anomalous", labels, ANOMALOUS, "^")]):
        ax.plot(scores[chosen], y + jitter[chosen], mark, color=colour, ms=4, alpha=0.7, label=name)
    if threshold is not None:
        ax.axvline(threshold, color=ACCENT, ls="--", lw=1)
        ax.annotate(f"threshold {threshold:.3g}", (threshold, 1), (4, 3), xycoords=("data", "axes fraction"),
                    textcoords="offset points", fontsize=8.5)
    ax.set(xlabel="image score (largest pixel of its map)", yticks=[0, 1], ylim=(1.5, -0.5),
           yticklabels=[f"normal ({(~labels).sum()})", f"anomalous ({labels.sum()})"])
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


def number_dots(rows: dict[str, dict[str, float]]) -> Figure:
    """Numbers of several maps or methods: a dot each on a line per number, the values beside.

    Methods have their own colours and marks.
    """
    names, columns = list(rows), list(next(iter(rows.values())))
    figure, axes = new_figure(1, 1, width=5.2 + 0.75 * len(names), height=0.36 * len(columns) + 0.9)
    ax, y = axes[0, 0], np.arange(len(columns))
    colours = (NORMAL, ANOMALOUS, "#029e73", "#de8f05", "#cc78bc", QUIET, "#ca9161", "#56b4e9")
    marks = [*zip(("o", "D", "^", "s", "v", "P", "X", "p"), colours, strict=True)][:len(names)]
    ax.hlines(y, 0, 1, color="0.9", lw=1, zorder=0)
    for k, (name, other) in enumerate(zip(names, marks, strict=True)):
        colour, mark = METHOD_MARKS.get(name.lower().replace(" ", "_"), other[::-1])
        values = np.array([rows[name][c] for c in columns], float)
        ax.plot(values, y, mark, color=colour, ms=6.5, alpha=0.85, label=name)
        ax.annotate(name.replace(" ", "\n"), (1, 1), (24 + 54 * k, 4), xycoords="axes fraction", fontsize=8.5,
                    textcoords="offset points", color=colour, ha="center", va="bottom", annotation_clip=False)
        for at, value in zip(y, values, strict=True):
            ax.annotate(f"{value:.3f}", (1, at), (24 + 54 * k, 0), xycoords=("axes fraction", "data"), fontsize=9,
                        textcoords="offset points", ha="center", va="center", annotation_clip=False)
    ax.set(xlim=(0, 1.02), ylim=(len(columns) - 0.5, -0.5), yticks=y, xlabel="value",
           yticklabels=[METRIC_NAMES.get(c, c) for c in columns])
    ax.legend(loc="upper center", bbox_to_anchor=(0.5, -0.3), ncols=min(len(names), 3), fontsize=8.5)
    return figure


def protocol_changes(rows: list[dict]) -> Figure:
    """How far each published choice moves each number: a dot per variant, named where it moves by 0.015 and more."""
    rows = [r for r in rows if r["what"] != "ours"]
    groups = list(dict.fromkeys((r["what"], r["metric"]) for r in rows))
    figure, axes = new_figure(1, 1, width=7.6, height=0.4 * len(groups) + 0.9)
    ax = axes[0, 0]
    ax.axvline(0, color=ACCENT, lw=1)
    for y, group in enumerate(groups):
        ordered = sorted((r for r in rows if (r["what"], r["metric"]) == group), key=lambda r: r["difference"])
        named = [r for r in ordered if abs(r["difference"]) >= 0.015]
        for row in ordered:
            moved = row["difference"]
            ax.scatter(moved, y, s=28, color=ANOMALOUS if row in named else QUIET, zorder=2)
            if row in named:        # one name above its dot, the next below: neighbours' names would overlap
                side, lift = ("left", 6) if moved > 0 else ("right", -6), 6 * (-1) ** named.index(row)
                ax.annotate(f"{row['variant']} {moved:+.2f}", (moved, y), (side[1], lift if len(named) > 1 else 0),
                            fontsize=8, ha=side[0], textcoords="offset points", va="center")
    ax.set(yticks=range(len(groups)), yticklabels=[f"{what}: {METRIC_NAMES[metric]}" for what, metric in groups],
           xlabel="difference (see the caption)", ylim=(len(groups) - 0.5, -0.8))
    ax.margins(x=0.2)
    return figure


def mask_rules(image: Tensor, mask: Tensor, rounded: dict[str, Tensor]) -> Figure:
    """The part of an image with its defect, and over it what each rounding rule leaves of the mask, pixel by pixel."""
    figure, axes = new_figure(1, 1 + len(rounded), width=2.0, height=2.2)
    rows, columns = np.asarray(mask).nonzero()
    middle, half = (rows.mean(), columns.mean()), max(np.ptp(rows), np.ptp(columns)) / 2 + 14
    for ax, (title, m) in zip(axes.flat, ({f"mask, {mask.shape[-1]} px": mask} | rounded).items(), strict=True):
        picture(ax, image, mask=mask, title=f"{title}: {int(m.sum())} px")
        if m is not mask:
            ax.imshow(np.where(np.asarray(m), 1.0, np.nan), extent=(0, 256, 256, 0), vmin=0, vmax=1,
                      cmap="cividis", alpha=0.75)        # yellow, which green and red boards do not have
        ax.set(xlim=(max(middle[1] - half, 0), min(middle[1] + half, 256)),
               ylim=(min(middle[0] + half, 256), max(middle[0] - half, 0)))
    return figure

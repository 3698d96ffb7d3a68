"""Figures of lesson 02: synthetic anomalies from the lattice up, the two networks, and what the second one sees."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from adlib.lessons.plots import ACCENT, ANOMALOUS, NORMAL, QUIET, new_figure, picture
from adlib.lessons.plots.diagrams import BLUE, GREEN, LIGHT_GREY, ORANGE, PINK, diagram_arrow, diagram_box, new_diagram
from adlib.networks.layers import upsample
from adlib.perlin import fade

COMPARISON_TEXTS = {"product": "T * S", "concat": "T, S", "distance": "1 - cos"}


def two_stages(clean: Tensor, corrupted: Tensor, mask: Tensor, *, compare: str = "product", denoising: bool = True,
               segmentation: bool = True) -> Figure:
    """What learns in each stage, and what it is shown: (3, S, S) images and the (S, S) mask between them."""
    rows = [("Stage 1: the student learns", (clean, corrupted if denoising else clean), ("frozen", "learns"))]
    if segmentation:
        rows.append(("Stage 2: the segmentation network learns", (corrupted, corrupted), ("frozen", "frozen")))
    figure, ax = new_diagram(width=9.4, height=2.05 * len(rows), top=27 * len(rows), right=124)
    limits = ax.get_xlim(), ax.get_ylim()
    for row, (title, images, states) in enumerate(rows):
        top = 27 * (len(rows) - row)
        ax.text(0, top - 1.7, title, weight="bold", fontsize=9.5)
        for y, image, name, state, colour in zip((top - 13, top - 25), images, ("teacher", "student"), states,
                                                 (BLUE, GREEN), strict=True):
            thumbnail(ax, image, 0, y)
            ax.text(14.7, y + 6, "clean" if image is clean else "corrupted", ha="center", fontsize=7.5)
            diagram_box(ax, 19, y + 1, 20, 8, f"{name}\n({state})", colour)
            diagram_arrow(ax, 10.5, y + 5, 19, y + 5)
            diagram_arrow(ax, 39, y + 5, 50, top - (13 if y == top - 13 else 15))
        what = COMPARISON_TEXTS[compare] if row else "1 - cos: small, please"
        diagram_box(ax, 50, top - 18, 24, 8, f"{what}\nat three levels", ORANGE)
        if row:
            diagram_box(ax, 82, top - 18, 20, 8, "segmentation\n(learns)", PINK)
            diagram_arrow(ax, 74, top - 14, 82, top - 14)
            diagram_arrow(ax, 102, top - 14, 110, top - 14)
            thumbnail(ax, mask, 110.5, top - 19)
            ax.text(115.5, top - 22, "target", ha="center", fontsize=8.5)
    ax.set(xlim=limits[0], ylim=limits[1], aspect="equal")
    return figure


def thumbnail(ax: Axes, image: Tensor, x: float, y: float, side: float = 10) -> None:
    """A small picture in a diagram: (3, S, S), or a mask (S, S)."""
    pixels = np.asarray(image.permute(1, 2, 0) if image.ndim == 3 else image)
    ax.imshow(pixels, extent=(x, x + side, y, y + side), cmap="gray", zorder=2)


def student_pyramids(shapes: dict[int, tuple[int, int]], size: int, *, student_width: int, decoder: bool,
                     denoising: bool) -> Figure:
    """Stage 1: teacher above, student below, and what compares them at each level.

    `shapes` holds (C, H) of each level.
    """
    bottom = 0 if decoder else 15
    figure, ax = new_diagram(width=8.4, height=0.08 * (58 - bottom), top=56, right=98, bottom=bottom)
    rows = {"teacher": 47, "compare": 32, "decoder": 17, "encoder": 2}
    diagram_box(ax, 0, rows["teacher"], 14, 8, f"clean image\n3 x {size} x {size}", LIGHT_GREY)
    seen = "corrupted\nimage" if denoising else "clean\nimage"
    diagram_box(ax, 0, rows["encoder"] if decoder else rows["decoder"], 14, 8, seen, LIGHT_GREY)
    for k, (level, (c, side)) in enumerate(shapes.items()):
        x = 21 + 19 * k
        diagram_box(ax, x, rows["teacher"], 14, 8, f"teacher {level}\n{c} x {side} x {side}", BLUE)
        diagram_box(ax, x, rows["compare"], 14, 8, "1 - cos", ORANGE)
        diagram_box(ax, x, rows["decoder"], 14, 8, f"student {level}\n{c} x {side} x {side}", GREEN)
        diagram_arrow(ax, x - 5 if k else 14, rows["teacher"] + 4, x, rows["teacher"] + 4)
        diagram_arrow(ax, x + 7, rows["teacher"], x + 7, rows["compare"] + 8)
        diagram_arrow(ax, x + 7, rows["decoder"] + 8, x + 7, rows["compare"])
        if decoder:
            diagram_box(ax, x, rows["encoder"], 14, 8, f"encoder\n{student_width * 2**k} x {side} x {side}", GREEN)
            diagram_arrow(ax, x - 5 if k else 14, rows["encoder"] + 4, x, rows["encoder"] + 4)
            if k < len(shapes) - 1:
                diagram_arrow(ax, x + 19, rows["decoder"] + 4, x + 14, rows["decoder"] + 4)
        else:
            diagram_arrow(ax, x - 5 if k else 14, rows["decoder"] + 4, x, rows["decoder"] + 4)
    if decoder:
        side = size // 32
        diagram_box(ax, 79, rows["encoder"] + 7, 18, 9, f"bottleneck\n{8 * student_width} x {side} x {side}", GREEN)
        diagram_arrow(ax, 73, rows["encoder"] + 4, 79, rows["encoder"] + 9)
        diagram_arrow(ax, 79, rows["encoder"] + 14, 73, rows["decoder"] + 4)
    return figure


def segmentation_network(channels: int, side: int, width: int, dilations: tuple[int, ...], compare: str) -> Figure:
    """The segmentation network, from what it is given to its map."""
    branches = ["mean of the\nwhole image", *(f"3 x 3,\ndilation {d}" for d in dilations)]
    figure, ax = new_diagram(width=9.4, height=0.08 * 44, top=42, right=118)
    middle = 17
    for x, w, text, colour in [
            (0, 18, f"{COMPARISON_TEXTS[compare]}\n{channels} x {side} x {side}", ORANGE),
            (23, 18, f"2 residual blocks\n{width} x {side} x {side}", PINK),
            (67, 18, f"concatenate, 3 x 3\n{len(branches) * width} to {width}", PINK),
            (89, 12, f"3 x 3, 1 x 1\n{width} to 1", PINK), (105, 13, "sigmoid\n256 x 256", LIGHT_GREY)]:
        diagram_box(ax, x, middle, w, 8, text, colour)
    for k, text in enumerate(branches):
        y = middle + 11 * (1.5 - k)
        diagram_box(ax, 47, y, 14, 8, text, PINK)
        diagram_arrow(ax, 41, middle + 4, 47, y + 4)
        diagram_arrow(ax, 61, y + 4, 67, middle + 4)
    for x0, x1 in [(18, 23), (85, 89), (101, 105)]:
        diagram_arrow(ax, x0, middle + 4, x1, middle + 4)
    ax.text(66, 40.5, "ASPP", fontsize=9, color="0.3")
    return figure


def noise_lattice(gradients: Tensor, noise: Tensor) -> Figure:
    """Perlin noise of a small lattice with the gradients it is made of, and the curve that blends between points.

    Parameters
    ----------
    gradients : (2, P, P) float tensor
        y and x component at each lattice point.
    noise : (S, S) float tensor
    """
    figure, axes = new_figure(1, 2, width=3.7, height=3.1, gridspec_kw={"width_ratios": [1.25, 1]})
    ax, curve = axes[0]
    side, cells = noise.shape[0], gradients.shape[1] - 1
    at = np.arange(cells + 1) * side / cells
    x, y = np.meshgrid(at, at)
    # A pixel's value stands at its upper left corner, where its distance to the lattice is measured.
    shown = ax.imshow(noise, cmap="gray", vmin=-1, vmax=1, extent=(-0.5, side - 0.5, side - 0.5, -0.5))
    for (row, column), value in np.ndenumerate(np.asarray(noise)):
        ax.text(column, row, f"{value:.1f}".replace("-0.0", "0.0"), ha="center", va="center", fontsize=6,
                color="w" if value < 0 else "0.15")
    ax.quiver(x, y, gradients[1], gradients[0], color=ANOMALOUS, angles="xy", scale_units="xy", scale=0.7, width=0.011)
    ax.plot(x.ravel(), y.ravel(), "o", color=ANOMALOUS, ms=5, clip_on=False)
    ax.set(xlabel="x (pixels)", ylabel="y (pixels)", xlim=(-2, side + 1.8), ylim=(side + 1.8, -2), xticks=at, yticks=at)
    figure.colorbar(shown, ax=ax, label="noise", shrink=0.8)
    t = np.linspace(0, 1, 101)
    curve.plot(t, fade(t), color=NORMAL, lw=1.8, label="fade")
    curve.plot(t, t, color=QUIET, ls=":", label="linear")
    curve.set(xlabel="1 - distance (cells)", ylabel="weight of the lattice point")
    curve.legend()
    return figure


def from_noise_to_masks(cells: Tensor, noise: Tensor, turned: Tensor, masks: Tensor) -> Figure:
    """A column for each lattice: its noise, the noise turned, and where that is above the threshold."""
    figure, axes = new_figure(3, len(cells), width=1.5, height=1.6)
    rows = {"noise": noise, "turned": turned, "mask": masks}
    for line, (name, images) in zip(axes, rows.items(), strict=True):
        line[0].set_ylabel(name)
        for ax, image, (y, x) in zip(line, images, cells.tolist(), strict=True):
            scale = {"vmin": 0, "vmax": 1} if name == "mask" else {"vmin": -1, "vmax": 1}
            share = f"{100 * float(image.float().mean()):.1f} % covered"
            title = {"noise": f"{y} x {x} cells", "mask": share}.get(name, "")
            picture(ax, image, cmap="gray", title=title, **scale)
    return figure


def mask_statistics(coverage: np.ndarray, regions: np.ndarray) -> Figure:
    """How much of an image its synthetic anomaly covers, and in how many regions, over many masks."""
    figure, axes = new_figure(1, 2, width=3.7, height=2.5)
    share, number = axes[0]
    percent, filled = 100 * np.asarray(coverage), np.asarray(coverage) > 0
    share.hist(percent, np.arange(0, max(12, percent.max()) + 1, 0.5), color=NORMAL)
    share.axvline(percent.mean(), color=ACCENT, ls="--", lw=1, label=f"mean {percent.mean():.1f} %")
    share.set(xlabel="coverage (% of the image)", ylabel="masks", title=f"{(~filled).mean():.1%} of the masks empty")
    most, middle = max(3, regions.max()), np.median(regions[filled])
    edges = np.unique(np.geomspace(1, most + 1, 16).round())       # integers, so that no bin stays empty
    number.hist(regions[filled], edges, color=NORMAL)
    number.axvline(middle, color=ACCENT, ls="--", lw=1, label=f"median {middle:g}")
    ticks = [n for n in (1, 3, 10, 30, 100, 300) if n <= most]
    number.set(xscale="log", xlabel="regions of a mask that is not empty", ylabel="masks")
    number.set(xticks=ticks, xticklabels=[str(n) for n in ticks])
    number.minorticks_off()
    for ax in axes.flat:
        ax.legend(loc="upper right")
    return figure


def textures(images: Tensor, *, most: int = 10) -> Figure:
    """A few of the textures, evenly spread over all."""
    chosen = np.linspace(0, len(images) - 1, min(most, len(images))).round().astype(int)
    figure, axes = new_figure(1, len(chosen), width=1.0, height=1.0)
    for ax, i in zip(axes.flat, chosen, strict=True):
        picture(ax, images[i])
    return figure


def corruptions(clean: Tensor, corrupted: Tensor, masks: Tensor) -> Figure:
    """Normal training images above what the student sees, the synthetic anomalies outlined in a third row."""
    figure, axes = new_figure(3, len(clean), width=1.5, height=1.55)
    for name, line in zip(("normal", "corrupted", "outlined"), axes, strict=True):
        line[0].set_ylabel(name)
    for column, image, spoilt, mask in zip(axes.T, clean, corrupted, upsample(masks), strict=True):
        picture(column[0], image)
        picture(column[1], spoilt)
        picture(column[2], spoilt, mask=mask)
    return figure


def focal_curves(gammas: tuple[float, ...] = (0, 2, 4)) -> Figure:
    """Focal loss of a pixel against the probability that it was given for what it is."""
    figure, axes = new_figure(1, 1, width=5.2, height=2.7)
    p = np.linspace(0.01, 1, 200)
    for gamma, colour, style in zip(gammas, (QUIET, NORMAL, ANOMALOUS), ("--", "-.", "-"), strict=True):
        label = f"gamma = {gamma:g}" + (" (cross-entropy)" if gamma == 0 else "")
        axes[0, 0].plot(p, -((1 - p) ** gamma) * np.log(p), style, color=colour, lw=1.8, label=label)
    axes[0, 0].set(xlabel="$p_t$, the probability given to the truth", ylabel="loss of the pixel", ylim=(0, 3))
    axes[0, 0].legend()
    return figure


def stage_curves(losses: list[float], ends: dict[str, int], batch: int) -> Figure:
    """Loss of each training step, a panel for each stage, since their losses are of different kinds."""
    labels = {"student": f"loss, summed over levels\nand {batch} images", "segmentation": "loss, mean over pixels"}
    figure, axes = new_figure(1, len(ends), width=4.4, height=2.6)
    starts = [0, *ends.values()]
    for ax, (name, end), start, colour in zip(axes.flat, ends.items(), starts, (NORMAL, ANOMALOUS), strict=False):
        ax.plot(np.arange(start + 1, end + 1), losses[start:end], color=colour, lw=1)
        ax.set(title=f"stage: {name}", xlabel="step", ylabel=labels[name])
        ax.locator_params(axis="x", integer=True)
    return figure

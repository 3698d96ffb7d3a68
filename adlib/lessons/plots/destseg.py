"""Figures of lesson 02: synthetic anomalies from the lattice up, the two networks, and what the second one sees."""

import numpy as np
from matplotlib.figure import Figure
from torch import Tensor

from adlib.lessons.plots import ACCENT, ANOMALOUS, NORMAL, QUIET, new_figure, picture
from adlib.lessons.plots.diagrams import (
    ADDED,
    BLUE,
    COMPARED,
    GREEN,
    ORANGE,
    PINK,
    STACK,
    STUDENT,
    TEACHER,
    diagram_arrow,
    diagram_box,
    diagram_features,
    diagram_map,
    diagram_picture,
    new_diagram,
    strongest_channels,
)
from adlib.networks.destseg import DeSTSeg
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
    for row, (title, images, states) in enumerate(rows):
        top = 27 * (len(rows) - row)
        ax.text(0, top - 1.7, title, weight="bold", fontsize=9.5)
        for y, image, name, state, colour in zip((top - 13, top - 25), images, ("teacher", "student"), states,
                                                 (BLUE, GREEN), strict=True):
            diagram_picture(ax, 0, y, 10, image)
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
            diagram_picture(ax, 110.5, top - 19, 10, mask, cmap="gray")
            ax.text(115.5, top - 22, "target", ha="center", fontsize=8.5)
    ax.set_aspect("equal")
    return figure


def student_pyramids(clean: Tensor, corrupted: Tensor, t: list[Tensor], s: list[Tensor], distances: list[Tensor],
                     encoder: list[Tensor]) -> Figure:
    """Stage 1: teacher above, student below, and what compares them at each level.

    Parameters
    ----------
    clean, corrupted : (3, S, S) tensor
        What the teacher sees, and the student.
    t, s : list of (1, C_k, H_k, W_k) tensors
    distances : list of (H_k, W_k) tensors
    encoder : list of (1, C, H, W) tensors
        Of the student: its levels and its bottleneck; empty for a student that is an encoder only.
    """
    teacher, compare, student, first = (62, 43, 24, 5) if encoder else (43, 24, 5, 5)
    figure, ax = new_diagram(width=9.0, height=9.0 * (teacher + 18) / 106, top=teacher + 16, right=104)
    for y, image, text in [(teacher, clean, "clean image"), (first, corrupted, "corrupted image")]:
        diagram_picture(ax, 0, y, STACK, image)
        ax.text(5, y - 0.8, f"{text}\n{' x '.join(map(str, image.shape))}", ha="center", va="top", fontsize=7.5)
        diagram_arrow(ax, 10.5, y + 5, 18.5, y + 5)
    for k, (a, b, d) in enumerate(zip(t, s, distances, strict=True)):
        x, chosen = 19 + 20 * k, strongest_channels(a, 3)
        diagram_features(ax, x, teacher, a, TEACHER, f"teacher, level {k + 1}", chosen=chosen, side="above")
        diagram_map(ax, x, compare, d, "1 - cos", beside=True)
        diagram_features(ax, x, student, b, STUDENT, f"student, level {k + 1}", chosen=chosen)
        diagram_arrow(ax, x + 5, teacher - 0.5, x + 5, compare + STACK + 0.3)
        diagram_arrow(ax, x + 5, student + 12.2, x + 5, compare - 0.4)
        if encoder:
            diagram_features(ax, x, first, encoder[k], STUDENT, f"encoder {k + 1}")
        if k:
            for y in {teacher, first}:
                diagram_arrow(ax, x - 7.7, y + 5, x - 0.5, y + 5)
        if k and encoder:
            diagram_arrow(ax, x - 0.5, student + 5, x - 7.7, student + 5)
    if encoder:
        middle = (first + student) / 2
        diagram_features(ax, 82, middle, encoder[-1], STUDENT, "bottleneck")
        diagram_arrow(ax, 71.3, first + 5, 81.5, middle + 3)
        diagram_arrow(ax, 81.5, middle + 8, 71.3, student + 5)
    return figure


def encoder_features(model: DeSTSeg, images: Tensor) -> list[Tensor]:
    """What the student's encoder makes of (B, 3, S, S) images: three levels, and the bottleneck behind them."""
    net, levels = model.student, []
    if net.bottom is None:
        return []
    x = net.stem(model.teacher.normalise(images))
    for stage in net.encoder:
        x = stage(x)
        levels.append(x)
    return [*levels[:3], net.bottom(x)]


def segmentation_network(x: Tensor, mixed: Tensor, probability: Tensor, dilations: tuple[int, ...],
                         compare: str) -> Figure:
    """The segmentation network, from what it is given to its map.

    Parameters
    ----------
    x, mixed : (1, C, H, W) tensor
        What it is given, and what its residual blocks make of it.
    probability : (256, 256) tensor
    """
    width = mixed.shape[1]
    branches = ["mean of the\nwhole image", *(f"3 x 3,\ndilation {d}" for d in dilations)]
    figure, ax = new_diagram(width=9.4, height=9.4 * 49 / 122, top=45, right=120, bottom=-2)
    middle = 17
    diagram_features(ax, 0, middle - 2, x, COMPARED, COMPARISON_TEXTS[compare])
    diagram_box(ax, 17, middle, 13, 8, "2 residual\nblocks", PINK)
    diagram_features(ax, 35, middle - 2, mixed, ADDED, "mixed")
    for left, w, text in [(76, 16, f"concatenate, 3 x 3\n{len(branches) * width} to {width}"),
                          (95.5, 11, f"3 x 3, 1 x 1\n{width} to 1")]:
        diagram_box(ax, left, middle, w, 8, text, PINK)
    for k, text in enumerate(branches):
        y = middle + 11 * (1.5 - k)
        diagram_box(ax, 55, y, 14, 8, text, PINK)
        diagram_arrow(ax, 47.5, middle + 4, 55, y + 4)
        diagram_arrow(ax, 69, y + 4, 76, middle + 4)
    for x0, x1 in [(12.3, 17), (30, 34.6), (92, 95.5), (106.5, 109.6)]:
        diagram_arrow(ax, x0, middle + 4, x1, middle + 4)
    diagram_map(ax, 110, middle - 1, probability, "sigmoid\n256 x 256")
    ax.text(62, 45.5, "ASPP", fontsize=9, color=ADDED, ha="center", va="top")
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
    share.axvline(percent.mean(), color=ACCENT, ls="--", lw=1, label="mean")
    share.set(xlabel="coverage (% of the image)", ylabel="masks")
    most, middle = max(3, regions.max()), np.median(regions[filled])
    edges = np.unique(np.geomspace(1, most + 1, 16).round())       # integers, so that no bin stays empty
    number.hist(regions[filled], edges, color=NORMAL)
    number.axvline(middle, color=ACCENT, ls="--", lw=1)
    ticks = [n for n in (1, 3, 10, 30, 100, 300) if n <= most]
    number.set(xscale="log", xlabel="regions of a mask that is not empty", ylabel="masks", title=f"median {middle:g}")
    number.set(xticks=ticks, xticklabels=[str(n) for n in ticks])
    number.minorticks_off()
    share.legend(loc="upper right")
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

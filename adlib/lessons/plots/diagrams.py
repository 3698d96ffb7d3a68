"""Diagrams of the lessons: boxes with text, pictures, stacks of feature channels, and arrows between them.

`show` displays them as SVG, sharp at any size; their texts and pictures come from the tensors that they are given.
"""

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from torch import Tensor

from adlib.explorer import CMAP
from adlib.lessons.plots import DIAGRAM, Array, new_figure

# Boxes of a diagram. Of a network's: blue is the teacher, green the student, orange what compares them.
BLUE, GREEN, ORANGE, PINK, LIGHT_GREY = "#cfe2f3", "#d9ead3", "#fce5cd", "#ead1dc", "0.93"
# The same as lines: of curves, and of the frames around a network's features.
TEACHER, STUDENT, COMPARED, ADDED = "#0173b2", "#029e73", "#b85c00", "#a8437a"
STACK = 10.0        # side of the front picture of a stack
BEHIND = 0.9         # of each picture behind it


def new_diagram(*, width: float, height: float, top: float, right: float = 100,
                bottom: float = 0) -> tuple[Figure, Axes]:
    """A figure without axes, to draw boxes and arrows between (0, bottom) and (right, top)."""
    figure, axes = new_figure(1, 1, width=width, height=height)
    figure.set_label(DIAGRAM)
    axes[0, 0].set(xlim=(-1, right + 1), ylim=(bottom - 1, top + 1), autoscale_on=False)
    axes[0, 0].set_axis_off()
    return figure, axes[0, 0]


def diagram_box(ax: Axes, x: float, y: float, width: float, height: float, text: str, colour: str) -> None:
    """A box of a diagram."""
    from matplotlib.patches import FancyBboxPatch

    ax.add_patch(FancyBboxPatch((x, y), width, height, boxstyle="round,pad=0.2", fc=colour, ec="0.3", lw=0.8))
    ax.text(x + width / 2, y + height / 2, text, ha="center", va="center", fontsize=8.5)


def diagram_arrow(ax: Axes, x0: float, y0: float, x1: float, y1: float, *, bend: float = 0.0) -> None:
    """An arrow of a diagram, straight or bent."""
    ax.annotate("", (x1, y1), (x0, y0), arrowprops={"arrowstyle": "->", "color": "0.3", "lw": 0.9,
                                                    "connectionstyle": f"arc3,rad={bend}"})


def diagram_route(ax: Axes, points: list[tuple[float, float]]) -> None:
    """An arrow along straight pieces, from the first point to the last."""
    ax.plot(*zip(*points[:-1], strict=True), color="0.3", lw=0.9, solid_joinstyle="miter")
    diagram_arrow(ax, *points[-2], *points[-1])


def diagram_picture(ax: Axes, x: float, y: float, size: float, image: Array, *, frame: str = "0.3", **options) -> None:
    """A small picture, (3, H, W) or (H, W), with a frame; (x, y) is its lower left corner."""
    from matplotlib.patches import Rectangle

    image = np.asarray(image)
    image = image.transpose(1, 2, 0) if image.ndim == 3 else image      # (3, H, W) -> (H, W, 3)
    ax.imshow(image, extent=(x, x + size, y, y + size), aspect="auto", zorder=2, interpolation="nearest", **options)
    ax.add_patch(Rectangle((x, y), size, size, fc="none", ec=frame, lw=1.4, zorder=3))


def diagram_map(ax: Axes, x: float, y: float, distance: Tensor, text: str, *, beside: bool = False) -> None:
    """A distance map, (H, W), in the colours of all maps, its text below or beside; (x, y) is its lower left corner."""
    diagram_picture(ax, x, y, STACK, distance.detach().float().cpu(), cmap=CMAP)
    where = {"x": x + STACK + 0.8, "y": y + 7.5, "ha": "left", "va": "center"} if beside else {
        "x": x + STACK / 2, "y": y - 0.8, "ha": "center", "va": "top"}
    ax.text(s=text, fontsize=7.5, **where)


def diagram_stack(ax: Axes, x: float, y: float, size: float, planes: Tensor, frame: str, *,
                  hidden: Tensor | None = None) -> None:
    """Channels of one level, (C, H, W), one behind the other; the first of them in front. Hidden positions are pink.

    `hidden` is an (H, W) bool tensor.
    """
    for k in reversed(range(len(planes))):
        plane = planes[k].detach().float().cpu()
        if hidden is not None:
            grey = (plane - plane.min()) / (plane.max() - plane.min()).clamp(min=1e-12)
            plane = torch.where(hidden.cpu(), torch.tensor(to_rgb(ADDED))[:, None, None], grey)      # (3, H, W)
        diagram_picture(ax, x + BEHIND * k, y + BEHIND * k, size, plane, frame=frame, cmap="gray")


def diagram_features(ax: Axes, x: float, y: float, features: Tensor, frame: str, name: str, *,
                     chosen: Tensor | None = None, side: str = "below") -> None:
    """Features of one image, (1, C, H, W): a stack of three channels with the network's name and the shape.

    The channels are those that vary most, or the chosen ones; the text stands below, above or right of them.
    """
    chosen = strongest_channels(features, 3) if chosen is None else chosen
    diagram_stack(ax, x, y, STACK, features[0][chosen], frame)
    back, middle = STACK + 2 * BEHIND, x + STACK / 2 + BEHIND
    where = {"below": {"x": middle, "y": y - 0.8, "ha": "center", "va": "top"},
             "above": {"x": middle, "y": y + back + 0.7, "ha": "center", "va": "bottom"},
             "right": {"x": x + back + 0.8, "y": y + back / 2, "ha": "left", "va": "center"}}[side]
    shape = " x ".join(map(str, features.shape[1:]))
    ax.text(s=f"{name}\n{shape}", fontsize=7.5, color=frame, **where)


def strongest_channels(t: Tensor, count: int) -> Tensor:
    """Which channels of (1, C, H, W) features vary most over the image, strongest first."""
    return t[0].float().flatten(1).std(dim=1).argsort(descending=True)[:count]

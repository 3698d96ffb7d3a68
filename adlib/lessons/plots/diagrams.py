"""Diagrams of the lessons: boxes with text, and arrows between them."""

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from adlib.lessons.plots import new_figure

# Boxes of a diagram. Of a network's: blue is the teacher, green the student, orange what compares them.
BLUE, GREEN, ORANGE, PINK, LIGHT_GREY = "#cfe2f3", "#d9ead3", "#fce5cd", "#ead1dc", "0.93"


def new_diagram(*, width: float, height: float, top: float, right: float = 100,
                bottom: float = 0) -> tuple[Figure, Axes]:
    """A figure without axes, to draw boxes and arrows between (0, bottom) and (right, top)."""
    figure, axes = new_figure(1, 1, width=width, height=height)
    axes[0, 0].set(xlim=(-1, right + 1), ylim=(bottom - 1, top + 1))
    axes[0, 0].set_axis_off()
    return figure, axes[0, 0]


def diagram_box(ax: Axes, x: float, y: float, width: float, height: float, text: str, colour: str) -> None:
    """A box of a diagram."""
    from matplotlib.patches import FancyBboxPatch

    ax.add_patch(FancyBboxPatch((x, y), width, height, boxstyle="round,pad=0.2", fc=colour, ec="0.3", lw=0.8))
    ax.text(x + width / 2, y + height / 2, text, ha="center", va="center", fontsize=8.5)


def diagram_arrow(ax: Axes, x0: float, y0: float, x1: float, y1: float) -> None:
    """An arrow of a diagram."""
    ax.annotate("", (x1, y1), (x0, y0), arrowprops={"arrowstyle": "->", "color": "0.3", "lw": 0.9})

"""Every figure of the lessons, a file per lesson; what they share stands here.

Figures are made with matplotlib's object interface, so no backend is needed and none is changed.
"""

import base64
import io
import warnings
from html import escape
from math import ceil

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from adlib.data.category import Category

__all__ = ["METHOD_MARKS", "defect_name", "show"]

Array = Tensor | np.ndarray
DIAGRAM = "diagram"         # label of a figure that is shown as SVG
NORMAL, ANOMALOUS = "#0173b2", "#d55e00"       # of seaborn's "colorblind" palette; importing seaborn takes a second
ACCENT, QUIET = "#111111", "0.6"
OUTLINE = "#00e5ff"         # ground truth over an image or a map: cyan is on neither photographs nor magma
FONTS = {"Noto Sans CJK SC", "Noto Sans CJK JP", "Noto Sans CJK KR", "Source Han Sans SC", "WenQuanYi Zen Hei",
         "Microsoft YaHei", "SimHei", "Yu Gothic", "Malgun Gothic", "PingFang SC", "Hiragino Sans", "AppleGothic",
         "Arial Unicode MS"}       # for names that DejaVu Sans cannot write, where they are installed
# One colour and marker per method, of seaborn's "colorblind" palette: the shape says it too.
METHOD_MARKS = {"nearest": (QUIET, "x"), "stfpm": ("#0173b2", "o"), "destseg": ("#029e73", "s"),
                "rd4ad": ("#de8f05", "^"), "masked_rd": ("#cc78bc", "D")}
STYLE = {"axes.spines.right": False, "axes.spines.top": False, "axes.axisbelow": True, "axes.edgecolor": "0.15",
         "text.color": "0.15", "axes.labelcolor": "0.15", "font.size": 10, "axes.titlesize": 10, "axes.labelsize": 10,
         "lines.solid_capstyle": "round"}


def show(figure: Figure, caption: str, *, alt: str) -> None:
    """Display a figure with its caption below, and a text that says what there is to see for those who cannot see it.

    A diagram is displayed as SVG, with the PNG beside it for pages that have no SVG.
    """
    from IPython.display import Markdown, display

    for legend in filter(None, (ax.get_legend() for ax in figure.axes)):
        legend.set_frame_on(False)      # a style ends with the figure's making, legends come later
    set_fonts(figure)
    png = io.BytesIO()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from")      # a box is drawn for it
        figure.savefig(png, format="png", dpi=110, bbox_inches="tight")
        bundle = {"image/png": base64.b64encode(png.getvalue()).decode(), "text/plain": alt}
        if figure.get_label() == DIAGRAM:
            bundle["image/svg+xml"] = as_svg(figure, alt)
    display(bundle, raw=True, metadata={"image/png": {"alt": alt}})
    display(Markdown(f"*{caption}*"))


def as_svg(figure: Figure, alt: str) -> str:
    """The figure as an SVG element, the same for the same figure, with its text for those who cannot see it."""
    import matplotlib as mpl

    svg = io.StringIO()
    with mpl.rc_context({"svg.hashsalt": "adlib", "image.composite_image": False}):
        figure.savefig(svg, format="svg", dpi=220, bbox_inches="tight", metadata={"Date": None})
    element = svg.getvalue()[svg.getvalue().index("<svg "):]
    return element.replace("<svg ", f'<svg role="img" aria-label="{escape(alt)}" ', 1)


def set_fonts(figure: Figure) -> None:
    """Let texts that are not ASCII fall back on a font that has their letters, where one is installed."""
    from matplotlib.font_manager import get_font_names
    from matplotlib.text import Text

    foreign = [text for text in figure.findobj(Text) if not text.get_text().isascii()]
    families = ["DejaVu Sans", *sorted(FONTS & set(get_font_names()))] if foreign else []
    for text in foreign:
        text.set_fontfamily(families)


def new_figure(rows: int, columns: int, *, width: float, height: float, **options) -> tuple[Figure, np.ndarray]:
    """A figure of rows x columns axes, each `width` x `height` inches, and the axes as a 2-D array."""
    import matplotlib as mpl

    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(width * columns, height * rows), layout="constrained")
        return figure, figure.subplots(rows, columns, squeeze=False, **options)


def panel_grid(n: int, columns: int, **options) -> tuple[Figure, list[Axes]]:
    """A figure of n axes, at most so many across; those left over are empty."""
    columns = min(columns, n)
    figure, axes = new_figure(ceil(n / columns), columns, **options)
    for ax in axes.flat[n:]:
        ax.set_axis_off()
    return figure, list(axes.flat[:n])


def picture(ax: Axes, image: Array, *, mask: Array | None = None, title: str = "", **options):
    """One image, (3, H, W) or (H, W), without ticks, the outline of a mask over it; returns what `imshow` returns."""
    image = np.asarray(image)
    if image.ndim == 3:
        image = image.transpose(1, 2, 0)                # (3, H, W) -> (H, W, 3)
    shown = ax.imshow(image, extent=(0, 256, 256, 0), **options)    # every picture on the 256 px grid of the masks
    if mask is not None and np.any(np.asarray(mask)):
        grid = np.arange(256) + 0.5
        ax.contour(grid, grid, np.asarray(mask, float), [0.5], colors=OUTLINE, linewidths=0.8)
    ax.set(xticks=[], yticks=[])
    ax.set_title(title, fontsize=9)
    for spine in ax.spines.values():
        spine.set_visible(False)
    return shown


def defect_name(category: Category, index: int) -> str:
    """What a test image shows, as a title: "normal", or its defect."""
    return category.defects[index].replace("good", "normal").replace("_", " ")

"""The threshold explorer and the playgrounds, in a notebook or as a page, and one's own photographs."""

from adlib.explorer.curves import CurvesByHand
from adlib.explorer.film import TrainingFilm
from adlib.explorer.noise import PerlinPlayground
from adlib.explorer.paint import PaintADefect
from adlib.explorer.quantize import CMAP, normal_scale
from adlib.explorer.widget import ThresholdExplorer

__all__ = ["CMAP", "CurvesByHand", "PaintADefect", "PerlinPlayground", "ThresholdExplorer", "TrainingFilm",
           "normal_scale"]

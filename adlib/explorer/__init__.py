"""The threshold explorer, in a notebook or as a page, and one's own photographs."""

from adlib.explorer.quantize import CMAP, normal_scale
from adlib.explorer.widget import ThresholdExplorer

__all__ = ["CMAP", "ThresholdExplorer", "normal_scale"]

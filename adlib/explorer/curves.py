"""Curves by hand: maps of a few pixels, whose scores and ground truth are moved, and the six numbers that follow."""

import numpy as np
import traitlets
from numpy.typing import ArrayLike

from adlib import metrics
from adlib.explorer.page import Playground, palette, read_script


class CurvesByHand(Playground):
    """Show tiny anomaly maps with ROC, PR, PRO and IAP; a reader changes scores, masks and the threshold.

    Parameters
    ----------
    maps : (N, S, S) float array
        Scores in [0, 1].
    masks : (N, S, S) bool array

    Attributes
    ----------
    scores, truth : list of N S S floats or bools
        As they are now, pixel by pixel.
    threshold : float

    Raises
    ------
    ValueError
        Shapes that disagree, or scores outside [0, 1].
    """

    STATE = ("scores", "truth", "threshold")
    title = "Curves by hand"
    _esm = read_script("curves.js")
    scores = traitlets.List(traitlets.Float(min=0, max=1)).tag(sync=True)
    truth = traitlets.List(traitlets.Bool()).tag(sync=True)
    threshold = traitlets.Float(0.5).tag(sync=True)

    def __init__(self, maps: ArrayLike, masks: ArrayLike):
        maps = metrics.as_maps(maps)
        masks = metrics.as_masks(masks, maps)
        if maps.shape[1] != maps.shape[2] or maps.min() < 0 or maps.max() > 1:
            raise ValueError(f"maps are squares of scores in [0, 1], not {maps.shape} of scores up to {maps.max():.3g}")
        self.shape = maps.shape
        super().__init__(scores=maps.ravel().tolist(), truth=masks.ravel().tolist())
        self._start = {name: getattr(self, name) for name in self.STATE}

    def numbers(self) -> dict[str, float]:
        """The six numbers of the maps as they are now; a map's image score is its maximum."""
        maps, masks = np.reshape(self.scores, self.shape), np.reshape(self.truth, self.shape)
        return metrics.evaluate(maps, masks, maps.max(axis=(1, 2)), masks.any(axis=(1, 2)))

    def _contents(self, *, static: bool = False) -> tuple[dict, dict]:
        return {"side": self.shape[1], "start": self._start}, {"palette": palette()}

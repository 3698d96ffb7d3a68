"""Training film: the maps of a few images, the loss and the scores' histograms, step by step under a slider."""

import zlib
from collections.abc import Mapping, Sequence

import numpy as np
import traitlets
from numpy.typing import ArrayLike
from torch import Tensor

from adlib import metrics
from adlib.explorer.page import Playground, palette, read_script
from adlib.explorer.paint import SIDE, as_numbers, shrink_heat
from adlib.explorer.quantize import normal_scale

BINS = 48       # of a histogram, over the colour scale
CURVE_POINTS = 400    # of a loss curve, at most


class TrainingFilm(Playground):
    """Show how maps change while students learn.

    Parameters
    ----------
    images : (M, 3, S, S) uint8 array or tensor
    reels : dict
        By method, or by level of one student: a dict from training steps to (M, 256, 256) maps, such as
        `History.snapshots`, which are fused ones.
    masks : (M, 256, 256) bool array or tensor, optional
    labels : (M,) bool array or tensor
        The normal images set each step's colour scale.
    losses : dict, optional
        By method: the loss of each step, from step 1 on.

    Attributes
    ----------
    frame, method : int
        Which of the method's filmed steps is shown.

    Raises
    ------
    ValueError
        Maps that are not one per image, or no steps.
    """

    STATE = ("frame", "method")
    title = "Training film"
    _esm = read_script("film.js")
    frame = traitlets.Int(0, min=0).tag(sync=True)
    method = traitlets.Int(0, min=0).tag(sync=True)

    def __init__(self, images: ArrayLike, reels: Mapping[str, Mapping[int, Tensor]], *, labels: ArrayLike,
                 masks: ArrayLike | None = None, losses: Mapping[str, Sequence[float]] | None = None):
        self.images, self.labels = np.asarray(images), np.asarray(labels, bool)
        self.masks = None if masks is None else np.asarray(masks, bool)
        self.reels = {name: dict(sorted(reel.items())) for name, reel in reels.items()}
        self.losses = {name: list((losses or {}).get(name, ())) for name in reels}
        for name, reel in self.reels.items():
            if not reel or any(len(maps) != len(self.images) for maps in reel.values()):
                raise ValueError(f"the film of {name} needs at least one step, and a map of each of the "
                                 f"{len(self.images)} images at every step")
        super().__init__()

    def describe(self, method: str, step: int) -> dict:
        """One frame's colour scale, its histograms on that scale, and pixel AP (None without masks).

        Where there are masks, a histogram counts the pixels inside and outside, else those of anomalous and of normal
        images.
        """
        maps = self.reels[method][step]
        scale = normal_scale(maps, self.labels)
        scores = np.asarray(maps)
        inside = np.broadcast_to(self.labels[:, None, None], scores.shape) if self.masks is None else self.masks
        edges = np.linspace(scale["vmin"], max(scale["vmax"], scale["vmin"] + 1e-12), BINS + 1)
        counts = [np.histogram(scores[of].clip(edges[0], edges[-1]), edges)[0].tolist() for of in (~inside, inside)]
        ap = None if self.masks is None else as_numbers([metrics.average_precision(scores, self.masks)])[0]
        return {"step": step, "scale": list(scale.values()), "counts": counts, "ap": ap}

    def _contents(self, *, static: bool = False) -> tuple[dict, dict]:
        methods, maps = [], []
        for name, reel in self.reels.items():
            frames = [self.describe(name, step) for step in reel]
            maps += [zlib.compress(shrink_heat(m, vmin=f["scale"][0], vmax=f["scale"][1]).tobytes())
                     for f, m in zip(frames, reel.values(), strict=True)]
            kept = np.unique(np.geomspace(1, max(1, len(self.losses[name])), CURVE_POINTS).round().astype(int))
            loss = [[int(i), float(self.losses[name][i - 1])] for i in kept if i <= len(self.losses[name])]
            methods.append({"name": name, "frames": frames, "loss": [p for p in loss if np.isfinite(p[1])]})
        header = {"methods": methods, "side": SIDE, "size": self.images.shape[-1], "labels": self.labels.tolist(),
                  "masks": self.masks is not None}
        arrays = {"palette": palette(), "maps": maps,
                  "images": [zlib.compress(x.transpose(1, 2, 0).tobytes()) for x in self.images]}
        if self.masks is not None:
            step = self.masks.shape[-1] // SIDE
            arrays["masks"] = np.ascontiguousarray(self.masks[:, step // 2::step, step // 2::step]).astype(np.uint8)
        return header, arrays

"""Ways to choose a threshold when anomalies are known, and what a threshold does."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from adlib.metrics import as_alike, as_maps, as_masks, deciding_pixels, label_regions, score_curves


@dataclass(frozen=True)
class Confusion:
    """How many of some images or pixels a threshold flags, rightly and wrongly; a ratio is NaN where undefined."""

    tp: int
    fp: int
    fn: int
    tn: int

    precision = property(lambda self: _share(self.tp, self.tp + self.fp))
    recall = property(lambda self: _share(self.tp, self.tp + self.fn))
    fpr = property(lambda self: _share(self.fp, self.fp + self.tn))
    iou = property(lambda self: _share(self.tp, self.tp + self.fp + self.fn))
    f1 = property(lambda self: _share(2 * self.tp, 2 * self.tp + self.fp + self.fn))


def confusion(scores: ArrayLike, labels: ArrayLike, threshold: float) -> Confusion:
    """Count what "score >= threshold" flags; scores and labels as in `auroc`.

    >>> confusion([0.9, 0.2, 0.6, 0.1], [1, 1, 0, 0], 0.5)
    Confusion(tp=1, fp=1, fn=1, tn=1)
    """
    scores, labels = as_alike(scores, labels)
    flagged = scores >= np.float64(threshold)       # a plain float would be rounded to the scores' float32
    tp, alarms, anomalous = (int(np.count_nonzero(x)) for x in (flagged & labels, flagged, labels))
    return Confusion(tp, alarms - tp, anomalous - tp, labels.size - anomalous - alarms + tp)


def region_thresholds(maps: ArrayLike, masks: ArrayLike, *, connectivity: int = 8) -> tuple[np.ndarray, np.ndarray]:
    """Of each region, the highest threshold that finds it: more than half of its pixels reach it (DeSTSeg, IAP).

    Parameters as in `pixel_curves`.

    Returns
    -------
    thresholds : (K,) array
        In the order of `label_regions`.
    images : (K,) int array
        The image of each region.
    """
    maps = as_maps(maps)
    masks = as_masks(masks, maps)
    scores = maps[masks]
    deciding = deciding_pixels(scores, label_regions(masks, connectivity)[masks])
    return scores[deciding], np.nonzero(masks)[0][deciding]


def threshold_at_fpr(scores: ArrayLike, labels: ArrayLike, fpr: float = 0.01) -> float:
    """The lowest score that at most a share `fpr` of the normal scores reaches; infinite if there is none.

    Parameters as in `auroc`; NaN if nothing is normal.
    """
    scores, labels = as_alike(scores, labels)
    normal = scores[~labels]
    if not normal.size:
        return float("nan")
    if fpr >= 1:
        return float(scores.min())
    last = normal.size - 1 - int(fpr * normal.size * (1 + 1e-12))      # 0.29 * 100 is 28.999...
    return float(scores[scores > np.partition(normal, last)[last]].min(initial=np.inf))


def threshold_of_best_f1(scores: ArrayLike, labels: ArrayLike) -> float:
    """The highest of the thresholds with the best F1, the harmonic mean of precision and recall.

    Parameters as in `auroc`; NaN unless there are both normal and anomalous scores.
    """
    curves = score_curves(scores, labels)
    if not curves.fpr.size:
        return float("nan")
    f1 = 2 * curves.precision * curves.recall / (curves.precision + curves.recall)      # recall is never 0 here
    return float(curves.thresholds[np.argmax(f1)])


def threshold_at_region_recall(maps: ArrayLike, masks: ArrayLike, recall: float = 0.9) -> float:
    """The highest threshold that finds a share `recall` of the regions; NaN without regions.

    Parameters as in `pixel_curves`.
    """
    if not 0 < recall <= 1:
        raise ValueError(f"recall is a share of the regions in (0, 1], not {recall}")
    thresholds = np.sort(region_thresholds(maps, masks)[0])
    needed = int(np.ceil(recall * len(thresholds) * (1 - 1e-12)))
    return float(thresholds[-needed]) if thresholds.size else float("nan")


def threshold_of_least_cost(scores: ArrayLike, labels: ArrayLike, *, miss: float, false_alarm: float) -> float:
    """The highest of the thresholds at which misses and false alarms together cost least; infinite flags nothing.

    Parameters
    ----------
    scores, labels
        As in `auroc`.
    miss, false_alarm : float
        Cost of an anomalous score below the threshold, and of a normal one from it on; not negative.

    Returns
    -------
    float
        NaN unless there are both normal and anomalous scores.
    """
    if not (np.isfinite([miss, false_alarm]).all() and min(miss, false_alarm) >= 0):
        raise ValueError(f"costs are finite and not negative, not miss={miss}, false_alarm={false_alarm}")
    scores, labels = as_alike(scores, labels)
    normal, anomalous = np.sort(scores[~labels]), np.sort(scores[labels])
    if not (normal.size and anomalous.size):
        return float("nan")
    candidates = np.append(anomalous, np.inf)       # anywhere else a threshold can be raised without a further miss
    cost = miss * np.searchsorted(anomalous, candidates) + \
        false_alarm * (normal.size - np.searchsorted(normal, candidates))
    return float(candidates[::-1][np.argmin(cost[::-1])])


def _share(part: int, whole: int) -> float:
    return part / whole if whole else float("nan")

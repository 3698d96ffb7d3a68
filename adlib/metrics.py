"""The six numbers that judge anomaly maps and image scores, exact, and the curves behind them.

Higher scores mean more anomalous. Pixel numbers take all test images of one category together, good ones included.
Only the anomalous pixels (a few percent) are ranked one by one: every curve bends at their scores and nowhere else,
so of the normal pixels it is enough to count how many lie above each of those. That needs one plain sort of them.
"""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import ArrayLike
from scipy import ndimage

from adlib.settings import METRIC_NAMES as METRIC_NAMES  # for those who print what they have measured
from adlib.settings import METRICS

STRUCTURES = {4: ndimage.generate_binary_structure(2, 1), 8: ndimage.generate_binary_structure(2, 2)}


def evaluate(maps: ArrayLike, masks: ArrayLike | None, image_scores: ArrayLike,
             image_labels: ArrayLike) -> dict[str, float]:
    """The six numbers of one category, each in [0, 1], or NaN where it is undefined.

    Parameters
    ----------
    maps : (N, H, W) float array or CPU tensor
        Anomaly maps of all test images.
    masks : (N, H, W) bool array, or None
        Ground truth; None (there is none) leaves only `image_auroc`.
    image_scores : (N,) float array
    image_labels : (N,) bool array
        True for anomalous images, from the folder's name: the mask of a thin defect can be empty.

    Returns
    -------
    dict
        `image_auroc, pixel_auroc, pixel_ap, pro` (to a false-positive rate of 0.3), `iap, iap90`.

    Raises
    ------
    ValueError
        Where shapes disagree, or a score is NaN or infinite (says which image).
    """
    maps, scores, labels = as_maps(maps), np.asarray(image_scores), np.asarray(image_labels)
    if scores.shape != maps.shape[:1] or labels.shape != maps.shape[:1]:
        raise ValueError(f"{len(maps)} maps need one score and one label each, but image_scores is {scores.shape} "
                         f"and image_labels is {labels.shape}")
    numbers = {"image_auroc": auroc(scores, labels)}
    if masks is None:
        return numbers | dict.fromkeys(METRICS[1:], float("nan"))
    curves = _curves(maps, as_masks(masks, maps), 8)
    return numbers | {"pixel_auroc": curves.roc_area(), "pixel_ap": curves.average_precision(),
                      "pro": curves.pro_area(), "iap": curves.iap(), "iap90": curves.iap_at(90)}


def auroc(scores: ArrayLike, labels: ArrayLike) -> float:
    """Area under the ROC curve: how often an anomalous score lies above a normal one, ties counting 1/2.

    Parameters
    ----------
    scores : float array of any shape
    labels : bool array of the same shape

    Returns
    -------
    float
        In [0, 1]; NaN unless there are both normal and anomalous scores.

    Examples
    --------
    >>> auroc([0.5, 0.5, 0.5, 0.1], [1, 0, 1, 0])       # of four pairs two are won and two tied
    0.75
    """
    return score_curves(scores, labels).roc_area()


def average_precision(scores: ArrayLike, labels: ArrayLike) -> float:
    """Average precision, without interpolation; parameters as in `auroc`.

    With R_i and P_i the recall and precision of "score >= t_i", t_1 > t_2 > ... the distinct scores and R_0 = 0:

        AP = sum_i (R_i - R_{i-1}) P_i

    In (0, 1]; NaN unless there are both normal and anomalous scores.

    >>> round(average_precision([0.5, 0.5, 0.5, 0.1], [1, 0, 1, 0]), 4)     # one step: all recall at precision 2/3
    0.6667
    """
    return score_curves(scores, labels).average_precision()


def pro(maps: ArrayLike, masks: ArrayLike, limit: float = 0.3, *, connectivity: int = 8) -> float:
    """Per-region overlap as MVTec defines it: its mean over false-positive rates from 0 to L = `limit`, in [0, 1].

    With R_1, ..., R_K the regions, N the normal pixels and P_t the pixels of all images with score >= t:

        PRO(t) = 1/K sum_k |P_t & R_k| / |R_k|,        FPR(t) = |P_t & N| / |N|
        pro    = 1/L  integral of PRO over FPR from 0 to L, by the trapezoid from (0, 0) to (1, 1)

    Parameters as in `pixel_curves`; NaN unless there are both normal and anomalous pixels.

    >>> mask = [[[1, 1, 0, 0], [1, 1, 0, 0], [0, 0, 0, 0], [0, 0, 0, 1]]]       # two regions
    >>> scores = [[[.9, .8, .3, .1], [.7, .2, .1, .1], [.4, .1, .1, .1], [.1, .1, .1, .6]]]
    >>> round(pro(scores, mask), 6)     # (0.875 * 2/11 + 1 * (0.3 - 2/11)) / 0.3
    0.924242
    """
    return pixel_curves(maps, masks, connectivity=connectivity).pro_area(limit)


def iap(maps: ArrayLike, masks: ArrayLike, *, connectivity: int = 8) -> float:
    """Instance average precision (DeSTSeg, section 4.2); parameters as in `pixel_curves`, NaN where undefined.

    A region counts as found at t if more than half of its pixels have a score >= t. Let t_0 <= ... <= t_{K-1} be the
    highest thresholds that find each of the K regions, so that the recall at t_i is (K - i)/K, and G the anomalous
    pixels, of found regions or not:

        P(t) = |P_t & G| / |P_t|,       IAP = 1/K sum_i max_{j <= i} P(t_j)

    >>> mask = [[[1, 1, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 1]]]
    >>> scores = np.zeros((1, 4, 4))
    >>> scores[0, 0, :3] = 0.9, 0.8, 0.5
    >>> iap(scores, mask)       # precision 3/16 where both are found, 1 where the first is: (3/16 + 1) / 2
    0.59375
    """
    return pixel_curves(maps, masks, connectivity=connectivity).iap()


@dataclass(frozen=True)
class PixelCurves:
    """ROC, PR, PRO and instance curves of one category, exact; all arrays are empty where they are undefined.

    `thresholds` are the M distinct scores of anomalous pixels, descending. Between two of them only the false-positive
    rate moves, so `fpr`, `tpr` and `pro` hold two points for each: just above it and at it, after (0, 0) and before
    (1, 1). Slice them `[2::2]` for the points "score >= threshold". A normal pixel tied with an anomalous one makes
    the piece between the two points slant. The K instances are the masks' regions.

    Attributes
    ----------
    thresholds, recall, precision : (M,) float array
        Recall and precision of "score >= threshold".
    fpr, tpr, pro : (2 M + 2,) float array
        Corners of the ROC curve (tpr over fpr) and the PRO curve (pro over fpr), ascending.
    instance_thresholds : (K,) float array
        The highest threshold at which more than half of an instance is found, ascending.
    instance_precision, instance_envelope : (K,) float array
        Pixel precision at those thresholds, and the best one at this or a higher recall.
    """

    thresholds: np.ndarray
    recall: np.ndarray
    precision: np.ndarray
    fpr: np.ndarray
    tpr: np.ndarray
    pro: np.ndarray
    instance_thresholds: np.ndarray
    instance_precision: np.ndarray
    instance_envelope: np.ndarray

    @property
    def instance_recall(self) -> np.ndarray:
        """(K,) share of the instances found at each instance threshold: 1, 1 - 1/K, ..., 1/K."""
        return np.arange(len(self.instance_thresholds), 0, -1) / max(len(self.instance_thresholds), 1)

    def roc_area(self) -> float:
        return float(np.trapezoid(self.tpr, self.fpr)) if self.fpr.size else float("nan")

    def average_precision(self) -> float:
        gained = np.diff(self.recall, prepend=0)
        return min(float((gained * self.precision).sum()), 1.0) if self.fpr.size else float("nan")

    def pro_area(self, limit: float = 0.3) -> float:
        """Area under PRO over FPR from 0 to `limit`, divided by `limit` (not by the largest FPR that occurs)."""
        if not 0 < limit <= 1:
            raise ValueError(f"the limit is a false-positive rate in (0, 1], not {limit}")
        if not self.fpr.size:
            return float("nan")
        inside = self.fpr <= limit
        fpr = np.append(self.fpr[inside], limit)
        pro = np.append(self.pro[inside], np.interp(limit, self.fpr, self.pro))
        return float(np.trapezoid(pro, fpr) / limit)

    def iap(self) -> float:
        return float(self.instance_envelope.mean()) if self.fpr.size else float("nan")

    def iap_at(self, k: int = 90) -> float:
        """Best pixel precision once `k` percent of the instances are found (DeSTSeg's IAP@k), as in `iap`.

            IAP@k = max_{j <= i} P(t_j)  with i = K - ceil(k K / 100)

        >>> mask, scores = [[[1, 0], [0, 0]], [[1, 0], [0, 0]]], [[[0.9, 0.5], [0, 0]], [[0.3, 0], [0, 0]]]
        >>> curves = pixel_curves(scores, mask)
        >>> curves.iap_at(50), round(curves.iap_at(90), 3)
        (1.0, 0.667)
        """
        if not (isinstance(k, int) and 1 <= k <= 100):
            raise ValueError(f"k is a whole percentage from 1 to 100, not {k!r}")
        needed = -(-k * len(self.instance_envelope) // 100)       # ceil(k K / 100) in whole numbers
        return float(self.instance_envelope[-needed]) if self.fpr.size else float("nan")


def pixel_curves(maps: ArrayLike, masks: ArrayLike, *, connectivity: int = 8) -> PixelCurves:
    """The curves from which `evaluate` reads its five pixel numbers.

    Parameters
    ----------
    maps : (N, H, W) float array or CPU tensor
        Finite anomaly scores.
    masks : (N, H, W) bool array
        Ground truth of all N images, empty for good ones.
    connectivity : 4 or 8
        Whether pixels that touch only at a corner belong to one region (8, the default of the field).

    Raises
    ------
    ValueError
        Where shapes disagree, or a map holds NaN or infinite values (says which image).
    """
    maps = as_maps(maps)
    return _curves(maps, as_masks(masks, maps), connectivity)


def label_regions(masks: ArrayLike, connectivity: int = 8) -> np.ndarray:
    """Number the connected regions of each mask, on through all images.

    Parameters
    ----------
    masks : (N, H, W) bool array
    connectivity : 4 or 8

    Returns
    -------
    (N, H, W) int32 array
        0 for normal pixels, 1..K for the pixels of the K regions.

    Examples
    --------
    >>> label_regions([[[1, 0], [0, 1]]], 8).max(), label_regions([[[1, 0], [0, 1]]], 4).max()
    (np.int32(1), np.int32(2))
    """
    if connectivity not in STRUCTURES:
        raise ValueError(f"connectivity is 4 or 8, not {connectivity!r}")
    masks = as_bool(masks, "masks")
    labels = np.zeros(masks.shape, np.int32)
    count = 0
    for i in np.flatnonzero(masks.any(axis=(1, 2))):
        ndimage.label(masks[i], STRUCTURES[connectivity], output=labels[i])
        labels[i][masks[i]] += count
        count = labels[i].max()
    return labels


def image_threshold(scores: ArrayLike, alpha: float = 0.05) -> float:
    """Threshold that a new normal score reaches with probability `alpha` at most (split conformal).

    It is the next number, of the scores' own type, above the k-th smallest of n validation scores, k = ceil((n + 1)
    (1 - alpha)): a tie with that stays below. The promise holds whatever the distribution, if the new score and the n
    are exchangeable. Where n < 1 / alpha - 1, it lies above all n, and the probability is 1 / (n + 1) at most.

    >>> [image_threshold(range(n)) for n in (12, 19, 39)]       # just above 11, 18 and 37
    [11.000000000000002, 18.000000000000004, 37.00000000000001]
    """
    ordered = np.sort(_finite(scores), axis=None)
    return float(np.nextafter(ordered[-alarms_allowed(ordered.size, alpha)], np.inf))


def alarms_allowed(n: int, alpha: float = 0.05) -> int:
    """How many of n + 1 normal scores `image_threshold` lets alarm at most: a share `alpha`, but at least one."""
    return max(1, int(alpha * (n + 1) * (1 + 1e-12)))       # 0.29 * 100 is 28.999...


def pixel_threshold(maps: ArrayLike) -> float:
    """99.9 % quantile of normal validation pixels; no promise, as those of one image hang together."""
    return float(np.quantile(_finite(maps), 0.999))


def _finite(scores: ArrayLike) -> np.ndarray:
    scores = np.asarray(scores)
    if not scores.size or not np.isfinite(scores).all():
        raise ValueError("a threshold needs at least one normal score, and all of them finite")
    return scores


def _curves(maps: np.ndarray, masks: np.ndarray, connectivity: int) -> PixelCurves:
    regions = label_regions(masks, connectivity)[masks]                       # (n_anomalous,) in 1..K
    if not regions.size or regions.size == masks.size:
        return PixelCurves(**{curve.name: np.empty(0) for curve in fields(PixelCurves)})
    shares, scores = _sort_in_shares(maps[~masks]), maps[masks]
    order = np.argsort(scores)[::-1]
    scores, regions = scores[order], regions[order]
    last = np.flatnonzero(np.append(scores[1:] != scores[:-1], True))         # of each run of equal scores
    thresholds, tp, normal = scores[last], last + 1, masks.size - len(scores)
    fp_above, fp = (normal - np.sum([np.searchsorted(share, thresholds, side=side) for share in shares], axis=0)
                    for side in ("right", "left"))
    sizes = np.bincount(regions)[1:]
    overlap = np.minimum(np.cumsum(1 / (len(sizes) * sizes[regions - 1]))[last], 1)     # rounding can pass 1
    recall, precision = tp / len(scores), tp / (tp + fp)
    found = np.sort(scores[deciding_pixels(scores, regions)])
    at_found = precision[np.searchsorted(-thresholds, -found)]
    return PixelCurves(
        thresholds=thresholds, recall=recall, precision=precision,
        fpr=_corners(fp_above / normal, fp / normal),
        tpr=_corners(np.append(0, recall[:-1]), recall),
        pro=_corners(np.append(0, overlap[:-1]), overlap),
        instance_thresholds=found, instance_precision=at_found, instance_envelope=np.maximum.accumulate(at_found))


def _sort_in_shares(values: np.ndarray) -> list[np.ndarray]:
    """Sorted shares of many values, a thread each: how many lie above a threshold is the sum over all shares."""
    if values.size < 1e6:
        return [np.sort(values)]
    with ThreadPoolExecutor(4) as pool:
        return list(pool.map(np.sort, np.array_split(values, 4)))


def deciding_pixels(scores: np.ndarray, regions: np.ndarray) -> np.ndarray:
    """Where each region's deciding score stands: of its n scores, descending, the one with index floor(n / 2)."""
    order = np.lexsort((-scores, regions))                          # by region, the scores descending within it
    sizes = np.bincount(regions, minlength=1)[1:]
    return order[np.cumsum(sizes) - sizes + sizes // 2]


def _corners(above: np.ndarray, at: np.ndarray) -> np.ndarray:
    """0, the values just above and at each threshold in turn, 1: (M,), (M,) -> (2 M + 2,)."""
    return np.concatenate(([0], np.stack((above, at), axis=1).ravel(), [1]))


def score_curves(scores: ArrayLike, labels: ArrayLike) -> PixelCurves:
    scores, labels = as_alike(scores, labels)
    return _curves(scores.reshape(1, 1, -1), labels.reshape(1, 1, -1), 8)     # one row of pixels


def as_bool(values: ArrayLike, name: str) -> np.ndarray:
    """Labels or masks, also of 0 and 1, as a bool array."""
    values = np.asarray(values)
    if values.dtype != bool and not np.isin(values, (0, 1)).all():
        raise ValueError(f"{name} have values besides 0 and 1; say what counts as anomalous, as in `{name} >= 128`")
    return values.astype(bool, copy=False)


def as_finite(values: ArrayLike, name: str) -> np.ndarray:
    """As float32 or float64, whichever holds the values exactly, the first axis being images."""
    values = np.asarray(values)
    values = values.astype(np.result_type(values.dtype, np.float32), copy=False)
    wrong = np.unique(np.nonzero(~np.isfinite(values))[0])
    if wrong.size:
        raise ValueError(f"image {wrong[0]}: its {name} holds NaN or infinite values ({len(wrong)} of {len(values)} "
                         f"images do)")
    return values


def as_maps(maps: ArrayLike) -> np.ndarray:
    """Finite (N, H, W) maps as a float array."""
    maps = as_finite(maps, "map")
    if maps.ndim != 3:
        raise ValueError(f"maps must be (N, H, W), not {maps.shape}")
    return maps


def as_masks(masks: ArrayLike | None, maps: np.ndarray) -> np.ndarray:
    """Masks of the maps' shape as a bool array."""
    if masks is None:
        raise ValueError("pixel numbers need masks, got None")
    masks = as_bool(masks, "masks")
    if masks.shape != maps.shape:
        raise ValueError(f"maps are {maps.shape} but masks are {masks.shape}; bring them to one size first")
    return masks


def as_alike(scores: ArrayLike, labels: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    scores, labels = as_finite(scores, "score"), as_bool(labels, "labels")
    if scores.shape != labels.shape:
        raise ValueError(f"scores are {scores.shape} but labels are {labels.shape}")
    return scores, labels

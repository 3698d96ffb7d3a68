"""Lesson 00: how far the same maps move a number when only the scoring protocol changes.

Four PRO codes that papers report under one name, four ways to shrink a mask, two notions of a connected region and a
centre crop. The PRO codes keep the flaws of the originals, because those flaws are what is measured here.
"""

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import ArrayLike

from adlib import metrics

FPR_LIMIT = 0.3                    # every one of the four stops at this false-positive rate
RULES = {"round": 0.5 - 1e-5, "ceil": 1e-9, "floor": 1 - 1e-5, "nearest": 0.5}    # least anomalous share


def pro_stfpm(maps: ArrayLike, masks: ArrayLike) -> float:
    """PRO as STFPM's repository computes it: sampled, and both axes stretched to [0, 1].

    Of 4000 equally spaced thresholds (strictly above counts) those with an FPR of at most 0.3 are kept; then FPR *and*
    overlap are min-max rescaled, so what is still missed at 0.3 is forgiven. NaN where there is nothing to scale.
    Takes (N, H, W) float maps and (N, H, W) bool masks, as the others do.
    """
    maps, masks = np.asarray(maps), np.asarray(masks, bool)
    fpr, overlap = _above(maps, masks, np.linspace(float(maps.max()), float(maps.min()), 4000, endpoint=False))
    within = fpr <= FPR_LIMIT
    fpr, overlap = fpr[within], overlap[within]
    spans = np.ptp(fpr) * np.ptp(overlap) if fpr.size else 0
    return float(np.trapezoid(overlap - overlap[0], fpr) / spans) if spans > 0 else float("nan")


def pro_rd4ad(maps: ArrayLike, masks: ArrayLike) -> float:
    """PRO as RD4AD's repository computes it: a curve per anomalous image, then the mean over those images.

    Each image has 200 thresholds from its own minimum to just below its maximum (strictly above counts), and only its
    own normal pixels; FPR below 0.3 is kept and divided by its largest value. Good images, and images without a false
    alarm at any threshold kept, do not take part.
    """
    areas = []
    for x, mask in zip(np.asarray(maps), np.asarray(masks, bool), strict=True):
        if not mask.any() or mask.all():
            continue
        fpr, overlap = _above(x[None], mask[None], np.linspace(float(x.max()), float(x.min()), 201)[1:])
        within = fpr < FPR_LIMIT
        fpr, overlap = fpr[within], overlap[within]
        if fpr.size and fpr[-1] > 0:
            areas.append(np.trapezoid(overlap, fpr / fpr[-1]))
    return float(np.mean(areas)) if areas else float("nan")


def pro_destseg(maps: ArrayLike, masks: ArrayLike) -> float:
    """PRO as DeSTSeg's repository and anomalib up to 2.2 compute it: curves averaged by index, not by FPR.

    Each region's ROC against all normal pixels, up to an FPR of 0.3 and one point more, is stretched to as many
    samples as the ROC of all pixels has there; the last sample sits at 0.3. Means over regions are taken sample by
    sample, and the area is divided by the last mean FPR. Can exceed 1.
    """
    maps, masks = np.asarray(maps), np.asarray(masks, bool)
    if not masks.any() or masks.all():
        return float("nan")
    normal = np.sort(maps[~masks])
    beyond = normal[-1 - int(FPR_LIMIT * len(normal))]             # the first score whose FPR is above the limit
    samples = 1 + len(np.unique(maps[maps > beyond]))
    if samples < 2:
        return float("nan")
    top = np.unique(normal[normal >= beyond])                  # the curves end there
    fpr = np.append(len(normal) - np.searchsorted(normal, top), 0) / len(normal)
    scores, regions = maps[masks], metrics.label_regions(masks)[masks]
    parts = [scores[regions == k] for k in range(1, regions.max() + 1)]
    fpr, tpr = sum(_resampled(top, fpr, part, samples) for part in parts) / len(parts)
    order = np.argsort(fpr, kind="stable")                     # the last sample can lie before its neighbours
    return float(np.trapezoid(tpr[order], fpr[order]) / fpr[-1])


PRO_CODES = {"MVTec": metrics.pro, "STFPM": pro_stfpm, "RD4AD": pro_rd4ad, "DeSTSeg": pro_destseg}   # repositories'


def round_masks(masks: ArrayLike, size: int = 64, rule: str = "round") -> np.ndarray:
    """Shrink masks, and decide which of the pixels that were mixed are anomalous.

    Parameters
    ----------
    masks : (N, H, W) bool array
    size : pixels a side
    rule : "round" (at least half anomalous, DeSTSeg's rule), "ceil" (any share), "floor" (all of it), "nearest"
        All but "nearest" follow a bilinear resize with antialiasing. Returns an (N, size, size) bool array.
    """
    if rule not in RULES:
        raise ValueError(f"rule is one of {', '.join(RULES)}, not {rule!r}")
    share = _resize(masks, size, mode="nearest-exact") if rule == "nearest" else shrink_maps(masks, size)
    return share >= RULES[rule]


def shrink_maps(maps: ArrayLike, size: int = 64) -> np.ndarray:
    """Resize maps (N, H, W) -> (N, size, size) float32, bilinear with antialiasing, as masks are."""
    return _resize(maps, size, mode="bilinear", antialias=True)


def centre_crop(x: np.ndarray, share: float = 7 / 8) -> np.ndarray:
    """The middle `share` of both sides of (N, H, W) maps or masks (7/8: 224 of 256 pixels)."""
    top, left = (round(n * (1 - share) / 2) for n in x.shape[-2:])
    return x[..., top:x.shape[-2] - top, left:x.shape[-1] - left]


def compare_protocols(maps: ArrayLike, masks: ArrayLike, scores: ArrayLike, labels: ArrayLike) -> list[dict]:
    """Score the same maps under other protocols; parameters as in `metrics.evaluate`, with masks.

    Returns
    -------
    list of dict
        `what, variant, metric, value, difference`. The first rows are our own six numbers; `difference` is to them,
        except for the mask rules at 64 pixels, where it is to "round" at 64 pixels: it shows the rule, not the size.
    """
    ours = metrics.evaluate(maps, masks, scores, labels)
    maps, masks = np.asarray(maps), np.asarray(masks, bool)
    four = _pixel_metrics(maps, masks, connectivity=4)
    small = shrink_maps(maps)
    shrunk = {rule: _pixel_metrics(small, round_masks(masks, rule=rule)) for rule in RULES}
    return [
        *_rows("ours", "ours", ours, ours),
        *(row for name, code in PRO_CODES.items() for row in _rows("PRO code", name, {"pro": code(maps, masks)}, ours)),
        *(row for rule in RULES for row in _rows("mask at 64 px", rule, shrunk[rule], shrunk["round"])),
        *_rows("connectivity", "8", {name: ours[name] for name in ("pro", "iap")}, ours),
        *_rows("connectivity", "4", {name: four[name] for name in ("pro", "iap")}, ours),
        *_rows("centre crop", "7/8", _pixel_metrics(centre_crop(maps), centre_crop(masks)), ours),
    ]


def _resize(x: ArrayLike, size: int, **how) -> np.ndarray:
    x = torch.from_numpy(np.array(x, np.float32))[:, None]                     # (N, H, W) -> (N, 1, H, W)
    return F.interpolate(x, (size, size), **how)[:, 0].numpy()                 # -> (N, size, size)


def _rows(what: str, variant: str, values: dict, baseline: dict) -> list[dict]:
    return [{"what": what, "variant": variant, "metric": m, "value": values[m], "difference": values[m] - baseline[m]}
            for m in values]


def _pixel_metrics(maps: np.ndarray, masks: np.ndarray, connectivity: int = 8) -> dict[str, float]:
    curves = metrics.pixel_curves(maps, masks, connectivity=connectivity)
    return {"pixel_auroc": curves.roc_area(), "pixel_ap": curves.average_precision(),
            "pro": curves.pro_area(), "iap": curves.iap()}


def _above(maps: np.ndarray, masks: np.ndarray, thresholds: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """FPR and mean overlap of the pixels strictly above each threshold, both of the thresholds' shape."""
    if not masks.any() or masks.all():
        return np.empty(0), np.empty(0)
    normal = np.sort(maps[~masks])
    scores = maps[masks]
    regions = metrics.label_regions(masks)[masks]
    order, sizes = np.argsort(scores), np.bincount(regions)
    overlap = np.append(0, np.cumsum(1 / ((len(sizes) - 1) * sizes[regions[order]])))      # sizes[0]: no region
    return ((len(normal) - np.searchsorted(normal, thresholds, side="right")) / len(normal),
            overlap[-1] - overlap[np.searchsorted(scores[order], thresholds, side="right")])


def _resampled(top: np.ndarray, fpr: np.ndarray, region: np.ndarray, samples: int) -> np.ndarray:
    """(2, samples) FPR and TPR of one region's ROC, by index. `top` are the distinct highest normal scores, ascending,
    `fpr` the share of normal pixels that reaches each, then 0."""
    region = np.sort(region)
    tied = top[np.searchsorted(top, region).clip(max=len(top) - 1)] == region
    own = np.unique(region[~tied & (region > top[0])])
    at = np.searchsorted(top, own)
    fpr = np.insert(fpr, at, fpr[at])[::-1]
    values = np.insert(top, at, own)     # a merge: cheaper than sorting again
    below = np.bincount(np.searchsorted(values, region, side="right"), minlength=len(values) + 1).cumsum()
    tpr = np.append(len(region) - below[:-1], 0)[::-1] / len(region)
    positions = np.linspace(0, samples - 1, len(fpr))
    at = np.arange(samples, dtype=float)
    at[-1] = np.interp(FPR_LIMIT, fpr[-2:], positions[-2:])
    return np.stack([np.interp(at, positions, y) for y in (fpr, tpr)])

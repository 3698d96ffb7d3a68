"""How fast `adlib.metrics.evaluate` is, and how much memory it takes: python tests/bench/bench_metrics.py

83 maps of 256 x 256 with about 120 regions, compared with one argsort of the same pixels and with scikit-learn's
AUROC and AP plus PRO and IAP written as loops over regions. Ratios travel between machines better than seconds.
"""

import time
import tracemalloc

import numpy as np
from scipy import ndimage
from skimage.measure import label
from sklearn.metrics import auc, average_precision_score, roc_auc_score

from adlib.metrics import evaluate, label_regions


def make_maps(seed: int = 0, n: int = 83, size: int = 256, regions: int = 120):
    """Smooth float32 maps, a third of them good, with elliptic defects that the maps see to varying degrees."""
    rng = np.random.default_rng(seed)
    maps = ndimage.gaussian_filter(rng.standard_normal((n, size, size), np.float32), (0, 4, 4)) * 8
    masks = np.zeros(maps.shape, bool)
    y, x = np.mgrid[:size, :size]
    for i in range(regions):
        centre, radii = rng.integers(20, size - 20, 2), rng.integers(4, 30, 2)
        masks[i % (2 * n // 3)] |= ((y - centre[0]) / radii[0]) ** 2 + ((x - centre[1]) / radii[1]) ** 2 <= 1
    maps += ndimage.gaussian_filter(masks.astype(np.float32), (0, 4, 4)) * 2
    return maps, masks, maps.max(axis=(1, 2)), masks.any(axis=(1, 2))


def looped(maps, masks, scores, labels):
    """The six numbers as they are often written: sampled PRO (200 thresholds), a pass over all pixels per instance."""
    boxes = []                                               # (image, pixels of one of its regions)
    for i in np.flatnonzero(labels):
        found = label(masks[i], connectivity=2)
        boxes += [(i, found == k) for k in range(1, found.max() + 1)]
    curve = []
    for t in np.linspace(maps.max(), maps.min(), 200):
        positive = maps >= t
        curve.append((positive[~masks].mean(), np.mean([positive[i][region].mean() for i, region in boxes])))
    fpr, overlap = np.array(curve).T
    grid = np.linspace(0, 0.3, 1000)
    thresholds = sorted(np.sort(maps[i][region])[::-1][region.sum() // 2] for i, region in boxes)
    precision = np.maximum.accumulate([(masks & (maps >= t)).sum() / (maps >= t).sum() for t in thresholds])
    return {"image_auroc": roc_auc_score(labels, scores), "pixel_auroc": roc_auc_score(masks.ravel(), maps.ravel()),
            "pixel_ap": average_precision_score(masks.ravel(), maps.ravel()),
            "pro": auc(grid, np.interp(grid, fpr, overlap)) / 0.3, "iap": np.mean(precision),
            "iap90": precision[-int(np.ceil(0.9 * len(boxes)))]}


def seconds(act, repeats: int) -> float:
    """The shortest of some runs: other processes only ever add time."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        act()
        times.append(time.perf_counter() - start)
    return min(times)


def extra_memory(act) -> int:
    """Bytes at the peak, beyond what was there before."""
    tracemalloc.start()
    act()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak


def main():
    case = make_maps()
    maps, masks = case[:2]
    print(f"{maps.shape} {maps.dtype}, {label_regions(masks).max()} regions, {masks.mean():.1%} anomalous pixels")
    ours, theirs = evaluate(*case), looped(*case)
    print("  ".join(f"{name} {ours[name]:.5f} ({theirs[name] - ours[name]:+.5f} by loops)" for name in ours))
    t = seconds(lambda: evaluate(*case), 7)
    t_argsort = seconds(lambda: np.argsort(maps, axis=None), 5)
    t_looped = seconds(lambda: looped(*case), 1)
    print(f"evaluate {t:.3f} s, argsort {t_argsort:.3f} s, loops {t_looped:.1f} s")
    print(f"time / argsort        {t / t_argsort:.2f}   (at most 0.5)")
    print(f"loops / time          {t_looped / t:.0f}   (at least 50)")
    print(f"extra memory / maps   {extra_memory(lambda: evaluate(*case)) / maps.nbytes:.2f}   (at most 3)")


if __name__ == "__main__":
    main()

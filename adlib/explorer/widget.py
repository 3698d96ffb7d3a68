"""The threshold explorer: pictures, histograms and numbers that follow a threshold as it is moved.

The browser does all of it (widget.js), on maps quantized to integers; Python computes its numbers on the same codes.
"""

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import traitlets
from numpy.typing import ArrayLike
from PIL import Image

from adlib import metrics
from adlib.explorer import decisions, quantize
from adlib.explorer.page import Playground, palette, read_script
from adlib.explorer.quantize import QuantizedMaps, code_of, normal_scale
from adlib.explorer.sources import Method, check_sources, methods_of_runs, read_methods, runs_of_source, title_of
from adlib.runs.promise import describe_promise

SHOWN = 64          # images that a static page holds at most


class ThresholdExplorer(Playground):
    """Show test images with their anomaly maps, and everything that one threshold does to them.

    A pixel is flagged when its score reaches the threshold, an image when its own score does. Without a notebook it
    works too: set the traits, ask for `numbers`, write a page with `to_html`.

    Parameters
    ----------
    source : run folder or LoadedRun, maps, or several of these
        A run brings its images, masks and labels along. Maps are (N, H, W) float arrays or CPU tensors. Several
        methods on the same images are a list of runs, or a dict from names to runs or to maps.
    images : (N, 3, h, w) uint8 array or tensor, optional
        For maps: of any size; without them the maps alone are shown.
    masks : (N, H, W) bool array, optional
        For maps: ground truth. Without it there are no numbers of pixels and regions.
    labels : (N,) bool array, optional
        For maps: anomalous images; by default those whose mask is not empty, unknown without masks.
    scores : (N,) float array, or a dict of them, optional
        For maps: image scores; by default the maximum of each map.
    names : sequence of N str, optional
        For maps: what the images are called.
    validation_maps : (V, H, W) float array, or a dict of them, optional
        For maps: of normal images; two thresholds are suggested from them.
    validation_scores : (V,) float array, or a dict of them, optional
        For maps: by default the maximum of each validation map.

    Attributes
    ----------
    threshold : float
        Of the chosen method. It moves up to the next edge, see `quantize.choose_edges`; no pixel lies between in the
        highest scores. By default `metrics.image_threshold` of the validation images, or of the normal test images.
    index : int
        The image that is shown.
    opacity : float
        Of what lies over the image, 0 to 1.
    view : {"image", "heatmap", "mask", "contours"}
    truth : bool
        Whether the ground truth's outline is drawn.
    method : int
        The chosen one of several methods.
    thresholds : list of float
        Of all methods; they follow `threshold` as `link` says, do not set them.
    link : {"validation", "quantile", "value", "off"}
        Whether the other methods' thresholds lie at the same quantile of their validation images' scores (the default
        where all methods have some), are reached by the same share of pixels, are equal, or stay.
    costs : [float, float]
        Of a missed image and of a false alarm.
    prevalence : float
        Share of anomalous images that costs are weighted by; by default that of the test set.

    Raises
    ------
    FileNotFoundError, ValueError
        A run or its data set is not there; counts or sizes disagree; a score is NaN or infinite (says which image).
    """

    STATE = ("threshold", "thresholds", "index", "opacity", "view", "truth", "method", "link", "costs",
             "prevalence")
    _esm = read_script("widget.js")
    threshold = traitlets.Float().tag(sync=True)
    index = traitlets.Int().tag(sync=True)
    opacity = traitlets.Float(0.6, min=0, max=1).tag(sync=True)
    view = traitlets.Enum(["image", "heatmap", "mask", "contours"], "heatmap").tag(sync=True)
    truth = traitlets.Bool(True).tag(sync=True)
    method = traitlets.Int().tag(sync=True)
    thresholds = traitlets.List(traitlets.Float()).tag(sync=True)
    link = traitlets.Enum(["validation", "quantile", "value", "off"], "quantile").tag(sync=True)
    costs = traitlets.List(traitlets.Float(min=0), [10.0, 1.0], minlen=2, maxlen=2).tag(sync=True)
    prevalence = traitlets.Float(0.5, min=0, max=1).tag(sync=True)

    def __init__(self, source, images: ArrayLike | None = None, masks: ArrayLike | None = None,
                 labels: ArrayLike | None = None, *, scores=None, names: Sequence[str] | None = None,
                 validation_maps=None, validation_scores=None):
        runs = runs_of_source(source)
        if runs:
            methods, images, masks, labels, names = methods_of_runs(runs)
        else:
            methods = read_methods(source, scores, validation_maps, validation_scores)
        self.title = title_of(runs, methods)
        masks, labels = check_sources(methods, images, masks, labels, names)
        self.coded = [encode_method(m, masks, labels) for m in methods]
        self.names = [f"image {i}" for i in range(len(methods[0].maps))] if names is None else list(map(str, names))
        self.jpegs = None if images is None else encode_images(images)
        begin = [first_threshold(m, labels) for m in methods]
        thresholds = [float(c.edges[code_of(t, c.edges)]) for c, t in zip(self.coded, begin, strict=True)]
        index = 0 if labels is None else int(np.argmax(labels))
        self.anchors = validation_anchors(methods)
        super().__init__(threshold=thresholds[0], thresholds=thresholds, index=index,
                         link="quantile" if self.anchors is None else "validation",
                         prevalence=0.5 if labels is None else float(labels.sum() / len(labels)))
        self._relink()

    # Numbers

    def numbers(self, index: int | None = None, method: int | None = None) -> dict[str, float]:
        """What the threshold does: to one image, or to the test set.

        Returns
        -------
        dict
            `image_tp`, `image_fp`, `image_fn`, `image_tn` where labels are known; `pixel_precision`, `pixel_recall`,
            `pixel_fpr`, `pixel_iou`, `false_alarm_pixels` (of an image, or the mean over all), `regions_found` and
            `regions` where there are masks. A ratio is NaN where it is undefined.
        """
        method = self.method if method is None else method
        coded = self.coded[method]
        code = self._code(method)
        found = {}
        if index is not None and not 0 <= index < len(self.names):
            raise IndexError(f"there is no image {index}; there are {len(self.names)}, from 0 on")
        if coded.labels is not None:
            some = slice(None) if index is None else [index]
            images = decisions.confusion(coded.scores[some], coded.labels[some], code)
            found |= {f"image_{name}": getattr(images, name) for name in ("tp", "fp", "fn", "tn")}
        if coded.masks is not None:
            pixels, regions = coded.pixels(code, index), coded.found(code, index)
            found |= {f"pixel_{name}": getattr(pixels, name) for name in ("precision", "recall", "fpr", "iou")}
            found["false_alarm_pixels"] = pixels.fp / (len(self.names) if index is None else 1)
            found |= dict(zip(("regions_found", "regions"), regions, strict=True))
        return found

    @property
    def suggestions(self) -> list[dict]:
        """Ways to choose the chosen method's threshold: `text`, `threshold`, `by` what it goes, whether by `labels`."""
        return self.coded[self.method].suggestions

    def least_cost(self) -> float:
        """The threshold at which misses and false alarms cost least, by `costs` and `prevalence`."""
        coded = self.coded[self.method]
        if coded.labels is None:
            raise ValueError("costs need labels: which images are anomalous is not known")
        (miss, alarm), n, anomalous, p = self.costs, len(coded.labels), int(coded.labels.sum()), self.prevalence
        if p != anomalous / n and 0 < anomalous < n:
            miss, alarm = miss * p * n / anomalous, alarm * (1 - p) * n / (n - anomalous)
        best = decisions.threshold_of_least_cost(coded.scores.astype(float), coded.labels, miss=miss, false_alarm=alarm)
        return float("nan") if np.isnan(best) else float(coded.edges[int(min(best, len(coded.edges) - 1))])

    # Traits

    def _code(self, method: int) -> int:
        threshold = self.threshold if method == self.method else self.thresholds[method]
        return code_of(threshold, self.coded[method].edges)

    @traitlets.validate("threshold")
    def _to_edge(self, proposal) -> float:
        if np.isnan(proposal.value):
            raise traitlets.TraitError("a threshold is a number, not NaN")
        edges = self.coded[self.method].edges
        return float(edges[code_of(proposal.value, edges)])

    @traitlets.validate("index")
    def _to_image(self, proposal) -> int:
        if not 0 <= proposal.value < len(self.names):
            raise traitlets.TraitError(f"there is no image {proposal.value}; there are {len(self.names)}, from 0 on")
        return proposal.value

    @traitlets.validate("link")
    def _to_link(self, proposal) -> str:
        if proposal.value == "validation" and self.anchors is None:
            raise traitlets.TraitError("not every method has scores of validation images; link by another way")
        return proposal.value

    @traitlets.validate("method")
    def _to_method(self, proposal) -> int:
        if not 0 <= proposal.value < len(self.coded):
            raise traitlets.TraitError(f"there is no method {proposal.value}; there are {len(self.coded)}, from 0 on")
        return proposal.value

    @traitlets.observe("method")
    def _take_threshold(self, change) -> None:
        self.threshold = self.thresholds[self.method]

    @traitlets.observe("threshold")
    def _follow(self, change) -> None:
        if self.thresholds and self.thresholds[self.method] != self.threshold:
            self._relink()

    @traitlets.observe("link")
    def _relink(self, change=None) -> None:
        self.thresholds = [float(c.edges[self._linked(k)]) for k, c in enumerate(self.coded)]

    def _linked(self, method: int) -> int:
        """The code of one method that goes with the chosen one's threshold."""
        code, chosen = self._code(self.method), self.coded[self.method]
        if method == self.method or self.link == "off":
            return self._code(method)
        if self.link == "value":
            return code_of(self.threshold, self.coded[method].edges)
        if self.link == "validation":
            if code == len(chosen.edges) - 1:
                return len(self.coded[method].edges) - 1
            carried = carry_over(chosen.edges[code], self.anchors[self.method], self.anchors[method])
            return code_of(carried, self.coded[method].edges)
        # The lowest code that no more pixels reach.
        return int(np.argmax(self.coded[method].pixels_at_or_above <= chosen.pixels_at_or_above[code]))

    # Pages

    def to_html(self, path: str | Path) -> Path:
        """Write one page that holds everything and needs neither a kernel nor a network.

        Of more than 64 images it shows 64, spread over their scores; its numbers are still those of all.
        """
        return super().to_html(path)

    def _contents(self, *, static: bool = False) -> tuple[dict, dict]:
        first, n = self.coded[0], len(self.names)
        shown = spread_over_scores(n, self.coded[0].scores, keep=self.index) if static else list(range(n))
        header = {"n": n, "shown": shown, "names": self.names,
                  "notes": notes_on(first, len(shown)),
                  "labels": None if first.labels is None else first.labels.astype(int).tolist(),
                  "masks": first.masks is not None, "height": first.codes.shape[1], "width": first.codes.shape[2],
                  "methods": [{"name": c.name, "scale": c.scale, "suggestions": c.suggestions} for c in self.coded]}
        arrays = {"palette": palette(), "regionImages": first.regions[1]}
        arrays |= {f"anchors{k}": anchors for k, anchors in enumerate(self.anchors or [])}
        if self.jpegs:
            arrays["images"] = [self.jpegs[i] for i in shown]
        if first.masks is not None:
            arrays["masks"] = quantize.deflate_masks(first.masks[shown])
        for k, c in enumerate(self.coded):
            arrays |= {f"edges{k}": c.edges, f"codes{k}": quantize.deflate_maps(c.codes[shown]), f"scores{k}": c.scores,
                       f"pixels_at_or_above{k}": c.pixels_at_or_above.astype(np.uint32),
                       f"anomalous_pixels_at_or_above{k}": c.anomalous_pixels_at_or_above.astype(np.uint32),
                       f"overlap{k}": c.overlap.astype(np.float32), f"regions{k}": c.regions[0]}
        return header, arrays


def notes_on(maps: QuantizedMaps, shown: int) -> list[str]:
    """What the reader must know: that images are left out, or that labels or masks are missing."""
    notes, n = [], len(maps.codes)
    if shown < n:
        notes.append(f"{shown} of {n} images are shown here, spread over their scores; the numbers of the test set are "
                     f"those of all {n}.")
    if maps.labels is None:
        notes.append("Which images are anomalous is not known: nothing can be counted as right or wrong.")
    elif not maps.labels.any():
        notes.append("No image is anomalous: false alarms are all that can be counted.")
    if maps.masks is None:
        notes.append("There are no masks: numbers of pixels and regions are unknown.")
    return notes


# From maps to codes --------------------------------------------------------------------------------------------------


def encode_method(method: Method, masks: np.ndarray | None, labels: np.ndarray | None) -> QuantizedMaps:
    suggestions = suggest_thresholds(method, masks, labels)
    maps, scores = np.asarray(method.maps), np.asarray(method.scores)
    exact = np.concatenate([scores, [s["threshold"] for s in suggestions]])
    edges = quantize.choose_edges(maps, exact)
    for s in suggestions:       # an infinite one, which nothing reaches, is the last edge
        s["threshold"] = float(edges[code_of(s["threshold"], edges)])
    scale = normal_scale(maps, np.zeros(len(maps), bool) if labels is None else labels)
    return QuantizedMaps(method.name, edges, quantize.encode(maps, edges), quantize.encode(scores, edges), labels,
                         masks, suggestions, (scale["vmin"], scale["vmax"]))


def suggest_thresholds(method: Method, masks: np.ndarray | None, labels: np.ndarray | None) -> list[dict]:
    """Ways to choose a threshold, as far as there is something to choose it by."""
    ways = []
    if method.validation_scores is not None and len(method.validation_scores):
        ways += [(describe_promise(len(method.validation_scores)).capitalize(), "images", False,
                  metrics.image_threshold(method.validation_scores))]
    if method.validation_maps is not None and len(method.validation_maps):
        ways += [("99.9 % of normal validation pixels", "pixels", False,
                  metrics.pixel_threshold(method.validation_maps))]
    if masks is not None and masks.any() and not masks.all():
        ways += [("False-positive rate 1 %", "pixels", True, decisions.threshold_at_fpr(method.maps, masks)),
                 ("Best F1 of the pixels", "pixels", True, decisions.threshold_of_best_f1(method.maps, masks)),
                 ("90 % of the regions found", "regions", True,
                  decisions.threshold_at_region_recall(method.maps, masks))]
    if labels is not None and labels.any() and not labels.all():
        ways += [("Best F1 of the images", "images", True, decisions.threshold_of_best_f1(method.scores, labels))]
    return [dict(zip(("text", "by", "labels", "threshold"), way, strict=True)) for way in ways]


def first_threshold(method: Method, labels: np.ndarray | None) -> float:
    if method.validation_scores is not None and len(method.validation_scores):
        return metrics.image_threshold(method.validation_scores)
    scores = np.asarray(method.scores)
    normal = scores if labels is None or labels.all() else scores[~labels]
    return metrics.image_threshold(normal)


def validation_anchors(methods: list[Method]) -> list[np.ndarray] | None:
    """Of each method the thresholds just above its validation images' scores, (V,) float64 ascending; None if unknown.

    As many of each method: where they differ, quantiles.
    """
    if any(m.validation_scores is None or not len(m.validation_scores) for m in methods):
        return None
    least = min(len(m.validation_scores) for m in methods)
    ordered = [np.nextafter(np.sort(m.validation_scores), np.inf).astype(float) for m in methods]
    return [x if len(x) == least else np.quantile(x, np.linspace(0, 1, least)) for x in ordered]


def carry_over(threshold: float, mine: np.ndarray, others: np.ndarray) -> float:
    """The threshold among other anchors that lies where this one lies among mine; linear between and beyond them."""
    i = min(int(np.searchsorted(mine, threshold)), len(mine) - 1)
    if mine[i] == threshold:
        return float(others[i])
    if i == 0 or threshold > mine[-1]:
        span = mine[-1] - mine[0]
        return float(others[i] + (threshold - mine[i]) * ((others[-1] - others[0]) / span if span else 0))
    share = (threshold - mine[i - 1]) / (mine[i] - mine[i - 1])
    return float(others[i - 1] + share * (others[i] - others[i - 1]))


def encode_images(images: ArrayLike) -> list[bytes]:
    """Each of (N, 3, h, w), (N, h, w, 3) or (N, h, w) uint8 images as JPEG, at most 512 px wide and high."""
    images = np.asarray(images)
    if images.dtype != np.uint8 or images.ndim not in (3, 4) or (images.ndim == 4 and 3 not in
                                                                 (images.shape[1], images.shape[3])):
        raise ValueError(f"images are {images.dtype} of shape {images.shape}, expected uint8 values 0 to 255 of shape "
                         f"(N, 3, h, w); floats in [0, 1]: (255 * images).round().astype('uint8')")
    if images.ndim == 4 and images.shape[1] == 3:
        images = images.transpose(0, 2, 3, 1)       # (N, 3, h, w) -> (N, h, w, 3)
    return [encode_image(image) for image in images]


def encode_image(image: np.ndarray) -> bytes:
    picture, jpeg = Image.fromarray(image), io.BytesIO()
    picture.thumbnail((512, 512))
    picture.save(jpeg, "JPEG", quality=88)
    return jpeg.getvalue()


def spread_over_scores(n: int, scores: np.ndarray, *, keep: int) -> list[int]:
    """At most 64 of n images, evenly over the order of their scores, and the one to keep; in their own order."""
    if n <= SHOWN:
        return list(range(n))
    order = np.argsort(scores, kind="stable")
    others = order[order != keep]
    chosen = others[np.linspace(0, n - 2, SHOWN - 1).round().astype(int)]
    return sorted([*chosen.tolist(), keep])

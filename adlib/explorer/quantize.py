"""Anomaly maps as integers, without loss at any threshold that can be chosen: what the explorer computes on.

A method's scores are cut at ascending `edges`; the code of a score is the number of the last edge that it reaches.
Edges are thresholds, and "score >= edges[c]" is exactly "code >= c": only the choice of thresholds becomes coarser,
and that where nothing is decided, far below the highest scores.
"""

import json
import zlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike

from adlib.explorer.decisions import Confusion, confusion, region_thresholds
from adlib.metrics import label_regions

CMAP = "magma"      # of every heatmap
EDGE_DENSITY = ((1e-4, 512), (1e-2, 2048), (0.1, 1024), (1.0, 1024))       # share of the highest pixels, edges there
MAX_EDGES = 2**16       # codes are uint16


def choose_edges(maps: np.ndarray, exact: ArrayLike) -> np.ndarray:
    """The thresholds that can be chosen: many of the highest scores, fewer of the others, all of the exact ones.

    Where fewer scores are distinct than there are steps, each of them is an edge.

    Parameters
    ----------
    maps : float array of any shape
    exact : (M,) float array
        Scores and thresholds that must be edges themselves; NaN and infinite ones are left out.

    Returns
    -------
    (E,) float64 array
        Ascending; the first is the lowest score of all, the last lies above all scores, so that nothing reaches it.
    """
    ordered = np.sort(maps, axis=None)
    exact = np.asarray(exact, np.float64)
    chosen = [exact[np.isfinite(exact)], ordered[:1]]
    for share, steps in EDGE_DENSITY:
        scores = ordered[-max(1, round(share * ordered.size)):]
        scores = scores[np.append(True, scores[1:] != scores[:-1])]
        chosen.append(scores[np.unique(np.linspace(0, len(scores) - 1, steps).round().astype(int))])
    edges = np.unique(np.concatenate(chosen, dtype=np.float64))
    edges = np.append(edges, np.nextafter(edges[-1], np.inf))
    if len(edges) > MAX_EDGES:
        raise ValueError(f"{len(edges)} thresholds must be told apart, {MAX_EDGES} can be; give fewer images")
    return edges


def encode(scores: ArrayLike, edges: np.ndarray) -> np.ndarray:
    """The code of each score, uint16, of the same shape: how many edges above the first it reaches."""
    scores = np.asarray(scores)
    codes = np.empty(scores.shape, np.uint16)
    for i, image in enumerate(scores):              # one at a time: comparing takes them to float64
        codes[i] = np.searchsorted(edges, image, side="right") - 1
    return codes


def code_of(threshold: float, edges: np.ndarray) -> int:
    """The code from which scores are flagged: of the lowest edge at or above the threshold, or of the last one."""
    return min(int(np.searchsorted(edges, np.float64(threshold))), len(edges) - 1)


def count_at_or_above(codes: np.ndarray, size: int, weights: np.ndarray | None = None) -> np.ndarray:
    """(size,) how many of some codes, or what weight of them, is at or above each code."""
    return np.bincount(codes.ravel(), weights, size)[::-1].cumsum()[::-1]


@dataclass(frozen=True)
class QuantizedMaps:
    """One method's maps and image scores as codes; E edges, K regions. What is unknown (masks, labels) is None."""

    name: str
    edges: np.ndarray                       # (E,) float64
    codes: np.ndarray                       # (N, H, W) uint16
    scores: np.ndarray                      # (N,) uint16, codes of the image scores
    labels: np.ndarray | None               # (N,) bool
    masks: np.ndarray | None                # (N, H, W) bool
    suggestions: list[dict] = field(default_factory=list)
    scale: tuple[float, float] = (0.0, 1.0)         # scores at the ends of the heatmap's colours

    @cached_property
    def regions(self) -> tuple[np.ndarray, np.ndarray]:
        """The highest code at which each region is still found, and its image: (K,), (K,)."""
        if self.masks is None or not self.masks.any():
            return np.zeros(0, np.uint16), np.zeros(0, np.uint16)
        with_regions = np.flatnonzero(self.masks.any(axis=(1, 2)))
        codes = self.codes[with_regions].astype(np.float32)         # holds 16 bits exactly
        thresholds, images = region_thresholds(codes, self.masks[with_regions])
        return thresholds.astype(np.uint16), with_regions[images].astype(np.uint16)

    @cached_property
    def pixels_at_or_above(self) -> np.ndarray:
        """(E,) how many pixels reach each edge."""
        return count_at_or_above(self.codes, len(self.edges))

    @cached_property
    def anomalous_pixels_at_or_above(self) -> np.ndarray:
        """(E,) how many anomalous pixels do; without masks, how many pixels of anomalous images."""
        anomalous = self.masks if self.masks is not None else self.labels
        if anomalous is None:
            return np.zeros(len(self.edges), int)
        return count_at_or_above(self.codes[anomalous], len(self.edges))

    @cached_property
    def overlap(self) -> np.ndarray:
        """(E,) share of a region that reaches each edge, mean over the regions: PRO."""
        if not len(self.regions[0]):
            return np.zeros(len(self.edges))
        numbers = label_regions(self.masks)[self.masks] - 1
        sizes = np.bincount(numbers)
        return count_at_or_above(self.codes[self.masks], len(self.edges), 1 / (len(sizes) * sizes[numbers]))

    def pixels(self, code: int, index: int | None = None) -> Confusion | None:
        """Confusion of the pixels of one image, or of all of them."""
        if self.masks is None:
            return None
        if index is not None:
            return confusion(self.codes[index], self.masks[index], code)
        tp, alarms = int(self.anomalous_pixels_at_or_above[code]), int(self.pixels_at_or_above[code])
        anomalous = int(self.anomalous_pixels_at_or_above[0])
        return Confusion(tp, alarms - tp, anomalous - tp, self.codes.size - anomalous - alarms + tp)

    def found(self, code: int, index: int | None = None) -> tuple[int, int]:
        """How many regions of one image, or of all of them, are found, and how many there are."""
        codes, images = self.regions
        codes = codes if index is None else codes[images == index]
        return int((codes >= code).sum()), len(codes)


# Bytes for the browser -----------------------------------------------------------------------------------------------


def deflate_maps(codes: np.ndarray) -> list[bytes]:
    """Each (H, W) map of codes deflated: differences along both axes, low bytes, then high bytes.

    Neighbours differ little: folded to 0, -1, 1, -2, ... as 0, 1, 2, 3, ... the differences leave the high bytes empty.
    Modulo 2**16 two running sums bring the codes back.
    """
    def deflate_map(plane: np.ndarray) -> bytes:
        steps = np.diff(np.diff(plane, axis=0, prepend=np.uint16(0)), axis=1, prepend=np.uint16(0)).view(np.int16)
        folded = ((steps << 1) ^ (steps >> 15)).view(np.uint16)
        return zlib.compress((folded & 255).astype(np.uint8).tobytes() + (folded >> 8).astype(np.uint8).tobytes(), 4)

    with ThreadPoolExecutor() as pool:      # zlib frees the interpreter
        return list(pool.map(deflate_map, codes))


def deflate_masks(masks: np.ndarray) -> list[bytes]:
    """Each (H, W) mask deflated, one bit a pixel, the first pixel the highest bit."""
    return [zlib.compress(np.packbits(mask).tobytes(), 9) for mask in masks]


def pack(header: dict, arrays: dict[str, np.ndarray | list[bytes]]) -> bytes:
    """A header and named arrays as one block of bytes: its length, the header as JSON, then the arrays.

    The header gains `arrays`, for each name its type, where it begins behind the header, and its length; a list of
    bytes becomes one array and `ends`, where each of the pieces ends.
    """
    parts, places, ends, at = [], {}, {}, 0
    for name, array in arrays.items():
        if isinstance(array, list):
            ends[name] = np.cumsum([len(piece) for piece in array]).tolist()
            kind, raw = "uint8", b"".join(array)
        else:
            kind, raw = array.dtype.name, np.ascontiguousarray(array).tobytes()
        places[name] = [kind, at, len(raw)]
        parts += [raw, bytes(-len(raw) % 8)]         # an array of numbers begins at a multiple of its size
        at += len(raw) + -len(raw) % 8
    text = json.dumps(header | {"arrays": places, "ends": ends}, allow_nan=False).encode()
    text += b" " * (-(len(text) + 8) % 8)
    return len(text).to_bytes(8, "little") + text + b"".join(parts)


def normal_scale(maps: ArrayLike, labels: ArrayLike) -> dict[str, float]:
    """Colour limits shared by all maps, from the normal images alone: their strongest responses land at half of it.

    A scale of its own for each image would paint the strongest pixel of a good image as bright as a defect.
    """
    normal = ~np.asarray(labels, bool)
    low, high = np.quantile(np.asarray(maps)[normal if normal.any() else ~normal], [0.5, 0.999])
    return {"vmin": float(low), "vmax": float(low + 2 * (high - low))}

"""Lesson 07: where a student's features lie, embedded in a plane, and whose teacher feature is nearest."""

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import ArrayLike
from torch import Tensor, nn

from adlib.networks.layers import to_float
from adlib.networks.teacher import Teacher

NEAREST_KINDS = ("own", "normal", "anomalous")      # whose teacher feature is nearest: its own, another's


@dataclass
class Positions:
    """Positions on the grid of one level: all arrays are (P,)."""

    image: np.ndarray           # which test image
    row: np.ndarray
    column: np.ndarray
    anomalous: np.ndarray       # bool

    def __len__(self) -> int:
        return len(self.image)


# Positions


def cell_shares(masks: Tensor | None, labels: Tensor, side: int) -> np.ndarray:
    """How much of each cell of a level's grid is anomalous: its mean over the mask, (N, side, side) in [0, 1].

    Parameters
    ----------
    masks : (N, 256, 256) bool tensor, optional
        Without masks every cell of an anomalous image counts as anomalous.
    labels : (N,) bool tensor
    side : int
    """
    if masks is None:
        return np.broadcast_to(np.asarray(labels, float)[:, None, None], (len(labels), side, side))
    return F.adaptive_avg_pool2d(masks[:, None].float(), side)[:, 0].numpy()     # (N, 256, 256) -> (N, side, side)


def draw_positions(shares: np.ndarray, *, count: int = 100, least: float = 0.25, seed: int = 0) -> Positions:
    """As many normal as anomalous positions, spread evenly over the images; the normal ones come first.

    Anomalous is a cell of which the mask covers a share of at least `least`; normal is one whose 3 x 3 neighbourhood
    the mask does not touch. What lies between is left out: such a feature sees both, and has no kind.

    Parameters
    ----------
    shares : (N, H, W) float array
        Of `cell_shares`.
    count : int
        Of each kind; fewer, but as many of both, where there are fewer.
    least : float
    seed : int
    """
    touched = F.max_pool2d(torch.tensor(shares)[:, None], 3, stride=1, padding=1)[:, 0].numpy()
    rng = np.random.default_rng(seed)
    normal, anomalous = (spread_in_image(np.argwhere(chosen), rng) for chosen in (touched == 0, shares >= least))
    count = min(count, len(normal), len(anomalous))
    image, row, column = np.concatenate([normal[:count], anomalous[:count]]).T
    return Positions(image, row, column, np.arange(2 * count) >= count)


def spread_in_image(cells: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """(K, 3) cells in random order, such that each image has its first before any has its second."""
    cells = rng.permutation(cells)
    order = np.argsort(cells[:, 0], kind="stable")
    _, counts = np.unique(cells[:, 0], return_counts=True)
    turn = np.empty(len(cells), int)
    turn[order] = np.concatenate([np.arange(n) for n in counts]) if len(counts) else 0
    return cells[np.argsort(turn, kind="stable")]


def deepest_point(mask: ArrayLike) -> tuple[int, int]:
    """Row and column of the mask's pixel that is farthest from its outside."""
    from scipy.ndimage import distance_transform_edt

    depth = distance_transform_edt(np.pad(np.asarray(mask, bool), 1))[1:-1, 1:-1]
    return divmod(int(depth.argmax()), depth.shape[1])


# Features


@torch.inference_mode()
def features_at(model: nn.Module, images: Tensor, positions: dict[int, Positions], *,
                batch: int = 32) -> dict[int, tuple[np.ndarray, np.ndarray]]:
    """Teacher and student features (t, s) at the positions of each level, (P, C_k) float32 each.

    Parameters
    ----------
    model : nn.Module
        With `features` and `teacher`, in eval mode.
    images : (N, 3, S, S) uint8 or float tensor
    positions : dict
        By level.
    """
    levels, found = getattr(model, "levels", model.teacher.levels), {}
    for start in range(0, len(images), batch):
        chunk = to_float(images[start : start + batch].to(model.teacher.mean.device))
        for level, *pair in zip(levels, *model.features(chunk), strict=True):
            if level in positions:
                p = positions[level]
                out = found.setdefault(level, tuple(np.empty((len(p), x.shape[1]), np.float32) for x in pair))
                for array, x in zip(out, pair, strict=True):
                    fill(array, x, p, start)
    return found


def fill(out: np.ndarray, x: Tensor, p: Positions, start: int) -> None:
    """Put those positions' features into (P, C) that a batch (B, C, H, W) holds, whose first image is `start`."""
    here = (p.image >= start) & (p.image < start + len(x))
    out[here] = x[p.image[here] - start, :, p.row[here], p.column[here]].float().cpu().numpy()


def unit(x: np.ndarray, *, eps: float = 1e-6) -> np.ndarray:
    """(P, C) vectors scaled to length 1; a zero vector stays one."""
    return x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), eps)


def embed(x: np.ndarray, *, perplexity: float = 30, seed: int = 0, init: str = "pca") -> np.ndarray:
    """t-SNE of (P, C) vectors behind a PCA to at most 50 dimensions (van der Maaten and Hinton 2008): (P, 2).

    Parameters
    ----------
    perplexity : float
        Effective number of neighbours; at most a third of the points.
    init : {"pca", "random"}
        Where the points start. From "pca" the seed changes nothing: only "random" shows what chance does.
    """
    from sklearn.decomposition import PCA
    from sklearn.manifold import TSNE

    x = PCA(min(50, *x.shape), random_state=seed).fit_transform(x)
    return TSNE(perplexity=min(perplexity, (len(x) - 1) / 3), init=init, random_state=seed).fit_transform(x)


# Whose feature is nearest


def own_ranks(t: np.ndarray, s: np.ndarray) -> np.ndarray:
    """Rank of each position's own teacher feature among all of them, by cosine to its student feature: (P,), from 1.

    Ties within 1e-6 count against the student: features that cannot be told apart are not found.

    Parameters
    ----------
    t, s : (P, C) float array
        Teacher and student features of the same positions.
    """
    cos = unit(s) @ unit(t).T                                   # (P, P): student x teacher
    return (cos >= cos.diagonal()[:, None] - 1e-6).sum(axis=1)


def nearest_kind(t: np.ndarray, s: np.ndarray, anomalous: np.ndarray) -> np.ndarray:
    """Whose teacher feature is nearest to each student feature, (P,) numbers into `NEAREST_KINDS`."""
    nearest = (unit(s) @ unit(t).T).argmax(axis=1)
    return np.where(own_ranks(t, s) == 1, 0, 1 + anomalous[nearest])


def random_direction_baseline(t: np.ndarray, s: np.ndarray, *, seed: int = 0) -> np.ndarray:
    """Unit vectors at the same angles to t as s, but in random directions: a student that errs without a bias."""
    t, cos = unit(t), (unit(t) * unit(s)).sum(axis=1, keepdims=True)
    return turn_towards(t, cos, np.random.default_rng(seed).standard_normal(t.shape))


def pulled_to_mean(t: np.ndarray, s: np.ndarray) -> np.ndarray:
    """Unit vectors at the same angles to t as s, all towards the mean of t, and not beyond: a student that is vague."""
    t, cos = unit(t), (unit(t) * unit(s)).sum(axis=1, keepdims=True)
    mean = unit(t.mean(axis=0, keepdims=True))
    return turn_towards(t, np.maximum(cos, (mean * t).sum(axis=1, keepdims=True)), mean)


def turn_towards(t: np.ndarray, cos: np.ndarray, towards: np.ndarray) -> np.ndarray:
    """(P, C) unit vectors turned to the angles whose cosines are (P, 1), each in the plane of another vector."""
    aside = unit(towards - (towards * t).sum(axis=1, keepdims=True) * t)
    return cos * t + np.sqrt(np.maximum(1 - cos**2, 0)) * aside


def share_of(hits: np.ndarray, image: np.ndarray, *, draws: int = 2000, seed: int = 0) -> tuple[float, float, float]:
    """Share of hits, and the ends of its 95 % interval over images: share, low, high.

    Positions of one image resemble each other, so images are drawn with replacement, not positions.

    Parameters
    ----------
    hits : (P,) bool array
    image : (P,) int array
        Where each position lies.
    """
    _, index = np.unique(image, return_inverse=True)
    sums, counts = np.bincount(index, hits), np.bincount(index)
    weights = np.random.default_rng(seed).multinomial(len(counts), np.ones(len(counts)) / len(counts), draws)
    low, high = np.quantile(weights @ sums / (weights @ counts), [0.025, 0.975])
    return float(np.mean(hits)), float(low), float(high)


def neighbour_shares(t: np.ndarray, s: np.ndarray, positions: Positions, *, k: int = 5, draws: int = 2000,
                     seed: int = 0) -> dict[str, dict[str, tuple[float, float, float]]]:
    """How often student features find their own teacher feature, normal against anomalous positions.

    Returns
    -------
    dict of dict
        By kind, "normal" and "anomalous"; then "hit@1" and "hit@k", the share of positions whose own teacher feature
        is among the 1 or k nearest of all sampled ones, and "normal", the share whose nearest one is another
        position's and normal; each with the ends of its interval, see `share_of`.
    """
    ranks = own_ranks(t, s)
    whose = nearest_kind(t, s, positions.anomalous)
    found = {}
    for kind, chosen in {"normal": ~positions.anomalous, "anomalous": positions.anomalous}.items():
        hits = {"hit@1": ranks == 1, f"hit@{k}": ranks <= k, "normal": whose == NEAREST_KINDS.index("normal")}
        found[kind] = {name: share_of(hit[chosen], positions.image[chosen], draws=draws, seed=seed)
                       for name, hit in hits.items()}
    return found


def median_angles(t: np.ndarray, s: np.ndarray, anomalous: np.ndarray) -> dict[str, float]:
    """Median angle between teacher and student features in degrees, by kind of position."""
    angles = np.degrees(np.arccos(np.clip((unit(t) * unit(s)).sum(axis=1), -1, 1)))
    return {"normal": float(np.median(angles[~anomalous])), "anomalous": float(np.median(angles[anomalous]))}


@dataclass
class Patches:
    """Positions of training images, nearest first: all arrays are (Q, K)."""

    image: np.ndarray
    row: np.ndarray
    column: np.ndarray
    cos: np.ndarray


@torch.inference_mode()
def nearest_patches(model: nn.Module, images: Tensor, queries: np.ndarray, *, level: int, top: int = 5,
                    batch: int = 32) -> Patches:
    """Positions of images whose teacher features are nearest to queries by cosine, at most one in each image.

    Parameters
    ----------
    model : Teacher, or a network with `features` and `teacher`
        A network's teacher features are taken as its student is compared with them: DeSTSeg's are standardised.
    images : (N, 3, S, S) uint8 or float tensor
        Normal training images.
    queries : (Q, C_k) float array
        Teacher or student features of this level, of the same kind.
    """
    raw = isinstance(model, Teacher)
    best, device = [], (model if raw else model.teacher).mean.device
    at = (model.levels if raw else getattr(model, "levels", model.teacher.levels)).index(level)
    q = torch.from_numpy(unit(queries)).float().to(device)
    for chunk in images.split(batch):
        x = to_float(chunk.to(device))
        t = (model(x) if raw else model.features(x)[0])[at].float()
        cos = torch.einsum("qc,bcp->qbp", q, F.normalize(t, dim=1, eps=1e-6).flatten(2))
        best.append(cos.max(dim=2))                             # (Q, B, HW) -> (Q, B)
    cos, where = (torch.cat([part[i] for part in best], dim=1).cpu() for i in (0, 1))
    cos, image = cos.topk(min(top, len(images)), dim=1)
    row, column = np.divmod(where.gather(1, image).numpy(), t.shape[3])
    return Patches(image.numpy(), row, column, cos.numpy())


# Maps while a student learns


def defect_contrast(maps: ArrayLike, masks: ArrayLike | None, labels: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    """Mean of the maps inside each defect, (K, A), and on the normal images, (K,).

    Parameters
    ----------
    maps : (K, M, H, W) float array
        Of M images after K training steps.
    masks : (M, H, W) bool array, optional
        Without masks all of an anomalous image counts, as it does where its mask is empty.
    labels : (M,) bool array
        A of them anomalous. Without a normal image the second result is the mean outside the masks.
    """
    maps, labels = np.asarray(maps, np.float64), np.asarray(labels, bool)
    inside = np.zeros(maps.shape[1:], bool) if masks is None else np.array(masks, bool)
    inside[labels & ~inside.any(axis=(1, 2))] = True
    means = [maps[:, i, inside[i]].mean(axis=1) for i in np.flatnonzero(labels)]
    normal = maps[:, ~labels].mean(axis=(1, 2, 3)) if not labels.all() else maps[:, ~inside].mean(axis=1)
    return np.stack(means, axis=1), normal

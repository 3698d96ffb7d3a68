"""What student networks are trained with: cosine distances of feature pyramids, focal and L1 loss of anomaly maps."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor


def cosine_distance(t: Tensor, s: Tensor, *, eps: float = 1e-6) -> Tensor:
    """Distance 1 - cos between teacher and student features at each position: half of |t^ - s^|^2 (STFPM eq. 1).

    Parameters
    ----------
    t, s : (B, C, H, W) float tensor
        Features of one level. A zero vector counts as orthogonal to everything.

    Returns
    -------
    (B, H, W) float32 tensor
        In [0, 1] for features after a ReLU, in [0, 2] for signed ones.

    Examples
    --------
    >>> t, s = torch.tensor([[3.0, 4.0], [1.0, 0.0]]), torch.tensor([[4.0, 3.0], [0.0, 1.0]])
    >>> cosine_distance(t[..., None, None], s[..., None, None]).flatten()       # (B, C) -> (B, C, 1, 1)
    tensor([0.0400, 1.0000])
    """
    t, s = t.float(), s.float()
    # Dividing the inner product, not the vectors, halves the passes over memory; eps keeps the gradient finite at 0.
    norms = [torch.linalg.vector_norm(x, dim=1).clamp(min=eps) for x in (t, s)]
    cos = (t * s).sum(dim=1) / norms[0] / norms[1]    # (B, C, H, W) -> (B, H, W)
    return (1 - cos).clamp(min=0)                     # rounding can dip below 0


def cosine_maps(t: Sequence[Tensor], s: Sequence[Tensor]) -> list[Tensor]:
    """1 - cos_k at each position, (B, H_k, W_k) per level."""
    return [cosine_distance(a, b) for a, b in zip(t, s, strict=True)]


def cosine_loss(t: Sequence[Tensor], s: Sequence[Tensor], *, cosine: str = "pixel", reduction: str = "mean",
                weights: Sequence[float] | None = None) -> Tensor:
    """Cosine distance of two feature pyramids, summed over levels.

    Parameters
    ----------
    t, s : sequence of (B, C_k, H_k, W_k) float tensors
        Teacher and student features, one per level.
    cosine : {"pixel", "flat"}
        One distance per position, averaged over positions (the papers' equations), or one of the whole C H W vector,
        in which strong features weigh more (the official code of RD4AD).
    reduction : {"mean", "sum"}
        Over the batch. A sum makes the gradient, so the effective learning rate, grow with the batch.
    weights : sequence of float, optional
        Factor of each level, alpha_k; 1 by default.

    Returns
    -------
    scalar float32 tensor

    Raises
    ------
    ValueError
        An unknown form or reduction, or not one student level and one weight per teacher level.

    Examples
    --------
    >>> t, s = torch.tensor([[[[3.0, 1]], [[4, 0]]]]), torch.tensor([[[[4.0, 1]], [[3, 0]]]])     # two positions
    >>> cosine_loss([t], [s]), cosine_loss([t], [s], cosine="flat")         # mean of 0.04 and 0; 1 - 25/26
    (tensor(0.0200), tensor(0.0385))
    """
    if cosine not in ("pixel", "flat") or reduction not in ("mean", "sum"):
        raise ValueError(f"cosine={cosine!r} must be 'pixel' or 'flat', and reduction={reduction!r} 'mean' or 'sum'")
    if cosine == "flat":
        t, s = ([x.flatten(1)[..., None, None] for x in xs] for xs in (t, s))      # (B, C, H, W) -> (B, CHW, 1, 1)
    levels = [cosine_distance(a, b).mean(dim=(1, 2)) for a, b in zip(t, s, strict=True)]    # (B,) each
    weights = weights or [1.0] * len(levels)
    total = torch.stack([w * d for w, d in zip(weights, levels, strict=True)]).sum(dim=0)   # (B,)
    return total.mean() if reduction == "mean" else total.sum()


def focal_loss(logits: Tensor, target: Tensor, *, gamma: float = 4.0) -> Tensor:
    """Focal loss -(1 - p_t)^gamma log p_t without class weights, mean over pixels (DeSTSeg).

    From logits, unlike the official code: its logarithm of a probability saturates and cannot run under autocast.

    Parameters
    ----------
    logits, target : float tensors of one shape
        Before the sigmoid; 0 or 1.

    Examples
    --------
    >>> p, y = torch.tensor([0.9, 0.9, 0.2, 0.5]), torch.tensor([1, 0, 0, 1])
    >>> focal_loss(p.logit(), y)
    tensor(0.3886)
    """
    surprise = F.binary_cross_entropy_with_logits(logits.float(), target.float(), reduction="none")      # -log p_t
    return ((-torch.expm1(-surprise)) ** gamma * surprise).mean()


def l1_loss(logits: Tensor, target: Tensor) -> Tensor:
    """Mean over pixels of |sigmoid(logits) - target| (DeSTSeg).

    >>> l1_loss(torch.tensor([0.9, 0.9, 0.2, 0.5]).logit(), torch.tensor([1, 0, 0, 1]))
    tensor(0.4250)
    """
    return (logits.float().sigmoid() - target.float()).abs().mean()

"""STFPM (Wang et al., BMVC 2021): a student of the teacher's own architecture that learns its features."""

import torch
from torch import Tensor, nn

from adlib.losses import cosine_loss, cosine_maps
from adlib.networks.layers import BorderDamping, score_images, upsample
from adlib.networks.teacher import Pyramid, Teacher, build_pyramid


class STFPM(nn.Module):
    """Student-teacher feature pyramid matching: where the student was never trained, it disagrees with its teacher.

    Parameters
    ----------
    teacher : Teacher
        Frozen; the student is the same network, randomly initialised.
    levels : tuple of int
        Levels that are compared, out of the teacher's.
    weights : tuple of float, optional
        alpha_k, the weight of each level in the loss; 1 by default, as in the paper. Maps are not weighted.
    fuse_at : {"stride4", "image"}
        Where the level maps are multiplied: at stride 4 (the official code), or at full size (the paper).
    seed : int
        Of the student's weights.

    Raises
    ------
    ValueError
        Levels that the teacher does not return, not one weight per level, or an unknown `fuse_at`.
    """

    level_maps, image_scores = staticmethod(cosine_maps), staticmethod(score_images)    # the largest value of a map

    def __init__(self, teacher: Teacher, *, levels: tuple[int, ...] = (1, 2, 3),
                 weights: tuple[float, ...] | None = None, fuse_at: str = "stride4", seed: int = 0):
        super().__init__()
        self.levels, self.fuse_at = tuple(levels), fuse_at
        self.weights = tuple(weights or [1.0] * len(self.levels))
        if not set(self.levels) <= set(teacher.levels):
            raise ValueError(f"levels {self.levels} must be among the teacher's, {teacher.levels}")
        if len(self.weights) != len(self.levels):
            raise ValueError(f"weights {self.weights} must be one per level {self.levels}")
        if fuse_at not in ("stride4", "image"):
            raise ValueError(f"fuse_at={fuse_at!r} must be 'stride4' or 'image'")
        self.arguments = {"levels": self.levels, "weights": self.weights, "fuse_at": fuse_at, "seed": seed}
        self.teacher = teacher
        self.student, _ = build_pyramid(teacher.backbone, self.levels, seed=seed)
        self.damping = BorderDamping()

    def features(self, images: Tensor, t: Pyramid | None = None) -> tuple[Pyramid, Pyramid]:
        """Teacher and student features (t, s), one (B, C_k, S/2^(k+1), S/2^(k+1)) tensor per compared level each.

        Of (B, 3, S, S) float images in [0, 1]; `t` is `self.teacher(images)`, where it is already known.
        """
        every = self.teacher(images) if t is None else t
        compared = [every[self.teacher.levels.index(level)] for level in self.levels]
        return compared, self.student(self.teacher.normalise(images))

    def loss(self, t: Pyramid, s: Pyramid) -> Tensor:
        """sum_k alpha_k mean over images and positions of 1 - cos_k; the official code has twice that."""
        return cosine_loss(t, s, weights=self.weights)

    def fuse(self, level_maps: list[Tensor]) -> Tensor:
        """Product of the (B, H_k, W_k) level maps, (B, 256, 256): large only where all levels disagree."""
        if self.fuse_at == "image":
            return torch.stack([upsample(m) for m in level_maps]).prod(dim=0)
        size = level_maps[0].shape[-1] * 2 ** (self.levels[0] - 1)      # S / 4, whichever the first level is
        return upsample(torch.stack([upsample(m, size) for m in level_maps]).prod(dim=0))

    def forward(self, images: Tensor) -> Tensor:
        """(B, 256, 256) maps of (B, 3, S, S) float images in [0, 1]; no smoothing."""
        return self.damping(self.fuse(self.level_maps(*self.features(images))))

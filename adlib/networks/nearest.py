"""The training-free baseline: how far is each feature from the nearest one seen on a normal image?"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from adlib.networks.layers import BorderDamping, make_room, score_images, upsample
from adlib.networks.teacher import Pyramid, Teacher


class NearestPatch(nn.Module):
    """Cosine distance to the nearest normal teacher feature, per level, summed over levels; no training, no smoothing.

    Every table shows it: what a method adds to the frozen features has to show above this.

    Parameters
    ----------
    teacher : Teacher
    sampling_ratio, most : float, int
        Share of the training positions that is kept, drawn at random, and how many of a level at most: every position
        of a test image is compared with all of them.
    seed : int
        Of that draw.
    """

    image_scores = staticmethod(score_images)       # the largest value of a map

    def __init__(self, teacher: Teacher, *, sampling_ratio: float = 0.1, most: int = 20_000, seed: int = 0):
        super().__init__()
        if not 0 < sampling_ratio <= 1 or most < 1:
            raise ValueError(f"sampling_ratio={sampling_ratio} must be a share in (0, 1], and most={most} positive")
        self.teacher, self.sampling_ratio, self.most, self.seed = teacher, sampling_ratio, most, seed
        self.arguments = {"sampling_ratio": sampling_ratio, "most": most, "seed": seed}
        for k in range(len(teacher.levels)):  # buffers, so that the memory is saved and moved with the module
            self.register_buffer(f"memory_{k}", torch.empty(0))
        self.register_load_state_dict_pre_hook(make_room)
        self.damping = BorderDamping()

    @property
    def memory(self) -> list[Tensor]:
        """Stored unit features, (M_k, C_k) per level; empty before `fit`."""
        return [self.get_buffer(f"memory_{k}") for k in range(len(self.teacher.levels))]

    def fit(self, images: Tensor, *, batch: int = 32) -> "NearestPatch":
        """Keep unit features of normal images: (N, 3, S, S) uint8, or float in [0, 1]."""
        generator = torch.Generator().manual_seed(self.seed)
        kept = [[] for _ in self.teacher.levels]
        for found in self.teacher.pyramids(images, batch=batch):
            for level, t in zip(kept, found, strict=True):
                vectors = as_rows(F.normalize(t.float(), dim=1, eps=1e-6))
                share = min(self.sampling_ratio, self.most / (len(images) * t[0, 0].numel()))
                count = max(1, round(share * len(vectors)))
                level.append(vectors[torch.randperm(len(vectors), generator=generator)[:count].to(vectors.device)])
        for k, level in enumerate(kept):
            setattr(self, f"memory_{k}", torch.cat(level))
        return self.to(level[0].device)     # where the teacher is: its memory, and the rest

    def features(self, images: Tensor) -> Pyramid:
        """Unit teacher features, (B, C_k, S/2^(k+1), S/2^(k+1)) per level, of (B, 3, S, S) float images in [0, 1]."""
        return [F.normalize(t.float(), dim=1, eps=1e-6) for t in self.teacher(images)]

    @torch.no_grad()
    def level_maps(self, features: Pyramid) -> list[Tensor]:
        """Distance to the nearest stored feature, (B, H_k, W_k) per level."""
        if not self.memory[0].numel():
            raise RuntimeError("NearestPatch has no memory yet; call fit(category.train) first")
        maps = []
        for level, memory in zip(features, self.memory, strict=True):
            cos = largest_cosine(as_rows(level), memory)
            maps.append((1 - cos).clamp(min=0).view(level[:, 0].shape))         # (B H W,) -> (B, H, W)
        return maps

    def forward(self, images: Tensor) -> Tensor:
        """(B, 256, 256) maps of (B, 3, S, S) float images in [0, 1]."""
        return self.damping(torch.stack([upsample(m) for m in self.level_maps(self.features(images))]).sum(dim=0))


def as_rows(x: Tensor) -> Tensor:
    """(B, C, H, W) features as (B H W, C) vectors, image after image."""
    return x.flatten(2).transpose(1, 2).flatten(0, 1)


def largest_cosine(queries: Tensor, memory: Tensor, *, rows: int = 2048, columns: int = 512) -> Tensor:
    """Largest inner product of each of (Q, C) unit queries with (M, C) unit vectors, in blocks that fit the cache."""
    tracing = torch.jit.is_tracing()    # pyright: ignore[reportPrivateImportUsage] an export holds no loop over Q
    return torch.cat([torch.stack([(q @ m.T).amax(dim=1) for m in memory.split(columns)]).amax(dim=0)
                      for q in ([queries] if tracing or torch.compiler.is_compiling() else queries.split(rows))])

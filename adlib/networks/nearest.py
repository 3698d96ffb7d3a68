"""The training-free baseline: how far is each feature from the nearest one seen on a normal image?"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from adlib.networks.layers import to_float, upsample
from adlib.networks.teacher import Teacher


class NearestPatch(nn.Module):
    """Cosine distance to the nearest normal teacher feature, per level, summed over levels; no training, no smoothing.

    Every table shows it: what a method adds to the frozen features has to show above this.

    Parameters
    ----------
    teacher : Teacher
    sampling_ratio : float
        Share of the training positions that is kept, drawn at random.
    seed : int
        Of that draw.
    """

    def __init__(self, teacher: Teacher, *, sampling_ratio: float = 0.1, seed: int = 0):
        super().__init__()
        if not 0 < sampling_ratio <= 1:
            raise ValueError(f"sampling_ratio={sampling_ratio} must be a share in (0, 1]")
        self.teacher, self.sampling_ratio, self.seed = teacher, sampling_ratio, seed
        self.arguments = {"sampling_ratio": sampling_ratio, "seed": seed}
        for k in range(len(teacher.levels)):  # buffers, so that the memory is saved and moved with the module
            self.register_buffer(f"memory_{k}", torch.empty(0))
        self.register_load_state_dict_pre_hook(make_room)

    def fit(self, images: Tensor, *, batch: int = 32) -> "NearestPatch":
        """Keep unit features of normal images: (N, 3, S, S) uint8, or float in [0, 1]."""
        generator = torch.Generator().manual_seed(self.seed)
        kept = [[] for _ in self.teacher.levels]
        for chunk in images.split(batch):
            chunk = to_float(chunk.to(self.teacher.mean.device))
            for level, features in zip(kept, self.features(chunk), strict=True):
                n = features.flatten(0, 1)                                          # (B, HW, C) -> (BHW, C)
                count = max(1, round(self.sampling_ratio * len(n)))
                level.append(n[torch.randperm(len(n), generator=generator)[:count].to(n.device)])
        for k, level in enumerate(kept):
            setattr(self, f"memory_{k}", torch.cat(level))
        return self

    def features(self, images: Tensor) -> list[Tensor]:
        """Unit teacher features, (B, H_k W_k, C_k) per level."""
        return [F.normalize(t.float(), dim=1, eps=1e-6).flatten(2).transpose(1, 2) for t in self.teacher(images)]

    @torch.no_grad()
    def level_maps(self, images: Tensor) -> list[Tensor]:
        """Distance to the nearest stored feature, (B, H_k, W_k) per level."""
        if not self.memory_0.numel():
            raise RuntimeError("NearestPatch has no memory yet; call fit(category.train) first")
        maps = []
        for k, features in enumerate(self.features(images)):
            cos = largest_cosine(features.flatten(0, 1), getattr(self, f"memory_{k}"))
            side = images.shape[-1] // 2 ** (self.teacher.levels[k] + 1)
            maps.append((1 - cos).clamp(min=0).view(len(images), side, side))
        return maps

    def forward(self, images: Tensor) -> Tensor:
        """(B, 256, 256) maps of (B, 3, S, S) float images in [0, 1]."""
        return sum(upsample(m) for m in self.level_maps(images))

    def image_scores(self, maps: Tensor) -> Tensor:
        """(N,) scores: the largest value of each map."""
        return maps.flatten(1).amax(dim=1)


def make_room(model: NearestPatch, state: dict[str, Tensor], prefix: str, *_) -> None:
    """Before a saved memory is loaded: give the buffers its size."""
    for name in [f"memory_{k}" for k in range(len(model.teacher.levels))]:
        if prefix + name in state:
            setattr(model, name, torch.empty_like(state[prefix + name], device=model.teacher.mean.device))


def largest_cosine(queries: Tensor, memory: Tensor, *, rows: int = 1024, columns: int = 1024) -> Tensor:
    """Largest inner product of each of (Q, C) unit queries with (M, C) unit vectors, in blocks that fit the cache."""
    best = torch.full((len(queries),), -1.0, device=queries.device)
    for q, b in zip(queries.split(rows), best.split(rows), strict=True):   # b is a view: best is filled in place
        for m in memory.split(columns):
            torch.maximum(b, (q @ m.T).amax(dim=1), out=b)
    return best


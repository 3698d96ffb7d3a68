"""What several networks use, or a paper names."""

import torch
import torch.nn.functional as F
from torch import Tensor

MAP_SIZE = 256  # every map, mask and number of the package refers to this size


def to_float(images: Tensor) -> Tensor:
    """Images as floats in [0, 1], whether they come as uint8 or already so."""
    return images.float().div(255) if images.dtype == torch.uint8 else images


def upsample(maps: Tensor, size: int = MAP_SIZE) -> Tensor:
    """(B, H, W) maps at (B, size, size): bilinear, align_corners=False, as everywhere in the package."""
    return F.interpolate(maps[:, None], size=(size, size), mode="bilinear", align_corners=False)[:, 0]

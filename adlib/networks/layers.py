"""What several networks use, or a paper names."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

MAP_SIZE = 256  # every map, mask and number of the package refers to this size


def to_float(images: Tensor) -> Tensor:
    """Images as floats in [0, 1], whether they come as uint8 or already so."""
    return images.float().div(255) if images.dtype == torch.uint8 else images


def upsample(maps: Tensor, size: int = MAP_SIZE) -> Tensor:
    """(B, H, W) maps at (B, size, size): bilinear, align_corners=False, as everywhere in the package."""
    return F.interpolate(maps[:, None], size=(size, size), mode="bilinear", align_corners=False)[:, 0]


class Residual(nn.Module):
    """Residual block (He et al., CVPR 2016), as encoders and decoders use it: main path plus shortcut, then ReLU.

    Parameters
    ----------
    c_in, c_out : int
        Channels.
    middle : int, optional
        Two 3x3 convolutions without it (BasicBlock); with it 1x1, 3x3 with that many channels, 1x1 (Bottleneck).
    resize : {"same", "down", "up"}
        What becomes of height and width. "up" is RD4AD's: a 2x2 transposed convolution in place of the (first) 3x3.
    last_relu : bool
        False where the output imitates features that can be negative.
    """

    def __init__(self, c_in: int, c_out: int, *, middle: int | None = None, resize: str = "same",
                 last_relu: bool = True):
        super().__init__()
        width = middle or c_out
        self.main = nn.Sequential(
            *([conv(c_in, width, 1), nn.BatchNorm2d(width), nn.ReLU(inplace=True)] if middle else []),
            conv(width if middle else c_in, width, 3, resize), nn.BatchNorm2d(width), nn.ReLU(inplace=True),
            conv(width, c_out, 1 if middle else 3), nn.BatchNorm2d(c_out))
        same = c_in == c_out and resize == "same"
        self.shortcut = nn.Identity() if same else nn.Sequential(conv(c_in, c_out, 1, resize), nn.BatchNorm2d(c_out))
        self.last = nn.ReLU(inplace=True) if last_relu else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.main(x) + self.shortcut(x))


def conv(c_in: int, c_out: int, kernel: int, resize: str = "same") -> nn.Module:
    """A convolution without bias: at the same size, at half, or transposed (2x2) at twice the size."""
    if resize == "up":
        return nn.ConvTranspose2d(c_in, c_out, 2, stride=2, bias=False)
    stride = {"same": 1, "down": 2}[resize]
    return nn.Conv2d(c_in, c_out, kernel, stride=stride, padding=kernel // 2, bias=False)


def residual_stage(c_in: int, c_out: int, blocks: int, *, middle: int | None = None, resize: str = "same",
                   last_relu: bool = True) -> nn.Sequential:
    """Blocks in a row; the first changes channels and size, the last may leave out its ReLU."""
    return nn.Sequential(*(
        Residual(c_in if i == 0 else c_out, c_out, middle=middle, resize=resize if i == 0 else "same",
                 last_relu=last_relu or i < blocks - 1)
        for i in range(blocks)))


def kaiming(module: nn.Module) -> nn.Module:
    """Kaiming fan-out weights for every Conv2d; transposed convolutions keep PyTorch's, as in RD4AD's code."""
    for m in module.modules():
        if isinstance(m, nn.Conv2d):
            nn.init.kaiming_normal_(m.weight, mode="fan_out", nonlinearity="relu")
    return module

"""What several networks use, or a paper names."""

from collections.abc import Iterable
from typing import TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from adlib.settings import MAP_SIZE

AnyModule = TypeVar("AnyModule", bound=nn.Module)


def to_float(images: Tensor) -> Tensor:
    """Images as floats in [0, 1], whether they come as uint8 or already so."""
    return images.float().div(255) if images.dtype == torch.uint8 else images


def exact_convolutions():
    """A context in which cuDNN's convolutions in float32 are that exact, and the same every time; a CPU's always are.

    By itself cuDNN rounds their inputs to 10 bits (TF32), which moves a map by some thousandths.
    """
    return torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=False)


def upsample(maps: Tensor, size: int = MAP_SIZE) -> Tensor:
    """(B, H, W) maps at (B, size, size): bilinear, align_corners=False, as everywhere in the package.

    >>> upsample(torch.tensor([[[0.0, 1], [2, 3]]]), 4)[0, 0]
    tensor([0.0000, 0.2500, 0.7500, 1.0000])
    """
    return F.interpolate(maps[:, None], size=(size, size), mode="bilinear", align_corners=False)[:, 0]


def score_images(maps: Tensor, *, top: int = 1, image_level: bool = False) -> Tensor:
    """(N,) scores of (N, H, W) maps: the mean of each map's `top` largest values, of all if `image_level`.

    >>> maps = torch.tensor([[[0.0, 1], [2, 3]]])
    >>> score_images(maps), score_images(maps, top=2), score_images(maps, image_level=True)
    (tensor([3.]), tensor([2.5000]), tensor([1.5000]))
    """
    values = maps.flatten(1)
    return values.mean(dim=1) if image_level else values.topk(top, dim=1).values.mean(dim=1)


def smooth(maps: Tensor, sigma: float) -> Tensor:
    """Gaussian smoothing of (B, S, S) maps, as scipy's default: cut at 4 sigma, mirrored edges (d c b a | a b c d)."""
    if sigma == 0:
        return maps
    size = maps.shape[-1]
    i = torch.arange(size, device=maps.device)
    distance = torch.stack([i, -1 - i, 2 * size - 1 - i])[:, None] - i[:, None]     # (3, S, S): to i and its mirrors
    weights = torch.exp(-0.5 * (distance / sigma) ** 2) * (distance.abs() <= int(4 * sigma + 0.5))
    matrix = weights.sum(dim=0)
    matrix = matrix / matrix.sum(dim=1, keepdim=True)
    return matrix @ maps.float() @ matrix.mT


def make_room(module: nn.Module, state: dict[str, Tensor], prefix: str, *_) -> None:
    """Before saved weights are loaded: give what is still empty in a module its saved size."""
    for name, empty in [*module.named_buffers(recurse=False), *module.named_parameters(recurse=False)]:
        if not empty.numel() and prefix + name in state:
            empty.data = torch.empty_like(state[prefix + name], device=empty.device)


class MeanStart(nn.Module):
    """A student's start at what all normal images share: S_k = mean_k + gain_k * answer_k, with gains that start at 0.

    A departure from the papers. Most of a cosine is won by what every image has at a position. A student that has to
    find this itself may stop there, and answer the same to every image; given it, it learns what differs. With
    `standardise`, features have mean 0 and deviation 1 per channel over normal images, as EfficientAD's. Until `fit`,
    everything passes as it is.
    """

    def __init__(self, levels: int, *, standardise: bool = False):
        super().__init__()
        self.levels, self.standardise = range(levels), standardise
        for k in self.levels:
            for name in ("mean", "centre", "scale"):
                self.register_buffer(f"{name}_{k}", torch.empty(0))
            self.register_parameter(f"gain_{k}", nn.Parameter(torch.empty(0), requires_grad=False))
        self.register_load_state_dict_pre_hook(make_room)

    @torch.no_grad()
    def fit(self, pyramids: Iterable[list[Tensor]]) -> None:
        """Take the means of normal teacher features, (B, C_k, H_k, W_k) per level, batch after batch."""
        for k, level in enumerate(zip(*pyramids, strict=True)):
            t = torch.cat(level).float()
            scale, centre = torch.std_mean(t, dim=(0, 2, 3), keepdim=True)      # (1, C_k, 1, 1)
            if not self.standardise:
                scale, centre = torch.ones_like(scale), torch.zeros_like(centre)
            scale = scale.clamp(min=1e-6)
            for name, value in [("centre", centre), ("scale", scale), ("gain", torch.zeros_like(scale)),
                                ("mean", (t.mean(dim=0, keepdim=True) - centre) / scale)]:
                getattr(self, f"{name}_{k}").data = value
            self.get_parameter(f"gain_{k}").requires_grad_()

    def prepare(self, t: list[Tensor]) -> list[Tensor]:
        """The teacher's features as the student's are compared with them."""
        if not (self.standardise and self.get_buffer("mean_0").numel()):
            return t
        return [(x - self.get_buffer(f"centre_{k}")) / self.get_buffer(f"scale_{k}")
                for k, x in zip(self.levels, t, strict=True)]

    def forward(self, answers: list[Tensor]) -> list[Tensor]:
        """The student's features of its answers."""
        if not self.get_buffer("mean_0").numel():
            return answers
        return [self.get_buffer(f"mean_{k}") + self.get_parameter(f"gain_{k}") * x
                for k, x in zip(self.levels, answers, strict=True)]


class BorderDamping(nn.Module):
    """Maps whose borders shine in every normal image, brought down to what the rest of the map is like.

    Zero padding is an anomaly that every image has. A ring k holds the pixels at one distance from the nearest edge,
    out of the outer eighth of the map; m_k and s_k are mean and deviation of normal maps there, m and s those of the
    rest of the map. There x becomes m + (x - max(m_k, m)) s / max(s_k, s). No paper has this. Until `fit`, maps pass.
    """

    gain: Tensor
    offset: Tensor

    def __init__(self):
        super().__init__()
        self.register_buffer("gain", torch.ones(MAP_SIZE // 8 + 1))
        self.register_buffer("offset", torch.zeros(MAP_SIZE // 8 + 1))

    def fit(self, maps: Tensor) -> None:
        """Measure the rings of (N, 256, 256) maps of normal images, made while nothing was damped."""
        ring = self.rings(maps.shape[-1]).flatten()
        by_ring = maps.flatten(1)[:, ring.argsort(stable=True)].split(ring.bincount().tolist(), dim=1)
        m, s = (torch.stack([f(x) for x in by_ring]).to(self.gain) for f in (torch.mean, torch.std))
        self.gain.copy_(s[-1] / torch.maximum(s, s[-1]).clamp(min=1e-12))
        self.offset.copy_(m[-1] - self.gain * torch.maximum(m, m[-1]))

    def forward(self, maps: Tensor) -> Tensor:
        ring = self.rings(maps.shape[-1]).to(maps.device)
        return maps * self.gain[ring] + self.offset[ring]

    def rings(self, size: int) -> Tensor:
        """(size, size) ring of each pixel: 0 at the edges, the last is the rest of the map."""
        i = torch.arange(size)
        distance = torch.minimum(i, size - 1 - i) * MAP_SIZE // size
        return torch.minimum(distance[:, None], distance).clamp(max=len(self.gain) - 1)


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


def conv_norm_relu(c_in: int, c_out: int, kernel: int, resize: str = "same") -> nn.Sequential:
    return nn.Sequential(conv(c_in, c_out, kernel, resize), nn.BatchNorm2d(c_out), nn.ReLU(inplace=True))


def residual_stage(c_in: int, c_out: int, blocks: int, *, middle: int | None = None, resize: str = "same",
                   last_relu: bool = True) -> nn.Sequential:
    """Blocks in a row; the first changes channels and size, the last may leave out its ReLU."""
    return nn.Sequential(*(
        Residual(c_in if i == 0 else c_out, c_out, middle=middle, resize=resize if i == 0 else "same",
                 last_relu=last_relu or i < blocks - 1)
        for i in range(blocks)))


def kaiming(module: AnyModule) -> AnyModule:
    """Kaiming fan-out weights for every Conv2d; transposed convolutions keep PyTorch's, as in RD4AD's code."""
    for m in module.modules():
        if isinstance(m, nn.Conv2d):
            nn.init.kaiming_normal_(m.weight, mode="fan_out", nonlinearity="relu")
    return module


class SpatialReconstruction(nn.Module):
    """Spatial reconstruction unit, SRU (SCConv, CVPR 2023): separate what stands out in a map from the rest, and cross.

    Parameters
    ----------
    channels : int
        A multiple of 8.
    gate : {"soft", "hard"}
        Whether features below the threshold stay in the first part too, weighted, or only those above it. With "hard"
        nothing here can learn: no gradient reaches the group norm.
    """

    def __init__(self, channels: int, *, gate: str = "soft"):
        super().__init__()
        if gate not in ("soft", "hard"):
            raise ValueError(f"gate={gate!r} must be 'soft' or 'hard'")
        self.gate, self.norm = gate, nn.GroupNorm(4, channels)

    def gates(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """What of (B, C, H, W) features counts as informative (W1) and as redundant (W2): float32 weights in [0, 1]."""
        share = self.norm.weight / self.norm.weight.sum()
        r = torch.sigmoid(share.view(-1, 1, 1) * self.norm(x.float()))     # 0.5 +- 0.002 at first: all alike in bf16
        if self.gate == "hard":
            return (r >= 0.5).float(), (r < 0.5).float()
        return torch.where(r > 0.5, 1, r), torch.where(r > 0.5, 0, r)

    def forward(self, x: Tensor) -> Tensor:
        informative, redundant = (x * gate.to(x.dtype) for gate in self.gates(x))
        first, second = redundant.chunk(2, dim=1)
        return informative + torch.cat([second, first], dim=1)      # crossed: each half gets the other's redundant one


class ChannelReconstruction(nn.Module):
    """Channel reconstruction unit, CRU (SCConv, CVPR 2023): a rich half of the channels and a cheap half, weighed.

    The half of the channels that goes through the 3x3 convolution is squeezed and grouped first, the other half is
    reused; per channel, a softmax over the two results' means says how much each counts. The popular unofficial code
    takes that softmax over all 2 C means at once, which shrinks the output by about 1 / 2C.
    """

    def __init__(self, channels: int):
        super().__init__()
        half, squeezed = channels // 2, channels // 4
        self.squeeze_up, self.squeeze_low = conv(half, squeezed, 1), conv(half, squeezed, 1)
        self.group = nn.Conv2d(squeezed, channels, 3, padding=1, groups=2)
        self.point, self.extend = conv(squeezed, channels, 1), conv(squeezed, channels - squeezed, 1)

    def branches(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """The rich and the cheap features, (B, C, H, W) each."""
        up, low = x.chunk(2, dim=1)
        up, low = self.squeeze_up(up), self.squeeze_low(low)
        return self.group(up) + self.point(up), torch.cat([self.extend(low), low], dim=1)

    def forward(self, x: Tensor) -> Tensor:
        rich, cheap = self.branches(x)
        # A softmax of two is the sigmoid of their difference.
        beta = (rich.float() - cheap.float()).mean(dim=(2, 3), keepdim=True).sigmoid().to(rich.dtype)
        return beta * rich + (1 - beta) * cheap


class SCConv(nn.Sequential):
    """Spatial and channel reconstruction convolution (CVPR 2023), in place of a 3x3 one: SRU, then CRU."""

    def __init__(self, channels: int, *, gate: str = "soft"):
        super().__init__()
        self.spatial = SpatialReconstruction(channels, gate=gate)
        self.channel = ChannelReconstruction(channels)


class SimAM(nn.Module):
    """Attention without parameters (ICML 2021): a position counts the more, the further it is from its channel's mean.

    Parameters
    ----------
    eps : float
        lambda, against a variance of zero. Features whose variance is much smaller are all weighted alike.

    Examples
    --------
    >>> SimAM().gate(torch.tensor([[[[1.0, 2], [3, 4]]]])).flatten()        # 1 and 4 are furthest from the mean
    tensor([0.6979, 0.6312, 0.6312, 0.6979])
    """

    def __init__(self, *, eps: float = 1e-4):
        super().__init__()
        self.eps = eps

    def gate(self, x: Tensor) -> Tensor:
        """Weights of (B, C, H, W) features, float32 in [0.62, 1): sigmoid of the inverse energy (eq. 5)."""
        square = (x.float() - x.float().mean(dim=(2, 3), keepdim=True)).square()
        variance = square.sum(dim=(2, 3), keepdim=True) / max(1, x.shape[2:].numel() - 1)
        return torch.sigmoid(square / (4 * (variance + self.eps)) + 0.5)

    def forward(self, x: Tensor) -> Tensor:
        return x * self.gate(x).to(x.dtype)


class ASPP(nn.Module):
    """Atrous spatial pyramid pooling (DeepLabv3, Chen et al., 2017) in DeSTSeg's form: what is around a position.

    Branches of the global mean and of dilated 3x3 convolutions, concatenated and fused by a 3x3 convolution. Unlike
    DeepLab's there is no plain 1x1 branch.

    Parameters
    ----------
    channels : int
        Into, within and out of the module.
    dilations : tuple of int
    """

    def __init__(self, channels: int, *, dilations: tuple[int, ...] = (6, 12, 18)):
        super().__init__()
        self.pooled = nn.Sequential(nn.AdaptiveAvgPool2d(1), conv_norm_relu(channels, channels, 1))
        self.dilated = nn.ModuleList(
            nn.Sequential(nn.Conv2d(channels, channels, 3, padding=d, dilation=d, bias=False),
                          nn.BatchNorm2d(channels), nn.ReLU(inplace=True))
            for d in dilations)
        self.fuse = conv_norm_relu((1 + len(dilations)) * channels, channels, 3)

    def forward(self, x: Tensor) -> Tensor:
        # Without a memory format of its own, the expanded branch would turn the concatenation away from channels_last.
        pooled = self.pooled(x).expand(-1, -1, *x.shape[2:]).contiguous(memory_format=torch.channels_last)
        return self.fuse(torch.cat([pooled, *(branch(x) for branch in self.dilated)], dim=1))

"""Reverse distillation (RD4AD; Deng and Li, CVPR 2022) and its masked form (Qi, Chai et al., CJIF 2024)."""

from collections import OrderedDict
from collections.abc import Iterable

import torch
from torch import Tensor, nn

from adlib.losses import cosine_loss, cosine_maps
from adlib.networks.layers import (
    BorderDamping,
    MeanStart,
    SCConv,
    SimAM,
    conv_norm_relu,
    kaiming,
    residual_stage,
    score_images,
    smooth,
    upsample,
)
from adlib.networks.teacher import Pyramid, Teacher

# Backbones of bottleneck blocks: what part of their channels the middle has. The others have plain blocks.
MIDDLE = {"resnet50": 4, "wide_resnet50_2": 2}


class ReverseDistillation(nn.Module):
    """RD4AD: a decoder that rebuilds the teacher's features from a narrow embedding, which only fits what is normal.

    After the official code, with its loss of whole feature vectors and without the 1x1 convolution that the paper
    describes behind the fusion. Unlike it, maps are up-sampled with align_corners=False, as everywhere here.

    Parameters
    ----------
    teacher : Teacher
        Frozen, with levels 1, 2, 3: the bottleneck needs all of them.
    levels : tuple of int
        Levels that enter the loss and the map.
    cosine : {"flat", "pixel"}
        The loss, see `cosine_loss`; maps hold the distance at each position either way.
    sigma : float
        Of the Gaussian that smooths the maps, in pixels of 256; 0 does not smooth.
    seed : int
        Of the weights.

    Attributes
    ----------
    bottleneck : nn.Sequential
        `fusion`, teacher features -> (B, 3 C_3, S/16, S/16), and `embedding` -> (B, 2 C_3, S/32, S/32).
    decoder : nn.ModuleList
        The stages that lead from the embedding to levels 3, 2, 1.

    Raises
    ------
    ValueError
        A teacher with other levels, levels that are none of these, an unknown `cosine` or a negative `sigma`.
    """

    level_maps, image_scores = staticmethod(cosine_maps), staticmethod(score_images)    # the largest value of a map

    def __init__(self, teacher: Teacher, *, levels: tuple[int, ...] = (1, 2, 3), cosine: str = "flat",
                 sigma: float = 4.0, seed: int = 0):
        super().__init__()
        levels = tuple(levels)
        if teacher.levels != (1, 2, 3):
            raise ValueError(f"the teacher's levels are {teacher.levels}, must be (1, 2, 3); `levels` of this network "
                             f"picks those that are compared")
        if not levels or list(levels) != sorted({*levels} & {1, 2, 3}):
            raise ValueError(f"levels {levels} must be increasing numbers out of 1, 2, 3, for example (1, 2, 3)")
        if cosine not in ("flat", "pixel") or sigma < 0:
            raise ValueError(f"cosine={cosine!r} must be 'flat' or 'pixel', and sigma={sigma} at least 0")
        self.teacher, self.levels, self.cosine, self.sigma = teacher, levels, cosine, sigma
        self.arguments = {"levels": levels, "cosine": cosine, "sigma": sigma, "seed": seed}
        c1, c2, c3 = teacher.channels
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.bottleneck = kaiming(nn.Sequential(OrderedDict(
                fusion=Fusion(teacher.channels),
                embedding=build_stage(teacher, 3 * c3, 2 * c3, blocks=3, resize="down"))))
            # A signed teacher's features are negative too: the stages then end without ReLU, for the next one as well.
            self.decoder = kaiming(nn.ModuleList(
                build_stage(teacher, c_in, c_out, blocks=blocks, resize="up", last_relu=not teacher.signed)
                for c_in, c_out, blocks in [(2 * c3, c3, 3), (c3, c2, 4), (c2, c1, 6)]))
        self.start, self.damping = MeanStart(len(levels)), BorderDamping()

    def decode(self, embedding: Tensor) -> Pyramid:
        """The student's features S_1, S_2, S_3, of the teacher's shapes, from a (B, 2 C_3, S/32, S/32) embedding."""
        s = []
        for stage in self.decoder:
            s.append(embedding := stage(embedding))
        return s[::-1]

    def features(self, images: Tensor, t: Pyramid | None = None) -> tuple[Pyramid, Pyramid]:
        """Teacher and student features (t, s), one (B, C_k, S/2^(k+1), S/2^(k+1)) tensor per compared level each.

        Of (B, 3, S, S) float images in [0, 1], S a multiple of 32; `t` is `self.teacher(images)`, where it is already
        known; cached features may be bf16.
        """
        t, s = self.rebuild(images, t)
        return t, self.start(s)

    def rebuild(self, images: Tensor, t: Pyramid | None = None) -> tuple[Pyramid, Pyramid]:
        """Teacher features and the decoder's own, whatever is made of them behind it; as `features`."""
        t = [x.float() for x in (self.teacher(images) if t is None else t)]
        s = self.decode(self.bottleneck(t))
        return [t[k - 1] for k in self.levels], [s[k - 1] for k in self.levels]

    def start_from_mean(self, pyramids: Iterable[Pyramid]) -> None:
        """Let the student start at the mean of normal images' features (`teacher.pyramids`), see `MeanStart`."""
        self.start.fit([t[k - 1] for k in self.levels] for t in pyramids)

    def loss(self, t: Pyramid, s: Pyramid) -> Tensor:
        """Cosine distance, summed over levels, mean over images."""
        return cosine_loss(t, s, cosine=self.cosine)

    def fuse(self, level_maps: list[Tensor]) -> Tensor:
        """Sum of the (B, H_k, W_k) level maps at full size, smoothed: (B, 256, 256)."""
        return smooth(torch.stack([upsample(m) for m in level_maps]).sum(dim=0), self.sigma)

    def forward(self, images: Tensor) -> Tensor:
        """(B, 256, 256) maps of (B, 3, S, S) float images in [0, 1]."""
        return self.damping(self.fuse(self.level_maps(*self.features(images))))


class MaskedRD(ReverseDistillation):
    """Masked reverse distillation: RD4AD with attention before the embedding and restored features behind the decoder.

    The paper leaves open what the generators do at test time: here they stay, unmasked, since only what they restore
    was ever compared with the teacher.

    Parameters
    ----------
    teacher, levels, cosine, sigma, seed
        As in `ReverseDistillation`; the decoder's first weights are also the same. The paper's formula is "pixel".
    mask_ratio : float
        Share of the positions that training hides from a generator, in [0, 1).
    mask_generator, simam, scconv : bool
        The paper's parts. Without a generator the decoder's features are compared themselves; in place of SCConv
        stands a 3x3 convolution with batch norm and ReLU, in place of SimAM nothing.
    test_mask : {"none", "mean"}
        Maps without masks, or their mean over `test_masks` random masks, drawn from the seed once for all images.
    rescale : bool
        Divide what the masks leave by 1 - mask_ratio, so that its mean is that of unmasked features (as dropout does).

    Attributes
    ----------
    bottleneck : nn.Sequential
        `fusion`, teacher features -> (B, C_3, S/16, S/16), `attention` (`conv`, `simam`), and `embedding`.
    generators : nn.ModuleList
        One `MaskGenerator` per compared level; empty without.

    Raises
    ------
    ValueError
        As `ReverseDistillation`; a ratio outside [0, 1), an unknown `test_mask`, or one with nothing to draw.
    """

    def __init__(self, teacher: Teacher, *, mask_ratio: float = 0.5, mask_generator: bool = True, simam: bool = True,
                 scconv: bool = True, levels: tuple[int, ...] = (1, 2, 3), cosine: str = "pixel",
                 test_mask: str = "none", test_masks: int = 8, rescale: bool = False, sigma: float = 4.0,
                 seed: int = 0):
        super().__init__(teacher, levels=levels, cosine=cosine, sigma=sigma, seed=seed)
        if not 0 <= mask_ratio < 1:
            raise ValueError(f"mask_ratio={mask_ratio} must be in [0, 1)")
        if test_mask not in ("none", "mean") or test_masks < 1:
            raise ValueError(f"test_mask={test_mask!r} must be 'none' or 'mean', and test_masks={test_masks} positive")
        if test_mask == "mean" and not mask_generator:
            raise ValueError("test_mask='mean' needs masks, but mask_generator=False draws none; set it to 'none'")
        self.mask_ratio, self.rescale, self.seed = mask_ratio, rescale, seed
        self.test_masks = test_masks if test_mask == "mean" else 0
        self.arguments |= {"mask_ratio": mask_ratio, "mask_generator": mask_generator, "simam": simam,
                           "scconv": scconv, "test_mask": test_mask, "test_masks": test_masks, "rescale": rescale}
        c = teacher.channels[2]
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed + 1)         # other numbers than the decoder's
            self.bottleneck = kaiming(nn.Sequential(OrderedDict(
                fusion=Fusion(teacher.channels, mix=True),
                attention=nn.Sequential(OrderedDict(conv=SCConv(c) if scconv else conv_norm_relu(c, c, 3),
                                                    simam=SimAM() if simam else nn.Identity())),
                embedding=build_stage(teacher, c, 2 * c, blocks=3, resize="down"))))
            self.generators = kaiming(nn.ModuleList(
                MaskGenerator(teacher.channels[k - 1]) for k in self.levels if mask_generator))

    def features(self, images: Tensor, t: Pyramid | None = None, *,
                 generator: torch.Generator | None = None) -> tuple[Pyramid, Pyramid]:
        """As `ReverseDistillation`, but the student's features are those that its mask generators restore.

        Parameters
        ----------
        generator : torch.Generator, optional
            Masks are drawn from it, one per image and level; without it there are none, as for validation.
        """
        t, s = self.rebuild(images, t)
        return t, self.restore(s, None if generator is None else self.draw_masks(s, generator))

    def restore(self, s: Pyramid, masks: list[Tensor] | None = None) -> Pyramid:
        """What the generators make of the decoder's features behind masks, (B or 1, 1, H_k, W_k) per level."""
        if self.generators:
            s = [g(x, m) for g, x, m in zip(self.generators, s, masks or [None] * len(s), strict=True)]
        return self.start(s)

    def draw_masks(self, s: Pyramid, generator: torch.Generator) -> list[Tensor]:
        """Random masks for features, (B, 1, H_k, W_k) per level."""
        scale = 1 / (1 - self.mask_ratio) if self.rescale else 1
        return [draw_mask(x, self.mask_ratio, generator=generator) * scale for x in s]

    def forward(self, images: Tensor) -> Tensor:
        """(B, 256, 256) maps of (B, 3, S, S) float images in [0, 1]; with test masks, of the mean over them."""
        if not self.test_masks:
            return super().forward(images)
        t, s = self.rebuild(images)
        generator = torch.Generator().manual_seed(self.seed)    # not on the device: the same masks everywhere
        draws = [self.draw_masks([x[:1] for x in s], generator) for _ in range(self.test_masks)]
        maps = [self.level_maps(t, self.restore(s, masks)) for masks in draws]
        totals = [sum(level, start=torch.zeros_like(level[0])) for level in zip(*maps, strict=True)]
        return self.damping(self.fuse([total / self.test_masks for total in totals]))


class MaskGenerator(nn.Module):
    """Restores features behind a mask from what surrounds them (MGD's generation block; FMM of masked RD).

    A 1x1 convolution first: the paper lists an adaptation layer, although here the channels already agree.
    """

    def __init__(self, channels: int):
        super().__init__()
        self.align = nn.Conv2d(channels, channels, 1)
        self.restore = nn.Sequential(nn.Conv2d(channels, channels, 3, padding=1), nn.ReLU(inplace=True),
                                     nn.Conv2d(channels, channels, 3, padding=1))

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """Restored features of (B, C, H, W) ones; the mask is (B, 1, H, W), 0 where they are hidden."""
        x = self.align(x)
        return self.restore(x if mask is None else x * mask.to(x.dtype))


def draw_mask(like: Tensor, ratio: float, *, generator: torch.Generator) -> Tensor:
    """(B, 1, H, W) mask for (B, C, H, W) features: 0 with probability `ratio`, else 1; one for all channels."""
    b, _, h, w = like.shape
    return (torch.rand(b, 1, h, w, generator=generator, device=generator.device) >= ratio).to(like)


class Fusion(nn.Module):
    """Levels 1 and 2 brought to the size of level 3, all side by side: MFF; with a 1x1 convolution to C_3, MSFF."""

    def __init__(self, channels: tuple[int, ...], *, mix: bool = False):
        super().__init__()
        c1, c2, c3 = channels
        self.branches = nn.ModuleList([
            nn.Sequential(conv_norm_relu(c1, 2 * c1, 3, "down"), conv_norm_relu(2 * c1, c3, 3, "down")),
            conv_norm_relu(c2, c3, 3, "down"),
            nn.Identity()])
        self.mix = conv_norm_relu(3 * c3, c3, 1) if mix else nn.Identity()

    def forward(self, t: Pyramid) -> Tensor:
        return self.mix(torch.cat([branch(x) for branch, x in zip(self.branches, t, strict=True)], dim=1))


def build_stage(teacher: Teacher, c_in: int, c_out: int, *, blocks: int, resize: str,
                last_relu: bool = True) -> nn.Sequential:
    """A residual stage of the teacher's kind: that many bottlenecks, or two plain blocks, as a ResNet18 has them."""
    part = MIDDLE.get(teacher.backbone)
    return residual_stage(c_in, c_out, blocks if part else 2, middle=part and c_out // part, resize=resize,
                          last_relu=last_relu)

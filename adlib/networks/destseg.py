"""DeSTSeg (Zhang et al., CVPR 2023): a student that undoes anomalies, and a network that segments where it did."""

from collections import OrderedDict
from collections.abc import Iterable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from adlib.losses import cosine_distance, cosine_loss, cosine_maps, focal_loss, l1_loss
from adlib.networks.layers import ASPP, MeanStart, conv_norm_relu, kaiming, residual_stage, score_images, upsample
from adlib.networks.teacher import Pyramid, Teacher
from adlib.settings import MAP_SIZE


class DeSTSeg(nn.Module):
    """Denoising student and segmentation network: the teacher sees the clean image, the student a corrupted one.

    Parameters
    ----------
    teacher : Teacher
        Frozen, with levels 1, 2, 3.
    denoising, encoder_decoder, segmentation, l1 : bool
        The paper's ablations. Without them the student is trained on clean images; is an encoder only; the map is the
        product of its distances; the segmentation network is trained with the focal loss only.
    segmentation_input : {"product", "concat", "distance"}
        What is made of unit features: T * S (sum C_k channels), both side by side (2 sum C_k), or 1 - cos (3).
    student_width, width : int
        Channels of the student's first stage, and of the segmentation network. The paper's by default.
    top : int
        Pixels of a 256 x 256 map whose mean is an image's score.
    seed : int
        Of all weights; the ablations of the segmentation network share their student's.

    Attributes
    ----------
    student, segmentation_net : nn.Module
        What the two stages train. The second holds `res` and `head`, and is None without segmentation.

    Raises
    ------
    ValueError
        A teacher with other levels, an unknown `segmentation_input`, or a number out of its range.
    """

    level_maps = staticmethod(cosine_maps)

    def __init__(self, teacher: Teacher, *, denoising: bool = True, encoder_decoder: bool = True,
                 segmentation: bool = True, l1: bool = True, segmentation_input: str = "product",
                 student_width: int = 64, width: int = 256, top: int = 100, seed: int = 0):
        super().__init__()
        channels = {"product": sum(teacher.channels), "concat": 2 * sum(teacher.channels), "distance": 3}
        if teacher.levels != (1, 2, 3):
            raise ValueError(f"the teacher has levels {teacher.levels}; build it with levels=(1, 2, 3)")
        if segmentation_input not in channels:
            raise ValueError(f"segmentation_input={segmentation_input!r} must be one of {', '.join(channels)}")
        if min(student_width, width) < 1 or not 1 <= top <= MAP_SIZE**2:
            raise ValueError(f"student_width={student_width} and width={width} must be 1 or more, and top={top} "
                             f"between 1 and the {MAP_SIZE**2} pixels of a map")
        self.denoising, self.l1, self.segmentation_input, self.top = denoising, l1, segmentation_input, top
        self.arguments = {
            "denoising": denoising, "encoder_decoder": encoder_decoder, "segmentation": segmentation, "l1": l1,
            "segmentation_input": segmentation_input, "student_width": student_width, "width": width, "top": top,
            "seed": seed}
        self.teacher = teacher
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.student = Student(teacher.channels, teacher.signed, width=student_width, decoder=encoder_decoder)
            self.segmentation_net = segmentation_net(channels[segmentation_input], width) if segmentation else None
        self.start = MeanStart(3, standardise=True)

    def start_from_mean(self, pyramids: Iterable[Pyramid]) -> None:
        """Let the student start at the mean of normal images' features (`teacher.pyramids`), see `MeanStart`."""
        if not self.teacher.signed:
            raise ValueError("a student that ends in ReLUs cannot start from a mean; take a signed teacher")
        self.start.fit(pyramids)

    def features(self, images: Tensor, t: Pyramid | None = None) -> tuple[Pyramid, Pyramid]:
        """Teacher and student features (t, s), one (B, C_k, S/2^(k+1), S/2^(k+1)) tensor per level each.

        Of (B, 3, S, S) float images in [0, 1]; `t` is `self.teacher(images)`, where it is already known; in stage
        1 what the teacher sees in the clean images.
        """
        t = self.start.prepare(self.teacher(images) if t is None else t)
        return t, self.start(self.student(self.teacher.normalise(images)))

    def student_loss(self, t: Pyramid, s: Pyramid) -> Tensor:
        """Stage 1: sum over images and levels of the mean of 1 - cos, of T(clean) and S(corrupted) when denoising.

        The sum over images is the official code's: the learning rate belongs to it.
        """
        return cosine_loss(t, s, reduction="sum")

    def segmentation_loss(self, corrupted: Tensor, masks: Tensor) -> Tensor:
        """Stage 2: focal plus L1 loss of the segmentation of corrupted images; the student must be in eval mode.

        Parameters
        ----------
        corrupted : (B, 3, S, S) float tensor in [0, 1]
        masks : (B, S, S) or (B, 1, S, S) bool or float tensor
            Where they are corrupted.
        """
        logits = self.segment(corrupted)
        target = shrink_target(masks, logits.shape[-1])
        loss = focal_loss(logits, target)
        return loss + l1_loss(logits, target) if self.l1 else loss

    def segment(self, images: Tensor) -> Tensor:
        """(B, S/4, S/4) float32 logits of an anomaly; gradients reach the segmentation network only."""
        if self.segmentation_net is None:
            raise ValueError("this DeSTSeg was built with segmentation=False; use product_map, or build it with True")
        with torch.no_grad():       # the official code back-propagates through the student, then drops the gradients
            x = self.compare(*self.features(images))
        return self.segmentation_net(x)[:, 0].float()

    def compare(self, t: Pyramid, s: Pyramid) -> Tensor:
        """What the segmentation network sees of teacher and student features, (B, channels, S/4, S/4) float32.

        Vectors are made unit ones before they are up-sampled. The product has the paper's sign, the official code the
        other one. The paper does not say whether it concatenates unit features; we do, so that all three inputs know
        directions only.
        """
        if self.segmentation_input == "distance":
            levels = [cosine_distance(a, b)[:, None] for a, b in zip(t, s, strict=True)]
        else:
            t, s = ([F.normalize(x.float(), dim=1, eps=1e-6) for x in xs] for xs in (t, s))
            levels = [a * b for a, b in zip(t, s, strict=True)] if self.segmentation_input == "product" else [*t, *s]
        return torch.cat([resize(x, levels[0]) for x in levels], dim=1)

    def product_map(self, images: Tensor) -> Tensor:
        """(B, 256, 256) maps of the student alone: product of the level maps at stride 4, up-sampled."""
        maps = self.level_maps(*self.features(images))
        return upsample(torch.stack([upsample(m, maps[0].shape[-1]) for m in maps]).prod(dim=0))

    def forward(self, images: Tensor) -> Tensor:
        """(B, 256, 256) maps of (B, 3, S, S) float images in [0, 1]: probabilities, or the product; no smoothing."""
        return self.product_map(images) if self.segmentation_net is None else upsample(self.segment(images).sigmoid())

    def image_scores(self, maps: Tensor, *, image_level: bool = False) -> Tensor:
        """(N,) scores: the mean of the `top` largest values of each map (of the same share of a smaller one).

        Of all its values where the whole image is the anomaly.
        """
        top = max(1, round(self.top * maps.shape[1:].numel() / MAP_SIZE**2))
        return score_images(maps, top=top, image_level=image_level)


class Student(nn.Module):
    """ResNet18, and a mirrored decoder without skip connections: only what passes 8 w channels at stride 32 is rebuilt.

    The last batch norm of the encoder's blocks starts with gain 1, as torchvision's; the official code's (timm) with 0.

    Parameters
    ----------
    channels : tuple of int
        C_k of the teacher's levels. Where they are not w, 2 w, 4 w, or the teacher is signed, a 1x1 convolution leads
        from each level to them: with a bias, since no batch norm shifts what follows, and with a ReLU behind it
        exactly where the teacher has one, so that cosines stay in the range that they have in the paper.
    signed : bool
        Whether the teacher's features can be negative.
    width : int
        w, channels of the first stage.
    decoder : bool
        False returns the encoder's levels, and leaves out its fourth stage, which the official code computes in vain.
    """

    def __init__(self, channels: tuple[int, ...], signed: bool, *, width: int = 64, decoder: bool = True):
        super().__init__()
        w = [width, 2 * width, 4 * width, 8 * width]
        self.stem = nn.Sequential(conv_norm_relu(3, width, 7, "down"), nn.MaxPool2d(3, 2, padding=1))
        self.encoder = nn.ModuleList([residual_stage(width, width, 2)])
        self.encoder += [residual_stage(a, 2 * a, 2, resize="down") for a in (w[:3] if decoder else w[:2])]
        self.bottom = residual_stage(w[3], w[3], 2) if decoder else None
        self.decoder = nn.ModuleList(residual_stage(2 * a, a, 2) for a in reversed(w[:3])) if decoder else None
        self.outputs = nn.ModuleList(output(a, c, signed) for a, c in zip(w, channels, strict=False))
        kaiming(self)

    def forward(self, images: Tensor) -> list[Tensor]:
        """Imitated features of normalised (B, 3, S, S) images, (B, C_k, S/2^(k+1), S/2^(k+1)) per level."""
        x, levels = self.stem(images), []
        for stage in self.encoder:
            x = stage(x)
            levels.append(x)
        if self.bottom is not None and self.decoder is not None:
            x = self.bottom(x)
            for k, stage in zip((2, 1, 0), self.decoder, strict=True):
                x = levels[k] = stage(resize(x, levels[k]))
        return [out(x) for x, out in zip(levels, self.outputs, strict=False)]     # the fourth stage is no level


def output(c_in: int, c_out: int, signed: bool) -> nn.Module:
    """What leads from a student's stage, which ends in a ReLU, to features like the teacher's."""
    if c_in == c_out and not signed:
        return nn.Identity()
    return nn.Sequential(nn.Conv2d(c_in, c_out, 1), nn.Identity() if signed else nn.ReLU(inplace=True))


def segmentation_net(c_in: int, width: int) -> nn.Sequential:
    """Two residual blocks `res`, then `head`: ASPP and two convolutions; (B, c_in, H, W) to (B, 1, H, W) logits.

    As in the official code, `res` starts from Kaiming weights and `head` from PyTorch's, 2.5 times smaller ones.
    """
    return nn.Sequential(OrderedDict(
        res=kaiming(residual_stage(c_in, width, 2)),
        head=nn.Sequential(ASPP(width), conv_norm_relu(width, width, 3), nn.Conv2d(width, 1, 1))))


def resize(x: Tensor, like: Tensor) -> Tensor:
    """(B, C, H, W) features at the size of `like`: bilinear, align_corners=False."""
    if x.shape[2:] == like.shape[2:]:
        return x
    if x.requires_grad and x.device.type != "cpu":
        return interpolate_by_matrices(x, like.shape[2:])
    return F.interpolate(x, size=like.shape[2:], mode="bilinear")


def interpolate_by_matrices(x: Tensor, size: torch.Size) -> Tensor:
    """Bilinear interpolation of (B, C, H, W) as two products of matrices, for a gradient that is always the same.

    On CUDA the gradient of `F.interpolate` is summed in whatever order its threads arrive.
    """
    rows, columns = (F.interpolate(torch.eye(n, device=x.device)[None], size=m, mode="linear")[0].to(x.dtype)
                     for n, m in zip(x.shape[2:], size, strict=True))      # (H, H') and (W, W')
    return rows.mT @ x @ columns


def shrink_target(masks: Tensor, size: int) -> Tensor:
    """(B, S, S) or (B, 1, S, S) masks at (B, size, size), 0 or 1: bilinear without antialias, a half or more is 1.

    At a quarter of the size this reads the central 2 x 2 pixels of each 4 x 4 cell: two of them make it anomalous.
    """
    return (upsample(masks.flatten(0, -3).float(), size) >= 0.5).float()

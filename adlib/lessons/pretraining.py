"""Lesson 05: teachers that have never seen a photograph (STFPM, Table 4); they learn the classes of a small data set.

    python -m adlib.lessons.pretraining digits      scikit-learn's 8 x 8 digits: no network is needed
    python -m adlib.lessons.pretraining cifar10     or mnist, cifar100, svhn: torchvision fetches them into data/

It starts from random weights, and ends as data/teachers/<backbone>-<data set>.pt, to be given as weights=PATH.
"""

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from adlib import ROOT, find_output
from adlib.data.one_class import LabelledImages, read_cifar10, read_digits
from adlib.lessons import TEACHERS
from adlib.networks.layers import to_float
from adlib.networks.teacher import Teacher
from adlib.settings import BACKBONES, write, write_json
from adlib.training import draw_order, pick_device

# Training steps. Those of the digits are tuned, by their held-back half; the others take a CPU core some minutes.
PRETRAIN_STEPS = {"digits": 200, "mnist": 500, "svhn": 3000, "cifar10": 3000, "cifar100": 3000}
BATCH = 32
LR = 0.01       # AdamW's highest; it rises to that and falls again


def pretrain(dataset: str, backbone: str = "efficientnet_lite0", *, seed: int = 0, steps: int | None = None,
             image_size: int = 64, device: str = "auto") -> Path:
    """Train a backbone as a classifier, from random weights, and store it; a file that is there is kept.

    Beside the weights a .json says how it was trained and which share of held-back images it classifies rightly.

    Parameters
    ----------
    dataset : {"digits", "mnist", "svhn", "cifar10", "cifar100"}
    backbone : str
    seed : int
        Of the weights and the order of the images.
    steps : int, optional
        Of 32 images; the data set's own by default.
    image_size : int
        To which the small images are enlarged, bilinearly.
    device : str
        "auto" is CUDA where there is one.

    Returns
    -------
    Path
        Of a state dict of all the network, for `Teacher(backbone, weights=PATH)`.

    Raises
    ------
    ValueError
        An unknown data set or backbone.
    OSError
        The data set is neither here nor to be had, or the file cannot be written.
    FloatingPointError
        The training diverged; nothing is stored.
    """
    if dataset not in PRETRAIN_STEPS or backbone not in BACKBONES:
        raise ValueError(f"data set {dataset!r} must be one of {', '.join(PRETRAIN_STEPS)}, and backbone {backbone!r} "
                         f"one of {', '.join(BACKBONES)}")
    path = find_output(TEACHERS.format(backbone=backbone, dataset=dataset))
    if path.exists():
        print(f"already there: {path} (delete it to train it anew)", flush=True)
        return path
    began = time.perf_counter()
    device, steps = pick_device(device), steps or PRETRAIN_STEPS[dataset]
    (images, classes), held = (as_tensors(part, device) for part in read(dataset))
    net = classifier(backbone, int(classes.max()) + 1, seed=seed).to(device, memory_format=torch.channels_last)
    preprocess = make_preprocessor(backbone, image_size, device)
    train_classifier(net, preprocess, images, classes, steps=steps, seed=seed)
    right = accuracy(net, preprocess, *held)
    entry = {"dataset": dataset, "backbone": backbone, "seed": seed, "steps": steps, "batch": BATCH,
             "image_size": image_size, "n_train": len(images), "n_held_back": len(held[0]),
             "classes": int(classes.max()) + 1, "accuracy": right, "seconds": time.perf_counter() - began}
    path.parent.mkdir(parents=True, exist_ok=True)
    write_json(path.with_suffix(".json"), entry)
    write(path, lambda file: torch.save({name: x.cpu() for name, x in net.state_dict().items()}, file))
    print(f"{backbone} names {right:.1%} of {len(held[0]):,} held-back images of {dataset} rightly, guessing "
          f"{1 / entry['classes']:.0%}; {entry['seconds']:.0f} s: {path}", flush=True)
    return path


def classifier(backbone: str, classes: int, *, seed: int) -> nn.Module:
    """A backbone with random weights and a linear layer for so many classes; as STFPM's student starts."""
    import timm

    options = {} if backbone.startswith("efficientnet") else {"zero_init_last": False}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return timm.create_model(BACKBONES[backbone], num_classes=classes, **options)


def make_preprocessor(backbone: str, size: int, device: torch.device) -> Callable[[Tensor], Tensor]:
    """A function of (B, 3, H, W) uint8 images: enlarged, and normalised as the teacher will be given them."""
    teacher = Teacher(backbone, levels=(1,), weights="random").to(device)

    def preprocess(images: Tensor) -> Tensor:
        enlarged = F.interpolate(to_float(images), size=(size, size), mode="bilinear", align_corners=False)
        return teacher.normalise(enlarged).contiguous(memory_format=torch.channels_last)

    return preprocess


def train_classifier(net: nn.Module, preprocess: Callable, images: Tensor, classes: Tensor, *, steps: int,
                     seed: int) -> None:
    """Cross-entropy, AdamW, and a learning rate that rises and falls; `fit` knows no classes, so its barest form."""
    optimizer = torch.optim.AdamW(net.parameters(), lr=LR)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, LR, total_steps=steps)
    order = draw_order(len(images), steps * BATCH, seed=seed).view(steps, BATCH).to(images.device)
    net.train()
    for step, index in enumerate(order, 1):
        loss = F.cross_entropy(net(preprocess(images[index])), classes[index])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        if step % max(1, steps // 10) == 0 or step == steps:
            print_step(step, steps, loss.item())


def print_step(step: int, steps: int, loss: float) -> None:
    """Print how far it is; a loss that is not finite ends the training."""
    if not np.isfinite(loss):
        raise FloatingPointError(f"step {step} of {steps}: the loss is {loss}; take another seed")
    print(f"step {step}/{steps}, loss {loss:.3f}", flush=True)


@torch.inference_mode()
def accuracy(net: nn.Module, preprocess: Callable, images: Tensor, classes: Tensor) -> float:
    """Share of the images whose class has the largest logit, in eval mode."""
    net.eval()
    batches = zip(images.split(256), classes.split(256), strict=True)
    right = [(net(preprocess(x)).argmax(dim=1) == y).sum() for x, y in batches]
    return torch.stack(right).sum().item() / len(images)


# Data


def read(dataset: str) -> tuple[LabelledImages, LabelledImages]:
    """The training and the held-back part of a data set."""
    own = {"digits": read_digits, "cifar10": read_cifar10}
    return own[dataset]() if dataset in own else read_torchvision(dataset)


def read_torchvision(dataset: str) -> tuple[LabelledImages, LabelledImages]:
    """MNIST, SVHN or CIFAR-100 with their own test parts, downloaded into data/ first if they are not there."""
    from torchvision import datasets

    kind = {"mnist": datasets.MNIST, "svhn": datasets.SVHN, "cifar100": datasets.CIFAR100}[dataset]
    parts = [{"split": "train"}, {"split": "test"}] if dataset == "svhn" else [{"train": True}, {"train": False}]
    folder = ROOT / "data" / dataset
    try:
        found = [kind(folder, download=True, **part) for part in parts]
    except (OSError, RuntimeError) as error:
        raise OSError(f"{dataset} is not in {folder} and could not be fetched ({error}); connect to the network once, "
                      f"or take the digits, which need none") from error
    if dataset == "svhn":
        return tuple(LabelledImages(part.data.transpose(0, 2, 3, 1), np.asarray(part.labels)) for part in found)
    return tuple(LabelledImages(np.asarray(part.data), np.asarray(part.targets)) for part in found)


def as_tensors(part: LabelledImages, device: torch.device) -> tuple[Tensor, Tensor]:
    """(N, 3, H, W) uint8 images, grey ones three times the same, and (N,) classes."""
    images = torch.from_numpy(np.ascontiguousarray(part.images)).to(device)
    images = images.permute(0, 3, 1, 2) if images.ndim == 4 else images[:, None].expand(-1, 3, -1, -1)
    return images, torch.from_numpy(part.classes).long().to(device)


def pretrain_command(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m adlib.lessons.pretraining",
                                     description=pretrain.__doc__.splitlines()[0])
    parser.add_argument("dataset", choices=PRETRAIN_STEPS)
    parser.add_argument("--backbone", default="efficientnet_lite0", choices=BACKBONES)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--steps", type=int, help="the data set's own by default")
    parser.add_argument("--image-size", type=int, default=64)
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, ...")
    try:
        pretrain(**vars(parser.parse_args(arguments)))
    except (OSError, ValueError, FloatingPointError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(pretrain_command())

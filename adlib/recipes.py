"""How each method is trained, per budget: a list of stages for `adlib.training.fit`.

`budget` is "smoke", "demo" or "paper"; `steps`, `batch`, `lr` and `validate_every`, where given, stand instead of its.
"demo" has so many steps, and more where its epochs take more: with over 160 training images, or where these are cut.
"""

from collections.abc import Callable, Iterable
from functools import lru_cache, partial

import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn

from adlib import perlin
from adlib.data import Category
from adlib.losses import cosine_distance
from adlib.networks.destseg import DeSTSeg
from adlib.networks.masked_rd import MaskedRD, ReverseDistillation
from adlib.networks.stfpm import STFPM
from adlib.networks.teacher import Pyramid
from adlib.settings import IMAGE_SIZE
from adlib.training import Batch, Stage

# The rate of short budgets. Held constant, as in the papers, a batch-normalised student circles around good weights.
FALLING: dict = {"schedule": "cosine", "warmup": 0.1}
# How far short budgets move copies of the images: 4 of 128 px. Else a part that lies 2 px aside is an anomaly.
SHIFT: dict = {"shift": 1 / 32}
# A student starts from the mean per position where that is this much nearer to normal features than one vector is.
START_BELOW = 0.6


def stfpm(model: STFPM, budget: str = "demo", *, steps: int | None = None, batch: int | None = None,
          lr: float | None = None, validate_every: int | None = None, select: str = "loss") -> list[Stage]:
    """STFPM: SGD on the mean cosine distance; the weights of lowest validation error are kept.

    Steps, batch, rate and interval stand in for the budget's. The paper's rate is 0.4, held constant; the short budgets
    take larger steps to get as far, which a batch-normalised student tolerates. `select` says what is lowest on the
    validation images: the "loss" (the paper), or the mean of the fused "map" (the official code).
    """
    plan = {
        "smoke": {"steps": 30, "batch": 8, "validate_every": 10, "lr": 1.0, **FALLING, **SHIFT},
        "demo": {"steps": 500, "batch": 8, "validate_every": 20, "lr": 4.0, **FALLING, **SHIFT},
        "paper": {"epochs": 100, "batch": 32, "lr": 0.4},
    }[known(budget, IMAGE_SIZE)]
    plan = override(plan, steps=steps, batch=batch, validate_every=validate_every, lr=lr)
    validate = {
        "loss": lambda batch: model.loss(*model.features(batch.images, batch.features)),
        "map": lambda batch: model.fuse(model.level_maps(*model.features(batch.images, batch.features))).mean(),
    }[known(select, ("loss", "map"))]
    return [Stage(
        name="student", modules=[model.student],
        optimizer=sgd(model.student.parameters(), lr=plan.pop("lr")),
        loss=lambda batch, step, generator: model.loss(*model.features(batch.images, batch.features)),
        validate=validate, teacher=model.teacher, **plan)]


def destseg(model: DeSTSeg, textures: Tensor, budget: str = "demo", *, student_steps: int | None = None,
            segmentation_steps: int | None = None, batch: int | None = None, lr: float | None = None,
            rotation: str = "none", opacity: tuple[float, float] = (0.2, 1.0), probability: float = 1.0) -> list[Stage]:
    """DeSTSeg: first the student, then the segmentation network; the last weights of both are kept (official code).

    The paper trains with SGD. The short budgets take AdamW for both, whose steps do not depend on the scale of a loss
    that is summed over images and levels. Steps, batch and rate stand in for the budget's; with `paper` the rate is the
    student's, and the segmentation network has 0.1 and 0.01.

    Parameters
    ----------
    textures : (T, 3, S, S) uint8 tensor
        What synthetic anomalies are filled with.
    rotation : {"none", "slight", "full"}
        Of the normal images; `settings.ROTATION` has the official choice per MVTec AD category.
    """
    plan = {
        "smoke": {"student_steps": 20, "segmentation_steps": 20, "batch": 4, "lr": 0.003},
        "demo": {"student_steps": 640, "student_epochs": 32, "segmentation_steps": 280, "segmentation_epochs": 14,
                 "batch": 8, "lr": 0.003},
        "paper": {"student_steps": 1000, "segmentation_steps": 4000, "batch": 32, "lr": 0.4},
    }[known(budget, IMAGE_SIZE)]
    plan = override(plan, student_steps=student_steps, segmentation_steps=segmentation_steps, batch=batch, lr=lr)
    synthesise = synthesis(textures, rotation=rotation, opacity=opacity, probability=probability)

    def student_loss(batch: Batch, step: int, generator: Generator) -> Tensor:
        if not model.denoising:
            clean = perlin.rotate_images(batch.images, rotation, generator=generator)
            return model.student_loss(*model.features(clean, batch.features))
        clean, corrupted, _ = synthesise(batch.images, generator)
        return model.student_loss(*model.features(corrupted, batch.features or model.teacher(clean)))

    def segmentation_loss(batch: Batch, step: int, generator: Generator) -> Tensor:
        return model.segmentation_loss(*synthesise(batch.images, generator)[1:])

    paper, modules = budget == "paper", [model.student, model.start]
    optimize = sgd if paper else partial(torch.optim.AdamW, weight_decay=0.01)
    rate = {} if paper else FALLING | SHIFT
    student = Stage(
        name="student", modules=modules, optimizer=optimize(nn.ModuleList(modules).parameters(), lr=plan["lr"]),
        loss=student_loss, steps=plan["student_steps"], epochs=plan.get("student_epochs", 0), batch=plan["batch"],
        **rate, teacher=model.teacher if rotation == "none" else None)      # it sees the clean images, turned or not
    if (net := model.segmentation_net) is None:
        return [student]
    rates = (0.1, 0.01) if paper else (plan["lr"], plan["lr"])
    groups = [{"params": part.parameters(), "lr": lr} for part, lr in zip(net.children(), rates, strict=True)]
    segmentation = Stage(
        name="segmentation", modules=[net], optimizer=optimize(groups, lr=rates[0]),
        loss=segmentation_loss, steps=plan["segmentation_steps"], epochs=plan.get("segmentation_epochs", 0),
        batch=plan["batch"], **rate)
    return [student, segmentation]


def synthesis(textures: Tensor, *, rotation: str, opacity: tuple, probability: float) -> Callable:
    """A function of images and a generator: the images turned, these corrupted, and the (B, S, S) masks."""
    textures_on = lru_cache(lambda device: textures.to(device, memory_format=torch.channels_last))

    def synthesise(images: Tensor, generator: Generator) -> tuple[Tensor, Tensor, Tensor]:
        clean = perlin.rotate_images(images, rotation, generator=generator)
        corrupted, masks = perlin.corrupt(clean, textures_on(images.device), generator=generator, opacity=opacity,
                                          probability=probability)
        return clean, corrupted, masks[:, 0]

    return synthesise


def rd4ad(model: ReverseDistillation, budget: str = "demo", *, steps: int | None = None, batch: int | None = None,
          lr: float | None = None) -> list[Stage]:
    """RD4AD: Adam as in the official code, whose betas start at 0.5; the last weights are kept.

    Short budgets add noise of one rms per channel to what enters the bottleneck (UniAD's feature jittering): without
    it, few training images of a texture are learnt by heart.
    """
    plan = {
        "smoke": {"steps": 30, "batch": 8, "lr": 0.005, "jitter": 1.0, **FALLING, **SHIFT},
        "demo": {"steps": 300, "epochs": 15, "batch": 8, "lr": 0.005, "jitter": 1.0, **FALLING, **SHIFT},
        "paper": {"epochs": 200, "batch": 16, "lr": 0.005, "jitter": 0.0},
    }[known(budget, IMAGE_SIZE)]
    plan = override(plan, steps=steps, batch=batch, lr=lr)
    modules, jitter = [model.bottleneck, model.decoder, model.start], plan.pop("jitter")

    def loss(batch: Batch, step: int, generator: Generator) -> Tensor:
        t = batch.features or model.teacher(batch.images)
        noisy = [x + jitter * x.square().mean(dim=(0, 2, 3), keepdim=True).sqrt() *
                 torch.randn(x.shape, generator=generator, device=x.device, dtype=x.dtype) for x in t] if jitter else t
        return model.loss([t[k - 1] for k in model.levels], model.features(batch.images, noisy)[1])

    return [Stage(
        name="student", modules=modules,
        optimizer=torch.optim.Adam(nn.ModuleList(modules).parameters(), lr=plan.pop("lr"), betas=(0.5, 0.999)),
        loss=loss, teacher=model.teacher, **plan)]


def masked_rd(model: MaskedRD, budget: str = "demo", *, steps: int | None = None, batch: int | None = None,
              lr: float | None = None, validate_every: int | None = None) -> list[Stage]:
    """Masked reverse distillation: Adam; the weights of lowest validation loss, without masks, are kept.

    With `paper`, 20 epochs without a lower one end the training, and there is a weight decay: the paper has one and
    does not say how large.
    """
    short = {"weight_decay": 0.0, "betas": (0.5, 0.999), **FALLING, **SHIFT}
    plan = {
        "smoke": {"steps": 30, "batch": 8, "lr": 0.005, "validate_every": 10, **short},
        "demo": {"steps": 380, "epochs": 19, "batch": 8, "lr": 0.005, "validate_every": 20, **short},
        "paper": {"epochs": 200, "batch": 16, "lr": 0.001, "weight_decay": 1e-5, "betas": (0.9, 0.999), "patience": 20},
    }[known(budget, IMAGE_SIZE)]
    plan = override(plan, steps=steps, batch=batch, lr=lr, validate_every=validate_every)
    modules = [model.bottleneck, model.decoder, model.generators, model.start]
    adam = {name: plan.pop(name) for name in ("lr", "betas", "weight_decay")}

    def masked_loss(batch: Batch, step: int, generator: Generator) -> Tensor:
        return model.loss(*model.features(batch.images, batch.features, generator=generator))

    return [Stage(
        name="student", modules=modules,
        optimizer=torch.optim.Adam(nn.ModuleList(modules).parameters(), **adam),
        loss=masked_loss,
        validate=lambda batch: model.loss(*model.features(batch.images, batch.features)),
        teacher=model.teacher, **plan)]


@torch.no_grad()
def choose_start(model: DeSTSeg | ReverseDistillation, category: Category, start: str = "auto") -> str:
    """Let a student start from the mean per position of normal features where that helps, and say so.

    It helps where parts are aligned. On a texture the mean says nothing, and a student that starts there learns the
    images by heart. "auto" starts from it where `compare_means` is below `START_BELOW`. Returns "mean" or "none".
    """
    if known(start, ("auto", "mean", "none")) == "none":
        return start
    seen = [*model.teacher.pyramids(category.seen("train").draw())]
    if start == "auto":
        held = [*model.teacher.pyramids(category.seen("validation").draw())]
        share = compare_means(seen, held or seen)
        start = "mean" if share < START_BELOW and model.teacher.signed else "none"
        why = "" if share >= START_BELOW or start == "mean" else ", since this teacher has no negative features"
        print(f"mean per position: {share:.2f} of the distance of one vector, {START_BELOW} asked; the student starts "
              f"from {'it' if start == 'mean' else 'random weights'}{why}")
    if start == "mean":
        model.start_from_mean(seen)
    return start


def compare_means(train: Iterable[Pyramid], held: Iterable[Pyramid]) -> float:
    """How far the mean per position is from normal features it has not seen, as a share of how far one vector is.

    Of teacher features, (B, C_k, H_k, W_k) per level, batch after batch.
    """
    shares = []
    for seen, unseen in zip(zip(*train, strict=True), zip(*held, strict=True), strict=True):
        mean = F.normalize(torch.cat(seen).float(), dim=1, eps=1e-6).mean(dim=0, keepdim=True)      # (1, C, H, W)
        t = torch.cat(unseen)
        position, vector = (cosine_distance(m.expand_as(t), t).mean() for m in (mean, mean.mean((2, 3), keepdim=True)))
        shares.append(position / vector)
    return torch.stack(shares).mean().item()


def sgd(parameters, *, lr: float) -> torch.optim.SGD:
    """SGD of parameters, or of groups of them, with the momentum and decay of the STFPM and DeSTSeg codes."""
    return torch.optim.SGD(parameters, lr=lr, momentum=0.9, weight_decay=1e-4)


def known(value: str, choices) -> str:
    """The value, if it is one of the choices."""
    if value not in choices:
        raise ValueError(f"{value!r} is unknown; choose one of {', '.join(choices)}")
    return value


def override(plan: dict, **explicit) -> dict:
    """The budget's plan with the values that were given in place of its own; steps take the place of epochs."""
    given = {name: value for name, value in explicit.items() if value is not None}
    return {name: value for name, value in plan.items() if name.replace("epochs", "steps") not in given} | given

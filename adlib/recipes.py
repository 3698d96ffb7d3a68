"""How each method is trained, per budget: a list of stages for `adlib.training.fit`."""

from collections.abc import Callable
from functools import lru_cache

import torch
from torch import Generator, Tensor, nn

from adlib import perlin
from adlib.networks.destseg import DeSTSeg
from adlib.networks.masked_rd import MaskedRD, ReverseDistillation
from adlib.networks.stfpm import STFPM
from adlib.settings import IMAGE_SIZE
from adlib.training import Batch, Stage


def stfpm(model: STFPM, budget: str = "demo", *, steps: int | None = None, batch: int | None = None,
          lr: float | None = None, momentum: float = 0.9, weight_decay: float = 1e-4, validate_every: int | None = None,
          patience: int = 0, select: str = "loss") -> list[Stage]:
    """STFPM: SGD on the mean cosine distance, constant learning rate; the weights of lowest validation error are kept.

    Parameters
    ----------
    budget : {"smoke", "demo", "paper"}
    steps, batch, validate_every : int, optional
    lr : float, optional
        Instead of the budget's. The paper's learning rate is 0.4; the short budgets take larger steps to get as far,
        which a batch-normalised student tolerates.
    momentum, weight_decay : float
        The official code's.
    patience : int
        Validations without improvement before stopping; 0 never stops.
    select : {"loss", "map"}
        What is lowest on the validation images: the loss (the paper), or the mean of the fused map (the official code).
    """
    plan = {
        "smoke": {"steps": 30, "batch": 8, "validate_every": 10, "lr": 1.0},
        "demo": {"steps": 500, "batch": 8, "validate_every": 20, "lr": 4.0},
        "paper": {"epochs": 100, "batch": 32, "lr": 0.4},
    }[known(budget, IMAGE_SIZE)]
    plan = override(plan, steps=steps, batch=batch, validate_every=validate_every, lr=lr)
    validate = {
        "loss": lambda batch: model.loss(*model.features(batch.images, batch.features)),
        "map": lambda batch: model.fuse(model.level_maps(*model.features(batch.images, batch.features))).mean(),
    }[known(select, ("loss", "map"))]
    return [Stage(
        name="student", modules=[model.student],
        optimizer=sgd(model.student.parameters(), lr=plan.pop("lr"), momentum=momentum, weight_decay=weight_decay),
        loss=lambda batch, step, generator: model.loss(*model.features(batch.images, batch.features)),
        validate=validate, patience=patience, teacher=model.teacher, **plan)]


def destseg(model: DeSTSeg, textures: Tensor, budget: str = "demo", *, student_steps: int | None = None,
            segmentation_steps: int | None = None, batch: int | None = None, lr: float | None = None,
            rotation: str = "none", opacity: tuple[float, float] = (0.2, 1.0), probability: float = 1.0) -> list[Stage]:
    """DeSTSeg: SGD for the student, then for the segmentation network; the last weights are kept (official code).

    Parameters
    ----------
    textures : (T, 3, S, S) uint8 tensor
        What synthetic anomalies are filled with.
    budget : {"smoke", "demo", "paper"}
    student_steps, segmentation_steps, batch : int, optional
        Instead of the budget's.
    lr : float, optional
        Of the student, on a loss that is summed over the batch. The segmentation network's are 0.1 and 0.01.
    rotation : {"none", "slight", "full"}
        Of the normal images; `settings.ROTATION` has the official choice per MVTec AD category.
    opacity, probability
        Of `perlin.corrupt`.
    """
    plan = {
        "smoke": {"student_steps": 20, "segmentation_steps": 20, "batch": 4, "lr": 0.4},
        "demo": {"student_steps": 150, "segmentation_steps": 200, "batch": 16, "lr": 0.4},
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

    student = Stage(
        name="student", modules=[model.student], optimizer=sgd(model.student.parameters(), lr=plan["lr"]),
        loss=student_loss, steps=plan["student_steps"], batch=plan["batch"],
        teacher=model.teacher if rotation == "none" else None)      # it sees the clean images, turned or not
    if model.segmentation_net is None:
        return [student]
    net = model.segmentation_net
    res, head = net.children()
    groups = [{"params": res.parameters(), "lr": 0.1}, {"params": head.parameters(), "lr": 0.01}]
    segmentation = Stage(
        name="segmentation", modules=[net], optimizer=sgd(groups, lr=0.1),
        loss=segmentation_loss, steps=plan["segmentation_steps"], batch=plan["batch"])
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

    Parameters
    ----------
    budget : {"smoke", "demo", "paper"}
    steps, batch : int, optional
    lr : float, optional
        Instead of the budget's; the official code's is 0.005.
    """
    plan = {
        "smoke": {"steps": 30, "batch": 8, "lr": 0.005},
        "demo": {"steps": 300, "batch": 8, "lr": 0.005},
        "paper": {"epochs": 200, "batch": 16, "lr": 0.005},
    }[known(budget, IMAGE_SIZE)]
    plan = override(plan, steps=steps, batch=batch, lr=lr)
    modules = [model.bottleneck, model.decoder]
    return [Stage(
        name="student", modules=modules,
        optimizer=torch.optim.Adam(nn.ModuleList(modules).parameters(), lr=plan.pop("lr"), betas=(0.5, 0.999)),
        loss=lambda batch, step, generator: model.loss(*model.features(batch.images, batch.features)),
        teacher=model.teacher, **plan)]


def masked_rd(model: MaskedRD, budget: str = "demo", *, steps: int | None = None, batch: int | None = None,
              lr: float | None = None, weight_decay: float = 1e-5, validate_every: int | None = None,
              patience: int = 20) -> list[Stage]:
    """Masked reverse distillation: Adam, stopped early by the loss of the normal validation images without masks.

    Parameters
    ----------
    budget : {"smoke", "demo", "paper"}
    steps, batch, validate_every : int, optional
    lr : float, optional
        Instead of the budget's; the paper's is 0.001.
    weight_decay : float
        The paper has one and does not say how large.
    patience : int
        Validations without improvement before stopping, epochs with `paper`; 0 never stops.
    """
    plan = {
        "smoke": {"steps": 30, "batch": 8, "lr": 0.001, "validate_every": 10},
        "demo": {"steps": 600, "batch": 8, "lr": 0.005, "validate_every": 20},
        "paper": {"epochs": 200, "batch": 16, "lr": 0.001},
    }[known(budget, IMAGE_SIZE)]
    plan = override(plan, steps=steps, batch=batch, lr=lr, validate_every=validate_every)
    modules = [model.bottleneck, model.decoder, model.generators]

    def masked_loss(batch: Batch, step: int, generator: Generator) -> Tensor:
        return model.loss(*model.features(batch.images, batch.features, generator=generator))

    return [Stage(
        name="student", modules=modules,
        optimizer=torch.optim.Adam(nn.ModuleList(modules).parameters(), lr=plan.pop("lr"), weight_decay=weight_decay),
        loss=masked_loss,
        validate=lambda batch: model.loss(*model.features(batch.images, batch.features)),
        patience=patience, teacher=model.teacher, **plan)]


def sgd(parameters, *, lr: float, momentum: float = 0.9, weight_decay: float = 1e-4) -> torch.optim.SGD:
    """SGD of parameters, or of groups of them, with the momentum and decay of the STFPM and DeSTSeg codes."""
    return torch.optim.SGD(parameters, lr=lr, momentum=momentum, weight_decay=weight_decay)


def known(value: str, choices) -> str:
    """The value, if it is one of the choices."""
    if value not in choices:
        raise ValueError(f"{value!r} is unknown; choose one of {', '.join(choices)}")
    return value


def override(plan: dict, **explicit) -> dict:
    """The budget's plan with the values that were given in place of its own; steps take the place of epochs."""
    given = {name: value for name, value in explicit.items() if value is not None}
    return {name: value for name, value in plan.items() if name != "epochs" or "steps" not in given} | given

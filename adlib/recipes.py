"""How each method is trained, per budget: a list of stages for `adlib.training.fit`."""

import torch
from torch import nn

from adlib.networks.stfpm import STFPM
from adlib.parameters import IMAGE_SIZE
from adlib.training import Stage


def stfpm(
    model: STFPM,
    budget: str = "demo",
    *,
    steps: int | None = None,
    batch: int | None = None,
    lr: float | None = None,
    momentum: float = 0.9,
    weight_decay: float = 1e-4,
    validate_every: int | None = None,
    patience: int = 0,
    select: str = "loss",
) -> list[Stage]:
    """STFPM: SGD on the mean cosine distance, constant learning rate; the weights of lowest validation error are kept.

    Parameters
    ----------
    model : STFPM
    budget : {"smoke", "demo", "paper"}
    steps, batch, validate_every : int, optional
    lr : float, optional
        Instead of the budget's. The paper's learning rate is 0.4; the short budgets take larger steps to get as far,
        which a batch-normalised student bears.
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
        "loss": lambda batch: model.loss(batch.images, batch.features),
        "map": lambda batch: model.fuse(model.level_maps(batch.images, batch.features)).mean(),
    }[known(select, ("loss", "map"))]
    return [
        Stage(
            name="student",
            modules=[model.student],
            optimizer=sgd(model.student, lr=plan.pop("lr"), momentum=momentum, weight_decay=weight_decay),
            loss=lambda batch, step, generator: model.loss(batch.images, batch.features),
            validate=validate,
            patience=patience,
            teacher=model.teacher,
            **plan,
        )
    ]


def sgd(module: nn.Module, *, lr: float, momentum: float = 0.9, weight_decay: float = 1e-4) -> torch.optim.SGD:
    return torch.optim.SGD(module.parameters(), lr=lr, momentum=momentum, weight_decay=weight_decay)


def known(value: str, choices) -> str:
    """The value, if it is one of the choices."""
    if value not in choices:
        raise ValueError(f"{value!r} is unknown; choose one of {', '.join(choices)}")
    return value


def override(plan: dict, **explicit) -> dict:
    """The budget's plan with the values that were given in place of its own; steps take the place of epochs."""
    given = {name: value for name, value in explicit.items() if value is not None}
    return {name: value for name, value in plan.items() if name != "epochs" or "steps" not in given} | given

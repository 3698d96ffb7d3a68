"""A method with its defaults made of a category, as its lesson makes it, without the lesson."""

from collections.abc import Callable

from torch import nn

from adlib import demo, recipes
from adlib.data.category import Category
from adlib.networks.destseg import DeSTSeg
from adlib.networks.masked_rd import MaskedRD, ReverseDistillation
from adlib.networks.nearest import NearestPatch
from adlib.networks.stfpm import STFPM
from adlib.networks.teacher import Teacher
from adlib.settings import DESTSEG_WIDTHS
from adlib.training import History, fit, print_line

TRAINED = {"stfpm": (STFPM, recipes.stfpm), "destseg": (DeSTSeg, recipes.destseg),
           "rd4ad": (ReverseDistillation, recipes.rd4ad), "masked_rd": (MaskedRD, recipes.masked_rd)}
METHODS = ("nearest", *TRAINED)


def make_detector(method: str, teacher: Teacher, data: Category, *, budget: str = "demo", seed: int = 0,
                  steps: int | None = None, device: str = "auto",
                  log: Callable[[str], None] = print_line) -> tuple[nn.Module, History | None]:
    """A trained detector and its history; "nearest" has none, it only remembers.

    Parameters
    ----------
    method : str
        One of `METHODS`.
    steps : int, optional
        Of each stage, in place of the budget's.
    device, log
        Of `adlib.training.fit`.
    """
    if recipes.known(method, METHODS) == "nearest":
        return NearestPatch(teacher, seed=seed).fit(data.seen("train")), None
    network, recipe = TRAINED[method]
    model = network(teacher, seed=seed, **(DESTSEG_WIDTHS[budget] if method == "destseg" else {}))
    if method != "stfpm":
        recipes.choose_start(model, data, "none" if budget == "paper" else "auto")
    if method == "destseg":
        textures = demo.load_textures("auto", data.train.shape[-1])
        stages = recipe(model, textures, budget, student_steps=steps, segmentation_steps=steps)
    else:
        stages = recipe(model, budget, steps=steps)
    return model, fit(model, data, stages, seed=seed, device=device, log=log)

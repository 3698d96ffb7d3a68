"""Lessons 02, 04 and 06: two students trained for as long as no lesson can, to stand beside the reader's own.

    python -m adlib reference

A reference is the lesson's network and recipe with many more steps, what `PLANS` says besides, and, for DeSTSeg, the
student of lowest validation loss. Weights are stored in half precision, and beside them what was measured with them.
"""

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from scipy.stats import binomtest
from torch import Generator, Tensor, nn

from adlib import __version__, demo, metrics, recipes
from adlib.data import Category
from adlib.data.tiles import Tiles
from adlib.lessons import effects
from adlib.lessons.quotes import as_table, listing
from adlib.networks.destseg import DeSTSeg
from adlib.networks.masked_rd import MaskedRD
from adlib.networks.teacher import Teacher
from adlib.runs.cost import estimate_flops
from adlib.runs.record import describe_cpu, read_model, write_model
from adlib.settings import DESTSEG_WIDTHS, digest, find_input, find_output, portable, write, write_json
from adlib.training import COPIES, History, Stage, add_shifted, damp_borders, fit, predict, print_line

STORED = "notebooks/results/reference"
# What stands in place of the `demo` recipe's; `copies` of each image, all but one of them shifted, are 1 + 3 n.
PLANS = {
    "smoke": {"destseg": {"student_steps": 4, "segmentation_steps": 2, "copies": 4},
              "masked_rd": {"steps": 4, "copies": 7}},
    "reference": {"destseg": {"student_steps": 12000, "segmentation_steps": 1200, "lr": 0.006, "copies": 4},
                  "masked_rd": {"steps": 4000, "copies": 16}},
}
VALIDATE_EVERY = 200    # steps
NAME = "the reference"      # among the methods of a table
GAINS = {               # of two distances, what share the first is nearer to the teacher than the second
    ("own", "position"): "nearer than the mean per position by",
    ("repaired", "inside"): "the same inside corruptions",
    ("hidden", "position"): "the same behind masks",
    ("hidden", "twin_hidden"): "behind masks nearer than the twin without masks by",
}


@dataclass
class Reference:
    """A stored student, and what was written down when it was trained."""

    model: nn.Module            # in eval mode
    about: dict                 # method, category, steps, seconds, ..., metrics
    effects: pd.DataFrame       # of `measure_effects`, a row per level; its method is `NAME`


# To train


def train_reference(method: str, data: Category, *, plan: str = "reference", seed: int = 0,
                    checkpoints: str | Path = "runs/reference", target: str | Path = STORED,
                    log: Callable[[str], None] = print_line) -> Path:
    """Train a reference, measure it as it will be loaded, and store it.

    Parameters
    ----------
    method : {"destseg", "masked_rd"}
    data : Category
        Of square images, uncut.
    plan : {"reference", "smoke"}
    seed : int
        Of weights and training.
    checkpoints : path
        A training that was stopped goes on from here; they are deleted when it is stored.
    target : path
        Folder of the two files, `<method>_<category>.pt` and `.json`.

    Returns
    -------
    Path
        Of the weights.
    """
    steps = PLANS[plan][recipes.known(method, PLANS[plan])]
    textures = demo.load_textures("auto", data.train.shape[-1]) if method == "destseg" else None
    name, folder, target = f"{method}_{data.name}", find_output(checkpoints), find_output(target)
    copies = steps["copies"]
    build = partial(build_training, method, data, textures, steps, seed)
    model, stages = build()
    tflop = estimate_flops(stages, len(data.train), data.train.shape[-1]) / 1e12
    resumed, began = (folder / f"{name}.ckpt").exists(), time.process_time()
    history = fit_long(model, data, stages, copies, seed=seed, checkpoint=folder / f"{name}.ckpt", log=log)
    used = None if resumed else round(time.process_time() - began, 1)
    twins = {}
    if method == "masked_rd":
        log("its twin, without masks")
        twins[method], twin_stages = build(mask_ratio=0.0)
        fit_long(twins[method], data, twin_stages, copies, seed=seed, checkpoint=folder / f"{name}_twin.ckpt", log=log)
    path = target / f"{name}.pt"
    store_halved(path, model)
    stored = read_model(path).float()
    table = effects.measure_effects({method: stored}, data, textures=textures, twins=twins, seed=seed)
    write_json(path.with_suffix(".json"), {
        "method": method, "category": data.name, "images": digest([data.train, data.validation]), "plan": steps,
        "steps": len(history.losses), "best_step": history.best_step,
        "tflop": round(tflop, 2), "seconds": round(history.seconds, 1), "processor_seconds": used,
        "cpu": describe_cpu(), "threads": torch.get_num_threads(), "precision": history.precision,
        "adlib": __version__, "seed": seed, "image_size": data.train.shape[-1], "n_train": len(data.train),
        "n_validation": len(data.validation), "metrics": evaluate_model(stored, data),
        "noise_scores": score_noise(stored, data.train.shape[-1]), "validation": history.validation,
        "twin_metrics": evaluate_model(twins[method], data) if twins else None,
        "effects": json.loads(table.reset_index().round(6).to_json(orient="records")),
    })
    for file in folder.glob(f"{name}*.ckpt"):
        file.unlink()
    log(f"{path}: {path.stat().st_size / 2**20:.2f} MiB")
    return path


def build_training(method: str, data: Category, textures: Tensor | None, plan: dict, seed: int,
                   **options) -> tuple[nn.Module, list[Stage]]:
    """An untrained model of the lesson's kind and its stages; options go to its constructor."""
    numbers = {name: value for name, value in plan.items() if name != "copies"}
    if method == "masked_rd":
        model = MaskedRD(Teacher(), seed=seed, **options).eval()
        recipes.choose_start(model, data)
        return model, recipes.masked_rd(model, validate_every=VALIDATE_EVERY, **numbers)
    model = DeSTSeg(Teacher(), seed=seed, **DESTSEG_WIDTHS["demo"], **options).eval()    # what counts steps takes one
    recipes.choose_start(model, data)
    stages = recipes.destseg(model, textures, **numbers)
    corrupt = recipes.synthesis(textures, rotation="none", opacity=(0.2, 1.0), probability=1.0)

    def repairs(batch) -> Tensor:       # the loss per image on held-back images, always with the same corruptions
        corrupted = corrupt(batch.images, Generator(batch.images.device).manual_seed(seed))[1]
        return model.student_loss(*model.features(corrupted, batch.features)) / len(batch.images)

    stages[0].validate, stages[0].validate_every = repairs, VALIDATE_EVERY
    return model, stages


def fit_long(model: nn.Module, data: Category, stages: Sequence[Stage], copies: int, **options) -> History:
    """`fit` with so many copies of each image; borders are damped where the model can."""
    rounds = range(copies // (COPIES - 1))
    parts = [add_shifted(Tiles(data.train), stages[0].shift, seed=number).images for number in rounds]
    for stage in stages:
        stage.shift = 0.0
    images = torch.cat([data.train, *(part[len(data.train):] for part in parts)])
    history = fit(model, replace(data, train=images), stages, **options)
    damp_borders(model, data.validation)
    return history


def evaluate_model(model: nn.Module, data: Category) -> dict[str, float]:
    """The six numbers on the test images."""
    maps = predict(model, data.test)
    return metrics.evaluate(maps, data.masks, model.image_scores(maps, image_level=data.image_level), data.labels)


def score_noise(model: nn.Module, image_size: int) -> list[float]:
    """Scores of four images of noise, the same everywhere: what tells whether weights are those that were measured."""
    generator = Generator().manual_seed(0)
    noise = torch.randint(256, (4, 3, image_size, image_size), generator=generator, dtype=torch.uint8)
    return model.image_scores(predict(model, noise)).tolist()


def store_halved(path: Path, model: nn.Module) -> None:
    """A model as `write_model` writes it, its floating-point numbers in half precision."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_model(path, model)
    saved = torch.load(path, weights_only=True)
    saved["state"] = {name: x.half() if x.is_floating_point() else x for name, x in saved["state"].items()}
    write(path, lambda file: torch.save(saved, file))


# To read


def read_reference(method: str, category: str, *, folder: str | Path = STORED) -> Reference:
    """The stored reference of a method and a category.

    Raises
    ------
    FileNotFoundError
        There is none; says which there are.
    ValueError
        Its weights belong to another version of the network or of the teacher.
    """
    path = find_input(folder) / f"{method}_{category}.pt"
    if not (path.is_file() and path.with_suffix(".json").is_file()):
        there = ", ".join(sorted(x.stem for x in path.parent.glob("*.pt"))) or "none"
        raise FileNotFoundError(f"{portable(path.parent)} has none of {method} for {category} (there: {there}); train "
                                f"it: python -m adlib reference --methods {method} --category {category}")
    about = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
    try:
        model = read_model(path).float()
    except (AttributeError, KeyError, RuntimeError, TypeError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise ValueError(f"{portable(path)} was stored by adlib {about['adlib']} and does not fit this one, "
                         f"{__version__} ({reason}); train it anew: python -m adlib reference") from error
    table = pd.DataFrame(about.pop("effects")).assign(method=NAME).set_index(["method", "level"])
    return Reference(model, about, table.astype(float))


def load_reference(method: str, data: Category, backbone: str = "efficientnet_lite0", *,
                   folder: str | Path = STORED, log: Callable[[str], None] = print_line) -> Reference | None:
    """The reference that was trained on these very images, or None; either way one line says what there is."""
    try:
        reference = read_reference(method, data.name, folder=folder)
    except (FileNotFoundError, ValueError) as error:
        log(f"no reference here: {error}")
        return None
    if reference.about["images"] != digest([data.train, data.validation]):
        log(f"no reference here: that of {data.name} saw other images, of {reference.about['image_size']} px")
    elif reference.model.teacher.backbone != backbone:
        log(f"no reference here: its teacher is {reference.model.teacher.backbone}, not {backbone}")
    else:
        log(f"the reference of {method}: {describe_training(reference.about)}")
        return reference
    return None


def describe_training(about: dict) -> str:
    """What went into it: "13,200 steps, 4 copies of each image, as in the lesson, a learning rate of 0.006, 14 ..."."""
    seconds = about["processor_seconds"] or about["seconds"]
    copies = about["plan"]["copies"]
    shown = f"{copies} copies of each image, as in the lesson" if copies == COPIES else (
        f"{copies} copies of each image where the lesson has {COPIES}")
    rate = f", a learning rate of {about['plan']['lr']:g}" if "lr" in about["plan"] else ""
    return (f"{about['steps']:,} steps in all, {shown}{rate}, {seconds / 60:.0f} minutes on {about['threads']} "
            f"thread{'s' if about['threads'] > 1 else ''} of {about['cpu']}")


# To compare


def beside(table: pd.DataFrame, reference: Reference | None) -> pd.DataFrame:
    """The rows of `measure_effects`, and below them those of the reference at the same levels."""
    if reference is None:
        return table
    levels = reference.effects.index.get_level_values("level").isin(table.index.get_level_values("level"))
    return pd.concat([table, reference.effects[levels]])


def read_shares(table: pd.DataFrame) -> dict[str, pd.Series]:
    """What an effects table of one method says of it, in words: a share per level, NaN where it was not measured."""
    return {"two answers apart, of what the teacher's are": table["student_apart"] / table["teacher_apart"],
            **{words: 1 - table[near] / table[far] for (near, far), words in GAINS.items()}}


def say_alone(reference: Reference) -> str:
    """What is known of a reference of another category than the reader's, as Markdown."""
    table = reference.effects.droplevel("method")
    lines = ([words, *(f"{share:.0%}" for share in shares)] for words, shares in read_shares(table).items()
             if shares.notna().all())
    return "\n".join([
        f"Your images have no reference. This is of the one of *{reference.about['category']}*, on that category's "
        f"held-back images ({describe_training(reference.about)}).", "",
        as_table(["", *(f"level {k}" for k in table.index)], lines), "",
        "Whether a longer training would help on *your* images, this cannot say."])


def say_beside(table: pd.DataFrame, reference: Reference, *, steps: int) -> str:
    """What the longer training gave, as Markdown, from the table of one method that was trained for so many steps."""
    both = beside(table, reference)
    own, long = (both.xs(name, level="method") for name in both.index.unique("method"))
    mine, shares = read_shares(own), read_shares(long)
    lines = ([words, *("not measured" if np.isnan(x[k]) else f"{x[k]:.0%}" for k in own.index for x in (mine[words],
             known))] for words, known in shares.items() if known.notna().all())
    fails = [~effects.student_sees(x).drop(columns=[] if x["repaired"].notna().all() else "repairs")
             for x in (own, long)]
    student = reference.about["plan"].get("student_steps", reference.about["steps"])
    faster = " (And at another rate: what time alone does, this cannot say.)" if "lr" in reference.about["plan"] else ""
    return "\n".join([
        f"The reference is the lesson's network, its student trained {student / steps:.0f} times as long "
        f"({describe_training(reference.about)}).{faster}", "",
        as_table(["", *(f"level {k}: {whose}" for k in own.index for whose in ("yours", "reference"))], lines), "",
        f"*Differs* asks for a third in the first row. Your network fails {list_tests(fails[0])}; the reference fails "
        f"{list_tests(fails[1].reindex(columns=fails[0].columns))}."])


def list_tests(where: pd.DataFrame) -> str:
    """"*own* at level 1 and 2 and *differs* at level 3", of a table of bool with a row per level; "none"."""
    return listing(f"*{name}* at level {listing(levels.index[levels].astype(str))}"
                   for name, levels in where.items() if levels.any())


def find_alarms(reference: Reference, data: Category) -> np.ndarray:
    """(N,) bool: the test images that it flags, at the threshold that its own validation scores set."""
    scores, held = (reference.model.image_scores(predict(reference.model, images), image_level=data.image_level)
                    for images in (data.test, data.validation))
    return scores.numpy() >= metrics.image_threshold(held)


def say_mended(right: Mapping[str, tuple[np.ndarray, np.ndarray]]) -> str:
    """For each method, which verdicts of a run were right, (N,) bool, and which of its reference: what changed."""
    if not right:
        return "There is no reference for these runs, so nothing is said of a longer training."
    texts = []
    for method, (run, long) in right.items():
        mended, broken = int((~run & long).sum()), int((run & ~long).sum())
        text = (f"{method}: of {(~run).sum()} wrong verdicts the reference has {mended} right, of {run.sum()} right "
                f"ones {broken} wrong")
        if mended + broken:
            text += (f"; so unequal by chance (a sign test of {mended + broken} changes): "
                     f"{binomtest(mended, mended + broken).pvalue:.0%}")
        texts.append(f"{text}.")
    return " ".join(texts)

"""The five methods on one machine, as one JSON: python tests/gpu/report.py [FILE] [--device cuda] ...

Each method is trained on a demo category, as far as `--seconds` allows, and judged; what a whole training would take is
projected from the steps that were taken. Beside it the images per second of training and prediction, here and on the
CPU. It needs no Jupyter and no papermill: it is for machines that hold little more than PyTorch and timm.
"""

import argparse
import json
import math
import platform
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import redirect_stdout
from pathlib import Path

import numpy
import skimage
import timm
import torch
from torch import Tensor, nn

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))     # where adlib is not installed

import adlib
from adlib import metrics, recipes
from adlib.data import load_category
from adlib.demo import load_textures, make_set
from adlib.networks import STFPM, DeSTSeg, MaskedRD, NearestPatch, ReverseDistillation, Teacher
from adlib.settings import DESTSEG_WIDTHS, IMAGE_SIZE, peak_memory_mb
from adlib.training import Batch, History, Stage, count_steps, fit, pick_device, predict

METHODS = ("nearest", "stfpm", "destseg", "rd4ad", "masked_rd")
WARM_UP = {"cuda": 5, "cpu": 1}     # steps that are not timed: the first ones choose kernels and fill the allocator


def build(method: str, teacher: Teacher, textures: Tensor, *, budget: str = "smoke",
          device: str | torch.device = "cpu", steps: int | None = None) -> tuple[nn.Module, list[Stage]]:
    """A method's untrained network, on the device, and the stages of its training; `steps` is of each stage."""
    networks = {"nearest": NearestPatch, "stfpm": STFPM, "rd4ad": ReverseDistillation, "masked_rd": MaskedRD,
                "destseg": lambda teacher: DeSTSeg(teacher, **DESTSEG_WIDTHS[budget])}
    model = networks[method](teacher).to(device)
    if method == "nearest":
        return model, []
    if method == "destseg":
        return model, recipes.destseg(model, textures, budget, student_steps=steps, segmentation_steps=steps)
    return model, getattr(recipes, method)(model, budget, steps=steps)


def train(model: nn.Module, category, stages: list[Stage], *, device: str | torch.device, **options) -> History | None:
    """As the lessons do: `fit` for a network with stages, its own `fit` for the training-free baseline."""
    if not stages:
        model.to(device).fit(category.train)
        return None
    return fit(model, category, stages, device=str(device), log=lambda line: None, **options)


def synchronize(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


class StepClock:
    """Stands in for a stage's loss, and times the steps after the first ones."""

    def __init__(self, stage: Stage, device: torch.device):
        self.loss, self.device, self.begin, self.last = stage.loss, device, 0.0, 0
        stage.loss = self

    def __call__(self, batch: Batch, step: int, generator: torch.Generator) -> Tensor:
        if step == WARM_UP[self.device.type]:
            synchronize(self.device)
            self.begin = time.perf_counter()
        self.last = step
        return self.loss(batch, step, generator)

    def seconds_per_step(self) -> float:
        """Called when the training has ended: validation, if there is any, counts."""
        synchronize(self.device)
        return (time.perf_counter() - self.begin) / (self.last + 1 - WARM_UP[self.device.type])


Make = Callable[[str, torch.device, int | None], tuple[nn.Module, list[Stage]]]     # method, device, steps


def time_training(method: str, make: Make, category, device: torch.device, *, steps: int, precision: str) -> dict:
    """Images per second of each stage, which is trained alone, from new, for a few steps."""
    rates = {}
    for number in range(len(make(method, device, 1)[1])):
        model, stages = make(method, device, WARM_UP[device.type] + steps)
        stage = stages[number]
        clock = StepClock(stage, device)
        history = train(model, category, [stage], device=device, precision=precision)
        seconds, batch = clock.seconds_per_step(), count_steps(stage, len(category.train))[1]
        rates[stage.name] = {"images_per_second": round(batch / seconds, 1), "batch": batch,
                             "seconds_per_step": round(seconds, 6), "precision": history.precision[stage.name]}
    return rates


def time_prediction(model: nn.Module, images: Tensor, *, batches: int, size: int = 32) -> float:
    """Images per second of `predict`, from uint8 images to maps on the CPU, after one batch that does not count."""
    images = images[torch.arange(batches * size) % len(images)]
    predict(model, images[:size], batch=size)
    start = time.perf_counter()
    predict(model, images, batch=size)
    return round(len(images) / (time.perf_counter() - start), 1)


def judge(method: str, make: Make, category, device: torch.device, *, rates: dict, seconds: float,
          precision: str) -> dict:
    """Train for about so many seconds at most, and the six numbers; says how many steps that was, of how many."""
    model, stages = make(method, device, None)
    complete = {stage.name: count_steps(stage, len(category.train))[0] for stage in stages}
    projected = sum(steps * rates[name]["seconds_per_step"] for name, steps in complete.items())
    share = min(1.0, seconds / max(projected, 1e-9))
    for stage in stages:
        stage.steps, stage.epochs = max(1, round(share * complete[stage.name])), 0
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    start = time.perf_counter()
    history = train(model, category, stages, device=device, precision=precision)
    synchronize(device)
    trained = time.perf_counter() - start
    peak = peak_memory_mb(device)
    maps = predict(model, category.test)
    numbers = metrics.evaluate(maps, category.masks, model.image_scores(maps), category.labels)
    return {
        "complete": share == 1, "steps_of_complete_training": complete,
        "steps_at_most": {stage.name: stage.steps for stage in stages}, "ended_at_step": history and history.ends,
        "seconds": round(trained, 2), "seconds_of_complete_training": round(projected, 1),
        "peak_memory_mb": round(peak),
        "metrics": {name: None if math.isnan(value) else round(float(value), 4) for name, value in numbers.items()},
        "training": rates, "predicted_images_per_second": time_prediction(model, category.test, batches=4),
    }


def describe_machine(device: torch.device) -> dict:
    cuda = device.type == "cuda"
    card = torch.cuda.get_device_properties(device) if cuda else None
    return {
        "device": str(device), "card": card and card.name, "card_memory_gb": card and round(card.total_memory / 2**30),
        "cpu": torch.backends.cpu.get_cpu_capability(), "threads": torch.get_num_threads(),
        "versions": {"adlib": adlib.__version__, "python": platform.python_version(), "torch": torch.__version__,
                     "cuda": torch.version.cuda if cuda else None,
                     "cudnn": torch.backends.cudnn.version() if cuda else None, "timm": timm.__version__,
                     "numpy": numpy.__version__, "scikit-image": skimage.__version__},
    }


def report(options: argparse.Namespace) -> dict:
    """Everything, method after method."""
    start, device, cpu = time.perf_counter(), pick_device(options.device), torch.device("cpu")
    size = options.image_size or IMAGE_SIZE[options.budget]
    with tempfile.TemporaryDirectory() as folder:
        root = make_set(Path(folder) / "demo", 0, [options.category])
        category = load_category(root, options.category, image_size=size)
    textures = load_textures("auto", size)

    def make(method: str, device: torch.device, steps: int | None) -> tuple[nn.Module, list[Stage]]:
        teacher = Teacher(options.backbone, weights=options.weights)
        return build(method, teacher, textures, budget=options.budget, device=device, steps=steps)

    found = {
        **describe_machine(device), "category": options.category, "train": len(category.train),
        "test": len(category.test), "budget": options.budget, "image_size": size, "backbone": options.backbone,
        "weights": options.weights, "precision": options.precision, "seconds_of_training_at_most": options.seconds,
        "methods": {},
    }
    for method in options.methods:
        rates = time_training(method, make, category, device, steps=options.timed_steps, precision=options.precision)
        entry = judge(method, make, category, device, rates=rates, seconds=options.seconds,
                      precision=options.precision)
        if device != cpu and options.cpu_steps:
            rates = time_training(method, make, category, cpu, steps=options.cpu_steps, precision=options.precision)
            model, stages = make(method, cpu, 1)
            if not stages:
                train(model, category, stages, device=cpu)
            entry["on_cpu"] = {"training": rates,
                               "predicted_images_per_second": time_prediction(model, category.test, batches=1)}
        found["methods"][method] = entry
        print(f"{time.perf_counter() - start:4.0f} s  {method}: {json.dumps(entry)}", file=sys.stderr, flush=True)
    return found | {"seconds": round(time.perf_counter() - start, 1)}


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", nargs="?", type=Path, help="where the JSON is written besides standard output")
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=METHODS)
    parser.add_argument("--category", default="circuit")
    parser.add_argument("--budget", default="paper", choices=IMAGE_SIZE)
    parser.add_argument("--image-size", type=int, help="the budget's, if it is left out")
    parser.add_argument("--backbone", default="efficientnet_lite0")
    parser.add_argument("--weights", default="auto")
    parser.add_argument("--precision", default="auto")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--seconds", type=float, default=40, help="of training, per method, at most")
    parser.add_argument("--timed-steps", type=int, default=20)
    parser.add_argument("--cpu-steps", type=int, default=2, help="timed on the CPU for comparison; 0 leaves it out")
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> None:
    options = parse(arguments)
    with redirect_stdout(sys.stderr):       # standard output holds the JSON and nothing else
        found = json.dumps(report(options), indent=1, allow_nan=False)
    if options.file:
        options.file.write_text(found + "\n", encoding="utf-8")
    print(found)


if __name__ == "__main__":
    main()

"""How much `adlib.training.fit` costs beside bare arithmetic: python tests/bench/bench_training.py [rounds]

One training step of STFPM, resnet18, 256 px, batch 32, at a CPU's best precision; the contestants take turns, so that
whatever else the machine does meets all of them. Ratios travel between machines better than seconds.
"""

import sys
import time

import torch
from torch.utils.data import DataLoader, Dataset

from adlib import recipes
from adlib.data import Category
from adlib.networks.stfpm import STFPM
from adlib.networks.teacher import Teacher
from adlib.settings import peak_memory_mb
from adlib.training import fit, pick_precision

SIZE, BATCH, STEPS = 256, 32, 4


def make_category(n: int = BATCH) -> Category:
    images = torch.randint(0, 256, (n, 3, SIZE, SIZE), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    return Category("random", train=images, validation=images[:0], test=images[:0], masks=None, labels=torch.empty(0),
                    defects=[], paths=[])


def make_model() -> STFPM:
    return STFPM(Teacher("resnet18", weights="random", seed=1), seed=0)


def timed(act) -> float:
    start = time.perf_counter()
    act()
    return time.perf_counter() - start


class Bare:
    """A step without a loop: student forward, backward with a given gradient or the loss, optimizer; features known."""

    def __init__(self, category, precision: str, *, loss: bool):
        self.model = make_model().to(memory_format=torch.channels_last).train()
        self.optimizer = recipes.sgd(self.model.student.parameters(), lr=1e-9)
        self.precision, self.loss = precision, loss
        self.images = category.train.to(memory_format=torch.channels_last).float() / 255
        with self.autocast():
            self.features = self.model.teacher(self.images)

    def autocast(self):
        return torch.autocast("cpu", torch.bfloat16, enabled=self.precision == "bf16")

    def step(self) -> None:
        with self.autocast():
            if self.loss:
                outputs = [self.model.loss(*self.model.features(self.images, self.features))]
            else:
                outputs = self.model.student(self.model.teacher.normalise(self.images))
        self.optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(outputs, None if self.loss else self.features)
        self.optimizer.step()


class Plain:
    """The loop as it is often written: float32, contiguous, a loader with workers, the teacher run at each step."""

    def __init__(self, category):
        class Images(Dataset):
            def __len__(self):
                return STEPS * BATCH

            def __getitem__(self, i):
                return category.train[i % len(category.train)].float() / 255

        self.model, self.loader = make_model().train(), DataLoader(Images(), BATCH, shuffle=True, num_workers=2)
        self.optimizer = recipes.sgd(self.model.student.parameters(), lr=0.4)

    def steps(self) -> None:
        for images in self.loader:
            loss = self.model.loss(*self.model.features(images))
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()
            loss.item()


def fit_seconds(category, **options) -> float:
    """Seconds per step within `fit`: between its second and its last step, so without preparation."""
    model, at = make_model(), []
    stage, = recipes.stfpm(model, budget="paper", steps=STEPS + 1)
    loss = stage.loss
    stage.loss = lambda *given: at.append(time.perf_counter()) or loss(*given)
    fit(model, category, [stage], device="cpu", log=lambda line: None, **options)
    return (at[-1] - at[1]) / (STEPS - 1)


def main(rounds: int = 3):
    category = make_category()
    precision = pick_precision("auto", [make_model().student], torch.device("cpu"), SIZE)
    bare, with_loss = (Bare(category, precision, loss=loss) for loss in (False, True))
    plain = Plain(category)
    contestants = {
        "bare": lambda: timed(lambda: [bare.step() for _ in range(STEPS)]) / STEPS,
        "bare with loss": lambda: timed(lambda: [with_loss.step() for _ in range(STEPS)]) / STEPS,
        "fit": lambda: fit_seconds(category),
        "plain": lambda: timed(plain.steps) / STEPS,
    }
    times = {name: [] for name in contestants}
    bare.step()
    for _ in range(rounds):
        for name, act in contestants.items():
            times[name].append(act())
        print("  ".join(f"{name} {t[-1]:.2f} s" for name, t in times.items()), flush=True)
    best = {name: min(t) for name, t in times.items()}
    print(f"resnet18, {SIZE} px, batch {BATCH}, {precision}, {torch.get_num_threads()} threads, "
          f"{peak_memory_mb() / 1024:.1f} GB at the peak of all")
    print(f"fit / bare            {best['fit'] / best['bare']:.2f}   (at most 1.15)")
    print(f"fit / bare with loss  {best['fit'] / best['bare with loss']:.2f}   (the loop alone)")
    print(f"plain / fit           {best['plain'] / best['fit']:.2f}   (at least 2.5)")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))

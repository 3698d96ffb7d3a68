"""The one loop through which every network passes."""

import hashlib
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import chain
from pathlib import Path

import torch
from torch import Generator, Tensor, nn
from torch.optim import Optimizer

from adlib.data.category import Category
from adlib.data.tiles import Tiles
from adlib.networks.layers import BorderDamping, exact_convolutions, to_float
from adlib.settings import MAP_SIZE, cpu_has_bf16, digest, keep_freed_memory, peak_memory_mb, write

CHECK_EVERY = 20        # steps between looks at the losses: each look makes the processor wait for the device
COPIES = 4              # of each training image, where a stage shifts them: one as it is
DEPTHWISE_BF16 = 192    # px, from where bf16 on a CPU is faster for depthwise convolutions too
print_line = partial(print, flush=True)


@dataclass
class Batch:
    """What a loss sees."""

    images: Tensor                          # (B, 3, S, S) float in [0, 1], on the device, channels_last
    features: list[Tensor] | None = None    # of `Stage.teacher` for these images; None where they are not cached


@dataclass
class Stage:
    """One phase of a training: plain data, built by `adlib.recipes`, run by `fit`."""

    name: str
    modules: list[nn.Module] = field(repr=False)                            # in train mode, all others in eval mode
    optimizer: Optimizer = field(repr=False)
    loss: Callable[[Batch, int, Generator], Tensor] = field(repr=False)     # of a batch and the step of this stage
    steps: int = 0                                                          # at least
    epochs: int = 0                                                         # at least: many images take more steps
    batch: int = 32                                                         # at most the training set, at least two
    validate: Callable[[Batch], Tensor] | None = field(default=None, repr=False)    # its lowest mean's weights are kept
    validate_every: int = 0                                                 # steps, of `steps`; 0 is once per epoch
    patience: int = 0                                                       # validations without gain; 0 never stops
    teacher: nn.Module | None = field(default=None, repr=False)             # its features of plain images are cached
    schedule: str = "constant"                                              # of the learning rate; "cosine" falls to 0
    warmup: float = 0.0                                                     # share of the steps in which it rises
    shift: float = 0.0                                                      # copies are moved by up to this much of S


@dataclass
class History:
    """What a training leaves. Steps count over all stages, from 1; 0 is before training."""

    losses: list[float] = field(default_factory=list)                       # of each step
    validation: list[tuple[int, float]] = field(default_factory=list)       # (step, loss)
    ends: dict[str, int] = field(default_factory=dict)                      # last step of each stage
    best_step: dict[str, int] = field(default_factory=dict)                 # step whose weights each stage kept
    snapshots: dict[int, Tensor] = field(default_factory=dict)              # step -> (M, 256, 256) maps
    precision: dict[str, str] = field(default_factory=dict)                 # of each stage: "float32" or "bf16"
    seconds: float = 0.0                                                    # over all interruptions


def fit(model: nn.Module, category: Category, stages: Sequence[Stage], *, seed: int = 0, precision: str = "auto",
        device: str = "auto", checkpoint: str | Path | None = None, checkpoint_seconds: float = 30.0,
        snapshots: Sequence[int] = (), snapshot_images: Tensor | Tiles | None = None, cache_gb: float = 2.0,
        log: Callable[[str], None] = print_line) -> History:
    """Train a model, stage after stage; it ends in eval mode, on the device, with the weights that each stage kept.

    The same seed gives bitwise the same weights on the same machine, versions and number of threads. So does a
    training that was killed and started again with a model built alike, the same arguments and the same checkpoint.

    Parameters
    ----------
    model : nn.Module
    category : Category
        Its training and validation images are used; where they are cut, a batch is drawn from the tiles of all, and
        as many validation tiles as images, at least 32, are looked at: all of them would cost up to 40 % of a step.
    stages : sequence of Stage
    seed : int
        Of the batches' order and of the generator that losses draw from.
    precision : {"auto", "float32", "bf16"}
        bf16 is autocast; "auto" is what `pick_precision` picks for each stage.
    device : str
        "auto" is CUDA where there is one.
    checkpoint : path, optional
        Written every `checkpoint_seconds` and after each stage; read, if it is there, before training.
    snapshots, snapshot_images : sequence of int, (M, 3, S, S) uint8 tensor
        Steps after which the maps of these images are put into the history.
    cache_gb : float
        Teacher features that take more than this are computed anew for each batch.
    log : callable
        Takes each line of progress.

    Raises
    ------
    FloatingPointError
        A loss or weight is not finite; names the step. The checkpoint stays as it was.
    ValueError
        The checkpoint belongs to another training; says what differs.
    """
    keep_freed_memory()
    on, held = pick_device(device), category.seen("validation")
    model.to(on, memory_format=torch.channels_last)     # pyright: ignore[reportCallIssue] torch declares no such form
    state = TrainingState(
        model=model, stages=list(stages), seed=seed, generator=torch.Generator(on).manual_seed(seed),
        train=category.seen("train").to(on), validation=Tiles(held.draw(max(len(held.images), 32))).to(on),
        precisions=[pick_precision(precision, stage.modules, on, category.train.shape[-1]) for stage in stages],
        snapshots=sorted(snapshots), snapshot_images=snapshot_images,
        checkpoint=Path(checkpoint) if checkpoint else None, checkpoint_seconds=checkpoint_seconds, log=log)
    if state.checkpoint:
        state.identity = identify(state)
        load_checkpoint(state)
    with exact_convolutions():
        while state.stage < len(state.stages):
            train_stage(state, cache_gb * 2**30)
    model.eval()
    return state.history


@dataclass
class TrainingState:
    """A training under way: what `fit` was given, made ready, and how far it has come."""

    model: nn.Module
    stages: list[Stage]
    train: Tiles
    validation: Tiles
    seed: int
    generator: Generator
    precisions: list[str]
    snapshots: list[int]
    snapshot_images: Tensor | Tiles | None
    checkpoint: Path | None
    checkpoint_seconds: float
    log: Callable[[str], None]
    identity: dict[str, str] = field(default_factory=dict)
    stage: int = 0
    step: int = 0                           # of this stage
    best: dict | None = None                # step, loss and weights of this stage's lowest validation loss
    history: History = field(default_factory=History)
    counted: float = field(default_factory=time.perf_counter)       # until when history.seconds counts
    saved: float = field(default_factory=time.perf_counter)

    @property
    def now(self) -> Stage:
        return self.stages[self.stage]

    @property
    def trained(self) -> nn.ModuleList:
        """The modules that any stage trains, once each."""
        return nn.ModuleList(dict.fromkeys(module for stage in self.stages for module in stage.modules))

    def autocast(self) -> torch.autocast:
        enabled = self.precisions[self.stage] == "bf16"
        return torch.autocast(self.generator.device.type, torch.bfloat16, enabled=enabled)


def train_stage(state: TrainingState, cache_bytes: float) -> None:
    """Take the steps of the present stage that are left, then keep its best weights."""
    steps, size = count_steps(state.now, len(state.train))
    every = state.now.validate_every * (steps // (state.now.steps or steps)) or max(1, round(len(state.train) / size))
    seed = state.seed + 10007 * (state.stage + 1)
    images = add_shifted(state.train, state.now.shift, seed=seed)
    order = draw_order(len(images), steps * size, seed=seed).view(steps, size).to(images.images.device)
    features, held_features = cache_features(state, images, cache_bytes)
    reporter, pending = ProgressReporter(state.step, steps), []
    take_snapshot(state)
    set_modes(state)
    while state.step < steps:
        for group in state.now.optimizer.param_groups:
            group["lr"] = group.setdefault("initial_lr", group["lr"]) * lr_factor(state.now, state.step, steps)
        pending.append(take_step(state, select_batch(images, features, order[state.step])))
        state.step += 1
        done, last = len(state.history.losses) + len(pending), state.step == steps
        validate = state.now.validate if len(state.validation) and (state.step % every == 0 or last) else None
        save = state.checkpoint and time.perf_counter() - state.saved >= state.checkpoint_seconds
        report = reporter.due(state.step)
        if validate or save or report or last or done in state.snapshots or len(pending) == CHECK_EVERY:
            check_losses(state, pending)
            take_snapshot(state)
        if validate and out_of_patience(state, validation_loss(state, validate, held_features, size)):
            break
        if save:
            save_checkpoint(state)
        if report:
            reporter.report(state)
    end_stage(state)


def take_step(state: TrainingState, batch: Batch) -> Tensor:
    """One step of the optimizer; the loss stays on the device, so that nothing waits for it."""
    with state.autocast():
        loss = state.now.loss(batch, state.step, state.generator)
    state.now.optimizer.zero_grad(set_to_none=True)
    loss.backward()
    state.now.optimizer.step()
    return loss.detach()


def lr_factor(stage: Stage, step: int, steps: int) -> float:
    """What the learning rate is multiplied by at a step, counted from 0: a linear rise, then the stage's schedule."""
    rise = round(stage.warmup * steps)
    if step < rise:
        return (step + 1) / rise
    return 1.0 if stage.schedule == "constant" else (1 + math.cos(math.pi * (step - rise) / (steps - rise))) / 2


def check_losses(state: TrainingState, pending: list[Tensor]) -> None:
    """Move pending losses into the history; stop if one, or a weight, is not finite."""
    values, before = torch.stack(pending).tolist(), len(state.history.losses)
    for step, value in enumerate(values, before + 1):
        if not math.isfinite(value):
            raise_not_finite(state, step, f"the loss is {value}")
    if not torch.stack([p.isfinite().all() for m in state.now.modules for p in m.parameters()]).all():
        raise_not_finite(state, before + len(values), "a weight is not finite")
    state.history.losses += values
    pending.clear()


def raise_not_finite(state: TrainingState, step: int, what: str) -> None:
    kept = state.checkpoint and state.checkpoint.exists()
    raise FloatingPointError(
        f"stage {state.now.name!r}, step {step}: {what}; lower the learning rate (now "
        f"{state.now.optimizer.param_groups[0]['lr']}) or set precision='float32'"
        + (f"; the last good checkpoint is kept in {state.checkpoint}" if kept else ""))


@torch.no_grad()
def validation_loss(state: TrainingState, validate: Callable[[Batch], Tensor], features: list[Tensor] | None,
                    size: int) -> float:
    """Mean over the validation images of what the stage validates, everything in eval mode."""
    state.model.eval()
    total = torch.zeros((), device=state.generator.device)
    for index in torch.arange(len(state.validation), device=total.device).split(size):
        with state.autocast():
            total += validate(select_batch(state.validation, features, index)) * len(index)
    set_modes(state)
    return total.item() / len(state.validation)


def out_of_patience(state: TrainingState, loss: float) -> bool:
    """Note a validation loss, keep the weights if it is the lowest so far, and say whether to stop."""
    step = len(state.history.losses)
    if not math.isfinite(loss):
        raise_not_finite(state, step, f"the validation loss is {loss}")
    state.history.validation.append((step, loss))
    if state.best is None or loss < state.best["loss"]:
        weights = {k: v.clone() for k, v in nn.ModuleList(state.now.modules).state_dict().items()}
        state.best = {"step": step, "loss": loss, "weights": weights}
    waited = sum(s > state.best["step"] for s, _ in state.history.validation)
    return 0 < state.now.patience <= waited


def end_stage(state: TrainingState) -> None:
    """Load the weights of the lowest validation loss, where the stage has one, and move on."""
    name, last = state.now.name, len(state.history.losses)
    state.history.ends[name] = state.history.best_step[name] = last
    state.history.precision[name] = state.precisions[state.stage]
    if state.best:
        nn.ModuleList(state.now.modules).load_state_dict(state.best["weights"])
        state.history.best_step[name] = state.best["step"]
    state.stage, state.step, state.best = state.stage + 1, 0, None
    save_checkpoint(state)
    state.log(f"{name}: done at step {last}, {latest_losses(state.history)}, kept the weights of step "
            f"{state.history.best_step[name]}, {state.history.seconds:.0f} s")


def take_snapshot(state: TrainingState) -> None:
    step = len(state.history.losses)
    if step in state.snapshots and step not in state.history.snapshots and state.snapshot_images is not None:
        state.history.snapshots[step] = predict(state.model, state.snapshot_images)
        set_modes(state)


def set_modes(state: TrainingState) -> None:
    """Train mode for what the stage trains, eval mode for the rest: its batch statistics must not move."""
    state.model.eval()
    for module in state.now.modules:
        module.train()


# Batches


def count_steps(stage: Stage, n: int) -> tuple[int, int]:
    """Steps and batch size of a stage with n training images."""
    size = max(2, min(stage.batch, n))      # a batch norm over a 1 x 1 map needs two images, be it the same one twice
    steps = max(stage.steps, math.ceil(stage.epochs * n / size))
    if steps < 1:
        raise ValueError(f"stage {stage.name!r} has neither steps nor epochs; give one of them")
    if stage.schedule not in ("constant", "cosine") or not (0 <= stage.warmup < 1 and 0 <= stage.shift < 1):
        raise ValueError(f"stage {stage.name!r}: schedule={stage.schedule!r} must be 'constant' or 'cosine', and "
                         f"warmup={stage.warmup} and shift={stage.shift} in [0, 1)")
    return steps, size


def draw_order(n: int, count: int, *, seed: int) -> Tensor:
    """Indices of `count` images: one permutation of all after another, so that a batch may reach over two epochs.

    >>> order = draw_order(3, 5, seed=0)
    >>> order[:3].sort().values, len(order)
    (tensor([0, 1, 2]), 5)
    """
    generator = Generator().manual_seed(seed)
    return torch.cat([torch.randperm(n, generator=generator) for _ in range(math.ceil(count / n))])[:count]


def add_shifted(tiles: Tiles, share: float, *, seed: int) -> Tiles:
    """The images, and behind them `COPIES` - 1 of each, moved by up to that share of S and reflected at the borders.

    No paper has it. Parts never lie quite where they lay. Images that are cut stay as they are: each tile is elsewhere.
    """
    size, n = tiles.images.shape[-1], len(tiles)
    most = round(share * size)
    if not most or tiles.each > 1:
        return tiles
    images, generator = tiles.images, Generator().manual_seed(seed)
    at = (torch.arange(size) + torch.randint(-most, most + 1, (2, (COPIES - 1) * n, 1), generator=generator)).abs()
    rows, columns = torch.minimum(at, 2 * (size - 1) - at).to(images.device)                        # (3 N, S) each
    number = torch.arange(len(rows), device=images.device)[:, None, None] % n
    moved = images.permute(0, 2, 3, 1)[number, rows[:, :, None], columns[:, None, :]]               # (3 N, S, S, 3)
    return Tiles(torch.cat([images, moved.permute(0, 3, 1, 2)]), tiles.size)


def select_batch(images: Tiles, features: list[Tensor] | None, index: Tensor) -> Batch:
    return Batch(to_float(images[index]), features and [f[index] for f in features])    # [] keeps channels_last


@torch.no_grad()
def cache_features(state: TrainingState, train: Tiles, limit: float) -> list[list[Tensor] | None]:
    """Teacher features of these and of the validation images; None each if they would exceed `limit` bytes."""
    if state.now.teacher is None:
        return [None, None]
    n, chunks = len(train), []
    for chunk in chain(train.split(32), state.validation.split(32) if len(state.validation) else ()):
        with state.autocast():
            chunks.append(state.now.teacher(to_float(chunk)))
        if sum(f.nbytes for f in chunks[0]) / len(chunks[0][0]) * (n + len(state.validation)) > limit:
            return [None, None]
    levels = [torch.cat(level) for level in zip(*chunks, strict=True)]
    return [[f[:n] for f in levels], [f[n:] for f in levels]]


# Device, precision, time


def pick_device(device: str) -> torch.device:
    return torch.device(("cuda" if torch.cuda.is_available() else "cpu") if device == "auto" else device)


def pick_precision(precision: str, modules: Sequence[nn.Module], device: torch.device, image_size: int) -> str:
    """What trains these modules fastest, unless it is asked for: "float32" or "bf16".

    bf16 wins on CUDA, and on a CPU with bf16 instructions except for depthwise convolutions of small images.
    """
    if precision not in ("auto", "float32", "bf16"):
        raise ValueError(f"precision={precision!r} must be 'auto', 'float32' or 'bf16'")
    if precision != "auto":
        return precision
    if device.type != "cpu":
        return "bf16" if device.type == "cuda" and torch.cuda.is_bf16_supported(False) else "float32"
    convolutions = [m for module in modules for m in module.modules() if isinstance(m, nn.Conv2d)]
    depthwise = any(m.groups == m.in_channels > 1 for m in convolutions)
    return "bf16" if cpu_has_bf16() and (image_size >= DEPTHWISE_BF16 or not depthwise) else "float32"


def damp_borders(model: nn.Module, images: Tensor | Tiles) -> None:
    """Let a model damp what shines at the border of its maps of these (N, 3, S, S) normal images, see `BorderDamping`.

    Where images are cut, the borders are those of tiles, whose maps are damped before they are blended. Without images,
    or in a model without `damping`, nothing changes.
    """
    damping = getattr(model, "damping", None)
    if len(images) and isinstance(damping, BorderDamping):
        damping.gain.fill_(1)
        damping.offset.zero_()
        damping.fit(predict(model, images.draw() if isinstance(images, Tiles) else images))


class ProgressReporter:
    """Tells how long a stage will take, then how far it is: about every five seconds, at most once per percent."""

    def __init__(self, first: int, steps: int):
        self.first, self.steps, self.reported = first, steps, (first, time.perf_counter())

    def due(self, step: int) -> bool:
        if step - self.first in (2, 5):         # two steps warm up, three are timed
            return True
        since = time.perf_counter() - self.reported[1]
        return step - self.first > 5 and since >= 5 and step - self.reported[0] >= self.steps / 100

    def report(self, state: TrainingState) -> None:
        step, now, name = state.step, time.perf_counter(), state.now.name
        left = (now - self.reported[1]) / (step - self.reported[0]) * (self.steps - step)
        if step - self.first == 5 and left > 20:
            device, precision = state.generator.device.type, state.precisions[state.stage]
            state.log(f"{name}: {self.steps - self.first} steps will take about {left:.0f} s and "
                    f"{peak_memory_mb(device) / 1024:.1f} GB on {device} in {precision}")
        elif step - self.first > 5:
            state.log(f"{name}: step {step}/{self.steps}, {latest_losses(state.history)}, about {left:.0f} s left")
        self.reported = step, now


def latest_losses(history: History) -> str:
    last = history.losses[-10:]
    held = f", validation {history.validation[-1][1]:.4g}" if history.validation else ""
    return f"loss {sum(last) / len(last):.4g}{held}"


# Checkpoints


def save_checkpoint(state: TrainingState) -> None:
    """Write all that is needed to go on, atomically."""
    now = time.perf_counter()
    state.history.seconds += now - state.counted
    state.counted = state.saved = now
    if not state.checkpoint:
        return
    going = state.stage < len(state.stages)
    content = {
        "identity": state.identity,
        "progress": {"stage": state.stage, "step": state.step, "best": state.best},
        "history": vars(state.history),
        "generator": state.generator.get_state(),
        "weights": state.trained.state_dict(),
        "optimizer": state.now.optimizer.state_dict() if going else None,
    }
    try:
        state.checkpoint.parent.mkdir(parents=True, exist_ok=True)
        write(state.checkpoint, lambda file: torch.save(content, file))
    except (OSError, RuntimeError) as error:        # torch reports a full disk as a RuntimeError
        raise OSError(f"the checkpoint cannot be written to {state.checkpoint} ({error}); free space or choose another "
                      f"folder") from error


def load_checkpoint(state: TrainingState) -> None:
    """Go on from the checkpoint, if there is one and it belongs to this training."""
    path = state.checkpoint
    if path is None or not path.exists():
        return
    content = torch.load(path, map_location="cpu", weights_only=True)
    was, now = content["identity"], state.identity
    other = [f"{key} was {was.get(key)}, is {now.get(key)}" for key in was | now if was.get(key) != now.get(key)]
    if other:
        raise ValueError(f"checkpoint {path} belongs to another training: {'; '.join(other)}; delete it or "
                         f"give another path")
    state.stage, state.step, state.best = (content["progress"][key] for key in ("stage", "step", "best"))
    state.history = History(**content["history"])
    state.generator.set_state(content["generator"])
    state.trained.load_state_dict(content["weights"])
    if state.stage < len(state.stages):
        state.now.optimizer.load_state_dict(content["optimizer"])
    state.log(f"going on from {path}, after {len(state.history.losses)} steps")


def identify(state: TrainingState) -> dict[str, str]:
    """What must be the same for a checkpoint to be gone on with, in words."""
    trained = {id(x) for x in [*state.trained.parameters(), *state.trained.buffers()]}
    frozen = [x for x in [*state.model.parameters(), *state.model.buffers()] if id(x) not in trained]
    identity = {
        "seed": str(state.seed),
        "snapshots": str(state.snapshots),
        "images": digest([state.train.images, state.validation.images]),
        "frozen weights": digest(frozen),
        "shapes": hashlib.sha256(str([x.shape for x in state.trained.state_dict().values()]).encode()).hexdigest()[:12],
    }
    for stage, precision in zip(state.stages, state.precisions, strict=True):
        groups = [{k: v for k, v in g.items() if k != "params"} for g in stage.optimizer.param_groups]
        identity[f"stage {stage.name!r}"] = f"{stage} in {precision}, {type(stage.optimizer).__name__} {groups}"
    return identity


# Prediction


def predict(model: nn.Module, images: Tensor | Tiles, *, size: tuple[int, int] = (MAP_SIZE, MAP_SIZE),
            batch: int = 32) -> Tensor:
    """Maps of (N, 3, S, S) images, uint8 or float in [0, 1], or of their tiles: (N, 256, 256) float32 on the CPU.

    The maps of an image's tiles are blended, into (N, *size): they may hold more than 256 px.
    The model is put in eval mode and used on the device where its parameters are, in float32 whatever it was trained
    in: bf16 would save little, and a map would depend on the machine.
    """
    keep_freed_memory()
    device = next(iter([*model.parameters(), *model.buffers()])).device
    model.eval()
    tiles = images if isinstance(images, Tiles) else Tiles(images)
    together = max(1, batch // tiles.each)
    began, maps = time.perf_counter(), torch.empty(len(tiles.images), *size)
    with torch.inference_mode(), exact_convolutions():
        for i in range(0, len(maps), together):
            part = tiles.pick(slice(i, i + together))
            found = [model(to_float(cut.to(device, memory_format=torch.channels_last))) for cut in part.split(batch)]
            maps[i : i + together] = part.blend(torch.cat(found), size).cpu()
            left = (time.perf_counter() - began) * (len(maps) / together - 1)
            if i == 0 and tiles.each > 1 and left > 20:
                print_line(f"{len(maps)} images of {tiles.each} tiles will take about {left:.0f} s")
    return maps

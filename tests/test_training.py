"""The loop: what it moves and what it leaves alone, what it keeps, and that a killed training goes on bitwise."""

import os
import re
import signal
import subprocess
import sys
from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F
from helpers import category_of
from torch import Generator, nn
from torch.utils._python_dispatch import TorchDispatchMode

from adlib import recipes
from adlib.data import Category
from adlib.data.tiles import Tiles
from adlib.networks.destseg import DeSTSeg
from adlib.networks.layers import to_float
from adlib.networks.masked_rd import MaskedRD
from adlib.networks.stfpm import STFPM
from adlib.networks.teacher import Teacher
from adlib.training import COPIES, Stage, add_shifted, count_steps, draw_order, fit, lr_factor, pick_precision, predict

CPU = torch.device("cpu")


def silent(line: str) -> None:
    pass


def textures(n: int = 6, held: int = 2, size: int = 64) -> Category:
    """A category of blocks of random colours."""
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (n + held, 3, size // 4, size // 4), generator=generator, dtype=torch.uint8)
    images = images.repeat_interleave(4, dim=2).repeat_interleave(4, dim=3)
    return category_of(images[:n], images[n:])


class Tiny(nn.Module):
    """A detector of the least size: a frozen layer, a trained one with a batch norm, and a second one."""

    def __init__(self, seed: int = 0):
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.frozen = nn.Sequential(nn.Conv2d(3, 4, 4, stride=4), nn.BatchNorm2d(4)).eval().requires_grad_(False)
            self.student = nn.Sequential(nn.Conv2d(3, 4, 4, stride=4), nn.BatchNorm2d(4))
            self.head = nn.Conv2d(4, 1, 1)

    def loss(self, images, features=None):
        t = self.frozen(images) if features is None else features[0]
        return (self.student(images).float() - t).square().mean()

    def forward(self, images):
        maps = self.head(self.student(images)).float()
        return nn.functional.interpolate(maps, size=(256, 256))[:, 0]


def stages(model: Tiny, *, lr: float = 0.1, **options) -> list[Stage]:
    """Two stages: a student with validation and momentum, then a head whose loss draws random numbers."""
    teacher = type("Frozen", (nn.Module,), {"forward": lambda self, images: [model.frozen(images)]})()

    def head_loss(batch, step, generator):
        noise = torch.rand(batch.images.shape, generator=generator, device=batch.images.device)
        with torch.no_grad():
            features = model.student(batch.images + noise)
        return model.head(features).square().mean()

    student = Stage("student", [model.student], recipes.sgd(model.student.parameters(), lr=lr),
                    lambda batch, step, generator: model.loss(batch.images, batch.features),
                    **{"steps": 8, "batch": 4, "validate_every": 3, "teacher": teacher,
                       "validate": lambda batch: model.loss(batch.images, batch.features)} | options)
    head = Stage("head", [model.head], torch.optim.Adam(model.head.parameters(), lr=0.01), head_loss, steps=6, batch=4)
    return [student, head]


def train(model=None, category=None, *, seed=0, **options):
    model = model or Tiny()
    options = {"log": silent, "device": "cpu", "precision": "float32"} | options
    return model, fit(model, category or textures(), stages(model), seed=seed, **options)


def same(a: dict, b: dict) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)


def copied(module: nn.Module) -> dict:
    return {k: v.clone() for k, v in module.state_dict().items()}


# What a training moves


@pytest.fixture(scope="module")
def trained():
    """STFPM after its smoke recipe, with the teacher's state from before."""
    model = STFPM(Teacher("efficientnet_lite0", weights="random", seed=1), seed=0)
    before = copied(model)
    category = textures(n=6)
    history = fit(model, category, recipes.stfpm(model, budget="smoke", steps=12, batch=4, validate_every=6),
                  log=silent, device="cpu", snapshots=[0, 12], snapshot_images=category.validation)
    return SimpleNamespace(model=model, before=before, history=history, category=category)


def test_stfpm_learns(trained):
    assert len(trained.history.losses) == 12
    assert trained.history.losses[-1] < 0.9 * trained.history.losses[0]
    assert [step for step, _ in trained.history.validation] == [6, 12]


def test_the_teacher_stays_bitwise_what_it_was_and_all_of_the_student_moves(trained):
    after = trained.model.state_dict()
    moved = {k for k in after if not torch.equal(after[k], trained.before[k])}
    assert moved == {k for k in after if k.startswith("student.")}
    assert not any(module.training for module in trained.model.modules())


def test_snapshots_are_the_maps_of_their_step(trained):
    snapshots = trained.history.snapshots
    assert list(snapshots) == [0, 12]
    fresh = STFPM(Teacher("efficientnet_lite0", weights="random", seed=1), seed=0)
    torch.testing.assert_close(snapshots[0], predict(fresh, trained.category.validation))
    if trained.history.best_step["student"] == 12:
        torch.testing.assert_close(snapshots[12], predict(trained.model, trained.category.validation))
    assert not torch.equal(snapshots[0], snapshots[12])


def test_looking_does_not_change_the_training():
    plain, _ = train()
    watched, history = train(snapshots=[0, 1, 5, 9], snapshot_images=textures().validation)
    assert list(history.snapshots) == [0, 1, 5, 9]
    assert same(plain.state_dict(), watched.state_dict())


def test_only_the_stages_modules_train():
    seen = []
    model = Tiny()
    plan = stages(model)
    for stage in plan:
        loss = stage.loss
        stage.loss = lambda *args, loss=loss: seen.append((model.student.training, model.head.training)) or loss(*args)
    fit(model, textures(), plan, log=silent, device="cpu")
    assert seen == [(True, False)] * 8 + [(False, True)] * 6


# Seeds, batches, caches, precision


def test_the_seed_decides():
    (first, a), (again, b), (other, _) = train(seed=3), train(seed=3), train(seed=4)
    assert same(first.state_dict(), again.state_dict())
    assert a.losses == b.losses
    assert not same(first.state_dict(), other.state_dict())


def test_torchs_global_generator_is_left_alone():
    before = torch.get_rng_state()
    train()
    assert torch.equal(before, torch.get_rng_state())


def test_batches_see_each_image_once_per_epoch():
    order = draw_order(5, 15, seed=0).view(3, 5)
    assert all(sorted(epoch.tolist()) == [0, 1, 2, 3, 4] for epoch in order)
    assert not torch.equal(order[0], order[1])


@pytest.mark.parametrize(("n", "batch", "expected"), [
    (48, 16, (9, 16)), (6, 32, (3, 6)), (1, 1, (2, 2)), (7, 2, (11, 2)),
])
def test_epochs_become_steps_and_a_batch_shrinks_to_the_set(n, batch, expected):
    stage = Stage("a", [], None, None, epochs=3, batch=batch)
    assert count_steps(stage, n) == expected


@pytest.mark.parametrize(("n", "steps"), [(20, 500), (160, 500), (161, 504), (640, 2000)])
def test_many_images_take_more_steps(n, steps):
    assert count_steps(Stage("a", [], None, None, steps=500, epochs=25, batch=8), n) == (steps, 8)


def test_a_longer_training_has_as_many_validations():
    steps = []
    for epochs in (0, 12):              # 6 images in batches of 4: 12 epochs are 18 steps, three times 6
        model = Tiny()
        plan = stages(model, steps=6, validate_every=2, epochs=epochs)[:1]
        steps.append([step for step, _ in fit(model, textures(), plan, log=silent, device="cpu").validation])
    assert steps == [[2, 4, 6], [6, 12, 18]]


def test_a_stage_without_an_end_is_refused():
    with pytest.raises(ValueError, match="neither steps nor epochs"):
        count_steps(Stage("endless", [], None, None), 5)


@pytest.mark.parametrize("n", [1, 2, 3])
def test_few_images_are_enough(n):
    train(category=textures(n, held=n - 1))
    model = nn.Sequential(nn.Conv2d(3, 4, 32, stride=32), nn.BatchNorm2d(4))       # features of one pixel
    sizes = []

    def loss(batch, step, generator):
        sizes.append(len(batch.images))
        return model(batch.images).square().mean()

    stage = Stage("tiny", [model], recipes.sgd(model.parameters(), lr=0.1), loss, steps=3, batch=1)
    fit(model, textures(n, held=1, size=32), [stage], log=silent, device="cpu")
    assert sizes == [2, 2, 2]


def test_cached_features_are_the_teachers_and_change_nothing():
    cached, a = train()
    computed, b = train(cache_gb=0)
    torch.testing.assert_close(a.losses, b.losses)
    torch.testing.assert_close(cached.state_dict(), computed.state_dict())
    given = []
    for cache_gb in (2, 0):
        model = Tiny()
        plan = stages(model)[:1]
        plan[0].loss = lambda batch, *_, model=model: given.append(batch) or model.loss(batch.images, batch.features)
        fit(model, textures(), plan, cache_gb=cache_gb, log=silent, device="cpu", precision="float32")
    torch.testing.assert_close(given[0].features[0], model.frozen(given[0].images))
    assert given[-1].features is None


def test_batches_are_floats_in_channels_last():
    model, given = Tiny(), []
    plan = stages(model)[:1]
    plan[0].loss = lambda batch, *_: given.append(batch.images) or model.loss(batch.images)
    fit(model, textures(), plan, log=silent, device="cpu")
    assert given[0].dtype == torch.float32
    assert given[0].is_contiguous(memory_format=torch.channels_last)
    assert 0.9 < given[0].max() <= 1


def test_bf16_comes_close_to_float32_and_is_not_it():
    a, b = train(precision="float32")[1].losses, train(precision="bf16")[1].losses
    assert a != b
    torch.testing.assert_close(a, b, rtol=0.05, atol=0.01)


def test_precision_is_picked_by_what_was_measured(monkeypatch):
    full, depthwise = nn.Conv2d(8, 8, 3), nn.Conv2d(8, 8, 3, groups=8)
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": True})
    assert pick_precision("auto", [full], CPU, 128) == "bf16"
    assert pick_precision("auto", [full, depthwise], CPU, 128) == "float32"
    assert pick_precision("auto", [depthwise], CPU, 256) == "bf16"
    assert pick_precision("bf16", [depthwise], CPU, 64) == "bf16"
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx2": True})
    assert pick_precision("auto", [full], CPU, 256) == "float32"
    with pytest.raises(ValueError, match="half"):
        pick_precision("half", [full], CPU, 256)


def test_steps_do_not_wait_for_the_device():
    class Reads(TorchDispatchMode):
        count = 0

        def __torch_dispatch__(self, function, types, args=(), kwargs=None):
            self.count += function is torch.ops.aten._local_scalar_dense.default
            return function(*args, **kwargs or {})

    counts = []
    for steps in (21, 39):           # both look at their losses at the warm-up steps, at step 20 or so, and at the end
        model = Tiny()
        with Reads() as reads:
            fit(model, textures(), stages(model, steps=steps, validate=None)[:1], log=silent, device="cpu")
        counts.append(reads.count)
    assert counts[1] - counts[0] <= 2


# What is kept, and what stops


def test_the_weights_of_the_lowest_validation_loss_are_kept():
    model, states = Tiny(), []
    losses = iter([3.0, 1.0, 2.0, 2.0])

    def validate(batch):
        assert not model.student.training
        states.append(copied(model.student))
        return torch.tensor(next(losses))

    plan = stages(model, steps=40, validate_every=5, patience=2, validate=validate)[:1]
    history = fit(model, textures(), plan, log=silent, device="cpu")
    assert history.validation == [(5, 3.0), (10, 1.0), (15, 2.0), (20, 2.0)]       # and no further: two without gain
    assert (history.best_step, history.ends, len(history.losses)) == ({"student": 10}, {"student": 20}, 20)
    assert same(model.student.state_dict(), states[1])
    assert not same(model.student.state_dict(), states[3])


def test_validation_is_the_mean_over_images_whatever_the_batches():
    category, model = textures(n=6, held=5), Tiny()
    plan = stages(model, steps=1, batch=3, validate_every=1)[:1]        # five images in chunks of three and two
    history = fit(model, category, plan, log=silent, device="cpu", precision="float32")
    expected = model.loss(category.validation.float() / 255).item()
    assert history.validation[0][1] == pytest.approx(expected, rel=1e-5)


def test_a_loss_that_is_not_finite_stops_and_leaves_the_good_checkpoint(tmp_path):
    path = tmp_path / "model.ckpt"
    model = Tiny()
    plan = stages(model, steps=100, validate=None)[:1]
    loss = plan[0].loss
    plan[0].loss = lambda batch, step, generator: loss(batch, step, generator) * (float("nan") if step == 6 else 1)
    with pytest.raises(FloatingPointError, match=r"stage 'student', step 7: the loss is nan.*now 0.1.*model.ckpt"):
        fit(model, textures(), plan, checkpoint=path, checkpoint_seconds=0, log=silent, device="cpu")
    content = torch.load(path, weights_only=True)
    assert content["progress"]["step"] == 6
    assert all(w.isfinite().all() for w in content["weights"].values())


def test_a_weight_that_is_not_finite_is_never_saved(tmp_path):
    model = Tiny()
    plan = stages(model, steps=4, validate=None)[:1]
    step = plan[0].optimizer.step

    def break_a_weight():
        step()
        if len(broken) == 2:
            model.student[0].weight.data[0] = float("inf")
        broken.append(1)

    broken, plan[0].optimizer.step = [], break_a_weight
    with pytest.raises(FloatingPointError, match="step 3: a weight is not finite"):
        fit(model, textures(), plan, checkpoint=tmp_path / "c", checkpoint_seconds=0, log=silent, device="cpu")
    assert torch.load(tmp_path / "c", weights_only=True)["progress"]["step"] == 2


def test_a_long_training_says_before_how_long(monkeypatch):
    lines, clock = [], iter(range(0, 10**6, 2))
    monkeypatch.setattr("adlib.training.time.perf_counter", lambda: float(next(clock)))
    model = Tiny()
    fit(model, textures(), stages(model, steps=50)[:1], log=lines.append, device="cpu", precision="float32")
    assert "50 steps will take about" in lines[0]
    assert "GB on cpu in float32" in lines[0]
    assert re.search(r"step \d+/50, loss [\d.]+, validation [\d.]+, about \d+ s left", lines[1])
    assert "kept the weights of step" in lines[-1]


# Learning rate


def test_the_learning_rate_rises_then_falls_as_a_cosine():
    stage = Stage("a", [], None, None, schedule="cosine", warmup=4 / 24)
    factors = [lr_factor(stage, step, 24) for step in range(24)]
    assert factors[:5] == [0.25, 0.5, 0.75, 1, 1]
    assert factors[14] == pytest.approx(0.5)
    assert factors[4:] == sorted(factors[4:], reverse=True)
    assert 0 < factors[-1] < 0.01
    assert [lr_factor(Stage("a", [], None, None), step, 24) for step in range(24)] == [1] * 24


def test_the_optimizer_steps_with_the_scheduled_rate():
    model, seen = Tiny(), []
    plan = stages(model, steps=6, schedule="cosine", warmup=1 / 3)[:1]
    step = plan[0].optimizer.step
    plan[0].optimizer.step = lambda: seen.append(plan[0].optimizer.param_groups[0]["lr"]) or step()
    fit(model, textures(), plan, log=silent, device="cpu")
    assert seen == pytest.approx([0.1 * lr_factor(plan[0], i, 6) for i in range(6)])


@pytest.mark.parametrize("wrong", [{"schedule": "step"}, {"warmup": 1.0}, {"warmup": -0.1}, {"shift": 1.0}])
def test_a_schedule_that_does_not_exist_is_named(wrong):
    model = Tiny()
    with pytest.raises(ValueError, match="must be 'constant' or 'cosine'"):
        fit(model, textures(), stages(model, **wrong), log=silent, device="cpu")


# Shifted copies


def test_shifted_copies_are_the_images_moved_by_at_most_the_share():
    images = torch.randint(256, (3, 3, 32, 32), generator=Generator().manual_seed(0), dtype=torch.uint8)
    found = add_shifted(Tiles(images), 1 / 8, seed=0).images
    assert found.shape == (3 * COPIES, 3, 32, 32)
    assert found[:3].equal(images)
    padded, offsets = F.pad(images.float(), (4,) * 4, mode="reflect").to(torch.uint8), set()
    for number, copy in enumerate(found[3:]):
        places = [(y, x) for y in range(9) for x in range(9)
                  if padded[number % 3, :, y : y + 32, x : x + 32].equal(copy)]
        assert len(places) == 1
        offsets.update(places)
    assert len(offsets) > 5
    assert not add_shifted(Tiles(images), 1 / 8, seed=1).images.equal(found)
    assert add_shifted(tiles := Tiles(images), 0, seed=0) is tiles
    assert add_shifted(tiles := Tiles(torch.rand(2, 3, 48, 64), 48), 1 / 8, seed=0) is tiles, "they are cut"


def test_a_stage_trains_on_shifted_copies_and_validates_on_the_images():
    model, seen = Tiny(), {True: [], False: []}
    plan = stages(model, steps=8, shift=1 / 8)[:1]
    for name in ("loss", "validate"):
        plain = getattr(plan[0], name)
        setattr(plan[0], name, lambda batch, *more, plain=plain: seen[model.student.training].append(batch.images) or
                plain(batch, *more))
    data = textures()
    fit(model, data, plan, log=silent, device="cpu")
    known = {image.numpy().tobytes() for image in to_float(data.train)}
    trained = [image.numpy().tobytes() in known for batch in seen[True] for image in batch.contiguous()]
    assert any(trained)
    assert not all(trained)
    held = {image.numpy().tobytes() for image in to_float(data.validation)}
    assert all(image.numpy().tobytes() in held for batch in seen[False] for image in batch.contiguous())


# Checkpoints

# One process that imports once and forks a child per life: each child trains until it is killed, at another moment.
LIVES = """
import os, signal, sys, timm, torch, torch._dynamo      # the last and timm are slow: not once per life
sys.path.insert(0, {tests!r})
import test_training as t
from adlib import recipes, training

def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)

def at(count, act, before=True):                # `act`, with death before or after its count-th call
    calls = []
    def acted(*args, **kwargs):
        calls.append(1)
        if len(calls) == count and before: die()
        result = act(*args, **kwargs)
        if len(calls) == count: die()
        return result
    return acted

def half_written(state, file):                  # death with the half of a checkpoint on disk
    torch_save(state, file)
    file.truncate(file.tell() // 2)
    die()

def life(moment):
    torch.set_num_threads(1)
    there = ".fresh" if moment == "undisturbed" else ""
    if moment == "step": training.take_step = at(3, training.take_step)
    if moment == "write": torch.save = half_written
    if moment == "rename": os.replace = at(2, os.replace)
    if moment == "saved": os.replace = at(1, os.replace, before=False)
    if moment == "validation": training.out_of_patience = at(1, training.out_of_patience, before=False)
    if moment == "end": training.end_stage = at(1, training.end_stage, before=False)
    model, history = t.{make}(checkpoint=path + there)
    torch.save((model.state_dict(), vars(history)), path + there + ".out")

torch_save = torch.save
path, moments = sys.argv[1], sys.argv[2:]
for moment in moments:
    child = os.fork()
    if child == 0:
        try:
            life(moment)
        except BaseException as error:
            print(moment, repr(error), flush=True)
            os._exit(1)
        os._exit(0)
    print(moment, os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


def tiny_run(checkpoint=None):
    images = textures().validation
    return train(checkpoint=checkpoint, checkpoint_seconds=0, snapshots=[0, 2, 9], snapshot_images=images)


def stfpm_run(checkpoint=None):
    model = STFPM(Teacher("efficientnet_lite0", weights="random", seed=1), seed=0)
    plan = recipes.stfpm(model, budget="smoke", steps=6, batch=4, validate_every=2)
    return model, fit(model, textures(), plan, checkpoint=checkpoint, checkpoint_seconds=0, log=silent, device="cpu")


def destseg_run(checkpoint=None):
    model = DeSTSeg(Teacher(weights="random", seed=1), student_width=8, width=8, seed=0)
    plan = recipes.destseg(model, textures().train, budget="smoke", student_steps=4, segmentation_steps=5)
    return model, fit(model, textures(), plan, checkpoint=checkpoint, checkpoint_seconds=0, log=silent, device="cpu")


def masked_rd_run(checkpoint=None):
    model = MaskedRD(Teacher(weights="random", seed=1), seed=0)
    plan = recipes.masked_rd(model, budget="smoke", steps=6, batch=4, validate_every=2)
    return model, fit(model, textures(), plan, checkpoint=checkpoint, checkpoint_seconds=0, log=silent, device="cpu")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="lives are forked")
@pytest.mark.parametrize(("make", "moments"), [
    ("tiny_run", ["step", "write", "validation", "saved", "rename", "end", "step", "write", "saved", "rename"]),
    ("stfpm_run", ["step"]),
    ("destseg_run", ["step", "end", "step"]),       # the third life begins in the second stage
    ("masked_rd_run", ["step"]),
])
def test_killed_at_any_moment_it_ends_bitwise_the_same(make, moments, tmp_path):
    script, path = LIVES.format(tests=os.path.dirname(__file__), make=make), tmp_path / "killed"
    command = [sys.executable, "-c", script, str(path), *moments, "whole", "undisturbed"]
    told = subprocess.run(command, capture_output=True, text=True, check=True, timeout=200).stdout
    assert told.splitlines() == [f"{moment} {-signal.SIGKILL}" for moment in moments] + ["whole 0", "undisturbed 0"]
    weights, history = torch.load(f"{path}.out", weights_only=True)
    expected_weights, expected = torch.load(f"{path}.fresh.out", weights_only=True)
    assert same(weights, expected_weights)
    assert same(history.pop("snapshots"), expected.pop("snapshots"))
    assert history.pop("seconds") > 0
    assert expected.pop("seconds") > 0
    assert history == expected


def test_a_finished_training_is_not_trained_again(tmp_path):
    first, a = train(checkpoint=tmp_path / "c")
    again, b = train(checkpoint=tmp_path / "c")
    assert same(first.state_dict(), again.state_dict())
    assert vars(a) == vars(b)


@pytest.mark.parametrize(("change", "named"), [
    ({"seed": 1}, "seed was 0, is 1"),
    ({"category": textures(n=5)}, "images was"),
    ({"precision": "bf16"}, "in float32.* in bf16"),
    ({"model": Tiny(seed=1)}, "frozen weights was"),
    ({"snapshots": [1]}, r"snapshots was \[\], is \[1\]"),
])
def test_a_checkpoint_of_another_training_is_refused(change, named, tmp_path):
    train(checkpoint=tmp_path / "c", precision="float32")
    with pytest.raises(ValueError, match=f"another training: .*{named}"):
        train(**{"checkpoint": tmp_path / "c", "precision": "float32"} | change)


def test_a_checkpoint_of_other_stages_is_refused(tmp_path):
    train(checkpoint=tmp_path / "c")
    model = Tiny()
    with pytest.raises(ValueError, match="another training: .*'lr': 0.1.*'lr': 0.2"):
        fit(model, textures(), stages(model, lr=0.2), checkpoint=tmp_path / "c", log=silent, device="cpu")


# Prediction and recipes


def test_predict_takes_bytes_in_batches(trained):
    images = trained.category.train
    maps = predict(trained.model, images, batch=4)
    assert (maps.shape, maps.dtype, maps.is_inference()) == ((6, 256, 256), torch.float32, False)
    with torch.no_grad():
        torch.testing.assert_close(maps, trained.model(images.float() / 255), atol=1e-6, rtol=1e-3)


def test_recipes_take_the_budget_and_what_is_given_instead(trained):
    model = trained.model
    paper, = recipes.stfpm(model, budget="paper")
    assert (paper.epochs, paper.batch, paper.steps) == (100, 32, 0)
    group = paper.optimizer.param_groups[0]
    assert (group["lr"], group["momentum"], group["weight_decay"], group["nesterov"]) == (0.4, 0.9, 1e-4, False)
    assert sum(p.numel() for p in group["params"]) == sum(p.numel() for p in model.student.parameters())
    short, = recipes.stfpm(model, budget="paper", steps=7, batch=3, lr=0.1)
    assert (short.epochs, short.steps, short.batch, short.optimizer.param_groups[0]["lr"]) == (0, 7, 3, 0.1)
    with pytest.raises(ValueError, match="smoke, demo, paper"):
        recipes.stfpm(model, budget="large")


def test_selection_by_the_map_is_the_mean_of_the_fused_map(trained):
    images = trained.category.validation.float() / 255
    stage, = recipes.stfpm(trained.model, select="map")
    with torch.no_grad():
        value = stage.validate(SimpleNamespace(images=images, features=None))
        torch.testing.assert_close(value, trained.model(images).mean())

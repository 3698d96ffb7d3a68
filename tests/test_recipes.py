"""Recipes of DeSTSeg, RD4AD and masked reverse distillation: the papers' settings, and what a training moves."""

import pytest
import torch
from test_training import copied, same, silent, textures

from adlib import recipes
from adlib.networks.destseg import DeSTSeg
from adlib.networks.masked_rd import MaskedRD, ReverseDistillation
from adlib.networks.stfpm import STFPM
from adlib.networks.teacher import Teacher
from adlib.training import count_steps, fit

SMALL = {"student_width": 8, "width": 8}
SHORT = {"student_steps": 3, "segmentation_steps": 3}


def destseg(**options) -> DeSTSeg:
    return DeSTSeg(Teacher(weights="random", seed=1), **SMALL, **options)


def settings(optimizer: torch.optim.Optimizer, *names: str) -> list[tuple]:
    return [tuple(group[name] for name in names) for group in optimizer.param_groups]


def train(model, stages, **options):
    return fit(model, textures(), stages, log=silent, device="cpu", **options)


def numbers(module: torch.nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def test_destseg_at_paper_is_the_official_schedule():
    model = destseg()
    student, segmentation = recipes.destseg(model, textures().train, budget="paper")
    assert (student.steps, segmentation.steps, student.batch, segmentation.batch) == (1000, 4000, 32, 32)
    names = ("lr", "momentum", "weight_decay", "nesterov")
    assert settings(student.optimizer, *names) == [(0.4, 0.9, 1e-4, False)]
    assert settings(segmentation.optimizer, *names) == [(0.1, 0.9, 1e-4, False), (0.01, 0.9, 1e-4, False)]
    trained = [sum(p.numel() for p in group["params"]) for group in segmentation.optimizer.param_groups]
    assert trained == [numbers(model.segmentation_net.res), numbers(model.segmentation_net.head)]
    assert student.validate is segmentation.validate is None, "the official code keeps the last weights"


def test_destsegs_stages_move_what_they_train_and_nothing_else():
    model = destseg()
    stages = recipes.destseg(model, textures().train, budget="smoke", **SHORT)
    before = copied(model)
    history = train(model, stages[:1])
    after = copied(model)
    assert history.best_step == {"student": 3}
    assert not same(model.student.state_dict(), {k[8:]: v for k, v in before.items() if k.startswith("student.")})
    for part in ("teacher.", "segmentation_net."):
        assert same(*({k: v for k, v in state.items() if k.startswith(part)} for state in (before, after)))
    train(model, stages[1:])
    changed = {k.split(".")[0] for k, v in model.state_dict().items() if not torch.equal(v, after[k])}
    assert changed == {"segmentation_net"}, "not even the student's batch-norm statistics"


def test_destseg_ends_with_fewer_images_than_a_batch():
    stages = recipes.destseg(destseg(), textures().train, budget="paper", **SHORT)
    assert stages[0].batch > len(textures().train)
    assert len(train(destseg(), stages).losses) == 6


def test_the_seed_decides_over_destsegs_anomalies():
    def weights(seed):
        model = destseg()
        train(model, recipes.destseg(model, textures().train, budget="smoke", **SHORT), seed=seed)
        return model.state_dict()

    assert same(weights(0), weights(0))
    assert not same(weights(0), weights(1))


def test_turned_images_have_no_cached_features():
    model, images = destseg(), textures().train
    assert recipes.destseg(model, images)[0].teacher is model.teacher
    assert recipes.destseg(model, images, rotation="slight")[0].teacher is None
    assert recipes.destseg(model, images)[1].teacher is None, "in the second stage the teacher sees the anomalies"
    history = train(model, recipes.destseg(model, images, budget="smoke", rotation="full", **SHORT))
    assert len(history.losses) == 6
    with pytest.raises(ValueError, match="rotation='half' must be"):
        train(model, recipes.destseg(model, images, rotation="half", **SHORT))


def test_short_budgets_shift_the_images_and_the_papers_do_not():
    teacher = Teacher(weights="random")
    models = {"stfpm": STFPM(teacher), "rd4ad": ReverseDistillation(teacher), "masked_rd": MaskedRD(teacher)}
    for budget, shift in (("smoke", 1 / 32), ("demo", 1 / 32), ("paper", 0)):
        stages = [getattr(recipes, name)(model, budget)[0] for name, model in models.items()]
        stages += recipes.destseg(destseg(), textures().train, budget)
        assert [stage.shift for stage in stages] == [shift] * 5


@pytest.mark.parametrize(("n", "times"), [(20, 1), (160, 1), (1440, 9)])
def test_nine_times_the_images_take_nine_times_the_steps_but_with_stfpm(n, times):
    teacher = Teacher(weights="random")
    stages = [*recipes.rd4ad(ReverseDistillation(teacher)), *recipes.masked_rd(MaskedRD(teacher)),
              *recipes.destseg(destseg(), textures().train)]
    assert [count_steps(stage, n)[0] for stage in stages] == [times * steps for steps in (300, 380, 640, 280)]
    assert count_steps(recipes.stfpm(STFPM(teacher))[0], n)[0] == 500
    explicit = [*recipes.rd4ad(ReverseDistillation(teacher), steps=7),
                *recipes.destseg(destseg(), textures().train, student_steps=3, segmentation_steps=2)]
    assert [count_steps(stage, n)[0] for stage in explicit] == [7, 3, 2]        # what is asked for is what is done


def test_without_segmentation_there_is_one_stage_and_without_denoising_no_anomaly():
    model = destseg(segmentation=False, denoising=False)
    stage, = recipes.destseg(model, textures().train[:0], budget="smoke", student_steps=2)
    train(model, [stage])                          # no texture was needed


def test_cached_or_not_the_students_loss_is_the_same():
    losses = []
    for cached in (True, False):
        model = destseg()
        stages = recipes.destseg(model, textures().train, budget="smoke", **SHORT)
        stages[0].teacher = model.teacher if cached else None
        losses.append(train(model, stages, precision="float32").losses)
    assert losses[0] == pytest.approx(losses[1], rel=1e-3)     # features of other batches of images differ by rounding


def test_rd4ad_at_paper_is_the_official_schedule():
    model = ReverseDistillation(Teacher(weights="random", seed=1))
    stage, = recipes.rd4ad(model, budget="paper")
    assert (stage.epochs, stage.batch, stage.steps, stage.validate) == (200, 16, 0, None)
    assert settings(stage.optimizer, "lr", "betas", "weight_decay") == [(0.005, (0.5, 0.999), 0)]
    assert sum(p.numel() for p in stage.optimizer.param_groups[0]["params"]) == sum(map(numbers, stage.modules))
    assert {id(m) for m in stage.modules} == {id(model.bottleneck), id(model.decoder), id(model.start)}


def test_masked_rd_at_paper():
    model = MaskedRD(Teacher(weights="random", seed=1))
    stage, = recipes.masked_rd(model, budget="paper")
    assert (stage.epochs, stage.batch, stage.patience) == (200, 16, 20)
    assert settings(stage.optimizer, "lr", "betas", "weight_decay") == [(0.001, (0.9, 0.999), 1e-5)]
    trained = sum(p.numel() for p in stage.optimizer.param_groups[0]["params"])
    assert trained == numbers(model) - numbers(model.teacher)


def test_masked_rd_is_validated_without_masks():
    model = MaskedRD(Teacher(weights="random", seed=1), mask_ratio=0.5)
    stage, = recipes.masked_rd(model, budget="smoke", steps=4, batch=4, validate_every=2)
    history = train(model, [stage], precision="float32")
    assert [step for step, _ in history.validation] == [2, 4]
    with torch.no_grad():
        images = textures().validation.float() / 255
        lowest = min(loss for _, loss in history.validation)
        assert model.loss(*model.features(images)).item() == pytest.approx(lowest, rel=1e-4)
    assert history.best_step["student"] == min(history.validation, key=lambda point: point[1])[0]


@pytest.mark.parametrize("recipe", [recipes.rd4ad, recipes.masked_rd])
def test_reverse_distillation_moves_all_but_the_teacher(recipe):
    network = ReverseDistillation if recipe is recipes.rd4ad else MaskedRD
    model = network(Teacher(weights="random", seed=1))
    before = copied(model)
    train(model, recipe(model, budget="smoke", steps=3))
    moved = {name for name, x in model.named_parameters() if not torch.equal(x, before[name])}
    assert moved == {name for name, _ in model.named_parameters() if not name.startswith(("teacher.", "start."))}
    assert all(torch.equal(x, before[f"teacher.{name}"]) for name, x in model.teacher.state_dict().items())

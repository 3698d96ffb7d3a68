"""Effects against students whose answers are known: a copy of the teacher, a constant, one that knows only places."""

from types import SimpleNamespace

import pandas as pd
import pytest
import torch
from torch import nn

from adlib.data.category import Category
from adlib.lessons import effects
from adlib.losses import cosine_distance
from adlib.networks.destseg import DeSTSeg
from adlib.networks.masked_rd import MaskedRD, ReverseDistillation
from adlib.networks.stfpm import STFPM
from adlib.networks.teacher import Teacher


@pytest.fixture(scope="module")
def teacher():
    return Teacher(weights="random")


@pytest.fixture(scope="module")
def category():
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (10, 3, 64, 64), generator=generator, dtype=torch.uint8)
    return SimpleNamespace(name="noise", train=images[:6], validation=images[6:])


@pytest.fixture(scope="module")
def textures():
    return torch.randint(0, 256, (3, 3, 64, 64), generator=torch.Generator().manual_seed(1), dtype=torch.uint8)


class Answers(nn.Module):
    """A model whose student's answer is a function of the images and of the teacher's features."""

    def __init__(self, teacher, answer):
        super().__init__()
        self.teacher, self.answer = teacher, answer

    def features(self, images):
        t = self.teacher(images)
        return t, [self.answer(f) for f in t]


def test_a_copy_of_the_teacher_sees_everything_but_repairs_nothing(teacher, category, textures):
    table = effects.measure_effects({"copy": Answers(teacher, torch.clone)}, category, textures=textures)
    assert table["own"].max() < 1e-6
    assert torch.allclose(*(torch.tensor(table[k].values) for k in ("student_apart", "teacher_apart")))
    assert torch.allclose(*(torch.tensor(table[k].values) for k in ("other", "teacher_apart")))
    assert torch.allclose(*(torch.tensor(table[k].values) for k in ("repaired", "corrupted")))
    seen = effects.student_sees(table)
    assert seen[["differs", "own", "beats_mean"]].to_numpy().all()


def test_the_probe_reads_what_an_embedding_holds_and_no_more(teacher, category):
    model, known = Answers(teacher, torch.clone), SimpleNamespace(train=category.train, validation=category.train)
    def probe(bottleneck, data, **strengths):
        return effects.probe_embeddings(model, {"one": bottleneck}, data, **strengths)["one"]

    told = probe(lambda t: t[0], known, strengths=(1e-6,))
    assert max(told["distance"]) < 1e-3
    assert told["apart"] == pytest.approx([1] * 3, abs=0.01)
    silent = probe(lambda t: torch.ones_like(t[0]), category)
    assert max(silent["apart"]) < 1e-5
    table = effects.measure_effects({"copy": model}, category)
    held = probe(lambda t: t[0], category)
    assert held["distance"][0] > table["own"].iloc[0] + 0.01, "images that were not learnt from are guessed"
    dice = torch.Generator().manual_seed(0)
    random = probe(lambda t: torch.randn(t[0].shape, generator=dice), category, strengths=(0.01, 1e6))
    assert max(random["apart"]) < 1e-3, "where the embedding tells nothing, the mean guesses best"


def test_a_constant_is_found_out(teacher, category, textures):
    table = effects.measure_effects({"dead": Answers(teacher, torch.ones_like)}, category, textures=textures)
    assert table["student_apart"].max() < 1e-6
    for other in ("other", "noise"):
        assert torch.allclose(torch.tensor(table["own"].values), torch.tensor(table[other].values), atol=1e-6)
    assert not effects.student_sees(table)[["differs", "own", "beats_mean", "repairs"]].to_numpy().any()


def test_the_mean_per_position_is_the_training_images(teacher, category):
    """By hand, level 2: unit vectors of the training images, averaged, against those of the validation images."""
    table = effects.measure_effects({"copy": Answers(teacher, torch.clone)}, category)
    unit = nn.functional.normalize(teacher(category.train / 255)[1], dim=1)
    t = teacher(category.validation / 255)[1]
    position = cosine_distance(t, unit.mean(dim=0, keepdim=True).expand_as(t)).mean()
    constant = cosine_distance(t, unit.mean(dim=(0, 2, 3))[None, :, None, None].expand_as(t)).mean()
    assert table.loc[("copy", 2), "position"] == pytest.approx(position.item(), abs=1e-6)
    assert table.loc[("copy", 2), "constant"] == pytest.approx(constant.item(), abs=1e-6)
    assert table["repaired"].isna().all()       # no textures, no repair
    assert not effects.student_sees(table)["repairs"].any()


def test_the_mean_per_position_is_of_what_is_compared(teacher, category):
    """DeSTSeg that starts from a mean compares standardised features: the mean is theirs."""
    model = DeSTSeg(teacher, student_width=8, width=8).eval()
    model.start_from_mean(model.teacher.pyramids(category.train))
    table = effects.measure_effects({"DeSTSeg": model}, category)
    with torch.no_grad():
        unit = nn.functional.normalize(model.features(category.train / 255)[0][0], dim=1).mean(dim=0, keepdim=True)
        t = model.features(category.validation / 255)[0][0]
    position = cosine_distance(t, unit.expand_as(t)).mean()
    assert table.loc[("DeSTSeg", 1), "position"] == pytest.approx(position.item(), abs=1e-5)
    assert table["student_apart"].max() < 1e-6      # its gains are 0 before training: the same of every image


def test_repair_is_measured_inside_the_corruption_only(teacher, category, textures):
    """A student that sees the clean image repairs all, whatever is around."""
    clean = [f.clone() for f in teacher(category.validation / 255)]
    model = Answers(teacher, torch.clone)
    model.features = lambda images: (teacher(images), clean)
    repaired = effects.measure_repair(model, category, textures, seed=0)
    assert max(repaired["repaired"]) < 1e-6
    assert min(repaired["corrupted"]) > 0.01
    whole = [cosine_distance(a, b).mean() for a, b in zip(clean, teacher(category.validation / 255), strict=True)]
    assert max(whole) < 1e-6


def test_every_method_has_its_rows(teacher, category, textures):
    models = {"STFPM": STFPM(teacher, levels=(2, 3)), "DeSTSeg": DeSTSeg(teacher, student_width=8, width=8),
              "RD4AD": ReverseDistillation(teacher), "masked RD": MaskedRD(teacher)}
    table = effects.measure_effects(models, category, textures=textures, twins={"masked RD": MaskedRD(teacher, seed=1)})
    assert list(table.loc["STFPM"].index) == [2, 3]
    assert len(table) == 2 + 3 * 3
    assert table[list(effects.ANSWERS)].notna().all(axis=None)
    masked = ["hidden", "visible", "bare", "twin_hidden", "twin_visible"]
    assert table.loc["masked RD", masked].notna().all(axis=None)
    assert table.loc[["STFPM", "DeSTSeg", "RD4AD"], masked].isna().all(axis=None)
    assert not any(model.training for model in models.values())
    figure = effects.plot_effects(table)
    assert len(figure.axes) == 4 * 3
    repair = effects.plot_effects(table.loc[["DeSTSeg"]], effects.REPAIR)
    assert [len(ax.patches) for ax in repair.axes] == [3] * 3


def test_a_generator_that_passes_on_what_it_gets_is_blind_behind_masks(teacher, category):
    """Hidden positions are 0, orthogonal to everything: a distance of 1; visible ones are the decoder's own."""
    model = MaskedRD(teacher)
    model.generators = nn.ModuleList(Pass() for _ in model.levels)
    columns = effects.measure_masks(model.eval(), category, None, seed=0)
    assert columns["hidden"] == pytest.approx([1, 1, 1])
    assert columns["visible"] == pytest.approx(columns["bare"], abs=0.05)
    assert set(columns) == {"hidden", "visible", "bare"}


class Pass(nn.Module):
    def forward(self, x, mask=None):
        return x if mask is None else x * mask


def made_up(**columns) -> pd.DataFrame:
    """The table of one method with two levels, as if measured."""
    names = dict.fromkeys([*effects.ANSWERS, *effects.OTHERS], float("nan"))
    index = pd.MultiIndex.from_product([["DeSTSeg"], [1, 2]], names=["method", "level"])
    return pd.DataFrame(names | columns, index=index)


def test_sentences_say_what_the_table_holds():
    table = made_up(own=[0.2, 0.5], other=[0.4, 0.5], position=[0.25, 0.4], teacher_apart=[0.6, 0.6],
                    student_apart=[0.3, 0.006], repaired=[0.1, 0.3], inside=[0.2, 0.2], corrupted=[0.5, 0.3])
    first, second, _, verdict = effects.describe_effects(table).split("\n")
    assert "50% as far apart" in first
    assert "50% nearer than the one to another and 20% nearer than the mean per position" in first
    assert "Inside corruptions it is 50% nearer than that mean and 80% nearer than the teacher" in first
    assert " 1% as far apart" in second
    assert "as near as the one to another and 25% farther than the mean" in second
    assert "50% farther than that mean and as near as the teacher" in second
    assert verdict == ("All tests hold at level 1. What fails: *differs* at level 2; *own* at level 2; *beats_mean* at "
                       "level 2; *repairs* at level 2.")


def test_what_was_not_measured_is_not_spoken_of():
    table = made_up(own=0.2, other=0.4, position=0.25, teacher_apart=0.6, student_apart=0.3)
    text = effects.describe_effects(table)
    assert "corruption" not in text
    assert text.endswith("All tests hold at level 1, 2.")
    with pytest.raises(ValueError, match="not of A, B"):
        effects.describe_effects(pd.concat([table.rename({"DeSTSeg": name}) for name in "AB"]))


def test_shares_by_category_against_division_by_hand():
    rows = [{"category": c, "seed": s, "level": k, "student_apart": 0.1 * k, "teacher_apart": 0.5, "repaired": 0.1 + s,
             "inside": 0.2} for c in ("circuit", "gravel") for s in (0, 1) for k in (1, 2)]
    shares = effects.shares_by_category(pd.DataFrame(rows))
    assert shares.loc[("gravel", 0, 2)].tolist() == pytest.approx([0.4, 0.5])
    assert shares.loc[("circuit", 1, 1)].tolist() == pytest.approx([0.2, -4.5])
    apart, nearer = effects.plot_by_category(shares).axes
    marks = {line.get_label(): line for line in apart.lines}
    assert sorted(marks["level 2"].get_xdata()) == pytest.approx([40] * 4)
    assert list(marks["level 1"].get_ydata()) == [0, 0, 1, 1]
    assert list(apart.lines[0].get_xdata()) == pytest.approx([100 / 3] * 2)
    assert [label.get_text() for label in apart.get_yticklabels()] == ["circuit", "gravel"]
    assert len(nearer.lines) == 3


def test_one_image_has_no_other(teacher, category):
    one = SimpleNamespace(name="one", train=category.train, validation=category.validation[:1])
    with pytest.raises(ValueError, match="one has 1 validation image"):
        effects.measure_effects({"copy": Answers(teacher, torch.clone)}, one)


def test_who_is_heard_is_counted_by_type():
    images = torch.zeros(25, 3, 64, 64, dtype=torch.uint8)
    defects = ["good"] * 20 + ["crack", "crack", "dent", "dent", "dent"]
    data = Category("x", train=images[:1], validation=images[:1], test=images, masks=None,
                    labels=torch.arange(25) >= 20, defects=defects, paths=[])
    scores = torch.cat([torch.arange(20.0), torch.tensor([18.0, 18.1, 30.0, 17.0, 40.0])])      # 95 % lie below 18.05
    assert effects.count_heard(scores, data) == {"crack": 1, "dent": 2}

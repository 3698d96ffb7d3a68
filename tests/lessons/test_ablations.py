"""The grids of ablations: all of the papers' rows and numbers, settings that reach the networks of the lessons."""

import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
import scipy.stats
import timm
import torch
from conftest import make_category

from adlib import metrics
from adlib.lessons import ablations, paper_comparison
from adlib.lessons.ablations import GRIDS, find_grid, reason_to_skip, run_of
from adlib.lessons.paper_comparison import compare_with_paper, published_rows, select_rows
from adlib.networks import teacher as teacher_module
from adlib.networks.layers import SCConv, SimAM
from adlib.runs import execute, tables
from adlib.runs.folder import new_entry
from adlib.runs.parameters import complete_parameters, lesson_parameters, read_lesson
from adlib.runs.published import read_published
from adlib.training import Batch

PUBLISHED = [name for name, grid in GRIDS.items() if grid.source]
OURS = ["mask_ratio", "cosine", "fusion", "loss_scale"]
EVERY_GRID = pytest.mark.parametrize("grid", GRIDS.values(), ids=GRIDS)
EVERY_PUBLISHED = pytest.mark.parametrize("grid", [GRIDS[name] for name in PUBLISHED], ids=PUBLISHED)


def labels(grid) -> list[str]:
    return [row.label for row in grid.rows]


def row_of(grid, label: str):
    return next(row for row in grid.rows if row.label == label)


# The papers' tables --------------------------------------------------------------------------------------------------


def test_the_tables_and_their_sizes():
    sizes = {name: (len(grid.rows), len(grid.others)) for name, grid in GRIDS.items()}
    assert sizes == {
        "stfpm_3": (7, 0), "stfpm_4": (7, 0), "stfpm_5": (5, 2), "stfpm_backbone": (3, 0),
        "destseg_4": (8, 0), "destseg_5": (2, 0), "destseg_6": (3, 0),
        "masked_rd_4": (4, 0), "masked_rd_5": (2, 0), "masked_rd_6": (4, 0), "masked_rd_7": (7, 3),
        "mask_ratio": (4, 0), "cosine": (4, 0), "fusion": (2, 0), "loss_scale": (4, 0)}
    assert [name for name in GRIDS if name not in PUBLISHED] == OURS


@EVERY_PUBLISHED
def test_every_number_of_a_papers_table_is_in_its_grid(grid):
    found = read_published()
    paper, table = grid.source
    found = found[(found["paper"] == paper) & (found["table"] == table)]
    shown = published_rows(grid)
    own = [row.label for row in (*grid.rows, *grid.others) if row.published and "table" not in row.published]
    numbers = shown.loc[own].stack().dropna()
    assert sorted(numbers) == sorted(found["value"])
    assert set(found["metric"]) <= set(grid.metrics)
    assert set(shown.index) == {*labels(grid), *(row.label for row in grid.others)}


@pytest.mark.parametrize(("name", "numbers"), [
    ("stfpm_3", {"level 1": (80.8, 91.5, 81.5), "level 2": (91.7, 95.3, 89.7), "level 3": (93.4, 95.7, 83.5),
                 "level 4": (81.9, 86.0, 50.4), "levels 1, 2": (84.9, 95.0, 88.6),
                 "levels 1, 2, 3": (95.5, 97.0, 92.1), "levels 1, 2, 3, 4": (94.9, 96.9, 88.6)}),
    ("stfpm_4", {"ImageNet": (95.5, 97.0, 92.1), "MNIST": (61.9, 75.9, 52.8), "CIFAR-10": (82.6, 93.1, 86.3),
                 "CIFAR-100": (83.5, 93.7, 84.2), "SVHN": (79.6, 90.2, 74.2)}),
    ("stfpm_5", {"5 %": (87.1, 96.1, 89.2), "10 %": (90.7, 96.7, 91.3), "100 %": (95.5, 97.0, 92.1),
                 "SPADE, 5 %": (78.2, 93.2, 84.2), "SPADE, 10 %": (79.7, 95.5, 89.0)}),
    ("stfpm_backbone", {"ResNet18": (95.5, 97.0, 92.1), "WideResNet50-2": (None, 97.3, 92.3)}),
    ("destseg_4", {"1: none": (94.8, 52.9, 55.8), "2: den": (93.4, 49.6, 53.9), "3: ed": (95.4, 53.3, 57.7),
                   "4: seg": (97.3, 70.1, 71.8), "5: den + ed": (94.5, 54.0, 58.5), "6: den + seg": (97.3, 70.9, 72.3),
                   "7: ed + seg": (97.7, 69.7, 71.2), "8: den + ed + seg": (98.6, 75.8, 76.4)}),
    ("destseg_5", {"without L1": (97.9, 72.2, 74.4), "with L1": (98.6, 75.8, 76.4)}),
    ("destseg_6", {"concatenation": (98.0, 72.2, 72.6), "distance": (98.5, 72.0, 74.5), "product": (98.6, 75.8, 76.4)}),
    ("masked_rd_4", {"ResNet18": (98.2, 97.3, 94.4), "ResNet50": (98.8, 98.2, 95.2),
                     "WideResNet50-2": (99.1, 98.5, 95.9)}),
    ("masked_rd_5", {"without generator": (98.8, 98.1, 95.3), "with generator": (99.1, 98.5, 95.9)}),
    ("masked_rd_6", {"neither": (98.5, 97.8, 93.9), "SimAM": (98.6, 98.0, 95.5), "SCConv": (99.1, 98.2, 95.3),
                     "SimAM + SCConv": (99.1, 98.5, 95.9)}),
    ("masked_rd_7", {"level 1": (96.5, 97.1, 92.2), "level 2": (96.3, 97.4, 92.8), "level 3": (93.9, 94.2, 91.3),
                     "levels 1, 2, 3": (99.1, 98.5, 95.9), "a pair, first row": (98.0, 97.4, 94.8),
                     "a pair, second row": (98.4, 97.5, 95.3), "a pair, third row": (97.9, 97.1, 94.4)}),
])
def test_the_papers_numbers(name, numbers):
    shown = published_rows(GRIDS[name])
    without = set(shown.index) - numbers.keys()
    assert shown.loc[list(without)].isna().all(axis=None), "ours, or not to be told apart"
    for label, row in numbers.items():
        assert [None if np.isnan(x) else x for x in shown.loc[label]] == list(row), label


def test_a_number_that_is_not_there_is_nan_and_two_are_refused():
    assert published_rows(GRIDS["mask_ratio"]).isna().all(axis=None)
    with pytest.raises(ValueError, match=r"3 numbers of image_auroc with .*name more columns"):
        paper_comparison.look_up("image_auroc", paper="MaskedRD", table="4", method="masked_rd")


@pytest.fixture(scope="module")
def section_4() -> dict:
    """The namespace of lesson 05 after the cells that hold the papers' tables against each other."""
    cells = {cell["id"]: "".join(cell["source"]) for cell in read_lesson("05_ablations")["cells"]}
    namespace = {}
    for name in ("imports", "one-base", "count-above-98", "lead-on-cifar10", "means-of-columns", "denoising-alone",
                 "two-stfpms"):
        exec(cells[name], namespace)
    return namespace


def test_lesson_05_shows_where_the_papers_contradict_themselves(section_4):
    rd4ad, first, full, with_generators, without = section_4["masked"].to_numpy().tolist()
    assert rd4ad == first == [98.5, 97.8, 93.9]
    assert full == with_generators == [99.1, 98.5, 95.9]
    assert without == [98.8, 98.1, 95.3]
    assert ((section_4["pixel"] > 98).sum(), len(section_4["pixel"])) == (12, 15), "the text says 13"
    assert (section_4["below"].idxmax(), section_4["below"].max()) == ("tile", 97.9)
    assert (section_4["own"], section_4["mkd"]) == (90.9, 87.1), "not four points"
    means = section_4["means"]
    assert means.loc["pro"].round(2).tolist() == [92.1, 92.42]
    assert means.loc["pixel_auroc"].round(2).tolist() == [97.0, 97.09]


def test_lesson_05_shows_what_settings_and_denoising_alone_do(section_4):
    alone, with_decoder = (section_4["t4"].loc[b] - section_4["t4"].loc[a] for a, b in
                           (("1: none", "2: den"), ("3: ed", "5: den + ed")))
    assert (alone < 0).all()
    assert (np.sign(with_decoder) == [-1, 1, 1]).all()
    assert section_4["two_stfpms"].to_numpy().tolist() == [[94.8, 52.9, 55.8], [95.1, 54.3, 56.9]]


# Rows and runs -------------------------------------------------------------------------------------------------------


@EVERY_GRID
def test_each_row_is_a_run_of_its_own_and_the_lesson_takes_its_settings(grid):
    assert len(set(labels(grid))) == len(grid.rows)
    folders = [execute.folder_of(*run_of(grid, row, {})) for row in grid.rows]
    assert len(set(folders)) == len(folders)
    for row in grid.rows:
        method, given = run_of(grid, row, {})
        defaults = lesson_parameters(execute.LESSON_OF[method])
        assert all(given[name] != defaults[name] for name in given), "only what differs is said"


@EVERY_GRID
def test_the_row_without_settings_is_the_reference_run(grid):
    common = {"category": "brick", "seed": 2, "budget": "demo", "out_dir": "elsewhere"}
    plain = [row for row in grid.rows if not row.settings]
    assert {row.method or grid.method for row in plain} == {row.method or grid.method for row in grid.rows}
    for row in plain:
        assert execute.folder_of(*run_of(grid, row, common)) == execute.folder_of(row.method or grid.method, common)


@EVERY_GRID
def test_a_grids_base_rows_are_its_own_one_for_each_method(grid):
    base = [row_of(grid, label) for label in grid.base]
    methods = [row.method or grid.method for row in grid.rows]
    assert [row.method or grid.method for row in base] == list(dict.fromkeys(methods))
    if not grid.name.endswith(("backbone", "masked_rd_4")):       # where the papers' base is not the embedded one
        assert not any(row.settings for row in base)
    if grid.source:
        assert published_rows(grid).loc[list(grid.base)].notna().all(axis=None), "both sides have the base"


def test_the_sets_of_parts_and_levels_are_complete():
    def missing(row, names):
        return tuple(row.settings.get(name, True) for name in names)

    parts = ("denoising", "encoder_decoder", "segmentation")
    assert len({missing(row, parts) for row in GRIDS["destseg_4"].rows}) == 8
    assert len({missing(row, ("simam", "scconv")) for row in GRIDS["masked_rd_6"].rows}) == 4
    levels = {tuple(row.settings.get("levels", [1, 2, 3])) for row in GRIDS["masked_rd_7"].rows}
    assert levels == {(1,), (2,), (3,), (1, 2), (1, 3), (2, 3), (1, 2, 3)}


def test_what_a_grid_varies_cannot_be_given_for_all_rows():
    grid = find_grid("masked_rd_4")
    assert run_of(grid, grid.rows[0], {"backbone": "efficientnet_lite0"})[1] == {"backbone": "efficientnet_lite0"}
    with pytest.raises(ValueError, match=r"masked_rd_4 varies backbone itself; leave backbone='resnet18' out"):
        run_of(grid, grid.rows[0], {"backbone": "resnet18"})
    grid = find_grid("mask_ratio")
    assert run_of(grid, grid.rows[0], {"backbone": "resnet18"})[1] == {"backbone": "resnet18", "mask_ratio": 0.0}


def test_a_table_that_does_not_exist():
    with pytest.raises(ValueError, match=r"no table 'stfpm_2'; choose one of stfpm_3, stfpm_4"):
        find_grid("stfpm_2")


def test_planning_needs_no_torch():
    code = ("import sys; from adlib.lessons import ablations as a\n"
            "for g in a.GRIDS.values(): [(a.run_of(g, r, {}), a.reason_to_skip(r, weights='random')) for r in g.rows]\n"
            "assert not {'torch', 'pandas'} & sys.modules.keys()")
    subprocess.run([sys.executable, "-c", code], check=True)


# What can be run here ------------------------------------------------------------------------------------------------


def test_a_teacher_that_is_not_there_is_named_with_its_command(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("adlib.settings.ROOT", tmp_path)
    grid = find_grid("stfpm_4")
    digits, cifar = row_of(grid, "digits"), row_of(grid, "CIFAR-10")
    command = "python -m adlib.lessons.pretraining"
    assert reason_to_skip(digits) == (f"data/teachers/efficientnet_lite0-digits.pt is not there; `{command} digits "
                                      "--backbone efficientnet_lite0` makes it")
    reason = reason_to_skip(cifar, "resnet18")
    assert reason.endswith(f"`{command} cifar10 --backbone resnet18` makes it, with a network")
    assert reason_to_skip(row_of(grid, "ImageNet")) is None
    assert reason_to_skip(row_of(grid, "random weights"), "resnet18") is None
    (tmp_path / "data/teachers").mkdir(parents=True)
    (tmp_path / "data/teachers/resnet18-digits.pt").touch()
    assert reason_to_skip(digits, "resnet18") is None
    assert reason_to_skip(digits) is not None
    assert run_of(grid, digits, {"backbone": "resnet18"})[1]["weights"] == "data/teachers/resnet18-digits.pt"


def test_weights_that_cannot_be_had_are_a_reason(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    monkeypatch.setattr("huggingface_hub.try_to_load_from_cache", lambda *_, **__: None)
    monkeypatch.setattr(teacher_module, "URLS", {"resnet18": "http://127.0.0.1:9/resnet18-0123abcd.pth"})
    row = row_of(find_grid("masked_rd_4"), "ResNet18")
    assert reason_to_skip(row).startswith("the ImageNet weights of resnet18 are not on this machine")
    assert reason_to_skip(row, weights="random") is None
    assert reason_to_skip(row, weights="gone.pt") == "gone.pt is not there; give a path, 'auto' or 'random'"
    (tmp_path / "checkpoints/resnet18-0123abcd.pth").touch()
    assert reason_to_skip(row) is None


# What the lessons make of the settings -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with a data set of one small category, and teachers trained on nothing."""
    folder = tmp_path_factory.mktemp("place")
    make_category(folder / "set", train=25, good=1, bad=1)
    (folder / "data/teachers").mkdir(parents=True)
    for seed, name in enumerate(("mnist", "cifar10", "cifar100", "svhn", "digits"), 1):
        torch.manual_seed(seed)
        torch.save(timm.create_model("tf_efficientnet_lite0").state_dict(),
                   folder / f"data/teachers/efficientnet_lite0-{name}.pt")
    return folder


@pytest.fixture
def build(place, monkeypatch):
    """Build a row's network and its stages with the lesson's own run cells, up to where it would be trained."""
    monkeypatch.chdir(place)
    monkeypatch.setattr("adlib.runs.cost.estimate_flops", lambda *_: 0)     # would need more than a meta device

    def built(grid, label: str, *, meta: bool = False) -> dict:
        common = {"data_root": "set", "category": "bolt", "budget": "smoke", "out_dir": str(place / "runs"),
                  "weights": "auto" if grid.name == "stfpm_4" else "random"}
        method, given = run_of(grid, row_of(grid, label), common)
        if method not in ("nearest", "stfpm"):      # what starts from the mean is it at first, in any form
            given = {"start": "none"} | given
        lesson = execute.LESSON_OF[method]
        if method == "destseg":
            given["texture_source"] = "set/bolt/train"
        return run_cells_of(lesson, given, "meta" if meta else "cpu")

    return built


def run_cells_of(lesson: str, given: dict, device: str) -> dict:
    """The namespace after the run cells that come before the training; networks on "meta" take no memory, no time."""
    cells = [cell for cell in read_lesson(lesson)["cells"] if "run" in cell["metadata"].get("tags", [])]
    sources, namespace = ["".join(cell["source"]) for cell in cells], {}
    for i, source in enumerate(sources):
        if "fit(" in source:
            break
        with torch.device(device if "Teacher(" in source else "cpu"):
            exec(source, namespace)
        namespace.update(given if i == 0 else {"device": device})
    return namespace


def count(module) -> int:
    return sum(p.numel() for p in module.parameters())


def random_images(n: int = 2) -> torch.Tensor:
    return torch.rand(n, 3, 64, 64, generator=torch.Generator().manual_seed(0))


def maps_of(found: dict) -> torch.Tensor:
    """Maps of random images, once a training step's loss was seen to be finite."""
    model, images = found["model"], random_images()
    for stage in found["stages"]:
        assert stage.loss(Batch(images), 0, torch.Generator().manual_seed(0)).isfinite()
    with torch.inference_mode():
        maps = model.eval()(images)
    assert maps.shape == (2, 256, 256)
    assert maps.isfinite().all()
    return maps


@pytest.mark.parametrize(("label", "channels"), [
    ("level 1", [24]), ("level 2", [40]), ("level 3", [112]), ("level 4", [320]), ("levels 1, 2", [24, 40]),
    ("levels 1, 2, 3", [24, 40, 112]), ("levels 1, 2, 3, 4", [24, 40, 112, 320]),
])
def test_stfpms_levels(build, label, channels):
    found = build(GRIDS["stfpm_3"], label)
    levels = tuple(int(digit) for digit in label.split(" ", 1)[1].split(", "))
    model = found["model"]
    assert model.levels == model.teacher.levels == levels
    t, s = model.eval().features(random_images())
    strides = [64 >> (level + 1) for level in levels]
    assert [tuple(x.shape[1:3]) for x in s] == [tuple(x.shape[1:3]) for x in t] == list(zip(channels, strides,
                                                                                            strict=True))
    assert count(model.student) == count(model.teacher)
    maps_of(found)


def test_each_teacher_is_another_network(build):
    grid = GRIDS["stfpm_4"]
    stems = {}
    for label in labels(grid):
        found = build(grid, label)
        stems[label] = found["model"].teacher.net.conv_stem.weight
    distinct = {tuple(stem.flatten().tolist()) for stem in stems.values()}
    assert len(distinct) == len(grid.rows) == 7
    saved = torch.load("data/teachers/efficientnet_lite0-svhn.pt", weights_only=True)
    assert torch.equal(stems["SVHN"], saved["conv_stem.weight"])
    maps_of(found)


@pytest.mark.parametrize(("label", "kept"), [("5 %", 1), ("10 %", 2), ("20 %", 4), ("50 %", 10), ("100 %", 20)])
def test_shares_of_the_training_images(build, label, kept):
    found = build(GRIDS["stfpm_5"], label)
    assert (len(found["data"].train), len(found["data"].validation)) == (kept, max(1, kept // 4))
    assert len(found["data"].test) == 2


@pytest.mark.parametrize(("name", "label", "numbers"), [
    ("stfpm_backbone", "EfficientNet-lite0", {"teacher": 700_768, "student": 700_768}),
    ("stfpm_backbone", "ResNet18", {"teacher": 2_782_784, "student": 2_782_784}),
    ("stfpm_backbone", "WideResNet50-2", {"teacher": 24_862_528, "student": 24_862_528}),
    ("masked_rd_4", "EfficientNet-lite0", {"teacher": 700_768}),
    ("masked_rd_4", "ResNet18", {"teacher": 2_782_784, "generators": 1_635_648}),
    ("masked_rd_4", "ResNet50", {"teacher": 8_543_296, "generators": 26_154_240}),
    ("masked_rd_4", "WideResNet50-2", {"teacher": 24_862_528, "generators": 26_154_240}),
])
def test_each_backbone_is_the_teachers_and_the_students(build, name, label, numbers):
    model = build(GRIDS[name], label, meta=True)["model"]
    assert {part: count(getattr(model, part)) for part in numbers} == numbers


@pytest.mark.parametrize("label", labels(GRIDS["destseg_4"]))
def test_destsegs_parts(build, label):
    found = build(GRIDS["destseg_4"], label)
    model, there = found["model"], set(label[3:].split(" + "))
    assert model.denoising == ("den" in there)
    assert (model.student.decoder is not None) == ("ed" in there)
    assert (model.segmentation_net is not None) == ("seg" in there)
    assert [stage.name for stage in found["stages"]] == ["student", "segmentation"][: 2 if "seg" in there else 1]
    images = random_images()
    of_clean = model.student_loss(*model.features(images))
    loss = found["stages"][0].loss(Batch(images), 0, torch.Generator().manual_seed(0))
    assert (loss != of_clean) == ("den" in there), "the student sees anomalies only with denoising"
    maps_of(found)


def test_destsegs_l1(build):
    losses = {}
    for label in labels(GRIDS["destseg_5"]):
        model = build(GRIDS["destseg_5"], label)["model"].eval()
        losses[label] = model.segmentation_loss(random_images(), torch.zeros(2, 64, 64))
        probability = model.segment(random_images()).sigmoid().mean()
    torch.testing.assert_close(losses["with L1"] - losses["without L1"], probability)


@pytest.mark.parametrize(("label", "channels"), [("concatenation", 352), ("distance", 3), ("product", 176)])
def test_destsegs_segmentation_input(build, label, channels):
    found = build(GRIDS["destseg_6"], label)
    assert found["model"].segmentation_net.res[0].main[0].in_channels == channels
    maps_of(found)


def test_masked_rds_generators(build):
    without, full = (build(GRIDS["masked_rd_5"], label) for label in labels(GRIDS["masked_rd_5"]))
    assert (len(without["model"].generators), len(full["model"].generators)) == (0, 3)
    assert count(without["model"]) == count(full["model"]) - count(full["model"].generators)
    assert not torch.equal(maps_of(without), maps_of(full))


@pytest.mark.parametrize("label", labels(GRIDS["masked_rd_6"]))
def test_masked_rds_attention(build, label):
    found = build(GRIDS["masked_rd_6"], label)
    attention = found["model"].bottleneck.attention
    assert isinstance(attention.conv, SCConv) == ("SCConv" in label)
    assert isinstance(attention.simam, SimAM) == ("SimAM" in label)
    maps_of(found)


@pytest.mark.parametrize("label", labels(GRIDS["masked_rd_7"]))
def test_masked_rds_levels(build, label):
    found = build(GRIDS["masked_rd_7"], label)
    model, levels = found["model"], [int(digit) for digit in label.split(" ", 1)[1].split(", ")]
    assert model.teacher.levels == (1, 2, 3), "the bottleneck sees them all"
    maps = model.level_maps(*model.eval().features(random_images()))
    assert [m.shape[-1] for m in maps] == [64 >> (level + 1) for level in levels]
    maps_of(found)


@pytest.mark.parametrize("label", labels(GRIDS["mask_ratio"]))
def test_the_mask_ratio(build, label):
    found = build(GRIDS["mask_ratio"], label)
    masks = found["model"].draw_masks([torch.empty(8, 1, 64, 64)], torch.Generator().manual_seed(0))
    assert 1 - masks[0].mean().item() == pytest.approx(float(label), abs=0.01)
    maps_of(found)


def test_both_cosines_of_both_methods(build):
    grid = GRIDS["cosine"]
    found = {label: build(grid, label) for label in labels(grid)}
    kinds = [(type(x["model"]).__name__, x["model"].cosine) for x in found.values()]
    assert kinds == [("ReverseDistillation", "flat"), ("ReverseDistillation", "pixel"),
                     ("MaskedRD", "pixel"), ("MaskedRD", "flat")]
    maps = [maps_of(x) for x in found.values()]
    assert torch.equal(maps[0], maps[1]), "only the loss differs"
    assert torch.equal(maps[2], maps[3])
    models = [x["model"] for x in found.values()]
    losses = [model.loss(*model.features(random_images())).item() for model in models]
    assert len(set(losses)) == 4


def test_the_order_of_fusion(build):
    early, late = (build(GRIDS["fusion"], label) for label in labels(GRIDS["fusion"]))
    assert (early["model"].fuse_at, late["model"].fuse_at) == ("stride4", "image")
    assert not torch.equal(maps_of(early), maps_of(late))


def test_the_scale_of_the_loss(build):
    grid = GRIDS["loss_scale"]
    found = {label: build(grid, label) for label in labels(grid)}
    losses = [x["stages"][0].loss(Batch(random_images()), 0, None).item() for x in found.values()]
    assert [loss / losses[0] for loss in losses] == pytest.approx([1, 1, 2, 32])
    rates = [x["stages"][0].optimizer.param_groups[0]["lr"] for x in found.values()]
    assert rates == [1.0, 0.4, 0.4, 0.4]        # of smoke, then the papers'


# Runs beside the papers' numbers -------------------------------------------------------------------------------------


def runs_of(grid, values: dict, **common) -> pd.DataFrame:
    """The ledger of {label: the value of each seed in all metrics}."""
    entries = []
    for label, numbers in values.items():
        for seed, value in enumerate(numbers):
            method, given = run_of(grid, row_of(grid, label), {"category": "circuit", "seed": seed, **common})
            given = given
            given = complete_parameters(execute.LESSON_OF[method], given)
            entries.append(new_entry(method, given) | {"metrics": dict.fromkeys(metrics.METRICS, value)})
    return tables.frame(entries)


def in_table(grid, values: dict) -> pd.DataFrame:
    return select_rows(runs_of(grid, values), grid)


def line_of(found, label: str, metric: str = "image_auroc") -> dict:
    return found.set_index(["metric", "label"]).loc[(metric, label)].to_dict()


@pytest.mark.parametrize(("name", "label", "changed"), [
    ("stfpm_3", "level 4", {"levels": ([1, 2, 3], [4])}),
    ("destseg_4", "4: seg", {"denoising": (True, False), "encoder_decoder": (True, False)}),
    ("loss_scale", "x 2 (STFPM's code)", {"lr": ("auto", 0.4), "level_weights": ("auto", [2.0, 2.0, 2.0])}),
    ("masked_rd_4", "ResNet18", {"backbone": ("wide_resnet50_2", "resnet18")}),
    ("cosine", "RD4AD, pixel", {"cosine": ("flat", "pixel")}),
    ("cosine", "masked RD, pixel", {}),
])
def test_what_a_row_changes(name, label, changed):
    assert ablations.changes(GRIDS[name], row_of(GRIDS[name], label)) == changed


@pytest.fixture(scope="module")
def everything() -> pd.DataFrame:
    """A run of every row of every table, each once."""
    rows = pd.concat([runs_of(grid, {label: [0.5] for label in labels(grid)}) for grid in GRIDS.values()])
    return rows.drop_duplicates(["variant", "backbone", "weights"])


@EVERY_GRID
def test_the_runs_of_every_row_are_found_among_all_others(everything, grid):
    found = select_rows(everything, grid)
    assert sorted(found["variant"]) == sorted(labels(grid))
    assert tables.only_group(found) is found


def test_an_extract_gives_the_same_rows_whether_weights_have_a_column_or_not():
    grid = GRIDS["stfpm_4"]
    ledger = runs_of(grid, {"ImageNet": [0.9], "digits": [0.6], "random weights": [0.5]})
    settings = [f"weights={w}" if w != "auto" else "" for w in ledger["weights"]]
    extract = tables.fill_columns(ledger.assign(setting=settings, weights="auto"))
    for found in (select_rows(ledger, grid), select_rows(extract, grid)):
        assert list(found["variant"]) == ["ImageNet", "digits", "random weights"]


def test_runs_that_share_a_parameter_are_told_from_those_that_do_not():
    grid, common = GRIDS["fusion"], {"weights": "mine.pt"}
    ledger = pd.concat([runs_of(grid, {"at image size (paper)": [0.5]}),
                        runs_of(grid, {"at image size (paper)": [0.6]}, **common)])
    assert list(select_rows(ledger, grid)["image_auroc"]) == [0.5]
    assert list(select_rows(ledger, grid, common)["image_auroc"]) == [0.6]


def test_the_pooled_spread_by_hand():
    grid = GRIDS["mask_ratio"]
    # Sums of squares 0.02 and 0.0002 with 2 and 1 degrees of freedom; one run alone has none.
    found = in_table(grid, {"0": [0.5, 0.6, 0.7], "0.25": [0.80, 0.82], "0.75": [0.9]})
    assert paper_comparison.pooled_std(found, "pro") == (pytest.approx((0.0202 / 3) ** 0.5), 3)
    std, df = paper_comparison.pooled_std(in_table(grid, {"0": [0.5]}), "pro")
    assert np.isnan(std)
    assert df == 0


@pytest.mark.parametrize(("rows", "expected"), [(2, 0.56419), (3, 0.84628), (8, 1.42360)])
def test_the_best_of_identical_rows_is_as_good_as_order_statistics_say(rows, expected):
    found = paper_comparison.identical_rows(0.03, rows=rows, seeds=4, tables=200_000)
    assert found.shape == (200_000, rows)
    assert found.max(axis=1).mean() == pytest.approx(0.015 * expected, rel=0.01)


def test_the_margin_is_where_students_test_turns():
    row, base = np.array([0.90, 0.93, 0.99]), np.array([0.80, 0.81])
    margin = paper_comparison.chance_margin([*row], [*base])
    assert scipy.stats.ttest_ind(row - row.mean() + margin, base - base.mean()).pvalue == pytest.approx(0.05)
    margin = paper_comparison.chance_margin([*row], [*base], comparisons=6)
    assert scipy.stats.ttest_ind(row - row.mean() + margin, base - base.mean()).pvalue == pytest.approx(0.05 / 6)


@pytest.mark.parametrize(("ratio", "expected"), [(1, 0.05), (3, 0.10)])
def test_how_often_rows_that_do_not_differ_pass_the_margin(ratio, expected):
    rng, comparisons = np.random.default_rng(0), 6
    rows = rng.standard_normal((3000, 3)) * ratio
    bases = rng.standard_normal((3000, 3))
    passed = [abs(row.mean() - base.mean()) > paper_comparison.chance_margin([*row], [*base], comparisons=comparisons)
              for row, base in zip(rows, bases, strict=True)]
    assert np.mean(passed) * comparisons == pytest.approx(expected, abs=0.03)


def test_without_a_spread_there_is_no_margin():
    assert np.isnan(paper_comparison.chance_margin([0.5], [0.9]))
    assert paper_comparison.chance_margin([0.5], [0.9, 0.9]) == 0


def test_our_rows_beside_the_papers_by_hand():
    grid = GRIDS["destseg_6"]
    found = compare_with_paper(in_table(grid, {"distance": [0.92, 0.90], "product": [0.90, 0.94, 0.98]}), grid)
    assert list(found["metric"].unique()) == list(grid.metrics)
    line = line_of(found, "distance")
    assert (line["base"], line["n"], line["verdict"]) == ("product", 2, "chance")
    assert line["each"] == pytest.approx([2, -4])
    assert [line[name] for name in ("mean", "points", "points_std", "published", "their_points")] == pytest.approx(
        [0.91, -1, 3 * 2 ** 0.5, 0.985, -0.1])
    std = (0.0034 / 3) ** 0.5
    assert line["margin"] == pytest.approx(100 * std * scipy.stats.t.ppf(0.975, 3) * (1 / 2 + 1 / 3) ** 0.5)
    base = line_of(found, "product")
    assert (base["points"], base["their_points"], base["verdict"]) == (0, 0, "")
    missing = line_of(found, "concatenation", "iap")
    assert missing["n"] == len(missing["each"]) == 0
    assert np.isnan([missing["mean"], missing["points"], missing["margin"]]).all()
    assert missing["their_points"] == pytest.approx(72.6 - 76.4)


@pytest.mark.parametrize(("values", "expected"), [
    ([0.70, 0.71, 0.72], "agrees"), ([0.96, 0.97, 0.98], "contradicts"), ([0.89, 0.90, 0.94], "chance"),
    ([0.1], "agrees"),
])
def test_verdicts(values, expected):
    grid = GRIDS["stfpm_3"]
    found = compare_with_paper(in_table(grid, {"levels 1, 2, 3": [0.90, 0.91, 0.92], "level 2": values}), grid)
    assert line_of(found, "level 2")["verdict"] == expected
    assert line_of(found, "level 1")["verdict"] == ""


def test_there_is_no_verdict_where_the_paper_has_no_difference():
    grid = GRIDS["mask_ratio"]
    assert set(compare_with_paper(in_table(grid, {"0": [0.1, 0.2], "0.5": [0.8, 0.9]}), grid)["verdict"]) == {""}


def test_a_base_row_without_runs_has_a_stand_in():
    grid = GRIDS["stfpm_backbone"]
    found = compare_with_paper(in_table(grid, {"EfficientNet-lite0": [0.8, 0.9], "WideResNet50-2": [0.7, 0.9]}), grid)
    assert set(found["base"]) == {"WideResNet50-2"}, "with published numbers"
    assert line_of(found, "EfficientNet-lite0")["points"] == pytest.approx(5)
    assert line_of(found, "ResNet18", "pixel_auroc")["their_points"] == pytest.approx(97.0 - 97.3)
    grid = GRIDS["masked_rd_7"]
    found = compare_with_paper(in_table(grid, {"levels 1, 2": [0.8], "levels 1, 3": [0.7]}), grid)
    assert set(found["base"]) == {"levels 1, 2"}, "the first, if none is published"
    assert line_of(found, "levels 1, 3")["points"] == pytest.approx(-10)
    assert found["their_points"].isna().all()


def test_a_single_row_is_compared_with_nothing():
    grid = GRIDS["stfpm_backbone"]
    found = compare_with_paper(in_table(grid, {"EfficientNet-lite0": [0.8, 0.9]}), grid)
    assert set(found["base"]) == {"ResNet18"}
    assert found["points"].isna().all()
    assert line_of(found, "WideResNet50-2", "pro")["their_points"] == pytest.approx(92.3 - 92.1)


def test_more_rows_make_the_margin_wider():
    grid = GRIDS["destseg_6"]
    values = {"distance": [0.92, 0.90], "product": [0.90, 0.94]}
    pair, three = (line_of(compare_with_paper(in_table(grid, rows), grid), "distance")["margin"]
                   for rows in (values, values | {"concatenation": [0.8, 0.8]}))
    assert three / pair == pytest.approx(scipy.stats.t.ppf(0.9875, 2) / scipy.stats.t.ppf(0.975, 2))


def test_each_method_has_its_own_base_row():
    grid = GRIDS["cosine"]
    found = compare_with_paper(in_table(grid, {"RD4AD, flat": [0.8], "RD4AD, pixel": [0.7], "masked RD, pixel": [0.5],
                                             "masked RD, flat": [0.6]}), grid)
    assert [line_of(found, label)["points"] for label in labels(grid)] == pytest.approx([0, -10, 0, 10])


def test_one_category_at_a_time():
    grid = GRIDS["fusion"]
    rows = pd.concat([in_table(grid, {"at stride 4 (code)": [0.8]}),
                      select_rows(runs_of(grid, {"at stride 4 (code)": [0.8]}, category="gravel"), grid)])
    with pytest.raises(ValueError, match="of circuit, gravel; take one category"):
        compare_with_paper(rows, grid)


def test_the_printed_table():
    grid = GRIDS["destseg_6"]
    found = compare_with_paper(in_table(grid, {"distance": [0.91], "product": [0.90, 0.94]}), grid)
    text = paper_comparison.as_text(found)
    assert list(text.index) == labels(grid)
    assert list(text["pixel AP", "ours"]) == ["-", "91.0 (1)", "92.0 ± 2.8 (2)"]
    assert list(text["pixel AP", "paper"]) == ["72.2", "72.0", "75.8"]

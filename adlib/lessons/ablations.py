"""Lesson 05: the ablations of the three papers and our own, each table a grid of runs. Imports no torch."""

from collections.abc import Callable
from dataclasses import dataclass, field

from adlib import find_input
from adlib.lessons import TEACHERS
from adlib.runs.execute import LESSON_OF
from adlib.runs.parameters import lesson_parameters

STFPM_METRICS = MASKED_METRICS = ("image_auroc", "pixel_auroc", "pro")
DESTSEG_METRICS = ("image_auroc", "pixel_ap", "iap")
OUR_METRICS = ("image_auroc", "pixel_ap", "pro")
EMBEDDED = "efficientnet_lite0"                         # its ImageNet weights come in a pip package


@dataclass(frozen=True)
class Row:
    """One row of a table: what its run changes, and which numbers of the paper stand beside it."""

    label: str
    settings: dict = field(default_factory=dict)    # lesson parameters that differ from the lesson's defaults
    published: dict = field(default_factory=dict)   # columns of published.csv that pick its numbers, over the grid's
    method: str = ""                                # where it is not the grid's
    note: str = ""                                  # what a reader must know before comparing


@dataclass(frozen=True)
class Grid:
    """One table: every row is trained on the same categories and seeds, and compared with its method's base row."""

    name: str
    method: str
    question: str                           # to be answered before one looks
    rows: tuple[Row, ...]
    base: tuple[str, ...]                   # labels, one per method: what the other rows are compared with
    metrics: tuple[str, ...]
    source: tuple[str, str] | None = None   # paper and table in published.csv; None where the table is ours
    others: tuple[Row, ...] = ()            # the paper's rows that no run of ours answers to
    note: str = ""


# STFPM


def _teacher_row(name: str, dataset: str, *, in_paper: bool, note: str = "") -> Row:
    return Row(name, {"weights": TEACHERS.replace("{dataset}", dataset)},
               {"method": f"teacher trained on {name}"} if in_paper else {}, note=note)


STFPM_3 = Grid(
    "stfpm_3", "stfpm",
    "Which single level is the best on its own? Does the deepest one, at stride 32, help the product of the others?",
    source=("STFPM", "3"), metrics=STFPM_METRICS, base=("levels 1, 2, 3",),
    note="The paper counts a ResNet's blocks from its stem: its block k + 1 is our level k, and block 5 (conv5_x) our "
         "level 4. Compare PRO with the other two numbers.",
    rows=(
        Row("level 1", {"levels": [1]}, {"method": "blocks 2"}),
        Row("level 2", {"levels": [2]}, {"method": "blocks 3"}),
        Row("level 3", {"levels": [3]}, {"method": "blocks 4"}),
        Row("level 4", {"levels": [4]}, {"method": "blocks 5"}),
        Row("levels 1, 2", {"levels": [1, 2]}, {"method": "blocks 2,3"}),
        Row("levels 1, 2, 3", {}, {"method": "blocks 2,3,4"}),
        Row("levels 1, 2, 3, 4", {"levels": [1, 2, 3, 4]}, {"method": "blocks 2,3,4,5"}),
    ))

STFPM_4 = Grid(
    "stfpm_4", "stfpm",
    "Must the teacher have seen photographs? How far does one get that has only read digits, or learnt nothing at all?",
    source=("STFPM", "4"), metrics=STFPM_METRICS, base=("ImageNet",),
    note="Our teachers come from adlib.lessons.pretraining, which trains them for a few hundred or thousand steps at "
         "64 px.",
    rows=(
        Row("ImageNet", {}, {"method": "teacher trained on ImageNet"}),
        _teacher_row("MNIST", "mnist", in_paper=True),
        _teacher_row("CIFAR-10", "cifar10", in_paper=True),
        _teacher_row("CIFAR-100", "cifar100", in_paper=True),
        _teacher_row("SVHN", "svhn", in_paper=True),
        _teacher_row("digits", "digits", in_paper=False,
                    note="ours: scikit-learn's 8 x 8 digits, which need no network; nearest to the paper's MNIST"),
        Row("random weights", {"weights": "random"}, note="ours: a teacher that was never trained"),
    ))

STFPM_5 = Grid(
    "stfpm_5", "stfpm",
    "How many normal images are enough? Is half of them as good as all, and a twentieth still of use?",
    source=("STFPM", "5"), metrics=STFPM_METRICS, base=("100 %",),
    note="A share is drawn from the training and from the held-back images, at least one of each. "
         "At budget paper the epochs are fixed, so fewer images also mean fewer steps; at smoke "
         "and demo the steps are fixed.",
    rows=(
        Row("5 %", {"train_share": 0.05}, {"method": "STFPM, 5 % of the training images"}),
        Row("10 %", {"train_share": 0.1}, {"method": "STFPM, 10 % of the training images"}),
        Row("20 %", {"train_share": 0.2}, note="ours, for small data sets"),
        Row("50 %", {"train_share": 0.5}, note="ours, for small data sets"),
        Row("100 %", {}, {"table": "3", "method": "blocks 2,3,4"}, note="the paper's row is its full model's"),
    ),
    others=(
        Row("SPADE, 5 %", published={"method": "SPADE, 5 % of the training images"}),
        Row("SPADE, 10 %", published={"method": "SPADE, 10 % of the training images"}),
    ))

STFPM_BACKBONE = Grid(
    "stfpm_backbone", "stfpm",
    "Does a teacher with nine times as many weights see more? In which of the numbers?",
    source=("STFPM", "text 4.3"), metrics=STFPM_METRICS, base=("ResNet18",),
    note="The paper gives no image AUROC for WideResNet50-2.",
    rows=(
        Row("EfficientNet-lite0", {}, note="ours: the embedded teacher"),
        Row("ResNet18", {"backbone": "resnet18"}, {"table": "3", "method": "blocks 2,3,4"}),
        Row("WideResNet50-2", {"backbone": "wide_resnet50_2"}, {"backbone": "wide_resnet50_2"}),
    ))

LOSS_SCALE = Grid(
    "loss_scale", "stfpm",
    "Every paper writes a learning rate of 0.4, but sums its loss differently. Does a factor of 32 in the loss matter?",
    metrics=OUR_METRICS, base=("the budget's learning rate",),
    note="The factor of the loss stands in level_weights, at learning rate 0.4; the weight decay stays as it is. The "
         "base row is the budget's own: the mean with learning rate 4.0 at demo, and at paper the very first of the "
         "others.",
    rows=(
        Row("the budget's learning rate"),
        Row("mean (STFPM's paper)", {"lr": 0.4}),
        Row("x 2 (STFPM's code)", {"lr": 0.4, "level_weights": [2.0, 2.0, 2.0]}, note="its loss lacks the factor 1/2"),
        Row("x 32 (sum over a batch of 32)", {"lr": 0.4, "level_weights": [32.0, 32.0, 32.0]},
            note="as DeSTSeg's code and anomalib's STFPM have it"),
    ))

FUSION = Grid(
    "fusion", "stfpm",
    "Multiply the level maps first and enlarge them then, or the other way round: can the numbers tell?",
    metrics=OUR_METRICS, base=("at stride 4 (code)",),
    note="The same students: only the maps differ.",
    rows=(
        Row("at stride 4 (code)"),
        Row("at image size (paper)", {"fuse_at": "image"}),
    ))

# DeSTSeg


def _destseg_row(number: int, *, den: bool, ed: bool, seg: bool) -> Row:
    """A row of its Table 4, which ticks the parts that are there."""
    parts = {"denoising": den, "encoder_decoder": ed, "segmentation": seg}
    ticked = [name for name, is_there in parts.items() if is_there]
    short = {"denoising": "den", "encoder_decoder": "ed", "segmentation": "seg"}
    label = " + ".join(short[name] for name in ticked) or "none"
    return Row(f"{number}: {label}", {name: False for name in parts if name not in ticked},
               {"method": f"exp {number}: {'+'.join(ticked) or 'none'}"})


DESTSEG_4 = Grid(
    "destseg_4", "destseg",
    "Which of the three parts (denoising, encoder-decoder, segmentation) brings most? Does each help on its own?",
    source=("DeSTSeg", "4"), metrics=DESTSEG_METRICS, base=("8: den + ed + seg",),
    note="Without segmentation the map is the product of the cosine distances. Which row of the paper has which parts "
         "is rebuilt from its text.",
    rows=(
        _destseg_row(1, den=False, ed=False, seg=False),
        _destseg_row(2, den=True, ed=False, seg=False),
        _destseg_row(3, den=False, ed=True, seg=False),
        _destseg_row(4, den=False, ed=False, seg=True),
        _destseg_row(5, den=True, ed=True, seg=False),
        _destseg_row(6, den=True, ed=False, seg=True),
        _destseg_row(7, den=False, ed=True, seg=True),
        _destseg_row(8, den=True, ed=True, seg=True),
    ))

DESTSEG_5 = Grid(
    "destseg_5", "destseg",
    "The L1 loss is a plain mean beside the focal loss. Which of the numbers would it move?",
    source=("DeSTSeg", "5"), metrics=DESTSEG_METRICS, base=("with L1",),
    rows=(
        Row("without L1", {"l1": False}, {"method": "without L1"}),
        Row("with L1", {}, {"method": "with L1"}),
    ))

DESTSEG_6 = Grid(
    "destseg_6", "destseg",
    "Three distances, the product of all channels, or both networks' features: from which does one segment best?",
    source=("DeSTSeg", "6"), metrics=DESTSEG_METRICS, base=("product",),
    rows=(
        Row("concatenation", {"segmentation_input": "concat"}, {"method": "concat input"},
            note="of unit features; the paper does not say whether its own are"),
        Row("distance", {"segmentation_input": "distance"}, {"method": "distance input"}),
        Row("product", {}, {"method": "product input"}),
    ))

# Masked reverse distillation, and RD4AD


MASKED_RD_4 = Grid(
    "masked_rd_4", "masked_rd",
    "How much of a good result is the backbone's?",
    source=("MaskedRD", "4"), metrics=MASKED_METRICS, base=("WideResNet50-2",),
    note="Bottleneck and decoder grow with the teacher, so more than the backbone changes.",
    rows=(
        Row("EfficientNet-lite0", {}, note="ours: the embedded teacher"),
        Row("ResNet18", {"backbone": "resnet18"}, {"backbone": "resnet18"}),
        Row("ResNet50", {"backbone": "resnet50"}, {"backbone": "resnet50"}),
        Row("WideResNet50-2", {"backbone": "wide_resnet50_2"}, {"backbone": "wide_resnet50_2"}),
    ))

MASKED_RD_5 = Grid(
    "masked_rd_5", "masked_rd",
    "What does it cost to leave out masks and generators, and to compare the decoder's features themselves?",
    source=("MaskedRD", "5"), metrics=MASKED_METRICS, base=("with generator",),
    note="Without its generators the network is smaller as well; the grid mask_ratio keeps them and varies the mask.",
    rows=(
        Row("without generator", {"mask_generator": False}, {"method": "without mask generator"}),
        Row("with generator", {}, {"method": "with mask generator"}),
    ))

MASKED_RD_6 = Grid(
    "masked_rd_6", "masked_rd",
    "SimAM has no weights to learn, SCConv replaces a plain convolution. Does either earn its place?",
    source=("MaskedRD", "6"), metrics=MASKED_METRICS, base=("SimAM + SCConv",),
    note="The order of the paper's rows is assumed. Its baseline is RD4AD as published, without mask generators; ours "
         "differs from the full model in nothing but the attention.",
    rows=(
        Row("neither", {"simam": False, "scconv": False}, {"method": "baseline"}),
        Row("SimAM", {"scconv": False}, {"method": "SimAM"}),
        Row("SCConv", {"simam": False}, {"method": "SCConv"}),
        Row("SimAM + SCConv", {}, {"method": "SimAM+SCConv"}),
    ))

MASKED_RD_7 = Grid(
    "masked_rd_7", "masked_rd",
    "The maps are added, not multiplied. Which level could be left out?",
    source=("MaskedRD", "7"), metrics=MASKED_METRICS, base=("levels 1, 2, 3",),
    note="Levels are left out of loss and map, the bottleneck sees all three; the paper does not say which it means. "
         "Which of its three pairs is which cannot be told from our copy; the order of its single levels is assumed.",
    rows=(
        Row("level 1", {"levels": [1]}, {"method": "levels 1"}),
        Row("level 2", {"levels": [2]}, {"method": "levels 2"}),
        Row("level 3", {"levels": [3]}, {"method": "levels 3"}),
        Row("levels 1, 2", {"levels": [1, 2]}),
        Row("levels 1, 3", {"levels": [1, 3]}),
        Row("levels 2, 3", {"levels": [2, 3]}),
        Row("levels 1, 2, 3", {}, {"method": "levels 1,2,3"}),
    ),
    others=tuple(Row(f"a pair, {n} row", published={"method": f"a pair of levels, {n} row"})
                 for n in ("first", "second", "third")))

MASK_RATIO = Grid(
    "mask_ratio", "masked_rd",
    "The paper does not name its mask ratio. Where would you set it, and how much does it matter?",
    metrics=OUR_METRICS, base=("0.5",),
    note="At 0 the generators are there and nothing is hidden.",
    rows=(
        Row("0", {"mask_ratio": 0.0}),
        Row("0.25", {"mask_ratio": 0.25}),
        Row("0.5"),
        Row("0.75", {"mask_ratio": 0.75}),
    ))

COSINE = Grid(
    "cosine", "masked_rd",
    "RD4AD's paper writes a loss per position, its code flattens each level. Which of the two would you publish?",
    metrics=OUR_METRICS, base=("RD4AD, flat", "masked RD, pixel"),
    note="Only the loss differs: the maps hold the distance at each position either way.",
    rows=(
        Row("RD4AD, flat", method="rd4ad", note="its official code"),
        Row("RD4AD, pixel", {"cosine": "pixel"}, method="rd4ad", note="the formula of its paper"),
        Row("masked RD, pixel", note="the formula of its paper"),
        Row("masked RD, flat", {"cosine": "flat"}),
    ))

GRIDS = {grid.name: grid for grid in (
    STFPM_3, STFPM_4, STFPM_5, STFPM_BACKBONE, DESTSEG_4, DESTSEG_5, DESTSEG_6,
    MASKED_RD_4, MASKED_RD_5, MASKED_RD_6, MASKED_RD_7, MASK_RATIO, COSINE, FUSION, LOSS_SCALE)}


def find_grid(name: str) -> Grid:
    """The grid of a table."""
    if name not in GRIDS:
        raise ValueError(f"there is no table {name!r}; choose one of {', '.join(GRIDS)}")
    return GRIDS[name]


def run_of(grid: Grid, row: Row, common: dict) -> tuple[str, dict]:
    """Method and parameters of a row's run, as for `runs.run`.

    Parameters
    ----------
    grid : Grid
    row : Row
        One of its rows.
    common : dict
        Parameters that all rows share: category, seed, budget, ...

    Raises
    ------
    ValueError
        A shared parameter that the grid itself varies: its rows would no longer be what they are called.
    """
    method = row.method or grid.method
    defaults = lesson_parameters(LESSON_OF[method])
    varied = {name for other in grid.rows for name in other.settings}
    for name in varied & common.keys():
        if common[name] != defaults[name]:
            raise ValueError(f"table {grid.name} varies {name} itself; leave {name}={common[name]!r} out")
    return method, common | _settings_for(row, common.get("backbone", defaults["backbone"]))


def _settings_for(row: Row, backbone: str) -> dict:
    """A row's settings for a backbone: each has teachers of its own."""
    return {name: value.format(backbone=backbone) if name == "weights" else value
            for name, value in row.settings.items()}


# What can be run here


def rows_of_table(name: str, given: Callable[[str], dict],
                  log: Callable[[str], None] = print) -> list[tuple[str, dict]]:
    """(method, parameters) of each row of an ablation that can be run here; says which cannot, and why.

    A teacher that has learnt digits needs no network to be made, so it is made if it is missing.
    """
    grid, rows = find_grid(name), []
    for row in grid.rows:
        method, parameters = run_of(grid, row, given(row.method or grid.method))
        backbone = parameters.get("backbone", EMBEDDED)
        weights = parameters.get("weights", "auto")
        reason = reason_to_skip(row, backbone, weights=weights)
        if reason and weights.endswith("-digits.pt"):
            from adlib.lessons.pretraining import pretrain  # takes seconds: torch

            pretrain("digits", backbone)
            reason = None
        if reason:
            log(f"skipped: {name}, {row.label}: {reason}")
        else:
            rows.append((method, parameters))
    return rows


def reason_to_skip(row: Row, backbone: str = EMBEDDED, *, weights: str = "auto") -> str | None:
    """Why a row cannot be run on this machine; None if it can.

    ImageNet weights that are not here are fetched, if there is a network: before the sweep, not by each of its runs.

    Parameters
    ----------
    row : Row
    backbone, weights : str
        Of the sweep; a row may have its own.
    """
    settings = _settings_for(row, backbone)
    backbone, weights = settings.get("backbone", backbone), settings.get("weights", weights)
    if weights == "random" or (weights == "auto" and backbone == EMBEDDED):
        return None
    if weights != "auto":
        return None if find_input(weights).is_file() else _how_to_get(row, weights, backbone)
    from adlib.networks.teacher import find_weights  # takes seconds: torch

    try:
        find_weights(backbone)
    except FileNotFoundError as error:
        return str(error)
    return None


def _how_to_get(row: Row, weights: str, backbone: str) -> str:
    """That a weights file is missing, and the command that makes it where there is one."""
    if "weights" not in row.settings:
        return f"{weights} is not there; give a path, 'auto' or 'random'"
    dataset = weights.rpartition("-")[2].removesuffix(".pt")
    network = "" if dataset == "digits" else ", with a network"
    return (f"{weights} is not there; `python -m adlib.lessons.pretraining {dataset} --backbone {backbone}` makes it"
            f"{network}")


# Base rows


def changes(grid: Grid, row: Row) -> dict[str, tuple]:
    """What a row changes against its base row: the values of both, by parameter."""
    base = next(r for r in grid.rows if r.label == base_of(grid, row))
    defaults = lesson_parameters(LESSON_OF[row.method or grid.method])
    old, new = (defaults | run_of(grid, r, {})[1] for r in (base, row))
    return {name: (old[name], new[name]) for name in defaults if old[name] != new[name]}


def base_of(grid: Grid, row: Row, with_runs: list[str] | None = None) -> str:
    """The label of a row's base row; where that has no runs but two others have, of a stand-in, a published one first.

    Parameters
    ----------
    grid : Grid
    row : Row
    with_runs : list of str, optional
        Labels of the rows that have runs; by default all.
    """
    same_method = [r for r in grid.rows if (r.method or grid.method) == (row.method or grid.method)]
    base = next(r.label for r in same_method if r.label in grid.base)
    candidates = [r for r in same_method if with_runs is None or r.label in with_runs]
    if base in [r.label for r in candidates] or len(candidates) < 2:
        return base
    return next((r for r in candidates if r.published), candidates[0]).label

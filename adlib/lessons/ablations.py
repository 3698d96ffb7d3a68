"""The ablations of the three papers and our own: each table a grid of runs. Imports no torch."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache

from adlib import find_input
from adlib.runs.execute import LESSON_OF
from adlib.runs.parameters import lesson_parameters

STFPM_METRICS = MASKED_METRICS = ("image_auroc", "pixel_auroc", "pro")
DESTSEG_METRICS = ("image_auroc", "pixel_ap", "iap")
OUR_METRICS = ("image_auroc", "pixel_ap", "pro")
TEACHERS = "data/teachers/{backbone}-{dataset}.pt"      # relative, so that a run has the same identity everywhere
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


def teacher_row(name: str, dataset: str, *, in_paper: bool, note: str = "") -> Row:
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
    note="Our teachers come from adlib.lessons.pretraining, which trains them for a few hundred or thousand steps at 64 px.",
    rows=(
        Row("ImageNet", {}, {"method": "teacher trained on ImageNet"}),
        teacher_row("MNIST", "mnist", in_paper=True),
        teacher_row("CIFAR-10", "cifar10", in_paper=True),
        teacher_row("CIFAR-100", "cifar100", in_paper=True),
        teacher_row("SVHN", "svhn", in_paper=True),
        teacher_row("digits", "digits", in_paper=False,
                    note="ours: scikit-learn's 8 x 8 digits, which need no network; nearest to the paper's MNIST"),
        Row("random weights", {"weights": "random"}, note="ours: a teacher that was never trained"),
    ))

STFPM_5 = Grid(
    "stfpm_5", "stfpm",
    "How many normal images are enough? Is half of them as good as all, and a twentieth still of use?",
    source=("STFPM", "5"), metrics=STFPM_METRICS, base=("100 %",),
    note="A share is drawn from the training and from the held-back images, at least one of each: of 48 training "
         "images, 5 % are two. At budget paper the epochs are fixed, so fewer images also mean fewer steps; at smoke "
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


def destseg_row(number: int, *, den: bool, ed: bool, seg: bool) -> Row:
    """A row of its Table 4, which ticks the parts that are there."""
    parts = {"denoising": den, "encoder_decoder": ed, "segmentation": seg}
    there = "+".join(name for name, on in parts.items() if on) or "none"
    short = " + ".join(name for name, on in {"den": den, "ed": ed, "seg": seg}.items() if on) or "none"
    return Row(f"{number}: {short}", {name: False for name, on in parts.items() if not on},
               {"method": f"exp {number}: {there}"})


DESTSEG_4 = Grid(
    "destseg_4", "destseg",
    "Which of the three parts (denoising, encoder-decoder, segmentation) brings most? Does each help on its own?",
    source=("DeSTSeg", "4"), metrics=DESTSEG_METRICS, base=("8: den + ed + seg",),
    note="Without segmentation the map is the product of the cosine distances.",
    rows=(
        destseg_row(1, den=False, ed=False, seg=False),
        destseg_row(2, den=True, ed=False, seg=False),
        destseg_row(3, den=False, ed=True, seg=False),
        destseg_row(4, den=False, ed=False, seg=True),
        destseg_row(5, den=True, ed=True, seg=False),
        destseg_row(6, den=True, ed=False, seg=True),
        destseg_row(7, den=False, ed=True, seg=True),
        destseg_row(8, den=True, ed=True, seg=True),
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
    return method, common | fill_in(row, common.get("backbone", defaults["backbone"]))


def fill_in(row: Row, backbone: str) -> dict:
    """A row's settings for a backbone: each has teachers of its own."""
    return {name: value.format(backbone=backbone) if name == "weights" else value
            for name, value in row.settings.items()}


def rows_of_table(name: str, given: Callable[[str], dict], log: Callable[[str], None] = print) -> list[tuple[str, dict]]:
    """(method, parameters) of each row of an ablation that can be run here; says which cannot, and why.

    A teacher that has learnt digits needs no network to be made, so it is made if it is missing.
    """
    grid, rows = find_grid(name), []
    for row in grid.rows:
        method, parameters = run_of(grid, row, given(row.method or grid.method))
        where = {key: parameters[key] for key in ("backbone", "weights") if key in parameters}
        reason = available(row, **where)
        if reason and parameters.get("weights", "").endswith("-digits.pt"):
            from adlib.lessons.pretraining import pretrain  # takes seconds: torch

            pretrain("digits", where.get("backbone", EMBEDDED))
            reason = None
        if reason:
            log(f"skipped: {name}, {row.label}: {reason}")
        else:
            rows.append((method, parameters))
    return rows


def available(row: Row, backbone: str = EMBEDDED, *, weights: str = "auto") -> str | None:
    """Why a row cannot be run on this machine; None if it can.

    ImageNet weights that are not here are fetched, if there is a network: before the sweep, not by each of its runs.

    Parameters
    ----------
    row : Row
    backbone, weights : str
        Of the sweep; a row may have its own.
    """
    settings = fill_in(row, backbone)
    backbone, weights = settings.get("backbone", backbone), settings.get("weights", weights)
    if weights == "random" or (weights == "auto" and backbone == EMBEDDED):
        return None
    if weights != "auto":
        return None if find_input(weights).is_file() else no_teacher(row, weights, backbone)
    from adlib.networks.teacher import find_weights  # takes seconds: torch

    try:
        find_weights(backbone)
    except FileNotFoundError as error:
        return str(error)
    return None


def no_teacher(row: Row, weights: str, backbone: str) -> str:
    """What is missing, and the command that makes it where there is one."""
    if "weights" not in row.settings:
        return f"{weights} is not there; give a path, 'auto' or 'random'"
    dataset = weights.rpartition("-")[2].removesuffix(".pt")
    network = "" if dataset == "digits" else ", with a network"
    return f"{weights} is not there; `python -m adlib.lessons.pretraining {dataset} --backbone {backbone}` makes it{network}"


# The papers' numbers


def published_rows(grid: Grid):
    """The paper's numbers beside a grid's rows.

    Returns
    -------
    pandas.DataFrame
        A row per label, then those of `others`, and a column per metric of the grid; in percent, NaN where the paper
        has no number, all of them where the table is ours.
    """
    import pandas as pd

    where = dict(zip(("paper", "table"), grid.source, strict=True)) if grid.source else {}
    table = {row.label: [look_up(metric, **where | row.published) if row.published else float("nan")
                         for metric in grid.metrics] for row in (*grid.rows, *grid.others)}
    return pd.DataFrame.from_dict(table, orient="index", columns=list(grid.metrics))


def look_up(metric: str, *, category: str = "mean", dataset: str = "mvtec", **columns: str) -> float:
    """The one published number, in percent, with these values in these columns; NaN where there is none.

    Raises
    ------
    ValueError
        There are several.
    """
    found = select_published(metric, category=category, dataset=dataset, **columns)
    if len(found) > 1:
        raise ValueError(f"published.csv has {len(found)} numbers of {metric} with {columns}; name more columns")
    return float(found["value"].iloc[0]) if len(found) else float("nan")


def select_published(metric: str, **columns: str):
    """Published numbers with these values in these columns, a pandas.DataFrame."""
    found = all_published()
    for name, value in ({"metric": metric} | columns).items():
        found = found[found[name] == value]
    return found


@cache
def all_published():
    from adlib.runs.published import read_published  # pandas takes half a second, and planning a sweep does without

    return read_published()


def contradictions(table: str | None = None) -> list[str]:
    """Where a paper's tables do not fit its text, its other tables or each other; numbers from published.csv.

    Parameters
    ----------
    table : str, optional
        Only what concerns this grid, or the whole paper that it is from; by default all.
    """
    named = [*GRIDS] if table is None else [find_grid(table).name]
    papers = {GRIDS[name].source[0] for name in named if GRIDS[name].source}
    return [text() for scope, text in CONTRADICTIONS if papers.union(named) & set(scope)]


def together(metrics: tuple[str, ...], **columns: str) -> str:
    """Published numbers side by side, as 98.5/97.8/93.9."""
    return "/".join(f"{look_up(metric, **columns):.1f}" for metric in metrics)


def one_base() -> str:
    def row(table: str, method: str) -> str:
        return together(MASKED_METRICS, paper="MaskedRD", table=table, method=method)

    rd = "/".join(f"{look_up(metric, paper='MaskedRD', table=table, method='rd4ad'):.1f}"
                  for metric, table in zip(MASKED_METRICS, "133", strict=True))
    return (f"Masked RD's Table 6 begins with {row('6', 'baseline')}, in Tables 1 and 3 the numbers of RD4AD ({rd}), "
            f"and ends with {row('6', 'SimAM+SCConv')}, in Table 5 those of the full model with its mask generators "
            f"({row('5', 'with mask generator')}). But without generators, and with all of the attention, Table 5 has "
            f"{row('5', 'without mask generator')}. They cannot both leave one part out of the same model.")


def count_above_98() -> str:
    found = select_published("pixel_auroc", paper="MaskedRD", table="3", method="masked_rd")
    categories = found.set_index("category")["value"].drop("mean")
    nearest = categories[categories <= 98].idxmax()
    return (f"Masked RD's text counts 13 categories above 98 % pixel AUROC; its Table 3 has {(categories > 98).sum()} "
            f"({nearest}: {categories[nearest]:.1f}).")


def lead_on_cifar10() -> str:
    ours, mkd = (look_up("image_auroc", dataset="cifar10", paper="MaskedRD", table="2", method=method)
                 for method in ("masked_rd", "MKD"))
    return f"Masked RD's text calls its lead over MKD on CIFAR-10 4 points; its Table 2 has {ours} and {mkd}."


def means_of_columns() -> str:
    found = {}
    for metric in ("pro", "pixel_auroc"):
        column = select_published(metric, paper="STFPM", table="1", method="stfpm").set_index("category")["value"]
        found[metric] = f"{column['mean']:.1f} where the categories average to {column.drop('mean').mean():.2f}"
    return (f"STFPM's Table 1 prints a mean PRO of {found['pro']}, and a mean pixel AUROC of {found['pixel_auroc']}; "
            f"its other tables go on with the printed ones.")


def denoising_alone() -> str:
    def row(method: str) -> str:
        return together(DESTSEG_METRICS, paper="DeSTSeg", table="4", method=method)

    return (f"DeSTSeg's denoising does not help by itself: from {row('exp 1: none')} to {row('exp 2: denoising')} with "
            f"an encoder only. With an encoder-decoder ({row('exp 3: encoder_decoder')} to "
            f"{row('exp 5: denoising+encoder_decoder')}) AP and IAP rise and image AUROC falls. Most of its "
            f"gain needs both other parts.")


def two_stfpms() -> str:
    again = [look_up(metric, paper="DeSTSeg", table=table, method="stfpm")
             for metric, table in zip(DESTSEG_METRICS, "123", strict=True)]
    first = together(DESTSEG_METRICS, paper="DeSTSeg", table="4", method="exp 1: none")
    return (f"DeSTSeg's Table 4 begins with STFPM's architecture in its own settings, {first}; as STFPM itself its "
            f"Tables 1 to 3 have {'/'.join(f'{x:.1f}' for x in again)}. So much do settings alone move.")


# Grids or papers that a text is about.
CONTRADICTIONS = (
    (("masked_rd_5", "masked_rd_6"), one_base),
    (("MaskedRD",), count_above_98),
    (("MaskedRD",), lead_on_cifar10),
    (("STFPM",), means_of_columns),
    (("destseg_4",), denoising_alone),
    (("destseg_4",), two_stfpms),
)


# Runs beside the papers' numbers


def changes(grid: Grid, row: Row) -> dict[str, tuple]:
    """What a row changes against its base row: the values of both, by parameter."""
    (_, base), (method, own) = (run_of(grid, r, {}) for r in (row_named(grid, base_of(grid, row)), row))
    defaults = lesson_parameters(LESSON_OF[method])
    both = {name: tuple({**defaults, **given}[name] for given in (base, own)) for name in defaults}
    return {name: (old, new) for name, (old, new) in both.items() if old != new}


def row_named(grid: Grid, label: str) -> Row:
    return next(row for row in grid.rows if row.label == label)


def base_of(grid: Grid, row: Row, there: list[str] | None = None) -> str:
    """The label of a row's base row; where that has no runs but two others have, of a stand-in, a published one first.

    Parameters
    ----------
    grid : Grid
    row : Row
    there : list of str, optional
        Labels of the rows that have runs; by default all.
    """
    same = [r for r in grid.rows if (r.method or grid.method) == (row.method or grid.method)]
    usual = next(r.label for r in same if r.label in grid.base)
    left = [r for r in same if there is None or r.label in there]
    if usual in [r.label for r in left] or len(left) < 2:
        return usual
    return next((r for r in left if r.published), left[0]).label


def select_rows(runs, grid: Grid, common: dict | None = None):
    """The runs that are rows of a table, its label as their `variant`.

    Parameters
    ----------
    runs : pandas.DataFrame
        `results.frame` of a ledger's entries, or `results.read_extract`.
    grid : Grid
    common : dict, optional
        Parameters that the table's runs share, as for `run_of`.

    Returns
    -------
    pandas.DataFrame
        Columns as in `runs`. Backbone and weights are blank where they differ between rows: the label says them.
    """
    labels = {identity(grid, row, common or {}): row.label for row in grid.rows}
    setting = [f"weights={w}" + f", {s}" * bool(s) if w != "auto" and not s.startswith("weights=") else s
               for w, s in zip(runs["weights"], runs["setting"], strict=True)]
    keys = zip(runs["method"], runs["backbone"], setting, strict=True)
    found = runs.assign(variant=[labels.get(key, "") for key in keys])
    found = found[found["variant"] != ""]
    return found.assign(**{name: "" for name in ("backbone", "weights") if found[name].nunique() > 1})


def identity(grid: Grid, row: Row, common: dict) -> tuple[str, str, str]:
    """Method, backbone and setting of a row's runs; unlike `results.frame`, weights are part of the setting."""
    from adlib.runs.tables import NO_SETTING, deviations

    method, given = run_of(grid, row, common)
    defaults = lesson_parameters(LESSON_OF[method])
    return method, given.get("backbone", defaults["backbone"]), deviations(given, defaults, NO_SETTING - {"weights"})


def pooled_std(runs, metric: str) -> tuple[float, int]:
    """The standard deviation over seeds that the runs' variants and categories share, and its degrees of freedom."""
    from adlib.runs.tables import by_seed

    return pool([[*seeds.values()] for (*_, name), seeds in by_seed(runs).items() if name == metric])


def pool(rows: list[list[float]]) -> tuple[float, int]:
    """The standard deviation that rows of numbers share, and its degrees of freedom; NaN where each is one number.

    Their variances are weighted by their degrees of freedom.
    """
    free = sum(len(row) - 1 for row in rows)
    total = sum((x - sum(row) / len(row)) ** 2 for row in rows for x in row)
    return ((total / free) ** 0.5 if free else float("nan")), free


def identical_rows(std: float, *, rows: int, seeds: int, tables: int = 10_000, seed: int = 0):
    """Simulated tables whose rows do not differ: normal noise with this standard deviation over seeds.

    Returns
    -------
    (tables, rows) float array
        Means over seeds; the truth of all rows is 0.
    """
    import numpy as np

    return std / seeds ** 0.5 * np.random.default_rng(seed).standard_normal((tables, rows))


def chance_margin(row: list[float], base: list[float], *, comparisons: int = 1) -> float:
    """How far the means of two rows that do not differ lie apart by chance: no farther, in 19 tables of 20.

    Student's t test, with the spread that both rows share; 5 % are divided among a table's comparisons (Bonferroni).
    With three seeds and one row that spreads three times as much as the other, 5 % are really 10 %.

    Parameters
    ----------
    row, base : list of float
        What each seed gave.
    comparisons : int
        Rows of the table that are compared with a base row.

    Returns
    -------
    float
        In the unit of the rows; NaN where no spread is known.
    """
    from scipy.stats import t

    std, free = pool([row, base])
    return float(std * (1 / len(row) + 1 / len(base)) ** 0.5 * t.ppf(1 - 0.025 / comparisons, free)) if free else std


def compare_with_paper(runs, grid: Grid):
    """Our rows beside the paper's, in [0, 1]; differences to the base row in percentage points.

    Parameters
    ----------
    runs : pandas.DataFrame
        `of_table`, of one category.
    grid : Grid

    Returns
    -------
    pandas.DataFrame
        A row per metric and label, those of `others` too: `metric, label, base`; `n, mean, std` over seeds;
        `published`; `each`, the difference of every seed that the base row has as well, `points`, their mean, and
        `points_std`; `margin`, of `chance_margin`; `their_points`; `verdict`: "agrees" or "contradicts" where our
        difference is beyond the margin and the paper has one, "chance" where it is within or there is no margin.

    Raises
    ------
    ValueError
        The runs are of several categories, or cannot be compared.
    """
    import pandas as pd

    from adlib.runs.tables import by_seed

    if runs["category"].nunique() > 1:
        raise ValueError(f"these runs are of {', '.join(sorted(set(runs['category'])))}; take one category")
    values = {(label, metric): seeds for (label, _, metric), seeds in by_seed(runs).items()}
    rows = (*grid.rows, *grid.others)
    return pd.DataFrame([line for metric in grid.metrics
                         for line in compare_metric(metric, {row.label: values.get((row.label, metric), {}) for row in rows},
                                               published_rows(grid)[metric], grid)])


def compare_metric(metric: str, values: dict[str, dict[int, float]], theirs, grid: Grid) -> list[dict]:
    """The rows of `beside` in one metric, from what each label's seeds gave and the published percent."""
    from adlib.runs.published import from_percent
    from adlib.runs.tables import in_points, mean_std_n

    there, lines = [label for label, seeds in values.items() if seeds], []
    bases = {row.label: base_of(grid, row, there) for row in (*grid.rows, *grid.others)}
    compared = sum(label != bases[label] for label in there)
    for label, base in bases.items():
        own, reference = values[label], values[base]
        mean, deviation, n = mean_std_n(own.values())
        each = [in_points(own[seed] - reference[seed]) for seed in own if seed in reference]
        points, points_std, _ = mean_std_n(each)
        margin = chance_margin([*own.values()], [*reference.values()], comparisons=compared) if each and (
            label != base) else float("nan")
        lines.append({
            "metric": metric, "label": label, "base": base, "n": n, "mean": mean, "std": deviation,
            "published": from_percent(theirs[label]), "each": each, "points": points, "points_std": points_std,
            "margin": in_points(margin), "their_points": theirs[label] - theirs[base]})
        lines[-1]["verdict"] = agreement(lines[-1])
    return lines


def agreement(line: dict) -> str:
    """Whether our difference to the base row has the sign of the paper's; empty where one of the two has none."""
    ours, theirs = line["points"], round(line["their_points"], 6)       # 98.6 - 98.6 of floats
    if not theirs or ours != ours or theirs != theirs:
        return ""
    if not abs(ours) > line["margin"]:
        return "chance"
    return "agrees" if (ours > 0) == (theirs > 0) else "contradicts"


def as_text(found):
    """`beside` as a table to print, in percent: our mean ± standard deviation (seeds) and the paper's number.

    Returns
    -------
    pandas.DataFrame
        A row per label, a pair of columns per metric.
    """
    import pandas as pd

    from adlib.metrics import METRIC_NAMES

    def ours(line) -> str:
        if not line.n:
            return "-"
        deviation = "" if line.std != line.std else f" ± {100 * line.std:.1f}"
        return f"{100 * line.mean:.1f}{deviation} ({line.n})"

    columns = {}
    for metric in found["metric"].unique():
        lines = [*found[found["metric"] == metric].itertuples()]
        columns[METRIC_NAMES[metric], "ours"] = [ours(line) for line in lines]
        columns[METRIC_NAMES[metric], "paper"] = ["-" if line.published != line.published else f"{100 * line.published:.1f}"
                                           for line in lines]
    return pd.DataFrame(columns, index=found["label"].unique())

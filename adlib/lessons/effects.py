"""Lessons 02, 03, 04 and 07: what a trained student sees. Is its answer about this image, or would any do as well?

A cosine has an easy way out: the direction that all images share. Every distance here is a mean over the normal
validation images of 1 - cos to the teacher's features, with another answer in the student's place each time.
"""

from collections.abc import Callable, Mapping

import pandas as pd
import torch
import torch.nn.functional as F
from matplotlib.figure import Figure
from torch import Generator, Tensor, nn

from adlib import perlin
from adlib.data import Category
from adlib.lessons.plots import ACCENT, ANOMALOUS, NORMAL, QUIET, new_figure
from adlib.losses import cosine_distance
from adlib.networks.layers import to_float
from adlib.networks.masked_rd import MaskedRD, ReverseDistillation, draw_mask
from adlib.networks.teacher import Pyramid

ALIVE = 1 / 3               # of the teacher's difference between two images: what a student that sees has at least
NEARER = 0.99               # of another answer's distance: what is not that near is as near as it

ANSWERS = {                 # in the student's place, for every method
    "own": "own image",
    "other": "another image",
    "noise": "noise",
    "constant": "one vector",
    "position": "mean per position",
}
OTHERS = {
    "teacher_apart": "the teacher's features of two images",
    "student_apart": "the student's answers to two images",
    "repaired": "student on the corrupted image, inside the corruption",
    "corrupted": "teacher on the corrupted image, inside the corruption",
    "inside": "mean per position, inside the corruption",
    "hidden": "restored at hidden positions",
    "visible": "restored at visible positions",
    "bare": "without the generators",
    "twin_hidden": "at hidden positions, twin trained without masks",
    "twin_visible": "at visible positions, twin trained without masks",
    "twin_own": "own image, twin trained without masks",
}

REPAIR = {                  # inside synthetic anomalies, against the clean image's teacher features
    "repaired": "the student",
    "corrupted": "teacher of the corrupted image",
    "inside": "mean per position",
}


@torch.no_grad()
def measure_effects(models: Mapping[str, nn.Module], category: Category, *, textures: Tensor | None = None,
                    twins: Mapping[str, MaskedRD] | None = None, seed: int = 0) -> pd.DataFrame:
    """The effects of each trained model, per level: mean cosine distances on normal validation images.

    Parameters
    ----------
    models : mapping of a name to a trained network
        `STFPM`, `DeSTSeg`, `ReverseDistillation` or `MaskedRD`; they are put in eval mode.
    category : Category
        Its training images give the means, at least two validation images are measured.
    textures : (T, 3, S, S) uint8 tensor, optional
        With them, what the students make of synthetic anomalies.
    twins : mapping of a name to MaskedRD, optional
        For masked models of these names, the same network trained with `mask_ratio=0`; masks are drawn at the ratio of
        the model, the same for both.
    seed : int
        Of noise, corruptions and masks.

    Returns
    -------
    DataFrame
        A row for each (method, level), a column for each of `ANSWERS` and `OTHERS`; NaN where it does not apply.

    Raises
    ------
    ValueError
        One validation image only: there is no other to compare with.
    """
    if len(category.validation) < 2:
        raise ValueError(f"{category.name} has {len(category.validation)} validation image; two answers can be "
                         f"compared from two on")
    tables = {}
    for name, model in models.items():
        model.eval()
        columns = measure_answers(model, category, seed=seed)
        if textures is not None:
            columns |= measure_repair(model, category, textures, seed=seed)
        if isinstance(model, MaskedRD) and model.generators:
            columns |= measure_masks(model, category, (twins or {}).get(name), seed=seed)
        tables[name] = pd.DataFrame(columns, index=pd.Index(levels_of(model), name="level"))
    return pd.concat(tables, names=["method"]).reindex(columns=[*ANSWERS, *OTHERS])


def measure_answers(model: nn.Module, category: Category, *, seed: int) -> dict[str, list[float]]:
    """Distance of the teacher's features to each of `ANSWERS`, and how far two images are apart."""
    images = on_device(model, category.validation)
    noise = torch.rand(images.shape, generator=Generator().manual_seed(seed)).to(images)
    t, s = model.features(images)
    mean = mean_features(model, category.train)
    constant = [m.mean(dim=(2, 3), keepdim=True) for m in mean]
    return {
        "own": mean_distance(t, s),
        "other": mean_distance(t, next_image(s)),
        "noise": mean_distance(t, model.features(noise)[1]),
        "constant": mean_distance(t, [m.expand_as(a) for m, a in zip(constant, t, strict=True)]),
        "position": mean_distance(t, [m.expand_as(a) for m, a in zip(mean, t, strict=True)]),
        "teacher_apart": mean_distance(t, next_image(t)),
        "student_apart": mean_distance(s, next_image(s)),
    }


def measure_repair(model: nn.Module, category: Category, textures: Tensor, *, seed: int) -> dict[str, list[float]]:
    """Inside synthetic anomalies, distance to what the teacher sees in the clean image; NaN if a level has no cell."""
    generator, clean = Generator().manual_seed(seed), to_float(category.validation)
    corrupted, masks = perlin.corrupt(clean, textures, generator=generator)
    t = model.features(on_device(model, clean))[0]
    broken, repaired = model.features(on_device(model, corrupted))
    inside = [F.interpolate(masks, size=a.shape[-2:], mode="area")[:, 0].to(a.device) > 0.5 for a in t]
    mean = [m.expand_as(a) for m, a in zip(mean_features(model, category.train), t, strict=True)]
    return {name: mean_distance(t, answer, inside)
            for name, answer in [("repaired", repaired), ("corrupted", broken), ("inside", mean)]}


def measure_masks(model: MaskedRD, category: Category, twin: MaskedRD | None, *, seed: int) -> dict[str, list[float]]:
    """What the generators restore behind masks and beside them, and what the decoder alone is worth."""
    images, ratio = on_device(model, category.validation), model.mask_ratio or 0.5
    columns = {}
    for prefix, net in [("", model), ("twin_", twin)]:
        if net is None:
            continue
        generator = Generator().manual_seed(seed)
        t, decoded = net.eval().rebuild(images)
        masks = [draw_mask(x, ratio, generator=generator) for x in decoded]
        restored = net.restore(decoded, masks)
        columns[prefix + "hidden"] = mean_distance(t, restored, [m[:, 0] == 0 for m in masks])
        columns[prefix + "visible"] = mean_distance(t, restored, [m[:, 0] == 1 for m in masks])
        columns.setdefault("bare", mean_distance(t, decoded))
        if prefix:
            columns[prefix + "own"] = mean_distance(*net.features(images))
    return columns


@torch.no_grad()
def probe_embeddings(model: ReverseDistillation, bottlenecks: Mapping[str, Callable[[Pyramid], Tensor]],
                     category: Category, *, strengths: tuple[float, ...] = (0.1, 1.0, 10.0, 100.0),
                     ) -> dict[str, dict[str, list[float]]]:
    """What a linear probe reads off the embedding of each bottleneck, without a decoder: ridge regression.

    It learns on the training images to guess the teacher's features of an image, and is asked about held-back ones. In
    its dual form a guess is the mean plus a mix of what training images have beyond it.

    Parameters
    ----------
    model : ReverseDistillation
        Whose teacher's features are guessed.
    bottlenecks : dict
        From the teacher's pyramid to an embedding: the model's own, or others in its place.
    category : Category
    strengths : tuple of float
        Of the ridge, in mean squared lengths of the (centred) embeddings. At each level that is taken which guesses
        each training image best from all others.

    Returns
    -------
    dict of dict
        Per bottleneck and level: `distance` of the guesses to the teacher's features, and how far those of two images
        are `apart`, as a share of how far the teacher's are.
    """
    known, seen = read_embeddings(model, bottlenecks, category.train)
    asked, truth = read_embeddings(model, bottlenecks, category.validation)
    own_apart = mean_distance(truth, next_image(truth))
    found = {}
    for name in bottlenecks:
        guesses = [guess_by_ridge(known[name], t, asked[name], strengths) for t in seen]
        apart = zip(mean_distance(guesses, next_image(guesses)), own_apart, strict=True)
        found[name] = {"distance": mean_distance(truth, guesses), "apart": [guess / own for guess, own in apart]}
    return found


def guess_by_ridge(known: Tensor, seen: Tensor, asked: Tensor, strengths: tuple[float, ...]) -> Tensor:
    """Features (V, C, H, W) for embeddings `asked`, (V, D), learnt from (N, D) `known` and (N, C, H, W) `seen`."""
    mean, beyond = known.mean(dim=0), seen - seen.mean(dim=0)
    known, asked = known - mean, asked - mean
    inner, one = known @ known.T, torch.eye(len(known), device=known.device)            # (N, N)

    def left_out(ridge: Tensor) -> float:       # squared error of guesses of each image from all others
        hat = torch.linalg.solve(inner + ridge, inner)
        own = (hat.diagonal() + 1 / len(hat))[:, None]      # an image's share in its own guess, by the mean as well
        return float((((one - hat) @ beyond.flatten(1)) / (1 - own)).square().sum())

    ridges = [one * strength * inner.diagonal().mean().clamp(min=1e-9) for strength in strengths]
    mix = torch.linalg.solve(inner + min(ridges, key=left_out), known @ asked.T).T      # (V, N): of each held-back one
    return seen.mean(dim=0) + torch.einsum("vn,nchw->vchw", mix, beyond)


def read_embeddings(model: nn.Module, bottlenecks: Mapping[str, Callable[[Pyramid], Tensor]], images: Tensor, *,
                    batch: int = 32) -> tuple[dict[str, Tensor], Pyramid]:
    """Embeddings, (N, D) each, and the features that the student is compared with, (N, C_k, H_k, W_k) per level."""
    embedded, features = {name: [] for name in bottlenecks}, []
    for chunk in images.split(batch):
        x = on_device(model, chunk)
        pyramid = model.teacher(x)
        for name, bottleneck in bottlenecks.items():
            embedded[name].append(bottleneck(pyramid).flatten(1))
        features.append(model.features(x)[0])
    return ({name: torch.cat(of) for name, of in embedded.items()},
            [torch.cat(level) for level in zip(*features, strict=True)])


def student_sees(table: pd.DataFrame) -> pd.DataFrame:
    """Whether each student sees, per (method, level): the tests that a collapsed one fails.

    Parameters
    ----------
    table : DataFrame
        Of `measure_effects`.

    Returns
    -------
    DataFrame of bool
        `differs`: two answers are apart by at least a third of what the teacher's are. `own`: nearer to its own image
        than to another. `beats_mean`: nearer than the mean per position. `repairs`: the same inside corruptions, False
        where these were not measured. Nearer is nearer by a hundredth at least.
    """
    return pd.DataFrame({
        "differs": table["student_apart"] >= ALIVE * table["teacher_apart"],
        "own": table["own"] <= NEARER * table["other"],
        "beats_mean": table["own"] <= NEARER * table["position"],
        "repairs": table["repaired"] <= NEARER * table["inside"],
    })


def nearer(own: float, other: float, than: str) -> str:
    """How much nearer to the teacher one answer is than another, in words; under a percent is no difference."""
    gain = 1 - own / other
    if abs(gain) < 1 - NEARER:
        return f"as near as {than}"
    return f"{abs(gain):.0%} {'nearer' if gain > 0 else 'farther'} than {than}"


def describe_effects(table: pd.DataFrame) -> str:
    """What the table of one method says, as Markdown: a line per level, and at which of them every test holds."""
    if len(names := table.index.unique("method")) != 1:
        raise ValueError(f"expected the table of one method, not of {', '.join(names)}")
    seen, lines = student_sees(table.fillna({"repaired": float("inf")})).droplevel("method"), []
    tests = ["differs", "own", "beats_mean", *(["repairs"] if table["repaired"].notna().any() else [])]
    for level, row in table.droplevel("method").iterrows():
        share = row["student_apart"] / row["teacher_apart"]
        lines.append(f"- **Level {level}**: two images get answers that are {share:.0%} as far apart as the teacher's "
                     f"features. The answer to an image is {nearer(row['own'], row['other'], 'the one to another')} "
                     f"and {nearer(row['own'], row['position'], 'the mean per position')}.")
        if row[["repaired", "inside"]].notna().all():
            lines[-1] += (f" Inside corruptions it is {nearer(row['repaired'], row['inside'], 'that mean')} and "
                          f"{nearer(row['repaired'], row['corrupted'], 'the teacher of the corrupted image')}.")
    good = [str(level) for level in seen.index[seen[tests].all(axis=1)]]
    failed = [f"*{name}* at level {', '.join(str(level) for level in seen.index[~seen[name]])}"
              for name in tests if not seen[name].all()]
    verdict = f"All tests hold at level {', '.join(good)}." if good else "At no level do all tests hold."
    return "\n".join(lines) + "\n\n" + verdict + (f" What fails: {'; '.join(failed)}." if failed else "")


def count_heard(scores: Tensor, data: Category) -> dict[str, int]:
    """How many test images of each defect type score higher than 95 % of the normal ones, from their (N,) scores."""
    loud = (scores > scores[~data.labels].quantile(0.95)).tolist()
    return {d: sum(hit for hit, name in zip(loud, data.defects, strict=True) if name == d)
            for d in sorted({*data.defects} - {"good"})}


def plot_effects(table: pd.DataFrame, answers: Mapping[str, str] = ANSWERS) -> Figure:
    """A row of axes per method, a column per level: the student's own answer beside those that need no student."""
    methods, levels = (table.index.unique(name) for name in ("method", "level"))
    height = 0.75 + 0.2 * len(answers)
    figure, axes = new_figure(len(methods), len(levels), width=3.2, height=height, sharex=True, sharey=True)
    colours = {"own": NORMAL, "other": ANOMALOUS, "position": ACCENT,
               "repaired": NORMAL, "corrupted": ANOMALOUS, "inside": ACCENT,
               "hidden": NORMAL, "twin_hidden": ANOMALOUS}
    for row, method in zip(axes, methods, strict=True):
        for ax, level in zip(row, levels, strict=True):
            if (method, level) in table.index:
                values = table.loc[(method, level), list(answers)]
                bars = ax.barh(range(len(answers)), values, color=[colours.get(name, QUIET) for name in answers],
                               height=0.7)
                ax.bar_label(bars, fmt="%.3f", fontsize=7, padding=2)
                ax.margins(x=0.15)
            ax.set_title(f"{method}, level {level}")
        row[0].set_yticks(range(len(answers)), answers.values())
    axes[0, 0].invert_yaxis()       # shared by all
    for ax in axes[-1]:
        ax.set_xlabel("1 - cos to the teacher")
    return figure


def shares_by_category(extract: pd.DataFrame) -> pd.DataFrame:
    """Two shares per (category, seed, level) of an extract of one method's effects.

    Parameters
    ----------
    extract : DataFrame
        Rows of `effects.csv`: category, seed, level, and the columns of `measure_effects`.

    Returns
    -------
    DataFrame
        `apart`: how far two answers are apart, as a share of how far the teacher's are. `nearer`: by what share the
        answer inside corruptions is nearer to the clean image than the mean per position.
    """
    rows = extract.set_index(["category", "seed", "level"]).sort_index()
    return pd.DataFrame({"apart": rows["student_apart"] / rows["teacher_apart"],
                         "nearer": 1 - rows["repaired"] / rows["inside"]})


def plot_by_category(shares: pd.DataFrame) -> Figure:
    """Both shares of `shares_by_category`: a row per category, a mark per level, one for each seed."""
    categories, levels = (shares.index.unique(name) for name in ("category", "level"))
    figure, axes = new_figure(1, 2, width=4.0, height=0.36 * len(categories) + 0.9, sharey=True)
    texts = {"apart": "two answers apart\n(% of the teacher's features)",
             "nearer": "nearer than the mean per position\ninside corruptions (%)"}
    for ax, (name, text), line in zip(axes[0], texts.items(), (100 * ALIVE, 0), strict=True):
        ax.axvline(line, color=QUIET, ls=":", lw=1)
        for level, colour, marker in zip(levels, (NORMAL, ANOMALOUS, ACCENT), "os^", strict=False):
            own = shares.xs(level, level="level")[name]
            y = [list(categories).index(c) for c in own.index.get_level_values("category")]
            ax.plot(100 * own, y, marker, color=colour, ms=5, label=f"level {level}")
        ax.set_xlabel(text)
    axes[0, 0].set(yticks=range(len(categories)), yticklabels=categories, ylim=(len(categories) - 0.5, -0.5))
    axes[0, 1].legend(loc="upper left", bbox_to_anchor=(1, 1))
    return figure


# Helpers


def levels_of(model: nn.Module) -> tuple[int, ...]:
    """Levels at which teacher and student are compared."""
    return tuple(getattr(model, "levels", model.teacher.levels))


def on_device(model: nn.Module, images: Tensor) -> Tensor:
    return to_float(images).to(model.teacher.mean.device)


def mean_features(model: nn.Module, images: Tensor, *, batch: int = 32) -> Pyramid:
    """Mean at each position of the unit features that the student is compared with, (1, C_k, H_k, W_k) per level."""
    totals = [0.0] * len(levels_of(model))
    for chunk in images.split(batch):
        t = model.features(on_device(model, chunk))[0]      # not the teacher's own: DeSTSeg standardises them
        totals = [total + F.normalize(x.float(), dim=1, eps=1e-6).sum(dim=0, keepdim=True)
                  for total, x in zip(totals, t, strict=True)]
    return [total / len(images) for total in totals]


def next_image(features: Pyramid) -> Pyramid:
    """Features of the next image in each image's place."""
    return [f.roll(1, dims=0) for f in features]


def mean_distance(t: Pyramid, s: Pyramid, where: list[Tensor] | None = None) -> list[float]:
    """Mean over images and positions of 1 - cos, per level; `where` holds (N, H_k, W_k) bool tensors."""
    distances = [cosine_distance(a, b) for a, b in zip(t, s, strict=True)]
    if where is not None:
        distances = [d[w] for d, w in zip(distances, where, strict=True)]
    return [d.mean().item() for d in distances]

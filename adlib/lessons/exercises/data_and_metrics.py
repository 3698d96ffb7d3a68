"""Exercises of lesson 00."""

import numpy as np

from adlib import metrics
from adlib.lessons.exercises import is_number, judge, judge_function


def auroc_by_counting(answer: object) -> None:
    """Lesson 00, exercise 1: AUROC of normal scores .2 .4 .4 and anomalous scores .4 .9."""
    hints = {
        4 / 6: "a tie is neither lost nor won: it counts one half",
        6 / 6: "a tie is not a win: it counts one half",
        1 / 6: "that is the share of pairs that the normal scores win; turn it around",
        0.83: "nearly: give three decimals",
        5 / 2: "divide by the number of pairs, 3 x 2, not by the number of anomalous scores",
        5: "that is the number of pairs won; divide by the number of pairs",
    }
    judge(answer, 5 / 6, "four of the six pairs are won and two are tied: 4 + 2 x 1/2 = 5 of 6", hints,
          "write down the 3 x 2 pairs (normal, anomalous) and count 1 for a win, 1/2 for a tie")


def pro_of_one_region(answer: object) -> None:
    """Lesson 00, exercise 2: a function of (scores, mask), both (H, W), that gives PRO where the mask is one region."""
    def mean_of_points(scores: np.ndarray, mask: np.ndarray) -> float:
        fpr, overlap = region_curve(scores, mask)
        return overlap[fpr <= 0.3].mean()

    judge_function(
        answer, lambda scores, mask: metrics.pro(scores[None], mask[None]), random_regions(8),
        "on eight maps it gives what metrics.pro gives; with one region, PRO is the ROC curve up to 0.3",
        {"that is the area; PRO divides it by 0.3": lambda s, m: 0.3 * area_to_limit(*region_curve(s, m)),
         "that is the area up to 1, pixel AUROC; PRO stops at a false-positive rate of 0.3": metrics.auroc,
         "the curve must stop at a false-positive rate of 0.3 before it is divided by 0.3":
             lambda s, m: metrics.auroc(s, m) / 0.3,
         "the curve ends at its last point before 0.3; interpolate the point at 0.3":
             lambda s, m: area_to_limit(*region_curve(s, m), end=False),
         "np.interp turns each vertical step into a ramp: keep the points, and interpolate only the end":
             lambda s, m: area_to_limit(*region_curve(s, m), ramps=True),
         "that is what is missing; PRO is one minus it": lambda s, m: 1 - area_to_limit(*region_curve(s, m)),
         "pixels of equal score must enter together: keep the last point of each run of equal scores":
             lambda s, m: area_to_limit(*region_curve(s, m, together=False)),
         "the false-positive rate is a share of the normal pixels, not of all":
             lambda s, m: area_to_limit(*region_curve(s, m, false_of=m.size)),
         "the share of all pixels that are flagged is no false-positive rate: count the normal ones":
             lambda s, m: area_to_limit(*region_curve(s, np.zeros_like(m), false_of=m.size, region=m)),
         "that is the mean over points; they lie unevenly, so take the area (np.trapezoid)": mean_of_points},
        "draw the curve, the region's overlap over the share of normal pixels flagged, and take its area up to 0.3")


def random_regions(count: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """8 x 8 scores and masks with one region each; every second map has many equal scores."""
    rng, cases = np.random.default_rng(0), []
    for k in range(count):
        mask = np.zeros((8, 8), bool)
        top, left = rng.integers(0, 4, 2)
        mask[top:top + 2 + k % 3, left:left + 3] = True
        scores = rng.random((8, 8)) + 0.4 * mask
        cases.append((np.round(scores, 1) if k % 2 else scores, mask))
    return cases


def region_curve(scores: np.ndarray, mask: np.ndarray, *, together: bool = True, false_of: int | None = None,
                 region: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
    """False-positive rate and overlap of one region from the highest score down, by options also computed wrongly."""
    order = np.argsort(-scores.ravel(), kind="stable")
    false, hit = ~mask.ravel()[order], (mask if region is None else region).ravel()[order]
    last = np.append(np.diff(scores.ravel()[order]) != 0, True) if together else slice(None)
    fpr, overlap = false.cumsum() / (false_of or false.sum()), hit.cumsum() / hit.sum()
    return np.append(0, fpr[last]), np.append(0, overlap[last])


def area_to_limit(fpr: np.ndarray, overlap: np.ndarray, *, end: bool = True, ramps: bool = False) -> float:
    """Area under a curve up to a false-positive rate of 0.3, divided by 0.3, by options also computed wrongly."""
    inside = fpr <= 0.3
    x, y = fpr[inside], overlap[inside]
    if end:
        x, y = np.append(x, 0.3), np.append(y, np.interp(0.3, fpr, overlap))
    return np.trapezoid(np.interp(x, fpr, overlap) if ramps else y, x) / 0.3


def alarms_above_all(answer: object, validation_scores, test_scores, test_labels) -> None:
    """Lesson 00, exercise 3: shares of normal and of anomalous test images above every validation score."""
    if answer is ...:
        return print("not yet: set `answer` and run this cell again")
    pair = list(answer) if isinstance(answer, tuple | list) or getattr(answer, "ndim", 0) == 1 else []
    if len(pair) != 2 or not all(map(is_number, pair)):
        return print("not yet: both numbers, please: answer = alarms, found")
    validation = np.asarray(validation_scores, float)
    scores, labels = np.asarray(test_scores, float), np.asarray(test_labels, bool)

    def shares(flagged: np.ndarray) -> list[float]:
        return [flagged[~labels].mean(), flagged[labels].mean()]

    above = scores > validation.max()
    section_4 = shares(scores >= metrics.image_threshold(validation))
    right, n = shares(above), max(above.sum(), 1)
    hints = [
        (right[::-1], "the other way round: first the normal images, then the anomalous ones"),
        ([above[~labels].sum(), above[labels].sum()],
         "those are numbers of images; divide by how many there are of each kind"),
        ([100 * x for x in right], "shares, please, not percent"),
        ([1 - x for x in right], "those are the shares that pass"),
        ([above[~labels].sum() / n, above[labels].sum() / n],
         "those are shares of the flagged images; divide by how many there are of each kind"),
        ([above[~labels].sum() / scores.size, above[labels].sum() / scores.size],
         "those are shares of all images; divide by how many there are of each kind"),
        (section_4, "those are the shares for section 4's threshold, metrics.image_threshold(validation_scores)"),
        (shares(scores > np.quantile(validation, 0.95)),
         "that threshold is the 95 % quantile of validation_scores; take the highest"),
        (shares(scores > scores[~labels].max(initial=-np.inf)),
         "that threshold was taken from the test images themselves: use the validation scores"),
    ]

    def is_answer(wanted: list[float], within: float = 2e-3) -> bool:
        return np.allclose([float(x) for x in pair], wanted, rtol=0, atol=within)

    if is_answer(right):
        return print(f"right: {right[0]:.1%} of the normal and {right[1]:.1%} of the anomalous test images are flagged"
                     f"; by section 4's threshold it was {section_4[0]:.1%} and {section_4[1]:.1%}")
    if is_answer(right, within=6e-3):
        return print("not yet: nearly; give three decimals")
    near = [hint for wrong, hint in hints if is_answer(wrong)]
    return print(f"not yet: {[*near, 'flagged = scores > validation_scores.max(); then a mean over each kind'][0]}")


def high_auroc_low_ap(answer: object, mask) -> None:
    """Lesson 00, exercise 4: a map with pixel AUROC above 0.9 and pixel AP below 0.2 on the given mask."""
    if answer is ...:
        return print("not yet: set `answer` and run this cell again")
    mask = np.asarray(mask, bool)
    try:
        scores = np.asarray(answer, float)
    except (TypeError, ValueError):
        return print(f"not yet: `answer` should be an array of numbers of shape {mask.shape}")
    if scores.shape != mask.shape or not np.isfinite(scores).all():
        return print(f"not yet: `answer` should be a finite array of shape {mask.shape}, this is {scores.shape}")
    auroc, ap = metrics.auroc(scores, mask), metrics.average_precision(scores, mask)
    found = f"AUROC {auroc:.3f}, AP {ap:.3f}"
    if auroc <= 0.9:
        return print(f"not yet ({found}): the defect must lie above at least nine tenths of the normal pixels")
    if ap >= 0.2:
        n = mask.sum()
        return print(f"not yet ({found}): let more normal pixels score above the defect, but less than a tenth of all; "
                     f"with k of them above its {n} pixels, AP is about {n} / ({n} + k)")
    return print(f"right ({found}): a few false alarms among many pixels hardly move AUROC, and ruin the precision")

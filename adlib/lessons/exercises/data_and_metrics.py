"""Exercises of lesson 00."""

import numpy as np

from adlib import metrics
from adlib.lessons.exercises import judge


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
    judge(answer, 5 / 6, "5 of 6 pairs are won, two of them by half", hints,
          "write down the 3 x 2 pairs (normal, anomalous) and count 1 for a win, 1/2 for a tie")


def pro_of_one_region(answer: object) -> None:
    """Lesson 00, exercise 2: PRO of a detector that finds all of a 100 px region and nothing of a 4 px one."""
    hints = {
        100 / 104: "that is the share of anomalous pixels found, as AUROC and AP count; PRO gives each region one vote",
        1.0: "the small region is never found, and it has a vote of its own",
        0.15: "half the regions are found at every false-positive rate, so the curve is at 1/2; divide its area by 0.3",
        0.0: "the large region counts: its overlap is 1 from the start",
    }
    judge(answer, 0.5, "two regions, two votes, one found: PRO cannot see that one of them is 25 times as large", hints,
          "draw the PRO curve: the mean of the two overlaps, at every false-positive rate up to 0.3")


def false_alarms(answer: object, validation_scores, test_scores, test_labels) -> None:
    """Lesson 00, exercise 3: share of normal test images that the threshold of the validation scores flags."""
    threshold = metrics.image_threshold(validation_scores)
    scores, labels = np.asarray(test_scores, float), np.asarray(test_labels, bool)
    flagged = scores >= threshold
    below = scores >= np.quantile(np.asarray(validation_scores), 0.95)
    peeked = scores >= np.quantile(scores[~labels], 0.95) if (~labels).any() else flagged
    hints = {
        flagged.mean(): "that is the share of all images that are flagged; look at the normal ones only",
        flagged[labels].mean(): "that is the share of anomalous images found, the recall",
        below[~labels].mean(): "that is for the plain 95 % quantile of validation_scores, lower and with less of a "
                               "promise: take metrics.image_threshold",
        peeked[~labels].mean(): "that threshold was taken from the test images themselves: use the validation scores",
        flagged[~labels].sum(): "that is a number of images; divide by the number of normal ones",
        100 * flagged[~labels].mean(): "a share, please, not percent",
        1 - flagged[~labels].mean(): "that is the share of normal images that pass",
    }
    praise = (f"at threshold {threshold:.3f}, {flagged[~labels].mean():.0%} of the normal and "
              f"{flagged[labels].mean():.0%} of the anomalous test images are flagged")
    judge(answer, flagged[~labels].mean(), praise, hints,
          "take metrics.image_threshold of validation_scores, then the share of normal test scores at or above it")


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
        return print(f"not yet ({found}): let more normal pixels score above the defect, but below a tenth of them; "
                     f"with k of them above its {n} pixels, AP is about {n} / ({n} + k)")
    return print(f"right ({found}): a few false alarms among many pixels hardly move AUROC, and ruin the precision")

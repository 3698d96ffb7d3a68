"""Checks of the lessons' exercises: each says "not yet", "right", or gives the hint that fits the wrong answer."""

import numpy as np

from adlib import metrics


def is_number(answer: object) -> bool:
    try:
        float(answer)
    except (TypeError, ValueError):
        return False
    return True


def judge(answer: object, right: float, praise: str, hints: dict[float, str], otherwise: str) -> None:
    """Print the verdict on a numerical answer; `hints` maps plausible wrong answers to what went wrong there."""
    if answer is ...:
        return print("not yet: set `answer` and run this cell again")
    if not is_number(answer):
        return print(f"not yet: `answer` should be one number, not {type(answer).__name__}")
    near = [hint for wrong, hint in hints.items() if np.isclose(float(answer), wrong, atol=4e-3)]
    if np.isclose(float(answer), right, atol=1e-3):
        return print(f"right: {praise}")
    return print(f"not yet: {near[0] if near else otherwise}")


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
    """Lesson 00, exercise 3: share of normal test images at or above the 95 % quantile of validation scores."""
    threshold = metrics.normal_quantile(validation_scores, 0.95)
    scores, labels = np.asarray(test_scores, float), np.asarray(test_labels, bool)
    flagged = scores >= threshold
    peeked = scores >= np.quantile(scores[~labels], 0.95) if (~labels).any() else flagged
    hints = {
        flagged.mean(): "that is the share of all images that are flagged; look at the normal ones only",
        flagged[labels].mean(): "that is the share of anomalous images found, the recall",
        peeked[~labels].mean(): "that threshold was taken from the test images themselves: use the validation scores",
        flagged[~labels].sum(): "that is a number of images; divide by the number of normal ones",
        100 * flagged[~labels].mean(): "a share, please, not percent",
        1 - flagged[~labels].mean(): "that is the share of normal images that pass",
    }
    praise = (f"at threshold {threshold:.3f}, {flagged[~labels].mean():.0%} of the normal and "
              f"{flagged[labels].mean():.0%} of the anomalous test images are flagged")
    judge(answer, flagged[~labels].mean(), praise, hints,
          "take the 0.95 quantile of validation_scores, then the share of normal test scores at or above it")


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


def steps_of_a_hundred_epochs(answer: object) -> None:
    """Lesson 01, exercise 1: 209 normal images, 20 % held back, batches of 32, nothing dropped, 100 epochs."""
    hints = {
        700: "a fifth of the images is held back and not trained on",
        500: "the last batch is smaller, not dropped",
        6: "that is one epoch; there are a hundred",
        100: "that is the number of epochs; count the batches in each",
        522: "batches are whole, and so is the number of steps in an epoch: round up",
        16700: "that is the number of images seen; count batches of 32",
    }
    judge(answer, 600, "167 images are 5 batches of 32 and one of 7, a hundred times", hints,
          "subtract the held-back fifth (rounded up), divide by 32, round up, times 100")


def effective_learning_rate(answer: object) -> None:
    """Lesson 01, exercise 2: learning rate 0.4 on twice the loss."""
    hints = {
        0.4: "the number is the same, but the loss it is applied to is not",
        0.2: "the other way round: the code's loss is larger, so its steps are",
        1.6: "the loss is twice as large, not four times: the norm is already squared in both",
    }
    judge(answer, 0.8, "gradients are linear in the loss: twice the loss, twice the step", hints,
          "write down one SGD step, weight - lr * gradient, for a loss L and for 2 L")


def auroc_of_last_level(answer: object, level_maps: list, maps, labels) -> None:
    """Lesson 01, exercise 3: image AUROC of the last level's largest value."""
    def of(m, reduce=np.max):
        return metrics.auroc(reduce(np.asarray(m), axis=(1, 2)), labels)

    hints = {of(m): "that is another level: the last one is level_maps[-1]" for m in level_maps[:-1]} | {
        of(maps): "that is the product of all levels; take level_maps[-1]",
        of(level_maps[-1], np.mean): "the score is the largest value of a map, not the mean",
        1 - of(level_maps[-1]): "turn the order around: a higher score is more anomalous",
    }
    judge(answer, of(level_maps[-1]), f"level by level, the first to the last: "
          f"{', '.join(f'{of(m):.3f}' for m in level_maps)}; product {of(maps):.3f}", hints,
          "take the largest value of each map with level_maps[-1].amax(dim=(1, 2)), then metrics.auroc(scores, labels)")

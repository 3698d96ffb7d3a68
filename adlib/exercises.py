"""Checks of the lessons' exercises: each says "not yet", "right", or gives the hint that fits the wrong answer."""

import numpy as np

from adlib import metrics
from adlib.networks.destseg import shrink_target


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


def visible_positions(answer: object) -> None:
    """Lesson 03, exercise 1: visible positions among those that two 3x3 convolutions see, mask ratio 0.6."""
    hints = {
        15: "that is how many are hidden; four tenths are visible",
        3.6: "that is one 3x3 convolution; the second looks at outputs that each saw their own 3x3",
        25: "that is all it sees; six tenths of them are hidden",
        7.2: "the two 3x3 windows overlap: one behind the other they reach two positions to each side",
        32.4: "windows do not multiply: one behind the other they reach two positions to each side",
        19.6: "7 x 7 is too far: each 3x3 convolution adds one position to each side",
        0.4: "that is the share; times the number of positions it sees",
    }
    judge(answer, 10, "10 of 5 x 5; all 25 are hidden together about 3 times in a million", hints,
          "how far to each side do two 3x3 convolutions reach, one behind the other? Four tenths of that square")


def flat_loss(answer: object) -> None:
    """Lesson 03, exercise 2: flattened cosine distance of (3, 0), (0, 1) and (1, 0), (1, 0)."""
    hints = {
        0.5: "that is the loss per position; flatten first, then take one cosine",
        3 / 20**0.5: "that is the cosine; the loss is one minus it",
        0.67: "that is the cosine; the loss is one minus it",
        1 - 3 / 20: "lengths are square roots: divide by sqrt(10) sqrt(2), not by 10 x 2",
        1 - 3 / (4 * 2): "lengths are square roots of sums of squares, not sums",
        1 - 3 / 10: "divide by both lengths, sqrt(10) and sqrt(2), not by one of them squared",
    }
    judge(answer, 1 - 3 / 20**0.5, "the right position is three times as long, and outvotes the wrong one", hints,
          "(3, 0, 0, 1) and (1, 0, 1, 0): inner product over the product of the lengths, and one minus that")


def mean_behind_masks(answer: object) -> None:
    """Lesson 03, exercise 3: mean of inputs with mean 0.6 when 0.7 of them are set to zero."""
    hints = {
        0.42: "that is what the masks take away; three tenths remain",
        0.6: "the hidden positions are zeros, and count",
        2.0: "dividing by 0.3 is how `rescale` mends it afterwards; what does the mask itself do?",
        0.3: "that is the share that stays visible; times the mean",
        6 / 7: "the masks make values zero, so the mean can only fall",
        0.1: "subtracting the ratio is not the way: the mean of what stays is 0.6, of the rest 0",
    }
    judge(answer, 0.18, "and 0.6 at test time, 1 / 0.3 times as much: the shift that `rescale=True` removes", hints,
          "0.7 of the positions are 0, the others have a mean of 0.6 still: the mean over all of them")


def cached_megabytes(answer: object) -> None:
    """Lesson 03, exercise 4: bf16 features of levels 1 to 3 of WideResNet50 at 256 px, for one image."""
    hints = {
        3.5: "that is in MiB (2^20 bytes); divide by 10^6",
        3.7: "nearly: give two decimals",
        7.34: "that is float32; a bf16 number has two bytes",
        1.835: "that is how many million numbers there are; each has two bytes",
        14.68: "level 1 has stride 4, so a side of 64, not 128",
        0.917: "a bf16 number has two bytes, not one half of one",
        3670016: "in megabytes: divide by 10^6",
        3670.016: "that is in kilobytes; megabytes are 10^6 bytes",
    }
    judge(answer, 3.67, "a thousand images are 3.7 GB; fit keeps up to 2 GB and computes features anew beyond", hints,
          "channels times height times width for each level (sides 64, 32, 16), added, times two bytes")


def target_of_a_scratch(answer: object) -> None:
    """Lesson 02, exercise 1: a 1 x 40 px scratch over ten whole columns of cells, in a random row, shrunk by four."""
    hints = {
        10: "that is what the two inner rows of a cell give; average over all four",
        2.5: "that is the scratch's area in target pixels, 40 / 16; but a target pixel is 0 or 1, and rounded",
        0: "averaged over whole 4 x 4 cells it would vanish; but only the central 2 x 2 pixels are read",
        40: "those are pixels of the mask; a pixel of the target stands for 4 x 4 of them",
        20: "that is the sum over the four rows of a cell; divide by four",
        7.5: "three rows of four? Only the two inner rows are read",
    }
    judge(answer, 5, "the two inner rows of a cell give 10 each, the outer two nothing: half of all such scratches "
          "are trained on as if they were normal", hints,
          "count the cells that the scratch crosses, then ask in which of a cell's four rows it is read")


def learning_rate_of_a_small_batch(answer: object) -> None:
    """Lesson 02, exercise 2: learning rate for a sum over 8 images that steps like 0.4 on a sum over 32."""
    hints = {
        0.4: "with fewer summands the gradient shrinks, and so does the step",
        0.1: "the other way round: the sum over 8 images has the smaller gradient",
        12.8: "that is the rate on the mean; the loss is still a sum, over 8",
        3.2: "that is what 0.4 on 8 images amounts to on their mean; the paper's amounts to 12.8",
        0.8: "gradients are linear in the number of images; a square root is another rule, for their noise",
    }
    judge(answer, 1.6, "0.4 x 32 = 12.8 on the mean = 1.6 x 8", hints,
          "write a sum over B images as B times their mean, and compare learning rate times B")


def focal_loss_of_a_pixel(answer: object) -> None:
    """Lesson 02, exercise 3: a normal pixel that was given the probability 0.7 of an anomaly, gamma 4."""
    loss = -(0.7**4) * np.log(0.3)
    hints = {
        -(0.3**4) * np.log(0.7): "that is the loss of an anomalous pixel; here the truth is normal, so p_t = 0.3",
        -np.log(0.3): "that is the cross-entropy; multiply it by (1 - p_t)^4",
        -(0.7**2) * np.log(0.3): "that is gamma = 2",
        -(0.3**4) * np.log(0.3): "the factor is (1 - p_t)^4, not p_t^4",
        -(0.7**4) * np.log(0.7): "the logarithm is that of p_t, which is 0.3",
        -(0.7**4) * np.log10(0.3): "the natural logarithm, please",
        -loss: "a loss is positive: the logarithm of a probability is negative, and the minus sign turns it",
    }
    judge(answer, loss, "a quarter of the cross-entropy is left: wrong, but not among the worst", hints,
          "p_t is the probability that was given to normal; the loss is -(1 - p_t)^4 log p_t")


def share_of_empty_targets(answer: object, masks) -> None:
    """Lesson 02, exercise 4: share of (N, S, S) masks of which nothing is left at a quarter of their size."""
    targets = shrink_target(masks, masks.shape[-1] // 4)
    empty, left = (targets.sum(dim=(1, 2)) == 0).float(), targets.mean().item()
    right = empty.mean().item()
    before = (masks.sum(dim=(1, 2)) == 0).float().mean().item()
    hints = {
        before: "those are empty before they are shrunk; more may vanish on the way",
        empty.sum().item(): "that is a number of masks; divide by all of them",
        100 * right: "a share, please, not percent",
        1 - right: "that is the share of targets that are not empty",
        left: "that is the share of anomalous pixels, their mean coverage",
        1 - left: "that is the share of normal pixels; count masks of which no pixel is left",
    }
    judge(answer, right, f"{right:.1%} of the targets are empty, and {before:.1%} of the masks", hints,
          "shrink_target(masks, 16) as in training, then ask for which masks its sum is 0")

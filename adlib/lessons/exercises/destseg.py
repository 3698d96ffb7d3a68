"""Exercises of lesson 02."""

import numpy as np

from adlib.lessons.exercises import judge
from adlib.networks.destseg import shrink_target


def target_of_a_scratch(answer: object) -> None:
    """Lesson 02, exercise 1: a 1 x 40 px scratch over ten columns of cells, in a random row, shrunk by four."""
    hints = {
        10: "that is what the two inner rows of a cell give; average over all four",
        2.5: "that is the scratch's area in target pixels, 40 / 16; but a target pixel is 0 or 1, and rounded",
        0: "averaged over all of a 4 x 4 cell it would vanish; but only the central 2 x 2 pixels are read",
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

import numpy as np
import pytest
import torch

from adlib import exercises

NORMAL, LABELS = np.arange(20.0), np.array([False] * 8 + [True] * 4)
SCORES = np.array([1.0, 5, 9, 12, 18.5, 19, 3, 18.04, 30, 31, 30.5, 40])
LEVELS = [np.array([[[0.1, 0.9]], [[0.2, 0.3]], [[0.4, 0.5]]]), np.array([[[0.0, 0.6]], [[0.2, 0.3]], [[0.5, 0.7]]])]
PRODUCT, TRUTH = LEVELS[0] * LEVELS[1], np.array([False, False, True])
MASK = np.pad(np.ones((2, 2), bool), ((4, 26), (4, 26)))
# Ten 8 x 8 masks: two empty, two with a corner pixel that shrinking does not see, six with one cell of four.
DRAWN = torch.zeros(10, 8, 8)
DRAWN[2:4, 0, 0] = DRAWN[4:, 1, 1:3] = 1


def verdict(capsys, check, *arguments) -> str:
    check(*arguments)
    printed = capsys.readouterr().out
    assert printed.count("\n") == 1
    return printed


@pytest.mark.parametrize(("check", "answer", "rest", "expected"), [
    (exercises.auroc_by_counting, ..., (), "not yet: set"),
    (exercises.auroc_by_counting, 5 / 6, (), "right"),
    (exercises.auroc_by_counting, 0.8333, (), "right"),
    (exercises.auroc_by_counting, 4 / 6, (), "counts one half"),
    (exercises.auroc_by_counting, 1, (), "a tie is not a win"),
    (exercises.auroc_by_counting, 1 / 6, (), "turn it around"),
    (exercises.auroc_by_counting, 0.83, (), "three decimals"),
    (exercises.auroc_by_counting, 0.67, (), "counts one half"),
    (exercises.auroc_by_counting, 2.5, (), "number of pairs, 3 x 2"),
    (exercises.auroc_by_counting, 0.42, (), "write down the 3 x 2 pairs"),
    (exercises.auroc_by_counting, "five sixths", (), "one number, not str"),
    (exercises.auroc_by_counting, np.float32(5 / 6), (), "right"),
    (exercises.auroc_by_counting, float("nan"), (), "write down"),
    (exercises.pro_of_one_region, ..., (), "not yet: set"),
    (exercises.pro_of_one_region, 0.5, (), "right"),
    (exercises.pro_of_one_region, 100 / 104, (), "each region one vote"),
    (exercises.pro_of_one_region, 1.0, (), "never found"),
    (exercises.pro_of_one_region, 0.15, (), "divide its area by 0.3"),
    (exercises.pro_of_one_region, [0.5, 0.5], (), "one number, not list"),
    (exercises.false_alarms, ..., (NORMAL, SCORES, LABELS), "not yet: set"),
    (exercises.false_alarms, 0.25, (NORMAL, SCORES, LABELS), "right"),      # threshold 18.05: 18.5 and 19 of 8
    (exercises.false_alarms, 6 / 12, (NORMAL, SCORES, LABELS), "look at the normal ones only"),
    (exercises.false_alarms, 1.0, (NORMAL, SCORES, LABELS), "the recall"),
    (exercises.false_alarms, 1 / 8, (NORMAL, SCORES, LABELS), "use the validation scores"),
    (exercises.false_alarms, 2, (NORMAL, SCORES, LABELS), "divide by the number"),
    (exercises.false_alarms, 25, (NORMAL, SCORES, LABELS), "not percent"),
    (exercises.false_alarms, 0.05, (NORMAL, SCORES, LABELS), "take the 0.95 quantile"),
    (exercises.steps_of_a_hundred_epochs, ..., (), "not yet: set"),
    (exercises.steps_of_a_hundred_epochs, 600, (), "right"),
    (exercises.steps_of_a_hundred_epochs, 700, (), "held back"),
    (exercises.steps_of_a_hundred_epochs, 500, (), "not dropped"),
    (exercises.steps_of_a_hundred_epochs, 6, (), "one epoch"),
    (exercises.steps_of_a_hundred_epochs, 650, (), "round up, times 100"),
    (exercises.effective_learning_rate, ..., (), "not yet: set"),
    (exercises.effective_learning_rate, 0.8, (), "right"),
    (exercises.effective_learning_rate, 0.4, (), "the loss it is applied to"),
    (exercises.effective_learning_rate, 0.2, (), "the other way round"),
    (exercises.effective_learning_rate, 3, (), "write down one SGD step"),
    (exercises.auroc_of_last_level, ..., (LEVELS, PRODUCT, TRUTH), "not yet: set"),
    (exercises.auroc_of_last_level, 1.0, (LEVELS, PRODUCT, TRUTH), "right"),
    (exercises.auroc_of_last_level, 0.5, (LEVELS, PRODUCT, TRUTH), "product of all levels"),
    (exercises.auroc_of_last_level, 0.0, (LEVELS, PRODUCT, TRUTH), "turn the order around"),
    (exercises.auroc_of_last_level, 0.7, (LEVELS, PRODUCT, TRUTH), "take the largest value"),
    (exercises.target_of_a_scratch, ..., (), "not yet: set"),
    (exercises.target_of_a_scratch, 5, (), "right"),
    (exercises.target_of_a_scratch, 10, (), "two inner rows"),
    (exercises.target_of_a_scratch, 2.5, (), "the scratch's area"),
    (exercises.target_of_a_scratch, 0, (), "only the central 2 x 2"),
    (exercises.target_of_a_scratch, 40, (), "pixels of the mask"),
    (exercises.target_of_a_scratch, 20, (), "divide by four"),
    (exercises.target_of_a_scratch, 7.5, (), "three rows of four"),
    (exercises.target_of_a_scratch, 3, (), "count the cells"),
    (exercises.learning_rate_of_a_small_batch, ..., (), "not yet: set"),
    (exercises.learning_rate_of_a_small_batch, 0.4 * 32 / 8, (), "right"),
    (exercises.learning_rate_of_a_small_batch, 0.4, (), "so does the step"),
    (exercises.learning_rate_of_a_small_batch, 0.1, (), "the other way round"),
    (exercises.learning_rate_of_a_small_batch, 12.8, (), "still a sum, over 8"),
    (exercises.learning_rate_of_a_small_batch, 3.2, (), "the paper's amounts to 12.8"),
    (exercises.learning_rate_of_a_small_batch, 0.8, (), "a square root"),
    (exercises.learning_rate_of_a_small_batch, 2, (), "write a sum over B images"),
    (exercises.focal_loss_of_a_pixel, ..., (), "not yet: set"),
    (exercises.focal_loss_of_a_pixel, 0.289, (), "right"),
    (exercises.focal_loss_of_a_pixel, 0.00289, (), "here the truth is normal"),
    (exercises.focal_loss_of_a_pixel, 1.204, (), "the cross-entropy"),
    (exercises.focal_loss_of_a_pixel, 0.59, (), "gamma = 2"),
    (exercises.focal_loss_of_a_pixel, 0.00975, (), "not p_t^4"),
    (exercises.focal_loss_of_a_pixel, 0.0856, (), "which is 0.3"),
    (exercises.focal_loss_of_a_pixel, 0.1255, (), "natural logarithm"),
    (exercises.focal_loss_of_a_pixel, -0.289, (), "a loss is positive"),
    (exercises.focal_loss_of_a_pixel, 0.7, (), "p_t is the probability"),
    (exercises.share_of_empty_targets, ..., (DRAWN,), "not yet: set"),
    (exercises.share_of_empty_targets, 0.4, (DRAWN,), "right"),
    (exercises.share_of_empty_targets, 0.2, (DRAWN,), "before they are shrunk"),
    (exercises.share_of_empty_targets, 4, (DRAWN,), "a number of masks"),
    (exercises.share_of_empty_targets, 40, (DRAWN,), "not percent"),
    (exercises.share_of_empty_targets, 0.6, (DRAWN,), "not empty"),
    (exercises.share_of_empty_targets, 0.15, (DRAWN,), "mean coverage"),
    (exercises.share_of_empty_targets, 0.85, (DRAWN,), "share of normal pixels"),
    (exercises.share_of_empty_targets, 0.5, (DRAWN,), "for which masks its sum is 0"),
    (exercises.high_auroc_low_ap, ..., (MASK,), "not yet: set"),
    (exercises.high_auroc_low_ap, np.zeros((4, 4)), (MASK,), "finite array of shape (32, 32), this is (4, 4)"),
    (exercises.high_auroc_low_ap, "high", (MASK,), "an array of numbers"),
    (exercises.high_auroc_low_ap, MASK.astype(float), (MASK,), "let more normal pixels"),
    (exercises.high_auroc_low_ap, -MASK.astype(float), (MASK,), "nine tenths of the normal pixels"),
    (exercises.high_auroc_low_ap, np.zeros((32, 32)), (MASK,), "nine tenths of the normal pixels"),
    (exercises.visible_positions, ..., (), "not yet: set"),
    (exercises.visible_positions, 10, (), "right"),
    (exercises.visible_positions, 25 * (1 - 0.6), (), "right"),
    (exercises.visible_positions, 15, (), "how many are hidden"),
    (exercises.visible_positions, 3.6, (), "one 3x3 convolution"),
    (exercises.visible_positions, 7.2, (), "windows overlap"),
    (exercises.visible_positions, 19.6, (), "7 x 7 is too far"),
    (exercises.visible_positions, 12, (), "how far to each side"),
    (exercises.flat_loss, ..., (), "not yet: set"),
    (exercises.flat_loss, 0.3292, (), "right"),
    (exercises.flat_loss, 0.5, (), "the loss per position"),
    (exercises.flat_loss, 0.6708, (), "one minus it"),
    (exercises.flat_loss, 0.85, (), "lengths are square roots: divide"),
    (exercises.flat_loss, 0.625, (), "not sums"),
    (exercises.flat_loss, 0.33, (), "right"),
    (exercises.flat_loss, 0.2, (), "inner product over"),
    (exercises.mean_behind_masks, ..., (), "not yet: set"),
    (exercises.mean_behind_masks, 0.6 * (1 - 0.7), (), "right"),
    (exercises.mean_behind_masks, 0.42, (), "take away"),
    (exercises.mean_behind_masks, 2, (), "how `rescale` mends it"),
    (exercises.mean_behind_masks, 0.6, (), "are zeros, and count"),
    (exercises.mean_behind_masks, 0.857, (), "can only fall"),
    (exercises.mean_behind_masks, -1, (), "the mean over all of them"),
    (exercises.cached_megabytes, ..., (), "not yet: set"),
    (exercises.cached_megabytes, 3.670016, (), "right"),
    (exercises.cached_megabytes, 3.67, (), "right"),
    (exercises.cached_megabytes, 3.5, (), "MiB"),
    (exercises.cached_megabytes, 3.7, (), "two decimals"),
    (exercises.cached_megabytes, 7.340032, (), "float32"),
    (exercises.cached_megabytes, 1.835, (), "two bytes"),
    (exercises.cached_megabytes, 3670016, (), "divide by 10^6"),
    (exercises.cached_megabytes, 14.68, (), "a side of 64"),
    (exercises.cached_megabytes, 2, (), "channels times height"),
])
def test_every_answer_gets_the_verdict_that_fits(capsys, check, answer, rest, expected):
    found = verdict(capsys, check, answer, *rest)
    assert expected in found
    assert found.startswith("right") == (expected == "right")


def test_the_map_of_the_solution_is_accepted(capsys):
    answer = np.where(MASK, 0.5, 0.0)
    answer[20, :30] = 1.0
    assert verdict(capsys, exercises.high_auroc_low_ap, answer, MASK).startswith("right")

import numpy as np
import pytest
import torch
from conftest import verdict

from adlib.lessons.exercises import data_and_metrics, destseg, masked_rd, rd4ad, stfpm

NORMAL, LABELS = np.arange(20.0), np.array([False] * 8 + [True] * 4)
SCORES = np.array([1.0, 5, 9, 12, 19.5, 20, 19, 18.04, 30, 31, 30.5, 40])
LEVELS = [np.array([[[0.1, 0.9]], [[0.2, 0.3]], [[0.4, 0.5]]]), np.array([[[0.0, 0.6]], [[0.2, 0.3]], [[0.5, 0.7]]])]
PRODUCT, TRUTH = LEVELS[0] * LEVELS[1], np.array([False, False, True])
MASK = np.pad(np.ones((2, 2), bool), ((4, 26), (4, 26)))
# Ten 8 x 8 masks: two empty, two with a corner pixel that shrinking does not see, six with one cell of four.
DRAWN = torch.zeros(10, 8, 8)
DRAWN[2:4, 0, 0] = DRAWN[4:, 1, 1:3] = 1


@pytest.mark.parametrize(("check", "answer", "rest", "expected"), [
    (data_and_metrics.auroc_by_counting, ..., (), "not yet: set"),
    (data_and_metrics.auroc_by_counting, 5 / 6, (), "right"),
    (data_and_metrics.auroc_by_counting, 0.8333, (), "right"),
    (data_and_metrics.auroc_by_counting, 4 / 6, (), "counts one half"),
    (data_and_metrics.auroc_by_counting, 1, (), "a tie is not a win"),
    (data_and_metrics.auroc_by_counting, 1 / 6, (), "turn it around"),
    (data_and_metrics.auroc_by_counting, 0.83, (), "three decimals"),
    (data_and_metrics.auroc_by_counting, 0.67, (), "counts one half"),
    (data_and_metrics.auroc_by_counting, 2.5, (), "number of pairs, 3 x 2"),
    (data_and_metrics.auroc_by_counting, 0.42, (), "write down the 3 x 2 pairs"),
    (data_and_metrics.auroc_by_counting, "five sixths", (), "one number, not str"),
    (data_and_metrics.auroc_by_counting, np.float32(5 / 6), (), "right"),
    (data_and_metrics.auroc_by_counting, float("nan"), (), "write down"),
    (data_and_metrics.pro_of_one_region, ..., (), "not yet: set"),
    (data_and_metrics.pro_of_one_region, 0.5, (), "right"),
    (data_and_metrics.pro_of_one_region, 100 / 104, (), "each region one vote"),
    (data_and_metrics.pro_of_one_region, 1.0, (), "never found"),
    (data_and_metrics.pro_of_one_region, 0.15, (), "divide its area by 0.3"),
    (data_and_metrics.pro_of_one_region, [0.5, 0.5], (), "one number, not list"),
    (data_and_metrics.false_alarms, ..., (NORMAL, SCORES, LABELS), "not yet: set"),
    (data_and_metrics.false_alarms, 0.25, (NORMAL, SCORES, LABELS), "right"),      # above 19: 19.5 and 20 of 8
    (data_and_metrics.false_alarms, 3 / 8, (NORMAL, SCORES, LABELS), "plain 95 % quantile"),       # 18.05: 19, too
    (data_and_metrics.false_alarms, 6 / 12, (NORMAL, SCORES, LABELS), "look at the normal ones only"),
    (data_and_metrics.false_alarms, 1.0, (NORMAL, SCORES, LABELS), "the recall"),
    (data_and_metrics.false_alarms, 1 / 8, (NORMAL, SCORES, LABELS), "use the validation scores"),
    (data_and_metrics.false_alarms, 2, (NORMAL, SCORES, LABELS), "divide by the number"),
    (data_and_metrics.false_alarms, 25, (NORMAL, SCORES, LABELS), "not percent"),
    (data_and_metrics.false_alarms, 0.05, (NORMAL, SCORES, LABELS), "take metrics.image_threshold of"),
    (stfpm.steps_of_a_hundred_epochs, ..., (), "not yet: set"),
    (stfpm.steps_of_a_hundred_epochs, 600, (), "right"),
    (stfpm.steps_of_a_hundred_epochs, 700, (), "held back"),
    (stfpm.steps_of_a_hundred_epochs, 500, (), "not dropped"),
    (stfpm.steps_of_a_hundred_epochs, 6, (), "one epoch"),
    (stfpm.steps_of_a_hundred_epochs, 650, (), "round up, times 100"),
    (stfpm.effective_learning_rate, ..., (), "not yet: set"),
    (stfpm.effective_learning_rate, 0.8, (), "right"),
    (stfpm.effective_learning_rate, 0.4, (), "the loss it is applied to"),
    (stfpm.effective_learning_rate, 0.2, (), "the other way round"),
    (stfpm.effective_learning_rate, 3, (), "write down one SGD step"),
    (stfpm.auroc_of_last_level, ..., (LEVELS, PRODUCT, TRUTH), "not yet: set"),
    (stfpm.auroc_of_last_level, 1.0, (LEVELS, PRODUCT, TRUTH), "right"),
    (stfpm.auroc_of_last_level, 0.5, (LEVELS, PRODUCT, TRUTH), "product of all levels"),
    (stfpm.auroc_of_last_level, 0.0, (LEVELS, PRODUCT, TRUTH), "turn the order around"),
    (stfpm.auroc_of_last_level, 0.7, (LEVELS, PRODUCT, TRUTH), "take the largest value"),
    (destseg.target_of_a_scratch, ..., (), "not yet: set"),
    (destseg.target_of_a_scratch, 5, (), "right"),
    (destseg.target_of_a_scratch, 10, (), "two inner rows"),
    (destseg.target_of_a_scratch, 2.5, (), "the scratch's area"),
    (destseg.target_of_a_scratch, 0, (), "only the central 2 x 2"),
    (destseg.target_of_a_scratch, 40, (), "pixels of the mask"),
    (destseg.target_of_a_scratch, 20, (), "divide by four"),
    (destseg.target_of_a_scratch, 7.5, (), "three rows of four"),
    (destseg.target_of_a_scratch, 3, (), "count the cells"),
    (destseg.learning_rate_of_a_small_batch, ..., (), "not yet: set"),
    (destseg.learning_rate_of_a_small_batch, 0.4 * 32 / 8, (), "right"),
    (destseg.learning_rate_of_a_small_batch, 0.4, (), "so does the step"),
    (destseg.learning_rate_of_a_small_batch, 0.1, (), "the other way round"),
    (destseg.learning_rate_of_a_small_batch, 12.8, (), "still a sum, over 8"),
    (destseg.learning_rate_of_a_small_batch, 3.2, (), "the paper's amounts to 12.8"),
    (destseg.learning_rate_of_a_small_batch, 0.8, (), "a square root"),
    (destseg.learning_rate_of_a_small_batch, 2, (), "write a sum over B images"),
    (destseg.focal_loss_of_a_pixel, ..., (), "not yet: set"),
    (destseg.focal_loss_of_a_pixel, 0.289, (), "right"),
    (destseg.focal_loss_of_a_pixel, 0.00289, (), "here the truth is normal"),
    (destseg.focal_loss_of_a_pixel, 1.204, (), "the cross-entropy"),
    (destseg.focal_loss_of_a_pixel, 0.59, (), "gamma = 2"),
    (destseg.focal_loss_of_a_pixel, 0.00975, (), "not p_t^4"),
    (destseg.focal_loss_of_a_pixel, 0.0856, (), "which is 0.3"),
    (destseg.focal_loss_of_a_pixel, 0.1255, (), "natural logarithm"),
    (destseg.focal_loss_of_a_pixel, -0.289, (), "a loss is positive"),
    (destseg.focal_loss_of_a_pixel, 0.7, (), "p_t is the probability"),
    (destseg.share_of_empty_targets, ..., (DRAWN,), "not yet: set"),
    (destseg.share_of_empty_targets, 0.4, (DRAWN,), "right"),
    (destseg.share_of_empty_targets, 0.2, (DRAWN,), "before they are shrunk"),
    (destseg.share_of_empty_targets, 4, (DRAWN,), "a number of masks"),
    (destseg.share_of_empty_targets, 40, (DRAWN,), "not percent"),
    (destseg.share_of_empty_targets, 0.6, (DRAWN,), "not empty"),
    (destseg.share_of_empty_targets, 0.15, (DRAWN,), "mean coverage"),
    (destseg.share_of_empty_targets, 0.85, (DRAWN,), "share of normal pixels"),
    (destseg.share_of_empty_targets, 0.5, (DRAWN,), "for which masks its sum is 0"),
    (data_and_metrics.high_auroc_low_ap, ..., (MASK,), "not yet: set"),
    (data_and_metrics.high_auroc_low_ap, np.zeros((4, 4)), (MASK,), "finite array of shape (32, 32), this is (4, 4)"),
    (data_and_metrics.high_auroc_low_ap, "high", (MASK,), "an array of numbers"),
    (data_and_metrics.high_auroc_low_ap, MASK.astype(float), (MASK,), "let more normal pixels"),
    (data_and_metrics.high_auroc_low_ap, -MASK.astype(float), (MASK,), "nine tenths of the normal pixels"),
    (data_and_metrics.high_auroc_low_ap, np.zeros((32, 32)), (MASK,), "nine tenths of the normal pixels"),
    (masked_rd.visible_positions, ..., (), "not yet: set"),
    (masked_rd.visible_positions, 10, (), "right"),
    (masked_rd.visible_positions, 25 * (1 - 0.6), (), "right"),
    (masked_rd.visible_positions, 15, (), "how many are hidden"),
    (masked_rd.visible_positions, 3.6, (), "one 3x3 convolution"),
    (masked_rd.visible_positions, 7.2, (), "windows overlap"),
    (masked_rd.visible_positions, 19.6, (), "7 x 7 is too far"),
    (masked_rd.visible_positions, 12, (), "how far to each side"),
    (masked_rd.mean_behind_masks, ..., (), "not yet: set"),
    (masked_rd.mean_behind_masks, 0.6 * (1 - 0.7), (), "right"),
    (masked_rd.mean_behind_masks, 0.42, (), "take away"),
    (masked_rd.mean_behind_masks, 2, (), "how `rescale` corrects it"),
    (masked_rd.mean_behind_masks, 0.6, (), "are zeros, and count"),
    (masked_rd.mean_behind_masks, 0.857, (), "can only fall"),
    (masked_rd.mean_behind_masks, -1, (), "the mean over all of them"),
    (rd4ad.cached_megabytes, ..., (), "not yet: set"),
    (rd4ad.cached_megabytes, 3.670016, (), "right"),
    (rd4ad.cached_megabytes, 3.67, (), "right"),
    (rd4ad.cached_megabytes, 3.5, (), "MiB"),
    (rd4ad.cached_megabytes, 3.7, (), "two decimals"),
    (rd4ad.cached_megabytes, 7.340032, (), "float32"),
    (rd4ad.cached_megabytes, 1.835, (), "two bytes"),
    (rd4ad.cached_megabytes, 3670016, (), "divide by 10^6"),
    (rd4ad.cached_megabytes, 14.68, (), "a side of 64"),
    (rd4ad.cached_megabytes, 2, (), "channels times height"),
])
def test_every_answer_gets_the_verdict_that_fits(capsys, check, answer, rest, expected):
    found = verdict(capsys, check, answer, *rest)
    assert expected in found
    assert found.startswith("right") == (expected == "right")


def test_the_map_of_the_solution_is_accepted(capsys):
    answer = np.where(MASK, 0.5, 0.0)
    answer[20, :30] = 1.0
    assert verdict(capsys, data_and_metrics.high_auroc_low_ap, answer, MASK).startswith("right")

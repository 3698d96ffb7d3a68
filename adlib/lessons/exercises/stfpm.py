"""Exercises of lesson 01."""

import numpy as np

from adlib import metrics
from adlib.lessons.exercises import judge


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

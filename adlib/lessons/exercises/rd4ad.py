"""Exercises of lesson 03."""

from adlib.lessons.exercises import judge


def flat_loss(answer: object) -> None:
    """Lesson 03, exercise 1: flattened cosine distance of (3, 0), (0, 1) and (1, 0), (1, 0)."""
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


def cached_megabytes(answer: object) -> None:
    """Lesson 03, exercise 2: bf16 features of levels 1 to 3 of WideResNet50 at 256 px, for one image."""
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

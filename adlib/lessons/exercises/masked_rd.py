"""Exercises of lesson 03."""

from adlib.lessons.exercises import judge


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
        2.0: "dividing by 0.3 is how `rescale` corrects it afterwards; what does the mask itself do?",
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

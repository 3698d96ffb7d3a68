"""Exercises of lesson 04."""

from adlib.lessons.exercises import judge


def visible_positions(answer: object) -> None:
    """Lesson 04, exercise 1: visible positions among those that two 3x3 convolutions see, mask ratio 0.6."""
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


def mean_behind_masks(answer: object) -> None:
    """Lesson 04, exercise 2: mean of inputs with mean 0.6 when 0.7 of them are set to zero."""
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

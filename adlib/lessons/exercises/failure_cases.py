"""Exercises of lesson 06."""

import numpy as np

from adlib.lessons.exercises import judge


def cells_of_a_region(answer: object) -> None:
    """Lesson 06, exercise 1: positions of level 2 that a 12 x 12 region covers, image size 128, mask at 256."""
    hints = {
        2.25: "that is level 1, or level 2 at an image size of 256; stride 8 at 128 px is 16 pixels of the mask",
        1.5: "that is 12 / 8: level 2 has stride 8 in the image, which is 16 pixels of the mask; and areas are squares",
        0.75: "that is one side, 12 / 16; a region has two",
        9: "that is 144 / 16; a position of 16 x 16 pixels has an area of 256",
        18: "that is 144 / 8; a position has two sides, and stride 8 at 128 px is 16 pixels of the mask",
        0.1406: "that is level 3, stride 16; level 2 has stride 8",
        144: "those are its pixels; divide by the pixels of one position",
    }
    judge(answer, 0.5625, "about half a position: to level 2, this defect is half of one number", hints,
          "a position of level 2 covers 8 x 8 pixels of the image, so 16 x 16 of the mask: 12 x 12 over that")


def lower_end(answer: object) -> None:
    """Lesson 06, exercise 2: lower end of Wilson's interval for 3 of 10."""
    hints = {
        0.016: "that is 0.3 - 1.96 sqrt(0.3 x 0.7 / 10), negative for 1 of 10; Wilson's has a shifted middle",
        0.6032: "that is the upper end",
        0.3555: "that is the middle; subtract the half width",
        0.3: "that is the rate itself",
        0.2477: "that is the half width; subtract it from the middle",
        0.1492: "do not forget to divide both terms by 1 + z^2 / n",
    }
    judge(answer, 0.1078, "3 of 10 is compatible with 11 % and with 60 %", hints,
          "p = 0.3, n = 10, z = 1.96 in (p + z^2/2n - z sqrt(p(1-p)/n + z^2/4n^2)) / (1 + z^2/n)")


def missed_by_all(answer: object, alarms: np.ndarray, labels: np.ndarray) -> None:
    """Lesson 06, exercise 3: share of the anomalous images on which none of (M, N) alarms is raised."""
    alarms, labels = np.asarray(alarms, bool), np.asarray(labels, bool)
    quiet = ~alarms.any(axis=0)
    missed = ~alarms[:, labels]
    right = float(quiet[labels].mean())
    hints = {
        float(quiet[~labels].mean()): "those are the normal images; take the columns where labels is True",
        float((quiet & labels).mean()): "divide by the number of anomalous images, not of all",
        float(quiet.mean()): "that counts normal images, too; take the columns where labels is True",
        float(missed.any(axis=0).mean()): "that is missed by at least one; none may alarm: ~alarms.any(axis=0)",
        float(missed.mean(axis=1).min()): "that is what the best method misses; others may find some of it",
        float(missed.mean()): "that is the mean over methods; an image counts only if none of them alarms",
        float(1 - right): "that is the share found by at least one; the question is the rest",
        float(quiet[labels].sum()): "that is a number of images; divide by the number of anomalous ones",
        100 * right: "as a share, not percent",
    }
    best = float(missed.mean(axis=1).min())
    judge(answer, right, f"the best single method misses {best:.3f}; all together miss {right:.3f}", hints,
          "alarms.any(axis=0) says on which images any method alarms; the mean of its opposite where labels is True")

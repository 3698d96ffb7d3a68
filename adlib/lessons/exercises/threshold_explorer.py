"""Exercises of lesson 08."""

import numpy as np
from scipy.stats import beta

from adlib.lessons.exercises import is_number, judge, try_out
from adlib.metrics import alarms_allowed


def two_false_alarms(answer: object) -> None:
    """Lesson 08, exercise 1: the maximum of 12 normal validation scores as threshold, two further normal images."""
    hints = {
        169: "they are not independent: both are held against the same twelve images, and where the first is flagged, "
             "the threshold tends to lie low",
        13: "that is how often one of them is",
        7: "that often the highest of all 14 is one of the two: at least one is flagged, not both",
        182: "nearly: which of the two is the higher does not matter",
        66: "there are 14 images in all, both new ones count",
        78: "there are 14 images in all, both new ones count",
        144: "twelve images and a new one make 13; and the two alarms share a threshold",
        400: "0.05 squared? twelve images promise no 5 %, and the two alarms share a threshold",
    }
    said = is_number(answer) and abs(float(answer) - 1 / 91) < 2e-4      # as a chance
    judge(91 if said else answer, 91, "of 91 pairs of 14 images, each is equally likely to be the two highest", hints,
          "which two of the 14 images are the highest? how many pairs are there?")


def cheapest_threshold(answer: object) -> None:
    """Lesson 08, exercise 2: normal 1, 2, 3, 4; anomalous 2.5, 3.5, 5; a miss 30, a false alarm 1, 2 % anomalous."""
    hints = {
        2.5: "that is the cheapest on these seven images; on the belt defects are far rarer than three in seven",
        3.5: "per part 0.02 x 30 x 1/3 + 0.98 x 1/4 = 0.445; one threshold costs less",
        0.4: "that is the cost per part there; the question is the threshold",
        4.0: "the normal image at 4 reaches it: two misses of three and a false alarm of four",
        0.6: "that is the cost of flagging nothing; one image can be found without a false alarm",
    }
    right = float(answer) if is_number(answer) and 4 < float(answer) <= 5 else 5.0      # they all flag the same images
    judge(answer, right, "0.4 per part: two thirds of the misses, and no false alarm", hints,
          "per part 0.02 x 30 x the share of misses + 0.98 x that of false alarms, at 2.5, 3.5 and 5 and above all")


def recall_with_one_alarm(answer: object, scores: np.ndarray, labels: np.ndarray) -> None:
    """Lesson 08, exercise 3: share of the anomalous images above all normal ones but one."""
    scores, labels = np.asarray(scores), np.asarray(labels, bool)
    normal = np.sort(scores[~labels])
    second = normal[-2] if len(normal) > 1 else -np.inf
    right = float((scores[labels] > second).mean())
    hints = {
        float((scores[labels] > normal[-1]).mean()): "that is without any false alarm; one is allowed",
        float((scores[labels] >= second).mean()): "at the second-highest normal score there are two: stay above it",
        float((scores > second).mean()): "that is the share of all images; take the anomalous ones only",
        float((scores[labels] > second).sum()): "a share, please: divide by the number of anomalous images",
        1 - right: "that is the share that is missed",
        100 * right: "a share, please, not percent",
    }
    judge(answer, right, "that is one point of the ROC curve, found without drawing it", hints,
          "sort the normal scores; at most one of them may reach the threshold, so it lies above the second-highest")


def sure_threshold(answer: object) -> None:
    """Lesson 08, exercise 4: the lowest threshold whose rate of alarms stays low in nine draws of ten; or infinity."""
    generator = np.random.default_rng(0)
    cases = [(generator.permutation(n) + 10.0, rate) for n, rate in ((12, 0.05), (22, 0.1), (40, 0.1), (200, 0.05))]
    cases.append((np.repeat(cases[2][0], 3), 0.1))          # ties
    cases.append((cases[2][0] / 1e4, 0.1))                  # in another unit
    if (found := try_out(answer, cases)) is None:
        return None
    if any(x.numel() != 1 for x in found):
        return print("not yet: your function should return one threshold")
    found = np.array([x.item() for x in found])
    highest = [np.sort(scores)[::-1] for scores, _ in cases]
    ranks = [surest_rank(len(scores), rate) for scores, rate in cases]
    gap = np.array([1.0] * (len(cases) - 1) + [1e-4])       # between neighbouring scores

    def picked(ranks):      # what those ranks would pick, 1 for the highest; 0 picks nothing
        return np.array([x[min(int(rank), len(x)) - 1] if rank >= 1 else np.inf
                         for x, rank in zip(highest, ranks, strict=True)])

    right = picked(ranks)
    least = picked([max(1, rank) for rank in ranks])        # the highest score, where no score is high enough
    if (((found > right) & (found <= right + 0.01 * gap)) | (found == right) & np.isinf(right)).all():
        return print("right: 12 scores cannot be so sure of 5 %, 22 can of 10 %, by their highest; 40 by the second")
    if (found[1:] > right[1:]).all() and np.isfinite(found[0]) and (found[1:] <= right[1:] + 0.01 * gap[1:]).all():
        return print("not yet: with 12 scores even the highest exceeds 5 % in more than one draw of ten: return "
                     "infinity")
    if ((found > right) & (found <= right + 1) | np.isinf(found) & np.isinf(right)).all():
        return print("not yet: that keeps the promise, and so does a lower threshold: take the next number above the "
                     "k-th highest (np.nextafter)")
    wrong = {
        "that is the k-th highest score itself: what ties with it is flagged, so take the next number above": right,
        "that holds on average; in nine draws of ten asks for more: Beta's distribution function at the rate": picked(
            [alarms_allowed(len(scores), rate) for scores, rate in cases]),
        "that holds in five draws of ten": picked([surest_rank(len(s), rate, sure=0.5) for s, rate in cases]),
        "that holds in 19 draws of twenty; nine of ten are asked": picked(
            [surest_rank(len(s), rate, sure=0.95) for s, rate in cases]),
        "that is the highest score whatever n is; with many images a lower one will do": picked([1] * len(cases)),
        "take the largest such k, not the smallest": picked([min(1, rank) for rank in ranks]),
        "k runs from the highest score down: that is one rank too far": picked([rank + 1 for rank in ranks]),
    }
    near = [hint for hint, ranked in wrong.items()
            if any(np.isclose(found, x, rtol=0, atol=1e-6).all() for x in (ranked, np.minimum(ranked, least)))]
    other = "the largest k for which Beta(k, n + 1 - k) lies below the rate in nine cases of ten"
    return print(f"not yet: {[*near, other][0]}")


def surest_rank(n: int, rate: float, *, sure: float = 0.9) -> int:
    """The largest k for which the rate above the k-th highest of n scores stays below `rate` that surely; 0 if none."""
    k = np.arange(1, n + 1)
    return int((beta.cdf(rate, k, n + 1 - k) >= sure).sum())        # falls with k

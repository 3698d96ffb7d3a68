"""Exercises of lesson 08."""

import numpy as np
from scipy.stats import beta

from adlib.lessons.exercises import is_number, judge, try_out
from adlib.metrics import alarms_allowed


def chance_of_a_false_alarm(answer: object) -> None:
    """Lesson 08, exercise 1: the maximum of 12 normal validation scores as threshold."""
    hints = {
        0.0: "none of these 12 lies above it, but the next one may",
        1 / 12: "nearly: there are 13 images in all, the new one counts too (and three decimals, please)",
        0.05: "that is what one would like to promise; 12 images cannot",
        12 / 13: "that is the chance that it stays below",
        0.5: "the threshold is the largest, not the middle one",
        13: "a chance lies between 0 and 1",
    }
    judge(answer, 1 / 13, "each of the 13 is equally likely to be the largest", hints,
          "which of the 13 images, the new one included, is the largest?")


def cheapest_threshold(answer: object) -> None:
    """Lesson 08, exercise 2: normal 1, 2, 3, 4; anomalous 2.5, 3.5, 5; a miss costs 3, a false alarm 4."""
    hints = {
        2.5: "no miss, but the two false alarms cost 8",
        3.5: "a miss and a false alarm cost 7",
        6.0: "that is the cost there; the question is the threshold",
        4.0: "the normal image at 4 reaches it: 2 misses and a false alarm",
        9.0: "that is the cost of flagging nothing; one image can be found without a false alarm",
    }
    right = float(answer) if is_number(answer) and 4 < float(answer) <= 5 else 5.0      # they all flag the same images
    judge(answer, right, "two misses, 6, and no false alarm", hints,
          "count misses and false alarms at 2.5, 3.5 and 5 and above all: elsewhere it can only cost as much or more")


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

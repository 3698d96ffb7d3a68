"""What the image threshold of a run promises, in words."""

import math

from adlib.metrics import alarms_allowed


def describe_promise(n: int, alpha: float = 0.05) -> str:
    """What `metrics.image_threshold` of n validation scores keeps, for normal images that are drawn like them.

    Over all draws of the validation images and the new one, that is; the rate that one draw gives is spread around it.

    >>> describe_promise(12)
    'at most 8 % of normal images, with 12 validation images; 5 % needs 19'
    >>> describe_promise(40)
    'at most 5 % of normal images, with 40 validation images'
    """
    percent = -(-100 * alarms_allowed(n, alpha) // (n + 1))     # rounded up: 2 of 29 are not 6 %
    words = f"at most {percent} % of normal images, with {n} validation image{'s' * (n > 1)}"
    needed = math.ceil((1 - 1e-12) / alpha) - 1
    return words if n >= needed else f"{words}; {100 * alpha:g} % needs {needed}"

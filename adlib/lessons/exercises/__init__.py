"""Checks of the lessons' exercises, a module per lesson: each says "not yet", "right", or gives the fitting hint."""

import numpy as np

__all__ = ["is_number", "judge"]


def is_number(answer: object) -> bool:
    try:
        float(answer)
    except (TypeError, ValueError):
        return False
    return True


def judge(answer: object, right: float, praise: str, hints: dict[float, str], otherwise: str) -> None:
    """Print the verdict on a numerical answer; `hints` maps plausible wrong answers to what went wrong there."""
    if answer is ...:
        return print("not yet: set `answer` and run this cell again")
    if not is_number(answer):
        return print(f"not yet: `answer` should be one number, not {type(answer).__name__}")
    near = [hint for wrong, hint in hints.items() if np.isclose(float(answer), wrong, atol=4e-3)]
    if np.isclose(float(answer), right, atol=1e-3):
        return print(f"right: {praise}")
    return print(f"not yet: {near[0] if near else otherwise}")

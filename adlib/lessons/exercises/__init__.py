"""Checks of the lessons' exercises, a module per lesson: each says "not yet", "right", or gives the fitting hint."""

from collections.abc import Callable
from copy import deepcopy

import numpy as np
import torch
from torch import Tensor

__all__ = ["is_number", "judge", "judge_function", "try_out"]


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


def judge_function(answer: object, right: Callable, cases: list[tuple], praise: str, wrong: dict[str, Callable],
                   otherwise: str) -> None:
    """Print the verdict on a function of tensors or arrays; `wrong` maps hints to plausible wrong versions of it."""
    if (found := try_out(answer, cases)) is None:
        return None
    expected = [as_floats(right(*case)) for case in cases]
    if all(map(alike, found, expected)):
        return print(f"right: {praise}")
    for hint, version in wrong.items():
        if all(map(alike, found, [as_floats(version(*case)) for case in cases])):
            return print(f"not yet: {hint}")
    shapes = [tuple(x[0].shape) for x in (found, expected)]
    if shapes[0] != shapes[1]:
        return print(f"not yet: it returns the shape {shapes[0]}, not {shapes[1]}; {otherwise}")
    return print(f"not yet: {otherwise}")


def try_out(answer: object, cases: list[tuple]) -> list[Tensor] | None:
    """What a reader's function returns for each case, as float tensors; None, and a hint is printed, if it cannot."""
    if answer is ...:
        return print("not yet: set `answer` to your function and run this cell again")
    if not callable(answer):
        return print(f"not yet: `answer` should be a function, not {type(answer).__name__}")
    try:
        found = [answer(*deepcopy(case)) for case in cases]
        if any(x is None or x is ... for x in found):
            return print("not yet: your function returns nothing")
        return [as_floats(x) for x in found]
    except Exception as error:      # whatever a reader's code raises is a hint for the reader
        return print(f"not yet: it raises {type(error).__name__}: {str(error).partition(chr(10))[0]}")


def as_floats(x: object) -> Tensor:
    return torch.as_tensor(x.detach().cpu() if isinstance(x, Tensor) else np.array(x, order="C")).double()


def alike(a: Tensor, b: Tensor) -> bool:
    return a.shape == b.shape and torch.allclose(a, b, rtol=1e-3, atol=1e-5)

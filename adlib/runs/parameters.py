"""The parameters of a lesson: their defaults stand in its notebook; values are checked before anything is computed."""

import ast
import difflib
import json
import re
from functools import cache
from pathlib import Path

from adlib import ROOT
from adlib.settings import BACKBONES, IMAGE_SIZE

NOTEBOOKS = ROOT / "notebooks"
CHOICES = {"budget": tuple(IMAGE_SIZE), "backbone": tuple(BACKBONES), "precision": ("auto", "float32", "bf16"),
           "rotation": ("auto", "none", "slight", "full"), "segmentation_input": ("product", "concat", "distance"),
           "cosine": ("auto", "pixel", "flat"), "test_mask": ("none", "mean"), "method": ("rd4ad", "masked_rd")}
# A parameter that is "auto" by default, and the type of a given value; all others hold strings.
INSTEAD_OF_AUTO = {"image_size": int, "lr": float, "level_weights": list, "opacity": list,
                   **dict.fromkeys(("steps", "student_steps", "segmentation_steps", "batch"), int),
                   **dict.fromkeys(("width", "student_width"), int)}


def check_parameters(lesson: str, namespace: dict) -> dict:
    """Compare a lesson's parameters with the defaults in its notebook, before anything is computed.

    Papermill only warns about a name that the lesson does not have, and reads `001` as an int and `false` as a string.

    Parameters
    ----------
    lesson : str
        The notebook's name without its suffix.
    namespace : dict
        The notebook's `globals()`.

    Returns
    -------
    dict
        All parameters as given, for `runs.start`.

    Raises
    ------
    ValueError
        It names every wrong parameter, what was found, what is expected, and how to write it.
    """
    injected = {name: namespace.get(name) for name in injected_names(namespace.get("In", []))}
    known = {name: namespace[name] for name in lesson_parameters(lesson) if name in namespace}
    return complete_parameters(lesson, injected | known)


def complete_parameters(lesson: str, given: dict) -> dict:
    """All parameters of a lesson: the given ones, checked, over the defaults."""
    defaults = lesson_parameters(lesson)
    problems = [unknown_name(name, defaults) for name in given if name not in defaults]
    values = {name: given.get(name, default) for name, default in defaults.items()}
    for name, default in defaults.items():
        problems += wrong_type(name, values[name], default) or wrong_value(name, values[name])
    if problems:
        raise ValueError(f"{lesson}: " + "; ".join(problems))
    # An int for a float is the same run.
    return {name: float(value) if type_of(name, value, defaults[name]) is float else value
            for name, value in values.items()}


def lesson_parameters(lesson: str) -> dict:
    """Names and defaults of the cell tagged `parameters`."""
    return dict(parse_parameters(find_lesson(lesson), find_lesson(lesson).stat().st_mtime_ns))


@cache      # a sweep asks a thousand times
def parse_parameters(path: Path, changed: int) -> dict:
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    tagged = [cell for cell in cells if "parameters" in cell["metadata"].get("tags", [])]
    return {node.targets[0].id: ast.literal_eval(node.value) for node in ast.parse("".join(tagged[0]["source"])).body}


def read_lesson(lesson: str) -> dict:
    """A lesson's notebook as it is stored; nbformat would take a second to import."""
    return json.loads(find_lesson(lesson).read_text(encoding="utf-8"))


def find_lesson(lesson: str) -> Path:
    path = NOTEBOOKS / f"{lesson}.ipynb"
    if not path.is_file():
        lessons = sorted(path.stem for path in NOTEBOOKS.glob("*.ipynb"))
        if not lessons:
            raise FileNotFoundError(f"there are no lessons in {NOTEBOOKS}: they come with adlib's repository, not with "
                                    "the installed package; go to the repository's folder and start again")
        raise FileNotFoundError(f"there is no lesson {path}; there are {', '.join(lessons)}")
    return path


def injected_names(history: list[str]) -> list[str]:
    """Names that papermill's injected cell sets, read from IPython's input history."""
    cells = [source for source in history if source.startswith("# Parameters\n")]
    nodes = ast.parse(cells[-1]).body if cells else []
    return [target.id for node in nodes if isinstance(node, ast.Assign) for target in node.targets]


def unknown_name(name: str, defaults: dict) -> str:
    close = difflib.get_close_matches(name, defaults, n=1)
    mend = f"did you mean {close[0]!r}?" if close else f"there are {', '.join(defaults)}"
    return f"there is no parameter {name!r}; {mend}"


def wrong_type(name: str, value: object, default: object) -> list[str]:
    """The complaint about a value whose type is not the default's; an int may stand for a float."""
    kind = type_of(name, value, default)
    allowed = {kind, int} if kind is float else {kind}
    if type(value) in allowed:
        return []
    mend = f"like {default!r}"
    if isinstance(value, int | float) and str in allowed:
        mend += f"; papermill's -p turns digits into numbers, -r {name} {value} keeps a string"
    if bool in allowed and isinstance(value, str):
        mend += "; write True or False with a capital"
    expected = " or ".join(sorted(t.__name__ for t in allowed))
    return [f"{name}={value!r} is of type {type(value).__name__}, expected {expected} ({mend})"]


def type_of(name: str, value: object, default: object) -> type:
    """Of which type a value must be."""
    return INSTEAD_OF_AUTO.get(name, str) if default == "auto" and value != "auto" else type(default)


def wrong_value(name: str, value: object) -> list[str]:
    """The complaint about a value of the right type that no lesson can use."""
    if name in CHOICES and value not in CHOICES[name]:
        return [f"{name}={value!r} is unknown; choose one of {', '.join(CHOICES[name])}"]
    if name == "image_size" and value != "auto" and (value < 32 or value % 32):
        return [f"image_size={value} must be a multiple of 32, for example 128 or 256"]
    if name == "opacity" and not (len(value) == 2 and 0 <= value[0] <= value[1] <= 1):
        return [f"opacity={value} must be two numbers in [0, 1], the smaller first, for example [0.2, 1.0]"]
    if name == "train_share" and not 0 < value <= 1:
        return [f"train_share={value} must be in (0, 1]; 1.0 takes all training images"]
    if name == "device" and not re.fullmatch(r"auto|cpu|mps|cuda(:\d+)?", value):
        return [f"device={value!r} is unknown; choose one of auto, cpu, cuda, cuda:1, mps"]
    if name == "device" and value.startswith("cuda"):
        import torch  # takes seconds, and only this needs it

        if int(value[5:] or 0) >= (count := torch.cuda.device_count()):
            return [f"device={value!r}, but PyTorch sees {count} CUDA devices here; use device='auto'"]
    return []


def parse(text: str, name: str, default: object) -> object:
    """A value from the command line, as the type of the parameter's default; as text where it is none of that type."""
    kind = type_of(name, text, default)
    if kind is str:
        return text
    try:
        return kind(text) if kind in (int, float) else ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text

"""The parameters of a lesson: their defaults stand in its notebook; values are checked before anything is computed."""

import ast
import difflib
import json
import math
import re
from functools import cache
from pathlib import Path

from adlib import ROOT
from adlib.settings import BACKBONES, DESTSEG_WIDTHS, IMAGE_SIZE, ROTATION

NOTEBOOKS = ROOT / "notebooks"
LESSON_OF = {"nearest": "00_data_and_metrics", "stfpm": "01_stfpm", "destseg": "02_destseg",
             "rd4ad": "03_reverse_distillation", "masked_rd": "04_masked_reverse_distillation"}
CHOICES = {"budget": tuple(IMAGE_SIZE), "backbone": tuple(BACKBONES), "precision": ("auto", "float32", "bf16"),
           "fuse_at": ("stride4", "image"), "rotation": ("auto", "none", "slight", "full"),
           "segmentation_input": ("product", "concat", "distance"), "cosine": ("pixel", "flat"),
           "aspect": ("auto", "stretch", "keep"), "test_mask": ("none", "mean"),
           "start": ("auto", "mean", "none"), "borders": ("auto", "damp", "keep")}
# A parameter that is "auto" by default, and the type of a given value; all others hold strings.
INSTEAD_OF_AUTO = {"image_size": int, "tiles": int, "lr": float, "level_weights": list,
                   **dict.fromkeys(("steps", "student_steps", "segmentation_steps", "batch"), int),
                   **dict.fromkeys(("width", "student_width"), int)}
# Parameters whose numbers have a range: a test of the value, and what it asks for. NaN passes none.
POSITIVE = (lambda x: 0 < x < math.inf, "positive and finite")
COST = (lambda x: 0 <= x < math.inf, "at least 0 and finite")
COUNT = (lambda x: x >= 1, "at least 1")
SEED = (lambda x: 0 <= x < 2**32, "from 0 to 4294967295")
RANGES = {
    "seed": SEED, "seeds": SEED, "lr": POSITIVE, "level_weights": COST,
    "levels": (lambda x: 1 <= x <= 4, "out of 1, 2, 3, 4"), "tiles": (lambda x: 1 <= x <= 8, "from 1 to 8"),
    "train_share": (lambda x: 0 < x <= 1, "in (0, 1]; 1.0 takes all training images"),
    "mask_ratio": (lambda x: 0 <= x < 1, "in [0, 1)"),
    **dict.fromkeys(("steps", "student_steps", "segmentation_steps", "batch", "width", "student_width", "positions",
                     "neighbours", "most_painted", "draws", "resamples", "shuffles"), COUNT),
    **dict.fromkeys(("perplexities", "diameters", "contrasts"), POSITIVE),
    **dict.fromkeys(("miss", "false_alarm"), COST),
    **dict.fromkeys(("worst", "example"), (lambda x: x >= 0, "at least 0")),
    "contrast": POSITIVE,
    "spot": (lambda x: 0 <= x < 256, "in [0, 256)"), "least_share": (lambda x: 0 < x <= 1, "in (0, 1]"),
    "false_alarm_rate": (lambda x: 0 <= x <= 1, "in [0, 1]"),
}
DISTINCT = ("levels", "seeds", "methods")       # lists that hold something, and nothing twice


def resolve(parameters: dict) -> dict:
    """The parameters with each "auto" replaced by what budget and category mean by it.

    None stands for a number that the budget's recipe has (`steps`, `batch`, `lr`, ...) and for equal `level_weights`:
    recipes and networks take it so. What only the machine, the network or the images tell stays "auto": `weights`,
    `precision`, `device`, `texture_source`, and `start` but for `paper`.
    """
    budget = parameters["budget"]
    meant = {"image_size": IMAGE_SIZE[budget], "tiles": 1, "aspect": "stretch", **DESTSEG_WIDTHS[budget],
             "rotation": ROTATION.get(parameters["category"], "none"),
             "borders": "keep" if budget == "paper" else "damp", **({"start": "none"} if budget == "paper" else {}),
             **dict.fromkeys(("level_weights", "steps", "student_steps", "segmentation_steps", "batch", "lr"))}
    return parameters | {name: value for name, value in meant.items() if parameters.get(name) == "auto"}


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
    if not problems and values.get("level_weights", "auto") != "auto" and len(values["level_weights"]) != len(
            values["levels"]):
        problems = [f"level_weights={values['level_weights']} must be one number per level of {values['levels']}"]
    if problems:
        raise ValueError(f"{lesson}: " + "; ".join(problems))
    return {name: unify(value, defaults[name], name) for name, value in values.items()}


def unify(value: object, default: object, name: str) -> object:
    """A value as its default is written: an int for a float is the same run."""
    if isinstance(value, list) and element_type(name, default) is float:
        return [float(x) for x in value]
    return float(value) if type_of(name, value, default) is float else value


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


def is_run_cell(cell: dict) -> bool:
    """Whether a cell of a notebook is executed for a ledger run, too."""
    return "run" in cell["metadata"].get("tags", [])


def lesson_names() -> list[str]:
    return sorted(path.stem for path in NOTEBOOKS.glob("*.ipynb"))


def find_lesson(lesson: str) -> Path:
    path = NOTEBOOKS / f"{lesson}.ipynb"
    if not path.is_file():
        lessons = lesson_names()
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
    hint = f"did you mean {close[0]!r}?" if close else f"there are {', '.join(defaults)}"
    return f"there is no parameter {name!r}; {hint}"


def wrong_type(name: str, value: object, default: object) -> list[str]:
    """The complaint about a value whose type is not the default's; an int may stand for a float."""
    kind = type_of(name, value, default)
    if type(value) is kind and kind is list:
        allowed = one_of(element_type(name, default))
        strangers = [x for x in value if type(x) not in allowed]
        return [f"{name}={value!r} must be a list of {spell(allowed)}; {strangers[0]!r} is none"] if strangers else []
    allowed = one_of(kind)
    if type(value) in allowed:
        return []
    hint = f"like {default!r}"
    if isinstance(value, int | float) and str in allowed:
        hint += f"; papermill's -p turns digits into numbers, -r {name} {value} keeps a string"
    if bool in allowed and isinstance(value, str):
        hint += "; write True or False with a capital"
    return [f"{name}={value!r} is of type {type(value).__name__}, expected {spell(allowed)} ({hint})"]


def one_of(kind: type) -> set[type]:
    return {float, int} if kind is float else {kind}


def spell(kinds: set[type]) -> str:
    return " or ".join(sorted(kind.__name__ for kind in kinds))


def type_of(name: str, value: object, default: object) -> type:
    """Of which type a value must be."""
    return INSTEAD_OF_AUTO.get(name, str) if default == "auto" and value != "auto" else type(default)


def element_type(name: str, default: object) -> type:
    """Of which type the elements of a list must be."""
    if name == "level_weights":
        return float
    return type(default[0]) if isinstance(default, list) and default else int


def wrong_value(name: str, value: object) -> list[str]:
    """The complaint about a value of the right type that no lesson can use."""
    if isinstance(value, str) and (complaint := wrong_text(value)):
        return [f"{name}={value!r} {complaint}"]
    if name in CHOICES and value not in CHOICES[name]:
        return [f"{name}={value!r} is unknown; choose one of {', '.join(CHOICES[name])}"]
    if value == "auto":
        return []
    if name in DISTINCT and (not value or len(set(value)) < len(value)):
        return [f"{name}={value} must name something, and nothing twice"]
    if name in RANGES:
        fits, words = RANGES[name]
        if not all(fits(x) for x in (value if isinstance(value, list) else [value])):
            return [f"{name}={value} must be {words}"]
    if name == "levels" and value != sorted(value):
        return [f"levels={value} must be in increasing order, for example {sorted(value)}"]
    if name == "image_size" and (value < 32 or value % 32):
        return [f"image_size={value} must be a multiple of 32, for example 128 or 256"]
    if name == "opacity" and not (len(value) == 2 and 0 <= value[0] <= value[1] <= 1):
        return [f"opacity={value} must be two numbers in [0, 1], the smaller first, for example [0.2, 1.0]"]
    return wrong_device(value) if name == "device" else []


def wrong_text(text: str) -> str:
    """What keeps a text from being stored in a notebook or passed on, empty if nothing does."""
    if "\0" in text:
        return "holds a zero byte, which no file name can"
    try:
        text.encode()
    except UnicodeEncodeError:
        return "holds bytes that are no text (not UTF-8); rename that file or folder"
    return ""


def wrong_device(device: str) -> list[str]:
    if not re.fullmatch(r"cpu|mps|cuda(:\d+)?", device):
        return [f"device={device!r} is unknown; choose one of auto, cpu, cuda, cuda:1, mps"]
    if device.startswith("cuda"):
        import torch  # takes seconds, and only this needs it

        if int(device[5:] or 0) >= (count := torch.cuda.device_count()):
            return [f"device={device!r}, but PyTorch sees {count} CUDA devices here; use device='auto'"]
    return []


def parse(text: str, name: str, default: object) -> object:
    """A value from the command line, as the type of the parameter's default; as text where it is none of that type."""
    kind = type_of(name, text, default)
    if kind is str:
        return text
    try:
        return kind(text) if kind in (int, float) else ast.literal_eval(text)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):      # literal_eval raises all of these
        return text

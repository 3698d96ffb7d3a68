"""Lessons executed headless with papermill, and the check of their parameters."""

import ast
import difflib
import io
import sys
import time
from pathlib import Path

import nbformat
import torch

from adlib import ROOT
from adlib.data import find_output
from adlib.networks.teacher import BACKBONES
from adlib.recipes import IMAGE_SIZE

NOTEBOOKS = ROOT / "notebooks"
CHOICES = {"budget": tuple(IMAGE_SIZE), "backbone": tuple(BACKBONES), "precision": ("auto", "float32", "bf16")}
INSTEAD_OF_AUTO = {"image_size": int, "steps": int, "level_weights": list}    # "auto", or a value of this type


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
        All parameters as given, for `ledger.start`.

    Raises
    ------
    ValueError
        It names every wrong parameter, what was found, what is expected, and how to write it.
    """
    names = injected_names(namespace.get("In", [])) + list(lesson_parameters(lesson))
    return complete(lesson, {name: namespace.get(name) for name in names})


def complete(lesson: str, given: dict) -> dict:
    """All parameters of a lesson: the given ones, checked, over the defaults."""
    defaults = lesson_parameters(lesson)
    problems = [unknown_name(name, defaults) for name in given if name not in defaults]
    values = {name: given.get(name, default) for name, default in defaults.items()}
    for name, default in defaults.items():
        problems += wrong_type(name, values[name], default) or wrong_value(name, values[name])
    if problems:
        raise ValueError(f"{lesson}: " + "; ".join(problems))
    return {name: float(value) if isinstance(defaults[name], float) else value for name, value in values.items()}


def lesson_parameters(lesson: str) -> dict:
    """Names and defaults of the cell tagged `parameters`."""
    notebook = nbformat.read(NOTEBOOKS / f"{lesson}.ipynb", as_version=4)
    cells = [cell for cell in notebook.cells if "parameters" in cell.metadata.get("tags", [])]
    return {node.targets[0].id: ast.literal_eval(node.value) for node in ast.parse(cells[0].source).body}


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
    allowed = {type(default)} | ({int} if isinstance(default, float) else set())
    if default == "auto" and name in INSTEAD_OF_AUTO and value != "auto":
        allowed = {INSTEAD_OF_AUTO[name]}
    if type(value) in allowed:
        return []
    mend = f"like {default!r}"
    if isinstance(value, int | float) and str in allowed:
        mend += f"; papermill's -p turns digits into numbers, -r {name} {value} keeps a string"
    if bool in allowed and isinstance(value, str):
        mend += "; write True or False with a capital"
    expected = " or ".join(sorted(t.__name__ for t in allowed))
    return [f"{name}={value!r} is of type {type(value).__name__}, expected {expected} ({mend})"]


def wrong_value(name: str, value: object) -> list[str]:
    """The complaint about a value of the right type that no lesson can use."""
    if name in CHOICES and value not in CHOICES[name]:
        return [f"{name}={value!r} is unknown; choose one of {', '.join(CHOICES[name])}"]
    if name == "image_size" and value != "auto" and (value < 32 or value % 32):
        return [f"image_size={value} must be a multiple of 32, for example 128 or 256"]
    if name == "device" and value.startswith("cuda") and not torch.cuda.is_available():
        return [f"device={value!r}, but PyTorch sees no CUDA device here; use device='auto' or 'cpu'"]
    return []


def run_lesson(lesson: str, parameters: dict, *, out_dir: str | Path = "runs") -> Path:
    """Execute a whole lesson with papermill, its prints shown as they come; the path of the executed notebook.

    Raises
    ------
    RuntimeError
        A cell failed; the notebook up to that cell is kept, and the message says where.
    """
    import papermill

    out = find_output(out_dir) / "lessons" / f"{lesson}.ipynb"
    out.parent.mkdir(parents=True, exist_ok=True)
    start = time.perf_counter()
    print(f"executing {lesson} ...", flush=True)
    try:
        papermill.execute_notebook(
            NOTEBOOKS / f"{lesson}.ipynb",
            out,
            parameters=parameters,
            progress_bar=False,
            stdout_file=Indented(sys.stdout),
        )
    except papermill.PapermillExecutionError as error:
        raise RuntimeError(f"cell {error.cell_index} of {lesson} failed with {error.ename}: {error.evalue}\n"
                           f"the notebook up to there is {out}") from error
    print(f"executed {lesson} in {time.perf_counter() - start:.0f} s", flush=True)
    return out


class Indented(io.TextIOBase):
    """A kernel's prints on the terminal, set apart from the runner's own."""

    def __init__(self, stream):
        self.stream = stream

    def write(self, text: str) -> int:
        self.stream.write("".join(f"    {line}" for line in text.splitlines(keepends=True)))
        self.stream.flush()
        return len(text)


def printed_by(notebook: Path, tag: str) -> str:
    """What the cells with a tag printed in an executed notebook."""
    cells = [cell for cell in nbformat.read(notebook, as_version=4).cells if tag in cell.metadata.get("tags", [])]
    return "".join(output.get("text", "") for cell in cells for output in cell.get("outputs", []))

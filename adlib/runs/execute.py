"""Lessons executed headless with papermill, all their cells or a ledger run's. Imports neither torch nor papermill."""

import io
import json
import os
import re
import shlex
import subprocess
import sys
import time
import traceback
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import suppress
from pathlib import Path

from adlib import find_output
from adlib.runs.folder import (
    LOCK_ENV,
    PENDING,
    clear,
    explained,
    lock_folder,
    record_failure,
    run_folder,
)
from adlib.runs.parameters import (
    LESSON_OF,
    complete_parameters,
    find_lesson,
    is_run_cell,
    lesson_parameters,
    read_lesson,
)
from adlib.settings import find_input, printable, write_json

UNDER_WAY = "notebook.part.ipynb"
# Whose runs a lesson reads: those before it, of the lessons on methods; the others read all of these.
READS = dict.fromkeys(LESSON_OF.values(), ()) | {
    "04_masked_reverse_distillation": ("01_stfpm", "03_reverse_distillation")}


def run_lesson(lesson: str, parameters: dict, *, out_dir: str | Path = "runs") -> Path:
    """Execute a whole lesson with papermill, what its `run` cells print shown as it comes; the executed notebook.

    Raises
    ------
    RuntimeError
        A cell failed; the notebook up to that cell is kept, and the message says where.
    """
    from papermill import PapermillExecutionError

    notebook, out = find_lesson(lesson), find_output(out_dir) / "lessons" / f"{lesson}.ipynb"
    out.parent.mkdir(parents=True, exist_ok=True)
    start = time.perf_counter()
    print(f"executing {lesson} ...", flush=True)
    try:
        execute_notebook(notebook, out, parameters)
    except PapermillExecutionError as error:
        raise RuntimeError(f"cell {error.cell_index} of {lesson} failed with {error.ename}: {error.evalue}\n"
                           f"the notebook up to there is {out}") from error
    print(f"executed {lesson} in {time.perf_counter() - start:.0f} s", flush=True)
    return out


def run_lessons(lessons: Sequence[str], options: list[str], *, out_dir: str | Path = "runs") -> list[Path]:
    """Execute lessons by `python -m adlib demo`, two at a time: with half of the cores each they are through sooner.

    A lesson begins when those that make the runs it reads (`READS`) are through, and these begin first. Prints come as
    they are, behind the lesson's number. Returns the paths of the executed notebooks.

    Raises
    ------
    RuntimeError
        Some failed; the others are complete.
    """
    cores = os.cpu_count() or 1
    at_once = min(2, cores)
    environment = os.environ | limit_threads(cores // at_once)
    ends: dict[str, Future[int]] = {}

    def execute_apart(lesson: str) -> int:
        for before in READS.get(lesson, READS):
            if before in ends:
                ends[before].result()
        command = [sys.executable, "-m", "adlib", "demo", *options, "--lesson", lesson]
        with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              encoding="utf-8", errors="replace") as process:
            for line in process.stdout or ():
                print(f"{lesson[:2]}  {line}", end="", flush=True)
        return process.returncode

    awaited = {before for names in READS.values() for before in names}
    with ThreadPoolExecutor(at_once) as pool:
        for lesson in sorted(lessons, key=lambda name: (len(READS.get(name, READS)), name not in awaited, name)):
            ends[lesson] = pool.submit(execute_apart, lesson)
        try:
            wait(ends.values())
        except KeyboardInterrupt:       # the terminal sends it to the lessons, too
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    if failed := [lesson for lesson in lessons if ends[lesson].result()]:
        raise RuntimeError(f"{', '.join(failed)} failed; what was said of it stands above")
    return [find_output(out_dir) / "lessons" / f"{lesson}.ipynb" for lesson in lessons]


def execute_notebook(notebook: Path, out: Path, parameters: dict) -> None:
    """Execute a notebook into `out`, which grows as it goes; what its `run` cells print is shown as it comes."""
    import papermill

    from adlib.runs import engine as engine  # makes itself known to papermill

    paths = [str(path).replace("{", "{{").replace("}", "}}") for path in (notebook, out)]   # papermill takes templates
    papermill.execute_notebook(*paths, parameters=parameters, progress_bar=False, engine_name="adlib",
                               stdout_file=Indented(sys.stdout), stderr_file=Indented(sys.stderr),
                               shutdown_kernel="immediate",     # gracefully takes 2 s
                               extra_arguments=["--IPKernelApp.log_level=ERROR"])   # it warns of its own loopback


def run(method: str, given: dict, *, out_dir: str | Path | None = None, again: bool = False) -> Path:
    """A ledger run: execute the `run` cells of a method's lesson into the run's folder; the path of that folder.

    A complete run that is there already is returned as it is; an interrupted one goes on from its checkpoint.

    Parameters
    ----------
    method : str
    given : dict
        Parameters that differ from the lesson's defaults.
    out_dir : path, optional
        Instead of the parameter.
    again : bool
        Forget what is there.

    Raises
    ------
    ValueError
        Wrong parameters; nothing was executed.
    RuntimeError
        A cell failed, and failed.json stands in the folder; or another run is at work there.
    OSError
        The folder cannot be written.
    """
    lesson = LESSON_OF[method]
    given = given | ({} if out_dir is None else {"out_dir": str(out_dir)})
    parameters = complete_parameters(lesson, given)
    ensure_data(parameters["data_root"])
    folder = run_folder(method, parameters)
    lock = lock_folder(folder)
    try:
        if (folder / "run.json").exists() and not again:
            print(f"already there: {folder} (--again runs it anew)", flush=True)
            return folder
        with explained(folder):
            clear(folder, "notebook.ipynb")
            if again:
                (folder / "checkpoint.pt").unlink(missing_ok=True)
        execute_run(method, lesson, given, parameters, folder)
    finally:
        lock.release(force=True)
    return folder


def find_runs(wanted: list[tuple[str, dict]], *, make: bool = False) -> list[Path]:
    """Folders of those of the wanted runs that are complete; prints how to make the others, or makes them.

    Parameters
    ----------
    wanted : list of (method, given)
        As for `run`.
    make : bool
        Make what is missing.

    Raises
    ------
    FileNotFoundError
        None of them is there; names a command that makes one.
    """
    folders = [(method, given, folder_of(method, given)) for method, given in wanted]
    missing = [(method, given) for method, given, folder in folders if not (folder / "run.json").is_file()]
    if make:
        return [folder if (folder / "run.json").is_file() else run(method, given) for method, given, folder in folders]
    commands = [shlex.join(["python", *run_command(method, given)]) for method, given in missing]
    if missing and len(missing) == len(wanted):
        raise FileNotFoundError("none of these runs is there yet; make them:\n" + "\n".join(commands))
    for command in commands:
        print("not there yet:", command)
    return [folder for *_, folder in folders if (folder / "run.json").is_file()]


def folder_of(method: str, given: dict, **options) -> Path:
    """Where the run of a method with these parameters lies; options as for `run_folder`."""
    return run_folder(method, complete_parameters(LESSON_OF[method], given), **options)


def ensure_data(data_root: str) -> None:
    """Make the demo set, or renew an old one, before a run's folder is looked up: its files are part of that name."""
    if find_input(data_root).name.startswith("demo"):
        from adlib.demo import ensure  # takes half a second: scipy

        ensure(data_root)


def limit_threads(n: int) -> dict[str, str]:
    """Environment in which the libraries that compute start so many threads."""
    return dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), str(n))


def run_command(method: str, given: dict) -> list[str]:
    """Arguments of Python that make a run; the lesson's defaults go without saying."""
    defaults = lesson_parameters(LESSON_OF[method])
    changed = [f"{name}={value}" for name, value in given.items() if name not in defaults or value != defaults[name]]
    return ["-m", "adlib", "run", method, *(x for text in changed for x in ("-p", text))]


def execute_run(method: str, lesson: str, given: dict, parameters: dict, folder: Path) -> None:
    """Execute into a locked folder; what the kernel wrote becomes a run only once the notebook is stored too."""
    start = time.perf_counter()
    print(f"running {method} on {printable(parameters['category'])}, seed {parameters['seed']} ...", flush=True)
    os.environ[LOCK_ENV] = str(folder)       # the kernel inherits it
    try:
        write_json(folder / UNDER_WAY, only_run_cells(lesson))
        execute_notebook(folder / UNDER_WAY, folder / UNDER_WAY, given)
        if not (folder / PENDING).exists():
            raise RuntimeError("no run cell called runs.finish")
        os.replace(folder / UNDER_WAY, folder / "notebook.ipynb")
        os.replace(folder / PENDING, folder / "run.json")
    except Exception as error:
        found = explain(error, lesson)
        kept = keep_failure(method, parameters, folder, found)
        where = f"cell {found['cell']} of {lesson}" if found["cell"] else lesson
        raise RuntimeError(f"{where} failed with {found['name']}: {found['message']}\n{kept}") from error
    finally:
        del os.environ[LOCK_ENV]
    print(f"complete after {time.perf_counter() - start:.0f} s: {folder}", flush=True)


def only_run_cells(lesson: str) -> dict:
    """The lesson's notebook without the cells that only explain."""
    notebook = read_lesson(lesson)
    return notebook | {"cells": [cell for cell in notebook["cells"] if is_run_cell(cell)]}


def explain(error: Exception, lesson: str) -> dict:
    """What failed.json says of an error: of the cell's where there is one, else of the runner's own."""
    if not hasattr(error, "ename"):
        dead = "; the system may have ended it for want of memory" if type(error).__name__ == "DeadKernelError" else ""
        return {"name": type(error).__name__, "message": f"{error}{dead}", "cell": None,
                "traceback": "".join(traceback.format_exception(error))}
    ids = (cell["id"] for cell in read_lesson(lesson)["cells"] if "".join(cell["source"]) == error.source)
    return {"name": error.ename, "message": error.evalue, "cell": next(ids, None),
            "traceback": re.sub(r"\x1b\[[0-9;]*m", "", "\n".join(error.traceback))}


def keep_failure(method: str, parameters: dict, folder: Path, found: dict) -> str:
    """Store the notebook up to the failing cell, unless it is torn, and failed.json; says where they are."""
    try:
        keep_notebook(folder)
        record_failure(folder, method, parameters, found)
    except Exception as error:      # whatever it is, the run's own error is the one to hear of
        return f"failed.json could not be written either ({error}); free space or choose another --out-dir"
    return f"traceback and notebook: {folder}"


def keep_notebook(folder: Path) -> None:
    try:
        json.loads((folder / UNDER_WAY).read_text(encoding="utf-8"))
        os.replace(folder / UNDER_WAY, folder / "notebook.ipynb")
    except (OSError, ValueError):
        with suppress(OSError):
            (folder / UNDER_WAY).unlink(missing_ok=True)


def escape_output() -> None:
    """Let printing never fail: what the terminal's encoding lacks is shown as escapes."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


class Indented(io.TextIOBase):
    """A kernel's prints on the terminal, set apart from the runner's own."""

    def __init__(self, stream):
        self.stream, self.silent = stream, False

    def write(self, text: str) -> int:
        if self.silent:
            return len(text)
        self.stream.write("".join(f"    {line}" for line in text.splitlines(keepends=True)))
        self.stream.flush()
        return len(text)


def printed_by(notebook: Path, tag: str) -> str:
    """What the cells with a tag printed in an executed notebook."""
    import nbformat

    cells = [cell for cell in nbformat.read(notebook, as_version=4).cells if tag in cell.metadata.get("tags", [])]
    return "".join(output.get("text", "") for cell in cells for output in cell.get("outputs", []))

"""Runs: a lesson's run cells executed headless, once per category, method and seed, into a ledger of folders."""

from typing import TYPE_CHECKING

from adlib.runs.execute import find_runs, folder_of, run, run_lesson
from adlib.runs.folder import read_runs, run_folder
from adlib.runs.parameters import LESSON_OF, check_parameters, lesson_parameters, resolve

if TYPE_CHECKING:
    from adlib.runs.datasets import describe, subsample
    from adlib.runs.record import finish, load_run, start

__all__ = ["LESSON_OF", "check_parameters", "describe", "find_runs", "finish", "folder_of", "lesson_parameters",
           "load_run", "read_runs", "resolve", "run", "run_folder", "run_lesson", "start", "subsample"]


def __getattr__(name: str):
    """What imports torch, when it is first asked for: the runner does without."""
    if name in ("describe", "finish", "load_run", "start", "subsample"):
        from adlib.runs import datasets, record

        return getattr(datasets if name in ("describe", "subsample") else record, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

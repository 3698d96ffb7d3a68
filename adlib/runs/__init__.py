"""Runs: a lesson's run cells executed headless, once per category, method and seed, into a ledger of folders."""

from typing import TYPE_CHECKING

from adlib.runs.execute import find_runs, folder_of, run, run_lesson
from adlib.runs.folder import read_runs, run_folder
from adlib.runs.parameters import LESSON_OF, check_parameters, lesson_parameters, resolve

if TYPE_CHECKING:
    from adlib.runs.record import finish, load_run, start

__all__ = ["LESSON_OF", "check_parameters", "find_runs", "finish", "folder_of", "lesson_parameters", "load_run",
           "read_runs", "resolve", "run", "run_folder", "run_lesson", "start"]


def __getattr__(name: str):
    """`start`, `finish` and `load_run` when first asked for: they import torch, which the runner does without."""
    if name in ("finish", "load_run", "start"):
        from adlib.runs import record

        return getattr(record, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

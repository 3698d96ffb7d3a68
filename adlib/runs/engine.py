"""How papermill executes a lesson here: on the terminal only its `run` cells speak, where it has any.

What the others print, numbers by hand and exercises without an answer, is for who reads the lesson. The notebook is
written before each `run` cell and else every few seconds: papermill writes all of it twice a cell, and a lesson has a
hundred cells and megabytes of figures.
"""

import time

from papermill.engines import NBClientEngine, papermill_engines

from adlib.runs.parameters import is_run_cell

SAVE_EVERY = 5      # seconds


class RunCellsSpeak(NBClientEngine):
    """nbclient's engine with a `stdout_file` that says nothing of other cells, and that seldom saves."""

    @classmethod
    def execute_managed_notebook(cls, nb_man, kernel_name, *, stdout_file, **options):
        has_run_cells, start, save = any(map(is_run_cell, nb_man.nb.cells)), nb_man.cell_start, nb_man.save
        next_save = 0.0

        def start_cell(cell, *arguments, **named):
            nonlocal next_save
            stdout_file.silent = has_run_cells and not is_run_cell(cell)
            next_save = 0 if is_run_cell(cell) else next_save
            return start(cell, *arguments, **named)

        def save_seldom(**named):       # the whole notebook is saved by papermill in the end, whatever happens
            nonlocal next_save
            if time.monotonic() >= next_save:
                save(**named)
                next_save = time.monotonic() + SAVE_EVERY

        nb_man.cell_start, nb_man.save = start_cell, save_seldom
        return super().execute_managed_notebook(nb_man, kernel_name, stdout_file=stdout_file, **options)


papermill_engines.register("adlib", RunCellsSpeak)

"""How papermill executes a lesson here: on the terminal only its `run` cells speak, where it has any.

What the others print, numbers by hand and exercises without an answer, is for who reads the lesson.
"""

from papermill.engines import NBClientEngine, papermill_engines

from adlib.runs.parameters import is_run_cell


class RunCellsSpeak(NBClientEngine):
    """nbclient's engine with a `stdout_file` that says nothing of other cells."""

    @classmethod
    def execute_managed_notebook(cls, nb_man, kernel_name, *, stdout_file, **options):
        has_run_cells, start = any(is_run_cell(cell) for cell in nb_man.nb.cells), nb_man.cell_start

        def start_cell(cell, *arguments, **named):
            stdout_file.silent = has_run_cells and not is_run_cell(cell)
            return start(cell, *arguments, **named)

        nb_man.cell_start = start_cell
        return super().execute_managed_notebook(nb_man, kernel_name, stdout_file=stdout_file, **options)


papermill_engines.register("adlib", RunCellsSpeak)

"""A sweep executed: snakemake runs what a plan lacks (sweep.smk), and its progress is told. Imports no torch.

Names that a user or a data set chose stay data: snakemake and its shell see only the plan's own names of runs, such as
`0003-stfpm-demo-s0-1f9c3a`, and `python -m adlib.runs.sweep PLAN NAME` reads from the plan what to do.
"""

import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import filelock

from adlib import settings
from adlib.runs import execute
from adlib.runs.folder import explained, read_entry, read_failure
from adlib.runs.planning import Machine, Planned, clock, missing, time_left

RUNNER = [sys.executable, "-m", "adlib.runs.sweep"]
PLAN = "plan.json"


def execute_plan(planned: list[Planned], machine: Machine, *, options: Iterable[str] = (),
                 log: Callable = print) -> int:
    """Run what is not there yet; how many runs are missing in the end.

    Interrupted (Ctrl-C, SIGTERM, a closed terminal), it ends its runs, which go on from their checkpoints when the
    same sweep is given again.

    Parameters
    ----------
    planned : list of Planned
        In one out_dir.
    machine : Machine
    options : iterable of str
        More options of snakemake.
    log : callable
        Takes each line of progress.

    Raises
    ------
    RuntimeError
        Another sweep is at work in the same out_dir, or snakemake cannot begin; shows what it said.
    KeyboardInterrupt
        After the runs were ended.
    """
    left = missing(planned)
    if not left:
        return 0
    out_dir = left[0].folder.parents[3]
    lock = filelock.FileLock(out_dir / "sweep.lock")
    with explained(out_dir):
        out_dir.mkdir(parents=True, exist_ok=True)
    try:
        lock.acquire(blocking=False)
    except filelock.Timeout:
        raise RuntimeError(f"another sweep is at work in {out_dir}; wait for its end, or choose another "
                           f"--out-dir") from None
    with lock:
        write_plan(out_dir / "sweep", left, machine)
        return watch(left, machine, snakemake(out_dir / "sweep", machine, options), log=log)


def write_plan(folder: Path, left: list[Planned], machine: Machine) -> None:
    """What sweep.smk and `execute_planned` read, in a new folder, which takes the logs too."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    runs = {}
    for i, run in enumerate(left):
        name = f"{i:04}-{run.method}-{run.folder.name}"
        run.log = folder / f"{name}.log"
        runs[name] = {"method": run.method, "given": run.given, "folder": str(run.folder), "threads": run.threads,
                      "slot": run.slot, "mem_mb": run.mem_mb}
    settings.write_json(folder / PLAN, {"cwd": os.getcwd(), "runner": RUNNER, "slots": len(machine.devices),
                                        "runs": runs})


def execute_planned(plan: Path, name: str) -> None:
    """Make one run of a plan: what the rule of sweep.smk calls."""
    content = json.loads(plan.read_text(encoding="utf-8"))
    run = content["runs"][name]
    os.chdir(content["cwd"])
    os.environ.update(execute.limit_threads(run["threads"]))
    execute.run(run["method"], run["given"])


def snakemake(folder: Path, machine: Machine, options: Iterable[str]) -> list[str]:
    """The command of snakemake; whether a run is made goes by its file NAME.done, not by dates or its own records."""
    slots = [f"slot{i}=1" for i in range(len(machine.devices))]
    here = ["--cores", str(machine.cores), "--resources", f"mem_mb={free_memory_mb()}", *slots]
    return [sys.executable, "-m", "snakemake", "--snakefile", str(Path(__file__).with_name("sweep.smk")),
            "--directory", str(folder),
            "--keep-going", "--nolock", "--ignore-incomplete", "--drop-metadata", "--rerun-triggers", "mtime",
            "--scheduler", "greedy", *(machine.remote or here), *options]


def free_memory_mb() -> int:
    import psutil

    return psutil.virtual_memory().available // 2**20


def watch(left: list[Planned], machine: Machine, command: list[str], *, log: Callable, every: float = 1.0) -> int:
    """Start snakemake and say what becomes of the runs; how many are missing in the end."""
    folder, began = left[0].log.parent, time.time()
    with (folder / "snakemake.log").open("wb") as file:
        process = subprocess.Popen(command, stdout=file, stderr=file, stdin=subprocess.DEVNULL, start_new_session=True)
    try:
        with signals_as_interrupts():
            while process.poll() is None:
                report_progress(left, machine, log)
                time.sleep(every)
    except KeyboardInterrupt:
        log("ending the runs; the same command goes on where they stopped")
        raise
    finally:
        end(process)        # whatever it was: a closed pipe, a torn entry
    report_progress(left, machine, log)
    failed = missing(left)
    if process.returncode and not any(run.began for run in left):
        said = (folder / "snakemake.log").read_text(encoding="utf-8", errors="replace")
        raise RuntimeError(f"snakemake could not begin:\n{said[-2000:]}")
    log(f"{len(left) - len(failed)} done, {len(failed)} failed in {clock(time.time() - began)}")
    for run in failed:
        log(f"  failed: {run.name}: {run.why or 'not begun, or ended from outside'}\n    {run.log}")
    if failed:
        log("the same command tries them again")
    return len(failed)


def report_progress(left: list[Planned], machine: Machine, log: Callable) -> None:
    """Say which runs have ended since the last time, and how the sweep stands."""
    for run in left:
        if run.took is not None or run.why:
            continue
        if run.began is None and run.log.is_file():
            run.began = time.time()
        if run.complete:
            run.took = time.time() - (run.began or time.time())
            update_estimates(left, run)
            auroc = read_entry(run.folder)["metrics"]["image_auroc"]
            found = "" if auroc is None else f", image AUROC {auroc:.3f}"
            log(f"{progress_line(left, machine)}; done: {run.name} ({clock(run.took)}{found})")
        elif run.log.with_suffix(".failed").is_file():
            run.why = reason(run)
            log(f"{progress_line(left, machine)}; failed: {run.name}: {run.why}")


def update_estimates(left: list[Planned], ended: Planned) -> None:
    """Expect of a method's open runs what those took that have ended here."""
    of_it = [run for run in left if run.method == ended.method]
    seconds = statistics.median(run.took for run in of_it if run.took is not None)
    for run in of_it:
        run.seconds = seconds


def progress_line(left: list[Planned], machine: Machine) -> str:
    done, failed = sum(run.took is not None for run in left), sum(bool(run.why) for run in left)
    open_ = [run for run in left if run.took is None and not run.why]
    running = sum(run.began is not None for run in open_)
    return (f"{time.strftime('%H:%M:%S')}  {done} done, {running} running, {failed} failed, "
            f"{len(open_) - running} waiting, about {clock(time_left(open_, machine))} left")


def reason(run: Planned) -> str:
    """Why a run failed, on one line: its failed.json's error, else how its process ended and what it said last."""
    if (run.folder / "failed.json").is_file():
        return read_failure(run.folder)
    status = run.log.with_suffix(".failed").read_text(encoding="utf-8").strip()
    lines = run.log.read_text(encoding="utf-8", errors="replace").splitlines()
    said = [line.strip() for line in lines if line.strip()]
    killed = " (killed, perhaps for want of memory)" if status == "137" else ""
    return f"its process ended with status {status}{killed}; it said last: {said[-1] if said else 'nothing'}"


def end(process: subprocess.Popen, patience: float = 10.0) -> None:
    """End snakemake and the runs below it, in the end by force; files are complete or not there, whenever it is."""
    for name in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL):
        if process.poll() is not None:
            return
        with suppress(ProcessLookupError):
            os.killpg(process.pid, name)
        with suppress(subprocess.TimeoutExpired):
            process.wait(patience)


@contextmanager
def signals_as_interrupts() -> Iterator[None]:
    """What ends a terminal or a job ends the sweep as Ctrl-C does, its runs included."""
    def interrupt(*_):
        raise KeyboardInterrupt

    before = {name: signal.signal(name, interrupt) for name in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for name, handler in before.items():
            signal.signal(name, handler)


if __name__ == "__main__":
    try:
        execute.escape_output()
        execute_planned(Path(sys.argv[1]), sys.argv[2])
    except (OSError, ValueError, RuntimeError) as found:
        sys.exit(f"error: {found}")

"""A sweep: many ledger runs, planned here and executed by snakemake (sweep.smk). Imports no torch."""

import csv
import json
import os
import re
import shlex
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import filelock

from adlib import ROOT, settings
from adlib.runs import execute
from adlib.runs.folder import SECONDS, explained, read_entry, read_runs
from adlib.runs.parameters import complete_parameters
from adlib.settings import IMAGE_SIZE

OVERHEAD = 10.0         # seconds of a run besides training, predicting and evaluating: kernel, imports, figures, files
MEMORY_MB = 4000        # of a run of which nothing is known
DEMO_EXTRACT = ROOT / "notebooks" / "results" / "demo.csv"


@dataclass
class Planned:
    """One run of a sweep."""

    method: str
    given: dict                 # parameters, as for `runs.run`
    folder: Path
    threads: int = 1
    slot: int = -1              # of the devices that are shared out; -1 where none are
    seconds: float | None = None        # as earlier runs took
    mem_mb: int = MEMORY_MB
    why: str = ""               # what failed
    began: float | None = None
    took: float | None = None

    @property
    def complete(self) -> bool:
        return (self.folder / "run.json").is_file()

    @property
    def log(self) -> Path:
        return self.folder / "log.txt"

    @property
    def name(self) -> str:
        return f"{self.method} {self.given['category']} {self.folder.name}"

    def command(self) -> list[str]:
        return [*execute.run_command(self.method, self.given), "--threads", str(self.threads)]


@dataclass
class Machine:
    """Where the runs are executed."""

    cores: int
    threads: int = 1                                    # of one run
    devices: list[str] = field(default_factory=list)    # one run at a time on each; none: as many as there are cores
    remote: list[str] = field(default_factory=list)     # options of snakemake that hand the runs to a cluster
    jobs: int | None = None                             # there at most; None: as the profile says

    @property
    def slots(self) -> int | None:
        """Runs at a time; None where only the profile knows."""
        return self.jobs if self.remote else len(self.devices) or max(1, self.cores // self.threads)


def pick_machine(cores: int, threads: int = 1, device: str = "auto", *, profile: str | None = None,
                 executor: str | None = None, jobs: int | None = None) -> Machine:
    """This machine, one run to a GPU or one to so many cores, or the cluster of a snakemake profile or executor."""
    if cores < 1 or not 1 <= threads <= cores:
        raise ValueError(f"--cores {cores} --threads {threads}: a run takes at least one thread, at "
                         f"most as many as there are cores")
    if profile or executor:
        jobs = jobs or (None if profile else 100)
        remote = ["--profile", profile] if profile else ["--executor", executor]
        return Machine(cores, threads, remote=remote + (["--jobs", str(jobs)] if jobs else []), jobs=jobs)
    devices = device.split(",") if device.startswith("cuda") else []
    if device == "auto":
        import torch

        devices = [f"cuda:{i}" for i in range(torch.cuda.device_count())]
    return Machine(cores, max(threads, cores // len(devices)) if devices else threads, devices)


def rows_of(methods: str | None, given: Callable[[str], dict]) -> list[tuple[str, dict]]:
    """(method, given parameters) of each name in a list with commas; of all methods where there is none."""
    names = split_names(methods) if methods else list(execute.LESSON_OF)
    unknown = [name for name in names if name not in execute.LESSON_OF]
    if unknown or not names:
        raise ValueError(f"--methods {methods}: unknown {', '.join(unknown)}; there are {', '.join(execute.LESSON_OF)}")
    return [(name, given(name)) for name in names]


def pick_categories(root: str, categories: str) -> list[str]:
    """The named categories of a data set, or all; the demo set is made if it is missing."""
    from adlib.data.category import list_categories
    from adlib.demo import generate

    found = list_categories(generate.ensure(root))
    names = found if categories == "all" else split_names(categories)
    unknown = [name for name in names if name not in found]
    if unknown or not names:
        raise ValueError(f"--categories {categories}: {', '.join(unknown) or 'none'} not in {root}; there are "
                         f"{', '.join(found) or 'no categories (expected <category>/train/good/*.png)'}")
    return names


def pick_seeds(seeds: str) -> list[int]:
    """The numbers of a list or of a range: "0,1,2" or "0-9"."""
    if found := re.fullmatch(r"(\d+)-(\d+)", seeds):
        return list(range(int(found[1]), int(found[2]) + 1))
    if not re.fullmatch(r"\d+(,\d+)*", seeds):
        raise ValueError(f"--seeds {seeds}: expected numbers with commas, or a range, for example 0,1,2 or 0-9")
    return [int(seed) for seed in seeds.split(",")]


def split_names(names: str) -> list[str]:
    return [name.strip() for name in names.split(",") if name.strip()]


def combine(rows: Iterable[tuple[str, dict]], categories: list[str], seeds: list[int]) -> list[tuple[str, dict]]:
    """(method, parameters) of each row, category and seed; whole seeds first, so that a sweep cut short is even."""
    return [(method, parameters | {"category": category, "seed": seed})
            for seed in seeds for category in categories for method, parameters in rows]


def plan(wanted: Iterable[tuple[str, dict]], machine: Machine) -> list[Planned]:
    """The runs, each once, with its folder, its share of the machine and what it is expected to take.

    Raises
    ------
    ValueError
        A parameter that a method's lesson does not have, or cannot use; nothing was executed.
    """
    found = {}
    for method, given in wanted:
        folder = execute.folder_of(method, given)
        found.setdefault(folder, Planned(method, given, folder, machine.threads))
    estimate_costs(found.values())
    for i, run in enumerate(run for run in found.values() if machine.devices and not run.complete):
        run.slot = i % len(machine.devices)
        run.given = run.given | {"device": machine.devices[run.slot]}       # no part of a run's identity
    return list(found.values())


def missing(planned: Iterable[Planned]) -> list[Planned]:
    return [run for run in planned if not run.complete]


def estimate_costs(planned: Iterable[Planned]) -> None:
    """Fill in seconds and memory, by earlier runs of the same kind; where there are none, by the committed extract."""
    planned, known = list(planned), {}
    earlier = [entry for out in {run.folder.parents[3] for run in planned} for entry in read_runs(out)]
    for entry in earlier:
        known.setdefault(kind(entry["method"], entry), []).append(
            (sum(entry["seconds"].values()), entry["peak_memory_mb"] or MEMORY_MB))
    known = extract_costs() | known
    for run in planned:
        entry = complete_parameters(execute.LESSON_OF[run.method], execute.with_method(run.method, run.given))
        if entry["image_size"] == "auto":
            entry["image_size"] = IMAGE_SIZE[entry["budget"]]
        if kind(run.method, entry) in known:
            seconds, memory = zip(*known[kind(run.method, entry)], strict=True)
            run.seconds, run.mem_mb = OVERHEAD + statistics.median(seconds), round(1.25 * max(memory))


def extract_costs() -> dict[tuple, list[tuple[float, float]]]:
    """Seconds and memory of the runs that the README shows, by their kind: of another machine, perhaps."""
    known: dict[tuple, list] = {}
    with DEMO_EXTRACT.open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            seconds = sum(float(row[f"{part}_seconds"]) for part in SECONDS)
            row["image_size"] = int(row["image_size"])
            known.setdefault(kind(row["method"], row), []).append((seconds, float(row["peak_memory_mb"] or MEMORY_MB)))
    return known


def kind(method: str, entry: dict) -> tuple:
    return method, entry["budget"], entry["backbone"], entry["image_size"]


def describe_plan(planned: list[Planned], machine: Machine) -> str:
    """What is planned, what is there already, and how long the rest will take."""
    lines = [f"{len(planned)} runs, {sum(run.complete for run in planned)} of them there already"]
    for method in dict.fromkeys(run.method for run in planned):
        of_it = [run for run in planned if run.method == method]
        times = [run.seconds for run in missing(of_it) if run.seconds]
        each = f", about {statistics.mean(times):.0f} s each, going by earlier runs" if times else ""
        lines.append(f"  {method:10} {len(missing(of_it)):4} of {len(of_it)} to run{each}")
    left = missing(planned)
    unknown = sum(run.seconds is None for run in left)
    where = (f"at most {machine.slots} at a time" if machine.slots else "one after the other, faster on a cluster") + (
        f" on {', '.join(machine.devices)}" if machine.devices else
        "" if machine.remote else f" on {machine.cores} cores, {machine.threads} to each")
    known = f"about {clock(time_left(left, machine))}" + f", not counting {unknown} of a new kind" * bool(unknown)
    if left:
        lines.append(f"  {where}: {known if unknown < len(left) else 'no earlier run tells for how long'}")
    return "\n".join(lines)


def time_left(left: Iterable[Planned], machine: Machine) -> float:
    """Seconds until these runs are done; runs of which nothing is known count as nothing."""
    now, total = time.time(), 0.0
    for run in left:
        total += max(0.0, (run.seconds or 0.0) - (now - run.began if run.began else 0.0))
    return total / (machine.slots or 1)


def clock(seconds: float) -> str:
    minutes = round(seconds / 60)
    return f"{seconds:.0f} s" if seconds < 100 else f"{minutes} min" if minutes < 100 else (
        f"{minutes // 60} h {minutes % 60:02} min")


def execute_plan(planned: list[Planned], machine: Machine, *, options: Iterable[str] = (), log: Callable = print) -> int:
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
        write_plan(out_dir / "sweep.json", left)
        return watch(left, machine, snakemake(out_dir, machine, options), log=log)


def write_plan(path: Path, left: list[Planned]) -> None:
    """What sweep.smk reads; marks of an earlier sweep are removed."""
    entries = []
    for run in left:
        for name in ("log.txt", "log.txt.failed"):
            (run.folder / name).unlink(missing_ok=True)
        entries.append({"folder": run.folder.relative_to(path.parent).as_posix(), "threads": run.threads,
                        "slot": run.slot, "mem_mb": run.mem_mb,
                        "command": f"cd {shlex.quote(os.getcwd())} && {shlex.join([sys.executable, *run.command()])}"})
    settings.write_json(path, {"runs": entries})


def snakemake(out_dir: Path, machine: Machine, options: Iterable[str]) -> list[str]:
    """The command of snakemake; it goes by whether run.json is there, not by dates or by its own records."""
    slots = [f"slot{i}=1" for i in range(len(machine.devices))]
    here = ["--cores", str(machine.cores), "--resources", f"mem_mb={free_memory_mb()}", *slots]
    return [sys.executable, "-m", "snakemake", "--snakefile", str(Path(__file__).with_name("sweep.smk")),
            "--directory", str(out_dir), "--config", f"plan={out_dir / 'sweep.json'}", f"slots={len(slots)}",
            "--keep-going", "--nolock", "--ignore-incomplete", "--drop-metadata", "--rerun-triggers", "mtime",
            "--scheduler", "greedy", *(machine.remote or here), *options]


def free_memory_mb() -> int:
    import psutil

    return psutil.virtual_memory().available // 2**20


def watch(left: list[Planned], machine: Machine, command: list[str], *, log: Callable, every: float = 1.0) -> int:
    """Start snakemake and say what becomes of the runs; how many are missing in the end."""
    out_dir, began = left[0].folder.parents[3], time.time()
    with (out_dir / "sweep.log").open("wb") as file:
        process = subprocess.Popen(command, stdout=file, stderr=file, stdin=subprocess.DEVNULL, start_new_session=True)
    try:
        with signals_as_interrupts():
            while process.poll() is None:
                report_progress(left, machine, log)
                time.sleep(every)
    except KeyboardInterrupt:
        log("ending the runs; the same command goes on where they stopped")
        end(process)
        raise
    report_progress(left, machine, log)
    failed = missing(left)
    if process.returncode and not any(run.began for run in left):
        tail = (out_dir / "sweep.log").read_text(encoding="utf-8", errors="replace")[-2000:]
        raise RuntimeError(f"snakemake could not begin:\n{tail}")
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
        elif run.log.with_name("log.txt.failed").is_file():
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
        error = json.loads((run.folder / "failed.json").read_text(encoding="utf-8"))["error"]
        return f"{error['name']}: {error['message']}".splitlines()[0]
    status = (run.folder / "log.txt.failed").read_text(encoding="utf-8").strip()
    said = [line.strip() for line in run.log.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()]
    killed = " (killed, perhaps for want of memory)" if status == "137" else ""
    return f"its process ended with status {status}{killed}; it said last: {said[-1] if said else 'nothing'}"


def end(process: subprocess.Popen, patience: float = 10.0) -> None:
    """End snakemake and the runs below it, in the end by force: files are whole or not there, kernels end with runs."""
    for name in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL):
        with suppress(ProcessLookupError):
            os.killpg(process.pid, name)
        with suppress(subprocess.TimeoutExpired):
            process.wait(patience)
            return


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

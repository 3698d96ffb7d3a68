"""A sweep planned: which ledger runs, on what machine, and how long they will take. Imports no torch."""

import csv
import re
import statistics
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from adlib import ROOT
from adlib.runs import execute
from adlib.runs.folder import SECONDS, digest_files, read_runs
from adlib.runs.parameters import LESSON_OF, complete_parameters, resolve
from adlib.settings import printable

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
    log: Path | None = None     # what it prints in a sweep
    why: str = ""               # what failed
    began: float | None = None
    took: float | None = None

    @property
    def complete(self) -> bool:
        return (self.folder / "run.json").is_file()

    @property
    def name(self) -> str:
        return f"{self.method} {printable(self.given['category'])} {self.folder.name}"

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
    names = split_names(methods) if methods else list(LESSON_OF)
    unknown = [name for name in names if name not in LESSON_OF]
    if unknown or not names:
        raise ValueError(f"--methods {methods}: unknown {', '.join(unknown)}; there are {', '.join(LESSON_OF)}")
    return [(name, given(name)) for name in names]


def pick_categories(root: str, categories: str) -> list[str]:
    """The named categories of a data set, or all; the demo set is made if it is missing."""
    from adlib.data.category import list_categories
    from adlib.demo import generate

    found = list_categories(generate.ensure(root))
    names = found if categories == "all" else [categories] if categories in found else split_names(categories)
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
    """(method, parameters) of each row, category and seed, seed by seed, so that a sweep cut short is even."""
    return [(method, parameters | {"category": category, "seed": seed})
            for seed in seeds for category in categories for method, parameters in rows]


def plan(wanted: Iterable[tuple[str, dict]], machine: Machine) -> list[Planned]:
    """The runs, each once, with its folder, its share of the machine and what it is expected to take.

    Raises
    ------
    ValueError
        A parameter that a method's lesson does not have, or cannot use; nothing was executed.
    """
    found, digest = {}, cache(digest_files)     # a category's files are listed once
    for method, given in wanted:
        folder = execute.folder_of(method, given, digest=digest)
        found.setdefault(folder, Planned(method, given, folder, machine.threads))
    estimate_costs(list(found.values()))
    for i, run in enumerate(run for run in found.values() if machine.devices and not run.complete):
        run.slot = i % len(machine.devices)
        run.given = run.given | {"device": machine.devices[run.slot]}       # no part of a run's identity
    return list(found.values())


def missing(planned: Iterable[Planned]) -> list[Planned]:
    return [run for run in planned if not run.complete]


def estimate_costs(planned: list[Planned]) -> None:
    """Fill in seconds and memory, by earlier runs of the same kind; where there are none, by the committed extract."""
    known = {}
    for out_dir in {run.folder.parents[3] for run in planned}:
        for entry in read_runs(out_dir):
            cost = sum(x or 0 for x in entry["seconds"].values()), entry["peak_memory_mb"] or MEMORY_MB
            known.setdefault(kind(entry["method"], entry), []).append(cost)
    known = extract_costs() | known
    for run in planned:
        given = complete_parameters(LESSON_OF[run.method], run.given)
        if costs := known.get(kind(run.method, resolve(given))):
            seconds, memory = zip(*costs, strict=True)
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
    left = missing(planned)
    lines = [f"{len(planned)} runs, {len(planned) - len(left)} of them there already"]
    for method in dict.fromkeys(run.method for run in planned):
        of_it = [run for run in planned if run.method == method]
        times = [run.seconds for run in missing(of_it) if run.seconds]
        each = f", about {statistics.mean(times):.0f} s each, going by earlier runs" if times else ""
        lines.append(f"  {method:10} {len(missing(of_it)):4} of {len(of_it)} to run{each}")
    if left:
        lines.append(f"  {describe_machine(machine)}: {describe_time(left, machine)}")
    return "\n".join(lines)


def describe_machine(machine: Machine) -> str:
    at_a_time = f"at most {machine.slots} at a time" if machine.slots else "one after the other, faster on a cluster"
    if machine.devices:
        return f"{at_a_time} on {', '.join(machine.devices)}"
    return at_a_time if machine.remote else f"{at_a_time} on {machine.cores} cores, {machine.threads} to each"


def describe_time(left: list[Planned], machine: Machine) -> str:
    unknown = sum(run.seconds is None for run in left)
    if unknown == len(left):
        return "no earlier run tells for how long"
    but = f", not counting {unknown} of a new kind" if unknown else ""
    return f"about {clock(time_left(left, machine))}{but}"


def time_left(left: Iterable[Planned], machine: Machine) -> float:
    """Seconds until these runs are done; runs of which nothing is known count as nothing."""
    now, total = time.time(), 0.0
    for run in left:
        total += max(0.0, (run.seconds or 0.0) - (now - run.began if run.began else 0.0))
    return total / (machine.slots or 1)


def clock(seconds: float) -> str:
    minutes = round(seconds / 60)
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60:02} min"

"""How long the tables of 1,000 runs take, from the start of the process: python tests/bench/bench_results.py [rounds]

Three ledgers: one comparable group on MVTec AD's categories, beside the papers; a method's ablations, forty settings;
and forty groups of different image sizes. The bare start of Python with pandas is measured beside, in turn. Processor
seconds, unlike the clock's, hardly count what other processes do.
"""

import json
import resource
import subprocess
import sys
import tempfile
import time
from itertools import islice, product
from pathlib import Path

import numpy as np

from adlib.metrics import METRICS
from adlib.runs.execute import LESSON_OF
from adlib.runs.folder import new_entry, run_folder
from adlib.runs.parameters import lesson_parameters
from adlib.runs.tables import OBJECTS, TEXTURES

RUNS = 1000
METHODS = tuple(LESSON_OF)


def plans(kind: str):
    """Method and parameters of runs, endlessly enough."""
    mvtec, demo = ((*TEXTURES[name], *OBJECTS[name]) for name in ("mvtec", "demo"))
    if kind == "one group":
        for seed, method, category in product(range(99), METHODS, mvtec):
            yield method, {"data_root": "data/mvtec", "category": category, "seed": seed, "budget": "paper"}
    if kind == "ablations":
        for seed, lr, category in product(range(99), range(40), demo):
            yield "stfpm", {"data_root": "data/demo", "category": category, "seed": seed, "lr": 0.1 * (lr + 1)}
    if kind == "many groups":
        for size, seed, method in product(range(32, 32 * 99, 32), range(5), METHODS):
            yield method, {"data_root": "data/demo", "category": "gravel", "seed": seed, "image_size": size}


def write_ledger(root: Path, kind: str) -> None:
    rng = np.random.default_rng(0)
    for method, given in islice(plans(kind), RUNS):
        parameters = lesson_parameters(LESSON_OF[method]) | given | {"out_dir": str(root)}
        folder = run_folder(method, parameters)
        folder.mkdir(parents=True)
        entry = new_entry(method, parameters) | {
            "metrics": dict(zip(METRICS, rng.uniform(0.5, 1, len(METRICS)), strict=True)), "threads": 2,
            "seconds": {"train": 30.0, "predict": 1.0, "evaluate": 0.1}, "peak_memory_mb": 1200.0}
        (folder / "run.json").write_text(json.dumps(entry, indent=1))


def seconds(code: str) -> tuple[float, float]:
    """Of the clock, and of the processor."""
    start, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.perf_counter() - start, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main(rounds: int = 3):
    with tempfile.TemporaryDirectory() as folder:
        contestants = {"start only": "import pandas"}
        for kind in ("one group", "ablations", "many groups"):
            root = Path(folder) / kind
            write_ledger(root, kind)
            contestants[kind] = f"from adlib.runs.report import ledger_report; print(ledger_report({str(root)!r}))"
        times = {name: [] for name in contestants}
        for _ in range(rounds):
            for name, code in contestants.items():
                times[name].append(seconds(code))
    for name, pairs in times.items():
        clock, processor = map(min, zip(*pairs, strict=True))
        print(f"{name:12} {clock:.2f} s, {processor:.2f} s of the processor")
    print(f"{RUNS} runs each; at most 2 s")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))

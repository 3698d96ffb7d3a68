import json
import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from conftest import make_category

from adlib import __main__, settings
from adlib.lessons import ablations, pretraining
from adlib.runs import execute, planning, sweep
from adlib.runs.folder import new_entry, read_runs, run_folder
from adlib.runs.parameters import complete_parameters
from adlib.runs.record import load_run

CPU = planning.Machine(cores=2)
# What stands in place of the runner: it does as it is told, says when it began and ended, and leaves an entry.
TOY = """import json, os, pathlib, signal, sys, time
run = json.loads(pathlib.Path(sys.argv[1]).read_text())["runs"][sys.argv[2]]
folder, do = pathlib.Path(run["folder"]), run["given"]["do"]
folder.mkdir(parents=True, exist_ok=True)
began = time.time()
(folder / "failed.json").unlink(missing_ok=True)
(folder / "begun").write_text(str(os.getpid()))
if do == "dies" and not (folder / "died").exists():
    (folder / "died").touch()
    os.kill(os.getpid(), signal.SIGKILL)
if do == "fails":
    error = {"name": "ValueError", "message": "no mask\\nmore", "cell": "load"}
    (folder / "failed.json").write_text(json.dumps({"error": error}))
    sys.exit("traceback")
if do == "mute":
    sys.exit("what is wrong is said here")
time.sleep(60 if do == "long" else 0.3)
entry = {"method": "nearest", "dataset": "demo", "category": "bolt", "seed": 0, "metrics": {"image_auroc": 0.75},
         "image_size": 64, "parameters": {}, "budget": "demo", "backbone": "none", "seconds": {"train": 0.3},
         "peak_memory_mb": None, "times": [began, time.time()]}
(folder / "run.json").write_text(json.dumps(entry))
"""


def toy_runs(out_dir: Path, *does: str) -> list[planning.Planned]:
    """Runs of seeds 0, 1, ... that do as named in place of what a lesson does."""
    sweep.RUNNER = [sys.executable, "-c", TOY]
    wanted = [("nearest", {"category": "bolt", "seed": seed, "out_dir": str(out_dir)}) for seed in range(len(does))]
    planned = planning.plan(wanted, CPU)
    for run, do in zip(planned, does, strict=True):
        run.given = run.given | {"do": do}
    return planned


@pytest.fixture(autouse=True)
def keep_the_runner(monkeypatch):
    monkeypatch.setattr(sweep, "RUNNER", sweep.RUNNER)


def said(planned, machine=CPU, **more) -> tuple[int, str]:
    """How many runs are missing after a sweep, and what it said."""
    lines = []
    return sweep.execute_plan(planned, machine, log=lines.append, **more), "\n".join(lines)


# Planning


def test_every_combination_is_planned_once_seed_by_seed(tmp_path):
    given = {"out_dir": str(tmp_path)}
    rows = [("stfpm", given), ("stfpm", given | {"levels": [2]}), ("rd4ad", given)]
    wanted = planning.combine(rows, ["a", "b"], [0, 1])
    assert len(wanted) == 12
    assert [given["seed"] for _, given in wanted] == [0] * 6 + [1] * 6
    assert wanted[1] == ("stfpm", given | {"levels": [2], "category": "a", "seed": 0})
    planned = planning.plan([*wanted, *wanted], CPU)
    assert [run.folder for run in planned] == [execute.folder_of(*pair) for pair in wanted]


def test_a_table_gives_a_row_of_runs_and_names_what_is_skipped(tmp_path, monkeypatch):
    given = {"out_dir": str(tmp_path), "budget": "smoke"}
    rows = ablations.rows_of_table("destseg_4", lambda method: given)
    assert [method for method, _ in rows] == ["destseg"] * 8
    assert rows[0][1] == given | dict.fromkeys(("denoising", "encoder_decoder", "segmentation"), False)
    assert rows[7][1] == given
    assert {method for method, _ in ablations.rows_of_table("cosine", lambda method: {})} == {"rd4ad", "masked_rd"}
    made, lines = [], []
    monkeypatch.setattr(pretraining, "pretrain", lambda *what: made.append(what) or tmp_path)
    rows = ablations.rows_of_table("stfpm_4", lambda method: {"backbone": "efficientnet_lite0"}, lines.append)
    labels = [line.split(", ")[1].split(":")[0] for line in lines]
    assert len(rows) + len(lines) == 7
    assert set(labels) <= {"MNIST", "CIFAR-10", "CIFAR-100", "SVHN"}
    assert made in ([], [("digits", "efficientnet_lite0")])     # unless it is there already
    assert all("pretraining" in line for line in lines)
    with pytest.raises(ValueError, match="table stfpm_3 varies levels itself"):
        ablations.rows_of_table("stfpm_3", lambda method: {"levels": [1]})
    with pytest.raises(ValueError, match="there is no table 'stfpm_9'; choose one of stfpm_3"):
        ablations.rows_of_table("stfpm_9", lambda method: {})


def test_wrong_parameters_stop_before_anything_is_planned(tmp_path):
    with pytest.raises(ValueError, match="no parameter 'levels'"):
        planning.plan([("stfpm", {"levels": [1]}), ("nearest", {"levels": [1]})], CPU)


@pytest.mark.parametrize(("seeds", "numbers"), [("0", [0]), ("0,2,5", [0, 2, 5]), ("3-6", [3, 4, 5, 6])])
def test_seeds(seeds, numbers):
    assert planning.pick_seeds(seeds) == numbers


@pytest.mark.parametrize("seeds", ["", "a", "1,", "0-", "0.5", "-1"])
def test_seeds_that_are_none(seeds):
    with pytest.raises(ValueError, match="expected numbers with commas, or a range"):
        planning.pick_seeds(seeds)


def test_categories_are_all_or_those_named(tmp_path):
    for name in ("bolt", "nut"):
        make_category(tmp_path, name, train=2, good=1, bad=1)
    assert planning.pick_categories(str(tmp_path), "all") == ["bolt", "nut"]
    assert planning.pick_categories(str(tmp_path), "nut") == ["nut"]
    with pytest.raises(ValueError, match="screw not in .*; there are bolt, nut"):
        planning.pick_categories(str(tmp_path), "nut,screw")
    assert planning.pick_categories("digits", "3,5") == ["3", "5"]


def test_methods_are_all_or_those_named():
    def given(name):
        return {"seed": len(name)}

    assert [name for name, _ in planning.rows_of(None, given)] == list(execute.LESSON_OF)
    assert planning.rows_of("rd4ad, stfpm", given) == [("rd4ad", {"seed": 5}), ("stfpm", {"seed": 5})]
    with pytest.raises(ValueError, match="unknown padim; there are nearest"):
        planning.rows_of("stfpm,padim", given)


def test_devices_are_shared_out_one_run_to_each(tmp_path):
    machine = planning.pick_machine(8, 1, "cuda:0,cuda:1")
    assert (machine.slots, machine.threads) == (2, 4)
    wanted = [("nearest", {"category": "bolt", "seed": s, "device": "cpu", "out_dir": str(tmp_path)}) for s in range(3)]
    planned = planning.plan(wanted, machine)
    assert [run.given["device"] for run in planned] == ["cuda:0", "cuda:1", "cuda:0"]
    assert [run.folder for run in planned] == [run.folder for run in planning.plan(wanted, CPU)]
    with pytest.raises(ValueError, match="at least one thread, at most as many as there are cores"):
        planning.pick_machine(2, 3)


def test_several_devices_on_the_command_line(tmp_path, capsys):
    make_category(tmp_path / "set", train=2, good=1, bad=1)
    assert __main__.main(["sweep", "--methods", "nearest", "--data-root", str(tmp_path / "set"), "--seeds", "0-2",
                          "--out-dir", str(tmp_path), "--device", "cuda:0,cuda:1", "--list"]) == 0
    found = [line.split("device=")[1].split()[0] for line in capsys.readouterr().out.splitlines()]
    assert found == ["cuda:0", "cuda:1", "cuda:0"]


def test_a_cluster_takes_over(tmp_path):
    machine = planning.pick_machine(2, profile="profiles/slurm")
    assert machine.remote == ["--profile", "profiles/slurm"]
    assert machine.slots is None
    assert "one after the other, faster on a cluster" in planning.describe_plan(toy_runs(tmp_path, "works"), machine)
    machine = planning.pick_machine(2, executor="slurm", jobs=40)
    assert machine.slots == 40
    command = sweep.snakemake(tmp_path, machine, ["--latency-wait", "60"])
    assert command[-6:] == ["--executor", "slurm", "--jobs", "40", "--latency-wait", "60"]
    assert "--cores" not in command


def test_what_runs_will_take_goes_by_runs_of_their_kind(tmp_path):
    given = {"budget": "demo", "category": "bolt", "out_dir": str(tmp_path)}
    run, other = planning.plan([("stfpm", given), ("stfpm", given | {"image_size": 96})], CPU)
    assert run.seconds > planning.OVERHEAD         # the committed extract knows this kind,
    assert other.seconds is None                # and not that one
    parameters = complete_parameters("01_stfpm", given | {"image_size": 96, "seed": 9})
    entry = new_entry("stfpm", parameters) | {"peak_memory_mb": 1000}
    entry["seconds"] = {"train": 5, "predict": 1, "evaluate": 1}
    folder = run_folder("stfpm", parameters)
    folder.mkdir(parents=True)
    settings.write_json(folder / "run.json", entry)
    other = planning.plan([("stfpm", given | {"image_size": 96})], CPU)[0]
    assert (other.seconds, other.mem_mb) == (planning.OVERHEAD + 7, 1250)
    told = planning.describe_plan([run, other, other], planning.Machine(cores=4))
    assert "3 runs, 0 of them there already" in told
    assert "at most 4 at a time on 4 cores" in told


@pytest.mark.parametrize(("seconds", "text"), [(5, "5 s"), (99, "99 s"), (101, "2 min"), (6000, "1 h 40 min")])
def test_durations(seconds, text):
    assert planning.clock(seconds) == text


def test_listed_commands_make_the_very_runs(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for name in ("bolt", "001"):
        make_category(tmp_path / "set", name, train=2, good=1, bad=1)
    arguments = ["--data-root", "set", "--seeds", "0,1", "--budget", "smoke", "--out-dir", str(tmp_path / "my runs")]
    assert __main__.main(["sweep", "--methods", "stfpm,masked_rd", *arguments, "-p", "levels=[1, 3]", "--list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 8
    executed = []
    monkeypatch.setattr(execute, "run", lambda method, given, **_: executed.append(execute.folder_of(method, given)))
    for line in lines:
        words = shlex.split(line)
        assert words[:4] == ["python", "-m", "adlib", "run"]
        assert __main__.main(words[3:]) == 0
    given = {"data_root": "set", "budget": "smoke", "levels": [1, 3], "out_dir": str(tmp_path / "my runs")}
    wanted = planning.combine([("stfpm", given), ("masked_rd", given)], ["001", "bolt"], [0, 1])
    assert executed == [execute.folder_of(*pair) for pair in wanted]


# Executing toy runs, through the real snakemake


def test_what_fails_does_not_stop_the_rest_and_is_tried_again(tmp_path):
    planned = toy_runs(tmp_path, "works", "fails", "dies", "mute", "works")
    missing, text = said(planned)
    assert missing == 3
    assert [run.complete for run in planned] == [True, False, False, False, True]
    assert "done: nearest bolt" in text
    assert "image AUROC 0.750" in text
    assert "cell load with ValueError: no mask\n" in text
    assert "status 137 (killed, perhaps for want of memory)" in text
    assert "it said last: what is wrong is said here" in text
    assert text.endswith("the same command tries them again")
    before = (planned[0].folder / "run.json").stat().st_mtime_ns
    again = toy_runs(tmp_path, "works", "works", "dies", "works", "works")
    missing, text = said(again)         # what was killed dies only the first time
    assert missing == 0
    assert "3 done, 0 failed" in text
    assert (planned[0].folder / "run.json").stat().st_mtime_ns == before
    assert said(again) == (0, "")


def test_runs_do_not_fight_over_cores_or_devices(tmp_path):
    planned = toy_runs(tmp_path, *["works"] * 5)
    for i, run in enumerate(planned):
        run.slot = i % 2
    machine = planning.Machine(cores=8, devices=["cuda:0", "cuda:1"])
    assert said(planned, machine)[0] == 0
    for slot in (0, 1):
        times = sorted(json.loads((r.folder / "run.json").read_text())["times"] for r in planned if r.slot == slot)
        assert all(end <= begin for (_, end), (begin, _) in zip(times, times[1:], strict=False))
    planned = toy_runs(tmp_path / "cpu", *["works"] * 4)
    for run in planned:
        run.threads = 2
    assert said(planned, planning.Machine(cores=3, threads=2))[0] == 0
    times = sorted(json.loads((r.folder / "run.json").read_text())["times"] for r in planned)
    assert all(end <= begin for (_, end), (begin, _) in zip(times, times[1:], strict=False))


def test_what_snakemake_says_against_it_is_shown(tmp_path):
    with pytest.raises(RuntimeError, match="snakemake could not begin:(.|\n)*no-such-option"):
        said(toy_runs(tmp_path, "works"), options=["--no-such-option"])


def test_whatever_stops_the_watch_ends_the_runs(tmp_path):
    def log(line):
        raise BrokenPipeError("the terminal is gone")

    planned = toy_runs(tmp_path, "works", "long")
    with pytest.raises(BrokenPipeError):
        sweep.execute_plan(planned, CPU, log=log)
    pids = [int(path.read_text()) for path in tmp_path.rglob("begun")]
    assert pids
    wait_for(lambda: not any(alive(pid) for pid in pids), 10)


OUTSIDE = """
import sys
from pathlib import Path
here = Path(sys.argv[1])
sys.path[:0] = [str(here), str(here.parent)]        # this file, and conftest
import test_sweep
from adlib.runs import sweep
planned = test_sweep.toy_runs(Path(sys.argv[2]), "long", "long", "works")
sweep.execute_plan(planned, test_sweep.CPU, log=lambda line: print(line, flush=True))
"""


def wait_for(condition, seconds: float = 60) -> None:
    end = time.time() + seconds
    while not condition():
        assert time.time() < end, "waited in vain"
        time.sleep(0.1)


@pytest.mark.parametrize("name", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_sweep_ends_its_runs_and_keeps_others_out_meanwhile(tmp_path, name):
    process = subprocess.Popen([sys.executable, "-c", OUTSIDE, str(Path(__file__).parent), str(tmp_path)],
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    begun = lambda: [int(path.read_text() or 0) for path in tmp_path.rglob("begun")]      # noqa: E731
    wait_for(lambda: len(begun()) == 2 and all(begun()))
    with pytest.raises(RuntimeError, match="another sweep is at work"):
        said(toy_runs(tmp_path, "works", "works"))
    process.send_signal(name)
    out, _ = process.communicate(timeout=60)
    assert "ending the runs; the same command goes on where they stopped" in out
    wait_for(lambda: not any(alive(pid) for pid in begun()), 10)
    assert said(toy_runs(tmp_path, *["works"] * 3))[0] == 0


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


# Real runs


def test_a_sweep_with_an_unreadable_category_and_a_killed_run(tmp_path, monkeypatch, capfd):
    """As a user meets it: one category cannot be read, one run is killed; the same command fixes both."""
    make_category(tmp_path / "set", "bolt")
    broken = make_category(tmp_path / "set", "nut") / "train/good/003.png"
    good = broken.read_bytes()
    broken.write_bytes(good[:100])
    command = ["sweep", "--methods", "stfpm", "--data-root", str(tmp_path / "set"), "--seeds", "0,1", "--budget",
               "smoke", "--cores", "2", "--out-dir", str(tmp_path / "runs"), "-p", "steps=60"]
    process = subprocess.Popen([sys.executable, "-m", "adlib", *command], stdout=subprocess.PIPE, text=True)
    victim = None
    while victim is None and process.poll() is None:
        at_work = of_runs(process.pid)
        victim = next((pid for pid, name in at_work.items() if name.startswith("0002-stfpm-smoke-s1-")), None)
        time.sleep(0.05)
    wait_for(lambda: list(tmp_path.rglob("smoke-s1-*/notebook.part.ipynb")))
    os.kill(victim, signal.SIGKILL)
    out, _ = process.communicate(timeout=200)
    assert process.returncode == 1
    assert "1 done, 3 failed" in out
    failed = [json.loads(path.read_text()) for path in tmp_path.rglob("failed.json")]
    assert [entry["category"] for entry in failed] == ["nut", "nut"]
    assert all("003.png cannot be decoded" in entry["error"]["message"] for entry in failed)
    assert "status 137 (killed" in out
    complete = next(tmp_path.rglob("run.json"))
    before = complete.stat().st_mtime_ns
    broken.write_bytes(good)
    assert __main__.main(command) == 0
    assert "4 runs, 1 of them there already" in capfd.readouterr().out
    assert complete.stat().st_mtime_ns == before
    entries = read_runs(tmp_path / "runs")
    assert [(e["category"], e["seed"]) for e in entries] == [("bolt", 0), ("bolt", 1), ("nut", 0), ("nut", 1)]
    assert {e["threads"] for e in entries} == {1}
    assert load_run(entries[0]["folder"]).maps.shape == (7, 256, 256)


def of_runs(parent: int) -> dict[int, str]:
    """Names in the plan of the runs at work below a process; 0002 is of seed 1 and bolt."""
    import psutil

    found = {}
    for child in psutil.Process(parent).children(recursive=True):
        try:
            words = child.cmdline()
        except psutil.Error:
            continue
        if words[1:3] == ["-m", "adlib.runs.sweep"]:
            found[child.pid] = words[4]
    return found

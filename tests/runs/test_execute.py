import io
import json
import os
import subprocess
import sys
from pathlib import Path

import nbformat
import papermill
import pytest
from conftest import make_category

from adlib import __main__
from adlib.runs import execute
from adlib.runs.folder import LOCK_ENV, run_folder
from adlib.runs.parameters import (
    INSTEAD_OF_AUTO,
    NOTEBOOKS,
    RANGES,
    check_parameters,
    complete_parameters,
    lesson_parameters,
    parse,
    wrong_type,
)
from adlib.runs.record import load_run

LESSON = "00_data_and_metrics"


def namespace(injected: str = "", **changed) -> dict:
    """What a notebook's globals() hold after its parameters, and papermill's injected cell, were executed."""
    history = ["", "data_root = ...", f"# Parameters\n{injected}" if injected else "runs.check_parameters()"]
    return lesson_parameters(LESSON) | changed | {"In": history}


def test_the_defaults_and_good_values_pass():
    assert check_parameters(LESSON, namespace()) == lesson_parameters(LESSON)
    check_parameters(LESSON, namespace("seed = 3\n", seed=3, image_size=96, budget="smoke", backbone="resnet18"))


@pytest.mark.parametrize(("changed", "message"), [
    ({"category": 1}, r"category=1 is of type int, expected str \(like 'circuit'; .*-r category 1 keeps a string"),
    ({"seed": "0"}, r"seed='0' is of type str, expected int"),
    ({"seed": True}, r"seed=True is of type bool, expected int"),
    ({"image_size": 128.0}, r"image_size=128.0 is of type float, expected int"),
    ({"image_size": "big"}, r"image_size='big' is of type str, expected int"),
    ({"image_size": 100}, r"image_size=100 must be a multiple of 32"),
    ({"backbone": "resnet19"}, r"backbone='resnet19' is unknown; choose one of efficientnet_lite0, resnet18"),
    ({"budget": "large"}, r"budget='large' is unknown; choose one of smoke, demo, paper"),
    ({"precision": "fp16"}, r"precision='fp16' is unknown; choose one of auto, float32, bf16"),
    ({"device": "gpu"}, r"device='gpu'.*auto, cpu"),
    ({"device": "cuda:99"}, r"device='cuda:99', but PyTorch sees \d+ CUDA devices"),
    ({"seed": None, "category": 7}, r"seed=None.*; category=7|category=7.*; seed=None"),
])
def test_wrong_values_are_named_with_a_hint(changed, message):
    with pytest.raises(ValueError, match=message):
        check_parameters(LESSON, namespace(**changed))


def test_an_int_for_a_float_is_the_same_run():
    assert repr(complete_parameters("01_stfpm", {"lr": 1})["lr"]) == "1.0"
    assert complete_parameters("01_stfpm", {"lr": "auto"})["lr"] == "auto"


def test_a_wrong_name_is_named_with_the_closest():
    with pytest.raises(ValueError, match=r"no parameter 'catgory'; did you mean 'category'\?"):
        check_parameters(LESSON, namespace('catgory = "brick"\n'))


def test_names_that_the_reader_sets_do_not_matter():
    check_parameters(LESSON, namespace(my_own_variable=3))


@pytest.mark.parametrize(("value", "default", "complaint"), [
    (3, 0.5, None), (0.25, 0.5, None), ("false", False, "capital"), (0, False, "bool"), ([1, 2], [1, 2, 3], None),
    ((1, 2), [1, 2, 3], "list"),
])
def test_types_by_the_default(value, default, complaint):
    found = wrong_type("p", value, default)
    assert found == [] if complaint is None else complaint in found[0]


NAN, INF = float("nan"), float("inf")
OUT_OF_RANGE = [
    ("01_stfpm", "lr", [0.0, -0.1, NAN, INF, -INF], "must be positive and finite"),
    ("01_stfpm", "steps", [0, -1], "must be at least 1"),
    ("01_stfpm", "seed", [-1, 2**32], "must be from 0 to 4294967295"),
    ("01_stfpm", "train_share", [0.0, 1.5, NAN], r"must be in \(0, 1\]"),
    ("01_stfpm", "levels", [[0], [5], [1, 2, 9]], "must be out of 1, 2, 3, 4"),
    ("01_stfpm", "levels", [[], [1, 1]], "must name something, and nothing twice"),
    ("01_stfpm", "levels", [[2, 1]], "must be in increasing order"),
    ("01_stfpm", "levels", [[1.0], ["1"], [True], [[1]]], "must be a list of int"),
    ("01_stfpm", "level_weights", [[1.0, -1.0, 1.0], [1.0, NAN, 1.0]], "must be at least 0 and finite"),
    ("01_stfpm", "level_weights", [[], [1.0]], "must be one number per level"),
    ("01_stfpm", "fuse_at", ["middle"], "choose one of stride4, image"),
    ("01_stfpm", "image_size", [0, -32, 33], "must be a multiple of 32"),
    ("02_destseg", "opacity", [[NAN, 1.0], [0.2, INF], [0.5], [0.8, 0.2], [0.2, 1.5]], "must be two numbers"),
    ("02_destseg", "width", [0], "must be at least 1"),
    ("02_destseg", "batch", [0], "must be at least 1"),
    ("04_masked_reverse_distillation", "mask_ratio", [-0.1, 1.0, NAN], r"must be in \[0, 1\)"),
    ("05_ablations", "seeds", [[], [0, 0]], "must name something, and nothing twice"),
    ("05_ablations", "seeds", [[-1]], "must be from 0"),
    ("06_failure_cases", "diameters", [[0.0], [INF]], "must be positive and finite"),
    ("06_failure_cases", "methods", [[], ["stfpm", "stfpm"]], "must name something, and nothing twice"),
    ("07_feature_space", "spot", [[-1, 3], [3, 256]], r"must be in \[0, 256\)"),
    ("08_threshold_explorer", "miss", [-1.0, NAN], "must be at least 0"),
    ("09_results", "resamples", [0], "must be at least 1"),
]


@pytest.mark.parametrize(("lesson", "name", "value", "complaint"), [
    (lesson, name, value, complaint) for lesson, name, values, complaint in OUT_OF_RANGE for value in values])
def test_numbers_out_of_their_range_are_refused(lesson, name, value, complaint):
    with pytest.raises(ValueError, match=rf"{lesson}: {name}=.* {complaint}"):
        complete_parameters(lesson, {name: value})


@pytest.mark.parametrize("lesson", sorted(path.stem for path in NOTEBOOKS.glob("*.ipynb")))
def test_every_number_of_a_lesson_has_a_range(lesson):
    for name, default in lesson_parameters(lesson).items():
        numbers = default if isinstance(default, list) else [default]
        if name in INSTEAD_OF_AUTO or any(type(x) in (int, float) for x in numbers):
            assert name in {*RANGES, "image_size", "opacity", "level"}, name


def test_the_ends_of_the_ranges_are_good():
    complete_parameters("01_stfpm", {"lr": 1e-9, "steps": 1, "seed": 2**32 - 1, "train_share": 1, "levels": [4],
                                     "level_weights": [0]})
    complete_parameters("02_destseg", {"opacity": [0, 0], "width": 1})
    assert complete_parameters("02_destseg", {"opacity": [0, 1]})["opacity"] == [0.0, 1.0]
    complete_parameters("04_masked_reverse_distillation", {"mask_ratio": 0})
    complete_parameters("07_feature_space", {"spot": [0, 255]})


@pytest.mark.parametrize("text", ["[" * 10_000, "(" * 10_000, "{[]: 1}", "1 +", "__import__('os')", "\0", "9" * 5000])
def test_a_text_that_is_no_literal_is_a_text(text):
    found = parse(text, "levels", [1, 2, 3])
    assert found == text or isinstance(found, int)


@pytest.mark.parametrize(("text", "name", "default", "value"), [
    ("001", "category", "circuit", "001"), ("7", "seed", 0, 7), ("x", "seed", 0, "x"), ("1e-2", "lr", 0.4, 0.01),
    ("1", "lr", 0.4, 1.0), ("[1, 3]", "levels", [1, 2, 3], [1, 3]), ("False", "flag", True, False),
    ("false", "flag", True, "false"), ("96", "image_size", "auto", 96), ("auto", "image_size", "auto", "auto"),
    ("7", "weights", "auto", "7"),
])
def test_texts_of_the_command_line(text, name, default, value):
    found = parse(text, name, default)
    assert found == value
    assert type(found) is type(value)


@pytest.fixture
def lesson(tmp_path, monkeypatch):
    """Write a notebook of the given cells into a notebooks folder of its own."""
    monkeypatch.setattr("adlib.runs.parameters.NOTEBOOKS", tmp_path)

    def write(*sources: str, name: str = "toy", tag: str = "report") -> str:
        cells = [nbformat.v4.new_code_cell(source) for source in sources]
        for cell in cells:
            cell.metadata["tags"] = [tag]
        cells[0].metadata["tags"] = ["parameters", tag]
        kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
        nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=kernel), tmp_path / f"{name}.ipynb")
        return name

    return write


def test_a_lesson_is_executed_and_its_prints_are_shown(lesson, tmp_path, capsys):
    toy = lesson("x = 1", "print('at work')", "print(x + 1)")
    executed = execute.run_lesson(toy, {"x": 5}, out_dir=tmp_path / "out")
    assert executed == tmp_path / "out/lessons/toy.ipynb"
    assert execute.printed_by(executed, "report") == "at work\n6\n"
    assert "    at work\n" in capsys.readouterr().out


def test_of_a_lesson_with_run_cells_only_these_speak(lesson, tmp_path, capsys):
    toy = lesson("x = 1", "print('by hand')", "print('at work')", "print('not yet')")
    path = tmp_path / "toy.ipynb"
    notebook = nbformat.read(path, as_version=4)
    notebook.cells[2].metadata["tags"] = ["run"]
    nbformat.write(notebook, path)
    executed = execute.run_lesson(toy, {}, out_dir=tmp_path / "out")
    shown = capsys.readouterr().out
    assert "    at work\n" in shown
    assert "by hand" not in shown
    assert "not yet" not in shown
    assert execute.printed_by(executed, "report") == "by hand\nnot yet\n"      # the notebook has them


def test_a_failed_lesson_is_kept_up_to_its_cell(lesson, tmp_path):
    toy = lesson("x = 1", "print('before')", "raise ValueError('no such thing')")
    with pytest.raises(RuntimeError, match=r"ValueError: no such thing\n.*toy.ipynb"):
        execute.run_lesson(toy, {}, out_dir=tmp_path)
    notebook = nbformat.read(tmp_path / "lessons/toy.ipynb", as_version=4)
    assert any("before" in output.get("text", "") for cell in notebook.cells for output in cell.get("outputs", []))


@pytest.fixture
def stand_in(tmp_path, monkeypatch):
    """In place of Python: notes what it is asked for, when it begins and ends, and its threads; 02 fails."""
    script = tmp_path / "stand-in"
    script.write_text(f"""#!{sys.executable}
import os, sys, time
lesson = sys.argv[sys.argv.index("--lesson") + 1]
def note(what):
    with open({str(tmp_path / "notes")!r}, "a") as file:
        print(what, lesson, os.environ["OMP_NUM_THREADS"], *sys.argv[1:5], file=file)
note("begin")
print("at work")
time.sleep(0.3)
note("end")
sys.exit(lesson.startswith("02"))
""", encoding="utf-8")
    script.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(script))
    monkeypatch.setattr(os, "cpu_count", lambda: 6)
    return tmp_path / "notes"


def test_lessons_run_two_at_a_time_after_those_that_they_read(stand_in, tmp_path, capsys):
    lessons = ["04_masked_reverse_distillation", "09_results", "00_data_and_metrics", "03_reverse_distillation",
               "01_stfpm"]
    found = execute.run_lessons(lessons, ["--seed", "7"], out_dir=tmp_path)
    assert found == [tmp_path / f"lessons/{lesson}.ipynb" for lesson in lessons]
    notes = [line.split() for line in stand_in.read_text().splitlines()]
    assert {tuple(note[2:]) for note in notes} == {("3", "-m", "adlib", "demo", "--seed")}      # half of six cores
    at = {(what, lesson[:2]): i for i, (what, lesson, *_) in enumerate(notes)}
    assert {at["begin", "01"], at["begin", "03"]} == {0, 1}
    assert at["begin", "04"] > max(at["end", "01"], at["end", "03"])
    assert at["begin", "09"] > at["end", "04"]
    assert "03  at work\n" in capsys.readouterr().out


def test_a_failed_lesson_does_not_stop_the_others(stand_in, tmp_path):
    with pytest.raises(RuntimeError, match=r"^02_destseg failed"):
        execute.run_lessons(["02_destseg", "00_data_and_metrics", "01_stfpm"], [], out_dir=tmp_path)
    assert stand_in.read_text().count("end") == 3


def test_prints_on_a_narrow_terminal_are_escaped(monkeypatch):
    narrow = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", narrow)
    execute.escape_output()
    print("ü \udcff", flush=True)
    assert narrow.buffer.getvalue() == b"\\xfc \\udcff\n"


def test_prints_are_indented_by_line():
    stream = io.StringIO()
    execute.Indented(stream).write("one\ntwo")
    assert stream.getvalue() == "    one\n    two"


def test_the_command_line_names_the_error_and_fails(tmp_path):
    found = subprocess.run([sys.executable, "-m", "adlib", "data", "describe", str(tmp_path / "nowhere")],
                           capture_output=True, text=True, check=False)
    assert found.returncode == 1
    assert found.stderr.startswith("error: data_root")
    assert "Traceback" not in found.stderr


def test_import_is_light():
    for modules, heavy in [("adlib.__main__", ["torch", "papermill", "matplotlib", "nbformat", "numpy"]),
                           ("adlib.runs.record, adlib.recipes", ["papermill", "matplotlib", "timm"])]:
        code = f"import sys, {modules}; print([m for m in {heavy} if m in sys.modules])"
        found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        assert found.stdout.strip() == "[]"


# Ledger runs of a toy lesson, which imports nothing that is slow -----------------------------------------------------

BASE = """data_root = "data/toy"
category = "bolt"
budget = "smoke"
backbone = "resnet18"
image_size = "auto"
seed = 0
precision = "auto"
device = "auto"
out_dir = "runs"
x = 0.5"""
FINISH = """import os, pathlib
folder = pathlib.Path(os.environ["ADLIB_RUN_FOLDER"])
(folder / "run.json.pending").write_text(f'{{"x": {x}}}')
print("trained with", x)"""


@pytest.fixture
def toy(lesson, tmp_path, monkeypatch):
    """Make a toy method of the given run cells; what comes back runs it."""
    monkeypatch.setitem(execute.LESSON_OF, "toy", "toy")

    def make(*cells: str):
        lesson(BASE, *cells, tag="run")
        return lambda again=False, **given: execute.run("toy", given, out_dir=tmp_path / "runs", again=again)

    return make


def sources(folder: Path) -> str:
    return "".join(cell.source for cell in nbformat.read(folder / "notebook.ipynb", as_version=4).cells)


def test_a_run_leaves_its_notebook_and_is_not_repeated(toy, tmp_path, capsys):
    run = toy(FINISH)
    folder = run(x=2)
    assert folder == run_folder("toy", complete_parameters("toy", {"x": 2, "out_dir": str(tmp_path / "runs")}))
    assert {p.name for p in folder.iterdir()} == {"run.json", "notebook.ipynb"}
    assert "    trained with 2\n" in capsys.readouterr().out
    assert LOCK_ENV not in os.environ
    before = (folder / "run.json").stat().st_mtime_ns
    assert run(x=2.0) == folder
    assert "already there" in capsys.readouterr().out
    assert (folder / "run.json").stat().st_mtime_ns == before
    (folder / "checkpoint.pt").write_text("old")
    run(x=2, again=True)
    assert (folder / "run.json").stat().st_mtime_ns > before
    assert not (folder / "checkpoint.pt").exists()


def test_a_failed_run_says_why_and_can_be_repeated(toy, tmp_path):
    with pytest.raises(RuntimeError, match=r"cell \w+ of toy failed with ValueError: no such thing\n.*traceback"):
        toy("print('before')", "raise ValueError('no such thing')", FINISH)()
    folder = next(tmp_path.rglob("failed.json")).parent
    assert {p.name for p in folder.iterdir()} == {"failed.json", "notebook.ipynb"}
    entry = json.loads((folder / "failed.json").read_text())
    assert (entry["method"], entry["category"], entry["parameters"]["x"]) == ("toy", "bolt", 0.5)
    error = entry["error"]
    assert (error["name"], error["message"]) == ("ValueError", "no such thing")
    assert "raise ValueError('no such thing')" in error["traceback"]
    assert "\x1b" not in error["traceback"]
    notebook = nbformat.read(folder / "notebook.ipynb", as_version=4)
    assert error["cell"] in [cell.id for cell in notebook.cells]
    assert any("before" in output.get("text", "") for cell in notebook.cells for output in cell.get("outputs", []))
    with pytest.raises(RuntimeError, match=f"failed in cell {error['cell']} with ValueError: no such thing"):
        load_run(folder)
    assert toy(FINISH)() == folder
    assert {p.name for p in folder.iterdir()} == {"run.json", "notebook.ipynb"}


@pytest.mark.parametrize(("cell", "message"), [
    ("1", "no run cell called runs.finish"),
    ("import os; os._exit(1)", "DeadKernelError.*memory"),
])
def test_a_run_without_an_entry_failed(toy, tmp_path, cell, message):
    with pytest.raises(RuntimeError, match=message):
        toy(cell)()
    found = json.loads(next(tmp_path.rglob("failed.json")).read_text())
    assert found["error"]["cell"] is None
    assert not list(tmp_path.rglob("run.json*"))


OUTSIDE = """
import resource, sys
from pathlib import Path
from adlib import runs
from adlib.runs import parameters
parameters.NOTEBOOKS = Path(sys.argv[1])
runs.LESSON_OF["toy"] = "toy"
if len(sys.argv) > 2:
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]),) * 2)
try:
    runs.run("toy", {}, out_dir=sys.argv[1] + "/runs")
except RuntimeError as error:
    print(error)
"""


def outside(folder: Path, *more: str) -> subprocess.CompletedProcess:
    return subprocess.run([sys.executable, "-c", OUTSIDE, str(folder), *more], capture_output=True, text=True,
                          check=False, timeout=120, env=os.environ | {"IPYTHONDIR": str(folder / "ipython")})


def test_a_killed_run_goes_on(toy, tmp_path):
    toy("""import os, pathlib, signal, time
folder = pathlib.Path(os.environ["ADLIB_RUN_FOLDER"])
if not (folder / "checkpoint.pt").exists():
    (folder / "checkpoint.pt").write_text("half")
    os.kill(os.getppid(), signal.SIGKILL)
    time.sleep(60)
print("going on")""", FINISH)
    assert outside(tmp_path).returncode == -9
    folder = next(tmp_path.rglob("checkpoint.pt")).parent
    assert not (folder / "run.json").exists()
    assert not (folder / "failed.json").exists()
    with pytest.raises(FileNotFoundError, match="interrupted"):
        load_run(folder)
    found = outside(tmp_path)
    assert "    going on\n" in found.stdout
    assert (folder / "run.json").exists()
    assert not (folder / execute.UNDER_WAY).exists()


def test_a_full_disk_tears_no_notebook(toy, tmp_path):
    toy("print('x' * 150_000)", FINISH)
    found = outside(tmp_path, "100000")
    assert "toy failed with OSError: [Errno 27] File too large" in found.stdout
    folder = next(tmp_path.rglob("failed.json")).parent
    assert {p.name for p in folder.iterdir()} == {"failed.json"}


def test_a_folder_at_work_is_left_alone(toy, tmp_path):
    run = toy(FINISH)
    folder = run_folder("toy", complete_parameters("toy", {"out_dir": str(tmp_path / "runs")}))
    hold = (f"import pathlib; from adlib.runs.folder import lock_folder; "
            f"lock = lock_folder(pathlib.Path({str(folder)!r})); print('held', flush=True); input()")
    other = subprocess.Popen([sys.executable, "-c", hold], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert other.stdout.readline() == "held\n"
        with pytest.raises(RuntimeError, match=f"another run is at work in {folder}"):
            run()
        assert list(folder.iterdir()) == []
    finally:
        other.communicate("\n")
    run()


def test_wanted_runs_are_found_named_or_made(toy, tmp_path, capsys):
    run, out = toy(FINISH), str(tmp_path / "runs")
    wanted = [("toy", {"seed": seed, "out_dir": out, "category": "001"}) for seed in (0, 1)]
    with pytest.raises(FileNotFoundError, match=r"make them:\npython -m adlib run toy -p out_dir=.*\npython"):
        execute.find_runs(wanted)
    there = run(category="001")
    assert execute.find_runs(wanted) == [there]
    printed = capsys.readouterr().out.splitlines()[-1]
    assert printed == f"not there yet: python -m adlib run toy -p seed=1 -p out_dir={out} -p category=001"
    assert execute.find_runs(wanted, make=True) == [there, execute.folder_of(*wanted[1])]
    assert __main__.main(execute.run_command(*wanted[1])[2:]) == 0        # the command is of that very run
    assert f"already there: {execute.folder_of(*wanted[1])}" in capsys.readouterr().out


def test_an_out_dir_that_cannot_be_written(toy, tmp_path):
    (tmp_path / "runs").write_text("a file")
    with pytest.raises(OSError, match="cannot be written.*another --out-dir"):
        toy(FINISH)()


# Ledger runs of the real lessons -------------------------------------------------------------------------------------


def command(method: str, root: Path, *more: str) -> int:
    return __main__.main(["run", method, "--data-root", str(root), "--category", "001", "--budget", "smoke",
                          "--out-dir", str(root / "runs"), *more])


SHORT = ("-p", "steps=3", "-p", "levels=[1, 2]")
STAGES = ("-p", "student_steps=2", "-p", "segmentation_steps=2", "-p", "width=8", "-p", "student_width=8")


@pytest.mark.parametrize(("method", "more"), [("nearest", ()), ("stfpm", SHORT), ("destseg", STAGES), ("rd4ad", SHORT),
                                              ("masked_rd", (*SHORT, "-p", "simam=False", "-p", "mask_ratio=0"))])
def test_a_method_is_run_from_the_command_line(method, more, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    make_category(tmp_path, "001")
    assert command(method, tmp_path, *more) == 0
    folder = next(tmp_path.rglob("run.json")).parent
    run = load_run(folder)
    assert run.entry["category"] == "001"
    assert run.entry["metrics"]["image_auroc"] >= 0
    assert run.entry["method"] == method
    if method in ("stfpm", "rd4ad", "masked_rd"):
        assert run.entry["parameters"]["levels"] == list(run.model.levels) == [1, 2]
        assert run.snapshot_maps.shape[0] == len(run.snapshot_steps) == 3       # steps 0, 1 and 2
    if method == "masked_rd":
        assert run.entry["parameters"]["mask_ratio"] == 0.0 == run.model.mask_ratio
        assert run.model.bottleneck.attention.simam(run.model) is run.model     # nothing stands in SimAM's place
    if method == "destseg":
        assert run.snapshot_steps.tolist() == [2, 3, 4]                         # of the second stage
        assert "scikit-image photographs" in run.entry["protocol"]["texture_source"]
    lesson = nbformat.read(NOTEBOOKS / f"{execute.LESSON_OF[method]}.ipynb", as_version=4)
    executed = nbformat.read(folder / "notebook.ipynb", as_version=4)
    wanted = [cell.id for cell in lesson.cells if "run" in cell.metadata.get("tags", [])]
    assert [cell.id for cell in executed.cells if "injected-parameters" not in cell.metadata.tags] == wanted
    assert str(folder) in capsys.readouterr().out


def test_without_the_runner_the_lesson_leaves_a_run_too(tmp_path, monkeypatch):
    """Plain papermill; that it holds for the whole lesson too, test_notebooks.py shows."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    make_category(tmp_path)
    given = {"data_root": str(tmp_path), "category": "bolt", "budget": "smoke", "out_dir": str(tmp_path / "runs")}
    notebook = nbformat.from_dict(execute.only_run_cells(LESSON))
    papermill.execute_notebook(notebook, tmp_path / "out.ipynb", parameters=given, progress_bar=False,
                               shutdown_kernel="immediate")
    folder = run_folder("nearest", complete_parameters(LESSON, given))
    assert {p.name for p in folder.iterdir()} == {"run.json", "model.pt", "maps.npz"}
    assert load_run(folder).entry["parameters"] == complete_parameters(LESSON, given)


def test_a_wrong_category_fails_in_its_cell(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    make_category(tmp_path, "bolt")
    assert command("stfpm", tmp_path) == 1
    assert "cell load of 01_stfpm failed with FileNotFoundError: category '001' does not" in capsys.readouterr().err
    assert json.loads(next(tmp_path.rglob("failed.json")).read_text())["error"]["cell"] == "load"


@pytest.mark.parametrize(("more", "message"), [
    (("-p", "levles=[1]"), "no parameter 'levles'; did you mean 'levels'?"),
    (("-p", "levels=1"), "levels=1 is of type int, expected list"),
    (("-p", "levels"), "-p levels: expected NAME=VALUE"),
    (("--seed", "one"), "seed='one' is of type str, expected int"),
    (("--image-size", "100"), "image_size=100 must be a multiple of 32"),
    (("--backbone", "resnet19"), "backbone='resnet19' is unknown"),
])
def test_wrong_arguments_stop_at_once(more, message, tmp_path, capsys):
    assert command("stfpm", tmp_path, *more) == 1
    assert message in capsys.readouterr().err
    assert not (tmp_path / "runs").exists()

import io
import subprocess
import sys

import nbformat
import pytest

from adlib import runs

LESSON = "00_data_and_metrics"


def namespace(injected: str = "", **changed) -> dict:
    """What a notebook's globals() hold after its parameters, and papermill's injected cell, were executed."""
    history = ["", "data_root = ...", f"# Parameters\n{injected}" if injected else "runs.check_parameters()"]
    return runs.lesson_parameters(LESSON) | changed | {"In": history}


def test_the_defaults_and_good_values_pass():
    runs.check_parameters(LESSON, namespace())
    runs.check_parameters(LESSON, namespace("seed = 3\n", seed=3, image_size=96, budget="smoke", backbone="resnet18"))


@pytest.mark.parametrize(("changed", "message"), [
    ({"category": 1}, r"category=1 is of type int, expected str \(like 'gravel'; .*-r category 1 keeps a string"),
    ({"seed": "0"}, r"seed='0' is of type str, expected int"),
    ({"seed": True}, r"seed=True is of type bool, expected int"),
    ({"image_size": 128.0}, r"image_size=128.0 is of type float, expected int"),
    ({"image_size": "big"}, r"image_size='big' is of type str, expected int"),
    ({"image_size": 100}, r"image_size=100 must be a multiple of 32"),
    ({"backbone": "resnet19"}, r"backbone='resnet19' is unknown; choose one of efficientnet_lite0, resnet18"),
    ({"budget": "large"}, r"budget='large' is unknown; choose one of smoke, demo, paper"),
    ({"precision": "fp16"}, r"precision='fp16' is unknown; choose one of auto, float32, bf16"),
    ({"device": "gpu"}, r"device='gpu'.*auto, cpu"),
    ({"seed": None, "category": 7}, r"seed=None.*; category=7|category=7.*; seed=None"),
])
def test_wrong_values_are_named_with_their_mend(changed, message):
    with pytest.raises(ValueError, match=message):
        runs.check_parameters(LESSON, namespace(**changed))


def test_a_wrong_name_is_named_with_the_closest():
    with pytest.raises(ValueError, match=r"no parameter 'catgory'; did you mean 'category'\?"):
        runs.check_parameters(LESSON, namespace('catgory = "brick"\n'))


def test_names_that_the_reader_sets_do_not_matter():
    runs.check_parameters(LESSON, namespace(my_own_variable=3))


@pytest.mark.parametrize(("value", "default", "complaint"), [
    (3, 0.5, None), (0.25, 0.5, None), ("false", False, "capital"), (0, False, "bool"), ([1, 2], [1, 2, 3], None),
    ((1, 2), [1, 2, 3], "list"),
])
def test_types_by_the_default(value, default, complaint):
    found = runs.wrong_type("p", value, default)
    assert found == [] if complaint is None else complaint in found[0]


@pytest.fixture
def lesson(tmp_path, monkeypatch):
    """Write a notebook of the given cells into a notebooks folder of its own."""
    monkeypatch.setattr(runs, "NOTEBOOKS", tmp_path)

    def write(*sources: str, name: str = "toy") -> str:
        cells = [nbformat.v4.new_code_cell(source) for source in sources]
        cells[0].metadata["tags"] = ["parameters"]
        cells[-1].metadata["tags"] = ["report"]
        kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
        nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=kernel), tmp_path / f"{name}.ipynb")
        return name

    return write


def test_a_lesson_is_executed_and_its_prints_are_shown(lesson, tmp_path, capsys):
    executed = runs.run_lesson(lesson("x = 1", "print('at work')", "print(x + 1)"), {"x": 5}, out_dir=tmp_path / "out")
    assert executed == tmp_path / "out/lessons/toy.ipynb"
    assert runs.printed_by(executed, "report") == "6\n"
    assert "    at work\n" in capsys.readouterr().out


def test_a_failed_lesson_is_kept_up_to_its_cell(lesson, tmp_path):
    with pytest.raises(RuntimeError, match=r"ValueError: no such thing\n.*toy.ipynb"):
        runs.run_lesson(lesson("x = 1", "print('before')", "raise ValueError('no such thing')"), {}, out_dir=tmp_path)
    notebook = nbformat.read(tmp_path / "lessons/toy.ipynb", as_version=4)
    assert any("before" in output.get("text", "") for cell in notebook.cells for output in cell.get("outputs", []))


def test_prints_are_indented_by_line():
    stream = io.StringIO()
    runs.Indented(stream).write("one\ntwo")
    assert stream.getvalue() == "    one\n    two"


def test_the_command_line_names_the_error_and_fails(tmp_path):
    found = subprocess.run([sys.executable, "-m", "adlib", "data", "describe", str(tmp_path / "nowhere")],
                           capture_output=True, text=True, check=False)
    assert found.returncode == 1
    assert found.stderr.startswith("error: data_root")
    assert "Traceback" not in found.stderr


def test_import_is_light():
    heavy = "import sys, adlib.data, adlib.runs; print([m for m in ('papermill', 'matplotlib') if m in sys.modules])"
    found = subprocess.run([sys.executable, "-c", heavy], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"

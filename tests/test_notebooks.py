"""Every lesson: its source is clean and in the form of a lesson, and it executes whole through papermill."""

import ast
import builtins
import os
import re
import statistics
from pathlib import Path

import nbformat
import papermill
import pytest
from conftest import make_category

from adlib.lessons import ablations
from adlib.runs.folder import read_runs
from adlib.runs.parameters import NOTEBOOKS, lesson_parameters

LESSONS = sorted(path.stem for path in NOTEBOOKS.glob("*.ipynb"))
BASE = {"data_root": "data/demo", "category": "circuit", "budget": "demo", "backbone": "efficientnet_lite0",
        "weights": "auto", "image_size": "auto", "seed": 0, "precision": "auto", "device": "auto", "out_dir": "runs"}

SMALL = {"05_ablations": {"table": "fusion"}}       # the others are executed by the slow tests


def read(lesson: str):
    return nbformat.read(NOTEBOOKS / f"{lesson}.ipynb", as_version=4)


def tagged(notebook, tag: str) -> list:
    return [cell for cell in notebook.cells if tag in cell.metadata.get("tags", [])]


@pytest.mark.parametrize("lesson", LESSONS)
def test_sources_are_committed_clean(lesson):
    notebook = read(lesson)
    nbformat.validate(notebook)
    assert notebook.metadata.kernelspec.name == "python3"
    ids = [cell.id for cell in notebook.cells]
    assert len(ids) == len(set(ids))
    assert all(re.fullmatch(r"[a-z0-9-]+", i) for i in ids), "ids are words that stay when a cell is edited"
    for cell in notebook.cells:
        assert not cell.get("outputs")
        assert cell.get("execution_count") is None
        assert set(cell.metadata) <= {"tags", "jupyter"}


@pytest.mark.parametrize("lesson", LESSONS)
def test_the_frame_of_a_lesson(lesson):
    notebook = read(lesson)
    parameters = tagged(notebook, "parameters")
    assert len(parameters) == 1
    found = lesson_parameters(lesson)
    assert {name: found.get(name) for name in BASE} == BASE
    assert all("  # " in line for line in parameters[0].source.splitlines())
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert f'check_parameters("{lesson}", globals())' in code[1].source
    lengths = [len(cell.source.splitlines()) for cell in code]
    assert max(lengths[1:]) <= 25       # the first is the table of the parameters, a line each
    assert lengths[0] <= 30
    assert statistics.median(lengths) < 8
    stubs = [cell for cell in code if "answer = ..." in cell.source]
    solutions = tagged(notebook, "solution")
    assert 2 <= len(stubs) <= 4
    assert len(solutions) == len(stubs)
    assert all(cell.metadata.jupyter.source_hidden for cell in solutions)


@pytest.mark.parametrize("lesson", LESSONS)
def test_each_prediction_is_asked_before_it_is_revealed(lesson):
    code = [cell.source for cell in read(lesson).cells if cell.cell_type == "code"]
    asked, revealed = ({name: k for k, source in enumerate(code)
                        for name in re.findall(rf'predictions\.{act}\("([^"]+)"', source)} for act in ("ask", "reveal"))
    assert asked
    assert asked.keys() == revealed.keys()
    assert all(name.startswith(lesson[:2]) and asked[name] < revealed[name] for name in asked)
    assert sum(source.count("predictions.ask") for source in code) == len(asked), "a name is used once"


TO_SECTION = re.compile(r"\[(?:section )?(\d)\.(\d)\]\(https://ar5iv\.labs\.arxiv\.org/html/([\d.]+)#S(\d+)\.SS(\d+)\)")


def unlinked_sections(text: str) -> list[str]:
    """Sections of papers on arXiv that a text names without a link to them; one of another paper is no fault.

    In a list of references a section belongs to the paper before it.
    """
    papers = re.split(r"\]\(https://(arxiv\.org/abs/[\d.]+|doi\.org/[^)]+)\)", TO_SECTION.sub("linked", text))
    one = r"(?:linked|\d\.\d)(?: \([^)]*\))?"
    named = re.compile(rf"[Ss]ections? {one}(?:(?:,| to| and) {one})*")
    return [number for paper, words in zip(["arxiv.org", *papers[1::2]], papers[::2], strict=True)
            if paper.startswith("arxiv.org") for many in named.findall(words) for number in re.findall(r"\d\.\d", many)]


@pytest.mark.parametrize("lesson", LESSONS)
def test_sections_of_papers_are_linked(lesson):
    text = "\n".join(cell.source for cell in read(lesson).cells if cell.cell_type == "markdown")
    for *said, paper, section, subsection in TO_SECTION.findall(text):
        assert said == [section, subsection]
        assert f"(https://arxiv.org/abs/{paper})" in text, "the paper stands among the references"
    assert text.count("ar5iv") == len(TO_SECTION.findall(text))
    assert unlinked_sections(text) == []


def test_an_unlinked_section_is_noticed():
    abs_, html = "https://arxiv.org/abs/2103.04257", "https://ar5iv.labs.arxiv.org/html/2103.04257"
    assert unlinked_sections(f"[*A*]({abs_}), sections [3.2]({html}#S3.SS2) (loss), 3.3 (test)") == ["3.3"]
    assert unlinked_sections("the code differs (section 4.2).") == ["4.2"]
    assert unlinked_sections("[*B*](https://doi.org/10.1/x) (its sections 3.5 and 3.6 differ)") == []
    assert unlinked_sections("Section 3 shows 0.5 of it") == []


@pytest.mark.parametrize("lesson", LESSONS)
def test_run_cells_stand_alone(lesson):
    """No run cell uses a name that only another cell sets."""
    notebook, known = read(lesson), set(dir(builtins))
    for cell in tagged(notebook, "run"):
        tree = ast.parse(cell.source)
        names = [node for node in ast.walk(tree) if isinstance(node, ast.Name)]
        known |= {n.id for n in names if isinstance(n.ctx, ast.Store)}
        imports = [node for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom)]
        known |= {(alias.asname or alias.name).split(".")[0] for node in imports for alias in node.names}
        known |= {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
        known |= {node.arg for node in ast.walk(tree) if isinstance(node, ast.arg)}
        assert {n.id for n in names if isinstance(n.ctx, ast.Load)} <= known, cell.id


def execute(lesson: str, folder: Path, *, kept: Path | None = None, **parameters):
    """Execute a lesson at budget smoke in a folder; the executed notebook is written there, or where it is kept."""
    return papermill.execute_notebook(NOTEBOOKS / f"{lesson}.ipynb", (kept or folder) / f"{lesson}.ipynb",
                                      parameters={"budget": "smoke", "out_dir": str(folder / "runs"), **parameters},
                                      cwd=folder, progress_bar=False, shutdown_kernel="immediate")   # else 2 s longer


def texts(notebook) -> str:
    return "".join(output.get("text", "") for cell in notebook.cells for output in cell.get("outputs", []))


@pytest.fixture(scope="module")
def ledger(tmp_path_factory) -> Path:
    """Lessons leave their runs here, in reading order; those that read the ledger make only what is still missing."""
    return tmp_path_factory.mktemp("ledger") / "runs"


@pytest.fixture(scope="module")
def kept() -> Path | None:
    """Where continuous integration wants the executed lessons, to show them."""
    if "ADLIB_EXECUTED" not in os.environ:
        return None
    folder = Path(os.environ["ADLIB_EXECUTED"])
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@pytest.mark.parametrize("lesson", LESSONS)
def test_a_lesson_executes_from_elsewhere(lesson, demo_root, tmp_path, ledger, kept):
    before = len(read_runs(ledger))
    notebook = execute(lesson, tmp_path, kept=kept, data_root=str(demo_root), out_dir=str(ledger),
                       **SMALL.get(lesson, {}))
    check_executed(notebook)
    if tagged(notebook, "run"):
        assert len(read_runs(ledger)) == before + 1, "a lesson worked through leaves a run too"


def check_executed(notebook) -> None:
    solved = [texts(nbformat.from_dict({"cells": [cell]})) for cell in tagged(notebook, "solution")]
    assert all(text.startswith("right") for text in solved)
    assert texts(notebook).count("not yet: set") == len(solved)
    assert "Warning" not in texts(notebook)
    found = [output["data"] for cell in notebook.cells for output in cell.get("outputs", [])
             if output.get("data", {}).get("text/plain", "").startswith("Prediction: ")]
    assert len(found) == sum("predictions.ask" in cell.source and bool(cell.outputs) for cell in notebook.cells)
    assert all(re.match(r"Prediction: not answered\. (The answer: |This run cannot tell\.)", data["text/plain"])
               for data in found)
    assert not any("not among the answers" in data["text/plain"] for data in found)
    assert all(data["text/html"].startswith("<details data-adlib-finding=") for data in found)
    assert not any(" open>" in data["text/html"] for data in found), "folded, until a reader answers"
    figures = [o for cell in notebook.cells for o in cell.get("outputs", []) if "image/png" in o.get("data", {})]
    assert len(figures) >= 5
    assert all(figure.metadata["image/png"].get("alt") for figure in figures)
    assert not re.search(r'(src|href)="https?:', str(notebook.cells))


@pytest.mark.slow
@pytest.mark.parametrize("lesson", LESSONS)
def test_a_lesson_holds_on_another_category_and_seed(lesson, demo_root, tmp_path):
    """What is said of this run is computed from it: nothing is missing, and nothing is said of the default category."""
    notebook = execute(lesson, tmp_path, data_root=str(demo_root), category="gravel", seed=1, **SMALL.get(lesson, {}))
    check_executed(notebook)
    said = [output["data"]["text/markdown"] for cell in notebook.cells for output in cell.get("outputs", [])
            if "text/markdown" in output.get("data", {})
            and not re.search(r"quote\(|say_alone\(|results/demo\.csv", cell.source)]
    assert not re.search(r"\bnan\b", "\n".join(said))
    if lesson not in ("00_data_and_metrics", "05_ablations", "09_results"):      # they look at others by name
        assert "circuit" not in "\n".join(said)


@pytest.mark.slow
@pytest.mark.parametrize("table", ablations.GRIDS)
def test_every_ablation_executes(table, demo_root, tmp_path):
    check_executed(execute("05_ablations", tmp_path, data_root=str(demo_root), table=table))


def test_lesson_00_without_ground_truth(tmp_path):
    make_category(tmp_path, masks=False)
    notebook = execute("00_data_and_metrics", tmp_path, data_root=str(tmp_path), category="bolt")
    assert re.search(r"image_auroc +[01]\.\d+", texts(notebook))
    assert "pixel_ap     nan" in texts(notebook)


def test_lesson_00_in_tiles(demo_root, tmp_path):
    check_executed(execute("00_data_and_metrics", tmp_path, data_root=str(demo_root), tiles=2))


@pytest.mark.parametrize(("parameters", "message"), [
    ({"catgory": "bolt"}, "did you mean 'category'"),
    ({"category": 1}, "keeps a string"),
    ({"category": "screw"}, "categories there: bolt"),
    ({"image_size": 100}, "multiple of 32"),
])
def test_bad_parameters_stop_before_anything_is_computed(bolt, tmp_path, parameters, message):
    with pytest.raises(papermill.PapermillExecutionError, match=message):
        execute("00_data_and_metrics", tmp_path, **({"data_root": str(tmp_path), "category": "bolt"} | parameters))

"""Executed lessons as pages: every formula is set without a script, and nothing is fetched."""

import re

import nbformat
import pytest

from adlib.__main__ import main
from adlib.lessons.pages import WIDGET, to_mathml, write_page
from adlib.runs.parameters import NOTEBOOKS

LESSONS = sorted(NOTEBOOKS.glob("*.ipynb"))


@pytest.mark.parametrize("lesson", LESSONS, ids=lambda path: path.stem)
def test_each_formula_of_a_lesson_becomes_mathml(lesson, tmp_path):
    sources = [cell.source for cell in nbformat.read(lesson, as_version=4).cells if cell.cell_type == "markdown"]
    page = write_page(lesson, tmp_path / "page.html").read_text(encoding="utf-8")
    text = "\n\n".join(re.sub(r"```.*?```|`[^`\n]+`", "", source, flags=re.DOTALL) for source in sources)
    expected = len(re.findall(r"\$\$.+?\$\$|\$[^$\n]+\$", text, re.DOTALL))
    formulas = re.findall(r"<math.*?</math>", page, re.S)
    assert len(formulas) == expected
    words = [re.sub(r"<[^>]+>", "", formula) for formula in formulas]
    assert not [text for text in words if "\\" in text or not text.strip()]


def test_a_formula_is_read_as_written():
    assert re.search("<mfrac>.*<mn>1</mn>.*<mi>n</mi>.*</mfrac>", to_mathml(r"\frac{1}{n}"))
    assert "‖" in to_mathml(r"\Big\lVert x \Big\rVert")
    assert 'display="block"' in to_mathml("x", display="block")


def test_a_page_names_no_address_to_load_from(tmp_path):
    cells = [nbformat.v4.new_markdown_cell("A $x^2$ and\n\n$$\\sum_i x_i$$\n\n\\begin{cases}1\\\\0\\end{cases}"),
             nbformat.v4.new_code_cell("1", outputs=[nbformat.v4.new_output("display_data", data) for data in (
                 {"text/html": "<b>drawn</b>"}, {WIDGET: {"model_id": "x"}, "text/plain": "<adlib object>"})])]
    path = tmp_path / "lesson.ipynb"
    nbformat.write(nbformat.v4.new_notebook(cells=cells), path)
    assert main(["page", str(path)]) == 0
    page = (tmp_path / "lesson.html").read_text(encoding="utf-8")
    assert page.count("<math") == 3
    assert "<b>drawn</b>" in page
    assert "adlib object" not in page
    assert "$" not in re.sub(r"<(script|style).*?</\1>", "", page, flags=re.S)
    assert not re.search(r'(src|import\()="?https?:', page)
    assert not re.search(r"<link[^>]+https?:", page)


def test_what_is_no_notebook_is_refused(tmp_path, capsys):
    assert main(["page", str(tmp_path / "missing.ipynb")]) == 1
    (tmp_path / "text.ipynb").write_text("hello")
    assert main(["page", str(tmp_path / "text.ipynb")]) == 1
    errors = capsys.readouterr().err
    assert "there is no notebook" in errors
    assert "is no notebook; give an executed" in errors

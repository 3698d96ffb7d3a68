"""An executed lesson as one page that needs neither a kernel nor a network: widgets alive, formulas as MathML."""

import re
from pathlib import Path

import nbformat
from jinja2 import pass_context
from latex2mathml.converter import convert
from nbconvert import HTMLExporter
from nbconvert.filters.markdown_mistune import IPythonRenderer, MarkdownWithMath

from adlib import find_input, find_output
from adlib.settings import write

WIDGET = "application/vnd.jupyter.widget-view+json"
ADDRESSES = ("mathjax_url", "require_js_url", "jquery_url", "jupyter_widgets_base_url", "widget_renderer_url",
             "mermaid_js_url", "mermaid_layout_elk_js_url")     # whence nbconvert's pages load scripts


def to_mathml(formula: str, *, display: str = "inline") -> str:
    """A formula in LaTeX as MathML, which browsers set by themselves.

    >>> to_mathml("x^2")[-47:]
    '<msup><mi>x</mi><mn>2</mn></msup></mrow></math>'
    """
    return convert(re.sub(r"\\[lr]Vert\b", "‖", formula), display=display)     # it does not know \Big\lVert


class FormulaRenderer(IPythonRenderer):
    """nbconvert's Markdown, where a browser needs no script to show a formula."""

    def inline_math(self, body: str) -> str:
        return to_mathml(body)

    def block_math(self, body: str) -> str:
        return to_mathml(body, display="block")

    def multiline_math(self, text: str) -> str:
        return to_mathml(text.strip().removeprefix("$$").removesuffix("$$"), display="block")

    def latex_environment(self, name: str, body: str) -> str:
        return to_mathml(rf"\begin{{{name}}}{body}\end{{{name}}}", display="block")


class PageExporter(HTMLExporter):
    """nbconvert's page without addresses outside."""

    @pass_context
    def markdown2html(self, context, source: str) -> str:
        renderer = FormulaRenderer(escape=False, attachments=context.get("cell", {}).get("attachments", {}),
                                   embed_images=self.embed_images, anchor_link_text=self.anchor_link_text,
                                   path=context.get("resources", {}).get("metadata", {}).get("path", ""))
        return MarkdownWithMath(renderer=renderer).render(source)


def write_page(notebook: str | Path, path: str | Path | None = None) -> Path:
    """Write an executed notebook as one page, beside it unless a path is given; the page's path.

    Raises
    ------
    FileNotFoundError
        There is no such notebook.
    ValueError
        It is no notebook.
    """
    notebook = find_input(notebook)
    if not notebook.is_file():
        raise FileNotFoundError(f"there is no notebook {notebook}")
    try:
        content = nbformat.read(notebook, as_version=4)
    except nbformat.reader.NotJSONError:
        raise ValueError(f"{notebook} is no notebook; give an executed .ipynb, as python -m adlib demo leaves "
                         "them") from None
    content.metadata.pop("widgets", None)       # the static form of each stands beside it; this one would be fetched
    for cell in content.cells:
        if "outputs" in cell:
            cell.outputs = [output for output in cell.outputs if WIDGET not in output.get("data", {})]
    exporter = PageExporter(embed_images=True, **dict.fromkeys(ADDRESSES, ""))
    known = {"metadata": {"name": notebook.stem, "path": str(notebook.parent)}}
    page, _ = exporter.from_notebook_node(content, resources=known)
    path = notebook.with_suffix(".html") if path is None else find_output(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    return write(path, lambda file: file.write(page.encode()))

"""Sphinx's settings for the book, and what it does not do by itself: KaTeX, and terms that explain themselves.

`build.py` copies this folder beside the pages that it makes of executed lessons, and runs Sphinx there.
"""

import html
import re
import sys
from pathlib import Path

from docutils import nodes

import adlib

sys.path.insert(0, str(Path(__file__).parent))
import sources  # noqa: E402

project, author = "adlib", "The adlib authors"
version = release = adlib.__version__
copyright = f"{author}, Apache-2.0"
extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.linkcode", "sphinx_design",
              "sphinx_codeautolink"]
exclude_patterns = ["static", "requirements.txt"]

nb_execution_mode = "off"               # lessons come executed
nb_render_markdown_format = "myst"      # so that pages.py can write a figure with caption and anchor as an output
nb_ipywidgets_js = {}                   # widgets are there in their static form
nb_merge_streams = True
myst_enable_extensions = ["dollarmath", "amsmath", "colon_fence", "attrs_inline"]
myst_heading_anchors = 3
myst_links_external_new_tab = False
suppress_warnings = ["myst.header",      # a cell may begin with a deeper heading than the one before
                     "ref.python"]       # the name of an argument is one of several attributes too

autodoc_member_order = "bysource"
autodoc_typehints = "none"              # the docstrings say shapes, which is more
autodoc_default_options = {"members": True, "undoc-members": True, "show-inheritance": False}
autodoc_preserve_defaults = True
napoleon_google_docstring = False
napoleon_use_rtype = False
napoleon_use_ivar = True                # an attribute is described, not an object of its own
napoleon_preprocess_types = False
codeautolink_custom_blocks = {"ipython3": None, "python3": None}
codeautolink_concat_default = True      # a name may be imported in an earlier cell
codeautolink_warn_on_missing_inventory = codeautolink_warn_on_failed_resolve = False

default_role = "code"               # `name` in a docstring

highlight_language = "none"           # code without a name is a command or a listing
html_theme = "pydata_sphinx_theme"
html_title = "adlib"
html_context = {"default_mode": "auto"}
html_static_path = ["static"]
html_css_files = ["katex/katex.min.css", "book.css"]
html_js_files = [("katex/katex.min.js", {"defer": "defer"}), ("book.js", {"defer": "defer"})]
html_math_renderer = "katex"
html_show_sourcelink = html_copy_source = False
html_show_search_summary = False        # it fetches the pages found, which a browser forbids to a file URL
html_theme_options = {
    "logo": {"text": "adlib"},
    "navbar_align": "left",
    "header_links_before_dropdown": 7,
    "navbar_end": ["theme-switcher"],
    "secondary_sidebar_items": {"**": ["page-toc"], "index": [], "gallery": []},
    "show_toc_level": 2,
    "footer_start": ["copyright"],
    "footer_end": [],
    "pygments_light_style": "a11y-high-contrast-light",
    "pygments_dark_style": "a11y-high-contrast-dark",
    "back_to_top_button": False,
}
html_sidebars = {"index": [], "gallery": [], "glossary": []}


def linkcode_resolve(domain: str, info: dict) -> str | None:
    """Where the source of something in the reference is, from the folder of the reference."""
    return f"../{sources.page_of(info['module'])}#{info['fullname'].split('.')[0]}" if info["module"] else None


# Formulas ------------------------------------------------------------------------------------------------------------


def inline_formula(writer, node) -> None:
    """A formula as text for book.js, which hands it to KaTeX."""
    writer.body.append(f'<span class="formula">{html.escape(node.astext())}</span>')
    raise nodes.SkipNode


def block_formula(writer, node) -> None:
    writer.body.append(f'<div class="formula" tabindex="0">{html.escape(node.astext())}</div>')
    raise nodes.SkipNode


# Terms ---------------------------------------------------------------------------------------------------------------


def read_glossary(path: Path) -> dict[str, str]:
    """The terms of glossary.md, in lower case, and what they mean, as plain text."""
    block = re.search(r"```\{glossary\}\n(.*?)```", path.read_text(encoding="utf-8"), re.S)[1]
    meanings = {}
    for entry in re.split(r"\n(?=\S)", block):
        term, _, meaning = entry.strip().partition("\n")
        meanings[term.strip()] = re.sub(r"\s+", " ", re.sub(r"[`*$\\]|\{term\}", "", meaning)).strip()
    return {term: meaning for term, meaning in meanings.items() if term}


# Common words that lessons use in other senses too: they stand in the glossary, but do not light up in a text.
ORDINARY = {"run", "map", "score", "level", "normal", "anomalous", "recipe", "region", "threshold"}


def explain_terms(app, doctree, docname: str) -> None:
    """The first occurrence of each glossary term in a lesson becomes a link that shows the meaning when hovered."""
    if not docname.startswith("lessons/"):
        return
    meanings = read_glossary(Path(app.srcdir) / "glossary.md")
    places = {name: place for name, _, kind, _, place, _ in app.env.domains["std"].get_objects() if kind == "term"}
    waiting = {term.lower(): term_link(places[term], meaning) for term, meaning in meanings.items()
               if term.lower() not in ORDINARY}
    for text in list(doctree.findall(nodes.Text)):
        if can_explain(text):
            explain_in(text, waiting)


CLOSED = (nodes.reference, nodes.literal, nodes.literal_block, nodes.math, nodes.caption, nodes.raw)


def can_explain(text: nodes.Text) -> bool:
    """Whether a text is of a paragraph's plain words, not of a link, code or a fold's title."""
    above = [text.parent]
    while above[-1].parent is not None:
        above.append(above[-1].parent)
    return any(type(node) is nodes.paragraph for node in above) and not any(isinstance(node, CLOSED) for node in above)


def explain_in(text: nodes.Text, waiting: dict[str, str]) -> None:
    """Put the links that are still waiting around their terms in one text; the longest term first."""
    names = "|".join(re.escape(name) for name in sorted(waiting, key=len, reverse=True))
    parts, at, words = [], 0, text.astext()
    for found in re.finditer(rf"\b({names})s?\b", words, re.I) if waiting else ():
        opening = waiting.pop(found[1].lower(), None)
        if opening:
            link = nodes.raw("", f"{opening}{html.escape(found[0])}</a>", format="html")
            parts, at = [*parts, nodes.Text(words[at:found.start()]), link], found.end()
    if parts:
        text.parent.replace(text, [*parts, nodes.Text(words[at:])])


def term_link(place: str, meaning: str) -> str:
    return f'<a class="term" href="../glossary.html#{place}" data-meaning="{html.escape(meaning)}">'


# Docstrings ----------------------------------------------------------------------------------------------------------


def ready_docstring(app, what, name, thing, options, lines: list[str]) -> None:
    """Docstrings are written to be read as they are: keep their formulas as they stand, and their | and * as signs."""
    shown, before_sections = [], True
    for line, after in zip(list(lines), [*lines[1:], ""] if lines else [], strict=True):
        before_sections = before_sections and not re.fullmatch("-{4,}", after)
        indented = line.startswith("    ") and before_sections
        if indented and not shown[-1].strip():
            shown += [".. code-block:: text", ""]
        shown.append(line if indented or line.lstrip().startswith((">>>", "...")) else re.sub(r"([|*])", r"\\\1", line))
    lines[:] = shown


def setup(app) -> None:
    app.add_html_math_renderer("katex", (inline_formula, None), (block_formula, None))
    app.connect("doctree-resolved", explain_terms)
    app.connect("autodoc-process-docstring", ready_docstring, priority=400)      # before napoleon

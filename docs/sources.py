"""The source of every module as a page of its own, so that a lesson can lead to each function that it uses."""

import ast
from html import escape
from pathlib import Path

from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import PythonLexer

from adlib import ROOT

PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{name} · adlib</title>
<script>
document.documentElement.dataset.theme = localStorage.getItem("theme")
  || (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light");
</script>
<link rel="stylesheet" href="{root}_static/styles/theme.css">
<link rel="stylesheet" href="{root}_static/styles/pydata-sphinx-theme.css">
<link rel="stylesheet" href="{root}_static/pygments.css">
<link rel="stylesheet" href="{root}_static/book.css">
<script defer src="{root}_static/book.js"></script>
</head>
<body class="source">
<nav aria-label="Book"><a href="{root}index.html">adlib</a> <a href="{root}api/index.html">Reference</a></nav>
<main>
<h1>{name}</h1>
<div class="highlight"><pre tabindex="0">{code}</pre></div>
</main>
</body>
</html>
"""


def modules() -> dict[str, Path]:
    """Every module of adlib by its dotted name, a package's own included."""
    paths = {p.relative_to(ROOT).with_suffix(""): p for p in sorted((ROOT / "adlib").rglob("*.py"))}
    return {".".join(name.parts).removesuffix(".__init__"): p for name, p in paths.items()}


def page_of(module: str) -> str:
    """Where a module's source is, from the folder of the site."""
    return f"source/{module.replace('.', '/')}.html"


def write_sources_of_adlib(site: Path) -> None:
    for name, path in modules().items():
        page = site / page_of(name)
        page.parent.mkdir(parents=True, exist_ok=True)
        code = mark_names(path.read_text(encoding="utf-8"))
        page.write_text(PAGE.format(name=name, code=code, root="../" * page_of(name).count("/")), encoding="utf-8")


def mark_names(code: str) -> str:
    """Highlighted code with an anchor at the line of each name of the module's top level."""
    lines = highlight(code, PythonLexer(stripnl=False), HtmlFormatter(nowrap=True)).split("\n")
    for node in ast.parse(code).body:
        targets = node.targets if isinstance(node, ast.Assign) else [node]
        for name in [getattr(t, "name", getattr(t, "id", None)) for t in targets]:
            if name:
                lines[node.lineno - 1] = f'<span id="{name}"></span>{lines[node.lineno - 1]}'
    return "\n".join(lines)


def list_modules(room: str) -> str:
    """A room's modules with the first line of what they say of themselves, each leading to its source."""
    rows = []
    for name, path in modules().items():
        if name.startswith(f"adlib.{room}."):
            says = (ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or "").split("\n")[0]
            rows.append(f'- <a href="../{page_of(name)}"><code>{name}</code></a>: {escape(says)}')
    return "\n".join(rows)


def list_reference(package: str) -> str:
    """The reference of all modules of a package of the library."""
    names = [name for name in modules() if name.startswith(f"adlib.{package}.")]
    return "\n".join(f"## {name.rpartition('.')[2].replace('_', ' ')}\n\n```{{eval-rst}}\n.. automodule:: {name}\n```\n"
                     for name in names)

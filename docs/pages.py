"""An executed lesson as the source of a page: figures as files, with captions and anchors; folds; links.

What is done to a notebook is done here; what a page looks like is Sphinx's and static/book.css.
"""

import ast
import base64
import hashlib
import importlib
import inspect
import io
import re
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import nbformat
from nbformat import NotebookNode
from PIL import Image
from sources import page_of

WIDGET = "application/vnd.jupyter.widget-view+json"
LARGE = 50_000          # characters of a widget's data that a page does not carry itself


@dataclass
class Figure:
    """One figure of a lesson."""

    name: str           # of its file, and with fig- before it of its anchor
    cell: str
    caption: str        # Markdown
    alt: str


@dataclass
class Lesson:
    """A lesson of the book: the executed notebook as it will be shown, and what other pages take from it."""

    stem: str
    notebook: NotebookNode
    executed: dict                                          # the parameters it was executed with
    seconds: float
    figures: list[Figure] = field(default_factory=list)

    @property
    def title(self) -> str:
        return re.match(r"# (.*)", self.notebook.cells[0].source)[1]

    @property
    def minutes(self) -> str | None:
        """Minutes to read, as the lesson's first cell says."""
        found = re.search(r"(\d+) minutes to read", self.notebook.cells[0].source)
        return found and found[1]

    @property
    def cover(self) -> Figure | None:
        """The figure that stands for the lesson: of the cell tagged `cover`, or the first."""
        covers = {cell.id for cell in self.notebook.cells if "cover" in tags(cell)}
        return next((f for f in self.figures if f.cell in covers), self.figures[0] if self.figures else None)


def tags(cell: NotebookNode) -> list[str]:
    return cell.metadata.get("tags", [])


def read_lesson(path: Path) -> Lesson:
    """An executed notebook.

    Raises
    ------
    ValueError
        It was not executed to its end.
    """
    notebook = nbformat.read(path, as_version=4)
    told = notebook.metadata.get("papermill", {})
    last = next((c for c in reversed(notebook.cells) if c.cell_type == "code"), None)
    if not told.get("end_time") or told.get("exception") or last is None or last.execution_count is None:
        raise ValueError(f"{path} was not executed to its end")
    given = {}
    for cell in notebook.cells:
        if {"parameters", "injected-parameters"} & set(tags(cell)):
            given |= {n.targets[0].id: ast.literal_eval(n.value) for n in ast.parse(cell.source).body
                      if isinstance(n, ast.Assign)}
    notebook.cells = [cell for cell in notebook.cells if "injected-parameters" not in tags(cell)]
    for cell in notebook.cells:
        hide_paths(cell, local_prefixes(told))
    return Lesson(path.stem, notebook, given, told["duration"])


def differs(lesson: Lesson, source: Path) -> bool:
    """Whether a lesson was executed from another text than that of a file."""
    now = [cell.source for cell in nbformat.read(source, as_version=4).cells]
    return now != [cell.source for cell in lesson.notebook.cells]


# The notebook as a page ----------------------------------------------------------------------------------------------


def write_page(lesson: Lesson, source: Path, in_book: set[str], *, repository: str) -> Path:
    """Write a lesson's page source, its figures and the data of its widgets; fills in `lesson.figures`."""
    folder, notebook = source / "lessons", lesson.notebook
    sections = name_sections(lesson)
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            cell.source = mend_anchors(mend_links(cell.source, in_book), sections)
        else:
            cell.outputs = show_outputs(lesson, cell, source)
            for output in cell.outputs:
                for kind in {"text/markdown", "text/html"} & set(output.get("data", {})):
                    output.data[kind] = mend_links(output.data[kind], in_book)
            fold(cell)
    notebook.cells[0].source = open_page(lesson, sections, repository=repository)
    notebook.cells.append(nbformat.v4.new_markdown_cell(list_functions(notebook), id="functions-used"))
    notebook.metadata = {"kernelspec": {"name": "python3", "display_name": "Python 3"},
                         "language_info": {"name": "python", "pygments_lexer": "ipython3"}}
    for cell in notebook.cells:
        cell.metadata.pop("papermill", None)
        cell.metadata.pop("execution", None)
        cell.metadata.pop("jupyter", None)
    path = folder / f"{lesson.stem}.ipynb"
    nbformat.write(notebook, path)
    return path


def local_prefixes(told: dict) -> list[str]:
    """Folders of the machine that executed a lesson, the longest first: a page does not name them."""
    files = [(told.get("input_path"), 1), (told.get("output_path"), 2), (told["parameters"].get("out_dir"), 0),
             (told["parameters"].get("data_root"), 1)]
    folders = {Path(file).parents[up] for file, up in files if file and len(Path(file).parents) > up + 1}
    return sorted((f"{folder}/" for folder in folders if folder.is_absolute()), key=len, reverse=True)


def hide_paths(cell: NotebookNode, prefixes: list[str]) -> None:
    for prefix in prefixes:
        for output in cell.get("outputs", []):
            if "text" in output:
                output.text = output.text.replace(prefix, "")
            for kind, text in output.get("data", {}).items():
                if kind.startswith("text/"):
                    output.data[kind] = text.replace(prefix, "")


def name_sections(lesson: Lesson) -> list[tuple[str, str, float]]:
    """Give each section an anchor; returns (anchor, title, seconds that its cells took)."""
    sections = []
    for cell in lesson.notebook.cells:
        if cell.cell_type == "code" and sections:
            sections[-1][2] += cell.metadata.get("papermill", {}).get("duration") or 0

        def name(heading: re.Match) -> str:
            sections.append([f"{anchor(lesson.stem)}-{len(sections) + 1}", heading[1], 0.0])
            return f"({sections[-1][0]})=\n{heading[0]}"

        if cell.cell_type == "markdown":
            cell.source = re.sub(r"^## (.*)$", name, cell.source, flags=re.M)
    return [tuple(section) for section in sections]


def anchor(stem: str) -> str:
    return stem.replace("_", "-")


def mend_links(text: str, in_book: set[str]) -> str:
    """Links to sources lead to the book's copies; one to a lesson that is not in the book is only its words.

    Of Markdown and of HTML: what a lesson prints is either.
    """
    text = re.sub(r"\[(`?)([^\]]*?)\1\]\(\.\./adlib/([\w/]+)\.py\)",
                  lambda m: f'<a href="../source/adlib/{m[3]}.html"><code>{m[2]}</code></a>', text)
    text = re.sub(r"\[([^\]]*)\]\((?:[\w.]+/)*[\w.]+\.(?:csv|md)(?:#[^)]*)?\)", r"\1", text)
    text = re.sub(r'<a href="(?:[\w.]+/)*[\w.]+\.(?:csv|md)(?:#[^"]*)?">(.*?)</a>', r"\1", text)
    text = re.sub(r'<a href="(\d\d_\w+)\.ipynb(#[^"]*)?">(.*?)</a>',
                  lambda m: f'<a href="{m[1]}.html">{m[3]}</a>' if m[1] in in_book else m[3], text)
    return re.sub(r"\[([^\]]*)\]\((\d\d_\w+)\.ipynb(#[^)]*)?\)",
                  lambda m: f"[{m[1]}]({m[2]}.ipynb)" if m[2] in in_book else m[1], text)


def mend_anchors(text: str, sections: list[tuple[str, str, float]]) -> str:
    """JupyterLab's anchor of a section is its title with hyphens for spaces; here it is the one of `name_sections`."""
    for place, title, _ in sections:
        text = text.replace(f"(#{title.replace(' ', '-')})", f"(#{place})")
    return text


def fold(cell: NotebookNode) -> None:
    """A solution is folded away with what it prints; parameters, imports and mere drawing are a click away."""
    if "solution" in tags(cell):
        folds, title = "hide-cell", "Solution"
    elif "parameters" in tags(cell):
        folds, title = "hide-input", "Parameters"
    elif all(isinstance(line, ast.Import | ast.ImportFrom) for line in parse(cell.source).body):
        folds, title = "hide-input", "Imports"
    elif all(map(only_shows, parse(cell.source).body)):
        folds, title = "hide-input", "Code of the figure"
    else:
        return
    cell.metadata.tags = [*tags(cell), folds]
    cell.metadata["mystnb"] = {"code_prompt_show": title, "code_prompt_hide": title}


def only_shows(line: ast.stmt) -> bool:
    """Whether a statement only shows something: a figure, a print, a sentence."""
    call = line.value if isinstance(line, ast.Expr) else None
    return isinstance(call, ast.Call) and getattr(call.func, "id", None) in ("show", "print", "Markdown")


def parse(code: str) -> ast.Module:
    """A cell's syntax tree, without the lines that only IPython understands."""
    return ast.parse(re.sub(r"^\s*[%!].*$", "", code, flags=re.M))


# Outputs -------------------------------------------------------------------------------------------------------------


def show_outputs(lesson: Lesson, cell: NotebookNode, source: Path) -> list[NotebookNode]:
    """A cell's outputs: a picture and the caption behind it as one figure, widgets in their static form."""
    shown, outputs = [], [o for o in cell.outputs if WIDGET not in o.get("data", {})]
    while outputs:
        output = outputs.pop(0)
        data = output.get("data", {})
        if "image/png" in data:
            behind = outputs[0].get("data", {}).get("text/markdown", "") if outputs else ""
            caption = re.fullmatch(r"\*([^\n]+)\*", behind)
            if caption:
                outputs.pop(0)
            output = as_output(keep_figure(lesson, cell, output, caption and caption[1], source))
        elif "<script" in data.get("text/html", ""):
            data["text/html"] = keep_data(data["text/html"], source / "static", prefix="../")
        shown.append(output)
    return shown


def as_output(markdown: str) -> NotebookNode:
    return nbformat.v4.new_output("display_data", data={"text/markdown": markdown})


def keep_figure(lesson: Lesson, cell: NotebookNode, output: NotebookNode, caption: str | None, source: Path) -> str:
    """Write a figure, a fourth as large as its PNG, and its thumbnail; returns the directive that shows it."""
    alt = output.metadata.get("image/png", {}).get("alt") or ""
    count = sum(f.cell == cell.id for f in lesson.figures)
    figure = Figure(f"{anchor(lesson.stem)}-{cell.id}-{count}", cell.id, caption or alt, alt)
    lesson.figures.append(figure)
    picture = Image.open(io.BytesIO(base64.b64decode(output.data["image/png"]))).convert("RGB")
    picture.save(source / "lessons/figures" / f"{figure.name}.webp", quality=88, method=4)
    picture.thumbnail((480, 480))
    picture.save(source / "static/thumbnails" / f"{figure.name}.webp", quality=80, method=4)
    one_line = re.sub(r"\s+", " ", alt)
    return (f"````{{figure}} figures/{figure.name}.webp\n:name: fig-{figure.name}\n:alt: {one_line}\n"
            f":target: ../_images/{figure.name}.webp\n\n{caption or ''}\n````")


def keep_data(form: str, static: Path, *, prefix: str) -> str:
    """A widget's static form whose data, if large, come from a script beside the pages; a file URL may load that."""
    found = re.search(r'<script type="text/plain" id="([\w-]+)">([\w+/=]+)</script>', form)
    if found is None or len(found[2]) < LARGE:
        return form
    name = f"{hashlib.sha256(found[2].encode()).hexdigest()[:12]}.js"
    (static / "data").mkdir(exist_ok=True)
    (static / "data" / name).write_text("document.getElementById(document.currentScript.dataset.fills).textContent = "
                                        f'"{found[2]}";\n')
    outside = (f'<script type="text/plain" id="{found[1]}"></script>\n'
               f'<script defer data-fills="{found[1]}" src="{prefix}_static/data/{name}"></script>')
    return form[:found.start()] + outside + form[found.end():]


# Around the lesson ---------------------------------------------------------------------------------------------------


def open_page(lesson: Lesson, sections: list[tuple[str, str, float]], *, repository: str) -> str:
    """The first cell with ways to run the lesson below its title, and its contents with measured times below it."""
    title, _, rest = lesson.notebook.cells[0].source.partition("\n")
    ways = [f'<a href="../notebooks/{lesson.stem}.ipynb" download>Download</a>',
            f'<a href="http://localhost:8888/lab/tree/{lesson.stem}.ipynb" title="while `make lab` is running">Open in '
            f'JupyterLab</a>']
    if repository.startswith("https://github.com/"):
        ways.append(f'<a href="{colab_address(repository, lesson.stem)}">Open in Colab</a>')
    ways.append(f'<a href="../recall/{lesson.stem}.html">Recall it</a>')
    given = lesson.executed
    facts = [f"budget {given['budget']}", f"category {given['category'].replace('_', ' ')}", f"seed {given['seed']}"]
    said = f'<span>executed in {duration(lesson.seconds)}: {", ".join(facts)}</span>'
    rows = "\n".join(f"- [{name}](#{place}), {duration(seconds)}" for place, name, seconds in sections)
    return (f'{title}\n\n<div class="ways">{" ".join(ways)} {said}</div>\n{rest}\n\n'
            f":::{{dropdown}} How long each section took to execute\n"
            f"{rows}\n:::\n")


def colab_address(repository: str, stem: str) -> str:
    """Colab's address of a lesson, of the branch that holds the published book."""
    colab = repository.replace("github.com", "colab.research.google.com/github")
    return f"{colab}/blob/gh-pages/notebooks/{stem}.ipynb"


def duration(seconds: float) -> str:
    if seconds < 0.95:
        return "under a second"
    return f"{seconds:.0f} s" if seconds < 99.5 else f"{seconds / 60:.0f} min"


def list_functions(notebook: NotebookNode) -> str:
    """A fold with every function and class of adlib that the lesson's code names, and where its source is."""
    by_module: dict[str, list[str]] = {}
    for module, name in used_functions(notebook):
        by_module.setdefault(module, []).append(name)
    rows = [f"- `{module}`: " + ", ".join(
        f'<a href="../{page_of(module)}#{name}"><code>{name}</code></a>' for name in sorted(names))
        for module, names in sorted(by_module.items())]
    return ":::{dropdown} Source of what this lesson uses of adlib\n" + "\n".join(rows) + "\n:::\n"


def used_functions(notebook: NotebookNode) -> set[tuple[str, str]]:
    """(module, name) of the functions and classes of adlib that code cells name, followed to where they are defined."""
    known, used = {}, set()
    for cell in notebook.cells:
        if cell.cell_type != "code":
            continue
        tree = parse(cell.source)
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "adlib":
                known |= {alias.asname or alias.name: imported(node.module, alias.name) for alias in node.names}
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
                owner = known.get(node.value.id)
                used.add(place_of(getattr(owner, node.attr, None)) if inspect.ismodule(owner) else None)
            elif isinstance(node, ast.Name):
                used.add(place_of(known.get(node.id)))
    return used - {None}


def imported(module: str, name: str):
    """What an import of a lesson names; None if a lesson was executed before that was moved."""
    for owner, thing in ((module, name), (f"{module}.{name}", None)):
        with suppress(ModuleNotFoundError, AttributeError):
            found = importlib.import_module(owner)
            return found if thing is None else getattr(found, thing)
    return None


def place_of(thing) -> tuple[str, str] | None:
    thing = inspect.unwrap(thing) if callable(thing) else thing
    if not (inspect.isfunction(thing) or inspect.isclass(thing)) or not thing.__module__.startswith("adlib"):
        return None
    return thing.__module__, thing.__qualname__


# The same lesson, to be run elsewhere --------------------------------------------------------------------------------


def write_notebook(lesson: Path, out: Path, *, repository: str) -> None:
    """A lesson as it is committed, with a first cell that installs adlib where it is not: on Colab, for instance."""
    notebook = nbformat.read(lesson, as_version=4)
    if repository:
        notebook.cells.insert(0, nbformat.v4.new_code_cell(install_cell(repository), id="install"))
    nbformat.write(notebook, out)


def install_cell(repository: str) -> str:
    return ("# Where adlib is not installed (on Colab), fetch and install it; elsewhere this cell does nothing.\n"
            "import importlib.util\n"
            "import sys\n\n"
            'if importlib.util.find_spec("adlib") is None:\n'
            f"    !git clone -q --depth 1 {repository} adlib\n"
            "    %pip install -q -e adlib\n"
            "    %cd adlib/notebooks\n"
            '    sys.path.insert(0, "..")\n')

"""Recall twins: a lesson turned into questions. What is asked is chosen by tags in the lesson, the answers are folded.

A code cell tagged `recall` is shown with blanks for what it computes, a text cell tagged `recall` without its
equations. The lesson's predictions and objectives become questions too.
"""

import ast
import re

from nbformat import NotebookNode
from pages import Lesson, mend_links, tags

BLANK = "____"


def write_twin(lesson: Lesson, in_book: set[str]) -> str:
    """The Markdown of a lesson's recall twin."""
    parts = [f"# Recall {lesson.title}\n",
             f"What is left of [the lesson](../lessons/{lesson.stem}.ipynb)? Its headings are here, its key code with "
             f"blanks, its questions. Answer on paper or aloud, then open the fold.\n"]
    heading = None
    for i, cell in enumerate(lesson.notebook.cells):
        if cell.cell_type == "markdown":
            for section in re.findall(r"^## (.*)$", cell.source, re.M):
                heading = section
        asked = questions_of(lesson.notebook.cells, i)
        if asked and heading:
            parts, heading = [*parts, f"## {heading}\n"], None
        parts += asked
    text = mend_links("\n".join([*parts, *objectives(lesson.notebook.cells)]), in_book)
    return re.sub(r"\]\((\d\d_\w+\.ipynb)", r"](../lessons/\1", text)


def questions_of(cells: list[NotebookNode], i: int) -> list[str]:
    """What one cell asks, in the order of its text."""
    cell = cells[i]
    if cell.cell_type == "code":
        asked = [ask(question, revealed(cells, name)) for name, question in asked_in_form(cell.source)]
        return asked + ([blanked_cell(cell.source)] if "recall" in tags(cell) else [])
    asked = [ask(question, said_after(cells, i)) for question in
             re.findall(r"\*\*Predict:\*\* (.*?\?)(?=\s|$)", cell.source, re.S)]
    return asked + (equations(cell.source) if "recall" in tags(cell) else [])


def ask(question: str, answer: str) -> str:
    question = f"**{question[0].upper()}{question[1:]}**\n"
    return f"{question}\n{folded(answer)}" if answer else question


def asked_in_form(code: str) -> list[tuple[str, str]]:
    """(name, question) of each form of predictions that a cell shows."""
    calls = [node for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Call)
             and isinstance(node.func, ast.Attribute) and node.func.attr.startswith("ask") and len(node.args) > 1]
    return [tuple(ast.literal_eval(x) for x in call.args[:2]) for call in calls
            if all(isinstance(x, ast.Constant) for x in call.args[:2])]


def revealed(cells: list[NotebookNode], name: str) -> str:
    """What the executed lesson says when it reveals the answer of a form."""
    for cell in cells:
        if cell.cell_type == "code" and "reveal" in cell.source and f'"{name}"' in cell.source:
            for output in cell.outputs:
                told = re.search(r"The answer: (.*)", output.get("data", {}).get("text/plain", ""))
                if told:
                    return told[1]
    return ""


def folded(answer: str, title: str = "Answer") -> str:
    return f"::::{{dropdown}} {title}\n:class-container: answer\n{answer}\n::::\n"


def said_after(cells: list[NotebookNode], i: int) -> str:
    """The first sentences that the executed lesson says behind a cell, before its next prediction."""
    for cell in cells[i + 1:]:
        if cell.cell_type == "markdown":
            if re.search(r"^#|\*\*Predict", cell.source, re.M):
                return ""
            return cell.source.split("\n\n")[0]
        said = [o.data["text/markdown"] for o in cell.outputs if "text/markdown" in o.get("data", {})]
        said = [text for text in said if not re.fullmatch(r"\*[^\n]*\*", text) and "{figure}" not in text]
        if said:
            return said[-1]
    return ""


def equations(text: str) -> list[str]:
    """Each displayed equation of a text as a question, asked by the paragraph before it."""
    paragraphs = text.split("\n\n")
    return [f"{before}\n\n{folded(equation)}" for before, equation in zip(paragraphs, paragraphs[1:], strict=False)
            if equation.startswith("$$") and not before.startswith("$$")]


def blanked_cell(source: str) -> str:
    return (f"```python\n{blank(source)}\n```\n\n"
            + folded(f"```python\n{source}\n```", "Code"))


def blank(source: str) -> str:
    """Code with a blank for every value that is computed from other values; what is given and what checks stay."""
    lines, known = source.splitlines(), set()
    spans = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Assign | ast.AugAssign):
            known |= {n.id for n in ast.walk(node) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
    for node in ast.walk(ast.parse(source)):
        value = getattr(node, "value", None)
        if isinstance(node, ast.Assign | ast.AugAssign | ast.Return) and computed(value) or lasting(node, known):
            spans.append((value.lineno, value.col_offset, value.end_lineno, value.end_col_offset))
    for line, begin, last, end in sorted(spans, reverse=True):
        before = lines[line - 1].encode()[:begin].decode()
        lines[line - 1:last] = [before + BLANK + lines[last - 1].encode()[end:].decode()]
    return "\n".join(lines)


def computed(value: ast.AST | None) -> bool:
    """Whether an expression uses a variable, other than as the module or function that makes a literal."""
    nodes = list(ast.walk(value)) if value else []
    called = {id(n.func) for n in nodes if isinstance(n, ast.Call)}
    owners = {id(n.value) for n in nodes if isinstance(n, ast.Attribute) and id(n) in called}
    return any(isinstance(n, ast.Name) and id(n) not in called | owners or isinstance(n, ast.BinOp) for n in nodes)


def lasting(node: ast.AST, known: set[str]) -> bool:
    """Whether a statement is a call of a method of one of the cell's own variables: it changes something."""
    call = node.value if isinstance(node, ast.Expr) else None
    owner = getattr(getattr(call, "func", None), "value", None)
    return isinstance(call, ast.Call) and getattr(owner, "id", None) in known


def objectives(cells: list[NotebookNode]) -> list[str]:
    """The objectives as questions to oneself, and the recap as their answer."""
    aims = re.search(r"After this lesson you can\n\n(.*?)\n\n", cells[0].source, re.S)
    recap = next((re.search(r"## Recap\n+(.*?)(?:\n\n\*\*|\Z)", c.source, re.S) for c in reversed(cells)
                  if "## Recap" in c.source), None)
    if not aims or not recap:
        return []
    return ["## Can you?\n", aims[1] + "\n", "And what would your recap say, in five lines?\n",
            folded(recap[1], "The lesson's recap")]

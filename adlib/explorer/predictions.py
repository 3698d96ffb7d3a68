"""Predict, then reveal: small forms in the lessons, and how well their answers were calibrated.

Answers are kept in `predictions.json` among the runs. Nothing here ever stops a notebook that is run as a whole:
without an answer, what the run found stands folded below, and the form may still be answered before it is opened.
"""

import html
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import floor, log10
from pathlib import Path

import numpy as np
import traitlets

from adlib import find_output
from adlib.explorer.page import Playground, read_script
from adlib.settings import write_json

KEPT = "predictions.json"
asked: dict[str, "Prediction"] = {}      # by name, in this kernel


class Prediction(Playground):
    """A question with a few possible answers, or with a number for an answer, and how sure the reader is.

    Attributes
    ----------
    answer : dict
        `choice`, the place of the chosen answer or the guessed number, and `sure`, a probability; empty without one.
    note : str
        What became of the answer.
    seen : bool
        Whether the reader has looked at what the run found; a later answer does not count.
    """

    STATE = ("answer", "note", "seen")
    title = "Prediction"
    _esm = read_script("predict.js")
    answer = traitlets.Dict().tag(sync=True)
    note = traitlets.Unicode("not answered").tag(sync=True)
    seen = traitlets.Bool().tag(sync=True)

    def __init__(self, name: str, question: str, choices: Sequence[str] | None = None, *,
                 between: tuple[float, float] = (0, 1), within: float = 0.0, unit: str = "",
                 out_dir: str | Path = "runs"):
        self.name, self.question, self.out_dir = name, question, out_dir
        self.choices = None if choices is None else list(map(str, choices))
        self.between, self.within, self.unit = between, within, unit
        entry = read_predictions(out_dir).get(name, {})
        self.truth: float | Sequence[str] | None = None     # once it is revealed
        self._loaded = False
        said = entry.get("choice")
        known = isinstance(said, float | int) if self.choices is None else said in self.choices
        if known and self.choices:
            said = self.choices.index(said)
        super().__init__(answer={"choice": said, "sure": entry["sure"]} if known else {},
                         note="your answer of an earlier session" if known else "not answered",
                         seen="right" in entry or (name in asked and asked[name].seen))
        self._loaded, asked[name] = True, self

    @property
    def said(self) -> str | float | None:
        """The reader's answer in words, or as a number."""
        choice = self.answer.get("choice")
        return self.choices[choice] if self.choices and choice is not None else choice

    def words(self, said: str | float) -> str:
        if isinstance(said, str):
            return said
        number = f"{said:.4g}"
        return f"{number} {self.unit.removesuffix('s') if number in ('1', '-1') else self.unit}".rstrip()

    def is_right(self) -> bool:
        """One of the right answers, or a number that is as near as was asked for."""
        if isinstance(self.truth, Sequence):
            return self.said in self.truth
        return abs(self.said - self.truth) <= self.within + 1e-9

    @traitlets.observe("answer")
    def _keep(self, change) -> None:
        if self._loaded and self.answer:
            entry = {"question": self.question, "choice": self.said, "sure": self.answer["sure"], "late": self.seen}
            self.note = "kept, but you had seen what the run found: it does not count" if self.seen else "kept"
            keep_prediction(self.out_dir, self.name, entry)
            if self.truth is not None and not self.seen:
                self.note = f"kept: {self.judge()}"

    def judge(self) -> str:
        """Whether the answer is right, which is kept too."""
        right = bool(self.is_right())
        keep_prediction(self.out_dir, self.name, read_predictions(self.out_dir).get(self.name, {}) | {"right": right})
        self.seen = True
        return "right" if right else "wrong"

    def _in_words(self) -> str:
        low, high = self.between
        answers = "; ".join(self.choices) if self.choices else f"a number from {low:g} to {self.words(high)}"
        return f"{self.title}. {self.question} Answers: {answers}."

    def _contents(self, *, static: bool = False) -> tuple[dict, dict]:
        low, high = self.between
        step = 1 if all(isinstance(x, int) for x in (low, high, self.within)) else (high - low) / 100
        number = {"between": [low, high], "within": self.words(self.within), "step": step, "unit": self.unit}
        header = {"name": self.name, "question": self.question, "choices": self.choices or []}
        return header | (number if self.choices is None else {}), {}


def ask(name: str, question: str, choices: Sequence[str] | None = None, *, between: tuple[float, float] = (0, 1),
        within: float = 0.0, unit: str = "", out_dir: str | Path = "runs") -> Prediction:
    """A form for a notebook's cell; `reveal` is its second half.

    With `choices` one of them is picked. Without, a slider between two numbers, of a unit, says one that should be
    right to `within`; where all three are whole, so is the answer.
    """
    return Prediction(name, question, choices, between=between, within=within, unit=unit, out_dir=out_dir)


def highest(values: Mapping[str, float], *, lowest: bool = False) -> list[str]:
    """The names with the highest value, several where they tie, none where no value is known: a truth to reveal."""
    known = {str(name): -value if lowest else value for name, value in values.items() if not np.isnan(value)}
    return [name for name, value in known.items() if value == max(known.values())]


@dataclass
class Finding:
    """What a run found: Markdown, and on a page folded until it is asked for or the form has been answered."""

    name: str
    question: str
    prediction: str         # what the reader said, or that nothing was said
    found: str
    folded: bool

    def __repr__(self) -> str:
        return f"Prediction: {self.prediction}. {self.found}"

    def _repr_html_(self) -> str:
        from mistune import create_markdown

        name, question = map(html.escape, (self.name, self.question))
        told = create_markdown(escape=True, plugins=["table"])(self.found if self.folded else str(self))
        return (f'<details data-adlib-finding="{name}"{"" if self.folded else " open"}>'
                f"<summary>Show the answer: <em>{question}</em></summary>{told}</details>")


def reveal(name: str, truth: str | float | Sequence[str] | None, more: str = "") -> None:
    """Say what this run found, and whether the reader's prediction was right; folded if there is none yet.

    The truth is a number, an answer or several equally right ones; None, NaN or none where this run cannot tell.
    `more` is Markdown that would give it away if it stood elsewhere.
    """
    from IPython.display import display

    form = asked.get(name)
    if isinstance(truth, str):
        truth = [truth]
    if truth is None or (len(truth) == 0 if isinstance(truth, Sequence) else not np.isfinite(truth)):
        found, truth = "This run cannot tell.", None
    else:
        parts = truth if isinstance(truth, Sequence) else [float(truth)]
        if form and form.within > 0 and not isinstance(truth, Sequence):
            parts = [round(float(truth), 0 if form.within >= 2 else 1 - floor(log10(form.within)))]     # as is asked
        found = f"The answer: {' or '.join(form.words(x) if form else str(x) for x in parts)}."
        if form and form.choices and not set(parts) <= set(form.choices):
            found += " (That is not among the answers.)"
    prediction, found = "not answered", f"{found} {more}".strip()
    if form:
        form.truth = truth
        if form.answer:
            prediction = form.words(form.said)
            if truth is not None:
                prediction += f", {100 * form.answer['sure']:.0f} % sure: {form.judge()}"
    question = form.question if form else "a question that was not asked"
    display(Finding(name, question, prediction, found, folded=form is not None and not form.answer))


def read_predictions(out_dir: str | Path) -> dict[str, dict]:
    """All kept predictions by name; none where the file is missing or cannot be read."""
    try:
        kept = json.loads((find_output(out_dir) / KEPT).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return {k: v for k, v in kept.items() if isinstance(v, dict)} if isinstance(kept, dict) else {}


def keep_prediction(out_dir: str | Path, name: str, entry: dict) -> None:
    path = find_output(out_dir) / KEPT
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_json(path, read_predictions(out_dir) | {name: entry})
    except OSError as error:
        print(f"The prediction could not be kept in {path}: {error}")


def judged_predictions(out_dir: str | Path = "runs") -> list[tuple[float, bool]]:
    """How sure the reader was, and whether rightly: of the predictions that were made before their reveal."""
    return [(entry["sure"], entry["right"]) for entry in read_predictions(out_dir).values()
            if {"sure", "right"} <= entry.keys() and not entry.get("late")]

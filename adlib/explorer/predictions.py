"""Predict, then reveal: small forms in the lessons, and how well their answers were calibrated.

Answers are kept in `predictions.json` among the runs. Nothing here ever stops a notebook that is run as a whole:
without an answer, the reveal says so and what this run found.
"""

import json
from collections.abc import Mapping, Sequence
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
    """

    STATE = ("answer", "note")
    title = "Prediction"
    _esm = read_script("predict.js")
    answer = traitlets.Dict().tag(sync=True)
    note = traitlets.Unicode("not answered").tag(sync=True)

    def __init__(self, name: str, question: str, choices: Sequence[str] | None = None, *,
                 between: tuple[float, float] = (0, 1), within: float = 0.0, unit: str = "",
                 out_dir: str | Path = "runs"):
        self.name, self.question, self.out_dir = name, question, out_dir
        self.choices = None if choices is None else list(map(str, choices))
        self.between, self.within, self.unit = between, within, unit
        entry = read_predictions(out_dir).get(name, {})
        self.revealed = "right" in entry or (name in asked and asked[name].revealed)
        self._loaded = False
        said = entry.get("choice")
        known = isinstance(said, float | int) if self.choices is None else said in self.choices
        if known and self.choices:
            said = self.choices.index(said)
        super().__init__(answer={"choice": said, "sure": entry["sure"]} if known else {},
                         note="your answer of an earlier session" if known else "not answered")
        self._loaded, asked[name] = True, self

    @property
    def said(self) -> str | float | None:
        """The reader's answer in words, or as a number."""
        choice = self.answer.get("choice")
        return self.choices[choice] if self.choices and choice is not None else choice

    def words(self, said: str | float) -> str:
        return said if isinstance(said, str) else f"{said:.4g} {self.unit}".rstrip()

    def is_right(self, truth: float | Sequence[str]) -> bool:
        """One of the right answers, or a number that is as near as was asked for."""
        return self.said in truth if isinstance(truth, Sequence) else abs(self.said - truth) <= self.within + 1e-9

    @traitlets.observe("answer")
    def _keep(self, change) -> None:
        if self._loaded and self.answer:
            entry = {"question": self.question, "choice": self.said, "sure": self.answer["sure"], "late": self.revealed}
            self.note = "kept, but the answer had been shown: it does not count" if self.revealed else "kept"
            keep_prediction(self.out_dir, self.name, entry)

    def _contents(self, *, static: bool = False) -> tuple[dict, dict]:
        low, high = self.between
        step = 1 if all(isinstance(x, int) for x in (low, high, self.within)) else (high - low) / 100
        number = {"between": [low, high], "within": self.words(self.within), "step": step, "unit": self.unit}
        return {"question": self.question, "choices": self.choices or []} | (number if self.choices is None else {}), {}


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


def reveal(name: str, truth: str | float | Sequence[str] | None) -> None:
    """Say what this run found, and whether the reader's prediction was right.

    The truth is a number, an answer or several equally right ones; None, NaN or none where this run cannot tell.
    """
    form = asked.get(name)
    if isinstance(truth, str):
        truth = [truth]
    if truth is None or (len(truth) == 0 if isinstance(truth, Sequence) else not np.isfinite(truth)):
        found, truth = "This run cannot tell.", None
    else:
        parts = truth if isinstance(truth, Sequence) else [float(truth)]
        found = f"This run says: {' or '.join(form.words(x) if form else str(x) for x in parts)}."
        if form and form.choices and not set(parts) <= set(form.choices):
            found += " (That is not among the answers.)"
    if form is None or not form.answer:
        print(f"Prediction: not answered. {found}")
    elif truth is None:
        print(f"Prediction: {form.words(form.said)}. {found}")
    else:
        right, sure = form.is_right(truth), form.answer["sure"]
        print(f"Prediction: {form.words(form.said)}, {100 * sure:.0f} % sure: {'right' if right else 'wrong'}. {found}")
        entry = read_predictions(form.out_dir).get(name, {})
        keep_prediction(form.out_dir, name, entry | {"right": bool(right)})
    if form:
        form.revealed = True


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

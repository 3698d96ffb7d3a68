"""Predict, then reveal: small forms in the lessons, and how well their answers were calibrated.

Answers are kept in `predictions.json` among the runs. Nothing here ever stops a notebook that is run as a whole:
without an answer, the reveal says so and what this run found.
"""

import json
from collections.abc import Sequence
from pathlib import Path

import traitlets

from adlib import find_output
from adlib.explorer.page import Playground, read_script
from adlib.settings import write_json

KEPT = "predictions.json"
asked: dict[str, "Prediction"] = {}      # by name, in this kernel


class Prediction(Playground):
    """A question with a few possible answers, and how sure the reader is.

    Attributes
    ----------
    answer : dict
        `choice`, the number of the chosen answer, and `sure`, a probability; empty without an answer.
    note : str
        What became of the answer.
    """

    STATE = ("answer", "note")
    title = "Prediction"
    _esm = read_script("predict.js")
    answer = traitlets.Dict().tag(sync=True)
    note = traitlets.Unicode("not answered").tag(sync=True)

    def __init__(self, name: str, question: str, choices: Sequence[str], out_dir: str | Path = "runs"):
        self.name, self.question, self.choices, self.out_dir = name, question, list(map(str, choices)), out_dir
        entry = read_predictions(out_dir).get(name, {})
        self.revealed = "right" in entry or (name in asked and asked[name].revealed)
        self._loaded = False
        known = entry.get("choice") in self.choices
        super().__init__(answer={"choice": self.choices.index(entry["choice"]), "sure": entry["sure"]} if known else {},
                         note="your answer of an earlier session" if known else "not answered")
        self._loaded, asked[name] = True, self

    @traitlets.observe("answer")
    def _keep(self, change) -> None:
        if self._loaded and self.answer:
            entry = {"question": self.question, "choice": self.choices[self.answer["choice"]],
                     "sure": self.answer["sure"], "late": self.revealed}
            self.note = "kept, but the answer had been shown: it does not count" if self.revealed else "kept"
            keep_prediction(self.out_dir, self.name, entry)

    def _contents(self, *, static: bool = False) -> tuple[dict, dict]:
        return {"question": self.question, "choices": self.choices}, {}


def ask(name: str, question: str, choices: Sequence[str], *, out_dir: str | Path = "runs") -> Prediction:
    """A form for a notebook's cell; `reveal` is its second half."""
    return Prediction(name, question, choices, out_dir)


def reveal(name: str, truth: str | None) -> None:
    """Say what this run found, and whether the reader's prediction was right; None where this run cannot tell."""
    form = asked.get(name)
    found = "This run cannot tell." if truth is None else f"This run says: {truth}."
    if form is None or not form.answer:
        print(f"Prediction: not answered. {found}")
    elif truth is None:
        print(f"Prediction: {form.choices[form.answer['choice']]}. {found}")
    else:
        said, sure = form.choices[form.answer["choice"]], form.answer["sure"]
        print(f"Prediction: {said}, {100 * sure:.0f} % sure: {'right' if said == truth else 'wrong'}. {found}")
        entry = read_predictions(form.out_dir).get(name, {})
        keep_prediction(form.out_dir, name, entry | {"right": said == truth})
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

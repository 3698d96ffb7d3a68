"""Predictions: kept, revealed, judged; and never in the way of a notebook that is run as a whole."""

import json
import re

import numpy as np
import pytest

from adlib.explorer import predictions
from adlib.explorer.predictions import ask, highest, judged_predictions, read_predictions, reveal
from adlib.lessons.plots.results import calibration

CHOICES = ["yes", "no", "maybe"]


@pytest.fixture(autouse=True)
def another_kernel():
    predictions.asked.clear()


def test_an_answer_is_kept_revealed_and_judged(tmp_path, capsys):
    form = ask("00-a", "Is it?", CHOICES, out_dir=tmp_path)
    assert read_predictions(tmp_path) == {}
    form.answer = {"choice": 1, "sure": 0.8}
    assert form.note == "kept"
    assert judged_predictions(tmp_path) == []
    reveal("00-a", "no")
    assert capsys.readouterr().out == "Prediction: no, 80 % sure: right. The answer: no.\n"
    form = ask("00-b", "Is that?", CHOICES, out_dir=tmp_path)
    form.answer = {"choice": 0, "sure": 0.5}
    reveal("00-b", "maybe")
    assert "wrong" in capsys.readouterr().out
    assert sorted(judged_predictions(tmp_path)) == [(0.5, False), (0.8, True)]


def test_a_number_is_right_within_what_was_asked(tmp_path, capsys):
    for name, said in {"00-a": 12, "00-b": 35.5, "00-c": 30}.items():
        form = ask(name, "How many?", between=(0, 100), within=5.5, unit="%", out_dir=tmp_path)
        form.answer = {"choice": said, "sure": 0.7}
        reveal(name, np.float32(30))
    assert capsys.readouterr().out.splitlines() == [
        "Prediction: 12 %, 70 % sure: wrong. The answer: 30 %.",
        "Prediction: 35.5 %, 70 % sure: right. The answer: 30 %.",
        "Prediction: 30 %, 70 % sure: right. The answer: 30 %."]
    assert judged_predictions(tmp_path) == [(0.7, False), (0.7, True), (0.7, True)]
    form = ask("00-d", "How many?", between=(0, 6), within=0, out_dir=tmp_path)
    form.answer = {"choice": 2, "sure": 0.5}
    reveal("00-d", np.nan)
    assert capsys.readouterr().out == "Prediction: 2. This run cannot tell.\n"
    predictions.asked.clear()
    assert ask("00-d", "How many?", between=(0, 6), within=0, out_dir=tmp_path).answer == {"choice": 2, "sure": 0.5}
    assert ask("00-d", "Which?", ["2", "3"], out_dir=tmp_path).answer == {}


@pytest.mark.parametrize(("between", "within", "step"), [((0, 6), 0, 1), ((0, 6), 0.5, 0.06), ((0, 1.5), 1, 0.015)])
def test_whole_numbers_have_whole_steps(tmp_path, between, within, step):
    header, _ = ask("00-a", "?", between=between, within=within, out_dir=tmp_path)._contents()
    assert header["step"] == step


def test_several_answers_can_be_right(tmp_path, capsys):
    for said, truth in [(0, ["yes", "no"]), (2, ["yes", "no"]), (0, []), (0, "perhaps")]:
        ask("00-a", "Is it?", CHOICES, out_dir=tmp_path).answer = {"choice": said, "sure": 0.5}
        reveal("00-a", truth)
    said = capsys.readouterr().out.splitlines()
    assert "right. The answer: yes or no." in said[0]
    assert "wrong. The answer: yes or no." in said[1]
    assert "This run cannot tell." in said[2]
    assert "That is not among the answers" in said[3]


def test_the_highest_may_be_several():
    assert highest({"a": 1, "b": 3.0, "c": np.float64(3), "d": np.nan}) == ["b", "c"]
    assert highest({1: 1, 2: 2}, lowest=True) == ["1"]
    assert highest({}) == highest({"a": np.nan}) == []


def test_without_an_answer_a_notebook_goes_on(tmp_path, capsys):
    ask("00-a", "Is it?", CHOICES, out_dir=tmp_path)
    reveal("00-a", "no")
    reveal("00-a", None)
    reveal("never-asked", "yes")
    assert capsys.readouterr().out.splitlines() == [
        "Prediction: not answered. The answer: no.", "Prediction: not answered. This run cannot tell.",
        "Prediction: not answered. The answer: yes."]
    assert list(tmp_path.iterdir()) == []


def pages(monkeypatch) -> list[str]:
    """What `reveal` displays on a page, from now on."""
    shown = []
    monkeypatch.setattr("IPython.display.display", lambda found: shown.append(found._repr_html_()))
    return shown


def test_what_the_run_found_is_folded_until_there_is_an_answer(tmp_path, monkeypatch):
    shown, form = pages(monkeypatch), ask("00-a", "Is it?", ["yes", "a < b"], out_dir=tmp_path)
    reveal("00-a", "a < b", "By far.")
    form.answer = {"choice": 1, "sure": 0.8}
    reveal("00-a", "a < b")
    reveal("never-asked", "yes")
    parts = re.compile("<details data-adlib-finding=(.*)><summary>Show the answer: <em>.*</em></summary>"
                       "<p>(.*)</p>\n</details>")
    fold, told = zip(*(parts.fullmatch(x).groups() for x in shown), strict=True)
    assert fold == ('"00-a"', '"00-a" open', '"never-asked" open')
    assert told == ("The answer: a &lt; b. By far.",
                    "Prediction: a &lt; b, 80 % sure: right. The answer: a &lt; b.",
                    "Prediction: not answered. The answer: yes.")


def test_what_the_run_found_may_hold_a_table(tmp_path, monkeypatch):
    shown = pages(monkeypatch)
    reveal("00-a", 3, "By *far*, <b>not</b> foreign_fibre.\n\n| a | b |\n|---|---|\n| 1 | 2 |")
    assert "By <em>far</em>, &lt;b&gt;not&lt;/b&gt; foreign_fibre.</p>" in shown[0]
    assert "<td>2</td>" in shown[0]


def test_an_answer_counts_if_the_fold_was_not_opened(tmp_path):
    """So the questions of a notebook that was run as a whole can still be answered."""
    form = ask("00-a", "Is it?", CHOICES, out_dir=tmp_path)
    reveal("00-a", "no")
    form.answer = {"choice": 1, "sure": 0.9}
    assert form.note == "kept: right"
    assert judged_predictions(tmp_path) == [(0.9, True)]
    form.answer = {"choice": 0, "sure": 0.9}        # the fold has opened by then
    assert "does not count" in form.note
    assert judged_predictions(tmp_path) == []
    form = ask("00-b", "Can it be told?", CHOICES, out_dir=tmp_path)
    reveal("00-b", None)
    form.answer = {"choice": 1, "sure": 0.9}
    assert form.note == "kept"
    assert judged_predictions(tmp_path) == []


def test_an_answer_after_a_look_does_not_count(tmp_path):
    form = ask("00-a", "Is it?", CHOICES, out_dir=tmp_path)
    reveal("00-a", "no")
    form.seen = True        # the browser says so
    form.answer = {"choice": 1, "sure": 1.0}
    assert "does not count" in form.note
    reveal("00-a", "no")
    assert judged_predictions(tmp_path) == []
    again = ask("00-a", "Is it?", CHOICES, out_dir=tmp_path)        # the cell is run once more
    again.answer = {"choice": 2, "sure": 0.6}
    assert read_predictions(tmp_path)["00-a"]["late"]


def test_another_session_finds_the_answer_again(tmp_path, capsys):
    ask("00-a", "Is it?", CHOICES, out_dir=tmp_path).answer = {"choice": 1, "sure": 0.8}
    predictions.asked.clear()
    form = ask("00-a", "Is it?", CHOICES, out_dir=tmp_path)
    assert form.answer == {"choice": 1, "sure": 0.8}
    reveal("00-a", "yes")
    assert judged_predictions(tmp_path) == [(0.8, False)]
    predictions.asked.clear()
    assert ask("00-a", "Is it?", CHOICES, out_dir=tmp_path).note == "your answer of an earlier session"
    assert judged_predictions(tmp_path) == [(0.8, False)]
    predictions.asked["00-a"].answer = {"choice": 0, "sure": 0.9}       # changed, now that it is known
    assert judged_predictions(tmp_path) == []
    predictions.asked.clear()
    assert ask("00-a", "Is it now?", ["other", "choices"], out_dir=tmp_path).answer == {}


@pytest.mark.parametrize("text", ["", "[1]", "{", '{"00-a": 3}'])
def test_a_broken_file_is_no_obstacle(tmp_path, text):
    (tmp_path / "predictions.json").write_text(text)
    form = ask("00-a", "Is it?", CHOICES, out_dir=tmp_path)
    form.answer = {"choice": 0, "sure": 0.4}
    reveal("00-a", "yes")
    assert judged_predictions(tmp_path) == [(0.4, True)]


def test_a_folder_that_cannot_be_written_is_no_obstacle(tmp_path, capsys):
    (tmp_path / "runs").write_text("a file")
    form = ask("00-a", "Is it?", CHOICES, out_dir=tmp_path / "runs")
    form.answer = {"choice": 0, "sure": 0.4}
    assert "could not be kept" in capsys.readouterr().out


def test_the_calibration_figure_counts_right_answers_by_how_sure_they_were():
    ax, = calibration([(0.5, True), (0.5, False), (0.9, True), (0.9, True), (1.0, False)]).axes
    assert [text.get_text() for text in ax.texts] == ["1 of 2", "2 of 2", "0 of 1"]
    assert "5 predictions, mean squared error 0.30" in ax.get_title()
    assert "no prediction" in calibration([]).axes[0].get_title()


def test_the_form_holds_the_question_and_the_choices(tmp_path):
    page = ask("00-a", "Is <it>?", CHOICES, out_dir=tmp_path).to_html(tmp_path / "form.html").read_text()
    assert "<it>" not in page
    header, _ = ask("00-a", "Is <it>?", CHOICES, out_dir=tmp_path)._contents()
    assert header == json.loads(json.dumps({"name": "00-a", "question": "Is <it>?", "choices": CHOICES}))

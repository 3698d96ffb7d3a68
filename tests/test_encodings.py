"""Text, names and paths, whatever the machine's encoding, separator and fonts."""

import ast
import ntpath
import re
import warnings
from pathlib import PureWindowsPath

import pytest
from matplotlib.figure import Figure

from adlib import ROOT, settings
from adlib.lessons import plots


def calls_without_encoding(source: str) -> list[int]:
    """Lines that read or write text in the machine's own encoding."""
    found = []
    for call in (node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)):
        name, text = ast.unparse(call.func), ast.unparse(call)
        reads = name.endswith(("read_text", "write_text"))
        opens = (name == "open" or name.endswith(".open")) and name not in ("Image.open", "tarfile.open")
        if (reads or (opens and not re.search(r"'[rwa]b'", text))) and not re.search("utf-8", text):
            found.append(call.lineno)
    return found


@pytest.mark.parametrize("path", sorted((ROOT / "adlib").rglob("*.py")), ids=lambda path: path.name)
def test_text_is_read_and_written_as_utf_8(path):
    assert calls_without_encoding(path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize("line", ["path.read_text()", "path.write_text('x')", "open(path)", "path.open(newline='')"])
def test_the_check_notices(line):
    assert calls_without_encoding(line) == [1]


@pytest.mark.parametrize(("path", "stored"), [
    (r"C:\adlib\data\demo\bolt\0.png", "data/demo/bolt/0.png"), (r"D:\sets\bolt\0.png", "D:/sets/bolt/0.png"),
])
def test_stored_paths_have_slashes_on_windows_too(monkeypatch, path, stored):
    monkeypatch.setattr(settings, "Path", PureWindowsPath)
    monkeypatch.setattr(settings, "ROOT", PureWindowsPath(r"C:\adlib"))
    monkeypatch.setattr(settings.os, "path", ntpath)
    assert settings.portable(path) == stored


def test_a_figure_writes_names_of_any_script_without_a_warning(capsys):
    figure = Figure()
    figure.subplots().set_title("螺丝 グリッド größe")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        plots.show(figure, "names", alt="an empty panel")

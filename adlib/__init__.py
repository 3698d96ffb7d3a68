"""Student-teacher anomaly detection on images; the lessons in `notebooks/` explain every part."""

from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent     # the repository: relative outputs are written below it


def find_input(path: str | Path) -> Path:
    """A path to read from: relative to the working directory, else to the repository."""
    path = Path(path).expanduser()
    return path if path.is_absolute() or path.exists() else ROOT / path


def find_output(path: str | Path) -> Path:
    """A path to write to: relative ones lie in the repository, wherever the notebook is run."""
    path = Path(path).expanduser()
    return path if path.is_absolute() else ROOT / path

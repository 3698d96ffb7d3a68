"""Student-teacher anomaly detection on images; the lessons in `notebooks/` explain every part."""

from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent     # the repository: relative outputs are written below it

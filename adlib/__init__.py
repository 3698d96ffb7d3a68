"""Student-teacher anomaly detection on images; the lessons in `notebooks/` explain every part."""

from adlib.settings import ROOT, find_input, find_output

__all__ = ["ROOT", "__version__", "find_input", "find_output"]
__version__ = "0.1.0"

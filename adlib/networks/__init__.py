"""The networks: a frozen teacher and the detectors that stand on it."""

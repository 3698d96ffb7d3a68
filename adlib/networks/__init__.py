"""The networks: a frozen teacher and the detectors that stand on it."""

from adlib.networks.destseg import DeSTSeg
from adlib.networks.masked_rd import MaskedRD, ReverseDistillation
from adlib.networks.nearest import NearestPatch
from adlib.networks.stfpm import STFPM
from adlib.networks.teacher import Teacher

__all__ = ["STFPM", "DeSTSeg", "MaskedRD", "NearestPatch", "ReverseDistillation", "Teacher"]

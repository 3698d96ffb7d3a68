"""What comes with the package: the demo data set, the same bytes from the same seed, and textures for anomalies."""

from adlib.demo.generate import CATEGORIES, ensure, make_set, root
from adlib.demo.textures import describe_textures, load_textures

__all__ = ["CATEGORIES", "describe_textures", "ensure", "load_textures", "make_set", "root"]

"""What comes with the package: the demo data set, the same bytes from the same seed, and textures for anomalies."""

from typing import TYPE_CHECKING

from adlib.demo.generate import CATEGORIES, ensure, make_set, root

if TYPE_CHECKING:
    from adlib.demo.textures import describe_textures, load_textures

__all__ = ["CATEGORIES", "describe_textures", "ensure", "load_textures", "make_set", "root"]


def __getattr__(name: str):
    """Textures are tensors; drawing the set and the command line are quicker without PyTorch."""
    if name not in ("describe_textures", "load_textures"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from adlib.demo import textures

    return getattr(textures, name)

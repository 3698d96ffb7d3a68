"""Where data come from: six categories in MVTec AD's layout, made here the same from the same seed, and downloads."""

from adlib.demo.generate import CATEGORIES, ensure, make_set, root

__all__ = ["CATEGORIES", "ensure", "make_set", "root"]

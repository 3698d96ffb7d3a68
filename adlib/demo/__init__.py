"""The embedded demo data set: six categories in MVTec AD's layout, made here, the same bytes from the same seed."""

from adlib.demo.generate import CATEGORIES, ensure, make_set, root

__all__ = ["CATEGORIES", "ensure", "make_set", "root"]

"""Images in: MVTec-layout categories and one-class sets, whole or in tiles."""

from adlib.data.category import Category, list_categories, load_category, one_class_category
from adlib.data.images import as_images, read_mask, shrink_mask
from adlib.data.tiles import Tiles, resize_maps

__all__ = ["Category", "Tiles", "as_images", "list_categories", "load_category", "one_class_category", "read_mask",
           "resize_maps", "shrink_mask"]

"""Images in: MVTec-layout categories, one-class sets, and textures for synthetic anomalies."""

from adlib.data.category import Category, list_categories, load_category, one_class_category, subsample
from adlib.data.images import as_images, read_image, read_images, read_mask, shrink_mask
from adlib.data.textures import describe_textures, load_textures

__all__ = ["Category", "as_images", "describe_textures", "list_categories", "load_category",
           "load_textures", "one_class_category", "read_image", "read_images", "read_mask", "shrink_mask", "subsample"]

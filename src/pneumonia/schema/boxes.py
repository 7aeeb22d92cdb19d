"""The columns of a box on disk: top-left corner and sides, float pixels of the original image."""

from __future__ import annotations

BOX = ["x", "y", "width", "height"]
BOX_TYPES = dict.fromkeys(BOX, "float")
BOX_DECIMALS = dict.fromkeys(BOX, 2)

"""What may stand in the columns that hold words."""

from __future__ import annotations

CATEGORIES = ("normal", "not_normal", "opacity")
VIEWS = ("AP", "PA")
SEXES = ("F", "M")
UNKNOWN = "unknown"  # in place of an empty view, sex or age, where studies are grouped by it
SUBSETS = ("train", "validation", "holdout")

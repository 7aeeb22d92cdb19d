"""The tables of the first look, beside their figures."""

from __future__ import annotations

from pneumonia.schema.data import CATEGORIES
from pneumonia.schema.table import Table

FOLDER = "plots/explore"

_SHARE = {"share": 6}
_OF_CLASS = {"category": "str", "studies": "int", "share": "float"}

CLASSES = Table(f"{FOLDER}/classes.csv", _OF_CLASS | {"persons": "int"}, _SHARE)
BOXES_PER_STUDY = Table(f"{FOLDER}/boxes_per_study.csv", {"boxes": "int", "studies": "int"})
BOX_SIZES = Table(
    f"{FOLDER}/box_sizes.csv", {"per_cent": "int", "width": "int", "height": "int", "area": "int"}
)  # counts of boxes
BOX_PLACES = Table(f"{FOLDER}/box_places.csv", {"row": "int", "column": "int", "share": "float"}, _SHARE)
AGES = Table(f"{FOLDER}/ages.csv", {"age": "int"} | dict.fromkeys(CATEGORIES, "int"))
VIEWS = Table(f"{FOLDER}/views.csv", {"view": "str"} | _OF_CLASS, _SHARE)
SEXES = Table(f"{FOLDER}/sexes.csv", {"sex": "str"} | _OF_CLASS, _SHARE)

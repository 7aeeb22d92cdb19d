"""The data set on disk: clean tables, square images, split."""

from __future__ import annotations

from pneumonia.schema.table import BOX_DECIMALS, BOX_TYPES, Table

# What may stand in the columns that hold words.
CATEGORIES = ("normal", "not_normal", "opacity")
VIEWS = ("AP", "PA")
SEXES = ("F", "M")
UNKNOWN = "unknown"  # in place of an empty view, sex or age, where studies are grouped by it
SUBSETS = ("train", "validation", "holdout")

CLEAN = "data/clean"
STUDIES = Table(
    f"{CLEAN}/studies.csv",
    {
        "study": "str",
        "person": "str",
        "category": "str",  # one of CATEGORIES
        "target": "int",  # 1: opacity
        "boxes": "int",  # a count
        "view": "str",  # one of VIEWS, or empty
        "sex": "str",  # one of SEXES, or empty
        "age": "float",  # years
        "rows": "int",
        "columns": "int",
        "spacing": "float",  # mm
    },
    {"age": 1, "spacing": 4},
)
BOXES = Table(f"{CLEAN}/boxes.csv", {"study": "str"} | BOX_TYPES, BOX_DECIMALS)
REJECTED = Table(f"{CLEAN}/rejected.csv", {"study": "str", "reason": "str", "detail": "str"})
CLEAN_METRICS = "metrics/clean.json"

IMAGES, TEST_IMAGES = "data/images", "data/images_test"  # a folder a size in pixels
INDEX = Table(
    f"{IMAGES}/{{size}}/index.csv",
    {
        "study": "str",
        "shard": "int",
        "row": "int",
        "scale": "float",
        "pad_x": "float",
        "pad_y": "float",
        "columns": "int",  # of the original image
        "rows": "int",
        "aspect": "float",  # height of a pixel over its width
        "window": "str",
    },
)
UNREADABLE = Table(f"{TEST_IMAGES}/{{size}}/unreadable.csv", {"study": "str", "reason": "str"})

SPLIT_FOLDER = "data/split"
SPLIT = Table(f"{SPLIT_FOLDER}/split.csv", {"study": "str", "person": "str", "fold": "int", "subset": "str"})
SPLIT_METRICS = "metrics/split.json"
ANNOTATIONS = "data/annotations.zip"

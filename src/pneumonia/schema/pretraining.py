"""What weak labels leave on disk: squares and findings of other people's images, and the backbone that learned them."""

from __future__ import annotations

from collections.abc import Iterable

from pneumonia.schema.table import Table

FOLDER = "data/pretrain"
SQUARES = f"{FOLDER}/images"  # shards and an index, as those of data/images
SOURCE = f"{FOLDER}/source.json"  # where they come from, their findings, counts
REJECTED = Table(f"{FOLDER}/rejected.csv", {"image": "str", "reason": "str", "detail": "str"})
OFF = "none"  # the source where there are none

NAME = "pretrain"  # of metrics and history


def labels(findings: Iterable[str]) -> Table:
    """The table of states, 1, 0, -1 uncertain or empty; `findings` differ by source."""
    decimals = dict.fromkeys(findings, 0)
    return Table(f"{FOLDER}/labels.csv", {"image": "str", "person": "str"} | dict.fromkeys(decimals, "float"), decimals)

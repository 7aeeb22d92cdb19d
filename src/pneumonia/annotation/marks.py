"""What an annotation tool is given of studies, and gives back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from pneumonia.data.annotate import CATEGORY

Box = tuple[float, float, float, float]  # x, y, width, height; pixels of the original image, top-left corner

TRUTH = CATEGORY  # the label of a box that counts
SUGGESTED = "suggested"  # of a model's box; it counts once somebody relabels it
MOST_NAMES = 3  # in one message


@dataclass(frozen=True)
class Sent:
    """One study as a tool is given it.

    Attributes:
        study: its id.
        rows, columns: of the original image.
        truths: the boxes of the labels.
        suggested: a model's boxes with their scores.
    """

    study: str
    rows: int
    columns: int
    truths: tuple[Box, ...] = ()
    suggested: tuple[tuple[Box, float], ...] = ()

    @property
    def image(self) -> str:
        """The name of its picture."""
        return f"{self.study}.png"


@dataclass
class Reviewed:
    """What a tool's file says.

    Attributes:
        boxes: study that was looked at -> its boxes now.
        notes: what was left out and why, in sentences.
    """

    boxes: dict[str, list[Box]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


Sizes = Mapping[str, tuple[int, int]]  # study -> rows, columns


def known(study: str, sizes: Sizes, where: str) -> tuple[int, int]:
    """The size of a study; ValueError where it is none of ours."""
    if study not in sizes:
        raise ValueError(f"{where}: there is no study {study!r} in data/clean")
    return sizes[study]


def put(reviewed: Reviewed, study: str, boxes: list[Box], where: str) -> None:
    """Add a study; ValueError where the file has it twice: which is meant cannot be known."""
    if study in reviewed.boxes:
        raise ValueError(f"{where}: study {study} comes twice; keep one")
    reviewed.boxes[study] = boxes

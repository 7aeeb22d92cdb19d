"""How wide and deep the detector is, D0 to D2 (Tan, Pang and Le 2020, table 1)."""

from __future__ import annotations

from typing import NamedTuple


class Size(NamedTuple):
    """A detector without its backbone.

    Attributes:
        width: channels of BiFPN and heads.
        depth: BiFPN cells, one after the other.
        head_depth: convolutions of each head before its last.
        image_size: pixels of the paper's input; any multiple of 32 will do.
    """

    width: int
    depth: int
    head_depth: int
    image_size: int


SIZES = {"d0": Size(64, 3, 3, 512), "d1": Size(88, 4, 3, 640), "d2": Size(112, 5, 3, 768)}

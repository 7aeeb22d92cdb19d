"""From raw heads to boxes, in `keras.ops`.

Redmon and Farhadi 2018, section 2.1: a cell (column, row) of a head and an anchor (pw, ph) with raw numbers (tx,
ty, tw, th) predict the box with centre `(column + sigmoid(tx), row + sigmoid(ty)) * stride` and sides `(pw *
exp(tw), ph * exp(th))`. Rows are in the order of Darknet and OpenCV: by row, column, anchor; heads one after the other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from keras import ops

from yolov3.cfg import Description

Tensor = Any
MAX_LOG_SIDE = 8.0  # sides stop at anchor * e^8, so that an untrained head cannot overflow float32 areas


@dataclass(frozen=True)
class Predictions:
    """All places of all heads of a batch. N is the sum of rows * columns * anchors.

    Attributes:
        boxes: `[B, N, 4]` float32 (x1, y1, x2, y2), pixels of the input, not clipped.
        raw: `[B, N, 5 + C]` float32, the numbers that the network gave: tx, ty, tw, th, objectness, classes.
    """

    boxes: Tensor
    raw: Tensor

    @property
    def objectness(self) -> Tensor:
        """`[B, N]` logits."""
        return self.raw[..., 4]

    @property
    def classes(self) -> Tensor:
        """`[B, N, C]` logits, one independent sigmoid a class."""
        return self.raw[..., 5:]


@dataclass(frozen=True)
class Places:
    """Where each of the N predictions sits: all float32, pixels of the input.

    Attributes:
        cells: `[N, 2]` top-left corner of the cell (x, y).
        strides: `[N]` side of the cell.
        anchors: `[N, 2]` width, height.
    """

    cells: Tensor
    strides: Tensor
    anchors: Tensor


def places(description: Description, grids: Sequence[tuple[int, int]], strides: Sequence[float]) -> Places:
    """The places of heads of (rows, columns) `grids` with cells of `strides` pixels, in the order of `Predictions`."""
    cells, sides, anchors = [], [], []
    for head, (rows, columns), stride in zip(description.heads, grids, strides, strict=True):
        own = ops.convert_to_tensor(head.own_anchors, dtype="float32")  # (A, 2)
        count = len(head.mask)
        x = ops.arange(columns, dtype="float32")[None, :, None] * stride
        y = ops.arange(rows, dtype="float32")[:, None, None] * stride
        shape = (rows, columns, count)
        corner = ops.stack([ops.broadcast_to(x, shape), ops.broadcast_to(y, shape)], axis=-1)
        cells.append(ops.reshape(corner, (-1, 2)))
        sides.append(ops.full((rows * columns * count,), stride, dtype="float32"))
        anchors.append(ops.reshape(ops.broadcast_to(own, (rows, columns, count, 2)), (-1, 2)))
    return Places(ops.concatenate(cells), ops.concatenate(sides), ops.concatenate(anchors))


def decode(heads: Sequence[Tensor], description: Description, height: int) -> tuple[Predictions, Places]:
    """Boxes of raw heads.

    Arguments:
        heads: `[B, rows, columns, anchors * (5 + C)]` for each `[yolo]` in order, static rows and columns.
        description: the network's.
        height: pixels of the input the heads were computed from, for the strides.

    Raises:
        ValueError: the heads are not those of the description.
    """
    if len(heads) != len(description.heads):
        raise ValueError(f"the description has {len(description.heads)} heads, got {len(heads)}")
    channels = 5 + description.classes
    rows_of, grids, strides = [], [], []
    for raw, head in zip(heads, description.heads, strict=True):
        _, rows, columns, depth = raw.shape
        if depth != len(head.mask) * channels:
            raise ValueError(f"a head wants {len(head.mask)} * {channels} channels, got shape {tuple(raw.shape)}")
        rows_of.append(ops.reshape(ops.cast(raw, "float32"), (-1, rows * columns * len(head.mask), channels)))
        grids.append((rows, columns))
        strides.append(height / rows)
    where = places(description, grids, strides)
    raw = ops.concatenate(rows_of, axis=1)
    centres = where.cells + ops.sigmoid(raw[..., 0:2]) * where.strides[:, None]
    halves = where.anchors * ops.exp(ops.minimum(raw[..., 2:4], MAX_LOG_SIDE)) / 2
    boxes = ops.concatenate([centres - halves, centres + halves], axis=-1)
    return Predictions(boxes, raw), where

"""Exact greedy non-maximum suppression in `keras.ops`: batched, static shapes, the same result on every backend.

The textbook loop takes the best box, drops what overlaps it, and repeats: as many dependent steps as boxes are kept.
With boxes sorted by score and `S[j, i]` true where j comes before i and overlaps it too much, its result is the only
`keep` with

    keep[i] = not any_j (keep[j] and S[j, i])

because row i depends on earlier rows only. Iterating that equation from "keep everything" settles row i as soon as the
rows before it that touch it are settled, so it ends after as many steps as the longest chain of suppressions (about
ten on real proposals), each one matrix product. Boxes go through in tiles of `TILE`, so memory grows with N x TILE,
and the tiles stop once every image has its `max_output`.
"""

from __future__ import annotations

from typing import Any

from keras import ops

from detection import boxes as box_ops

Tensor = Any
TILE = 512


def non_max_suppression(
    boxes: Tensor,
    scores: Tensor,
    max_output: int,
    iou_threshold: float,
    score_threshold: float | None = None,
    groups: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Indices of the boxes that greedy non-maximum suppression keeps, best first.

    Args:
        boxes: `[B, N, 4]` float, two opposite corners, any order of axes; B may be unknown, N may not.
        scores: `[B, N]` float. Equal scores: the lower index goes first. NaN counts as lower than any threshold.
        max_output: boxes to return for each image.
        iou_threshold: a box whose IoU with a kept better box is *above* it is dropped.
        score_threshold: boxes with a score below it do not enter; None lets all finite scores enter.
        groups: optional `[B, N]` integers (classes, say); a box suppresses only its own group.

    Returns:
        indices: `[B, max_output]` int32 into N, by falling score; 0 where not valid.
        valid: `[B, max_output]` bool; the valid ones come first.

    No gradient flows through it.
    """
    boxes = ops.stop_gradient(ops.cast(boxes, "float32"))
    scores = ops.stop_gradient(ops.cast(scores, "float32"))
    count = boxes.shape[1]
    if count is None:
        raise ValueError(f"non_max_suppression needs a static number of boxes [B, N, 4], got shape {boxes.shape}")

    enters = scores >= (-3.0e38 if score_threshold is None else score_threshold)
    keys = ops.where(enters, scores, -float("inf"))
    order = ops.cast(ops.argsort(-keys, axis=1), "int32")  # stable on every backend, hence ties by lower index
    padding = -count % min(TILE, max(count, 1))
    sorted_boxes = ops.pad(ops.take_along_axis(boxes, order[..., None], axis=1), [[0, 0], [0, padding], [0, 0]])
    sorted_enters = ops.pad(ops.take_along_axis(enters, order, axis=1), [[0, 0], [0, padding]])
    if groups is None:
        sorted_groups = None
    else:
        sorted_groups = ops.take_along_axis(ops.cast(groups, "int32"), order, axis=1)
        sorted_groups = ops.pad(sorted_groups, [[0, 0], [0, padding]])

    keep = _keep(sorted_boxes, sorted_enters, sorted_groups, max_output, iou_threshold)[:, :count]
    # Kept ranks move to the front in their order, and rank leads back to the index that the caller knows.
    rank = ops.arange(count, dtype="int32")[None]
    front = ops.argsort(ops.where(keep, rank, rank + count), axis=1)[:, :max_output]
    indices = ops.take_along_axis(order, front, axis=1)
    valid = ops.take_along_axis(keep, front, axis=1)
    if max_output > count:
        indices = ops.pad(indices, [[0, 0], [0, max_output - count]])
        valid = ops.pad(valid, [[0, 0], [0, max_output - count]])
    return ops.where(valid, indices, 0), valid


def _keep(boxes: Tensor, enters: Tensor, groups: Tensor | None, max_output: int, threshold: float) -> Tensor:
    """`[B, N]` bool: which of the sorted boxes stay, at least as far as the `max_output`-th kept one."""
    count = boxes.shape[1]
    tile = min(TILE, count)
    if count == tile:
        return _settle(enters, _earlier(_overlaps(boxes, boxes, groups, groups, threshold)))
    tiles = count // tile
    tile_of = ops.arange(count, dtype="int32")[None] // tile

    def unfinished(number: Tensor, keep: Tensor) -> Tensor:
        return ops.logical_and(number < tiles, ops.any(ops.sum(ops.cast(keep, "int32"), axis=1) < max_output))

    def next_tile(number: Tensor, keep: Tensor) -> tuple[Tensor, Tensor]:
        here = number * tile + ops.arange(tile, dtype="int32")
        tile_boxes = ops.take(boxes, here, axis=1)
        tile_groups = None if groups is None else ops.take(groups, here, axis=1)
        hit = _any_keeps(keep, _overlaps(boxes, tile_boxes, groups, tile_groups, threshold))
        enters_here = ops.logical_and(ops.take(enters, here, axis=1), ops.logical_not(hit))
        within = _earlier(_overlaps(tile_boxes, tile_boxes, tile_groups, tile_groups, threshold))
        settled = _settle(enters_here, within)
        return number + 1, ops.where(tile_of == number, ops.tile(settled, [1, tiles]), keep)

    start = (ops.zeros((), dtype="int32"), ops.logical_and(enters, False))
    return ops.while_loop(unfinished, next_tile, start)[1]


def _overlaps(a: Tensor, b: Tensor, groups_a: Tensor | None, groups_b: Tensor | None, threshold: float) -> Tensor:
    """`[B, N, M]` float32, 1 where a box of `a` would suppress a box of `b`."""
    over = box_ops.iou(a, b) > threshold
    if groups_a is not None and groups_b is not None:
        over = ops.logical_and(over, groups_a[:, :, None] == groups_b[:, None, :])
    return ops.cast(over, "float32")


def _earlier(overlaps: Tensor) -> Tensor:
    """Only the part of `[B, N, N]` where the row stands before the column: a box is suppressed by better ones."""
    return ops.triu(overlaps, k=1)


def _any_keeps(keep: Tensor, suppresses: Tensor) -> Tensor:
    """`[B, M]` bool: is there a kept j with `suppresses[:, j, i]`? A product of zeros and ones counts exactly in
    float32."""
    return ops.matmul(ops.cast(keep, "float32")[:, None, :], suppresses)[:, 0] > 0.5


def _settle(enters: Tensor, suppresses: Tensor) -> Tensor:
    """The fixpoint of `keep = enters and not any(keep before that suppresses)`, `[B, N]` bool."""

    def changed(keep: Tensor, previous: Tensor) -> Tensor:
        return ops.any(ops.logical_xor(keep, previous))

    def update(keep: Tensor, previous: Tensor) -> tuple[Tensor, Tensor]:
        return ops.logical_and(enters, ops.logical_not(_any_keeps(keep, suppresses))), keep

    # keep != previous at the start makes the loop run once even where nothing enters; that step changes nothing.
    return ops.while_loop(changed, update, (enters, ops.logical_not(enters)))[0]

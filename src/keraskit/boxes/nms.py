"""Exact greedy non-maximum suppression in `keras.ops`: batched, static shapes, the same result on every backend.

The textbook loop takes the best box, drops what overlaps it, and repeats: as many dependent steps as boxes are kept.
With boxes sorted by score and `S[j, i]` true where j comes before i and overlaps it too much, its result is the only
`keep` with

    keep[i] = not any_j (keep[j] and S[j, i])

because row i depends on earlier rows only. Iterating that equation from "keep everything" settles row i as soon as the
rows before it that touch it are settled, so it ends after as many steps as the longest chain of suppressions (about
ten on real proposals), each one matrix product. Boxes go through in tiles of `TILE`: what a kept box of an earlier tile
suppresses is out, the tile's own boxes settle among themselves. Work and memory grow with `max_output` x TILE and the
tiles stop once every image has its `max_output`, or has no box left above the score threshold.
"""

from __future__ import annotations

from typing import Any

from keras import ops

from keraskit.boxes import tensors as box_ops

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
    """Indices of the boxes that greedy non-maximum suppression keeps, best first. No gradient flows through it.

    Arguments:
        boxes: `[B, N, 4]` float, two opposite corners, any order of axes; B may be unknown, N may not.
        scores: `[B, N]` float. Equal scores: the lower index goes first. NaN counts as lower than any threshold.
        max_output: boxes to return for each image.
        iou_threshold: a box whose IoU with a kept better box is *above* it is dropped.
        score_threshold: boxes with a score below it do not enter; None lets all finite scores enter.
        groups: optional `[B, N]` integers (classes, say); a box suppresses only its own group.

    Returns:
        indices: `[B, max_output]` int32 into N, by falling score; 0 where not valid.
        valid: `[B, max_output]` bool; the valid ones come first.
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

    ranks, kept = _kept(sorted_boxes, sorted_enters, sorted_groups, min(max_output, count), iou_threshold)
    valid = ops.arange(int(ranks.shape[1]), dtype="int32")[None] < kept[:, None]
    # Rank leads back to the index that the caller knows.
    indices = ops.take_along_axis(order, ops.minimum(ranks, max(count - 1, 0)), axis=1)
    if max_output > count:
        padding = [[0, 0], [0, max_output - count]]
        indices, valid = ops.pad(indices, padding), ops.pad(valid, padding)
    return ops.where(valid, indices, 0), valid


def _kept(boxes: Tensor, enters: Tensor, groups: Tensor | None, most: int, threshold: float) -> tuple[Tensor, Tensor]:
    """Ranks `[B, most]` int32 of the sorted boxes that stay, and how many they are, `[B]` int32, at most `most`."""
    count = boxes.shape[1]
    tile = min(TILE, count)
    places = ops.arange(most, dtype="int32")[None]

    def unfinished(number: Tensor, ranks: Tensor, kept: Tensor) -> Tensor:
        # Boxes are sorted: where a tile's first one stays out, so do all after it.
        first = ops.take(enters, ops.minimum(number * tile, count - 1), axis=1)
        return ops.logical_and(number < count // tile, ops.any(ops.logical_and(kept < most, first)))

    def next_tile(number: Tensor, ranks: Tensor, kept: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        here = number * tile + ops.arange(tile, dtype="int32")
        tile_boxes, settled = ops.take(boxes, here, axis=1), ops.take(enters, here, axis=1)
        tile_groups = None if groups is None else ops.take(groups, here, axis=1)
        better = ops.take_along_axis(boxes, ranks[..., None], axis=1)
        better_groups = None if groups is None else ops.take_along_axis(groups, ranks, axis=1)
        hit = _any_keeps(places < kept[:, None], _overlaps(better, tile_boxes, better_groups, tile_groups, threshold))
        within = _earlier(_overlaps(tile_boxes, tile_boxes, tile_groups, tile_groups, threshold))
        settled = _settle(ops.logical_and(settled, ops.logical_not(hit)), within)
        # Those that stay go to the next places, in their order.
        within_tile = ops.arange(tile, dtype="int32")[None]
        front = ops.argsort(ops.where(settled, within_tile, within_tile + tile), axis=1)
        source = ops.clip(places - kept[:, None], 0, tile - 1)
        appended = number * tile + ops.cast(ops.take_along_axis(front, source, axis=1), "int32")
        ranks = ops.where(places < kept[:, None], ranks, appended)
        kept = ops.minimum(kept + ops.sum(ops.cast(settled, "int32"), axis=1), most)
        return number + 1, ranks, kept

    none = ops.cast(ops.zeros_like(boxes[:, 0, 0]), "int32")  # [B], for a batch of unknown size
    start = (ops.zeros((), dtype="int32"), none[:, None] + ops.zeros_like(places), none)
    return ops.while_loop(unfinished, next_tile, start)[1:]


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

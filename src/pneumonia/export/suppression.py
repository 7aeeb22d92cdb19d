"""Non-maximum suppression as ONNX's own operation, where a graph would hold a loop of matrix products.

`keraskit.boxes.nms` sorts boxes by falling score, equal ones by index, and hands on those that enter. From there on suppression
depends on ranks alone, so that they serve as scores: no two are equal, and whatever an operation does with ties does not matter.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

Tensor = Any


@contextlib.contextmanager
def as_operation() -> Iterator[None]:
    """Graphs that are traced within hold TensorFlow's operation, of which tf2onnx makes ONNX's NonMaxSuppression.

    What was traced before stays as it is. The result is that of the loop, but where the overlap of two boxes is the threshold but
    for rounding.
    """
    from keraskit.boxes import nms  # imports Keras, whose backend is chosen first

    loop = nms._kept
    nms._kept = kept
    try:
        yield
    finally:
        nms._kept = loop


def kept(boxes: Tensor, enters: Tensor, groups: Tensor | None, most: int, threshold: float) -> tuple[Tensor, Tensor]:
    """Ranks `[B, most]` int32 of the boxes that stay, and how many they are, `[B]` int32.

    Arguments:
        boxes: `[B, N, 4]`, by falling score.
        enters: `[B, N]` bool: which of them take part.
        groups: `[B, N]` int32, or None: a box suppresses only its own group.
        most: boxes that stay, at most.
        threshold: overlap above which the later box goes.
    """
    import tensorflow as tf

    count = int(boxes.shape[1])
    scores = tf.where(enters, tf.range(count, 0, -1, dtype=tf.float32)[None], 0.0)[..., None]
    if groups is not None:
        kinds = tf.range(tf.reduce_min(groups), tf.reduce_max(groups) + 1)
        scores = tf.where(groups[..., None] == kinds, scores, 0.0)
    _, found, _, number = tf.image.combined_non_max_suppression(
        boxes[:, :, None], scores, most, most, threshold, score_threshold=0.5, clip_boxes=False
    )
    return count - tf.cast(found, tf.int32), number

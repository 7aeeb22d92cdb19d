"""Proposals: the best anchors, corrected and thinned out (Ren et al. 2015, Faster R-CNN, section 3)."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops

from keraskit.boxes.nms import non_max_suppression
from keraskit.boxes.tensors import clip
from mrcnn.parts.coding import apply_box_deltas

Tensor = Any
# `[B, best, 4]` normalized: the best anchors, corrected, cut at the image's border; `[B, proposal_count]`: which of them stay,
# -1 where there are fewer. Matterport's names.
STEPS = ("pre_nms_anchors", "refined_anchors", "refined_anchors_clipped", "rpn_non_max_suppression")
WHOLE = (0.0, 0.0, 1.0, 1.0)  # the image, in normalized coordinates


@keras.saving.register_keras_serializable("mrcnn")
class ProposalLayer(keras.layers.Layer):
    """Regions that the second stage looks at.

    Call: `(rpn_probs [B, A, 2], rpn_bbox [B, A, 4]) -> [B, proposal_count, (y1, x1, y2, x2)]` normalized, by falling
    objectness, zeros where there are fewer. No gradient flows through it.

    Arguments:
        anchors: `[A, (y1, x1, y2, x2)]` normalized.
        proposal_count: regions an image.
        nms_threshold: IoU above which the weaker region goes.
        pre_nms_limit: best anchors that enter.
        std_dev: four factors from the network's deltas to deltas.
    """

    def __init__(
        self,
        anchors: Any,
        proposal_count: int,
        nms_threshold: float,
        pre_nms_limit: int,
        std_dev: Any = (0.1, 0.1, 0.2, 0.2),
        **kwargs: Any,
    ):
        kwargs.setdefault("dtype", "float32")  # bfloat16 has 8 bits of mantissa: boxes would move by pixels
        super().__init__(**kwargs)
        self.anchors = np.asarray(anchors, np.float32)
        self.proposal_count = proposal_count
        self.nms_threshold = nms_threshold
        self.pre_nms_limit = min(pre_nms_limit, len(self.anchors))
        self.std_dev = np.asarray(std_dev, np.float32)

    def call(self, rpn_probs: Tensor, rpn_bbox: Tensor) -> Tensor:
        return self.steps(rpn_probs, rpn_bbox)[-1]

    def steps(self, rpn_probs: Tensor, rpn_bbox: Tensor) -> tuple[Tensor, ...]:
        """What `call` makes on its way, in the order of `STEPS`, and its result."""
        scores, best = ops.top_k(ops.stop_gradient(rpn_probs[..., 1]), self.pre_nms_limit, sorted=True)
        deltas = ops.stop_gradient(ops.take_along_axis(rpn_bbox, best[..., None], axis=1))
        anchors = ops.take(ops.convert_to_tensor(self.anchors), best, axis=0)
        refined = apply_box_deltas(anchors, deltas * ops.convert_to_tensor(self.std_dev))
        boxes = clip(refined, WHOLE)
        kept, valid = non_max_suppression(boxes, scores, self.proposal_count, self.nms_threshold)
        chosen = ops.take_along_axis(boxes, kept[..., None], axis=1)
        proposals = ops.stop_gradient(ops.where(valid[..., None], chosen, 0.0))
        return anchors, refined, boxes, ops.where(valid, ops.cast(kept, "int32"), -1), proposals

    def compute_output_shape(self, rpn_probs_shape: Any, rpn_bbox_shape: Any) -> tuple[int | None, ...]:
        return (rpn_probs_shape[0], self.proposal_count, 4)


class ProposalSteps(keras.layers.Layer):
    """`STEPS` of a proposal layer, for a look at them. Call: that of `ProposalLayer`."""

    def __init__(self, layer: ProposalLayer, **kwargs: Any):
        super().__init__(dtype="float32", **kwargs)
        self.layer = layer

    def call(self, rpn_probs: Tensor, rpn_bbox: Tensor) -> tuple[Tensor, ...]:
        return self.layer.steps(rpn_probs, rpn_bbox)[:-1]

"""The graphs: one set of layers, from which training and inference models are made."""

from __future__ import annotations

import math
from typing import Any

import keras
import numpy as np
from keras import ops

from keraskit.compute.backend import device_share
from mrcnn.config import Config
from mrcnn.inside import Inside
from mrcnn.parts import losses
from mrcnn.parts.anchors import box_frame, compute_backbone_shapes, norm_boxes, pyramid_anchors
from mrcnn.parts.backbone import backbone_graph
from mrcnn.parts.detections import DetectionLayer, RefineLayer
from mrcnn.parts.fpn import COARSEST, fpn_graph, level_of
from mrcnn.parts.heads import BoxHead, MaskHead
from mrcnn.parts.proposals import WHOLE, ProposalLayer
from mrcnn.parts.roi_align import PyramidROIAlign, flat_pyramid
from mrcnn.parts.rpn import SampledRPN, rpn_graph, rpn_model
from mrcnn.parts.targets import DetectionTargetLayer, RPNTargetLayer, roi_options, rpn_options
from mrcnn.weights import NamedWeightsModel

Tensor = Any
META_BEFORE_CLASSES = 12  # image_id, original shape, shape, window, scale: see mrcnn.dataset.compose_image_meta
WINDOW = slice(7, 11)


def key_count(config: Config) -> int:
    """Random keys that an image brings to training: one an anchor, one a proposal (its instances' boxes included)."""
    own = config.MAX_GT_INSTANCES if config.ROI_ADD_INSTANCES else 0
    return len(pyramid_anchors(config)) + own + config.POST_NMS_ROIS_TRAINING


class Network:
    """All layers of a Mask R-CNN and the part of the graph that every model shares.

    `training_model`, `inference_model` and `scoring_model` share their weights.
    """

    def __init__(self, config: Config):
        self.config = config
        self.anchors = pyramid_anchors(config)
        self.image = keras.Input(tuple(int(n) for n in config.IMAGE_SHAPE), name="input_image")
        self.meta = keras.Input((config.IMAGE_META_SIZE,), name="input_image_meta")
        features = backbone_graph(self.image, config)
        self.pyramid = fpn_graph(features, config.BACKBONE_STRIDES, config.TOP_DOWN_PYRAMID_SIZE)
        self.rpn = rpn_model(
            config.RPN_ANCHOR_STRIDE,
            len(config.RPN_ANCHOR_RATIOS),
            config.TOP_DOWN_PYRAMID_SIZE,
            config.RPN_CONV_FILTERS,
        )
        # A level without an anchor has nothing to propose; its features are pooled from all the same.
        self.proposing = len(config.RPN_ANCHOR_SCALES)
        self.rpn_logits, self.rpn_probs, self.rpn_bbox = rpn_graph(self.rpn, self.pyramid[: self.proposing])
        self.table = flat_pyramid(self.pyramid)
        shapes = [(int(height), int(width)) for height, width in compute_backbone_shapes(config, config.IMAGE_SHAPE)]
        self.shapes = dict(zip(map(level_of, config.BACKBONE_STRIDES), shapes, strict=True))
        self.region_shapes = {level: shape for level, shape in self.shapes.items() if level <= COARSEST}
        self.box_head = BoxHead(config)
        self.mask_head = MaskHead(config, self.region_shapes, name="mrcnn_mask_head") if config.USE_MASKS else None

    def training_model(self) -> TrainingModel:
        """Inputs by name (see `mrcnn.dataset.DataGenerator`); outputs: what `TrainingModel.compute_loss` needs."""
        config = self.config
        instances = config.MAX_GT_INSTANCES
        gt_class_ids = keras.Input((instances,), dtype="int32", name="input_gt_class_ids")
        gt_boxes = keras.Input((instances, 4), dtype="float32", name="input_gt_boxes")
        keys = keras.Input((key_count(config),), dtype="float32", name="input_keys")
        inputs = {x.name: x for x in (self.image, self.meta, gt_class_ids, gt_boxes, keys)}
        gt_masks = None
        if config.USE_MASKS:
            shape = config.MINI_MASK_SHAPE if config.USE_MINI_MASK else config.IMAGE_SHAPE[:2]
            gt_masks = keras.Input((*map(int, shape), instances), dtype="bool", name="input_gt_masks")
            inputs["input_gt_masks"] = gt_masks

        anchors = len(self.anchors)
        sampled, rpn_match, rpn_target_bbox = RPNTargetLayer(self.anchors, rpn_options(config), name="rpn_targets")(
            gt_class_ids, gt_boxes, keys[:, :anchors]
        )
        rpn_logits, rpn_bbox = SampledRPN(
            self.rpn,
            list(self.shapes.values())[: self.proposing],
            len(config.RPN_ANCHOR_RATIOS),
            config.RPN_ANCHOR_STRIDE,
            name="rpn_sampled",
        )(self.table, sampled)
        targets = DetectionTargetLayer(
            roi_options(config),
            config.MASK_SHAPE,
            config.USE_MINI_MASK,
            config.ROI_ADD_INSTANCES,
            name="proposal_targets",
        )(
            self._proposals(config.POST_NMS_ROIS_TRAINING),
            gt_class_ids,
            self._normalized(gt_boxes),
            keys[:, anchors:],
            gt_masks,
        )
        rois, class_ids, bbox, *masks = targets
        logits, _, deltas = self.box_head(self._pool(rois))
        outputs = {
            "active_class_ids": self.meta[:, META_BEFORE_CLASSES:],
            "rpn_match": rpn_match,
            "rpn_target_bbox": rpn_target_bbox,
            "rpn_class_logits": rpn_logits,
            "rpn_bbox": rpn_bbox,
            "target_class_ids": class_ids,
            "target_bbox": bbox,
            "mrcnn_class_logits": logits,
            "mrcnn_bbox": deltas,
        }
        if self.mask_head is not None:
            (outputs["target_mask"],) = masks
            most = masks[0].shape[1]  # positive regions come first and no others have a mask to learn
            outputs["mrcnn_mask"] = self.mask_head(rois[:, :most], self.table, class_ids[:, :most] > 0)
        regions = rois, outputs.get("mrcnn_mask")
        per_sample = config.BBOX_LOSSES_PER_SAMPLE
        model = TrainingModel(inputs, outputs, config.LOSS_WEIGHTS, config.WEIGHT_DECAY, per_sample)
        return self._open(model, *regions)

    def inference_model(self) -> keras.Model:
        """`[images, metas] -> [detections, mrcnn_class, mrcnn_bbox, (mrcnn_mask,) rpn_rois, rpn_class, rpn_bbox]`.

        images: `[B, H, W, C]` molded; metas: `[B, IMAGE_META_SIZE]`.
        detections: `[B, count, (y1, x1, y2, x2, class_id, score)]` normalized. Masks are those of the detections.
        """
        config = self.config
        rois, probs, deltas = self._second_stage()
        # Where the image lies in its padding; by arrays, since a tensor would become an input of an export.
        scale, shift = (np.asarray(part, np.float32) for part in box_frame(config.IMAGE_SHAPE))
        window = (self.meta[:, WINDOW] - shift) / scale
        refined = RefineLayer(config.BBOX_STD_DEV, name="mrcnn_refine")(rois, probs, deltas, window)
        detections = DetectionLayer(
            config.DETECTION_MAX_INSTANCES,
            config.DETECTION_MIN_CONFIDENCE,
            config.DETECTION_NMS_THRESHOLD,
            name="mrcnn_detection",
        )(*refined)
        outputs, boxes, masks = [detections, probs, deltas], detections[..., :4], None
        if self.mask_head is not None:
            masks = self.mask_head(boxes, self.table, detections[..., 4] > 0)
            outputs.append(masks)
        outputs += [rois, self.rpn_probs, self.rpn_bbox]
        return self._open(NamedWeightsModel([self.image, self.meta], outputs, name="mask_rcnn"), boxes, masks)

    def scoring_model(self) -> keras.Model:
        """`images [B, H, W, C] -> (boxes [B, R, 4] normalized, class_ids [B, R], scores [B, R])` of all regions.

        Neither a threshold nor the second non-maximum suppression is in it, nor does the background compete, so that
        both can be chosen afterwards.
        """
        rois, probs, deltas = self._second_stage()
        whole = ops.zeros_like(rois[:, 0]) + np.array(WHOLE, np.float32)  # a tensor would become an input of an export
        refine = RefineLayer(self.config.BBOX_STD_DEV, background_competes=False, name="mrcnn_scores")
        return keras.Model(self.image, refine(rois, probs, deltas, whole), name="mask_rcnn_scores")

    def _open(self, model: Any, boxes: Tensor, masks: Tensor) -> Any:
        """`model`, which gives what is inside it by Matterport's names; `masks` are those of `boxes`."""
        shown = self.box_head.shown

        def looked_at() -> dict[str, Any]:
            found = self.box_head.look(shown)
            if self.proposing == 1:  # else layers of these names join the levels
                tensors = {"rpn_class_logits": self.rpn_logits, "rpn_class": self.rpn_probs, "rpn_bbox": self.rpn_bbox}
                found |= {name: (None, tensor) for name, tensor in tensors.items()}
            if self.mask_head is not None:
                found |= self.mask_head.look(boxes, self.table)
                found["mrcnn_mask"] = self.mask_head.mask, masks
            return found

        model.inside = Inside(model, looked_at, (self.rpn_probs, self.rpn_bbox))
        return model

    def _second_stage(self) -> tuple[Tensor, Tensor, Tensor]:
        rois = self._proposals(self.config.POST_NMS_ROIS_INFERENCE)
        _, probs, deltas = self.box_head(self._pool(rois))
        return rois, probs, deltas

    def _proposals(self, count: int) -> Tensor:
        config = self.config
        anchors = norm_boxes(self.anchors, config.IMAGE_SHAPE)
        layer = ProposalLayer(
            anchors, count, config.RPN_NMS_THRESHOLD, config.PRE_NMS_LIMIT, config.RPN_BBOX_STD_DEV, name="ROI"
        )
        return layer(self.rpn_probs, self.rpn_bbox)

    def _pool(self, boxes: Tensor) -> Tensor:
        config = self.config
        align = PyramidROIAlign(config.POOL_SIZE, config.IMAGE_SHAPE, self.region_shapes, name="roi_align_classifier")
        return align(boxes, self.table)

    def _normalized(self, boxes: Tensor) -> Tensor:
        """`mrcnn.parts.anchors.norm_boxes` of a tensor `[..., 4]` in pixels of the molded image."""
        scale, shift = (ops.convert_to_tensor(part, "float32") for part in box_frame(self.config.IMAGE_SHAPE))
        return (boxes - shift) / scale


class TrainingModel(NamedWeightsModel):
    """A functional model whose outputs carry predictions and targets; the five losses are computed from them.

    `compile` takes an optimizer and no loss; `fit` takes batches of inputs alone. Every loss is a metric of its name.
    """

    def __init__(
        self,
        inputs: Any,
        outputs: Any,
        loss_weights: dict[str, float],
        weight_decay: float,
        per_sample: bool = False,
        **kwargs: Any,
    ):
        super().__init__(inputs, outputs, **kwargs)
        known = set(Config.LOSS_WEIGHTS)
        if unknown := set(loss_weights) - known:
            raise ValueError(f"LOSS_WEIGHTS has unknown losses {sorted(unknown)}; there are {sorted(known)}")
        self.loss_weights = {**dict.fromkeys(known, 1.0), **loss_weights}
        self.weight_decay = weight_decay
        self.per_sample = per_sample
        names = [name for name in Config.LOSS_WEIGHTS if name != "mrcnn_mask_loss" or "mrcnn_mask" in outputs]
        self.loss_means = [keras.metrics.Mean(name=name) for name in names]

    def compute_loss(
        self, x: Any = None, y: Any = None, y_pred: Any = None, sample_weight: Any = None, training: bool = True
    ) -> Tensor:
        """The weighted sum of the losses and the weight decay."""
        out = y_pred
        values = {
            "rpn_class_loss": losses.rpn_class_loss(out["rpn_match"], out["rpn_class_logits"]),
            "rpn_bbox_loss": losses.rpn_bbox_loss(
                out["rpn_target_bbox"], out["rpn_match"], out["rpn_bbox"], self.per_sample
            ),
            "mrcnn_class_loss": losses.mrcnn_class_loss(
                out["target_class_ids"], out["mrcnn_class_logits"], out["active_class_ids"]
            ),
            "mrcnn_bbox_loss": losses.mrcnn_bbox_loss(
                out["target_bbox"], out["target_class_ids"], out["mrcnn_bbox"], self.per_sample
            ),
        }
        if "mrcnn_mask" in out:
            values["mrcnn_mask_loss"] = losses.mrcnn_mask_loss(
                out["target_mask"], out["target_class_ids"][:, : out["target_mask"].shape[1]], out["mrcnn_mask"]
            )
        for mean in self.loss_means:
            mean.update_state(self.loss_weights[mean.name] * values[mean.name])
        total = sum(self.loss_weights[name] * value for name, value in values.items())
        for extra in self.losses:
            total = total + ops.sum(extra)
        if self.weight_decay:
            total = total + self.weight_penalty()
        return device_share(total)

    def weight_penalty(self) -> Tensor:
        """`WEIGHT_DECAY` times the mean square of each variable that learns, gamma and beta left out as Matterport's."""
        kernels = [v for v in self.trainable_variables if v.name not in ("gamma", "beta")]
        return self.weight_decay * sum(_mean_square(ops.cast(kernel, "float32")) for kernel in kernels)


@ops.custom_gradient
def _mean_square(weights: Tensor) -> Any:
    """Mean of the squares. Its gradient is one product; the one of two operations goes over the weights four
    times, a tenth of a training step of ResNet50."""

    def gradient(*arguments: Any, upstream: Any = None) -> Tensor:
        upstream = arguments[-1] if upstream is None else upstream
        return upstream * (2.0 / math.prod(weights.shape)) * weights

    return ops.mean(ops.square(weights)), gradient

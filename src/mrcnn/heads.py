"""The heads: region proposals, boxes, masks. Each holds its layers: training and inference graphs share them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
from keras import layers, ops

from mrcnn.config import Config

Tensor = Any


def rpn_model(anchor_stride: int, anchors_per_location: int, channels: int, filters: int = 512) -> keras.Model:
    """The region proposal network of one level, to be called on each (Ren et al. 2015, section 3.1).

    `[B, h, w, channels]` -> logits `[B, h * w * anchors, (background, object)]`, their softmax, and deltas
    `[B, h * w * anchors, (dy, dx, log dh, log dw)]` in standard deviations.
    """
    feature_map = keras.Input((None, None, channels), name="input_rpn_feature_map")
    shared = layers.Conv2D(
        filters, 3, strides=anchor_stride, padding="same", activation="relu", name="rpn_conv_shared"
    )(feature_map)
    logits = layers.Conv2D(2 * anchors_per_location, 1, name="rpn_class_raw")(shared)
    logits = layers.Reshape((-1, 2), name="rpn_class_logits")(logits)
    probs = layers.Activation("softmax", dtype="float32", name="rpn_class_xxx")(logits)
    bbox = layers.Conv2D(4 * anchors_per_location, 1, name="rpn_bbox_pred")(shared)
    bbox = layers.Reshape((-1, 4), name="rpn_bbox_deltas")(bbox)
    return keras.Model(feature_map, [logits, probs, bbox], name="rpn_model")


def rpn_graph(pyramid: Sequence[Tensor], config: Config) -> list[Tensor]:
    """`[logits [B, A, 2], probabilities [B, A, 2], deltas [B, A, 4]]` of all levels, in the order of the anchors."""
    model = rpn_model(
        config.RPN_ANCHOR_STRIDE, len(config.RPN_ANCHOR_RATIOS), config.TOP_DOWN_PYRAMID_SIZE, config.RPN_CONV_FILTERS
    )
    outputs = zip(*(model(level) for level in pyramid), strict=True)
    names = ("rpn_class_logits", "rpn_class", "rpn_bbox")
    return [
        layers.Concatenate(axis=1, dtype="float32", name=name)(list(levels)) if len(pyramid) > 1 else levels[0]
        for levels, name in zip(outputs, names, strict=True)
    ]


@keras.saving.register_keras_serializable("mrcnn")
class CoveringConv2D(layers.Conv2D):
    """A convolution whose kernel covers its whole input, as one matrix product: faster than convolving."""

    def call(self, x: Tensor) -> Tensor:
        inputs = self.kernel_size[0] * self.kernel_size[1] * x.shape[-1]
        kernel = ops.reshape(self.kernel, (inputs, self.filters))
        result = ops.matmul(ops.reshape(x, (-1, inputs)), kernel) + self.bias
        return ops.reshape(result, (-1, 1, 1, self.filters))


class BoxHead:
    """Class and box of each region (He et al. 2017, figure 4).

    Call: pooled `[B, R, pool, pool, C]` -> logits `[B, R, classes]`, probabilities `[B, R, classes]`, deltas
    `[B, R, classes, 4]`.
    """

    def __init__(self, config: Config):
        size, self.classes, self.train_bn = config.FPN_CLASSIF_FC_LAYERS_SIZE, config.NUM_CLASSES, config.TRAIN_BN
        self.conv1 = CoveringConv2D(size, config.POOL_SIZE, name="mrcnn_class_conv1")
        self.bn1 = layers.BatchNormalization(name="mrcnn_class_bn1")
        self.conv2 = CoveringConv2D(size, 1, name="mrcnn_class_conv2")
        self.bn2 = layers.BatchNormalization(name="mrcnn_class_bn2")
        self.logits = layers.Dense(self.classes, name="mrcnn_class_logits")
        self.bbox = layers.Dense(4 * self.classes, name="mrcnn_bbox_fc")

    def __call__(self, pooled: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        regions = pooled.shape[1]
        x = ops.reshape(pooled, (-1, *pooled.shape[2:]))
        x = ops.relu(self.bn1(self.conv1(x), training=self.train_bn))
        x = ops.relu(self.bn2(self.conv2(x), training=self.train_bn))
        x = ops.reshape(x, (-1, regions, x.shape[-1]))
        logits = ops.cast(self.logits(x), "float32")
        deltas = ops.reshape(ops.cast(self.bbox(x), "float32"), (-1, regions, self.classes, 4))
        return logits, ops.softmax(logits), deltas


class MaskHead:
    """A mask of each region for each class (He et al. 2017, figure 4).

    Call: pooled `[B, R, pool, pool, C]` -> probabilities `[B, R, 2 * pool, 2 * pool, classes]`.
    """

    def __init__(self, config: Config):
        channels, self.train_bn = 256, config.TRAIN_BN
        self.convs = [layers.Conv2D(channels, 3, padding="same", name=f"mrcnn_mask_conv{i}") for i in range(1, 5)]
        self.bns = [layers.BatchNormalization(name=f"mrcnn_mask_bn{i}") for i in range(1, 5)]
        self.deconv = layers.Conv2DTranspose(channels, 2, strides=2, activation="relu", name="mrcnn_mask_deconv")
        self.mask = layers.Conv2D(config.NUM_CLASSES, 1, name="mrcnn_mask")

    def __call__(self, pooled: Tensor) -> Tensor:
        regions = pooled.shape[1]
        x = ops.reshape(pooled, (-1, *pooled.shape[2:]))
        for conv, bn in zip(self.convs, self.bns, strict=True):
            x = ops.relu(bn(conv(x), training=self.train_bn))
        x = ops.sigmoid(ops.cast(self.mask(self.deconv(x)), "float32"))
        return ops.reshape(x, (-1, regions, *x.shape[1:]))

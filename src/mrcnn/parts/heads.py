"""The heads of boxes and masks. Each holds its layers: training and inference graphs share them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
from keras import layers, ops

from keraskit.compute.backend import batch_multiple
from mrcnn.config import Config
from mrcnn.parts.normalization import BatchNorm
from mrcnn.parts.roi_align import PyramidROIAlign
from mrcnn.parts.tensors import covering_product, image_numbers

Tensor = Any


@keras.saving.register_keras_serializable("mrcnn")
class CoveringConv2D(layers.Conv2D):
    """A convolution whose kernel covers its whole input, as one matrix product: faster than convolving."""

    def call(self, x: Tensor) -> Tensor:
        inputs = self.kernel_size[0] * self.kernel_size[1] * x.shape[-1]
        return ops.reshape(covering_product(self, ops.reshape(x, (-1, inputs))), (-1, 1, 1, self.filters))


class BoxHead:
    """Class and box of each region (He et al. 2017, figure 4).

    Call: pooled `[B, R, pool, pool, C]` -> logits `[B, R, classes]`, probabilities `[B, R, classes]`, deltas
    `[B, R, classes, 4]`.
    """

    def __init__(self, config: Config):
        size, self.classes = config.FPN_CLASSIF_FC_LAYERS_SIZE, config.NUM_CLASSES
        self.conv1 = CoveringConv2D(size, config.POOL_SIZE, name="mrcnn_class_conv1")
        self.norm1 = _norm(config, 1)
        self.conv2 = CoveringConv2D(size, 1, name="mrcnn_class_conv2")
        self.norm2 = _norm(config, 2)
        self.logits = layers.Dense(self.classes, name="mrcnn_class_logits")
        self.bbox = layers.Dense(4 * self.classes, name="mrcnn_bbox_fc")

    def __call__(self, pooled: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        regions = pooled.shape[1]
        x = ops.reshape(pooled, (-1, *pooled.shape[2:]))
        hidden = {}
        for conv, norm in ((self.conv1, self.norm1), (self.conv2, self.norm2)):
            hidden[conv] = conv(x)
            hidden[norm] = norm(hidden[conv])
            x = ops.relu(hidden[norm])
        x = ops.reshape(x, (-1, regions, x.shape[-1]))
        logits = ops.cast(self.logits(x), "float32")
        deltas = ops.reshape(ops.cast(self.bbox(x), "float32"), (-1, regions, self.classes, 4))
        probs = ops.softmax(logits)
        self.shown = hidden, regions, probs, deltas  # of the last call, for `look`
        return logits, probs, deltas

    @staticmethod
    def look(shown: Any) -> dict[str, tuple[layers.Layer | None, Tensor]]:
        """Layers and symbolic tensors of a call, of which `shown` was kept, by Matterport's names, `[B, R, ...]`."""
        hidden, regions, probs, deltas = shown
        rows = {layer.name: (layer, ops.reshape(x, (-1, regions, *x.shape[1:]))) for layer, x in hidden.items()}
        return {**rows, "mrcnn_class": (None, probs), "mrcnn_bbox": (None, deltas)}


def _norm(config: Config, number: int) -> layers.Layer:
    """The normalization after a layer of the box head.

    Layer normalization has another name than Matterport's: its weights are others, and by name neither is taken for the
    other.
    """
    if config.HEAD_NORM == "layer":
        return layers.LayerNormalization(name=f"mrcnn_class_ln{number}")
    return BatchNorm(config.TRAIN_BN, name=f"mrcnn_class_bn{number}")


@keras.saving.register_keras_serializable("mrcnn")
class MaskHead(layers.Layer):
    """A mask of each region for each class (He et al. 2017, figure 4), its ROIAlign included.

    Call: `(regions [B, R, 4] normalized, table [B, cells, C], wanted [B, R] bool or None for all) -> probabilities
    [B, R, 2 * pool, 2 * pool, classes]`, float32; `table` is that of `PyramidROIAlign`. Regions that are not wanted are
    left out, in steps that double, and may come back as zeros. (Not where batch normalization learns, whose moments are
    those of all regions, nor where several devices share the graph, each of which holds its own images.)

    Arguments:
        shapes: of `PyramidROIAlign`.
    """

    STEP = 4  # regions an image, on average, in the first step

    def __init__(self, config: Config, shapes: Mapping[int, tuple[int, int]], **kwargs: Any):
        super().__init__(autocast=False, **kwargs)  # regions stay float32 where features are bfloat16
        channels, self.classes = 256, config.NUM_CLASSES
        self.sparse = config.TRAIN_BN is False and batch_multiple() == 1
        self.align = PyramidROIAlign(config.MASK_POOL_SIZE, config.IMAGE_SHAPE, shapes, name="roi_align_mask")
        self.convs = [layers.Conv2D(channels, 3, padding="same", name=f"mrcnn_mask_conv{i}") for i in range(1, 5)]
        self.bns = [BatchNorm(config.TRAIN_BN, name=f"mrcnn_mask_bn{i}") for i in range(1, 5)]
        self.deconv = layers.Conv2DTranspose(channels, 2, strides=2, activation="relu", name="mrcnn_mask_deconv")
        self.mask = layers.Conv2D(self.classes, 1, name="mrcnn_mask")

    @property
    def parts(self) -> list[layers.Layer]:
        """The layers that weight files and phases of training know by name."""
        pairs = zip(self.convs, self.bns, strict=True)
        return [*(layer for pair in pairs for layer in pair), self.deconv, self.mask]

    def build(self, regions_shape: Any, table_shape: Any, wanted_shape: Any = None) -> None:
        shape: Any = (None, self.align.pool, self.align.pool, table_shape[2])
        for layer in self.parts:  # here and not at their first call, which may lie in a branch
            layer.build(shape)
            shape = layer.compute_output_shape(shape)

    def compute_output_spec(self, regions: Any, table: Any, wanted: Any = None) -> Any:
        side = 2 * self.align.pool
        return keras.KerasTensor((*regions.shape[:2], side, side, self.classes), "float32")

    def call(self, regions: Tensor, table: Tensor, wanted: Tensor | None = None) -> Tensor:
        images = image_numbers(regions)
        if wanted is None or not self.sparse:
            return self._masks(regions, table, images)
        # Deal the regions of all images out anew, the wanted ones to the first places.
        rank = _rank(wanted)
        order = ops.argsort(ops.reshape(rank, (-1,)))
        regions, images, wanted = (_deal(ops.take(_rows(x), order, axis=0), wanted) for x in (regions, images, wanted))
        count, steps, start = int(regions.shape[1]), [], 0
        while start < count:
            end = start + max(self.STEP, start)
            end = count if 2 * end > count else end  # no small rest
            part = regions[:, start:end], table, images[:, start:end]
            steps.append(self._step(*part, ops.any(wanted[:, start:end])))
            start = end
        masks = ops.swapaxes(ops.concatenate(steps, axis=1), 0, 1)
        return ops.take(ops.reshape(masks, (-1, *masks.shape[2:])), rank, axis=0)

    def _step(self, regions: Tensor, table: Tensor, images: Tensor, wanted: Tensor) -> Tensor:
        side = 2 * self.align.pool
        shape = (ops.shape(regions)[0], int(regions.shape[1]), side, side, self.classes)
        return ops.cond(wanted, lambda: self._masks(regions, table, images), lambda: ops.zeros(shape, "float32"))

    def look(self, regions: Tensor, table: Tensor) -> dict[str, tuple[layers.Layer | None, Tensor]]:
        """Its layers and what they make of symbolic `regions`, by name, `[B, R, ...]`; of all regions, padding too."""
        pooled = self.align(regions, table, image_numbers(regions))
        found: dict[str, tuple[layers.Layer | None, Tensor]] = {"roi_align_mask": (self.align, pooled)}
        x, count = ops.reshape(pooled, (-1, *pooled.shape[2:])), int(regions.shape[1])
        for layer in self.parts[:-1]:
            x = layer(x)
            found[layer.name] = layer, ops.reshape(x, (-1, count, *x.shape[1:]))
            x = ops.relu(x) if layer in self.bns else x
        return found

    def _masks(self, regions: Tensor, table: Tensor, images: Tensor) -> Tensor:
        pooled = self.align(regions, table, images)
        x = ops.reshape(pooled, (-1, *pooled.shape[2:]))
        for conv, bn in zip(self.convs, self.bns, strict=True):
            x = ops.relu(bn(conv(x)))
        x = ops.sigmoid(ops.cast(self.mask(self.deconv(x)), "float32"))
        return ops.reshape(x, (-1, int(regions.shape[1]), *x.shape[1:]))


def _rank(wanted: Tensor) -> Tensor:
    """The place of each of `wanted` `[B, R]` when the true ones come first and all keep their order: int32 `[B, R]`."""
    flat = ops.cast(ops.reshape(wanted, (-1,)), "int32")
    before = ops.cumsum(flat)
    rank = ops.where(flat > 0, before - 1, ops.sum(flat) + ops.cumsum(1 - flat) - 1)
    return ops.reshape(rank, ops.shape(wanted))


def _rows(x: Tensor) -> Tensor:
    """`[B, R, ...]` -> `[B * R, ...]`."""
    return ops.reshape(x, (-1, *x.shape[2:]))


def _deal(rows: Tensor, like: Tensor) -> Tensor:
    """`[B * R, ...]` -> `[B, R, ...]` column by column, as cards are dealt: the first B rows come to `[:, 0]`."""
    dealt = ops.reshape(rows, (int(like.shape[1]), -1, *rows.shape[1:]))
    return ops.swapaxes(dealt, 0, 1)

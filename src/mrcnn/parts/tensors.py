"""Small things that several modules do with a batch of regions."""

from __future__ import annotations

from typing import Any

from keras import layers, ops

Tensor = Any


def image_numbers(regions: Tensor) -> Tensor:
    """Which image of the batch each of `regions` `[B, R, ...]` belongs to: int32 `[B, R]`. B may be unknown."""
    shape = regions[..., 0] if len(regions.shape) > 2 else regions
    return ops.cumsum(ops.ones_like(shape, dtype="int32"), axis=0) - 1


def covering_product(conv: layers.Conv2D, x: Tensor) -> Tensor:
    """What `conv` makes of inputs `[..., inputs]` that its kernel covers whole, as one matrix product: `[..., filters]`.

    The inputs are in the kernel's order: row, column, channel. No activation is applied.
    """
    kernel = ops.reshape(conv.kernel, (-1, conv.filters))
    return ops.matmul(x, kernel) + conv.bias

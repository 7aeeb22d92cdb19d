"""The bidirectional feature pyramid (Tan, Pang and Le 2020, section 3): levels exchange features down and up, weighted by what is learnt.

Layers are named `bifpn_<cell>_<level><way>_<part>`, those that bring the backbone's maps to the pyramid's width
`bifpn_in_<level>...`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import keras
from keras import layers, ops

from keraskit.compute.normalization import BatchNormalization

Tensor = Any
NORMS = ("group", "batch")
GROUPS = 8  # of group normalization; each of the widths is a multiple
EPSILON = 1e-4  # of the fusion, as in section 3.3


@keras.saving.register_keras_serializable("efficientdet")
class FastFusion(layers.Layer):
    """Fast normalized fusion (section 3.3): sum of w_i / (eps + sum of w) times each input, w learnt and kept from below 0.

    Inputs 3 and 5 with weights 1 and 3: (3 + 15) / 4.0001 = 4.5.
    Call: list of `[B, h, w, C]`, all alike -> `[B, h, w, C]`.
    """

    def build(self, shapes: Sequence[Any]) -> None:
        self.shares = self.add_weight(name="shares", shape=(len(shapes),), initializer="ones", dtype="float32")

    def compute_output_shape(self, shapes: Sequence[Any]) -> Any:
        return shapes[0]

    def call(self, inputs: Sequence[Tensor]) -> Tensor:
        shares = ops.relu(ops.cast(self.shares, "float32"))
        shares = ops.cast(shares / (ops.sum(shares) + EPSILON), inputs[0].dtype)
        return sum(tensor * shares[i] for i, tensor in enumerate(inputs))


@keras.saving.register_keras_serializable("efficientdet")
class Upsample(layers.Layer):
    """`[B, h, w, C]` -> `[B, height, width, C]`, each cell twice in both directions, cut at the lower right where a level is odd.

    Written with broadcasting: its gradient is a plain sum, deterministic on every device, which the resize
    operations' are not.
    """

    def __init__(self, height: int, width: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.height, self.width = height, width

    def compute_output_shape(self, shape: Any) -> Any:
        return (shape[0], self.height, self.width, shape[3])

    def call(self, x: Tensor) -> Tensor:
        """Repeat every cell, then cut."""
        _, height, width, channels = x.shape
        x = ops.tile(ops.reshape(x, (-1, height, 1, width, 1, channels)), (1, 1, 2, 1, 2, 1))
        return ops.reshape(x, (-1, height * 2, width * 2, channels))[:, : self.height, : self.width]

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "height": self.height, "width": self.width}


def normalization(norm: str, name: str) -> layers.Layer:
    """A normalization by its name: `group`, each image's own moments, or `batch`."""
    if norm not in NORMS:
        raise ValueError(f"norm must be one of {', '.join(NORMS)}, got {norm!r}")
    if norm == "group":
        return layers.GroupNormalization(GROUPS, epsilon=1e-3, name=name)
    return BatchNormalization(momentum=0.99, epsilon=1e-3, name=name)


def bifpn(features: Mapping[int, Tensor], width: int, depth: int, norm: str) -> list[Tensor]:
    """Levels P3 to P7, finest first: `[B, S / 2^l, S / 2^l, width]`, rounded up.

    Arguments:
        features: of the backbone, stride -> map; strides 8, 16 and 32 are used.
        width: channels.
        depth: cells.
        norm: one of `NORMS`.
    """
    c3, c4, c5 = (features[stride] for stride in (8, 16, 32))
    p6 = _down(_project(c5, width, norm, "bifpn_in_p6"), "bifpn_in_p6_pool")
    p7 = _down(p6, "bifpn_in_p7_pool")
    # P4 and P5 go into two fusions of the first cell, and are brought to its width for each.
    levels = [_project(c, width, norm, f"bifpn_in_p{level}") for level, c in ((3, c3), (4, c4), (5, c5))] + [p6, p7]
    again = {1: _project(c4, width, norm, "bifpn_in_p4_out"), 2: _project(c5, width, norm, "bifpn_in_p5_out")}
    for cell in range(depth):
        levels = _cell(levels, again if cell == 0 else {}, width, norm, f"bifpn_{cell}")
    return levels


def _cell(levels: list[Tensor], again: Mapping[int, Tensor], width: int, norm: str, name: str) -> list[Tensor]:
    """One cell (figure 2d): from the coarsest level down, then from the finest up."""
    last = len(levels) - 1
    down = [*levels]
    for i in range(last - 1, -1, -1):
        above = Upsample(*down[i].shape[1:3], name=f"{name}_p{i + 3}_td_up")(down[i + 1])
        down[i] = _node([levels[i], above], width, norm, f"{name}_p{i + 3}_{'td' if i else 'out'}")
    up = [*down]  # the finest level is done on the way down
    for i in range(1, last + 1):
        below = _down(up[i - 1], f"{name}_p{i + 3}_out_pool")
        own = again.get(i, levels[i])
        inputs = [own, down[i], below] if i < last else [own, below]
        up[i] = _node(inputs, width, norm, f"{name}_p{i + 3}_out")
    return up


def _node(inputs: Sequence[Tensor], width: int, norm: str, name: str) -> Tensor:
    x = layers.Activation("silu", name=f"{name}_swish")(FastFusion(name=f"{name}_fusion")(inputs))
    x = layers.SeparableConv2D(width, 3, padding="same", name=f"{name}_conv")(x)
    return normalization(norm, f"{name}_norm")(x)


def _project(x: Tensor, width: int, norm: str, name: str) -> Tensor:
    return normalization(norm, f"{name}_norm")(layers.Conv2D(width, 1, name=f"{name}_conv")(x))


def _down(x: Tensor, name: str) -> Tensor:
    return layers.MaxPooling2D(3, 2, padding="same", name=name)(x)

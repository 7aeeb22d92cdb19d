"""Darknet's `.weights` files: every number of a network in one row, read and written exactly.

Layout (Darknet's `src/parser.c`, `load_weights_upto` and `save_weights_upto`), little endian: int32 major, minor,
revision; then `seen`, the training images so far, an int32 in version 0.1 and an int64 from 0.2 on; then float32
numbers. Each convolution stores, in this order, batch normalization's shift, scale, running mean and running
variance, or else its bias; then its kernel `[filters, channels, rows, columns]`.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from yolov3.cfg import Convolutional, Description, Yolo
from yolov3.network import convolutions


@dataclass(frozen=True)
class Header:
    """Version of the format and number of training images seen."""

    major: int = 0
    minor: int = 2
    revision: int = 0
    seen: int = 0

    @property
    def wide(self) -> bool:
        """Whether `seen` has 64 bits. Versions of 1000 and more never had (they marked transposed files)."""
        return self.major * 10 + self.minor >= 2 and self.major < 1000 and self.minor < 1000

    def to_bytes(self) -> bytes:
        """The 16 or 20 bytes at the start of a file."""
        return struct.pack("<iiiq" if self.wide else "<iiii", self.major, self.minor, self.revision, self.seen)


def read(path: str | Path) -> tuple[Header, NDArray[np.float32]]:
    """Header and numbers of a `.weights` file.

    Raises:
        ValueError: it is not a whole header and whole numbers.
    """
    data = Path(path).read_bytes()
    if len(data) < 16:
        raise ValueError(f"{path}: {len(data)} bytes are too few for the header of a .weights file")
    major, minor, revision, seen = struct.unpack_from("<iiii", data)
    header = Header(major, minor, revision, seen)
    size = 20 if header.wide else 16
    if len(data) < size or (len(data) - size) % 4:
        raise ValueError(f"{path}: {len(data)} bytes are not a header of {size} bytes and whole 4-byte numbers")
    if header.wide:
        header = Header(major, minor, revision, struct.unpack_from("<q", data, 12)[0])
    return header, np.frombuffer(data, "<f4", offset=size)


def load(network: keras.Model, path: str | Path, layers: int | None = None) -> Header:
    """Load a whole file into the layers before number `layers` (None: all of them).

    `layers=74` reads `darknet53.conv.74`, `layers=15` reads `yolov3-tiny.conv.15`.

    Raises:
        ValueError: the file is too short or too long; it says by how many numbers, and at which layer. The network is
            unchanged then.
    """
    header, numbers = read(path)
    parts = [part for part in convolutions(network) if layers is None or part[0] < layers]
    at = 0
    for number, convolution, norm in parts:
        wanted = _count(convolution, norm)
        if at + wanted > len(numbers):
            missing = sum(_count(*part[1:]) for part in parts) - len(numbers)
            raise ValueError(
                f"{path}: too short by {missing} numbers; layer {number} (convolutional) wants {wanted} "
                f"and {len(numbers) - at} are left"
            )
        at += wanted
    if at < len(numbers):
        last = parts[-1][0] if parts else -1
        raise ValueError(
            f"{path}: too long by {len(numbers) - at} numbers after the last one of layer {last} (convolutional); "
            "is the .cfg the one of this file?"
        )
    at = 0
    for _, convolution, norm in parts:
        at = _assign(convolution, norm, numbers, at)
    return header


def save(network: keras.Model, path: str | Path, header: Header | None = None, layers: int | None = None) -> None:
    """Write the layers before number `layers` (None: all).

    A file that `load` read, saved with the header `load` gave, is the same byte for byte.
    """
    with Path(path).open("wb") as stream:
        stream.write((header or Header()).to_bytes())
        for number, convolution, norm in convolutions(network):
            if layers is None or number < layers:
                for array in _to_arrays(convolution, norm):
                    stream.write(np.ascontiguousarray(array, "<f4").tobytes())


def transfer(network: keras.Model, description: Description, path: str | Path) -> list[int]:
    """Load what fits of a file that was trained for other classes, or that ends before the heads.

    A truncated file (`yolov3-tiny.conv.15`) fills the layers it holds. A whole file for another number of classes
    fills all but the last convolution before each `[yolo]`, whose shape depends on that number; it is worked out
    from the length of the file. A whole file for the same number of classes fills everything.

    Returns:
        the numbers of the layers that were filled.

    Raises:
        ValueError: the file fits in none of these ways.
    """
    _, numbers = read(path)
    parts = convolutions(network)
    counts = [_count(convolution, norm) for _, convolution, norm in parts]
    ends = np.cumsum(counts)
    if len(numbers) in ends:
        filled, at = [], 0
        for number, convolution, norm in parts[: int(np.searchsorted(ends, len(numbers))) + 1]:
            at = _assign(convolution, norm, numbers, at)
            filled.append(number)
        return filled

    outputs = _output_layers(description)
    per_filter = [
        (counts[i] // convolution.filters) * outputs[number]
        for i, (number, convolution, _) in enumerate(parts)
        if number in outputs
    ]
    fixed = sum(count for count, part in zip(counts, parts, strict=True) if part[0] not in outputs)
    channels, rest = divmod(len(numbers) - fixed, sum(per_filter))
    if rest or channels < 6:
        after = int(np.searchsorted(ends, len(numbers)))
        where = f"it ends inside layer {parts[after][0]}" if after < len(parts) else "it is longer than the network"
        raise ValueError(
            f"{path}: {len(numbers)} numbers are neither this network ({ends[-1]}), nor its first layers ({where}), "
            "nor the same network for another number of classes; is it a file of this architecture?"
        )
    filled, at = [], 0
    for i, (number, convolution, norm) in enumerate(parts):
        if number in outputs:
            at += counts[i] // convolution.filters * outputs[number] * channels
        else:
            at = _assign(convolution, norm, numbers, at)
            filled.append(number)
    return filled


def _output_layers(description: Description) -> dict[int, int]:
    """Number of the convolution before each `[yolo]` -> anchors of that head."""
    layers = description.layers
    return {
        index - 1: len(layer.mask)
        for index, layer in enumerate(layers)
        if isinstance(layer, Yolo) and isinstance(layers[index - 1], Convolutional)
    }


def _count(convolution: Any, norm: Any | None) -> int:
    kernel = int(np.prod(convolution.kernel.shape))
    return kernel + int(convolution.filters) * (4 if norm is not None else 1)


def _assign(convolution: Any, norm: Any | None, numbers: NDArray[np.float32], at: int) -> int:
    filters = int(convolution.filters)
    per_filter = [convolution.bias] if norm is None else [norm.beta, norm.gamma, norm.moving_mean, norm.moving_variance]
    for variable in per_filter:
        variable.assign(numbers[at : at + filters])
        at += filters
    rows, columns, channels, _ = convolution.kernel.shape
    size = rows * columns * channels * filters
    kernel = numbers[at : at + size].reshape(filters, channels, rows, columns)
    convolution.kernel.assign(kernel.transpose(2, 3, 1, 0))
    return at + size


def _to_arrays(convolution: Any, norm: Any | None) -> list[NDArray[np.float32]]:
    per_filter = [convolution.bias] if norm is None else [norm.beta, norm.gamma, norm.moving_mean, norm.moving_variance]
    arrays = [keras.ops.convert_to_numpy(variable) for variable in per_filter]
    return [*arrays, keras.ops.convert_to_numpy(convolution.kernel).transpose(3, 2, 0, 1)]

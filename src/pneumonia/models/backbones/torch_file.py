"""Read a PyTorch weight file of the old kind (before version 1.6) without PyTorch and without trusting the file.

Layout: four pickles (magic number, protocol, machine, the dict of tensors), a pickle with the keys of the storages,
then each storage as an int64 count and its numbers. A pickle can call anything, so the reader knows only the names that
a dict of tensors needs and refuses every other.
"""

from __future__ import annotations

import pickle
from collections import OrderedDict
from pathlib import Path
from typing import IO, Any

import numpy as np

MAGIC = 0x1950A86A20F9469CFC6C
PROTOCOL = 1001
TYPES: dict[str, np.dtype[Any]] = {
    "FloatStorage": np.dtype("<f4"),
    "DoubleStorage": np.dtype("<f8"),
    "HalfStorage": np.dtype("<f2"),
    "LongStorage": np.dtype("<i8"),
    "IntStorage": np.dtype("<i4"),
}


def read(path: Path) -> dict[str, np.ndarray]:
    """Name -> array, as PyTorch's `torch.load` would give for a state dict.

    Raises:
        ValueError: the file is not of this kind, is cut short or holds anything but tensors.
    """
    storages: dict[str, tuple[np.dtype[Any], int]] = {}
    with Path(path).open("rb") as stream:
        try:
            magic, protocol = _Reader(stream, storages).load(), _Reader(stream, storages).load()
            if magic != MAGIC or protocol != PROTOCOL:
                raise ValueError("no PyTorch file of the old kind")
            machine = _Reader(stream, storages).load()
            if not machine["little_endian"]:
                raise ValueError("written on a big-endian machine")
            tensors = _Reader(stream, storages).load()
            order = _Reader(stream, storages).load()
            numbers = {key: _numbers(stream, *storages[key]) for key in order}
            # A tensor is a view on its storage, given in numbers, not bytes.
            return {
                name: _view(numbers[tensor.key], tensor)
                for name, tensor in tensors.items()
                if isinstance(tensor, _Tensor)
            }
        except (pickle.UnpicklingError, EOFError, KeyError, TypeError, AttributeError, IndexError, ValueError) as error:
            raise ValueError(f"{path} cannot be read as PyTorch weights: {error}") from error


class _Tensor:
    def __init__(self, key: str, offset: int, shape: tuple[int, ...], strides: tuple[int, ...], *_: Any):
        self.key, self.offset, self.shape, self.strides = key, offset, shape, strides


class _Reader(pickle.Unpickler):
    def __init__(self, stream: IO[bytes], storages: dict[str, tuple[np.dtype[Any], int]]):
        super().__init__(stream, encoding="utf-8")
        self.storages = storages

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _Tensor
        if module == "torch" and name in TYPES:
            return name
        raise pickle.UnpicklingError(f"it asks for {module}.{name}, which a dict of tensors does not need")

    def persistent_load(self, pid: Any) -> str:
        kind, type_name, key, _device, count, view = pid
        if kind != "storage" or view is not None:
            raise pickle.UnpicklingError(f"unknown reference {kind!r}")
        self.storages[key] = (TYPES[type_name], count)
        return str(key)


def _numbers(stream: IO[bytes], kind: np.dtype[Any], count: int) -> np.ndarray:
    stored = int.from_bytes(stream.read(8), "little", signed=True)
    if stored != count:
        raise ValueError(f"a storage has {stored} numbers where its tensor wants {count}")
    content = stream.read(count * kind.itemsize)
    if len(content) != count * kind.itemsize:
        raise ValueError("it is cut short")
    return np.frombuffer(content, kind)


def _view(numbers: np.ndarray, tensor: _Tensor) -> np.ndarray:
    last = tensor.offset + sum((n - 1) * step for n, step in zip(tensor.shape, tensor.strides, strict=True))
    if tensor.offset < 0 or min(tensor.strides, default=0) < 0 or last >= len(numbers):
        raise ValueError(f"a tensor reaches to number {last} of a storage of {len(numbers)}")
    strides = [step * numbers.itemsize for step in tensor.strides]
    return np.lib.stride_tricks.as_strided(numbers[tensor.offset :], tensor.shape, strides, writeable=False).copy()

"""The weights of a backbone by the names of its layers: what one network learned, another takes over, with its own head."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import keras
import numpy as np

from pneumonia import files

SUFFIX = ".npz"


def save(path: str | Path, layers: Iterable[keras.layers.Layer]) -> None:
    """Write the weights of `layers` as `<layer>/<number>`; same weights, same bytes."""
    arrays: dict[str, Any] = {
        f"{layer.name}/{i}": np.asarray(array) for layer in layers for i, array in enumerate(layer.get_weights())
    }
    with files.write_atomic(path) as temporary, temporary.open("wb") as stream:
        np.savez(stream, **arrays)


def load(path: str | Path, model: keras.Model) -> None:
    """Give every layer of a backbone its weights; layers of the file that the model lacks (a head) are passed over.

    Raises:
        ValueError: a layer is not in the file, or has other shapes there: it is of another backbone.
    """
    with np.load(path, allow_pickle=False) as file:
        for layer in model.layers:
            wanted = [tuple(weight.shape) for weight in layer.weights]
            names = [f"{layer.name}/{i}" for i in range(len(wanted))]
            if any(name not in file.files for name in names) or f"{layer.name}/{len(wanted)}" in file.files:
                raise ValueError(f"{path} has no layer {layer.name} as {model.name} has it: it is of another backbone")
            arrays = [file[name] for name in names]
            if [array.shape for array in arrays] != wanted:
                found = [array.shape for array in arrays]
                raise ValueError(f"{path}: layer {layer.name} of {model.name} has shapes {wanted}, got {found}")
            layer.set_weights(arrays)

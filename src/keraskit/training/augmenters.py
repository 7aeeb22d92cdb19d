"""imgaug, the library of augmentations, importable today."""

from __future__ import annotations

from functools import cache
from types import ModuleType

import numpy as np


@cache
def imgaug() -> ModuleType:
    """The package imgaug, made importable under NumPy 2, which dropped the `np.sctypes` that it reads at import.

    Raises:
        ModuleNotFoundError: it is not installed.
    """
    if not hasattr(np, "sctypes"):
        np.sctypes = {  # type: ignore[attr-defined]  # noqa: NPY201
            "int": [np.int8, np.int16, np.int32, np.int64],
            "uint": [np.uint8, np.uint16, np.uint32, np.uint64],
            "float": [np.float16, np.float32, np.float64],
            "complex": [np.complex64, np.complex128],
            "others": [bool, object, bytes, str, np.void],
        }
    try:
        import imgaug as package
        import imgaug.augmenters
    except ModuleNotFoundError as error:
        if error.name != "imgaug":
            raise
        raise ModuleNotFoundError(
            "augmentation needs imgaug, which is not installed: pip install imgaug==0.4.0 (of the project's extra pipeline)"
        ) from error

    return package

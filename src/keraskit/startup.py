"""What an installed package does when Python starts (`src/mrcnn_imgaug.pth`): imgaug 0.4.0 can be imported under NumPy 2.

`from imgaug import augmenters` is often a project's first import, before any of this package's. Nothing is imported here but
the standard library; NumPy is when imgaug is.
"""

from __future__ import annotations

import sys
from typing import Any


class BeforeImgaug:
    """A finder of modules that finds none. When imgaug is asked for, it gives NumPy the `sctypes` that imgaug reads, as
    `keraskit.training.augmenters.imgaug` does, and steps aside."""

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> None:
        if name != "imgaug":
            return
        sys.meta_path.remove(self)  # type: ignore[arg-type]
        import numpy as np

        if not hasattr(np, "sctypes"):
            np.sctypes = {  # type: ignore[attr-defined]  # noqa: NPY201
                "int": [np.int8, np.int16, np.int32, np.int64],
                "uint": [np.uint8, np.uint16, np.uint32, np.uint64],
                "float": [np.float16, np.float32, np.float64],
                "complex": [np.complex64, np.complex128],
                "others": [bool, object, bytes, str, np.void],
            }


if "imgaug" not in sys.modules:
    sys.meta_path.insert(0, BeforeImgaug())  # type: ignore[arg-type]

"""A trained EfficientDet: loads what `train` wrote, detects."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pneumonia import files
from pneumonia.models.detectors import filled_batches
from pneumonia.models.efficientdet.network import build

if TYPE_CHECKING:
    import keras

    from efficientdet.model import EfficientDet

LARGEST_BATCH = 16  # studies a detection call holds at most


class Detector:
    """A trained EfficientDet.

    Attributes:
        image_size: pixels, side of the images it wants.
    """

    def __init__(self, model: EfficientDet) -> None:
        self.image_size = int(model.network.input.shape[1])
        self._trained = model
        self._models: dict[tuple[float, float, int], Any] = {}

    def detect(
        self, images: NDArray[np.uint8], score_floor: float, nms_iou: float, max_detections: int
    ) -> list[NDArray[np.float32]]:
        """Find opacities.

        Arguments:
            images: uint8 `[B, image_size, image_size]`.
            score_floor: detections with a lower score are not kept.
            nms_iou: of two that overlap more than this the weaker goes.
            max_detections: at most, for an image.

        Returns:
            For each image float32 `[n, 5]`: x1, y1, x2, y2 in pixels of the resized image, score; best first.
        """
        model = self._model(score_floor, nms_iou, max_detections)
        found = filled_batches(images, self.image_size, LARGEST_BATCH, model.detect)
        return [np.concatenate([f["boxes"], f["scores"][:, None]], axis=1).astype(np.float32) for f in found]

    def graph(self, score_floor: float, nms_iou: float, max_detections: int) -> keras.Model:
        """`detect` as one graph, see `pneumonia.models.detectors.Detector`."""
        import keras
        from keras import ops

        images = keras.Input((self.image_size, self.image_size), dtype="uint8", name="images")
        found = self._model(score_floor, nms_iou, max_detections)(images)
        outputs = {
            "boxes": found["boxes"],
            "scores": found["scores"],
            "count": ops.sum(ops.cast(found["valid"], "int32"), axis=1),
        }
        return keras.Model(images, outputs, name="efficientdet")

    def _model(self, score_floor: float, nms_iou: float, max_detections: int) -> Any:
        from efficientdet import model
        from keraskit.compute.backend import jit_compile

        key = (score_floor, nms_iou, max_detections)
        if key not in self._models:
            self._models[key] = model.Detector(self._trained, *key)
            self._models[key].compile(jit_compile=jit_compile())
        return self._models[key]


def load(folder: str | Path) -> Detector:
    """The detector that `train` wrote.

    Raises:
        ValueError: description and weights do not fit each other.
    """
    model = build(files.read_json(Path(folder) / "model.json"))
    model.network.load_weights(Path(folder) / "model.weights.h5")
    return Detector(model)

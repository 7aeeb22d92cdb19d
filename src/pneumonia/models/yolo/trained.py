"""A trained YOLOv3: loads Darknet's formats, detects."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pneumonia import files
from pneumonia.models.detectors import filled_batches

if TYPE_CHECKING:
    import keras

    from yolov3.cfg import Description

LARGEST_BATCH = 32  # studies a detection call holds at most


class Detector:
    """A trained YOLOv3.

    Attributes:
        image_size: pixels, side of the images it wants.
    """

    def __init__(self, network: keras.Model, description: Description) -> None:
        self.image_size = description.width
        self._network = network
        self._description = description
        self._models: dict[tuple[float, float, int], keras.Model] = {}

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
        return keras.Model(images, outputs, name="yolo")

    def _model(self, score_floor: float, nms_iou: float, max_detections: int) -> Any:
        from keraskit.compute.backend import jit_compile
        from yolov3 import model

        key = (score_floor, nms_iou, max_detections)
        if key not in self._models:
            self._models[key] = model.Detector(self._network, self._description, *key)
            self._models[key].compile(jit_compile=jit_compile())
        return self._models[key]


def load(folder: str | Path) -> Detector:
    """The detector that `train` wrote.

    Raises:
        ValueError: cfg and weights do not fit each other.
    """
    from yolov3 import cfg, weights
    from yolov3.network import build

    folder = Path(folder)
    described = files.read_json(folder / "model.json")
    description = cfg.read(folder / described["cfg"])
    network = build(description)
    weights.load(network, folder / described["weights"])
    return Detector(network, description)

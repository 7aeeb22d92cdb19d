"""A trained Mask R-CNN: loads what `mrcnn` keeps in Matterport's format, detects."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pneumonia import files
from pneumonia.models.detectors import filled_batches
from pneumonia.models.maskrcnn.network import add_backbone, configure

if TYPE_CHECKING:
    import keras

    from mrcnn.network import Network

LARGEST_BATCH = 16  # studies a detection call holds at most


class Detector:
    """A trained Mask R-CNN.

    Attributes:
        image_size: pixels, side of the images it wants.
    """

    def __init__(self, network: Network) -> None:
        self.image_size = int(network.config.IMAGE_SHAPE[0])
        self._network = network
        self._scores: keras.Model | None = None
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

        def run(part: NDArray[np.uint8]) -> NDArray[np.float32]:
            return np.asarray(model.predict_on_batch(part[..., None]), np.float32)

        results = []
        for rows in filled_batches(images, self.image_size, LARGEST_BATCH, run):
            found = rows[rows[:, 4] > 0]
            # Normalized (y1, x1, y2, x2) of the last pixels -> edges (x1, y1, x2, y2), see mrcnn.parts.anchors.norm_boxes.
            corners = found[:, [1, 0, 3, 2]] * (self.image_size - 1) + np.array([0, 0, 1, 1], np.float32)
            results.append(np.concatenate([corners, found[:, 5:]], axis=1))
        return results

    def graph(self, score_floor: float, nms_iou: float, max_detections: int) -> keras.Model:
        """`detect` as one graph, see `pneumonia.models.detectors.Detector`."""
        import keras
        from keras import ops

        images = keras.Input((self.image_size, self.image_size), dtype="uint8", name="images")
        rows = self._model(score_floor, nms_iou, max_detections)(ops.cast(images, "float32")[..., None])
        corners = ops.stack([rows[..., place] for place in (1, 0, 3, 2)], axis=-1)
        found = rows[..., 4] > 0
        edges = corners * np.float32(self.image_size - 1) + np.array([0, 0, 1, 1], np.float32)  # as in detect
        outputs = {
            "boxes": ops.where(found[..., None], edges, np.float32(0)),
            "scores": rows[..., 5],
            "count": ops.sum(ops.cast(found, "int32"), axis=1),
        }
        return keras.Model(images, outputs, name="maskrcnn")

    def _model(self, score_floor: float, nms_iou: float, max_detections: int) -> Any:
        import keras

        from keraskit.compute.backend import jit_compile
        from mrcnn.parts.detections import DetectionLayer

        key = (score_floor, nms_iou, max_detections)
        if key not in self._models:
            if self._scores is None:
                self._scores = self._network.scoring_model()
            layer = DetectionLayer(max_detections, score_floor, nms_iou)
            self._models[key] = keras.Model(self._scores.input, layer(*self._scores.output))
            self._models[key].compile(jit_compile=jit_compile())
        return self._models[key]


def load(folder: str | Path) -> Detector:
    """The detector that `train` wrote.

    Raises:
        ValueError: description and weights do not fit each other.
    """
    from mrcnn import weights as weight_files
    from mrcnn.network import Network

    described = files.read_json(Path(folder) / "model.json")
    # The weights come from the file that follows, so ImageNet's are not needed again.
    config = configure(described)
    add_backbone(config, described, "none")
    network = Network(config)
    detector = Detector(network)
    detector._scores = network.scoring_model()
    # Boxes do not need the mask head, if the file has one.
    masks = [part.name for part in network.mask_head.parts] if network.mask_head is not None else None
    weight_files.load(detector._scores, Path(folder) / "mask_rcnn.h5", exclude=masks)
    return detector

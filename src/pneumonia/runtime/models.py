"""Exported models that answer as `pneumonia.models.<name>.trained` does."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pneumonia.runtime import bundle
from pneumonia.runtime.graphs import Graph, open_graph
from pneumonia.schema.models import has_boxes

LARGEST_BATCH = 16  # studies of one call; more need memory and win nothing


class Classifier:
    """An exported classifier.

    Attributes:
        image_size: pixels, side of the images it wants.
    """

    def __init__(self, graph: Graph, image_size: int) -> None:
        self._graph, self.image_size = graph, image_size

    def predict(self, images: NDArray[np.uint8]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """See `pneumonia.models.classifier.trained.Classifier.predict`."""
        side = self.image_size // 32
        scores, maps = [np.zeros(0, np.float32)], [np.zeros((0, side, side), np.float32)]
        for found in _parts(self._graph, images, self.image_size):
            scores.append(found["score"])
            maps.append(found["map"])
        return np.concatenate(scores), np.concatenate(maps)


class Detector:
    """An exported detector.

    Attributes:
        image_size: pixels, side of the images it wants.
        options: score_floor, nms_iou and max_detections that the graph holds.
    """

    def __init__(self, graph: Graph, image_size: int, options: Mapping[str, float]) -> None:
        self._graph, self.image_size, self.options = graph, image_size, dict(options)

    def detect(
        self, images: NDArray[np.uint8], score_floor: float, nms_iou: float, max_detections: int
    ) -> list[NDArray[np.float32]]:
        """See `pneumonia.models.detectors.Detector.detect`.

        Raises:
            ValueError: the graph holds other values.
        """
        wanted = {"score_floor": score_floor, "nms_iou": nms_iou, "max_detections": max_detections}
        if wanted != self.options:
            raise ValueError(f"the exported graph holds {self.options}, wanted {wanted}: export the model again")
        results: list[NDArray[np.float32]] = []
        for found in _parts(self._graph, images, self.image_size):
            rows = np.concatenate([found["boxes"], found["scores"][..., None]], axis=2)
            results += [own[:count] for own, count in zip(rows, found["count"], strict=True)]
        return results


def load(folder: Path, threads: int = 0) -> Classifier | Detector:
    """The model of a bundle.

    Arguments:
        threads: see `pneumonia.runtime.graphs.open_graph`.

    Raises:
        ValueError: there is no bundle, or a file of it was changed. ModuleNotFoundError: its runtime is not installed.
    """
    described = bundle.read(folder)
    graph = open_graph(folder, described.format, threads)
    if has_boxes(described.kind):
        return Detector(graph, described.image_size, described.predict)
    return Classifier(graph, described.image_size)


def _parts(graph: Graph, images: NDArray[np.uint8], size: int) -> Iterator[Mapping[str, NDArray[Any]]]:
    """What the graph says of `LARGEST_BATCH` images at a time."""
    if images.ndim != 3 or images.shape[1:] != (size, size):
        raise ValueError(f"images must be [B, {size}, {size}], got {list(images.shape)}")
    for first in range(0, len(images), LARGEST_BATCH):
        yield graph(images[first : first + LARGEST_BATCH])

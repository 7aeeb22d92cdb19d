"""The trained models together, held in memory: what `pneumonia.reading_room.reader.Reader` asks of a batch of studies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from keraskit.compute import devices
from pneumonia.data.images.squares import placement, resize_study
from pneumonia.dicom.windowing import Rendering
from pneumonia.prediction.fusion import Fused, fuse
from pneumonia.prediction.inference import classify, detect, load
from pneumonia.reading_room.trained import require
from pneumonia.runtime import models as exported
from pneumonia.runtime.choice import KERAS
from pneumonia.schema.models import CLASSIFIER, DETECTORS, MODELS


@dataclass(frozen=True)
class Study:
    """One study in memory.

    Attributes:
        image: uint8 `[rows, columns]` in original size.
        aspect: the height of a pixel over its width.
        rendering: how the image was made of its file, where it was.
    """

    image: NDArray[np.uint8]
    aspect: float
    rendering: Rendering | None = None


@dataclass(frozen=True)
class Batch:
    """Studies in one size, as `pneumonia.prediction.inference` wants them: what a `ShardStore` is to studies on disk."""

    size: int
    studies: Mapping[str, Study]

    def batch(self, studies: Sequence[str]) -> NDArray[np.uint8]:
        """uint8 `[B, size, size]`."""
        return np.stack([resize_study(self.studies[s].image, self.size, self.studies[s].aspect) for s in studies])

    def to_original(self, study: str, boxes: NDArray[np.float32]) -> NDArray[np.float32]:
        """`[N, 4]` x1 y1 x2 y2 of the resized image -> x, y, width, height in original pixels, clipped to the image."""
        image, aspect = self.studies[study].image, self.studies[study].aspect
        rows, columns = image.shape
        result: NDArray[np.float32] = placement(columns, rows, self.size, aspect).to_original(boxes, columns, rows)
        return result


class Ensemble:
    """Classifier, detectors and their fusion.

    Arguments:
        models: folder with the trained `classifier`, `maskrcnn` and `yolo`.
        predict, ensemble: these sections of params.yaml as plain values.
        runtime: `keras`, or `onnx` where `models` holds bundles.
        threads: of each bundle, see `pneumonia.runtime.models.load`.

    Raises:
        ValueError: a model is missing.
    """

    def __init__(
        self,
        models: Path,
        *,
        predict: Mapping[str, Any],
        ensemble: Mapping[str, Any],
        runtime: str = KERAS,
        threads: int = 0,
    ) -> None:
        if runtime == KERAS:
            require(models)
            devices.keep_compiled()
            self._models = {name: load(name, models / name) for name in MODELS}
        else:
            self._models = {name: exported.load(models / name, threads) for name in MODELS}
        self._predict, self._ensemble = predict, ensemble

    def __call__(self, studies: Mapping[str, Study]) -> Fused:
        """What is seen of each study.

        Returns:
            fused: the detections, cut at the border of their image, and the score of each study by its id.
        """
        names = list(studies)
        stores = {name: Batch(model.image_size, studies) for name, model in self._models.items()}
        detections = {
            name: detect(self._models[name], stores[name], names, **self._predict, progress=False) for name in DETECTORS
        }
        own, _ = classify(
            self._models[CLASSIFIER],
            stores[CLASSIFIER],
            names,
            flip=self._predict["flip"],
            batch_size=self._predict["batch_size"],
            progress=False,
        )
        class_scores = pd.Series(own.astype(np.float64), index=names)
        shapes = {study: (own.image.shape[1], own.image.shape[0]) for study, own in studies.items()}
        return fuse(detections, class_scores, names, **self._ensemble, sizes=sizes(shapes))


def sizes(shapes: Mapping[str, tuple[int, int]]) -> pd.DataFrame:
    """Columns and rows by study, as `fuse` and `submission.build` want them."""
    return pd.DataFrame.from_dict(dict(shapes), orient="index", columns=["columns", "rows"])

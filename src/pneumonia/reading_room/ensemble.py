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
from pneumonia.prediction.calibration import NONE, Calibration
from pneumonia.prediction.fusion import Fused, fuse
from pneumonia.prediction.inference import classify, detect, load
from pneumonia.reading_room.trained import require
from pneumonia.runtime import models as exported
from pneumonia.runtime.choice import KERAS
from pneumonia.schema.models import CLASSIFIER, has_boxes


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


@dataclass(frozen=True)
class Apart:
    """What is said of studies, model by model.

    Attributes:
        classifier: the classifier's scores by study.
        detections: detector -> study, x, y, width, height, score.
        fused: the ensemble's.
    """

    classifier: pd.Series
    detections: dict[str, pd.DataFrame]
    fused: Fused


class Ensemble:
    """Classifier, detectors and their fusion.

    Arguments:
        models: folder of the trained models.
        names: of those that answer, of `pneumonia.schema.models.MODELS`.
        predict, ensemble: these sections of params.yaml as plain values.
        runtime: `keras`, or `onnx` where `models` holds bundles.
        calibration: what makes the score of a study a probability.
        threads: of each bundle, see `pneumonia.runtime.models.load`.

    Raises:
        ValueError: a model is missing.
    """

    def __init__(
        self,
        models: Path,
        names: Sequence[str],
        *,
        predict: Mapping[str, Any],
        ensemble: Mapping[str, Any],
        runtime: str = KERAS,
        calibration: Calibration = NONE,
        threads: int = 0,
    ) -> None:
        if runtime == KERAS:
            require(models, names)
            devices.keep_compiled()
            self._models = {name: load(name, models / name) for name in names}
        else:
            self._models = {name: exported.load(models / name, threads) for name in names}
        self._predict, self._ensemble, self._calibration = predict, ensemble, calibration

    def __call__(self, studies: Mapping[str, Study]) -> Fused:
        """What is seen of each study.

        Returns:
            fused: the detections, cut at the border of their image, and the calibrated score of each study by its id.
        """
        fused = self.apart(studies).fused
        return fused._replace(scores=self._calibration(fused.scores))

    def apart(self, studies: Mapping[str, Study]) -> Apart:
        """What each model sees of each study, and what they see together; no score is calibrated."""
        names = list(studies)
        stores = {name: Batch(model.image_size, studies) for name, model in self._models.items()}
        detections = {
            name: detect(model, stores[name], names, **self._predict, progress=False)
            for name, model in self._models.items()
            if has_boxes(name)
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
        fused = fuse(detections, class_scores, names, **self._ensemble, sizes=sizes(shapes))
        return Apart(class_scores, detections, fused)


def sizes(shapes: Mapping[str, tuple[int, int]]) -> pd.DataFrame:
    """Columns and rows by study, as `fuse` and `submission.build` want them."""
    return pd.DataFrame.from_dict(dict(shapes), orient="index", columns=["columns", "rows"])

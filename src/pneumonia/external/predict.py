"""What each model says of a set: as stages predict and ensemble, from files in memory."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pneumonia.archive import Studies
from pneumonia.dicom.windowing import study_to_uint8
from pneumonia.evaluation.inputs import Predictions
from pneumonia.files import write_csv
from pneumonia.prediction.tables import read_detections, read_scores, write_predictions
from pneumonia.reading_room.ensemble import Ensemble, Study
from pneumonia.schema.models import CLASSIFIER, ENSEMBLE
from pneumonia.schema.predictions import SCORES
from pneumonia.schema.table import BOX

CHUNK = 32  # studies in memory


def images(archive: Studies, names: Sequence[str], window: Mapping[str, Any]) -> Iterator[dict[str, Study]]:
    """The studies as the models get them, some at a time."""
    from tqdm import tqdm

    for start in tqdm(range(0, len(names), CHUNK), "predict", unit=f" x {CHUNK} studies", disable=None):
        found = {}
        for study in names[start : start + CHUNK]:
            seen = study_to_uint8(archive.read(study), **window, study=study)
            found[study] = Study(seen.image, seen.header.aspect, seen)
        yield found


def predict(models: Ensemble, chunks: Iterator[dict[str, Study]], folder: Path) -> dict[str, Predictions]:
    """Write each model's tables below `folder` and read them back, so that they are rounded as the internal ones are."""
    scores: dict[str, list[pd.Series]] = {}
    boxes: dict[str, list[pd.DataFrame]] = {}
    for studies in chunks:
        said = models.apart(studies)
        scores.setdefault(CLASSIFIER, []).append(said.classifier)
        for name, found in said.detections.items():
            best = found.groupby("study")["score"].max().reindex(list(studies), fill_value=0.0)
            scores.setdefault(name, []).append(best)
            boxes.setdefault(name, []).append(found)
        scores.setdefault(ENSEMBLE, []).append(said.fused.scores)
        boxes.setdefault(ENSEMBLE, []).append(said.fused.detections)
    result = {}
    for name, parts in scores.items():
        own = pd.concat(parts)
        detections = None
        if name in boxes:
            filled = [part for part in boxes[name] if len(part)]
            empty = pd.DataFrame({"study": [], **dict.fromkeys([*BOX, "score"], np.zeros(0))})
            write_predictions(folder / name, pd.concat(filled) if filled else empty, own)
            detections = read_detections(folder / name)
        else:
            table = pd.DataFrame({"study": own.index, "score": own.to_numpy()}).sort_values("study")
            write_csv(folder / name / SCORES.name, table, SCORES.decimals)
        result[name] = Predictions(read_scores(folder / name), detections)
    return result

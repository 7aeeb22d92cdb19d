"""`pneumonia predict`: the trained models on new studies, which need no labels.

Works through the studies batch by batch in bounded memory: decode, resize for each model, predict, fuse, draw. A study that cannot be
read is listed and the rest goes on.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from tqdm import tqdm

from pneumonia.archive import open_studies
from pneumonia.dicom.windowing import study_to_uint8
from pneumonia.files import fresh_dir, require_unused, write_csv
from pneumonia.reading_room.predictor import Predictor, Study, require, shown, sizes
from pneumonia.rejection import StudyError


def predict_new(
    source: Path,
    output: Path,
    *,
    models: Path,
    window: Mapping[str, Any],
    predict: Mapping[str, Any],
    ensemble: Mapping[str, Any],
    threshold: float,
    max_boxes: int,
    limit: int | None,
    overlays: bool,
    dicom: bool = False,
    capture: bool = False,
) -> dict[str, int]:
    """Run classifier, detectors and ensemble on the DICOMs of `source` and write the results to the folder `output`.

    source: a DICOM, a folder of them (searched through) or a zip of them.
    models: folder with the trained `classifier`, `maskrcnn` and `yolo`.
    window, predict, ensemble: these sections of params.yaml as plain values.
    threshold: fused detections scoring less are left out of `submission.csv` and of the overlays.

    Writes `submission.csv` (patientId, PredictionString), `detections.csv` (patientId, image_score, x, y, width, height,
    score: one row a fused detection, a study without one has a row with empty box), `failed.csv` (patientId, reason) where a
    study could not be read, and `overlays/<study>.png` in original size. With `dicom` (and `capture`) also
    `dicom/<study>.sr.dcm`, `.pr.dcm` (and `.sc.dcm`): see `pneumonia.reading_room`. Everything appears at once at the end.

    Returns the counts studies, with_findings, failed. Raises ValueError where `output` is in use, there is no study, or a
    model is missing.
    """
    require_unused(output)
    require(models)
    archive = open_studies(source)
    studies = list(islice(archive.studies, limit))
    aside = archive.duplicates | archive.unsafe  # what cannot be told apart, or named in a result
    if not studies and not aside:
        raise ValueError(f"{source}: no DICOM found")
    settings = {"window": window, "predict": predict, "ensemble": ensemble, "max_boxes": max_boxes}
    results = _DicomResults(archive, models, settings, threshold, capture) if dicom or capture else None
    predictor = Predictor(models, predict=predict, ensemble=ensemble)
    size = int(predict["batch_size"])
    failed = [{"patientId": name, "reason": reason} for name, reason in sorted(aside.items())]
    tables: list[pd.DataFrame] = []
    shapes: dict[str, tuple[int, int]] = {}

    with fresh_dir(output) as folder, tqdm(total=len(studies), desc="predict", unit="study", file=sys.stderr) as bar:
        for start in range(0, len(studies), size):
            wanted = studies[start : start + size]
            batch = dict(_read(archive, wanted, window, failed))
            if batch:
                fused, scores = predictor(batch)
                tables.append(_rows(fused, scores))
                shapes |= {study: (own.image.shape[1], own.image.shape[0]) for study, own in batch.items()}
                found = shown(fused, threshold, max_boxes)
                if overlays:
                    _draw(folder / "overlays", batch, found)
                if results is not None:
                    failed += results.write(folder / "dicom", batch, found, scores)
            bar.update(len(wanted))
        summary = _write(folder, tables, failed, shapes, threshold, max_boxes)
    return summary


def _read(
    archive: Any, studies: Iterable[str], window: Mapping[str, Any], failed: list[dict[str, str]]
) -> Iterable[tuple[str, Study]]:
    for study in studies:
        try:
            rendering = study_to_uint8(archive.read(study), **window, study=study)
        except (StudyError, ValueError, OSError) as error:
            failed.append({"patientId": study, "reason": str(error)})
        else:
            yield study, Study(rendering.image, rendering.header.aspect)


def _rows(fused: pd.DataFrame, scores: pd.Series) -> pd.DataFrame:
    """One row a detection; a study without one keeps a row, for its score."""
    table = pd.DataFrame({"study": scores.index, "image_score": scores.to_numpy()})
    return table.merge(fused, on="study", how="left")


class _DicomResults:
    """Writes a batch's results as DICOM objects."""

    def __init__(
        self, archive: Any, models: Path, settings: Mapping[str, Any], threshold: float, capture: bool
    ) -> None:
        from pneumonia.reading_room.objects import findings, make

        make.require("highdicom")
        self.archive, self.threshold, self.capture = archive, threshold, capture
        self.algorithm = findings.this_algorithm(models, **settings)

    def write(
        self, folder: Path, images: Mapping[str, Study], found: pd.DataFrame, scores: pd.Series
    ) -> list[dict[str, str]]:
        """Returns patientId and reason of each study that has none."""
        from pneumonia.reading_room.objects import findings, make

        folder.mkdir(exist_ok=True)
        without = []
        for study, own in images.items():
            said = findings.of_study(found, study, float(scores[study]), self.threshold)
            data = self.archive.read(study)
            try:
                made = make.make(data, own.image, said, self.algorithm, capture=self.capture)
            except StudyError as error:
                without.append({"patientId": study, "reason": f"predicted, but not as DICOM: {error}"})
            else:
                make.write(folder, study, made)
        return without


def _draw(folder: Path, images: Mapping[str, Study], found: pd.DataFrame) -> None:
    from pneumonia.pictures import overlay, png

    folder.mkdir(exist_ok=True)
    for study, own in images.items():
        rows = found[found["study"] == study]
        boxes = rows[["x", "y", "width", "height", "score"]].to_numpy(np.float64, copy=True)
        boxes[:, 2:4] += boxes[:, :2]
        (folder / f"{study}.png").write_bytes(png(overlay(own.image, None, boxes)))


def _write(
    folder: Path,
    tables: Sequence[pd.DataFrame],
    failed: Sequence[Mapping[str, str]],
    shapes: Mapping[str, tuple[int, int]],
    threshold: float,
    max_boxes: int,
) -> dict[str, int]:
    from pneumonia.prediction import submission

    if failed:
        write_csv(folder / "failed.csv", pd.DataFrame(failed).sort_values("patientId"))
    columns = ["study", "image_score", "x", "y", "width", "height", "score"]
    table = pd.concat(tables, ignore_index=True)[columns] if tables else pd.DataFrame(columns=columns)
    frame = table.rename(columns={"study": "patientId"})
    places = {"image_score": 6, "x": 2, "y": 2, "width": 2, "height": 2, "score": 6}
    write_csv(folder / "detections.csv", frame, places)
    ids = list(shapes)
    built = submission.build(
        table.dropna(subset=["score"]), ids, sizes(shapes), threshold=threshold, max_boxes=max_boxes
    )
    submission.write(folder / "submission.csv", built)
    found = int((built["PredictionString"] != "").sum())
    return {"studies": len(ids), "with_findings": found, "failed": len(failed)}

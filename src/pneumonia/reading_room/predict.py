"""`pneumonia predict`: the trained models on new studies of a folder or a zip, which need no labels.

Has the studies read batch by batch in bounded memory; results are tables, pictures and DICOM objects. A study that cannot be
read is listed and the rest goes on.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path

import numpy as np
import pandas as pd
from tqdm import tqdm

from pneumonia.archive import Studies, open_studies
from pneumonia.files import fresh_dir, write_csv
from pneumonia.reading_room.ensemble import Study, sizes
from pneumonia.reading_room.objects import make
from pneumonia.reading_room.objects.findings import Findings
from pneumonia.reading_room.reader import Answer, Reader
from pneumonia.rejection import StudyError
from pneumonia.schema.boxes import BOX
from pneumonia.schema.predictions import DETECTIONS
from pneumonia.schema.results import SUBMISSION


def predict_new(
    source: Path,
    output: Path,
    load: Callable[[], Reader],
    *,
    batch_size: int,
    limit: int | None,
    overlays: bool,
    dicom: bool = False,
) -> dict[str, int]:
    """Have the DICOMs of `source` read and write the results to the folder `output`.

    Writes `submission.csv` (patientId, PredictionString), `detections.csv` (patientId, image_score, x, y, width, height,
    score: one row a fused detection, a study without one has a row with empty box), `failed.csv` (patientId, reason) where a
    study could not be read, and `overlays/<study>.png` in original size. With `dicom` also `dicom/<study>.sr.dcm`, `.pr.dcm`
    (and `.sc.dcm`): see `pneumonia.reading_room.objects`. Everything appears at once at the end.

    Arguments:
        source: a DICOM, a folder of them (searched through) or a zip of them.
        output: replaced whole.
        load: makes the reader, once there is something to read. Detections below its operating point are left out of
            `submission.csv`, of the overlays and of the objects.
        batch_size: studies read at once.
        limit: of studies, the first by id; None: all.

    Returns:
        The counts studies, with_findings, failed.

    Raises:
        ValueError: there is no study, or a model or a package is missing.
    """
    if dicom:
        make.require("highdicom")
    archive = open_studies(source)
    studies = list(islice(archive.studies, limit))
    aside = archive.duplicates | archive.unsafe  # what cannot be told apart, or named in a result
    if not studies and not aside:
        raise ValueError(f"{source}: no DICOM found")
    reader = load()
    failed = [{"patientId": name, "reason": reason} for name, reason in sorted(aside.items())]
    tables: list[pd.DataFrame] = []
    shapes: dict[str, tuple[int, int]] = {}

    with fresh_dir(output) as folder, tqdm(total=len(studies), desc="predict", unit="study", file=sys.stderr) as bar:
        for start in range(0, len(studies), batch_size):
            wanted = studies[start : start + batch_size]
            batch = dict(_read(reader, archive, wanted, failed))
            if batch:
                answer = reader.answer(batch)
                tables.append(_rows(answer))
                shapes |= {study: (own.image.shape[1], own.image.shape[0]) for study, own in batch.items()}
                if overlays:
                    _draw(folder / "overlays", batch, answer.findings)
                if dicom:
                    failed += _objects(folder / "dicom", reader, archive, batch, answer.findings)
            bar.update(len(wanted))
        summary = _write(folder, tables, failed, shapes, reader.threshold, reader.max_boxes)
    return summary


def _read(
    reader: Reader, archive: Studies, studies: Iterable[str], failed: list[dict[str, str]]
) -> Iterator[tuple[str, Study]]:
    for study in studies:
        try:
            own = reader.read(archive.read(study), study)
        except (StudyError, ValueError, OSError) as error:  # the last two where the zip is gone meanwhile
            failed.append({"patientId": study, "reason": str(error)})
        else:
            yield study, own


def _rows(answer: Answer) -> pd.DataFrame:
    """One row a detection; a study without one keeps a row, for its score."""
    table = pd.DataFrame({"study": answer.scores.index, "image_score": answer.scores.to_numpy()})
    return table.merge(answer.detections, on="study", how="left")


def _draw(folder: Path, batch: Mapping[str, Study], findings: Mapping[str, Findings]) -> None:
    from pneumonia.pictures import overlay, png

    folder.mkdir(exist_ok=True)
    for name, study in batch.items():
        boxes = np.c_[findings[name].boxes, findings[name].scores]
        boxes[:, 2:4] += boxes[:, :2]
        (folder / f"{name}.png").write_bytes(png(overlay(study.image, None, boxes)))


def _objects(
    folder: Path, reader: Reader, archive: Studies, batch: Mapping[str, Study], findings: Mapping[str, Findings]
) -> list[dict[str, str]]:
    """Write a batch's results as DICOM objects; returns patientId and reason of each study that has none."""
    folder.mkdir(exist_ok=True)
    without = []
    for name, study in batch.items():
        data = archive.read(name)
        try:
            made = reader.objects(data, study, findings[name])
        except StudyError as error:
            without.append({"patientId": name, "reason": f"predicted, but not as DICOM: {error}"})
        else:
            make.write(folder, name, made)
    return without


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
    columns = ["study", "image_score", *BOX, "score"]
    table = pd.concat(tables, ignore_index=True)[columns] if tables else pd.DataFrame(columns=columns)
    frame = table.rename(columns={"study": "patientId"})
    places = {"image_score": 6, **DETECTIONS.decimals}
    write_csv(folder / DETECTIONS.name, frame, places)
    ids = list(shapes)
    built = submission.build(
        table.dropna(subset=["score"]), ids, sizes(shapes), threshold=threshold, max_boxes=max_boxes
    )
    submission.write(folder / SUBMISSION, built)
    found = int((built["PredictionString"] != "").sum())
    return {"studies": len(ids), "with_findings": found, "failed": len(failed)}

"""What the models say of one image, and which models said it."""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from keraskit.boxes.arrays import xywh_to_xyxy
from pneumonia.prediction.calibration import NONE, Calibration
from pneumonia.schema.table import BOX

if TYPE_CHECKING:
    import pandas as pd
    from pydicom import Dataset

NAME = "pneumonia"
SCORE_DECIMALS, BOX_PARTS = 3, 4  # of what is stored: thousandths of a score, quarters of a pixel
WARNING = "Research use only. Not for diagnostic use."


@dataclass(frozen=True)
class Algorithm:
    """What made the findings.

    Attributes:
        version: of this project.
        digest: SHA-256 in hex over the models' files.
        settings: words on the params used.
    """

    version: str
    digest: str
    settings: str


@dataclass(frozen=True)
class Findings:
    """What counts of a study.

    Attributes:
        boxes: float `[N, 4]` x, y, width, height in pixels of the image as stored, best first.
        scores: `[N]`, 0 to 1.
        study_score: 0 to 1.
        threshold: the operating point, that each box's score reaches.
        notes: what was mended or chosen in the image that they were found in, in fixed sentences.
    """

    boxes: NDArray[np.float64]
    scores: NDArray[np.float64]
    study_score: float
    threshold: float
    notes: tuple[str, ...] = ()

    @property
    def words(self) -> str:
        """The answer in a word or two."""
        return "Opacity" if len(self.boxes) else "No opacity"

    @property
    def statement(self) -> str:
        """The answer with its numbers: boxes count by their own scores, not by the image's."""
        if len(self.boxes):
            return f"Opacity present: score {max(self.scores):.2f} (threshold {self.threshold:.2f})"
        return f"No opacity: image score {self.study_score:.2f} (threshold of boxes {self.threshold:.2f})"

    def corners(self) -> NDArray[np.float64]:
        """`[N, 5, 2]` (column, row): the outline of each box, its first corner again at the end."""
        x, y, right, bottom = xywh_to_xyxy(self.boxes).T
        return np.stack([np.stack(c, -1) for c in ((x, y), (right, y), (right, bottom), (x, bottom), (x, y))], axis=1)


def of_study(found: pd.DataFrame, study: str, score: float, threshold: float, notes: tuple[str, ...] = ()) -> Findings:
    """What stands of one study in a table, as exactly as it is the same in any company.

    A network rounds otherwise in a batch than alone, by 1e-6 of a score and 1e-3 of a pixel: what is stored of an image must
    not depend on which others were read with it.

    Arguments:
        found: study, x, y, width, height, score; best first of each study.
        score: of the study, 0 to 1.
        notes: see `Findings`.
    """
    rows = found[found["study"] == study]
    boxes = np.round(rows[BOX].to_numpy(np.float64) * BOX_PARTS) / BOX_PARTS
    scores = rows["score"].to_numpy(np.float64).round(SCORE_DECIMALS)
    return Findings(boxes, np.maximum(scores, threshold), round(score, SCORE_DECIMALS), threshold, notes)


def algorithm(models: Path, names: Sequence[str], release: str, settings: Mapping[str, Any]) -> Algorithm:
    """The models in the folder `models` that answer, told by the bytes of all their files, and the params beside them."""
    total = hashlib.sha256()
    for path in sorted(path for name in names for path in (models / name).rglob("*") if path.is_file()):
        with path.open("rb") as stream:
            content = hashlib.file_digest(stream, "sha256").hexdigest()
        total.update(f"{path.relative_to(models).as_posix()} {content}\n".encode())
    params = hashlib.sha256(json.dumps(settings, sort_keys=True, default=str).encode()).hexdigest()
    return Algorithm(release, total.hexdigest(), f"Params (SHA-256): {params}")


def this_algorithm(
    models: Path,
    *,
    names: Sequence[str],
    window: Mapping[str, Any],
    predict: Mapping[str, Any],
    ensemble: Mapping[str, Any],
    max_boxes: int,
    runtime: str,
    calibration: Calibration = NONE,
) -> Algorithm:
    """This project's version with the models in the folder `models` and all params that a result depends on.

    Whoever makes results asks here: the same models and params must give the same UIDs.

    Arguments:
        names: of the models that answer, of `pneumonia.schema.models.MODELS`.
        window, predict, ensemble: these sections of params.yaml as plain values.
        max_boxes: findings kept of a study.
        runtime: what runs the models, in words.
        calibration: of the score of a study; one that changes nothing is not told, as of models without one.
    """
    settings = {"window": window, "predict": predict, "ensemble": ensemble, "max_boxes": max_boxes}
    if calibration.method != NONE.method:
        settings["calibration"] = asdict(calibration)
    said = algorithm(models, names, version(NAME), settings)
    return replace(said, settings=f"{said.settings}; run by {runtime}")


def uid(*parts: str) -> str:
    """A UID that is a function of `parts` (PS3.5, B.2: 2.25 and a UUID), so that a rerun makes the same object."""
    return f"2.25.{uuid.uuid5(uuid.NAMESPACE_OID, chr(0).join((NAME, *parts))).int}"


def identity(source: Dataset, findings: Findings | None, algorithm: Algorithm, kind: str) -> dict[str, Any]:
    """What says of any object which image, models, params and operating point it comes from: arguments for highdicom.

    Its UIDs are those of a draft: `sealed` gives the last ones.

    Arguments:
        findings: None where the image was not analysed.
        kind: `SR`, `PR` or `SC`; each image's has a series of its own in the study: OHIF shows of a series of reports the last
            one alone.
    """
    made_by = (algorithm.version, algorithm.digest, algorithm.settings, f"{findings.threshold:.6f}" if findings else "")
    return {
        "series_instance_uid": uid(str(source.SOPInstanceUID), *made_by, "series", kind),
        "series_number": {"SR": 9001, "PR": 9002, "SC": 9003}[kind],
        "series_description": f"AI: {findings.words if findings else 'not analysed'}. {WARNING}",
        "sop_instance_uid": uid(str(source.SOPInstanceUID), *made_by, kind),
        "instance_number": 1,
        "manufacturer": NAME,
        "manufacturer_model_name": NAME,
        "software_versions": algorithm.version,
        "device_serial_number": algorithm.digest[:16],
    }


def sealed(made: Dataset) -> Dataset:
    """Give an object the UIDs of what it says: the same content has the same, and any other content others.

    Its series is of it alone, since one that is sent after a correction may name another patient.
    """
    from pydicom.filebase import DicomBytesIO
    from pydicom.filewriter import write_dataset

    stream = DicomBytesIO()
    stream.is_little_endian, stream.is_implicit_VR = True, False
    write_dataset(stream, made)
    made.SOPInstanceUID = uid(hashlib.sha256(stream.getvalue()).hexdigest())
    made.SeriesInstanceUID = uid(str(made.SOPInstanceUID), "series")
    made.file_meta.MediaStorageSOPInstanceUID = made.SOPInstanceUID
    return made

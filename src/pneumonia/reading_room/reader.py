"""A new study: read, predicted, answered, the same whether it comes from a folder or from a PACS.

A caller brings a file's bytes and a name, and takes the results where they belong: `pneumonia.reading_room.predict` to
tables and pictures, `pneumonia.reading_room.node.worker` to other nodes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pneumonia.dicom.windowing import study_to_uint8
from pneumonia.prediction.calibration import NONE, Calibration
from pneumonia.reading_room.ensemble import Ensemble, Study
from pneumonia.reading_room.objects import make
from pneumonia.reading_room.objects.findings import Algorithm, Findings, of_study, this_algorithm
from pneumonia.rejection import Reason, StudyError
from pneumonia.runtime.choice import KERAS, WORDS

if TYPE_CHECKING:
    import pandas as pd
    from pydicom import Dataset

Predict = Callable[[Mapping[str, Study]], "tuple[pd.DataFrame, pd.Series]"]  # as `Ensemble`, or what answers like it
Admit = Callable[[bytes, str], None]
BLANK = Study(np.zeros((64, 64), np.uint8), 1.0)  # a study on which models that work do not fail


@dataclass(frozen=True)
class Answer:
    """What is said of a batch of studies.

    Attributes:
        detections: study, x, y, width, height, score (original pixels), those below the operating point too.
        scores: of each study, by its name, 0 to 1.
        findings: by study: what counts of the detections.
    """

    detections: pd.DataFrame
    scores: pd.Series
    findings: dict[str, Findings]


@dataclass(frozen=True, kw_only=True)
class Reader:
    """Makes of a DICOM file a study, of studies an answer, and of an answer DICOM objects.

    Attributes:
        predict: the models.
        window: the section `images.window` of params.yaml as plain values.
        threshold: the operating point: the score from which a detection is a finding.
        max_boxes: best-scored findings that are kept of a study.
        algorithm: what the objects say of models and params.
        capture: whether a secondary capture is among the objects.
        admit: is given a file and its name, and raises StudyError where it is not to be read; None: every study is.
    """

    predict: Predict
    window: Mapping[str, Any]
    threshold: float
    max_boxes: int
    algorithm: Algorithm
    capture: bool = False
    admit: Admit | None = None

    @classmethod
    def load(
        cls,
        models: Path,
        *,
        names: Sequence[str],
        window: Mapping[str, Any],
        predict: Mapping[str, Any],
        ensemble: Mapping[str, Any],
        threshold: float,
        max_boxes: int,
        capture: bool = False,
        admit: Admit | None = None,
        runtime: str = KERAS,
        calibration: Calibration = NONE,
        threads: int = 0,
    ) -> Reader:
        """A reader with the models in the folder `models`.

        Arguments:
            threads: see `pneumonia.reading_room.ensemble.Ensemble`.
            models, runtime: of `pneumonia.runtime.choice.Choice`.
            names: of the models that answer, of `pneumonia.schema.models.MODELS`.
            window, predict, ensemble: these sections of params.yaml as plain values.
            threshold, max_boxes, capture, admit: see the class.
            calibration: of the score of a study.

        Raises:
            ValueError: a model is missing.
        """
        return cls(
            predict=Ensemble(
                models,
                names,
                predict=predict,
                ensemble=ensemble,
                runtime=runtime,
                calibration=calibration,
                threads=threads,
            ),
            window=window,
            threshold=threshold,
            max_boxes=max_boxes,
            algorithm=this_algorithm(
                models,
                names=names,
                window=window,
                predict=predict,
                ensemble=ensemble,
                max_boxes=max_boxes,
                runtime=WORDS[runtime],
                calibration=calibration,
            ),
            capture=capture,
            admit=admit,
        )

    def warm_up(self, batch: int) -> None:
        """Let the models compile for every size of a batch, so that no study waits for it: 1, 2, 4 up to `batch`."""
        for power in range((batch - 1).bit_length() + 1):
            self.predict({str(number): BLANK for number in range(2**power)})

    def read(self, data: bytes, name: str) -> Study:
        """A DICOM file as a study.

        Raises:
            StudyError: it cannot be read, or is not to be; nothing else is raised, whatever the file holds.
            MemoryError: there is too little memory, which is no fault of the file.
        """
        try:
            if self.admit is not None:
                self.admit(data, name)
            seen = study_to_uint8(data, **self.window, study=name)
        except (StudyError, MemoryError):
            raise
        except Exception as error:  # nobody foresaw it, so its text may hold anything, as a patient's name
            kind = type(error).__name__
            raise StudyError(Reason.UNREADABLE, f"an error that was not foreseen ({kind})", discreet=kind) from error
        return Study(seen.image, seen.header.aspect, seen)

    def answer(self, studies: Mapping[str, Study]) -> Answer:
        """What the models see in a batch of studies, and what of it counts."""
        detections, scores = self.predict(studies)
        counting = detections[detections["score"] >= self.threshold]
        counting = counting.groupby("study", sort=False).head(self.max_boxes)
        said: dict[str, Findings] = {}
        for name, study in studies.items():
            notes = study.rendering.notes if study.rendering else ()
            said[name] = of_study(counting, name, float(scores[name]), self.threshold, notes)
        return Answer(detections, scores, said)

    def objects(self, data: bytes, study: Study, findings: Findings) -> dict[str, Dataset]:
        """The findings of one study as DICOM objects, which `pneumonia.reading_room.objects.make.write` writes.

        Arguments:
            data: the file that `study` was read from.

        Raises:
            StudyError: the file names no study or image that an object could refer to.
        """
        return make.make(
            data,
            study.image,
            findings,
            self.algorithm,
            capture=self.capture,
            rendering=study.rendering,
            choice=self.window.get("choice", 1),
        )


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """All that a reader is made of, as plain values: another process makes the same of it.

    Attributes:
        models, names, runtime, window, predict, ensemble, threshold, max_boxes, capture, calibration: see `Reader.load`.
        wanted: is given a file and raises StudyError where it is not to be read; None: every file is.
    """

    models: Path
    names: Sequence[str]
    runtime: str
    window: Mapping[str, Any]
    predict: Mapping[str, Any]
    ensemble: Mapping[str, Any]
    threshold: float
    max_boxes: int
    capture: bool = False
    calibration: Calibration = NONE
    wanted: Callable[[bytes], None] | None = None

    def load(self, threads: int = 0) -> Reader:
        """A reader; see `Reader.load`."""
        wanted = self.wanted
        return Reader.load(
            self.models,
            names=self.names,
            window=self.window,
            predict=self.predict,
            ensemble=self.ensemble,
            calibration=self.calibration,
            threshold=self.threshold,
            max_boxes=self.max_boxes,
            capture=self.capture,
            admit=None if wanted is None else lambda data, name: wanted(data),
            runtime=self.runtime,
            threads=threads,
        )

    def algorithm(self) -> Algorithm:
        """What `load` would say of models and params."""
        return this_algorithm(
            self.models,
            names=self.names,
            window=self.window,
            predict=self.predict,
            ensemble=self.ensemble,
            calibration=self.calibration,
            max_boxes=self.max_boxes,
            runtime=WORDS[self.runtime],
        )

"""Fuse the detectors' boxes and the classifier's scores: data/predictions -> data/ensemble."""

from __future__ import annotations

from pathlib import Path

from pneumonia import params
from pneumonia.prediction.fusion import fuse
from pneumonia.prediction.tables import DETECTORS, read_detections, read_scores, same_studies, write_predictions

PREDICTIONS = Path("data/predictions")


def main() -> None:
    p = params.load().ensemble
    scores = {model: read_scores(PREDICTIONS / model) for model in ("classifier", *DETECTORS)}
    detections = {model: read_detections(PREDICTIONS / model) for model in DETECTORS}
    studies = same_studies(scores)
    fused = fuse(detections, scores["classifier"], studies, **p.values())
    write_predictions("data/ensemble", fused.detections, fused.scores)
    print(f"{len(fused.detections)} boxes in {fused.detections['study'].nunique()} of {len(studies)} studies")


if __name__ == "__main__":
    main()

"""Fuse the detectors' boxes and the classifier's scores: data/predictions -> data/ensemble."""

from __future__ import annotations

from pathlib import Path

from pneumonia import params
from pneumonia.prediction import fusion
from pneumonia.prediction.tables import DETECTORS, read_detections, read_scores, same_studies, write_predictions

PREDICTIONS = Path("data/predictions")


def main() -> None:
    options = fusion.options(params.load().ensemble.values())
    scores = {model: read_scores(PREDICTIONS / model) for model in ("classifier", *DETECTORS)}
    detections = {model: read_detections(PREDICTIONS / model) for model in DETECTORS}
    studies = same_studies(scores)
    fused = fusion.fuse(detections, scores["classifier"], studies, **options)
    merge_options = {key: options[key] for key in ("strategy", "iou", "weights", "thresholds")}
    merged = fusion.merge(detections, studies, **merge_options)
    write_predictions("data/ensemble", fused, fusion.study_scores(merged, scores["classifier"], studies))
    print(f"{len(fused)} boxes in {fused['study'].nunique()} of {len(studies)} studies")


if __name__ == "__main__":
    main()

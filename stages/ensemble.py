"""Fuse the detectors' boxes and the classifier's scores: data/predictions -> data/ensemble."""

from __future__ import annotations

from pneumonia import params
from pneumonia.prediction import fusion
from pneumonia.prediction.tables import read_detections, read_scores, same_studies, write_predictions
from pneumonia.schema.models import CLASSIFIER, DETECTORS, FOLDERS, MODELS
from pneumonia.schema.predictions import FUSED


def main() -> None:
    options = fusion.options(params.load().ensemble.values())
    scores = {model: read_scores(FOLDERS[model]) for model in MODELS}
    detections = {model: read_detections(FOLDERS[model]) for model in DETECTORS}
    studies = same_studies(scores)
    fused = fusion.fuse(detections, scores[CLASSIFIER], studies, **options)
    merge_options = {key: options[key] for key in ("strategy", "iou", "weights", "thresholds")}
    merged = fusion.merge(detections, studies, **merge_options)
    write_predictions(FUSED, fused, fusion.study_scores(merged, scores[CLASSIFIER], studies))
    print(f"{len(fused)} boxes in {fused['study'].nunique()} of {len(studies)} studies")


if __name__ == "__main__":
    main()

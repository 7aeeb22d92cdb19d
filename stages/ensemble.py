"""Fuse the detectors' boxes and the classifier's scores: data/predictions -> data/ensemble."""

from __future__ import annotations

from pneumonia import params
from pneumonia.prediction.fusion import fuse
from pneumonia.prediction.tables import read_detections, read_scores, same_studies, write_predictions
from pneumonia.schema.models import CLASSIFIER, FOLDERS, has_boxes
from pneumonia.schema.predictions import FUSED


def main() -> None:
    p = params.load()
    scores = {model: read_scores(FOLDERS[model]) for model in p.answering}
    detections = {model: read_detections(FOLDERS[model]) for model in p.answering if has_boxes(model)}
    studies = same_studies(scores)
    fused = fuse(detections, scores[CLASSIFIER], studies, **p.ensemble.values())
    write_predictions(FUSED, fused.detections, fused.scores)
    print(f"{len(fused.detections)} boxes in {fused.detections['study'].nunique()} of {len(studies)} studies")


if __name__ == "__main__":
    main()

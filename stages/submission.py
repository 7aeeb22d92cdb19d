"""Fuse the test predictions as `ensemble` does the labelled ones and write the challenge's CSV: submission.csv."""

from __future__ import annotations

from pneumonia import params
from pneumonia.files import write_json
from pneumonia.prediction import fusion, submission
from pneumonia.prediction.tables import image_sizes, read_detections, read_scores
from pneumonia.schema import data, predictions, raw, results
from pneumonia.schema.models import CLASSIFIER, has_boxes
from pneumonia.sources.labels import read_ids


def main() -> None:
    p = params.load()
    ids = read_ids(f"{raw.TEST_FOLDER}/{raw.SAMPLE_SUBMISSION}")
    sizes = image_sizes(f"{data.TEST_IMAGES}/{p.maskrcnn.image_size}/{data.INDEX.name}")
    folder = predictions.TEST_PREDICTIONS
    detections = {model: read_detections(f"{folder}/{model}") for model in p.answering if has_boxes(model)}
    scores = read_scores(f"{folder}/{CLASSIFIER}")
    fused = fusion.fuse(detections, scores, ids, **p.ensemble.values()).detections

    max_boxes, threshold = p.submission.max_boxes, p.submission.threshold
    if threshold == "auto":
        split = data.SPLIT.read(columns=("study", "subset"))
        validation = split["study"][split["subset"] == "validation"].tolist()
        threshold = submission.best_threshold(
            read_detections(predictions.FUSED), data.BOXES.read(), validation, max_boxes
        )

    frame = submission.build(fused, ids, sizes, threshold=threshold, max_boxes=max_boxes)
    submission.check(frame, ids, sizes)
    submission.write(results.SUBMISSION, frame)
    counts = submission.summary(frame, threshold)
    write_json(results.SUBMISSION_METRICS, counts)
    print(f"{counts['boxes']} boxes in {counts['studies_with_boxes']} of {counts['studies']} studies")


if __name__ == "__main__":
    main()

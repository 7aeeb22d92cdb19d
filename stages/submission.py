"""Fuse the test predictions as `ensemble` does the labelled ones and write the challenge's CSV: submission.csv."""

from __future__ import annotations

from pathlib import Path

from pneumonia import params
from pneumonia.files import read_csv, write_json
from pneumonia.prediction import fusion, submission
from pneumonia.prediction.tables import BOX_COLUMNS, DETECTORS, image_sizes, read_detections, read_scores
from pneumonia.sources.labels import read_ids

PREDICTIONS = Path("data/predictions_test")


def main() -> None:
    p = params.load()
    ids = read_ids("data/raw_test/sample_submission.csv")
    sizes = image_sizes(f"data/images_test/{p.maskrcnn.image_size}/index.csv")
    detections = {model: read_detections(PREDICTIONS / model) for model in DETECTORS}
    scores = read_scores(PREDICTIONS / "classifier")
    fused = fusion.fuse(detections, scores, ids, **p.ensemble.values()).detections

    max_boxes, threshold = p.submission.max_boxes, p.submission.threshold
    if threshold == "auto":
        split = read_csv("data/split/split.csv", {"study": "str", "subset": "str"})
        validation = split["study"][split["subset"] == "validation"].tolist()
        boxes = read_csv("data/clean/boxes.csv", BOX_COLUMNS)
        threshold = submission.best_threshold(read_detections("data/ensemble"), boxes, validation, max_boxes)

    frame = submission.build(fused, ids, sizes, threshold=threshold, max_boxes=max_boxes)
    submission.check(frame, ids, sizes)
    submission.write("submission.csv", frame)
    counts = submission.summary(frame, threshold)
    write_json("metrics/submission.json", counts)
    print(f"{counts['boxes']} boxes in {counts['studies_with_boxes']} of {counts['studies']} studies")


if __name__ == "__main__":
    main()

"""How an epoch of a detector is validated, and what is reported."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from pneumonia.training import detection

NONE, BOX = np.zeros((0, 4), np.float32), np.array([[0, 0, 4, 4]], np.float32)


def test_corners_are_those_of_the_studies_in_order():
    boxes = {"b": np.array([[1, 1, 2, 2]], np.float32), "a": np.array([[0, 0, 3, 3]], np.float32)}
    assert detection.corners_of(boxes).tolist() == [[0, 0, 3, 3], [1, 1, 2, 2]]
    assert detection.corners_of({}).shape == (0, 4)


class Store:
    def batch(self, studies):
        return np.stack([np.full((8, 8), study == "ill", np.uint8) for study in studies])


def data(*validation, train=(), mosaics=0.0):
    boxes = {"ill": BOX, "well": NONE}
    return SimpleNamespace(
        store=Store(),
        validation=pd.DataFrame({"study": validation}),
        validation_boxes={study: boxes[study] for study in validation},
        train_boxes=dict(enumerate(train)),
        mosaics=mosaics,
    )


def perfect(images, score_floor, nms_iou, max_detections):
    return [np.array([[0, 0, 4, 4, 0.9]], np.float32) if image.any() else np.zeros((0, 5)) for image in images]


def test_validation_is_the_ap_and_absent_without_boxes():
    by_ap = detection.validation(perfect, data("ill", "well"), "ap50", lambda: 7.0)
    assert by_ap[1:] == ("val_ap50", "max")
    assert by_ap.validate() == {"val_ap50": pytest.approx(1.0)}
    by_loss = detection.validation(perfect, data("ill", "well"), "loss", lambda: 7.0)
    assert by_loss[1:] == ("val_loss", "min")
    assert by_loss.validate() == {"val_ap50": pytest.approx(1.0), "val_loss": 7.0}
    assert detection.validation(perfect, data("well"), "loss", lambda: 7.0) == (None, "loss", "min")


def test_most_boxes_is_at_least_one():
    assert detection.most_boxes(data("well")) == 1
    assert detection.most_boxes(data("ill", train=[NONE, np.repeat(BOX, 3, axis=0)])) == 3
    assert detection.most_boxes(data("ill", train=[NONE, np.repeat(BOX, 3, axis=0)], mosaics=0.1)) == 12


def test_metrics_are_those_of_the_best_epoch():
    row = {"epoch": 1, "loss": 2.0, "val_ap50": 0.3}
    assert detection.metrics(row, data(train=[BOX, NONE])) == {"ap50": 0.3, "train_positives": 1}
    assert detection.metrics({"epoch": 1, "loss": 2.0}, data()) == {"ap50": None, "train_positives": 0}

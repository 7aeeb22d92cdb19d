"""How an epoch of a detector is validated, and what is reported."""

import numpy as np
import pytest

from pneumonia.training import detection


def test_corners_are_those_of_the_studies_in_order():
    boxes = {"b": np.array([[1, 1, 2, 2]], np.float32), "a": np.array([[0, 0, 3, 3]], np.float32)}
    assert detection.corners_of(boxes).tolist() == [[0, 0, 3, 3], [1, 1, 2, 2]]
    assert detection.corners_of({}).shape == (0, 4)


class Perfect:
    image_size = 8

    def detect(self, images, score_floor, nms_iou, max_detections):
        return [np.array([[0, 0, 4, 4, 0.9]], np.float32) if image.any() else np.zeros((0, 5)) for image in images]


class Store:
    def batch(self, studies):
        return np.stack([np.full((8, 8), study == "ill", np.uint8) for study in studies])


def test_validation_is_the_ap_and_absent_without_boxes():
    none, box = np.zeros((0, 4), np.float32), np.array([[0, 0, 4, 4]], np.float32)
    truths = {"ill": box, "well": none}
    by_ap = detection.validation(Perfect().detect, Store(), ["ill", "well"], truths, "ap50", lambda: 7.0)
    assert by_ap[1:] == ("val_ap50", "max")
    assert by_ap.validate() == {"val_ap50": pytest.approx(1.0)}
    by_loss = detection.validation(Perfect().detect, Store(), ["ill", "well"], truths, "loss", lambda: 7.0)
    assert by_loss[1:] == ("val_loss", "min")
    assert by_loss.validate() == {"val_ap50": pytest.approx(1.0), "val_loss": 7.0}
    assert detection.validation(Perfect().detect, Store(), ["well"], truths, "loss", lambda: 7.0) == (
        None,
        "loss",
        "min",
    )


def test_metrics_are_those_of_the_best_epoch():
    history = [{"epoch": 1, "loss": 2.0, "val_ap50": 0.3}, {"epoch": 2, "loss": 1.0, "val_ap50": 0.2}]
    boxes = {"a": np.zeros((1, 4), np.float32), "b": np.zeros((0, 4), np.float32)}
    assert detection.training_metrics(history, detection.Validation(None, "val_ap50", "max"), boxes) == {
        "ap50": 0.3,
        "loss": 2.0,
        "best_epoch": 1,
        "epochs": 2,
        "train_studies": 2,
        "train_positives": 1,
    }

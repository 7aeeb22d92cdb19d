"""Flip averaging, and the tables that predictions become."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pneumonia.prediction import inference
from pneumonia.prediction.inference import classify, detect, merge_views, mirror, write_scores

OPTIONS = {"score_floor": 0.1, "nms_iou": 0.3, "max_detections": 5}


def rows(*values):
    return np.array(values, np.float32).reshape(-1, 5)


def test_mirror_by_hand():
    np.testing.assert_allclose(mirror(rows([10, 20, 30, 40, 0.5]), 100), [[70, 20, 90, 40, 0.5]])


@given(st.lists(st.tuples(*[st.integers(0, 50)] * 5), max_size=5))
def test_mirrored_twice_is_the_same(values):
    detections = rows(*[(x, y, x + w + 1, y + h + 1, s / 50) for x, y, w, h, s in values])
    np.testing.assert_allclose(mirror(mirror(detections, 128), 128), detections)


def test_pair_becomes_the_weighted_mean():
    # IoU of 10 x 10 boxes 2 apart: 80 / 120. Corners weighted 3 to 1: 0 + 2 / 4.
    merged = merge_views(rows([0, 0, 10, 10, 0.6]), rows([2, 0, 12, 10, 0.2]), **OPTIONS)
    np.testing.assert_allclose(merged, [[0.5, 0, 10.5, 10, 0.4]], rtol=1e-6)


def test_seen_once_counts_half_and_the_floor_holds():
    merged = merge_views(rows([0, 0, 10, 10, 0.6], [50, 50, 60, 60, 0.18]), rows(), **OPTIONS)
    np.testing.assert_allclose(merged, [[0, 0, 10, 10, 0.3]])


def test_best_overlap_pairs_first():
    first = rows([0, 0, 10, 10, 0.8])
    second = rows([3, 0, 13, 10, 0.9], [1, 0, 11, 10, 0.4])
    # The second box of the other view overlaps more; what is left over is suppressed by the pair (IoU > 0.3).
    merged = merge_views(first, second, **OPTIONS)
    np.testing.assert_allclose(merged, [[1 / 3, 0, 10 + 1 / 3, 10, 0.6]], rtol=1e-6)


def test_limit_and_order():
    first = rows(*[[20 * i, 0, 20 * i + 10, 10, 0.2 + 0.1 * i] for i in range(7)])
    merged = merge_views(first, first, **OPTIONS)
    np.testing.assert_allclose(merged[:, 4], [0.8, 0.7, 0.6, 0.5, 0.4], rtol=1e-6)


def test_symmetric_in_the_views():
    rng = np.random.default_rng(3)
    corner = rng.uniform(0, 80, (12, 2))
    boxes = np.hstack([corner, corner + rng.uniform(5, 40, (12, 2)), rng.uniform(0.2, 1, (12, 1))]).astype(np.float32)
    np.testing.assert_allclose(
        merge_views(boxes[:6], boxes[6:], **OPTIONS), merge_views(boxes[6:], boxes[:6], **OPTIONS), rtol=1e-5
    )


class Store:
    """Studies "0", "1", ...: one bright pixel at column and row of the number; original pixels are twice as large."""

    size = 64

    def __init__(self, count=3):
        self.index = pd.DataFrame(index=[str(i) for i in range(count)])

    def batch(self, studies):
        images = np.zeros((len(studies), 64, 64), np.uint8)
        for image, study in zip(images, studies, strict=True):
            image[int(study), int(study)] = 255
        return images

    def to_original(self, study, boxes):
        boxes = np.asarray(boxes).reshape(-1, 4)
        return np.concatenate([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]], axis=1) * 2


class Detector:
    """A box of 10 x 20 at the bright pixel, if that is in the left half: sees a study one way round only."""

    image_size = 64

    def __init__(self, both=False):
        self.both = both

    def detect(self, images, score_floor, nms_iou, max_detections):
        found = []
        for image in images:
            y, x = np.argwhere(image)[0]
            mirrored = x >= 32
            left = x + 1 - 10 if mirrored else x
            found.append(rows([left, y, left + 10, y + 20, 0.6]) if self.both or not mirrored else rows())
        return found


def test_detections_in_original_pixels():
    table = detect(Detector(), Store(), ["0", "2"], **OPTIONS, flip=False, batch_size=16)
    assert list(table.columns) == ["study", "x", "y", "width", "height", "score"]
    assert table["study"].tolist() == ["0", "2"]
    np.testing.assert_allclose(table[["x", "y", "width", "height"]], [[0, 0, 20, 40], [4, 4, 20, 40]])
    np.testing.assert_allclose(table["score"], 0.6)


def test_flip_averages():
    once = detect(Detector(), Store(), ["2"], **OPTIONS, flip=True, batch_size=2)
    twice = detect(Detector(both=True), Store(), ["2"], **OPTIONS, flip=True, batch_size=2)
    np.testing.assert_allclose(once[["x", "y", "width", "height", "score"]], [[4, 4, 20, 40, 0.3]], rtol=1e-6)
    np.testing.assert_allclose(twice[["x", "y", "width", "height", "score"]], [[4, 4, 20, 40, 0.6]], rtol=1e-6)


class Classifier:
    image_size = 64

    def predict(self, images):
        """Score: share of the bright pixel's column; map: where it is, by halves."""
        columns = images.argmax(axis=2).max(axis=1)
        cam = images.reshape(-1, 2, 32, 2, 32).sum((2, 4), dtype=np.float64) / 255
        return (columns / 63).astype(np.float32), cam.astype(np.float32)


def test_classifier_with_flip():
    scores, cam = classify(Classifier(), Store(), ["0", "1", "2"], flip=True, batch_size=2)
    np.testing.assert_allclose(scores, 0.5)  # c / 63 and (63 - c) / 63
    np.testing.assert_array_equal(cam, np.tile([[1, 0], [0, 0]], (3, 1, 1)))  # the mirrored map is turned back
    assert cam.dtype == np.float16


@pytest.mark.parametrize("name", ["classifier", "yolo"])
def test_files(tmp_path, monkeypatch, name):
    model = Classifier() if name == "classifier" else Detector()
    monkeypatch.setattr(inference, "load", lambda name, folder: model)
    monkeypatch.setattr(inference, "ShardStore", lambda folder: Store(45) if folder.name == "64" else None)
    wanted = None if name == "classifier" else ["40", "2"]
    count = inference.predict_studies(
        name, tmp_path, tmp_path, wanted, tmp_path / "out", **OPTIONS, flip=False, batch_size=16
    )
    written = {path.name: path for path in (tmp_path / "out").iterdir()}
    if name == "classifier":
        assert count == 45
        assert sorted(written) == ["cam.npy", "scores.csv"]
        assert written["scores.csv"].read_text().splitlines()[:3] == ["study,score", "0,0.000000", "1,0.015873"]
        assert np.load(written["cam.npy"]).shape == (45, 2, 2)
    else:
        assert count == 2
        assert written["scores.csv"].read_text() == "study,score\n2,0.600000\n40,0.000000\n"
        assert written["detections.csv"].read_text() == (
            "study,x,y,width,height,score\n2,4.00,4.00,20.00,40.00,0.600000\n"
        )


def test_no_detections_at_all(tmp_path):
    table = detect(Detector(), Store(), [], **OPTIONS, flip=True, batch_size=2)
    assert len(table) == 0
    assert inference.best_scores(table, ["b", "a"]).to_dict() == {"a": 0.0, "b": 0.0}


def test_unknown_model():
    with pytest.raises(ValueError, match=r"there is no model 'vgg': no module pneumonia\.models\.vgg"):
        inference.load("vgg", None)


def test_scores_are_written_in_order(tmp_path):
    write_scores(tmp_path / "out", ["a", "b"], np.array([0.25, 1.0], np.float32), np.zeros((2, 1, 1), np.float16))
    assert (tmp_path / "out" / "scores.csv").read_text() == "study,score\na,0.250000\nb,1.000000\n"

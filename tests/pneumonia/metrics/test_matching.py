"""Matching of all studies at once, against the one-image reference."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from keraskit.average_precision import match, ranked_average_precision
from pneumonia.metrics.matching import assigned, box_table, found, ranked

BOX = ["study", "x", "y", "width", "height"]


def random_table(seed, studies=60):
    rng = np.random.default_rng(seed)
    truth, detections = [], []
    for number in range(studies):
        count = rng.integers(0, 5)
        boxes = np.c_[rng.uniform(0, 300, (count, 2)), rng.uniform(40, 200, (count, 2))]
        near = boxes + rng.normal(0, 15, boxes.shape)
        other = np.c_[rng.uniform(0, 300, (3, 2)), rng.uniform(40, 200, (3, 2))]
        truth += [(f"s{number:02d}", *row) for row in boxes]
        for row in [*near, *other]:
            detections.append((f"s{number:02d}", *np.r_[row[:2], np.maximum(row[2:], 5)], rng.uniform()))
    return pd.DataFrame(truth, columns=BOX), pd.DataFrame(detections, columns=[*BOX, "score"])


@pytest.mark.parametrize("seed", range(5))
def test_equals_the_reference(seed):
    truth, detections = random_table(seed)
    studies = [f"s{i:02d}" for i in range(60)]

    def corners(frame, study, *more):
        rows = frame[frame["study"] == study]
        x, y = rows["x"], rows["y"]
        return np.c_[x, y, x + rows["width"], y + rows["height"], *(rows[name] for name in more)]

    expected = match([corners(detections, s, "score") for s in studies], [corners(truth, s) for s in studies])
    result = ranked(box_table(studies, detections, truth))
    np.testing.assert_array_equal(result.score, expected.score)
    np.testing.assert_array_equal(result.image, expected.image)
    np.testing.assert_array_equal(result.true_positive, expected.true_positive)
    np.testing.assert_array_equal(result.truths, expected.truths)
    assert ranked_average_precision(result) == pytest.approx(ranked_average_precision(expected))


def test_a_truth_box_is_taken_once_and_strict_means_above():
    truth = pd.DataFrame([("a", 0, 0, 10, 10)], columns=BOX)
    detections = pd.DataFrame([("a", 0, 0, 10, 5, 0.9), ("a", 0, 0, 10, 10, 0.8)], columns=[*BOX, "score"])
    table = box_table(["a"], detections, truth)
    assert table.overlaps.ravel().tolist() == [0.5, 1.0]
    assert found(table, [0.5], strict=False).tolist() == [[True, False]]
    assert found(table, [0.5], strict=True).tolist() == [[False, True]]
    assert assigned(table, [0.5, 0.9], strict=True).tolist() == [[-1, 0], [-1, 0]]


def test_counts_highest_and_top():
    detections = pd.DataFrame(
        [("b", 0, 0, 9, 9, 0.2), ("b", 0, 0, 9, 9, 0.7), ("x", 0, 0, 9, 9, 0.9)], columns=[*BOX, "score"]
    )
    table = box_table(["a", "b"], detections, pd.DataFrame(columns=BOX))
    assert table.score.tolist() == [0.7, 0.2]  # x is not asked for
    assert table.rank.tolist() == [0, 1]
    assert table.highest().tolist() == [0.0, 0.7]
    assert table.count(0.2).tolist() == [0, 2]
    assert table.count(0.21).tolist() == [0, 1]
    assert table.top(1).score.tolist() == [0.7]
    assert found(table, [0.5], strict=False).tolist() == [[False, False]]


def test_repeated_studies_are_refused():
    with pytest.raises(ValueError, match="got 1 repeats"):
        box_table(["a", "a"], pd.DataFrame(columns=[*BOX, "score"]), pd.DataFrame(columns=BOX))

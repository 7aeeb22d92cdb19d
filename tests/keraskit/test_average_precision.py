"""Average precision: hand-worked cases, and pycocotools on random ones."""

from __future__ import annotations

import contextlib
import io
import math

import numpy as np
import pytest

from keraskit.average_precision import (
    COCO_IOUS,
    average_precision,
    match,
    match_overlaps,
    ranked_average_precision,
)


def corners(*boxes):
    return np.array(boxes, float)


def test_perfect_detections_score_one():
    truth = [corners([0, 0, 10, 10]), corners([5, 5, 20, 20])]
    found = [np.c_[box, [0.9]] for box in truth]
    assert average_precision(found, truth) == pytest.approx(1.0)


def test_one_of_two_boxes_found_reaches_51_of_101_recall_points():
    # Recall stops at 0.5 with precision 1: the points 0.00 ... 0.50 count, that is 51 of 101.
    truth = [corners([0, 0, 10, 10], [50, 50, 60, 60])]
    assert average_precision([corners([0, 0, 10, 10, 0.9])], truth) == pytest.approx(51 / 101)


def test_a_false_alarm_ranked_above_a_hit_halves_the_precision():
    truth = [corners([0, 0, 10, 10]), np.zeros((0, 4))]
    found = [corners([0, 0, 10, 10, 0.5]), corners([0, 0, 9, 9, 0.8])]
    assert average_precision(found, truth) == pytest.approx(0.5)


def test_a_false_alarm_ranked_below_the_last_hit_costs_nothing():
    truth = [corners([0, 0, 10, 10]), np.zeros((0, 4))]
    found = [corners([0, 0, 10, 10, 0.5]), corners([0, 0, 9, 9, 0.2])]
    assert average_precision(found, truth) == pytest.approx(1.0)


def test_a_second_detection_of_one_truth_is_a_false_alarm():
    matches = match([corners([0, 0, 10, 10, 0.8], [0, 0, 10, 9, 0.9])], [corners([0, 0, 10, 10])])
    assert matches.score.tolist() == [0.9, 0.8]
    assert matches.true_positive.tolist() == [True, False]


def test_overlap_at_the_threshold_counts():
    # 10x10 against 10x5: IoU is exactly 0.5.
    assert average_precision([corners([0, 0, 10, 5, 0.9])], [corners([0, 0, 10, 10])], iou=0.5) == pytest.approx(1.0)
    assert average_precision([corners([0, 0, 10, 5, 0.9])], [corners([0, 0, 10, 10])], iou=0.55) == 0.0


def test_empty_cases():
    assert math.isnan(average_precision([[]], [[]]))
    assert math.isnan(average_precision([corners([0, 0, 1, 1, 0.5])], [[]]))
    assert average_precision([[]], [corners([0, 0, 1, 1])]) == 0.0
    assert math.isnan(average_precision([], []))


def test_only_the_best_detections_of_an_image_are_looked_at():
    found = [corners([50, 50, 60, 60, 0.9], [0, 0, 10, 10, 0.8])]
    truth = [corners([0, 0, 10, 10])]
    assert average_precision(found, truth, max_detections=1) == 0.0
    assert average_precision(found, truth, max_detections=2) == pytest.approx(0.5)


def test_greedy_assignment_and_ties():
    assert match_overlaps(np.array([[0.6, 0.7], [0.2, 0.9]]), 0.5).tolist() == [1, -1]
    assert match_overlaps(np.array([[0.7, 0.7], [0.6, 0.6]]), 0.5).tolist() == [1, 0]
    assert match_overlaps(np.array([[1.0]]), 1.0).tolist() == [0]


def test_weights_count_an_image_that_often():
    truth = [corners([0, 0, 10, 10]), corners([0, 0, 10, 10], [20, 20, 30, 30]), np.zeros((0, 4))]
    found = [corners([0, 0, 10, 10, 0.9]), corners([0, 0, 10, 10, 0.4]), corners([0, 0, 9, 9, 0.6])]
    repeated = [0, 0, 1, 1, 1, 2]
    expected = average_precision([found[i] for i in repeated], [truth[i] for i in repeated])
    assert ranked_average_precision(match(found, truth), np.array([2.0, 3.0, 1.0])) == pytest.approx(expected)


def test_wrong_shapes_are_named():
    with pytest.raises(ValueError, match=r"detections\[0\] must be \[n, 5\], got \[1, 4\]"):
        average_precision([corners([0, 0, 1, 1])], [[]])
    with pytest.raises(ValueError, match="got 1 and 0"):
        average_precision([[]], [])


def random_case(seed, images=40):
    """Truth boxes, and detections of which half are jittered truth boxes; scores of one decimal make many ties."""
    rng = np.random.default_rng(seed)
    detections, truths = [], []
    for _ in range(images):
        corner = rng.uniform(0, 300, (rng.integers(0, 5), 2))
        truth = np.c_[corner, corner + rng.uniform(20, 200, corner.shape)]
        other = rng.uniform(0, 300, (rng.integers(0, 6), 2))
        other = np.c_[other, other + rng.uniform(20, 200, other.shape)]
        boxes = np.concatenate([truth + rng.normal(0, 12, truth.shape), truth + rng.normal(0, 30, truth.shape), other])
        boxes[:, 2:] = np.maximum(boxes[:, 2:], boxes[:, :2] + 1)
        scores = rng.uniform(0, 1, len(boxes))
        detections.append(np.c_[boxes, scores.round(1) if seed % 2 else scores])
        truths.append(truth)
    return detections, truths


def coco_stats(detections, truths):
    coco = pytest.importorskip("pycocotools.coco", reason="pycocotools is the reference here")
    from pycocotools.cocoeval import COCOeval

    def rows(arrays, scored):
        result = []
        for image, array in enumerate(arrays, 1):
            for x1, y1, x2, y2, *score in array.tolist():
                row = {"image_id": image, "category_id": 1, "bbox": [x1, y1, x2 - x1, y2 - y1]}
                row |= {"score": score[0]} if scored else {"area": (x2 - x1) * (y2 - y1), "iscrowd": 0}
                result.append({**row, "id": len(result) + 1})
        return result

    with contextlib.redirect_stdout(io.StringIO()):
        reference = coco.COCO()
        reference.dataset = {
            "images": [{"id": i + 1} for i in range(len(truths))],
            "categories": [{"id": 1, "name": "opacity"}],
            "annotations": rows(truths, scored=False),
        }
        reference.createIndex()
        result = COCOeval(reference, reference.loadRes(rows(detections, scored=True)), "bbox")
        result.evaluate()
        result.accumulate()
        result.summarize()
    return result.stats


@pytest.mark.parametrize("seed", range(8))
def test_equals_pycocotools(seed):
    detections, truths = random_case(seed)
    stats = coco_stats(detections, truths)
    every = [average_precision(detections, truths, iou) for iou in COCO_IOUS]
    assert np.mean(every) == pytest.approx(stats[0], abs=1e-6)
    assert average_precision(detections, truths, 0.5) == pytest.approx(stats[1], abs=1e-6)
    assert average_precision(detections, truths, 0.75) == pytest.approx(stats[2], abs=1e-6)


def test_order_of_the_images_does_not_matter():
    detections, truths = random_case(2)
    order = np.random.default_rng(0).permutation(len(truths))
    shuffled = average_precision([detections[i] for i in order], [truths[i] for i in order])
    assert shuffled == pytest.approx(average_precision(detections, truths), abs=1e-12)

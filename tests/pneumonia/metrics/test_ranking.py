"""Average precision and FROC under weights: hand-worked, pycocotools for AP and its sizes, the curve for FROC."""

from __future__ import annotations

import contextlib
import io
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keraskit.average_precision import ranked_average_precision
from pneumonia.metrics.froc import RATES, froc
from pneumonia.metrics.matching import box_table, ranked
from pneumonia.metrics.ranking import BoxRanking, Ranked, coco_ranked, size_ranked

BOX = ["study", "x", "y", "width", "height"]
LIMITS = (7000.0, 16000.0)


def random_frames(seed, studies=50, ties=False):
    """Truth, and detections of which half are jittered truth boxes; with `ties`, scores have one decimal."""
    rng = np.random.default_rng(seed)
    truth, detections = [], []
    for number in range(studies):
        for _ in range(rng.integers(0, 5)):
            box = np.r_[rng.uniform(0, 300, 2), rng.uniform(30, 200, 2)]
            truth.append((f"s{number:02d}", *box))
            for spread in (8, 25):
                near = box + rng.normal(0, spread, 4)
                detections.append((f"s{number:02d}", *near[:2], *np.maximum(near[2:], 3)))
        for _ in range(rng.integers(0, 4)):
            detections.append((f"s{number:02d}", *rng.uniform(0, 300, 2), *rng.uniform(30, 200, 2)))
    frame = pd.DataFrame(detections, columns=BOX).assign(score=rng.uniform(0, 1, len(detections)))
    frame["score"] = frame["score"].round(1 if ties else 6)
    return pd.DataFrame(truth, columns=BOX), frame


def coco_ranking(boxes):
    return BoxRanking([coco_ranked(boxes)], RATES)


def sizes(boxes, *edges):
    """AP50 of the truth boxes between each two edges."""
    return BoxRanking([size_ranked(boxes, *limits) for limits in pairwise(edges)]).measure(np.ones(50)).tolist()


def table(truth, detections):
    return box_table([f"s{i:02d}" for i in range(50)], detections, truth)


def coco(truth, detections):
    """pycocotools: AP over 0.5:0.95 and AP50, then AP50 of small, medium and large boxes by LIMITS."""
    reference = pytest.importorskip("pycocotools.coco", reason="pycocotools is the reference here")
    from pycocotools.cocoeval import COCOeval

    def rows(frame, **more):
        # In the order box_table gives equal scores.
        frame = frame.sort_values(BOX, kind="stable")
        return [
            {"id": i + 1, "image_id": int(row.study[1:]) + 1, "category_id": 1,
             "bbox": [row.x, row.y, row.width, row.height], **{k: f(row) for k, f in more.items()}}
            for i, row in enumerate(frame.itertuples())
        ]  # fmt: skip

    with contextlib.redirect_stdout(io.StringIO()):
        data = reference.COCO()
        data.dataset = {
            "images": [{"id": i + 1} for i in range(50)],
            "categories": [{"id": 1, "name": "opacity"}],
            "annotations": rows(truth, area=lambda r: r.width * r.height, iscrowd=lambda r: 0),
        }
        data.createIndex()
        result = COCOeval(data, data.loadRes(rows(detections, score=lambda r: r.score)), "bbox")
        edges = [0, *LIMITS, 1e10]
        result.params.areaRng = [[0, 1e10], *pairwise(edges)]
        result.params.areaRngLbl = ["all", "small", "medium", "large"]
        result.evaluate()
        result.accumulate()
    precision = result.eval["precision"][:, :, 0, :, -1]  # (IoU, recall, area) at 100 detections
    return precision[:, :, 0].mean(), *precision[0].mean(axis=0)


@pytest.mark.parametrize("seed", range(6))
def test_equals_pycocotools(seed):
    truth, detections = random_frames(seed, ties=seed % 2 == 1)
    whole, *ap50 = coco(truth, detections)
    boxes = table(truth, detections)
    levels = coco_ranking(boxes).measure(np.ones(50))[:10]
    assert levels.mean() == pytest.approx(whole, abs=1e-6)
    assert [levels[0], *sizes(boxes, 0, *LIMITS, np.inf)] == pytest.approx(ap50, abs=1e-6)


@pytest.mark.parametrize("seed", range(3))
def test_weights_repeat_studies(seed):
    # A study drawn twice is two studies with the same boxes.
    truth, detections = random_frames(seed, studies=12)
    studies = [f"s{i:02d}" for i in range(12)]
    weights = np.random.default_rng(seed).integers(0, 4, (5, 12)).astype(float)
    many = coco_ranking(box_table(studies, detections, truth)).measure(weights)
    assert many.shape == (5, 17)
    for row, values in zip(weights, many, strict=True):
        copies = [(study, f"{study}-{copy}") for study, n in zip(studies, row, strict=True) for copy in range(int(n))]
        names = pd.DataFrame(copies, columns=["study", "copy"])
        drawn = [f.merge(names, on="study").drop(columns="study").rename(columns={"copy": "study"})
                 for f in (detections, truth)]  # fmt: skip
        repeated = box_table(names["copy"].tolist(), *drawn)
        single = coco_ranking(repeated).measure(np.ones(len(names)))
        # Copies of a detection tie, so that COCO's precision is read between them; FROC takes ties together.
        np.testing.assert_allclose(values[10:], single[10:], atol=1e-12)
        np.testing.assert_allclose(values[:10], single[:10], atol=0.02)


def test_weighted_precision_is_that_of_one_weighting_at_a_time():
    boxes = table(*random_frames(3))
    weights = np.random.default_rng(3).integers(0, 4, (7, 50)).astype(float)
    expected = [ranked_average_precision(ranked(boxes), row) for row in weights]
    np.testing.assert_allclose(coco_ranking(boxes).measure(weights)[:, 0], expected, atol=1e-12)


def test_froc_is_that_of_the_curve():
    for seed, ties in ((0, False), (1, True), (2, True)):
        boxes = table(*random_frames(seed, ties=ties))
        ours = coco_ranking(boxes).measure(np.ones(50))[10:]
        false, sensitivity = froc(boxes)
        # The largest sensitivity with at most that many false boxes a study: a step, nothing is interpolated.
        assert ours == pytest.approx([sensitivity[false <= rate].max() for rate in RATES])
        assert (np.diff(ours) >= 0).all()


def ranking(rates=(0.5,)):
    # By falling score: hit in a, miss in a, hit in b and miss in d tied; truths in a, b.
    ranked = Ranked(
        np.array([0.5, 0.9, 0.8, 0.5]), np.array([1, 0, 0, 3]), np.array([[True, True, False, False]]),
        np.array([1, 1, 0, 0]),
    )  # fmt: skip
    return BoxRanking([ranked], rates)


def test_by_hand():
    ap, half, quarter = ranking((0.5, 0.25)).measure(np.ones(4))
    # Recall 0.5 at precision 1 (points 0 to 0.50: 51), recall 1 at 2/3 (50 points).
    assert ap == pytest.approx((51 + 50 * 2 / 3) / 101)
    # At 0.5 there are two false boxes in four studies, at 0.8 one.
    assert (half, quarter) == (1.0, 0.5)


def test_by_hand_under_weights():
    weights = np.array([[1.0, 0, 0, 0], [0, 1, 3, 0], [0, 0, 1, 1]])
    ap, froc = ranking().measure(weights).T
    # a alone: its truth is found first. b and three quiet studies: found, nothing false. No truth: unknown.
    assert ap[:2].tolist() == [1.0, 1.0]
    assert froc[:2].tolist() == [1.0, 1.0]
    assert np.isnan([ap[2], froc[2]]).all()


def test_nothing_found_and_nothing_detected():
    miss = BoxRanking([Ranked(np.array([0.5]), np.array([0]), np.array([[False]]), np.array([1]))], (1.0,))
    assert miss.measure(np.ones(1)).tolist() == [0.0, 0.0]
    quiet = coco_ranking(table(random_frames(0)[0], pd.DataFrame(columns=[*BOX, "score"])))
    assert quiet.measure(np.ones((2, 50))).tolist() == [[0.0] * 17] * 2
    no_truth = coco_ranking(table(pd.DataFrame(columns=BOX), random_frames(0)[1]))
    assert np.isnan(no_truth.measure(np.ones(50))).all()
    nothing = table(pd.DataFrame(columns=BOX), pd.DataFrame(columns=[*BOX, "score"]))
    assert np.isnan(coco_ranking(nothing).measure(np.ones(50))).all()
    assert np.isnan(sizes(nothing, 0, 10, 20)).all()


def test_sizes_ignore_what_is_out_of_range():
    # A 10 x 10 and a 100 x 100 truth, both found exactly; a 90 x 90 false box scores highest.
    truth = pd.DataFrame([("s00", 0, 0, 10, 10), ("s00", 200, 200, 100, 100)], columns=BOX)
    boxes = table(truth, truth.assign(score=[0.8, 0.7]).pipe(
        lambda f: pd.concat([f, pd.DataFrame([("s01", 0, 0, 90, 90, 0.9)], columns=f.columns)])
    ))  # fmt: skip
    # To the small boxes the false one, being large, is no matter; there is no truth between 1000 and 2000.
    small, between, large = sizes(boxes, 0, 1000, 2000, np.inf)
    assert small == 1.0
    assert np.isnan(between)
    assert large == pytest.approx(0.5)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.booleans())
def test_the_order_of_rows_decides_nothing(seed, ties):
    truth, detections = random_frames(seed % 20, studies=15, ties=ties)
    rng = np.random.default_rng(seed)
    one = coco_ranking(table(truth, detections)).measure(np.ones(50))
    shuffled = (frame.iloc[rng.permutation(len(frame))] for frame in (truth, detections))
    np.testing.assert_array_equal(coco_ranking(table(*shuffled)).measure(np.ones(50)), one)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000))
def test_a_false_box_never_helps_and_a_missing_truth_is_never_forgotten(seed):
    truth, detections = random_frames(seed % 20, studies=15)
    rng = np.random.default_rng(seed)
    before = coco_ranking(table(truth, detections)).measure(np.ones(50))
    far = pd.DataFrame([("s49", 0, 0, 50, 50, rng.uniform())], columns=detections.columns)
    with_false = coco_ranking(table(truth, pd.concat([detections, far]))).measure(np.ones(50))
    assert (with_false <= before + 1e-12).all()
    missed = pd.DataFrame([("s48", 0, 0, 50, 50)], columns=BOX)
    with_missed = coco_ranking(table(pd.concat([truth, missed]), detections)).measure(np.ones(50))
    assert (with_missed <= before + 1e-12).all()

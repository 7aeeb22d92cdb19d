"""Pointing game and mass of activation maps, on cases worked by hand."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pneumonia.data.images.squares import Placement
from pneumonia.evaluation.explanations import centres_inside, coverage, explain, mass, pointing


def test_coverage_counts_parts_of_cells_and_overlaps_once():
    # 128 pixels, 4 x 4 cells of 32: a whole cell and half of the next; overlapping boxes cover no more.
    np.testing.assert_allclose(coverage([[0, 0, 48, 32]], 128, (4, 4))[0], [1, 0.5, 0, 0])
    two = coverage([[0, 0, 48, 32], [16, 0, 48, 32]], 128, (4, 4))
    np.testing.assert_allclose(two[0], [1, 0.5, 0, 0])
    assert two[1:].sum() == 0
    # A box beyond the border counts inside it alone: 8 x 8 of 32 x 32 pixels.
    np.testing.assert_allclose(coverage([[120, 120, 300, 300]], 128, (4, 4))[3, 3], 1 / 16)
    assert coverage(np.zeros((0, 4)), 128, (2, 3)).tolist() == [[0, 0, 0], [0, 0, 0]]


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(*[st.integers(0, 60)] * 4), max_size=4))
def test_coverage_is_the_share_of_the_pixels(values):
    boxes = [(min(a, c), min(b, d), max(a, c), max(b, d)) for a, b, c, d in values]
    pixels = np.zeros((60, 60))
    for x1, y1, x2, y2 in boxes:
        pixels[y1:y2, x1:x2] = 1
    expected = pixels.reshape(3, 20, 5, 12).mean(axis=(1, 3))
    np.testing.assert_allclose(coverage(boxes, 60, (3, 5)), expected, atol=1e-12)


def test_centres_lie_inside_or_not():
    # Centres at 16, 48, 80, 112: the box holds x of 16 and 48, y of 48.
    inside = centres_inside([[10, 20, 49, 60]], 128, (4, 4))
    assert np.argwhere(inside).tolist() == [[1, 0], [1, 1]]
    assert not centres_inside([[17, 17, 47, 47]], 128, (4, 4)).any()  # between the centres


def test_mass_and_pointing_by_hand():
    maps = np.array([[[3, 1], [-5, 0]], [[0, -1], [-1, -1]], [[1, 1], [2, 0]]], float)
    shares = np.array([[[1, 0.5], [1, 0]], [[1, 1], [1, 1]], [[0, 1], [0, 0]]], float)
    # (3 + 0.5) / 4: what is below zero is no evidence; a map without a peak; 1 / 4.
    np.testing.assert_allclose(mass(maps, shares), [0.875, 0, 0.25])
    np.testing.assert_allclose(pointing(maps, shares > 0.5), [1, 0, 0])


@pytest.fixture
def data():
    """Three ill studies of 256 x 256 in the holdout, seen at 128; two ill ones outside it, and a well one that validates."""
    studies = pd.DataFrame({"study": list("abcdefg"), "person": list("pqrstuv"), "target": [1, 1, 1, 0, 1, 1, 0]})
    boxes = pd.DataFrame(
        [("a", 0, 0, 128, 128), ("b", 128, 128, 128, 128), ("c", 0, 0, 128, 256), ("e", 0, 0, 128, 128), ("f", 0, 0, 128, 128)],
        columns=["study", "x", "y", "width", "height"],
    )  # fmt: skip
    split = pd.DataFrame({"study": list("abcdefg"), "subset": ["holdout"] * 4 + ["train", "validation", "validation"]})
    high_left = np.array([[4.0, 1], [-2, 3]])
    maps = dict.fromkeys("abcdf", high_left) | {"g": np.array([[4.0, 0], [0, 0]])}
    return studies, boxes, split, maps


def test_explain_beside_maps_that_saw_nothing(data):
    result = explain(*data, lambda study, boxes: Placement(0.5, 0, 0).to_resized(boxes), 128, resamples=200, seed=1)
    cam = result["cam"]
    # a: 4 of 8 inside, pointed at; b: 3 of 8, not; c: the left half, 4 of 8, pointed at.
    assert cam["mass"] == pytest.approx((4 + 3 + 4) / 24)
    assert cam["pointing"] == pytest.approx(2 / 3)
    assert 0 <= cam["pointing_low"] < 2 / 3 < cam["pointing_high"] <= 1
    # Less g's map the maps are [[0, 1], [-2, 3]]: of 4 in a and c nothing inside, in b 3, and its peak.
    assert result["cam_relative"]["mass"] == pytest.approx(0.75 / 3)
    assert result["cam_relative"]["pointing"] == pytest.approx(1 / 3)
    # Boxes cover 1, 1 and 2 of 4 cells.
    assert result["uniform"] == pytest.approx({"pointing": 1 / 3, "mass": 1 / 3})
    # Outside the holdout opacities are at the upper left: right for a and c.
    assert result["usual_place"] == pytest.approx({"pointing": 2 / 3, "mass": 2 / 3})
    assert result["holdout"] == {"positives": 3, "maps_without_peak": 0}
    assert result["grid"] == {"rows": 2, "columns": 2}


def test_explain_without_an_opacity_or_a_map(data):
    studies, boxes, split, maps = data
    none = studies.assign(target=0)
    assert explain(none, boxes, split, maps, lambda *_: boxes, 128, resamples=5, seed=1) == {
        "holdout": {"positives": 0}
    }
    with pytest.raises(ValueError, match="1 holdout studies have no activation map, such as b"):
        explain(
            studies,
            boxes,
            split,
            {k: v for k, v in maps.items() if k != "b"},
            lambda *_: boxes,
            128,
            resamples=5,
            seed=1,
        )

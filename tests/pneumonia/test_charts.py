"""Inline SVG charts."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest

from pneumonia.charts import Line, line_chart, ticks


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0, 1, [0, 0.2, 0.4, 0.6, 0.8, 1]),
        (0, 8, [0, 1, 2, 3, 4, 5, 6, 7, 8]),
        (0.13, 0.9, [0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9]),
        (1, 10, [2, 4, 6, 8, 10]),
        (-1, 1, [-1, -0.5, 0, 0.5, 1]),
    ],
)
def test_ticks_are_round(low, high, expected):
    assert ticks(low, high) == pytest.approx(expected)


def test_chart_is_well_formed_and_places_points_on_its_axes():
    svg = line_chart(
        [Line("a < b", "yolo", [0, 1], [0, 1])], title="t & t", x_label="x", y_label="y", points=[("yolo", 1, 0)]
    )
    root = ElementTree.fromstring(svg)
    assert root.findtext("title") == "t & t"
    line = next(e for e in root if e.get("class") == "line yolo")
    assert line.get("d") == "M46.0 280.0L410.0 10.0"  # (0, 0) is bottom left, (1, 1) top right
    assert line.findtext("title") == "a < b"
    point = next(e for e in root if e.tag == "circle")
    assert (point.get("cx"), point.get("cy")) == ("410.0", "280.0")


def test_unknown_values_and_flat_ranges_are_survived():
    svg = line_chart(
        [Line("a", "plain", [0, 1, 2], [1, float("nan"), 1])], title="t", x_label="x", y_label="y",
        x_range=(0, 2), y_range=(1, 1), points=[("yolo", float("nan"), 0.5)],
    )  # fmt: skip
    assert "nan" not in svg

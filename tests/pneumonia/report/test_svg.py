"""Inline SVG charts."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest

from pneumonia.report.svg import Line, hundred, interval_bar, line_chart, per_hundred, ticks


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


def test_a_point_without_a_value_waits_hidden_for_the_slider():
    svg = line_chart(
        [], title="t", x_label="x", y_label="y", points=[("yolo", float("nan"), 0.5), ("ensemble", 0.5, 0.5)],
        whiskers=[("ensemble", 0.5, 0, 1), ("ensemble", 0.2, float("nan"), 1)], name="roc",
    )  # fmt: skip
    root = ElementTree.fromstring(svg)
    assert (root.get("data-chart"), root.get("data-frame"), root.get("data-limits")) == (
        "roc",
        "46 10 364 270",
        "0 1 0 1",
    )
    hidden, shown = [e for e in root if e.tag == "circle"]
    assert (hidden.get("data-model"), hidden.get("style")) == ("yolo", "display:none")
    assert (shown.get("cx"), shown.get("cy"), shown.get("style")) == ("228.0", "145.0", None)
    assert [e.get("d") for e in root if "whisker" in e.get("class", "")] == ["M228.0 280.0V10.0"]


def test_interval_bars_lie_on_an_axis_from_0_to_1():
    root = ElementTree.fromstring(interval_bar(0.5, 0.2, 0.8, reference=1.0, small=False))
    # 160 wide with 5 at each end: 5 + 150 x value.
    assert [e.get("d") for e in root if e.tag == "path"] == ["M5.0 9.0H155.0", "M155.0 1V17", "M35.0 9.0H125.0"]
    circle = root.find("circle")
    assert (circle.get("cx"), circle.get("class")) == ("80.0", "range")
    nan = float("nan")
    root = ElementTree.fromstring(interval_bar(0.5, nan, nan, reference=nan, small=True))
    assert len(root.findall("path")) == 1
    assert root.find("circle").get("class") == "range small"


def test_a_hundred_is_a_hundred():
    assert per_hundred({"a": 1, "b": 1, "c": 1}) == {"a": 34, "b": 33, "c": 33}
    assert per_hundred({"a": 29, "b": 16, "c": 0, "d": 155}) == {"a": 15, "b": 8, "c": 0, "d": 77}
    assert per_hundred({"a": 0}) == {"a": 0}
    root = ElementTree.fromstring(hundred({"found": 29, "missed": 16, "alarm": 0, "left": 155}, "t"))
    kinds = [e.get("class") for e in root]
    assert kinds == ["found"] * 15 + ["missed"] * 8 + ["left"] * 77

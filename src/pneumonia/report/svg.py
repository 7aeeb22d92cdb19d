"""Charts as inline SVG for the report: crisp at any size, and coloured by the page's style, dark mode included."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape
from typing import NamedTuple

WIDTH, HEIGHT = 420, 320
LEFT, RIGHT, TOP, BOTTOM = 46, 10, 10, 40
BAR, BAR_HEIGHT = 160, 18  # of an interval's bar


class Line(NamedTuple):
    """One curve: `kind` is its CSS class (a model's name, `plain` or `dashed`)."""

    name: str
    kind: str
    x: Sequence[float]
    y: Sequence[float]


def line_chart(
    lines: Sequence[Line],
    *,
    title: str,
    x_label: str,
    y_label: str,
    x_range: tuple[float, float] = (0.0, 1.0),
    y_range: tuple[float, float] = (0.0, 1.0),
    diagonal: bool = False,
    points: Sequence[tuple[str, float, float]] = (),
    whiskers: Sequence[tuple[str, float, float, float]] = (),
    name: str = "",
) -> str:
    """An `<svg>` with axes, ticks, curves and a described title.

    Arguments:
        x_range, y_range: limits of the axes; what lies beyond is cut off.
        points: (kind, x, y) of marked operating points; one without a value is drawn hidden at the origin.
        whiskers: (kind, x, low, high) of intervals, drawn upright.
        name: of the chart; with it the page's script finds points, axes and limits again.
    """
    x_range, y_range = _wider(x_range), _wider(y_range)

    def place(x: float, y: float) -> tuple[float, float]:
        across = LEFT + (x - x_range[0]) / (x_range[1] - x_range[0]) * (WIDTH - LEFT - RIGHT)
        down = HEIGHT - BOTTOM - (y - y_range[0]) / (y_range[1] - y_range[0]) * (HEIGHT - TOP - BOTTOM)
        return round(across, 1), round(down, 1)

    frame = f"{LEFT} {TOP} {WIDTH - LEFT - RIGHT} {HEIGHT - TOP - BOTTOM}"
    limits = " ".join(f"{value:g}" for value in (*x_range, *y_range))
    moving = f' data-chart="{escape(name)}" data-frame="{frame}" data-limits="{limits}"' if name else ""
    parts = [f'<svg class="chart" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(title)}"{moving}>']
    parts.append(f"<title>{escape(title)}</title>")
    for value in ticks(*x_range):
        x, y = place(value, y_range[0])
        parts.append(f'<path class="grid" d="M{x} {TOP}V{y}"/><text x="{x}" y="{y + 15}">{value:g}</text>')
    for value in ticks(*y_range):
        x, y = place(x_range[0], value)
        parts.append(f'<path class="grid" d="M{x} {y}H{WIDTH - RIGHT}"/>')
        parts.append(f'<text class="y" x="{x - 6}" y="{y + 4}">{value:g}</text>')
    middle = (LEFT + WIDTH - RIGHT) / 2
    parts.append(f'<text class="label" x="{middle}" y="{HEIGHT - 5}">{escape(x_label)}</text>')
    height = (TOP + HEIGHT - BOTTOM) / 2
    parts.append(f'<text class="label" transform="translate(11 {height}) rotate(-90)">{escape(y_label)}</text>')
    if diagonal:
        (x1, y1), (x2, y2) = place(x_range[0], y_range[0]), place(x_range[1], y_range[1])
        parts.append(f'<path class="diagonal" d="M{x1} {y1}L{x2} {y2}"/>')
    for line in lines:
        kept = [place(x, y) for x, y in zip(line.x, line.y, strict=True) if _inside(x, x_range) and _inside(y, y_range)]
        if kept:
            path = "L".join(f"{x} {y}" for x, y in kept)
            parts.append(f'<path class="line {line.kind}" d="M{path}"><title>{escape(line.name)}</title></path>')
    for kind, x, low, high in whiskers:
        if _inside(x, x_range) and _inside(low, y_range) and _inside(high, y_range):
            (across, bottom), (_, top) = place(x, low), place(x, high)
            parts.append(f'<path class="line whisker {kind}" d="M{across} {bottom}V{top}"/>')
    for kind, x, y in points:
        known = _inside(x, x_range) and _inside(y, y_range)
        across, down = place(x, y) if known else place(x_range[0], y_range[0])
        hidden = "" if known else ' style="display:none"'
        parts.append(f'<circle class="point {kind}" data-model="{kind}" cx="{across}" cy="{down}" r="4.5"{hidden}/>')
    return "".join(parts) + "</svg>"


def interval_bar(estimate: float, low: float, high: float, *, reference: float, small: bool) -> str:
    """A line from `low` to `high` with a dot at `estimate`, on an axis from 0 to 1, and a tick at `reference`.

    A small group's dot is hollow. What is unknown (NaN) is not drawn. The numbers belong beside it: it is hidden from
    screen readers.
    """

    def at(value: float) -> float:
        return round(5.0 + min(max(value, 0.0), 1.0) * (BAR - 10), 1)

    middle = BAR_HEIGHT / 2
    parts = [f'<svg class="interval" viewBox="0 0 {BAR} {BAR_HEIGHT}" aria-hidden="true">']
    parts.append(f'<path class="axis" d="M{at(0)} {middle}H{at(1)}"/>')
    if not math.isnan(reference):
        parts.append(f'<path class="reference" d="M{at(reference)} 1V{BAR_HEIGHT - 1}"/>')
    kind = "range small" if small else "range"
    if not math.isnan(low) and not math.isnan(high):
        parts.append(f'<path class="{kind}" d="M{at(low)} {middle}H{at(high)}"/>')
    if not math.isnan(estimate):
        parts.append(f'<circle class="{kind}" cx="{at(estimate)}" cy="{middle}" r="4"/>')
    return "".join(parts) + "</svg>"


def per_hundred(counts: Mapping[str, int]) -> dict[str, int]:
    """Counts as whole numbers that sum to 100, by largest remainder (of equal ones the first): 1, 1, 1 -> 34, 33, 33."""
    total = sum(counts.values())
    if not total:
        return dict.fromkeys(counts, 0)
    shares = {name: count * 100 / total for name, count in counts.items()}
    result = {name: math.floor(share) for name, share in shares.items()}
    order = sorted(shares, key=lambda name: result[name] - shares[name])  # stable
    for name in order[: 100 - sum(result.values())]:
        result[name] += 1
    return result


def hundred(counts: Mapping[str, int], title: str) -> str:
    """A hundred dots, in rows of twenty, as many of each class (the keys, in their order) as `per_hundred` says."""
    kinds = [kind for kind, number in per_hundred(counts).items() for _ in range(number)]
    parts = [f'<svg class="hundred" viewBox="0 0 400 100" role="img" aria-label="{escape(title)}">']
    for i, kind in enumerate(kinds):
        parts.append(f'<circle class="{kind}" cx="{i % 20 * 20 + 10}" cy="{i // 20 * 20 + 10}" r="7.5"/>')
    return "".join(parts) + "</svg>"


def ticks(low: float, high: float) -> list[float]:
    """At most nine round numbers from `low` to `high`: steps of 1, 2 or 5 times a power of ten."""
    power = 10.0 ** math.floor(math.log10((high - low) / 8))
    step = next(power * factor for factor in (1, 2, 5, 10) if (high - low) / (power * factor) < 8 + 1e-9)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [round(i * step, 12) for i in range(first, last + 1)]


def _inside(value: float, limits: tuple[float, float]) -> bool:
    return limits[0] <= value <= limits[1]  # False for NaN


def _wider(limits: tuple[float, float]) -> tuple[float, float]:
    return limits if limits[1] > limits[0] else (limits[0] - 0.5, limits[0] + 0.5)

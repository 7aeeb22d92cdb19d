"""Opacities: what the detectors are to find, each with its box.

An opacity is an envelope (where it is) times a texture (what fills it: alveoli filled unevenly, air-filled bronchi
running through). Its box is the extent in which the envelope stands above BOX_LEVEL of its peak, after tilt and crop.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pneumonia.sources.synthetic.canvas import Canvas, sigmoid
from pneumonia.sources.synthetic.thorax import Thorax

BOX_LEVEL = 0.28

KINDS = ("lobar", "patchy", "confluent")
_KIND_SHARE = (0.35, 0.35, 0.30)
SUBTLE_SHARE = 0.10  # of the opacities, those that hardly stand out


@dataclass(frozen=True)
class Site:
    """Where an opacity goes: lung side (-1 the viewer's left), middle and extent (shares of the film's side)."""

    side: int
    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True)
class Opacity:
    """One opacity on the canvas.

    Attributes:
        envelope: 0 to 1, `[n, n]`.
        density: the share of the air that it fills, of the same shape.
    """

    site: Site
    kind: str
    envelope: np.ndarray
    density: np.ndarray


def choose_sites(rng: np.random.Generator, thorax: Thorax, count: int) -> list[Site]:
    """Sites for 1 to 4 opacities, sized and placed as the challenge's boxes are.

    One: either lung, 62% the viewer's left. Two: nearly always one in each lung, tall and alike. Three and four: two in
    a lung. The medians of width and height are the challenge's by the number of boxes: 201 x 230, 225 x 352, 171 x 203
    and 163 x 171 of 1024 pixels.
    """
    first = -1 if rng.random() < 0.62 else 1
    both = count != 2 or rng.random() >= 0.02
    sides = [first, -first, first, -first][:count] if both else [first, first]
    alike = rng.normal(0, 0.35)  # two lungs of one person suffer alike
    sites = []
    for index, side in enumerate(sides):
        shared = sides.count(side)
        order = sides[:index].count(side)
        median_width, median_height, spread = ((201, 230, 0.48), (225, 352, 0.46), (172, 203, 0.38), (163, 172, 0.36))[
            count - 1
        ]
        scatter = alike + rng.normal(0, 0.30) if count > 1 else rng.normal(0, spread)
        height = median_height / 1024 * float(np.exp(scatter))
        width = median_width / 1024 * float(np.exp(0.42 * scatter + rng.normal(0, 0.18)))
        sites.append(_site(rng, thorax, side, width, height, order, shared))
    return sites


def _site(
    rng: np.random.Generator, thorax: Thorax, side: int, width: float, height: float, order: int, shared: int
) -> Site:
    """Fit an extent into a lung; where two share it, `order` 0 goes to the upper half and 1 to the lower."""
    pose, outlines = thorax.outlines.pose, thorax.outlines
    top = pose.apex + 0.03
    bottom = pose.base - 0.45 * pose.dome
    if shared > 1:
        middle = (top + bottom) / 2 + rng.normal(0, 0.02)
        top, bottom = (top, middle - 0.02) if order == 0 else (middle + 0.02, bottom)
    height = float(np.clip(height, 0.07, bottom - top))
    y = float(np.clip(rng.normal(0.53, 0.115), top + height / 2, bottom - height / 2))
    inner, outer = float(outlines.medial(y)) + 0.01, float(outlines.lateral(y, side)) - 0.005
    if side > 0:  # the heart hides the inner part of the left lung
        inner += 0.6 * pose.heart * float(np.clip((y - pose.apex) / (pose.base - pose.apex) - 0.35, 0, 0.5))
    width = float(np.clip(width, 0.06, outer - inner))
    place = rng.beta(1.6, 1.6)
    x = inner + width / 2 + place * (outer - inner - width)
    return Site(side, float(outlines.spine_x(y)) + side * x, y, width, height)


def grow_opacity(rng: np.random.Generator, thorax: Thorax, site: Site) -> Opacity:
    """An opacity at `site`: lobar (dense, ends at a fissure), patchy (clumps) or confluent (cloud with a soft edge)."""
    canvas = thorax.canvas
    kind = str(rng.choice(KINDS, p=_KIND_SHARE))
    soft = {"lobar": 0.05, "patchy": 0.07, "confluent": 0.09}[kind] * rng.uniform(0.8, 1.25)
    envelope = _envelope(rng, canvas, site, soft)
    if kind == "lobar":
        envelope *= _fissure(rng, canvas, site)
    # Behind the heart nobody draws a box: what is left there stays below BOX_LEVEL.
    envelope *= thorax.lungs[site.side] * (1.0 - 0.85 * thorax.heart)
    peak = float(envelope.max())
    envelope = envelope / max(peak, 1e-6)
    texture = _alveoli(rng, canvas, kind)
    if kind != "patchy":
        texture *= 1.0 - 0.55 * _bronchi(rng, canvas, site)
    strength = rng.uniform(0.25, 0.40) if rng.random() < SUBTLE_SHARE else rng.uniform(0.55, 1.0)
    return Opacity(site, kind, envelope, strength * envelope * texture)


def _envelope(rng: np.random.Generator, canvas: Canvas, site: Site, soft: float) -> np.ndarray:
    """A rounded shape of the site's extent at BOX_LEVEL, its edge wavy and soft."""
    reach = 1.0 + 0.94 * soft  # where the logistic edge has fallen to 0.28
    lean = rng.normal(0, 0.15)
    dx = (canvas.x - site.x) + lean * (canvas.y - site.y)
    u = np.abs(dx) / (site.width / 2 / reach)
    v = np.abs(canvas.y - site.y) / (site.height / 2 / reach)
    radius = (np.minimum(u, 4) ** 2.8 + np.minimum(v, 4) ** 2.8) ** np.float32(1 / 2.8)
    wave = canvas.noise(rng, 0.5 * min(site.width, site.height) + 0.02, 2)
    return sigmoid((1.0 - radius + 0.09 * wave) / soft)


def _fissure(rng: np.random.Generator, canvas: Canvas, site: Site) -> np.ndarray:
    """A lobe ends sharply at its fissure: above (middle and lower lobe) or below (upper lobe)."""
    upper = site.y < 0.45
    slope = rng.normal(0, 0.15) + 0.12 * site.side
    edge = site.y + (0.38 if upper else -0.38) * site.height
    distance = canvas.y - edge - slope * (canvas.x - site.x)
    return sigmoid((-distance if upper else distance) / 0.006)


def _alveoli(rng: np.random.Generator, canvas: Canvas, kind: str) -> np.ndarray:
    """Fluffy clumps of about a centimetre; in a patchy opacity the lung between them keeps its air."""
    clumps = sigmoid(2.2 * (canvas.noise(rng, 0.034, 2) + (0.15 if kind == "patchy" else 0.5)))
    grains = sigmoid(2.5 * canvas.noise(rng, 0.014))
    floor = {"lobar": 0.60, "patchy": 0.28, "confluent": 0.45}[kind]
    return floor + (1 - floor) * clumps * (0.55 + 0.45 * grains)


def _bronchi(rng: np.random.Generator, canvas: Canvas, site: Site) -> np.ndarray:
    """Air bronchograms: branching dark lines that run outwards from the hilum through the filled lung."""
    lines: list[tuple[np.ndarray, float, float]] = []
    for _ in range(int(rng.integers(2, 5))):
        start = np.array([site.x - site.side * 0.45 * site.width, site.y + rng.uniform(-0.3, 0.2) * site.height])
        angle = rng.normal(0.25, 0.5)
        for width in (0.0085, 0.006):
            bends = angle + np.cumsum(rng.normal(0, 0.12, 6))
            steps = np.stack([site.side * np.cos(bends), np.sin(bends)], 1) * site.width * 0.09
            points = np.vstack([start, start + np.cumsum(steps, axis=0)])
            lines.append((points, width, 1.0))
            start, angle = points[3], angle + rng.choice([-0.6, 0.6])
    return canvas.stroke(lines, 0.0022)

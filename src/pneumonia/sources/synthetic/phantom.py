"""One study: what it should show (`StudySpec`) and the drawing of it (`draw_study`)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np

from pneumonia.sources.synthetic.anatomy import Outlines, sample_body, sample_pose
from pneumonia.sources.synthetic.canvas import Canvas
from pneumonia.sources.synthetic.distractors import FINDINGS, choose_findings
from pneumonia.sources.synthetic.film import develop, expose, sample_exposure
from pneumonia.sources.synthetic.opacities import BOX_LEVEL, choose_sites, grow_opacity
from pneumonia.sources.synthetic.support_devices import Overlay, choose_devices, draw_devices, draw_markers
from pneumonia.sources.synthetic.thorax import build_thorax

Category = Literal["normal", "not_normal", "opacity"]


@dataclass(frozen=True)
class StudySpec:
    """The ground truth that a study is drawn from.

    Attributes:
        opacities: how many, 0 unless the category is `opacity`, then 1 to 4; each gets one box.
        person_seed: seeds the build of the person, the same in all their studies.
    """

    category: Category
    opacities: int
    view: str  # AP or PA
    sex: str  # F or M
    age: int  # years
    person_seed: tuple[int, ...]

    def __post_init__(self) -> None:
        wanted = range(1, 5) if self.category == "opacity" else range(1)
        if self.opacities not in wanted:
            bounds = f"{wanted.start} to {wanted.stop - 1}"
            raise ValueError(f"a study of category {self.category} has {bounds} opacities, got {self.opacities}")


@dataclass(frozen=True)
class Drawing:
    """A drawn study.

    Attributes:
        pixels: float32 `[size, size]`, grey values 0 (black, air) to 255.
        boxes: float64 `[opacities, 4]`, x, y, width, height in its pixels.
        opacity, lung: float32 `[m, m]`, the same frame at the resolution of the drawing: the share of the air that
            opacities fill, and where the lungs are, both 0 to 1.
        findings, devices: what else was drawn.
    """

    pixels: np.ndarray
    boxes: np.ndarray
    opacity: np.ndarray
    lung: np.ndarray
    findings: tuple[str, ...]
    devices: tuple[str, ...]

    @property
    def image(self) -> np.ndarray:
        """The pixels as uint8 `[size, size]`."""
        return np.rint(self.pixels).astype(np.uint8)


def draw_study(rng: np.random.Generator, spec: StudySpec, size: int = 1024) -> Drawing:
    """Draw the study that `spec` describes on a film of `size` pixels a side; all that it leaves open comes from `rng`.

    The same `rng` state and spec give the same patient at every size; only noise differs.

    Raises:
        ValueError: a size below 64.
    """
    if size < 64:
        raise ValueError(f"a study needs at least 64 pixels a side to show a rib, got size={size}")
    canvas = Canvas(256 if size <= 256 else 512)
    body = sample_body(np.random.default_rng(spec.person_seed), spec.sex, spec.age)
    findings = choose_findings(rng, spec.category)
    outlines = Outlines(body, sample_pose(rng, body, spec.view, large_heart="cardiomegaly" in findings))
    posture = _posture(rng, spec.view)
    devices = choose_devices(rng, spec.view, spec.category)

    thorax = build_thorax(canvas, outlines, rng)
    opacity = np.zeros((canvas.side, canvas.side), np.float32)
    boxes = []
    for site in choose_sites(rng, thorax, spec.opacities) if spec.opacities else []:
        drawn = grow_opacity(rng, thorax, site)
        thorax.consolidate(drawn.density)
        boxes.append(_extent(canvas.film(drawn.envelope, posture, canvas.side)) * size)
        opacity = np.maximum(opacity, canvas.film(drawn.density, posture, canvas.side))
    for name in findings:
        if name in FINDINGS:
            FINDINGS[name][0](rng, thorax)

    exposure = sample_exposure(rng, spec.view)
    attenuation = thorax.attenuation()
    grey = canvas.film(develop(attenuation, canvas.smooth(attenuation, 0.08), exposure), posture, size, sharp=True)
    overlay = Overlay(size, posture)
    draw_devices(overlay, rng, outlines, devices)
    draw_markers(overlay, rng, spec.view)
    pixels = expose(grey, overlay.result(), exposure, rng)
    lung = canvas.film(np.maximum(*thorax.lungs.values()), posture, canvas.side)
    return Drawing(pixels, np.array(boxes).reshape(-1, 4), opacity, lung, tuple(findings), tuple(devices))


def _posture(rng: np.random.Generator, view: str) -> np.ndarray:
    """How the patient lies on the plate: tilt, zoom and shift as an affine 2x3 about the middle of the film."""
    ap = view == "AP"
    angle = math.radians(float(np.clip(rng.normal(0, 2.6 if ap else 1.0), -7, 7)))
    zoom = float(np.clip(rng.normal(1.06 if ap else 1.10, 0.05), 0.95, 1.2))
    turn = zoom * np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    middle = np.array([0.5, 0.48])
    shift = rng.normal(0, 0.02 if ap else 0.01, 2)
    return np.column_stack([turn, np.array([0.5, 0.5]) + shift - turn @ middle])


def _extent(envelope: np.ndarray) -> np.ndarray:
    """x, y, width, height, as shares of the film's side, of what stands above BOX_LEVEL of the peak."""
    above = envelope > BOX_LEVEL * envelope.max()
    columns, rows = np.flatnonzero(above.any(axis=0)), np.flatnonzero(above.any(axis=1))
    x, y = columns[0], rows[0]
    return np.array([x, y, columns[-1] + 1 - x, rows[-1] + 1 - y]) / envelope.shape[0]

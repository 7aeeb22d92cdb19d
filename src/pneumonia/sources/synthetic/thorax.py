"""A healthy thorax as layers of X-ray attenuation.

Attenuation is additive, as path lengths are: air outside 0, a chest wall with a full lung about 0.35, the same without
air 0.75, the heart and the abdomen about 1. What disease does to a lung is done to its air, before all is summed.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from pneumonia.sources.synthetic.anatomy import Outlines
from pneumonia.sources.synthetic.canvas import Canvas

SIDES = (-1, 1)
AIR = 0.40  # what a full lung takes away from the attenuation


@dataclass
class Thorax:
    """Layers `[n, n]` of one patient on the canvas.

    Attributes:
        lungs: by side, 1 in the lung, soft border.
        air: how thick the lung is, 0 to 1, times what is left of its air.
        heart: 1 in its silhouette.
        body: soft tissue without the lungs.
        bones, vessels: added on top.
    """

    canvas: Canvas
    outlines: Outlines
    lungs: dict[int, np.ndarray]
    air: np.ndarray
    heart: np.ndarray
    body: np.ndarray
    bones: np.ndarray
    vessels: np.ndarray

    def consolidate(self, density: np.ndarray) -> None:
        """Fill the share `density` (0 to 1) of the air with water; vessels lose their outline in it."""
        left = 1.0 - np.clip(density, 0.0, 1.0)
        self.air *= left
        self.vessels *= left

    def attenuation(self) -> np.ndarray:
        """The sum of all layers, float32 `[n, n]`."""
        return self.body - AIR * self.air + self.bones + self.vessels


def build_thorax(canvas: Canvas, outlines: Outlines, rng: np.random.Generator) -> Thorax:
    """Draw a healthy thorax; `rng` gives what differs between two exposures of one person."""
    pose = outlines.pose
    lungs = {side: canvas.fill(outlines.lung(side), 0.0025) for side in SIDES}
    both = np.maximum(lungs[-1], lungs[1])
    depth = both * _thickness(canvas, both)
    # Blood and tissue weigh on the lower lung; a turned patient has one lung deeper than the other.
    depth *= 1.06 - 0.16 * np.clip((canvas.y - pose.apex) / (pose.base - pose.apex), 0, 1)
    depth *= 1.0 + 2.0 * pose.turn * np.sign(canvas.x - pose.centre)
    depth *= canvas.spread(1.0 + 0.035 * canvas.half.noise(rng, 0.10, 3))
    heart = canvas.fill(outlines.heart(), 0.004)
    soft = _soft_tissue(canvas, outlines, heart, rng)
    return Thorax(
        canvas=canvas,
        outlines=outlines,
        lungs=lungs,
        air=depth * (1.0 - 0.45 * heart),
        heart=heart,
        body=soft,
        bones=_bones(canvas, outlines, both),
        vessels=_vessels(canvas, outlines) * both * (1.0 - 0.6 * heart),
    )


def _thickness(canvas: Canvas, mask: np.ndarray) -> np.ndarray:
    """A lung is a dome: thin at its border, full 0.09 of the side inside."""
    distance = cv2.distanceTransform((mask > 0.5).astype(np.uint8), cv2.DIST_L2, 3)
    return canvas.smooth(0.50 + 0.50 * np.sqrt(np.minimum(distance / (0.09 * canvas.side), 1.0)), 0.004)


def _soft_tissue(canvas: Canvas, outlines: Outlines, heart: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Chest wall, mediastinum, heart, abdomen, breasts. What has no sharp edge is drawn at half the resolution."""
    pose, body, half = outlines.pose, outlines.body, canvas.half
    torso = half.fill(outlines.torso(), 0.004)
    across = np.clip(1 - ((half.x - pose.centre) / 0.62) ** 2, 0, 1)
    wall = torso * (0.56 + 0.10 * body.build + 0.16 * across)
    wall *= np.sqrt(np.clip(half.smooth(torso, 0.03), 0, 1))  # the skin line: less and less tissue
    for side in SIDES:
        if body.breast:
            wall += _breast(half, outlines, side)
        x = (half.x - pose.centre - side * 0.9 * pose.half_width) / 0.16
        y = (half.y - pose.apex - 0.10) / 0.13
        wall += (0.02 + 0.05 * body.build) * np.exp(-x * x) * np.exp(-y * y) * torso  # pectoral and shoulder muscle
    if rng.random() < 0.45:  # gas in the stomach, under the viewer's right dome
        wall -= _stomach(half, outlines, rng)
    # Spine: a band with the gaps of its discs; airway: a dark band before it, down to its fork.
    x = (half.x - outlines.spine_x(half.y)) / 0.030
    wall += np.exp(-((x * x) ** 2)) * (
        0.050 + 0.016 * body.bone * np.cos(2 * np.pi * half.y / (0.95 * body.rib_spacing))
    )
    x = (half.x - pose.centre - 0.4 * pose.turn - 0.006) / 0.016
    fork = pose.apex + 0.27 * (pose.base - pose.apex)
    wall -= 0.085 * np.exp(-((x * x) ** 2)) * np.clip((fork - half.y) / 0.03, 0, 1)
    wall *= 1.0 + 0.02 * half.noise(rng, 0.25, 2)
    # Heart, mediastinum and abdomen hide each other's borders where they touch: the brightest shows.
    middle = 0.17 * canvas.fill(outlines.mediastinum(), 0.004)
    middle = np.maximum(
        middle, 0.14 * heart + canvas.spread(0.09 * half.smooth(half.fill(outlines.heart()), 0.03)) * heart
    )
    flank = np.clip((pose.half_width + 0.08 - np.abs(canvas.x - pose.centre)) / 0.14, 0, 1)
    middle = np.maximum(middle, (0.19 + 0.06 * body.build) * flank * canvas.fill(outlines.abdomen(), 0.004))
    return canvas.spread(wall) + middle


def _breast(canvas: Canvas, outlines: Outlines, side: int) -> np.ndarray:
    """A soft half-moon, its lower fold sharp; standing it hangs lower, lying it spreads sideways."""
    pose, size = outlines.pose, outlines.body.breast
    wide, high = 0.13 + 0.04 * size, 0.10 + 0.06 * size
    x = (canvas.x - pose.centre - side * (0.58 + 0.08 * pose.ap) * pose.half_width) / wide
    y = (canvas.y - (pose.base - 0.10 + (0.02 if not pose.ap else -0.03))) / high
    inside = np.clip(1 - x**2 - np.where(y > 0, 1.6 * y, y) ** 2, 0, 1)
    return np.asarray((0.05 + 0.10 * size) * np.sqrt(inside), np.float32)


def _stomach(canvas: Canvas, outlines: Outlines, rng: np.random.Generator) -> np.ndarray:
    pose = outlines.pose
    x = pose.centre + rng.uniform(0.10, 0.20)
    y = float(outlines.diaphragm(np.array([0.4]), 1)[0]) + 0.035
    radius = rng.uniform(0.02, 0.05)
    bubble = np.clip(1.2 - ((canvas.x - x) / (1.5 * radius)) ** 2 - ((canvas.y - y) / (0.7 * radius)) ** 2, 0, 1)
    return np.asarray(0.16 * np.sqrt(bubble), np.float32)


def _bones(canvas: Canvas, outlines: Outlines, lungs: np.ndarray) -> np.ndarray:
    pose = outlines.pose
    ribs = 0.078 * _ribs(canvas, outlines, "posterior", 10, 1.0) + 0.055 * _ribs(canvas, outlines, "anterior", 7, 1.15)
    # Over the abdomen the film is too dense to show them, and outside the lungs muscle veils them.
    ribs *= np.clip(1.0 - (canvas.y - (pose.base - 0.5 * pose.dome)) / 0.10, 0.12, 1.0)
    ribs *= 0.65 + 0.35 * lungs
    collar, blades, arms = [], [], []
    rim = np.array([0.020, 0])
    for side in SIDES:
        clavicle = outlines.clavicle(side)
        across = _normals(clavicle) * 0.014
        collar += [(clavicle, 0.028, 0.60), (clavicle + across, 0.0032, 1.0), (clavicle - across, 0.0032, 1.0)]
        scapula = outlines.scapula(side)
        blades += [scapula, np.vstack([scapula, scapula[:1]])]
        x, y = clavicle[-1] + np.array([side * 0.035, 0.050])
        shaft = np.array([[x, y], [x + side * 0.06, y + 0.5]])
        head = np.array([[x, y - 0.004], [x, y + 0.012]])
        arms += [
            (shaft, 0.042, 0.55),
            (shaft - rim, 0.007, 0.9),
            (shaft + rim, 0.007, 0.9),
            (head, 0.070, 0.8),
        ]
    ribs += 0.090 * canvas.stroke(collar, 0.0018)
    ribs += 0.035 * canvas.stroke([(outline, 0.006, 1.0) for outline in blades[1::2]], 0.002)
    ribs += canvas.spread(
        0.030 * np.maximum(canvas.half.fill(blades[0], 0.002), canvas.half.fill(blades[2], 0.002))
        + 0.09 * canvas.half.stroke(arms, 0.003)
    )
    return ribs * np.float32(outlines.body.bone)


def _ribs(canvas: Canvas, outlines: Outlines, part: str, levels: int, width: float) -> np.ndarray:
    """The posterior or anterior arcs of all ribs, 0 to 1: fainter inside, bright cortex at both borders."""
    inside, cortex = [], []
    for side in SIDES:
        for level in range(levels):
            rib = outlines.posterior_rib(level, side) if part == "posterior" else outlines.anterior_rib(level, side)
            thick = outlines.body.rib_width * width * (0.75 if level == 0 else 1.0)
            across = _normals(rib) * thick / 2
            inside.append((rib, thick, 0.62))
            cortex += [(rib + across, 0.0032, 1.0), (rib - across, 0.0022, 0.85)]
    return canvas.stroke(inside + cortex, 0.0016)


def _normals(line: np.ndarray) -> np.ndarray:
    """Unit normals at the points of a line, `[k, 2]`."""
    along = np.gradient(line, axis=0)
    along /= np.maximum(np.linalg.norm(along, axis=1, keepdims=True), 1e-9)
    return np.stack([-along[:, 1], along[:, 0]], 1)


def _vessels(canvas: Canvas, outlines: Outlines) -> np.ndarray:
    """Two trees from the hila; the seed is the person's, so that their vessels are the same in every study."""
    rng = np.random.default_rng(outlines.body.vessel_seed)
    pose, half = outlines.pose, canvas.half
    span = pose.base - pose.apex
    lines: list[tuple[np.ndarray, float, float]] = []
    glow = np.zeros((half.n, half.n), np.float32)
    for side in SIDES:
        hilum = np.array([pose.centre + side * 0.065, pose.apex + (0.40 if side > 0 else 0.43) * span])
        for angle in np.linspace(-1.30, 1.40, 9) + rng.normal(0, 0.12, 9):
            start = hilum + rng.normal(0, 0.014, 2)
            _branch(lines, rng, start, angle, side, span * rng.uniform(0.20, 0.32), 0.0095, 4)
        x, y = (half.x - hilum[0] - side * 0.012) / 0.028, (half.y - hilum[1]) / 0.07
        glow += np.exp(-x * x) * np.exp(-y * y)
    tree = canvas.stroke(sorted(lines, key=lambda line: line[2]), 0.0014)
    return 0.070 * tree + canvas.spread(np.float32(0.075) * glow)


def _branch(
    lines: list[tuple[np.ndarray, float, float]],
    rng: np.random.Generator,
    start: np.ndarray,
    angle: float,
    side: int,
    length: float,
    width: float,
    depth: int,
) -> None:
    """One vessel and its two daughters; angle 0 points outwards, positive down."""
    bends = angle + np.cumsum(rng.normal(0, 0.15, 5))
    steps = np.stack([side * np.cos(bends), np.sin(bends)], 1) * length / 5
    line = np.vstack([start, start + np.cumsum(steps, axis=0)])
    lines += [(line[:4], width, min(1.0, 0.12 + 90 * width)), (line[3:], 0.8 * width, min(1.0, 0.10 + 75 * width))]
    if depth > 1:
        for turn, at in ((-0.45, 3), (0.45, 5)):
            _branch(
                lines,
                rng,
                line[at],
                bends[-1] + turn + rng.normal(0, 0.12),
                side,
                0.66 * length,
                0.62 * width,
                depth - 1,
            )

"""A healthy thorax as layers of X-ray attenuation.

Attenuation is additive, as path lengths are: air outside 0, a chest wall with a full lung about 0.35, the same without air 0.75,
the heart and the abdomen about 1. What disease does to a lung is done to its air, before the layers are summed.
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

    lungs: by side, 1 in the lung, soft border. depth: how thick the lung is, 0 to 1. air: depth times what is left of the air.
    heart: 1 in its silhouette. body: soft tissue without the lungs. bones, vessels: added on top; vessels lie in the lungs.
    """

    canvas: Canvas
    outlines: Outlines
    lungs: dict[int, np.ndarray]
    depth: np.ndarray
    air: np.ndarray
    heart: np.ndarray
    body: np.ndarray
    bones: np.ndarray
    vessels: np.ndarray

    def consolidate(self, density: np.ndarray) -> None:
        """Fill the share `density` (0 to 1) of the air with water; vessels lose their outline in it (the silhouette sign)."""
        left = 1.0 - np.clip(density, 0.0, 1.0)
        self.air *= left
        self.vessels *= left

    def attenuation(self) -> np.ndarray:
        """The sum of all layers, float32 `[n, n]`."""
        return self.body - AIR * self.air + self.bones + self.vessels


def build_thorax(canvas: Canvas, outlines: Outlines, rng: np.random.Generator) -> Thorax:
    """Draw a healthy thorax; `rng` gives what differs between two exposures of one person."""
    pose, body = outlines.pose, outlines.body
    lungs = {side: canvas.fill(outlines.lung(side), 0.0025) for side in SIDES}
    both = np.maximum(lungs[-1], lungs[1])
    depth = both * _thickness(canvas, both)
    # Blood and tissue weigh on the lower lung; a turned patient has one lung deeper than the other.
    depth *= 1.06 - 0.16 * np.clip((canvas.y - pose.apex) / (pose.base - pose.apex), 0, 1)
    depth *= 1.0 + 2.0 * pose.turn * np.sign(canvas.x - pose.centre)
    depth *= 1.0 + 0.035 * canvas.noise(rng, 0.10, 3)
    heart = canvas.fill(outlines.heart(), 0.004)
    soft = _soft_tissue(canvas, outlines, heart, rng)
    return Thorax(
        canvas=canvas,
        outlines=outlines,
        lungs=lungs,
        depth=depth,
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
    pose, body = outlines.pose, outlines.body
    torso = canvas.fill(outlines.torso(), 0.004)
    across = np.clip(1 - ((canvas.x - pose.centre) / 0.62) ** 2, 0, 1)
    wall = torso * (0.56 + 0.10 * body.build + 0.16 * across)
    wall *= np.sqrt(np.clip(canvas.smooth(torso, 0.03), 0, 1))  # the skin line: less and less tissue
    # Below the diaphragm: liver, stomach, spleen. The dome's edge is the lung's own border.
    below = np.clip((canvas.y - (pose.base - pose.dome)) / 0.12, 0, 1)
    wall += torso * (0.16 + 0.10 * body.build) * below * np.clip(1 - ((canvas.x - pose.centre) / 0.5) ** 4, 0, 1)
    wall += 0.16 * canvas.fill(outlines.mediastinum(), 0.004)
    wall += 0.15 * heart + 0.10 * canvas.smooth(heart, 0.03) * heart
    # Spine: a band with the gaps of its discs; airway: a dark band before it.
    spine = np.exp(-(((canvas.x - outlines.spine_x(canvas.y)) / 0.030) ** 4))
    wall += spine * (0.075 + 0.018 * body.bone * np.cos(2 * np.pi * canvas.y / (0.95 * body.rib_spacing)))
    airway = np.exp(-(((canvas.x - pose.centre - 0.4 * pose.turn - 0.006) / 0.016) ** 4))
    carina = pose.apex + 0.27 * (pose.base - pose.apex)
    wall -= 0.09 * airway * np.clip((carina - canvas.y) / 0.03, 0, 1)
    for side in SIDES:
        if body.breast:
            wall += _breast(canvas, outlines, side)
        bulk = np.exp(-(((canvas.x - pose.centre - side * 0.9 * pose.half_width) / 0.16) ** 2 + ((canvas.y - pose.apex - 0.10) / 0.13) ** 2))
        wall += (0.02 + 0.05 * body.build) * bulk * torso  # pectoral and shoulder muscle
    if rng.random() < 0.45:  # gas in the stomach, under the viewer's right dome
        wall -= _stomach(canvas, outlines, rng)
    return wall * (1.0 + 0.02 * canvas.noise(rng, 0.25, 2))


def _breast(canvas: Canvas, outlines: Outlines, side: int) -> np.ndarray:
    """A soft half-moon, its lower fold sharp; standing it hangs lower, lying it spreads sideways."""
    pose, size = outlines.pose, outlines.body.breast
    wide, high = 0.13 + 0.04 * size, 0.10 + 0.06 * size
    x = (canvas.x - pose.centre - side * (0.58 + 0.08 * pose.ap) * pose.half_width) / wide
    y = (canvas.y - (pose.base - 0.10 + (0.02 if not pose.ap else -0.03))) / high
    inside = np.clip(1 - x**2 - np.where(y > 0, 1.6 * y, y) ** 2, 0, 1)
    return np.asarray((0.06 + 0.11 * size) * np.sqrt(inside), np.float32)


def _stomach(canvas: Canvas, outlines: Outlines, rng: np.random.Generator) -> np.ndarray:
    pose = outlines.pose
    x = pose.centre + rng.uniform(0.10, 0.20)
    y = float(outlines.diaphragm(np.array([0.4]), 1)[0]) + 0.035
    radius = rng.uniform(0.02, 0.05)
    bubble = np.clip(1.2 - ((canvas.x - x) / (1.5 * radius)) ** 2 - ((canvas.y - y) / (0.7 * radius)) ** 2, 0, 1)
    return np.asarray(0.16 * np.sqrt(bubble), np.float32)


def _bones(canvas: Canvas, outlines: Outlines, lungs: np.ndarray) -> np.ndarray:
    body, pose = outlines.body, outlines.pose
    layers = np.zeros((canvas.n, canvas.n), np.float32)
    for name, levels, strength, width in (("posterior", 10, 0.058, 1.0), ("anterior", 7, 0.040, 1.15)):
        fill, cortex = [], []
        for side in SIDES:
            for level in range(levels):
                rib = getattr(outlines, f"{name}_rib")(level, side)
                thick = body.rib_width * width * (0.75 if level == 0 else 1.0)
                fill.append((rib, thick, 0.62))
                across = _normals(rib) * thick / 2
                cortex += [(rib + across, 0.0030, 1.0), (rib - across, 0.0022, 0.9)]
        drawn = canvas.stroke(fill + cortex, 0.0018)
        layers = layers + strength * drawn
    # Along the chest wall ribs are seen edge-on and add up; over the abdomen the film is too dense to show them.
    layers *= np.clip(1.0 - (canvas.y - (pose.base - 0.5 * pose.dome)) / 0.10, 0.15, 1.0)
    layers *= 0.75 + 0.25 * lungs
    for side in SIDES:
        clavicle = outlines.clavicle(side)
        across = _normals(clavicle) * 0.014
        lines = [(clavicle, 0.028, 0.65), (clavicle + across, 0.0032, 1.0), (clavicle - across, 0.0032, 1.0)]
        layers += 0.085 * canvas.stroke(lines, 0.0018)
        blade = canvas.fill(outlines.scapula(side), 0.002)
        rim = canvas.stroke([(np.vstack([outlines.scapula(side), outlines.scapula(side)[:1]]), 0.006, 1.0)], 0.002)
        layers += 0.030 * blade + 0.035 * rim
        x, y = clavicle[-1] + np.array([side * 0.035, 0.045])
        layers += 0.11 * np.clip(1.3 * (1.15 - np.hypot(canvas.x - x, canvas.y - y) / 0.042), 0, 1)  # head of the humerus
        shaft = np.array([[x, y], [x + side * 0.06, y + 0.5]])
        layers += 0.08 * canvas.stroke([(shaft, 0.045, 0.7), (shaft - [0.021, 0], 0.008, 1), (shaft + [0.021, 0], 0.008, 1)], 0.002)
    return layers * np.float32(body.bone)


def _normals(line: np.ndarray) -> np.ndarray:
    """Unit normals at the points of a line, `[k, 2]`."""
    along = np.gradient(line, axis=0)
    along /= np.maximum(np.linalg.norm(along, axis=1, keepdims=True), 1e-9)
    return np.stack([-along[:, 1], along[:, 0]], 1)


def _vessels(canvas: Canvas, outlines: Outlines) -> np.ndarray:
    """Two trees from the hila; the seed is the person's, so that their vessels are the same in every study."""
    rng = np.random.default_rng(outlines.body.vessel_seed)
    pose = outlines.pose
    span = pose.base - pose.apex
    lines: list[tuple[np.ndarray, float, float]] = []
    for side in SIDES:
        hilum = np.array([pose.centre + side * 0.065, pose.apex + (0.40 if side > 0 else 0.43) * span])
        for angle in np.linspace(-1.25, 1.35, 11) + rng.normal(0, 0.10, 11):
            _branch(lines, rng, hilum + rng.normal(0, 0.012, 2), angle, side, span * rng.uniform(0.26, 0.40), 0.0105, 3)
    tree = canvas.stroke(sorted(lines, key=lambda line: line[2]), 0.0016)
    glow = sum(
        np.exp(-(((canvas.x - pose.centre - side * 0.078) / 0.028) ** 2 + ((canvas.y - pose.apex - 0.42 * span) / 0.07) ** 2))
        for side in SIDES
    )
    return 0.085 * tree + np.float32(0.075) * np.asarray(glow, np.float32)


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
    bends = angle + np.cumsum(rng.normal(0, 0.10, 5))
    steps = np.stack([side * np.cos(bends), np.sin(bends)], 1) * length / 5
    line = np.vstack([start, start + np.cumsum(steps, axis=0)])
    half = len(line) // 2
    lines += [(line[: half + 1], width, min(1.0, 0.35 + 60 * width)), (line[half:], 0.8 * width, min(1.0, 0.30 + 55 * width))]
    if depth > 1:
        for turn, at in ((-0.45, 3), (0.45, 5)):
            _branch(lines, rng, line[at], bends[-1] + turn + rng.normal(0, 0.12), side, 0.62 * length, 0.62 * width, depth - 1)

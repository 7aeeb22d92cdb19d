"""What is bright in a lung and is no opacity: findings of "No Lung Opacity / Not Normal", without boxes.

Each function fills air of the thorax, or adds to its tissue, in place. They are as bright as opacities on purpose: what
tells them apart is shape, place and texture.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from pneumonia.sources.synthetic.canvas import sigmoid
from pneumonia.sources.synthetic.thorax import AIR, SIDES, Thorax


def effusion(rng: np.random.Generator, thorax: Thorax) -> None:
    """Fluid at the base: homogeneous, its upper border a meniscus that climbs the chest wall; one side or both."""
    canvas, outlines, pose = thorax.canvas, thorax.outlines, thorax.outlines.pose
    both = rng.random() < 0.35
    for side in SIDES if both else (int(rng.choice(SIDES)),):
        level = pose.base - pose.dome * rng.uniform(0.6, 1.3) - abs(rng.normal(0, 0.06))
        share = np.clip((side * (canvas.x - pose.centre)) / float(outlines.lateral(level, side)), 0, 1.1)
        surface = level - rng.uniform(0.04, 0.12) * share**5 - 0.012 * np.clip(0.4 - share, 0, 1)
        soft = 0.010 if not pose.ap else 0.022  # lying down the fluid spreads and its border blurs
        density = rng.uniform(0.75, 0.97) * sigmoid((canvas.y - surface) / soft)
        if pose.ap:
            veil = 0.22 * np.clip((canvas.y - pose.apex) / (pose.base - pose.apex), 0, 1) * rng.random()
            density = np.maximum(density, veil)
        thorax.consolidate(density * thorax.lungs[side])


def oedema(rng: np.random.Generator, thorax: Thorax) -> None:
    """Haze on both sides of the hila, alike and without an edge, with Kerley lines and fuller vessels."""
    canvas, pose = thorax.canvas, thorax.outlines.pose
    y = pose.apex + rng.uniform(0.42, 0.58) * (pose.base - pose.apex)
    wide, high = rng.uniform(0.09, 0.15), rng.uniform(0.13, 0.22)
    strength = rng.uniform(0.22, 0.60)
    thorax.vessels *= np.float32(rng.uniform(1.2, 1.6))
    away = np.abs(canvas.x - pose.centre) - 0.09
    haze = np.exp(-((away / wide) ** 2) - ((canvas.y - y) / high) ** 2) * np.float32(1.0)
    haze *= 1.0 + 0.10 * np.clip(canvas.noise(rng, 0.12), -2, 2)
    thorax.consolidate(strength * haze)
    lines = []
    for side in SIDES:
        for _ in range(int(rng.integers(3, 9))):
            ly = pose.base - pose.dome - rng.uniform(-0.02, 0.14)
            lx = pose.centre + side * (float(thorax.outlines.lateral(ly, side)) - 0.004)
            lines.append(
                (np.array([[lx, ly], [lx - side * rng.uniform(0.02, 0.035), ly + rng.normal(0, 0.002)]]), 0.0022, 1.0)
            )
    thorax.vessels += 0.05 * canvas.stroke(lines, 0.001)


def fibrosis(rng: np.random.Generator, thorax: Thorax) -> None:
    """A net of fine lines, coarsest at the bases and the periphery; the lungs are a little smaller."""
    canvas, pose = thorax.canvas, thorax.outlines.pose
    net = np.exp(-((canvas.noise(rng, 0.022) / 0.30) ** 2)) + 0.7 * np.exp(-((canvas.noise(rng, 0.013) / 0.35) ** 2))
    low = np.clip((canvas.y - pose.apex) / (pose.base - pose.apex), 0, 1)
    outer = np.clip(np.abs(canvas.x - pose.centre) / pose.half_width, 0, 1)
    where = np.clip(low**1.5 * (0.35 + 0.65 * outer**2) * (1 + 0.4 * canvas.noise(rng, 0.18)), 0, 1)
    thorax.consolidate(rng.uniform(0.35, 0.65) * np.clip(0.75 * net, 0, 1) * where * np.maximum(*thorax.lungs.values()))


def nodules(rng: np.random.Generator, thorax: Thorax) -> None:
    """One to seven small round shadows with a clear edge, or one mass."""
    canvas = thorax.canvas
    total = np.zeros((canvas.n, canvas.n), np.float32)
    mass = rng.random() < 0.25
    for _ in range(1 if mass else int(rng.integers(1, 8))):
        x, y, _ = _spot(rng, thorax)
        radius = rng.uniform(0.028, 0.045) if mass else rng.uniform(0.008, 0.021)
        distance = np.hypot(canvas.x - x, (canvas.y - y) * rng.uniform(0.9, 1.1))
        total = np.maximum(total, rng.uniform(0.45, 0.9) * sigmoid((radius - distance) / 0.0022))
    thorax.consolidate(total)


def apical_scar(rng: np.random.Generator, thorax: Thorax) -> None:
    """A cap over one apex or both, strands drawn from it towards the hilum."""
    canvas, pose = thorax.canvas, thorax.outlines.pose
    for side in SIDES if rng.random() < 0.6 else (int(rng.choice(SIDES)),):
        edge = pose.apex + rng.uniform(0.025, 0.06)
        middle = pose.centre + side * 0.42 * pose.half_width
        cap = sigmoid((edge - canvas.y + 0.35 * np.abs(canvas.x - middle) + 0.006 * canvas.noise(rng, 0.03)) / 0.004)
        strands = []
        for _ in range(int(rng.integers(3, 8))):
            x0, y0 = middle + rng.normal(0, 0.04), edge + rng.uniform(-0.01, 0.02)
            x1, y1 = x0 + (pose.centre + side * 0.08 - x0) * rng.uniform(0.3, 0.8), y0 + rng.uniform(0.05, 0.12)
            strands.append(
                (np.array([[x0, y0], [0.5 * (x0 + x1) + rng.normal(0, 0.008), 0.5 * (y0 + y1)], [x1, y1]]), 0.004, 0.8)
            )
        density = np.maximum(cap, canvas.stroke(strands, 0.0015))
        near = np.clip((float(pose.apex + 0.22) - canvas.y) / 0.1, 0, 1)
        thorax.consolidate(rng.uniform(0.4, 0.7) * density * near * thorax.lungs[side])


def atelectasis(rng: np.random.Generator, thorax: Thorax) -> None:
    """Plates of collapsed lung above the diaphragm: one to three nearly horizontal bands."""
    canvas, outlines, pose = thorax.canvas, thorax.outlines, thorax.outlines.pose
    bands = []
    for _ in range(int(rng.integers(1, 4))):
        side = int(rng.choice(SIDES))
        y = pose.base - pose.dome - rng.uniform(0.0, 0.12)
        x0, x1 = (
            pose.centre + side * share * float(outlines.lateral(y, side))
            for share in (rng.uniform(0.3, 0.45), rng.uniform(0.7, 0.95))
        )
        rise = rng.normal(0, 0.02)
        points = np.array([[x0, y], [0.5 * (x0 + x1), y - 0.006 + 0.5 * rise], [x1, y + rise]])
        bands.append((points, rng.uniform(0.006, 0.014), rng.uniform(0.6, 1.0)))
    thorax.consolidate(0.65 * canvas.stroke(bands, 0.002) * np.maximum(*thorax.lungs.values()))


def emphysema(rng: np.random.Generator, thorax: Thorax) -> None:
    """More air than there should be, fewer vessels, a few bullae."""
    canvas = thorax.canvas
    thorax.vessels *= np.float32(0.6)
    holes = np.clip(canvas.noise(rng, 0.09) - 0.6, 0, 1)
    thorax.air *= 1.0 + rng.uniform(0.06, 0.14) + 0.10 * holes


def enlarged_hila(rng: np.random.Generator, thorax: Thorax) -> None:
    """Lymph nodes or wide arteries: lobed shadows at the hila, on the mediastinum's side of the lung."""
    canvas, pose = thorax.canvas, thorax.outlines.pose
    for side in SIDES:
        for _ in range(int(rng.integers(2, 4))):
            x = pose.centre + side * rng.uniform(0.065, 0.105)
            y = pose.apex + rng.uniform(0.34, 0.50) * (pose.base - pose.apex)
            lobe = sigmoid((rng.uniform(0.018, 0.034) - np.hypot(canvas.x - x, canvas.y - y)) / 0.004)
            thorax.vessels += np.float32(0.28 * AIR) * lobe * thorax.lungs[side]


def _spot(rng: np.random.Generator, thorax: Thorax) -> tuple[float, float, int]:
    """A place in a lung: x, y, side."""
    outlines, pose = thorax.outlines, thorax.outlines.pose
    side = int(rng.choice(SIDES))
    y = rng.uniform(pose.apex + 0.05, pose.base - 0.9 * pose.dome)
    inner, outer = float(outlines.medial(y)), float(outlines.lateral(y, side))
    return pose.centre + side * rng.uniform(inner + 0.25 * (outer - inner), outer - 0.02), y, side


Finding = Callable[[np.random.Generator, Thorax], None]
FINDINGS: dict[str, tuple[Finding, float]] = {  # with its share among the findings of the not normal
    "effusion": (effusion, 0.24),
    "oedema": (oedema, 0.18),
    "fibrosis": (fibrosis, 0.10),
    "nodules": (nodules, 0.14),
    "apical_scar": (apical_scar, 0.08),
    "atelectasis": (atelectasis, 0.12),
    "emphysema": (emphysema, 0.06),
    "enlarged_hila": (enlarged_hila, 0.08),
}


def choose_findings(rng: np.random.Generator, category: str) -> list[str]:
    """Names of a study's findings: none in the normal, one to three (and a large heart) in the others.

    `cardiomegaly` is drawn by the anatomy, the others by FINDINGS. Beside an opacity most studies have none.
    """
    if category == "normal":
        return []
    count = (
        int(rng.choice([1, 2, 3], p=[0.5, 0.35, 0.15]))
        if category == "not_normal"
        else int(rng.choice([0, 1, 2], p=[0.6, 0.34, 0.06]))
    )
    names, shares = list(FINDINGS), np.array([share for _, share in FINDINGS.values()])
    chosen = [str(name) for name in rng.choice(names, size=count, replace=False, p=shares / shares.sum())]
    if rng.random() < (0.22 if category == "not_normal" else 0.15):
        chosen.append("cardiomegaly")
    return chosen

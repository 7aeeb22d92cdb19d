"""Who is on the film and how they stand: the numbers of a thorax, and its outlines.

A `Body` belongs to a person and is the same in all their studies; a `Pose` belongs to one study. Directions are the
viewer's: the patient's right lung is on the left of the film. Lengths are shares of the film's side.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pneumonia.sources.synthetic.canvas import curve


@dataclass(frozen=True)
class Body:
    """What is the same in every study of a person."""

    half_width: float  # of the thorax at its widest, upright and in deep breath
    height: float  # from the apices to the lateral diaphragm
    build: float  # 0 slender, 1 heavy: soft tissue
    heart: float  # half the transverse diameter of the heart
    rib_spacing: float
    rib_width: float
    rib_slope: float
    bone: float  # mineral density, 1 is average
    breast: float  # 0 for none
    aorta: float  # how far the aortic knob stands out
    spine_bend: float  # scoliosis
    vessel_seed: int


@dataclass(frozen=True)
class Pose:
    """What changes from study to study: projection, breath, rotation."""

    ap: bool
    half_width: float
    apex: float  # y of the apices
    base: float  # y of the costophrenic angles
    dome: float  # height of the diaphragm above them
    centre: float  # x of the spine
    turn: float  # axial rotation: how far the sternum stands to the viewer's right of the spine
    heart: float
    clavicle: float  # y of their medial ends
    scapula: float  # how far the shoulder blades lie over the lungs


def sample_body(rng: np.random.Generator, sex: str, age: float) -> Body:
    """The build of a person of this sex and age (years)."""
    male = sex == "M"
    growth = float(np.clip(0.72 + 0.28 * age / 16, 0.72, 1.0))  # children are exposed closer, yet fill less of the film
    build = float(rng.beta(2, 2))
    return Body(
        half_width=(0.345 if male else 0.325) * growth**0.5 * rng.normal(1, 0.04),
        height=(0.70 if male else 0.66) * growth**0.5 * rng.normal(1, 0.05),
        build=build,
        heart=(0.145 + 0.02 * build) * rng.normal(1, 0.08) * (1 + 0.1 * max(0.0, age - 50) / 40),
        rib_spacing=0.073 * growth**0.5 * rng.normal(1, 0.04),
        rib_width=(0.024 if male else 0.021) * rng.normal(1, 0.08),
        rib_slope=rng.normal(0.10, 0.018),
        bone=float(np.clip(rng.normal(1.08 - 0.004 * max(0.0, age - 40), 0.12), 0.6, 1.4)),
        breast=0.0 if male or age < 13 else rng.uniform(0.25, 1.0),
        aorta=float(np.clip(rng.normal(0.012 + 0.00025 * max(0.0, age - 30), 0.006), 0, 0.035)),
        spine_bend=rng.normal(0, 0.008),
        vessel_seed=int(rng.integers(2**31)),
    )


def sample_pose(rng: np.random.Generator, body: Body, view: str, *, large_heart: bool = False) -> Pose:
    """One exposure of `body`: PA standing in deep breath, or AP lying or sitting, the plate behind the back."""
    ap = view == "AP"
    breath = rng.normal(0.86, 0.08) if ap else rng.normal(1.0, 0.045)
    apex = float(np.clip(rng.normal(0.15 if ap else 0.115, 0.03), 0.05, 0.24))
    heart = body.heart * (rng.normal(1.13, 0.05) if ap else 1.0) * (rng.uniform(1.25, 1.5) if large_heart else 1.0)
    half_width = body.half_width * (rng.normal(0.97, 0.04) if ap else 1.0)
    return Pose(
        ap=ap,
        half_width=float(np.clip(half_width, 0.23, 0.42)),
        apex=apex,
        base=float(np.clip(apex + body.height * breath, 0.60, 0.93)),
        dome=rng.uniform(0.07, 0.12) * (1.15 if ap else 1.0),
        centre=0.5 + rng.normal(0, 0.015),
        turn=rng.normal(0, 0.016 if ap else 0.006),
        heart=min(heart, 0.8 * half_width),
        clavicle=apex + (rng.normal(0.035, 0.02) if ap else rng.normal(0.085, 0.018)),
        scapula=float(np.clip(rng.normal(0.6 if ap else 0.2, 0.2), 0, 1)),
    )


@dataclass(frozen=True)
class Outlines:
    """The outlines that a body makes in a pose. A side is -1, the viewer's left (the patient's right), or +1."""

    body: Body
    pose: Pose

    def spine_x(self, y: np.ndarray | float) -> np.ndarray | float:
        """x of the midline at height y."""
        return self.pose.centre + self.body.spine_bend * np.sin(np.pi * (y - 0.1) / 0.8)

    def share(self, y: np.ndarray | float) -> np.ndarray:
        """0 at the apices, 1 at the costophrenic angles."""
        return np.clip((np.asarray(y, float) - self.pose.apex) / (self.pose.base - self.pose.apex), 0.0, 1.0)

    def lateral(self, y: np.ndarray | float, side: int) -> np.ndarray:
        """Distance from the midline of the lung's outer border at height y."""
        start = 0.42 * self.pose.half_width
        u = np.minimum(self.share(y) / 0.86, 1.0)
        width = start + (self.pose.half_width - start) * np.sqrt(np.maximum(0.0, 1 - (1 - u) ** 2.4))
        return width * (1 + side * 1.5 * self.pose.turn)

    def medial(self, y: np.ndarray | float) -> np.ndarray:
        """Distance from the midline of the lung's inner border, which the mediastinum and the heart cover."""
        u = self.share(y)
        start, waist = 0.42 * self.pose.half_width, 0.055
        return waist + (start - waist) * np.maximum(0.0, 1 - u / 0.13) ** 2

    def diaphragm(self, s: np.ndarray, side: int) -> np.ndarray:
        """y of the diaphragm at s, 0 at the lung's inner border, 1 at its outer one. The right dome stands higher."""
        dome = self.pose.dome * (1.08 if side < 0 else 0.94)
        outer = np.maximum(0.0, s - 0.40) / 0.60
        inner = np.maximum(0.0, 0.40 - s) / 0.40
        return self.pose.base - (0.012 if side < 0 else 0.0) - dome * (1 - outer**2.3 - 0.3 * inner**2)

    def lung(self, side: int) -> np.ndarray:
        """The lung down to the diaphragm, the part behind the heart included; points `[k, 2]`."""
        pose = self.pose
        y = pose.apex + (pose.base - pose.apex) * np.linspace(0, 1, 40) ** 1.6
        outer = np.stack([self.spine_x(y) + side * self.lateral(y, side), y], 1)
        s = np.linspace(1, 0, 24)
        low = pose.base
        inner_x = self.spine_x(low) + side * self.medial(low)
        outer_x = self.spine_x(low) + side * self.lateral(low, side)
        floor = np.stack([inner_x + s * (outer_x - inner_x), self.diaphragm(s, side)], 1)
        top = y[(y < floor[-1, 1])][::-1]
        inner = np.stack([self.spine_x(top) + side * self.medial(top), top], 1)
        return np.concatenate([outer[:-1], floor, inner])

    def abdomen(self) -> np.ndarray:
        """What lies below both domes, down to the canvas's end."""
        pose, s = self.pose, np.linspace(1, 0, 20)
        floors = []
        for side in (-1, 1):
            inner, outer = self.medial(pose.base), self.lateral(pose.base, side)
            x = self.spine_x(pose.base) + side * (inner + s * (outer - inner))
            floors.append(np.stack([x, self.diaphragm(s, side) - 0.004], 1))
        left, right = floors[0], floors[1][::-1]
        wide = pose.half_width + 0.10
        low = np.array(
            [
                [pose.centre + wide, pose.base + 0.06],
                [pose.centre + wide, 1.3],
                [pose.centre - wide, 1.3],
                [pose.centre - wide, pose.base + 0.06],
            ]
        )
        return np.concatenate([left, right, low])

    def heart(self) -> np.ndarray:
        """The heart's silhouette with the great vessels' root; two thirds of it lie on the viewer's right."""
        pose = self.pose
        x = pose.centre + 0.6 * pose.turn
        floor = float(self.diaphragm(np.array([0.25]), 1)[0])
        top = pose.apex + 0.40 * (floor - pose.apex)
        right, left = 0.66 * pose.heart, 1.38 * pose.heart
        h = floor - top
        return curve(
            [
                (x - 0.05, top),
                (x - 0.06 - 0.1 * right, top + 0.25 * h),
                (x - right, top + 0.62 * h),
                (x - 0.85 * right, top + 0.92 * h),
                (x - 0.3 * right, top + 1.08 * h),
                (x + 0.5 * left, top + 1.10 * h),
                (x + 0.92 * left, top + 1.00 * h),
                (x + left, top + 0.84 * h),
                (x + 0.80 * left, top + 0.52 * h),
                (x + 0.48 * left, top + 0.22 * h),
                (x + 0.055, top),
            ],
            closed=True,
        )

    def mediastinum(self) -> np.ndarray:
        """The upper mediastinum: vena cava on the viewer's left, aortic knob on the right."""
        pose, knob = self.pose, self.body.aorta
        x, span = pose.centre + 0.5 * pose.turn, pose.base - pose.apex
        wide = 1.25 if pose.ap else 1.0

        def at(share: float) -> float:
            return pose.apex + share * span

        return curve(
            [
                (x - 0.030, pose.apex - 0.25),
                (x - 0.040, at(0.02)),
                (x - 0.052 * wide, at(0.22)),
                (x - 0.050 * wide, at(0.50)),
                (x - 0.045, at(0.95)),
                (x + 0.050, at(0.95)),
                (x + 0.050, at(0.42)),
                (x + 0.052 + 0.4 * knob, at(0.30)),
                (x + 0.052 * wide + knob, at(0.22)),
                (x + 0.044 * wide + 0.5 * knob, at(0.15)),
                (x + 0.036, at(0.02)),
                (x + 0.030, pose.apex - 0.25),
            ],
            closed=True,
        )

    def torso(self) -> np.ndarray:
        """Skin: neck, shoulders, flanks. The arms hang outside."""
        pose, c = self.pose, self.pose.centre
        flank = pose.half_width + 0.045 + 0.09 * self.body.build
        shoulder = pose.apex - 0.015
        half = [
            (0.075 + 0.03 * self.body.build, -0.30),
            (0.085 + 0.03 * self.body.build, shoulder - 0.14),
            (0.16, shoulder - 0.045),
            (flank - 0.02, shoulder + 0.03),
            (flank + 0.10, shoulder + 0.12),
            (flank + 0.16, shoulder + 0.30),
            (flank + 0.20, shoulder + 0.50),
            (flank + 0.07, shoulder + 0.47),
            (flank + 0.015, shoulder + 0.30),
            (flank, shoulder + 0.42),
            (flank, pose.base),
            (flank + 0.01, 1.3),
        ]
        left = [(c - dx, y) for dx, y in half]
        right = [(c + dx, y) for dx, y in reversed(half)]
        return np.concatenate([curve(left, 6), curve(right, 6)])

    def posterior_rib(self, level: int, side: int) -> np.ndarray:
        """From the spine outwards and, round the chest wall, down: a quarter of an ellipse."""
        pose, body = self.pose, self.body
        y0 = pose.apex - 0.035 + level * body.rib_spacing
        t = np.linspace(0, np.pi / 2, 24)
        drop = (body.rib_slope + 0.004 * level) * (0.8 + 0.2 * np.minimum(1, level / 3))
        end = y0 + drop
        reach = float(self.lateral(min(end, pose.base), side)) + 0.006
        x = self.spine_x(y0) + side * (0.035 + (reach - 0.035) * np.sin(t))
        return np.stack([x, y0 - 0.012 * np.sin(2 * t) + drop * (1 - np.cos(t)) ** 0.9], 1)

    def anterior_rib(self, level: int, side: int) -> np.ndarray:
        """The front of the same rib: from the chest wall inwards and down to its cartilage, which casts no shadow."""
        pose, body = self.pose, self.body
        back = self.posterior_rib(level, side)
        x0, y0 = back[-1]
        t = np.linspace(0, 1, 16)
        inner = self.spine_x(y0) + side * (0.42 + 0.02 * level) * pose.half_width + pose.turn
        drop = 0.085 + 0.006 * level
        return np.stack([x0 + (inner - x0) * t, y0 + drop * (0.25 * t + 0.75 * t**0.5) * body.rib_slope / 0.10], 1)

    def clavicle(self, side: int) -> np.ndarray:
        """From the sternum to the shoulder; its medial end follows the patient's rotation."""
        pose = self.pose
        x0 = pose.centre + pose.turn + side * 0.045
        reach = pose.half_width + 0.05
        rise = 0.055 if not pose.ap else 0.025
        return curve(
            [
                (x0, pose.clavicle),
                (x0 + side * 0.25 * reach, pose.clavicle - 0.15 * rise),
                (x0 + side * 0.60 * reach, pose.clavicle - 0.75 * rise),
                (x0 + side * 0.95 * reach, pose.clavicle - 1.0 * rise),
            ]
        )

    def scapula(self, side: int) -> np.ndarray:
        """The shoulder blade: over the lung where the arms were not rolled forward."""
        pose = self.pose
        x = pose.centre + side * (pose.half_width + 0.02 - 0.09 * pose.scapula)
        y = pose.apex + 0.04
        return curve(
            [
                (x + side * 0.12, y),
                (x + side * 0.005, y + 0.04),
                (x - side * 0.005, y + 0.14),
                (x + side * 0.035, y + 0.29),
                (x + side * 0.075, y + 0.20),
                (x + side * 0.11, y + 0.10),
            ],
            closed=True,
        )

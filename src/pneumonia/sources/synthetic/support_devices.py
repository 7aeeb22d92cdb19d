"""Metal and plastic on the film: the side marker, leads, tubes, catheters, pacemakers.

All of it is drawn on one layer in film coordinates: uint8 `[size, size]`, 0 nothing, 255 opaque to X-rays.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from pneumonia.sources.synthetic.anatomy import Outlines
from pneumonia.sources.synthetic.canvas import curve

_SHIFT = 4
_FINEST = 512  # pixels; a smaller film's layer is drawn at this size and shrunk


class Overlay:
    """The layer, and the pen: it draws in coordinates of the patient (placed by `posture`) or of the film."""

    def __init__(self, size: int, posture: np.ndarray) -> None:
        self.size, self.side = size, max(size, _FINEST)
        self.layer = np.zeros((self.side, self.side), np.uint8)
        self.posture = posture

    def line(self, points: np.ndarray, width: float, value: int) -> None:
        """A line on the patient, its width a share of the side."""
        cv2.polylines(
            self.layer, [self._pixels(points)], False, value, max(1, round(width * self.side)), cv2.LINE_AA, _SHIFT
        )

    def disc(self, x: float, y: float, radius: float, value: int, thickness: float = 0.0) -> None:
        """A disc on the patient, or a ring where `thickness` is given."""
        centre = self._pixels(np.array([[x, y]]))[0]
        thick = max(1, round(thickness * self.side)) if thickness else cv2.FILLED
        fixed = round(radius * self.side * 2**_SHIFT)
        cv2.circle(self.layer, (int(centre[0]), int(centre[1])), fixed, value, thick, cv2.LINE_AA, _SHIFT)

    def shape(self, points: np.ndarray, value: int) -> None:
        """A filled polygon on the patient."""
        cv2.fillPoly(self.layer, [self._pixels(points)], value, cv2.LINE_AA, _SHIFT)

    def text(self, text: str, x: float, y: float, height: float, value: int, angle: float = 0.0) -> None:
        """Letters on the film, not on the patient; x and y are their middle, height that of a capital."""
        scale, bold = (
            height * self.side / 21.0,
            max(1, round(height * self.side / 9)),
        )  # a capital of this font is 21 pixels high
        (wide, high), _ = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, scale, bold)
        stamp = np.zeros((2 * high + 4 * bold, wide + 4 * bold), np.uint8)
        cv2.putText(
            stamp,
            text,
            (2 * bold, round(1.5 * high) + 2 * bold),
            cv2.FONT_HERSHEY_SIMPLEX,
            scale,
            value,
            bold,
            cv2.LINE_AA,
        )
        middle = (stamp.shape[1] / 2, stamp.shape[0] / 2)
        matrix = np.asarray(cv2.getRotationMatrix2D(middle, angle, 1.0), np.float64)
        matrix[:, 2] += np.array([x, y]) * self.side - middle
        np.maximum(
            self.layer, cv2.warpAffine(stamp, matrix, (self.side, self.side), flags=cv2.INTER_LINEAR), out=self.layer
        )

    def result(self) -> np.ndarray:
        """The finished layer, uint8 `[size, size]`."""
        if self.side == self.size:
            return self.layer
        return cv2.resize(self.layer, (self.size, self.size), interpolation=cv2.INTER_AREA)

    def _pixels(self, points: np.ndarray) -> np.ndarray:
        placed = points @ self.posture[:, :2].T + self.posture[:, 2]
        return np.rint((placed * self.side - 0.5) * 2**_SHIFT).astype(np.int32)


def draw_markers(overlay: Overlay, rng: np.random.Generator, view: str) -> None:
    """The side letter in an upper corner (R on the viewer's left, L on the right), and the stamps of portable films."""
    letter = "L" if rng.random() < 0.65 else "R"
    x = rng.uniform(0.86, 0.95) if letter == "L" else rng.uniform(0.05, 0.14)
    y, height, value = rng.uniform(0.04, 0.14), rng.uniform(0.020, 0.034), int(rng.integers(215, 256))
    angle = rng.normal(0, 8) if rng.random() < 0.7 else rng.uniform(-90, 90)
    overlay.text(letter, x, y, height, value, angle)
    style = rng.random()
    if style < 0.3:  # the letter of a lead marker stands in a ring
        centre = (round(x * overlay.side), round(y * overlay.side))
        cv2.circle(
            overlay.layer,
            centre,
            round(1.05 * height * overlay.side),
            value,
            max(1, round(0.0035 * overlay.side)),
            cv2.LINE_AA,
        )
    elif style < 0.55:
        initials = "".join(rng.choice(list("ABCDEFGHJKMNPSTW"), 2))
        overlay.text(initials, x, y + 1.5 * height, 0.45 * height, value, angle)
    if view == "AP" and rng.random() < 0.6:
        corner = rng.uniform(0.10, 0.22) if letter == "L" else rng.uniform(0.78, 0.90)
        overlay.text("PORTABLE" if rng.random() < 0.7 else "SUPINE", corner, rng.uniform(0.04, 0.12), 0.012, 235)
        overlay.text("AP", corner, rng.uniform(0.14, 0.18), 0.014, 235)


def draw_devices(overlay: Overlay, rng: np.random.Generator, outlines: Outlines, names: Sequence[str]) -> None:
    """Draw the named devices (keys of DEVICES) in the order given."""
    for name in names:
        DEVICES[name](overlay, rng, outlines)


def choose_devices(rng: np.random.Generator, view: str, category: str) -> list[str]:
    """Bedridden patients (AP) carry leads and tubes, the iller the more; ambulant ones (PA) at most a pacemaker."""
    ill = 0.0 if category == "normal" else 1.0
    if view == "AP":
        chances = {
            "leads": 0.6,
            "central_line": 0.25 + 0.25 * ill,
            "tube": 0.06 + 0.22 * ill,
            "drain": 0.02 + 0.06 * ill,
            "pacemaker": 0.06,
        }
    else:
        chances = {"leads": 0.05, "central_line": 0.04 + 0.08 * ill, "drain": 0.01, "pacemaker": 0.04, "clips": 0.05}
    return [name for name, chance in chances.items() if rng.random() < chance]


def _leads(overlay: Overlay, rng: np.random.Generator, outlines: Outlines) -> None:
    pose = outlines.pose
    out = (rng.choice([-1, 1]) * 0.7 + 0.5, rng.uniform(0.75, 1.1))  # all wires leave the film together
    for _ in range(int(rng.integers(3, 6))):
        side = rng.choice([-1, 1])
        x = pose.centre + side * rng.uniform(0.5, 1.0) * pose.half_width
        y = pose.apex + rng.uniform(0.08, 0.95) * (pose.base - pose.apex)
        overlay.disc(x, y, rng.uniform(0.011, 0.016), int(rng.integers(70, 130)))
        overlay.disc(x, y, 0.005, 220)
        middle = (0.5 * (x + out[0]) + rng.normal(0, 0.08), 0.5 * (y + out[1]) + rng.normal(0, 0.08))
        overlay.line(
            curve([(x, y), middle, (out[0], out[1] + rng.normal(0, 0.03))], 16), 0.0028, int(rng.integers(110, 190))
        )


def _central_line(overlay: Overlay, rng: np.random.Generator, outlines: Outlines) -> None:
    pose = outlines.pose
    tip = (pose.centre - 0.035 + rng.normal(0, 0.006), pose.apex + rng.uniform(0.32, 0.45) * (pose.base - pose.apex))
    neck = rng.random() < 0.5
    side = -1 if rng.random() < 0.7 else 1
    start = (
        (pose.centre + side * 0.07, -0.12) if neck else (pose.centre + side * 1.15 * pose.half_width, pose.apex + 0.09)
    )
    bend = (
        (pose.centre + side * 0.045, pose.apex + 0.01)
        if neck
        else (pose.centre + side * 0.45 * pose.half_width, pose.clavicle + 0.005)
    )
    overlay.line(
        curve([start, bend, (pose.centre - 0.036, pose.apex + 0.13), tip], 16), 0.0040, int(rng.integers(90, 150))
    )


def _tube(overlay: Overlay, rng: np.random.Generator, outlines: Outlines) -> None:
    """A breathing tube, its tip above the carina, and often a stomach tube that crosses the diaphragm."""
    pose = outlines.pose
    end = pose.apex + rng.uniform(0.12, 0.22) * (pose.base - pose.apex)
    x = pose.centre + 0.4 * pose.turn + 0.006
    trachea = curve([(x + rng.normal(0, 0.01), -0.12), (x, pose.apex), (x, end)], 12)
    for offset, value in ((-0.008, 90), (0.008, 130)):
        overlay.line(trachea + np.array([offset, 0]), 0.0022, value)
    if rng.random() < 0.6:
        below = pose.base - 0.3 * pose.dome
        points = [
            (x + 0.012, -0.12),
            (x + 0.014, pose.apex + 0.2),
            (pose.centre + 0.02, below - 0.1),
            (pose.centre + 0.10, below + 0.08),
        ]
        overlay.line(curve(points, 16), 0.0040, int(rng.integers(100, 160)))


def _drain(overlay: Overlay, rng: np.random.Generator, outlines: Outlines) -> None:
    pose, side = outlines.pose, rng.choice([-1, 1])
    y = pose.apex + rng.uniform(0.5, 0.8) * (pose.base - pose.apex)
    inside = (pose.centre + side * 0.6 * pose.half_width, pose.apex + rng.uniform(0.1, 0.5) * (pose.base - pose.apex))
    points = curve([(pose.centre + side * 0.62, y + 0.1), (pose.centre + side * pose.half_width, y), inside], 16)
    overlay.line(points + np.array([0.006, 0]), 0.0018, 120)
    overlay.line(points - np.array([0.006, 0]), 0.0030, 190)


def _pacemaker(overlay: Overlay, rng: np.random.Generator, outlines: Outlines) -> None:
    pose = outlines.pose
    x, y = pose.centre + rng.uniform(0.72, 0.9) * pose.half_width, pose.apex + rng.uniform(0.10, 0.17)
    ring = np.linspace(0, 2 * np.pi, 40)
    box = np.sign(np.cos(ring)) * np.abs(np.cos(ring)) ** 0.6, np.sign(np.sin(ring)) * np.abs(np.sin(ring)) ** 0.6
    overlay.shape(np.stack([x + 0.042 * box[0], y + 0.034 * box[1]], 1), 215)
    heart = (pose.centre + 0.05, pose.base - pose.dome - 0.03)
    vein = (pose.centre - 0.03, pose.apex + 0.16)
    wire = curve(
        [(x, y - 0.03), (pose.centre + 0.10, pose.clavicle), vein, (pose.centre - 0.045, pose.apex + 0.38), heart], 14
    )
    overlay.line(wire, 0.0034, 200)


def _clips(overlay: Overlay, rng: np.random.Generator, outlines: Outlines) -> None:
    """Wire loops of an opened sternum."""
    pose = outlines.pose
    for level in np.linspace(0.12, 0.6, int(rng.integers(4, 7))):
        x, y = pose.centre + pose.turn + rng.normal(0, 0.004), pose.apex + level * (pose.base - pose.apex)
        overlay.disc(x, y, 0.009, 210, 0.0028)


DEVICES = {
    "leads": _leads,
    "central_line": _central_line,
    "tube": _tube,
    "drain": _drain,
    "pacemaker": _pacemaker,
    "clips": _clips,
}

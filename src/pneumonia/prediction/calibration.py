"""A study's score as a probability: maps fitted on validation, one a model and one of the ensemble.

A network's score ranks studies; that three of ten studies with a score of 0.3 show an opacity, nobody taught it. Each map
rises with the score, so no ranking of studies changes but for ties, and no box: boxes are fused, ranked and shown by the
scores that the detectors gave them.

- `platt`: p = 1 / (1 + exp(-(slope * logit(score) + intercept))), fitted by maximum likelihood with Platt's targets
  (Platt 1999, "Probabilistic outputs for support vector machines", section 2.2), which keep the slope finite where the
  scores part the classes. Two numbers, so that some two hundred studies are enough.
- `isotonic`: the rising steps with the least squared error (pool adjacent violators), joined by straight lines. It bends
  as it likes, needs more studies, and scores that fall on one step are tied.

A detector without a detection gives 0, which has no logit: all that is known of such a study is that nothing reached the
floor of `predict`, so scores below the floor count as the floor.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from pneumonia import files

Array = NDArray[np.float64]
Method = Literal["platt", "isotonic", "none"]
LEAST = 10  # positive and negative studies that a fit needs
EDGE = 1e-6  # scores have six decimals


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """What turns a model's score of a study into a probability.

    Attributes:
        method: `platt`, `isotonic`, or `none`: scores stay as they are.
        reason: why there is none although one was asked for; else empty.
        floor: lower scores count as this one.
        slope, intercept: of `platt`.
        scores, values: of `isotonic`: the corners of the map, scores rising.
        studies, positives: that it was fitted on.
    """

    method: Method = "none"
    reason: str = ""
    floor: float = 0.0
    slope: float = 1.0
    intercept: float = 0.0
    scores: tuple[float, ...] = ()
    values: tuple[float, ...] = ()
    studies: int = 0
    positives: int = 0

    def __call__(self, scores: pd.Series) -> pd.Series:
        """`scores` (0 to 1, by study) as probabilities by study, with the six decimals that scores have on disk."""
        return pd.Series(self.of(scores.to_numpy(np.float64)).round(6), index=scores.index, name=scores.name)

    def of(self, scores: ArrayLike) -> Array:
        """Scores `[N]`, 0 to 1, as probabilities."""
        own = np.asarray(scores, np.float64)
        if self.method == "platt":
            return _sigmoid(self.slope * _logit(own, self.floor) + self.intercept)
        if self.method == "isotonic":
            return np.interp(np.maximum(own, self.floor), self.scores, self.values)
        return own


NONE = Calibration()


def fit(scores: ArrayLike, targets: ArrayLike, *, method: str, floor: float = EDGE) -> Calibration:
    """The map of one model's scores.

    Arguments:
        scores: `[N]`, 0 to 1, of studies that no training saw.
        targets: `[N]`, 0 or 1.
        method: `platt`, `isotonic` or `none`.
        floor: lower scores count as this one: a detector's `predict.score_floor`.

    Returns:
        calibration: of the method `none`, with the reason, where the studies do not say enough: fewer than `LEAST` of
            either class, or a share of positives that does not rise with the score.

    Raises:
        ValueError: an unknown method.
    """
    own, truth = np.asarray(scores, np.float64), np.asarray(targets, np.float64)
    studies, positives = len(truth), int(truth.sum())
    made = partial(Calibration, studies=studies, positives=positives)
    if method not in ("platt", "isotonic", "none"):
        raise ValueError(f"calibrate.method must be platt, isotonic or none, got {method!r}")
    if method == "none":
        return made()
    if min(positives, studies - positives) < LEAST:
        words = f"{positives} of {studies} validation studies are positive"
        return made(reason=f"{words}; {LEAST} of either class are needed")
    if method == "isotonic":
        corners, values = isotonic(np.maximum(own, floor), truth)
        return made(method="isotonic", floor=floor, scores=_short(corners), values=_short(values))
    slope, intercept = platt(_logit(own, floor), truth)
    if not slope > 0:
        return made(reason="the share of positive validation studies does not rise with the score")
    return made(method="platt", floor=floor, slope=round(slope, 6), intercept=round(intercept, 6))


def platt(x: ArrayLike, targets: ArrayLike) -> tuple[float, float]:
    """Slope and intercept of the logistic curve through `targets` (0 or 1) over `x`, both `[N]`, by Newton's method.

    A positive counts as (P + 1) / (P + 2) and a negative as 1 / (M + 2), of P positives and M negatives.
    """
    own, truth = np.asarray(x, np.float64), np.asarray(targets) == 1
    positives, negatives = int(truth.sum()), int((~truth).sum())
    wanted = np.where(truth, (positives + 1) / (positives + 2), 1 / (negatives + 2))
    design = np.c_[own, np.ones_like(own)]  # (N, 2)
    weights = np.array([0.0, np.log((positives + 1) / (negatives + 1))])

    def loss(at: Array) -> float:
        z = design @ at
        return float(np.sum(np.logaddexp(0, z) - wanted * z))

    for _ in range(100):
        p = _sigmoid(design @ weights)
        slope = design.T @ (p - wanted)
        curvature = (design * (p * (1 - p))[:, None]).T @ design
        step = np.linalg.lstsq(curvature, slope, rcond=None)[0]
        size = 1.0
        while loss(weights - size * step) > loss(weights) and size > 1e-10:  # the loss is convex: a short step falls
            size /= 2
        weights = weights - size * step
        if np.abs(size * step).max() < 1e-10:
            break
    return float(weights[0]), float(weights[1])


def isotonic(scores: ArrayLike, targets: ArrayLike) -> tuple[Array, Array]:
    """The corners of the rising steps closest to `targets` over `scores`, both `[N]`: scores and values.

    Worked example: targets 0, 1, 0, 1 over scores 1, 2, 3, 4 give the steps 0, 1/2 (of 2 and 3) and 1, and the corners
    (1, 0), (2, 1/2), (3, 1/2), (4, 1).
    """
    frame = pd.DataFrame({"x": np.asarray(scores, np.float64), "y": np.asarray(targets, np.float64)})
    groups = frame.groupby("x")["y"].agg(["sum", "count"]).reset_index()
    blocks: list[tuple[float, float, float, int]] = []  # first score, last score, sum, count
    for x, total, count in groups.itertuples(index=False):
        block = (x, x, total, count)
        while blocks and blocks[-1][2] * block[3] >= block[2] * blocks[-1][3]:  # not below: pool
            first = blocks.pop()
            block = (first[0], block[1], first[2] + block[2], first[3] + block[3])
        blocks.append(block)
    ends = [((a, total / count), (b, total / count)) for a, b, total, count in blocks]
    corners = np.array([corner for pair in ends for corner in dict.fromkeys(pair)])
    return corners[:, 0], corners[:, 1]


def write(path: str | Path, calibrations: Mapping[str, Calibration]) -> None:
    """Write each model's calibration as JSON."""
    files.write_json(path, {name: asdict(own) for name, own in calibrations.items()})


def read(path: str | Path) -> dict[str, Calibration]:
    """What `write` wrote: model -> calibration.

    Raises:
        ValueError: the file is not there, or is no such file.
    """
    if not Path(path).is_file():
        raise ValueError(f"{path} not found; run `dvc repro calibrate` first")
    try:
        return {name: described(own) for name, own in files.read_json(path).items()}
    except (TypeError, AttributeError) as error:
        raise ValueError(f"{path} is no description of calibrations: {error}") from None


def described(values: Mapping[str, Any]) -> Calibration:
    """A calibration from its plain values, as a file has them.

    Raises:
        TypeError: they are no calibration's.
    """
    corners = {name: tuple(values[name]) for name in ("scores", "values") if name in values}
    return Calibration(**{**values, **corners})


def _logit(scores: Array, floor: float) -> Array:
    own = np.clip(scores, max(floor, EDGE), 1 - EDGE)
    result: Array = np.log(own) - np.log1p(-own)
    return result


def _sigmoid(logits: Array) -> Array:
    result: Array = 0.5 * (1.0 + np.tanh(0.5 * logits))  # no overflow, either way
    return result


def _short(values: Array) -> tuple[float, ...]:
    """As `files.write_json` keeps them: what is read is what was fitted."""
    return tuple(round(float(value), 6) for value in values)

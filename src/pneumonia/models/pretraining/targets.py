"""What a state of a finding asks of the network, and the loss that passes over what is not known."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

MASKED = -1.0  # a target that asks nothing
MOST = 100.0  # weight of a positive, at most


@dataclass(frozen=True)
class Targets:
    """How states become targets.

    Attributes:
        uncertain: `masked`, `zeros`, `ones` or `smoothed` (Irvin et al. 2019, sec. 3; Pham et al. 2021 for the last).
        smoothed: the target of an uncertain finding where it is smoothed, from 0 to 1.
        unmentioned: `masked` or `zeros`.
        positive_power: positives of a finding weigh (negatives / positives) to this power; 0: as negatives, 1: as many.
    """

    uncertain: str
    smoothed: float
    unmentioned: str
    positive_power: float

    def of(self, states: NDArray[np.float64]) -> NDArray[np.float32]:
        """Targets 0 to 1, or -1 where the loss is to pass over it.

        Arguments:
            states: 1, 0, -1 uncertain, NaN not mentioned; any shape.
        """
        uncertain = {"masked": MASKED, "zeros": 0.0, "ones": 1.0, "smoothed": self.smoothed}[self.uncertain]
        unmentioned = {"masked": MASKED, "zeros": 0.0}[self.unmentioned]
        result = np.where(np.isnan(states), unmentioned, np.where(states == -1, uncertain, states))
        return result.astype(np.float32)

    def weights(self, targets: NDArray[np.float32]) -> NDArray[np.float32]:
        """The weight of a positive of each finding, `[N, F]` -> `[F]`."""
        known = targets >= 0
        positive = np.where(known, targets, 0).sum(axis=0, dtype=np.float64)
        negative = known.sum(axis=0) - positive
        ratio = np.divide(negative, positive, out=np.ones(len(positive)), where=positive > 0)
        return np.clip(ratio**self.positive_power, 1 / MOST, MOST).astype(np.float32)


def learnable(states: NDArray[np.float64]) -> NDArray[np.bool_]:
    """The findings of which some image is positive and some negative, `[N, F]` -> `[F]`."""
    found: NDArray[np.bool_] = (states == 1).any(axis=0) & (states == 0).any(axis=0)
    return found


def masked_loss(weights: NDArray[np.float32]) -> Callable[[Any, Any], Any]:
    """Cross-entropy of logits `[B, F]` against `Targets.of`, a mean over all F, of which masked ones count 0.

    At a logit of 0 a known finding costs log 2 = 0.6931, a positive of weight 3 three times that.
    """
    from keras import ops

    def loss(targets: Any, logits: Any) -> Any:
        known = ops.cast(targets >= 0, logits.dtype)
        there = ops.where(targets >= 0, targets, ops.zeros_like(targets))
        each = weights * there * ops.softplus(-logits) + (1.0 - there) * ops.softplus(logits)
        return ops.mean(known * each, axis=-1)

    return loss

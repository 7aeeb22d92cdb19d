"""Where to set the threshold of a score, chosen on validation studies."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pneumonia.metrics.calls import rates
from pneumonia.metrics.curves import pr_curve, roc_curve

RULES = ("threshold", "best_f1", "min_sensitivity", "max_false_positive_rate")
# Rules whose value is a wish to be met, and the measure it is about (1 - specificity: the false-positive rate).
LOOKS_AT = {"min_sensitivity": "sensitivity", "max_false_positive_rate": "specificity"}
STEP = 1e-6  # scores on disk have six decimals


def choose(scores: NDArray[np.float64], targets: NDArray[np.int64], rule: str, value: float = 0.5) -> float:
    """The threshold a study's score must reach to be called positive.

    Arguments:
        scores: float `[N]`.
        targets: 0 or 1, `[N]`.
        rule: `threshold`: `value` itself. `best_f1`: the largest F1, of equal ones the highest threshold.
            `min_sensitivity`: the highest threshold with at least this sensitivity.
            `max_false_positive_rate`: the lowest threshold with at most this share of the negatives called.

    Raises:
        ValueError: an unknown rule, or a rule lacks the positive or negative studies it needs.
    """
    if rule == "threshold":
        return float(value)
    if rule not in RULES:
        raise ValueError(f"evaluate.operating_point.rule must be one of {', '.join(RULES)}, got {rule!r}")
    positives = int((targets == 1).sum())
    if rule != "max_false_positive_rate" and positives == 0:
        raise ValueError(f"rule {rule} needs a positive validation study, got none in {len(targets)}")
    if rule == "max_false_positive_rate" and positives == len(targets):
        raise ValueError(f"rule {rule} needs a negative validation study, got none in {len(targets)}")
    if rule == "best_f1":
        recall, precision, thresholds = pr_curve(scores, targets)
        f1 = 2 * recall * precision / np.maximum(recall + precision, 1e-12)
        return float(thresholds[np.argmax(f1.round(12))])
    false_positive_rate, sensitivity, thresholds = roc_curve(scores, targets)
    if rule == "min_sensitivity":
        chosen = float(thresholds[np.argmax(sensitivity >= value - 1e-12)])
    else:
        chosen = float(thresholds[np.flatnonzero(false_positive_rate <= value + 1e-12)[-1]])
    # The curve's first point calls nothing: a finite threshold just above every score says the same.
    return chosen if np.isfinite(chosen) else float(scores.max()) + STEP


def got(called: NDArray[np.bool_], targets: NDArray[np.int64], rule: str) -> float:
    """What a rule of `LOOKS_AT` looks at, as the calls `[N]` have it: their sensitivity or false-positive rate."""
    result = float(rates(called, targets)[LOOKS_AT[rule]])
    return 1 - result if rule == "max_false_positive_rate" else result

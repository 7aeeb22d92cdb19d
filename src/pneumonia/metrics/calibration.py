"""Does a score of 0.3 mean that three studies of ten show an opacity?"""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pneumonia.metrics.ratios import Array, ratio

BINS = 10


def bin_of(scores: Array) -> NDArray[np.int64]:
    """Which of `BINS` bins of equal width a score falls in, `[N]`: [0, 0.1), [0.1, 0.2) ... [0.9, 1]."""
    # 0.3 * 10 is 3.0000000000000004 but 0.29999 * 10 is not 3: scores have six decimals, so twelve are plenty.
    return np.clip(np.floor((scores * BINS).round(12)), 0, BINS - 1).astype(np.int64)


def calibration(scores: Array, targets: NDArray[np.int64]) -> pd.DataFrame:
    """Reliability, a row for each bin that has studies: bin, predicted (mean score), observed (share), studies."""
    frame = pd.DataFrame({"bin": bin_of(scores), "predicted": scores, "observed": targets.astype(float), "studies": 1})
    result = frame.groupby("bin").agg({"predicted": "mean", "observed": "mean", "studies": "sum"})
    return result.reset_index()


def calibration_error(scores: Array, targets: NDArray[np.int64], weights: Array | None = None) -> Array:
    """Expected calibration error: mean over studies of |predicted - observed| of their bin (Guo et al. 2017, eq. 5).

    Bins are those of `bin_of`; an empty one adds nothing. A 0-d array, or `[B]` for weights `[B, N]`.
    """
    place = bin_of(scores)
    gaps = np.zeros((len(scores), BINS))
    gaps[np.arange(len(scores)), place] = scores - targets
    weight = np.ones(len(scores)) if weights is None else weights
    # Of a bin, |mean score - share| x studies is the absolute value of the sum of (score - target).
    return ratio(np.abs(weight @ gaps).sum(-1), weight.sum(-1))

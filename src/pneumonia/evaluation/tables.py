"""The tables of operating points and of calibration, one model each: estimates with intervals, ready for a CSV.

A table is measured like a model: `measures(weights, known)` gives every value under any weighting of the model's
studies, where `known` is what the model measured under it; `table(estimates)` lays them out.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
import pandas as pd

from pneumonia.evaluation.estimates import Estimate
from pneumonia.evaluation.measured import MeasuredModel
from pneumonia.metrics import calibration
from pneumonia.metrics.ratios import Array, Ratios
from pneumonia.schema.results import RATES

THRESHOLDS = (0.3, 0.5, 0.7)  # of the table of operating points, besides the chosen one

Estimates = Mapping[Any, Estimate]
UNKNOWN = Estimate()


class Table(Protocol):
    """What an evaluation asks of a table; keys are the table's own."""

    def measures(self, weights: Array, known: Mapping[str, Array]) -> Mapping[Any, Array]: ...

    def table(self, estimates: Estimates) -> pd.DataFrame: ...


class Operating:
    """What a threshold does: a row for each of `THRESHOLDS` and for the chosen one.

    At a fixed threshold a study is called where its score reaches it and a box is shown where its score does; in the
    chosen row each has its own (see `evaluation.thresholds.Thresholds`). Keys are (row, measure).

    Raises:
        ValueError: the model has more than one set of thresholds.
    """

    def __init__(self, model: MeasuredModel) -> None:
        self.model = model
        (chosen,) = model.thresholds
        self.rows = [(t, t, 0) for t in THRESHOLDS] + [(chosen.study, chosen.box, 1)]
        self.ratios = Ratios(
            {
                (row, measure): pair
                for row, (threshold, box_threshold, _) in enumerate(self.rows)
                for measure, pair in model.pairs_at(threshold, box_threshold).items()
            }
        )

    def measures(self, weights: Array, known: Mapping[str, Array]) -> dict[tuple[int, str], Array]:
        return self.ratios(weights)

    def table(self, estimates: Estimates) -> pd.DataFrame:
        """threshold, box_threshold, chosen, the four cells of the confusion matrix, then `RATES` with intervals."""
        rows = []
        positive = self.model.targets == 1
        for index, (threshold, box_threshold, chosen) in enumerate(self.rows):
            called = self.model.scores >= threshold
            row: dict[str, float] = {
                "threshold": threshold,
                "box_threshold": np.nan if self.model.table is None else box_threshold,
                "chosen": chosen,
                "true_positives": int((called & positive).sum()),
                "false_positives": int((called & ~positive).sum()),
                "false_negatives": int((~called & positive).sum()),
                "true_negatives": int((~called & ~positive).sum()),
            }
            for measure in RATES:
                row |= estimates.get((index, measure), UNKNOWN).named(measure)
            rows.append(row)
        return pd.DataFrame(rows)


class Calibration:
    """Reliability in bins of the study score; keys are the bins."""

    def __init__(self, model: MeasuredModel) -> None:
        self.bins = calibration.calibration(model.scores, model.targets)
        place = calibration.bin_of(model.scores)
        positive = (model.targets == 1).astype(np.float64)
        self.ratios = Ratios(
            {number: (positive * (place == number), (place == number) * 1.0) for number in self.bins["bin"].tolist()}
        )

    def measures(self, weights: Array, known: Mapping[str, Array]) -> dict[int, Array]:
        return self.ratios(weights)

    def table(self, estimates: Estimates) -> pd.DataFrame:
        """predicted, observed, studies, observed_low, observed_high: a row for each bin that has studies."""
        own = [estimates.get(number, UNKNOWN) for number in self.bins["bin"].tolist()]
        low, high = [one.low for one in own], [one.high for one in own]
        return self.bins.drop(columns="bin").assign(observed_low=low, observed_high=high)

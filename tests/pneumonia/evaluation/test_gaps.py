"""Gaps between groups by hand; the correction on draws whose answer is known, and how often chance alone is called a gap."""

import numpy as np
import pandas as pd
import pytest

from pneumonia.data.subsets import Labelled
from pneumonia.evaluation.gaps import gaps, sentence, simultaneous
from pneumonia.evaluation.inputs import Predictions
from pneumonia.evaluation.measured import MeasuredModel
from pneumonia.evaluation.thresholds import Thresholds

AT = Thresholds("threshold", 0.5, 0.5, 0.5, float("nan"), float("nan"))


def model(rows: list[tuple[str, str, float, int, float]]) -> MeasuredModel:
    """view, sex, age, target, score of each study, each of a person of its own."""
    studies = pd.DataFrame(rows, columns=["view", "sex", "age", "target", "score"])
    studies["study"] = studies["person"] = [f"s{n:04d}" for n in range(len(rows))]
    boxes = pd.DataFrame(columns=["study", "x", "y", "width", "height"])
    scores = studies.set_index("study")["score"]
    return MeasuredModel(Predictions(scores), Labelled(studies, boxes), [AT])


def test_a_gap_is_a_group_less_the_others():
    # F: 30 of 40 positives called, M: 20 of 40; all negatives below all positives that are called.
    rows = [("AP", "F", 50.0, 1, 0.9)] * 30 + [("AP", "F", 50.0, 1, 0.2)] * 10 + [("AP", "F", 50.0, 0, 0.1)] * 40
    rows += [("AP", "M", 50.0, 1, 0.9)] * 20 + [("AP", "M", 50.0, 1, 0.05)] * 20 + [("AP", "M", 50.0, 0, 0.1)] * 40
    found = gaps(model(rows), resamples=200, seed=1)
    assert found[["measure", "group", "value"]].to_numpy().tolist() == [
        ["sensitivity", "sex", "F"],
        ["auc", "sex", "F"],
    ]
    assert found["estimate"].tolist() == [0.75, 1.0]
    assert found["others"].tolist() == [0.5, 0.5]  # half of M's positives beat all negatives, half none
    assert found["persons"].tolist() == [40, 40]
    assert (found["low"] < found["gap"]).all()
    assert found.loc[1, "p"] == pytest.approx(1 / 201)  # no resample deviates as much
    assert "1 beyond chance" in sentence(found, "ensemble") or "2 beyond chance" in sentence(found, "ensemble")
    assert "auc of sex F less that of the others +0.50" in sentence(found, "ensemble")


def test_few_persons_are_listed_and_not_tested_and_unknown_is_no_group():
    rows = [("AP", "F", 50.0, n % 2, 0.4) for n in range(80)] + [("PA", "F", 50.0, n % 2, 0.4) for n in range(20)]
    rows += [("", "F", float("nan"), 1, 0.9)] * 50
    found = gaps(model(rows), resamples=50, seed=1)
    assert found[["group", "value", "tested"]].to_numpy().tolist() == [["view", "AP", 0], ["view", "AP", 0]]
    assert found["p"].isna().all()
    assert sentence(found, "ensemble") == (
        "No gap of the ensemble could be tested. 2 gaps rest on fewer than 30 persons and were not tested."
    )


def test_the_correction_by_hand():
    # Spreads are 1 and 2; the larger standardised deviation of each draw: 1, 1, 1, 1.
    drawn = np.array([[1.0, -2.0], [-1.0, 2.0], [1.0, 2.0], [-1.0, -2.0]])
    spread = np.sqrt(4 / 3)
    low, high, p = simultaneous(np.zeros(2), drawn)
    assert high == pytest.approx([1.0, 2.0])  # quantile sqrt(3/4) times the spreads sqrt(4/3), 2 sqrt(4/3)
    assert low == pytest.approx([-1.0, -2.0])
    assert p.tolist() == [1.0, 1.0]
    _, _, p = simultaneous(np.array([10 * spread, 0.0]), drawn + np.array([10 * spread, 0.0]))
    assert p.tolist() == [0.2, 1.0]  # (1 + 0) / (1 + 4)


def test_an_estimate_that_nothing_moves_has_no_width():
    low, high, p = simultaneous(np.array([0.0, 0.5]), np.tile([0.0, 0.5], (9, 1)))
    assert low.tolist() == high.tolist() == [0.0, 0.5]
    assert p.tolist() == [1.0, 0.1]


def test_chance_alone_is_seldom_called_a_gap():
    rng = np.random.default_rng(0)
    alarms = 0
    for seed in range(60):
        rows = [
            (
                rng.choice(["AP", "PA"]),
                rng.choice(["F", "M"]),
                rng.uniform(20, 79),
                int(target),
                rng.normal(0.5 + 0.1 * target, 0.1),
            )
            for target in rng.integers(0, 2, 600)
        ]
        made = [(view, sex, age, target, float(np.clip(score, 0, 1))) for view, sex, age, target, score in rows]
        found = gaps(model(made), resamples=200, seed=seed)
        alarms += bool((found["p"] <= 0.05).any())
    assert alarms <= 8  # 3 are expected; 9 or more of 60 at one in twenty has a chance below 1%

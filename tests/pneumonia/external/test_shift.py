"""Differences with intervals by hand, prevalence and scores of two made-up sets."""

import pandas as pd
import pytest

from pneumonia.data.subsets import Labelled
from pneumonia.evaluation.estimates import Estimate
from pneumonia.external import shift


def labelled(targets: dict[str, int]) -> Labelled:
    studies = pd.DataFrame({"study": list(targets), "person": list(targets), "target": list(targets.values())})
    return Labelled(studies, pd.DataFrame({"study": []}))


def test_a_difference_has_the_interval_of_zou_and_donner():
    # 0.7 - 0.9; below: sqrt(0.1^2 + 0.03^2) = 0.10440, above: sqrt(0.1^2 + 0.04^2) = 0.10770
    found = shift.difference(Estimate(0.7, 0.6, 0.8), Estimate(0.9, 0.86, 0.93))
    assert found == pytest.approx((-0.2, -0.30440, -0.09230), abs=1e-5)


def test_only_measures_that_both_have_with_an_interval_are_compared():
    new = {"auc": 0.7, "auc_low": 0.6, "auc_high": 0.8, "threshold": 0.5, "f1": 0.5, "f1_low": None, "f1_high": None}
    old = {"auc": 0.9, "auc_low": 0.86, "auc_high": 0.93, "threshold": 0.5, "f1": 0.6, "f1_low": 0.5, "f1_high": 0.7}
    found = shift.of_measures(new, old)
    assert list(found) == ["auc", "f1"]
    assert found["f1"].value == pytest.approx(-0.1)
    assert found["f1"].low != found["f1"].low  # unknown


OLD, NEW = labelled({"a": 1, "b": 0, "c": 0, "d": 0}), labelled({"e": 1, "f": 1, "g": 0, "h": 0})


def test_prevalence_is_the_share_of_positive_studies():
    found = shift.of_prevalence(NEW, OLD, resamples=0, seed=1)
    assert [found[name].value for name in ("internal", "external", "difference")] == [0.25, 0.5, 0.25]
    found = shift.of_prevalence(NEW, OLD, resamples=200, seed=1)
    assert found["external"].low <= 0.5 <= found["external"].high


def test_the_chance_of_a_higher_score_is_of_all_and_of_each_class():
    old = pd.Series({"a": 0.8, "b": 0.1, "c": 0.2, "d": 0.3})
    new = pd.Series({"e": 0.9, "f": 0.8, "g": 0.2, "h": 0.05})
    found = shift.of_scores(NEW, OLD, new, old, resamples=0, seed=1)
    # Positive: 0.9 beats 0.8, 0.8 ties it: 1.5 of 2. Negative: 0.2 beats 0.1 and ties 0.2, 0.05 beats none: 1.5 of 6.
    # All: those, and 0.9 and 0.8 beat the three negative ones: 6, while no negative one beats 0.8: 9 of 16.
    assert {name: own.value for name, own in found.items()} == {"all": 9 / 16, "positive": 0.75, "negative": 0.25}

"""Maps of scores to probabilities: small ones worked out by hand, larger ones beside scikit-learn's."""

import dataclasses

import numpy as np
import pandas as pd
import pytest

from pneumonia.prediction.calibration import LEAST, NONE, Calibration, described, fit, isotonic, platt, read, write


def test_platt_with_one_score_gives_the_share_of_its_targets():
    # Two positives and one negative count as 3/4, 3/4 and 1/3: their mean is 11/18, whose logit is log(11/7).
    slope, intercept = platt([0.0, 0.0, 0.0], [1, 1, 0])
    assert slope == pytest.approx(0)
    assert intercept == pytest.approx(np.log(11 / 7))


def test_platt_through_two_points_is_the_line_through_their_logits():
    # At -1 a positive and two negatives, at 1 two positives and a negative. P = M = 3: a positive counts as 4/5, a
    # negative as 1/5. So the means are 2/5 and 3/5, the logits -log(1.5) and log(1.5).
    slope, intercept = platt([-1, -1, -1, 1, 1, 1], [1, 0, 0, 1, 1, 0])
    assert slope == pytest.approx(np.log(1.5))
    assert intercept == pytest.approx(0, abs=1e-9)


def test_platt_is_the_logistic_regression_of_scikit_learn_on_six_points():
    linear_model = pytest.importorskip("sklearn.linear_model", reason="scikit-learn is not installed")
    x, targets = np.array([-3.0, -1.5, -0.2, 0.1, 0.8, 2.5]), np.array([0, 0, 1, 0, 1, 1])
    # 0.8 and 0.2 are what a positive and a negative count as: each point twice, weighted.
    twice, truth = np.r_[x, x][:, None], np.r_[np.ones(6), np.zeros(6)]
    share = np.where(targets == 1, 4 / 5, 1 / 5)
    other = linear_model.LogisticRegression(C=1e10, tol=1e-10, max_iter=10_000)
    other.fit(twice, truth, sample_weight=np.r_[share, 1 - share])
    assert platt(x, targets) == pytest.approx((float(other.coef_[0, 0]), float(other.intercept_[0])), abs=1e-5)


def test_platt_is_finite_where_the_scores_part_the_classes():
    slope, _ = platt([-2.0, -1.0, 1.0, 2.0], [0, 0, 1, 1])
    assert 0 < slope < 5


def test_isotonic_pools_adjacent_violators():
    # 0.1: 0; then 1 and 0 pool to 1/2; 1/2 is not below 0 + 1 of two studies at 0.4, so all four pool to 1/2; 0.5: 1.
    scores, values = isotonic([0.1, 0.2, 0.3, 0.4, 0.4, 0.5], [0, 1, 0, 1, 0, 1])
    assert scores.tolist() == [0.1, 0.2, 0.4, 0.5]
    assert values.tolist() == [0.0, 0.5, 0.5, 1.0]


@pytest.mark.parametrize("seed", range(5))
def test_isotonic_is_scikit_learns(seed: int):
    sklearn = pytest.importorskip("sklearn.isotonic", reason="scikit-learn is not installed")
    rng = np.random.default_rng(seed)
    scores, targets = rng.integers(0, 40, 120) / 40, rng.integers(0, 2, 120)
    mine = Calibration(
        method="isotonic", scores=tuple(isotonic(scores, targets)[0]), values=tuple(isotonic(scores, targets)[1])
    )
    other = sklearn.IsotonicRegression(out_of_bounds="clip").fit(scores, targets)
    at = np.linspace(0, 1, 101)
    np.testing.assert_allclose(mine.of(at), other.predict(at), atol=1e-12)


def studies(count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Overconfident scores: the chance of an opacity has half the logit of the score."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 3, count)
    return 1 / (1 + np.exp(-logits)), (rng.random(count) < 1 / (1 + np.exp(-logits / 2))).astype(int)


def test_platt_finds_the_chance():
    own = fit(*studies(20_000), method="platt")
    assert (own.studies, own.method, own.reason) == (20_000, "platt", "")
    assert (own.slope, own.intercept) == (pytest.approx(0.5, abs=0.02), pytest.approx(0, abs=0.05))


@pytest.mark.parametrize("method", ["platt", "isotonic"])
def test_a_probability_rises_with_the_score(method: str):
    own = fit(*studies(400), method=method, floor=0.01)
    rising = own.of(np.linspace(0, 1, 1001))
    assert (np.diff(rising) >= 0).all()
    assert 0 <= rising[0] < rising[-1] <= 1
    if method == "platt":  # strictly, above the floor: the order of studies stays
        assert (np.diff(rising[10:]) > 0).all()


def test_no_detection_counts_as_the_floor():
    scores, targets = studies(400)
    scores[:100] = 0
    own = fit(scores, targets, method="platt", floor=0.01)
    assert own.of([0.0, 0.005, 0.01]).tolist() == [own.of([0.01])[0]] * 3
    floored = fit(np.maximum(scores, 0.01), targets, method="platt", floor=0.01)
    assert own == floored


def test_too_few_of_a_class_are_said_aloud():
    scores = np.linspace(0.1, 0.9, 50)
    targets = (np.arange(50) >= 50 - LEAST + 1).astype(int)  # one too few
    own = fit(scores, targets, method="platt")
    assert own.method == "none"
    assert own.reason == "9 of 50 validation studies are positive; 10 of either class are needed"
    assert own.of([0.3]).tolist() == [0.3]
    assert fit(scores, 1 - targets, method="isotonic").method == "none"


def test_a_score_that_points_the_wrong_way_is_left_alone():
    scores = np.linspace(0.1, 0.9, 50)
    own = fit(scores, (scores < 0.5).astype(int), method="platt")
    assert (own.method, own.of([0.3])[0]) == ("none", 0.3)
    assert "does not rise" in own.reason


def test_an_unknown_method_is_refused():
    with pytest.raises(ValueError, match=r"calibrate.method must be platt, isotonic or none, got 'beta'"):
        fit([0.5], [1], method="beta")


@pytest.mark.parametrize("method", ["platt", "isotonic", "none"])
def test_what_is_read_is_what_was_fitted(tmp_path, method: str):
    own = fit(*studies(300), method=method)
    write(tmp_path / "models/calibration.json", {"yolo": own})
    assert read(tmp_path / "models/calibration.json") == {"yolo": own}
    assert described(dataclasses.asdict(own)) == own


def test_scores_of_studies_keep_their_names_and_six_decimals():
    own = Calibration(method="platt", slope=2.0)
    given = pd.Series([0.25, 0.5], index=["a", "b"], name="score")
    # logit(1/4) = -log 3; twice that is the logit of 1/10.
    pd.testing.assert_series_equal(own(given), pd.Series([0.1, 0.5], index=["a", "b"], name="score"))
    assert NONE(given).tolist() == [0.25, 0.5]


def test_a_missing_or_odd_file_says_what_to_do(tmp_path):
    with pytest.raises(ValueError, match=r"calibration.json not found; run `dvc repro calibrate` first"):
        read(tmp_path / "calibration.json")
    (tmp_path / "calibration.json").write_text('{"yolo": {"temperature": 2}}')
    with pytest.raises(ValueError, match="is no description of calibrations"):
        read(tmp_path / "calibration.json")

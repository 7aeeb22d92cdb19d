"""Out-of-fold figures on a set small enough to work out by hand, and what is refused."""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd
import pytest

from pneumonia.evaluation.inputs import Predictions
from pneumonia.experiments.crossval import Fold, differences, evaluate, out_of_fold, spread, table

BOX = ["study", "x", "y", "width", "height"]

# Fold 0 validates a (opacity), b; fold 1 c (opacity), d; fold 2 e (opacity), f. h is the hold-out.
STUDIES = pd.DataFrame(
    [
        (study, f"p{study}", "opacity" if target else "normal", target, "AP")
        for study, target in zip("abcdefh", [1, 0, 1, 0, 1, 0, 1], strict=True)
    ],
    columns=["study", "person", "category", "target", "view"],
)
PLACES = dict(zip("abcdefh", [0, 0, 1, 1, 2, 2, -1], strict=True))
TRUTH = pd.DataFrame([(study, 0.0, 0.0, 10.0, 10.0) for study in "aceh"], columns=BOX)
SCORES = [{"a": 0.9, "b": 0.1}, {"c": 0.4, "d": 0.5}, {"e": 0.8, "f": 0.3}]


def fold(number, scores=None, places=None, name=None):
    places = places or PLACES
    subset = ["holdout" if k < 0 else "validation" if k == number else "train" for k in places.values()]
    split = pd.DataFrame({"study": list(places), "fold": list(places.values()), "subset": subset})
    own = pd.Series((scores or SCORES[number]) | {"h": 0.7})
    # One box a study, on the truth's place. The hold-out's scores and a training study's boxes must not get through.
    boxes = pd.DataFrame(
        [(study, 0.0, 0.0, 10.0, 10.0, score) for study, score in own.items()], columns=[*BOX, "score"]
    )
    return Fold(
        number, name or f"exp-{number}", split, {"yolo": Predictions(own, boxes), "classifier": Predictions(own)}
    )


FOLDS = [fold(number) for number in range(3)]


def run(folds=FOLDS, resamples=0, **changed):
    assigned, predictions = out_of_fold(folds)
    options = {"rule": "best_f1", "value": 0.5, "resamples": resamples, "seed": 1} | changed
    return evaluate(STUDIES, TRUTH, assigned, predictions, **options)


def test_the_folds_together():
    assigned, predictions = out_of_fold(FOLDS[::-1])
    assert assigned.to_numpy().tolist() == [["a", 0], ["b", 0], ["c", 1], ["d", 1], ["e", 2], ["f", 2]]
    assert predictions["yolo"].scores.to_dict() == {"a": 0.9, "b": 0.1, "c": 0.4, "d": 0.5, "e": 0.8, "f": 0.3}
    assert sorted(predictions["yolo"].detections["study"]) == list("abcdef")
    assert predictions["classifier"].detections is None


def test_thresholds_come_from_the_other_folds():
    folds = run()["folds"]
    # Fold 0: of c, d, e, f (0.4+, 0.5-, 0.8+, 0.3-) the best F1 is 0.8 at 0.4; folds 1 and 2 by the same rule.
    assert folds["0"]["yolo"]["threshold"] == 0.4  # F1: 0.8 gives 2/3, 0.5 1/2, 0.4 4/5
    assert folds["1"]["yolo"]["threshold"] == 0.8  # a, b, e, f: 1
    assert folds["2"]["yolo"]["threshold"] == 0.4  # a, b, c, d: 0.9 2/3, 0.5 1/2, 0.4 4/5
    # The challenge's metric with every box kept from t: (found) / (positives + negatives shown).
    assert folds["0"]["yolo"]["challenge_threshold"] == 0.4  # 0.8 1/2, 0.5 1/3, 0.4 2/3
    assert folds["1"]["yolo"]["challenge_threshold"] == 0.8


def test_figures_by_hand():
    metrics = run()
    yolo = metrics["yolo"]
    assert yolo["auc"] == pytest.approx(8 / 9)  # of 9 pairs only c against d is wrong
    # Called with their own fold's threshold: a (0.4), not b, neither c nor d (0.8), e (0.4), not f.
    assert (yolo["sensitivity"], yolo["specificity"], yolo["precision"]) == pytest.approx((2 / 3, 1.0, 1.0))
    # Challenge: a 1, c 0 (its box is below 0.8), e 1; negatives show nothing and are left out.
    assert yolo["challenge"] == pytest.approx(2 / 3)
    # Ranked a+, e+, d-, c+, f-, b-: precision 1 up to recall 2/3, then 3/4; 67 of the 101 recall points are below 2/3.
    assert yolo["ap50"] == pytest.approx((67 + 34 * 0.75) / 101)
    assert [metrics["folds"][k]["yolo"]["auc"] for k in "012"] == [1.0, 0.0, 1.0]
    assert (yolo["auc_folds_mean"], yolo["auc_folds_sd"]) == pytest.approx((2 / 3, np.sqrt(1 / 3)))
    assert [metrics["folds"][k]["yolo"]["challenge"] for k in "012"] == [1.0, 0.0, 1.0]
    assert metrics["folds"]["1"]["studies"] == 2
    assert metrics["out_of_fold"] == {"studies": 6, "persons": 6, "positives": 3, "boxes": 3}
    assert "ap50" not in metrics["classifier"]


def test_intervals_hold_the_figure():
    yolo = run(resamples=200)["yolo"]
    for key in ("auc", "ap50", "challenge", "sensitivity"):
        assert 0 <= yolo[f"{key}_low"] <= yolo[key] <= yolo[f"{key}_high"] <= 1
    assert yolo["auc_low"] < yolo["auc_high"]
    assert np.isnan(run()["yolo"]["auc_low"])


def test_intervals_resample_persons():
    """All studies of one person: every resample is the whole, so an interval has no width."""
    one = STUDIES.assign(person="p")
    assigned, predictions = out_of_fold(FOLDS)
    yolo = evaluate(one, TRUTH, assigned, predictions, rule="best_f1", value=0.5, resamples=20, seed=1)["yolo"]
    assert yolo["auc_low"] == yolo["auc_high"] == pytest.approx(8 / 9)


def test_the_table_has_a_row_a_fold_and_one_for_all():
    rows = table(run())
    assert rows.loc[rows["model"] == "yolo", "fold"].tolist() == ["0", "1", "2", "all"]
    assert rows.loc[rows["model"] == "yolo", "studies"].tolist() == [2, 2, 2, 6]
    assert rows.iloc[-1]["auc"] == pytest.approx(8 / 9)
    assert rows.loc[rows["model"] == "classifier", "ap50"].isna().all()


def test_a_missing_fold():
    with pytest.raises(ValueError, match=r"fold 1 of 3 is missing; found 0, 2\. Run dvc .* -S 'split.fold=1', then"):
        out_of_fold([FOLDS[0], FOLDS[2]])
    with pytest.raises(ValueError, match=r"fold 1, 2 of 3 is missing; found 0\. .* -S 'split.fold=choice\(1,2\)'"):
        out_of_fold(FOLDS[:1])


def test_a_fold_that_comes_twice():
    with pytest.raises(ValueError, match="fold 1 comes 2 times: exp-1, again; name one of them"):
        out_of_fold([*FOLDS, dataclasses.replace(FOLDS[1], name="again")])


def test_another_split():
    other = fold(1, places=PLACES | {"f": 1})
    with pytest.raises(ValueError, match="exp-0 and exp-1 were split differently"):
        out_of_fold([FOLDS[0], other, FOLDS[2]])


def test_overlapping_studies():
    mixed = FOLDS[1].split.assign(
        subset=["train", "validation", "validation", "validation", "train", "train", "holdout"]
    )
    overlapping = dataclasses.replace(FOLDS[1], split=mixed)
    with pytest.raises(ValueError, match="1 studies are validated by both exp-0 and exp-1, such as b"):
        out_of_fold([FOLDS[0], overlapping, FOLDS[2]])


def test_a_study_nobody_validates():
    lacking = dataclasses.replace(FOLDS[1], split=FOLDS[1].split.replace({"subset": {"validation": "train"}}))
    with pytest.raises(ValueError, match="2 of 6 studies are validated by no fold, such as c"):
        out_of_fold([FOLDS[0], lacking, FOLDS[2]])


def test_a_study_without_a_score():
    broken = fold(1, scores={"c": 0.4})
    with pytest.raises(ValueError, match="exp-1: classifier has no score for 1 of 2 validation studies, such as d"):
        out_of_fold([FOLDS[0], broken, FOLDS[2]])


def test_a_folds_calibration_is_fitted_on_the_other_folds():
    """Two folds of 40 studies, each ranked right; fold 1's scores are half of fold 0's, so each is judged by the other's map."""
    ids = [f"s{i:02d}" for i in range(80)]
    target = np.arange(80) // 2 % 2
    studies = pd.DataFrame({"study": ids, "person": ids, "target": target, "view": "AP"})
    score = pd.Series((0.3 + 0.4 * target) * np.where(np.arange(80) < 40, 1, 0.5), index=ids)
    assigned = pd.DataFrame({"study": ids, "fold": np.arange(80) // 40})
    options = {"rule": "best_f1", "value": 0.5, "resamples": 0, "seed": 1}
    truth = TRUTH.iloc[:0]
    plain = evaluate(studies, truth, assigned, {"classifier": Predictions(score)}, **options)["classifier"]
    # Negatives 0.3 and 0.15, positives 0.7 and 0.35, 20 of each; 0.35 and 0.3 share a bin: |0.3 + 0.35 - 1| of it.
    assert plain["ece_raw"] == plain["ece"] == pytest.approx((0.3 + 0.35 + 0.15) / 4)
    own = evaluate(studies, truth, assigned, {"classifier": Predictions(score)}, **options, method="isotonic")[
        "classifier"
    ]
    # Fold 0 by fold 1's steps (0 up to 0.15, 1 from 0.35): 0.3 is 3/4, 0.7 is 1. Fold 1 by fold 0's (0.3, 0.7): 0.15
    # is 0 and 0.35 is 1/8. Bins: 20 x 0.75 without an opacity, 20 x 1/8 with one (in [0.1, 0.2)), the rest right.
    assert own["ece"] == pytest.approx((0.75 + 0.875) / 4)
    assert own["ece_raw"] == plain["ece"]


def test_the_difference_of_two_cross_validations_by_hand():
    first = out_of_fold(FOLDS)
    # The other ranks c above d in fold 1: of 9 pairs none is wrong.
    better = out_of_fold([FOLDS[0], fold(1, scores={"c": 0.6, "d": 0.2}), FOLDS[2]])
    options = {"rule": "best_f1", "value": 0.5, "resamples": 50, "seed": 1}
    rows = differences(STUDIES, TRUTH, first, better, **options).set_index(["model", "measure"])
    assert rows.loc[("yolo", "auc"), ["first", "second", "difference"]].tolist() == pytest.approx([8 / 9, 1, 1 / 9])
    assert rows.loc[("yolo", "auc"), "low"] >= 0
    assert ("classifier", "ap50") not in rows.index
    same = differences(STUDIES, TRUTH, first, first, **options)
    assert (same[["difference", "low", "high"]] == 0).all(axis=None)


def test_a_difference_is_of_the_studies_that_both_predicted():
    first, second = out_of_fold(FOLDS), out_of_fold([*FOLDS[:2], fold(2)])
    fewer = (second[0][second[0]["study"] != "f"], second[1])
    options = {"rule": "best_f1", "value": 0.5, "resamples": 0, "seed": 1}
    rows = differences(STUDIES, TRUTH, first, fewer, **options).set_index(["model", "measure"])
    # Without the negative f: of 6 pairs one is wrong.
    assert rows.loc[("yolo", "auc"), ["first", "second"]].tolist() == pytest.approx([5 / 6, 5 / 6])


def test_the_spread_of_seeds_by_hand():
    runs = {1: fold(1), 2: fold(1, scores={"c": 0.6, "d": 0.2}), 3: fold(1, scores={"c": 0.5, "d": 0.5})}
    rows = spread(STUDIES, TRUTH, runs).set_index(["model", "measure"])
    # c is the opacity: ranked below d, above it, level with it.
    auc = rows.loc[("yolo", "auc")]
    assert auc[["seed_1", "seed_2", "seed_3"]].tolist() == [0.0, 1.0, 0.5]
    assert (auc["mean"], auc["sd"]) == (0.5, 0.5)


def test_folds_that_train_on_a_share_of_the_persons():
    """Fold 0 does not know f, which fold 2 validates; fold 2 does not know a."""
    folds = [
        dataclasses.replace(own, split=own.split[own.split["study"] != left_out])
        for own, left_out in zip(FOLDS, "fba", strict=True)
    ]
    with pytest.raises(ValueError, match="validated by no fold"):
        out_of_fold(
            [folds[0], dataclasses.replace(folds[1]), dataclasses.replace(folds[2], split=folds[2].split.iloc[:0])]
        )
    assigned, _ = out_of_fold(folds)
    assert assigned.to_numpy().tolist() == [["a", 0], ["b", 0], ["c", 1], ["d", 1], ["e", 2], ["f", 2]]

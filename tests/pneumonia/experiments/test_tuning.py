"""A search whose best setting is known: one detector finds every opacity, the other finds none and is sure of it."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from pneumonia.data.subsets import Labelled
from pneumonia.experiments.tuning import Material, Search, Trial, changed, comment, text, tune

COUNT = 40
IDS = [f"s{i:02d}" for i in range(COUNT)]
TARGET = (np.arange(COUNT) % 2).astype(int)
BOX = ["study", "x", "y", "width", "height"]
TRUTH = pd.DataFrame([(s, 10.0, 10.0, 50.0, 50.0) for s, t in zip(IDS, TARGET, strict=True) if t], columns=BOX)
STUDIES = pd.DataFrame({"study": IDS, "person": [f"p{i // 2}" for i in range(COUNT)], "target": TARGET, "view": "AP"})
START = {
    "strategy": "wbf",
    "iou": 0.4,
    "weights": {"maskrcnn": 1.0, "yolo": 1.0},
    "thresholds": {"maskrcnn": 0.02, "yolo": 0.02},
    "gate": {"mode": "none", "threshold": 0.2, "power": 0.25},
    "shrink": 1.0,
}


def material(width: float = 50.0) -> Material:
    """yolo: each opacity, at 0.5; maskrcnn: in each study a wrong box, at 0.9. The classifier says 0.5 of all. Five folds."""
    right = TRUTH.assign(score=0.5, width=width)
    wrong = pd.DataFrame([(s, 200.0, 200.0, 50.0, 50.0, 0.9) for s in IDS], columns=right.columns)
    labelled = Labelled(STUDIES, TRUTH)
    return Material(labelled, np.arange(COUNT) // 8, {"yolo": right, "maskrcnn": wrong}, pd.Series(0.5, index=IDS))


OPTIONS = {"resamples": 50, "seed": 1}


def test_the_detector_that_finds_nothing_is_left_out():
    found = tune(material(), START, ["ap50"], **OPTIONS)
    assert found.settings["weights"]["maskrcnn"] == 0
    assert found.settings == START | {"weights": {"maskrcnn": 0.0, "yolo": found.settings["weights"]["yolo"]}}
    assert [own["weights"]["maskrcnn"] for own in found.by_fold] == [0.0] * 5
    # With both, 8 wrong boxes of a fold lie above its 4 right ones: the best precision is 4/12, at every recall.
    ap50 = found.gains["ap50"]
    assert (ap50["before"].value, ap50["after"].value) == pytest.approx((1 / 3, 1.0))
    assert ap50["difference"].value == pytest.approx(2 / 3)
    assert ap50["difference"].low > 0
    assert "ap50: 0.333 with the present params, 1.000 tuned, +0.667 (" in text(found)


def test_what_is_chosen_for_a_fold_does_not_look_at_it():
    """In fold 0 yolo is wrong and maskrcnn right; the other folds say to leave maskrcnn out, and fold 0 pays for it."""
    own = material()
    right, wrong = own.detections["yolo"], own.detections["maskrcnn"]
    here, there = (frame["study"].isin(IDS[:8]) for frame in (right, wrong))
    swapped = {
        "yolo": pd.concat([right[~here], wrong[there].assign(score=0.5)]),
        "maskrcnn": pd.concat([wrong[~there], right[here].assign(score=0.9)]),
    }
    found = tune(Material(own.labelled, own.fold, swapped, own.class_scores), START, ["ap50"], **OPTIONS)
    assert found.by_fold[0]["weights"]["maskrcnn"] == 0
    # Fold 0: 1 before (right at 0.9 above wrong at 0.5), 0 after. The others: 1/3 before, 1 after.
    assert found.gains["ap50"]["before"].value == pytest.approx((1 + 4 / 3) / 5)
    assert found.gains["ap50"]["after"].value == pytest.approx(4 / 5)


def test_the_challenges_threshold_is_chosen_elsewhere_and_measured_here():
    trial = Trial(material(), START | {"strategy": "yolo"})
    step = trial.step([1, 2, 3, 4])
    one = trial.measured(0, step, np.ones((1, COUNT)))
    # Four positive studies, each with its one right box; the negatives are silent and left out.
    assert (one["sum"], one["count"]) == (pytest.approx([4.0]), pytest.approx([4.0]))
    assert trial.objective(["challenge"], [0, 1]) == pytest.approx(1.0)
    assert trial.objective(["challenge", "ap50", "auc"], [0]) == pytest.approx(1.0)


def test_nothing_to_gain_leaves_the_params_as_they_are():
    best = START | {"weights": {"maskrcnn": 0.0, "yolo": 1.0}}
    found = tune(material(), best, ["ap50"], **OPTIONS)
    assert found.settings == best
    assert "no gain is shown" in text(found)
    assert found.gains["ap50"]["difference"].value == 0


def test_a_setting_is_fused_once():
    search = Search(material(), ["ap50"])
    assert search.trial(START) is search.trial(dict(START))
    search.best(START, [0, 1])
    tried = len(search.trials)
    search.best(START, [0, 1])
    assert len(search.trials) == tried


def test_a_moved_value_leaves_the_original_and_one_detector():
    moved = changed(START, ("gate", "power"), 0.5)
    assert moved["gate"] == {"mode": "multiply", "threshold": 0.2, "power": 0.5}
    assert START["gate"]["mode"] == "none"
    assert changed(START | {"weights": {"maskrcnn": 0.0, "yolo": 1.0}}, ("weights", "yolo"), 0.0) is None


def test_the_comment_says_what_for_on_what_and_what_it_is_worth():
    said = comment(tune(material(), START, ["ap50", "auc"], **OPTIONS), "40 studies", ["ap50", "auc"])
    assert "for ap50 and auc" in said
    assert "On 40 studies; of the hold-out nothing was read." in said
    assert "+0.667 (" in said


@pytest.mark.parametrize(
    ("names", "folds", "words"),
    [
        (["froc"], 5, "objective must be of ap50, challenge, auc, got froc"),
        ([], 5, "got none"),
        (["ap50"], 1, "two folds"),
    ],
)
def test_refusals(names: list[str], folds: int, words: str):
    own = material()
    with pytest.raises(ValueError, match=words):
        tune(Material(own.labelled, own.fold % folds, own.detections, own.class_scores), START, names, **OPTIONS)

"""The prediction tables on disk."""

from __future__ import annotations

import pandas as pd
import pytest

from pneumonia.prediction.tables import image_sizes, read_detections, read_scores, same_studies, write_predictions

COLUMNS = ["study", "x", "y", "width", "height", "score"]


def test_written_sorted_with_fixed_decimals_and_read_back(tmp_path):
    detections = pd.DataFrame(
        [("b", 1, 2, 3, 4, 0.5), ("a", 0.126, 0, 9, 9, 0.25), ("a", 5, 5, 9, 9, 1 / 3)], columns=COLUMNS
    )
    write_predictions(tmp_path / "model", detections, pd.Series({"b": 0.5, "a": 1 / 3}))
    assert (tmp_path / "model/detections.csv").read_text() == (
        "study,x,y,width,height,score\n"
        "a,5.00,5.00,9.00,9.00,0.333333\n"
        "a,0.13,0.00,9.00,9.00,0.250000\n"
        "b,1.00,2.00,3.00,4.00,0.500000\n"
    )
    assert (tmp_path / "model/scores.csv").read_text() == "study,score\na,0.333333\nb,0.500000\n"
    assert read_scores(tmp_path / "model").to_dict() == {"a": 0.333333, "b": 0.5}
    assert read_detections(tmp_path / "model")["x"].tolist() == [5.0, 0.13, 1.0]


def test_empty_tables_survive(tmp_path):
    write_predictions(tmp_path / "model", pd.DataFrame(columns=COLUMNS), pd.Series({"a": 0.0}))
    assert len(read_detections(tmp_path / "model")) == 0


def test_scores_are_checked(tmp_path):
    (tmp_path / "scores.csv").write_text("study,score\na,0.5\na,0.6\n")
    with pytest.raises(ValueError, match="a comes twice"):
        read_scores(tmp_path)
    (tmp_path / "scores.csv").write_text("study,score\na,1.5\n")
    with pytest.raises(ValueError, match=r"from 0 to 1 are wanted, got 1\.5"):
        read_scores(tmp_path)


def test_models_must_have_scored_the_same_studies():
    one = pd.Series({"b": 0.1, "a": 0.2})
    assert same_studies({"classifier": one, "yolo": one}) == ["a", "b"]
    with pytest.raises(ValueError, match=r"classifier and yolo scored different studies \(1 differ, such as b\)"):
        same_studies({"classifier": one, "yolo": one.drop("b")})


def test_image_sizes(tmp_path):
    (tmp_path / "index.csv").write_text("study,shard,columns,rows\na,0,1024,768\n")
    assert image_sizes(tmp_path / "index.csv").loc["a"].to_dict() == {"columns": 1024, "rows": 768}

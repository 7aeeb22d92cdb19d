"""What changed between two branches, asked in a fresh clone that pulled nothing."""

import json
from pathlib import Path

import pytest
from tests.pipeline import change, clone, commit, ran, restore, run

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def copy(project: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clone of a project whose branch `alone` believes YOLOv3 alone."""
    run(project, "git", "checkout", "-qb", "alone")
    try:
        change(project, "strategy: wbf", "strategy: yolo")
        assert "ensemble" in ran(run(project, "dvc", "repro"))
        commit(project, "YOLOv3 alone")
    finally:
        run(project, "git", "checkout", "-q", "main")
        restore(project)
    return clone(project, tmp_path_factory.mktemp("differences") / "clone")


def test_params_diff(copy: Path):
    found = json.loads(run(copy, "dvc", "params", "diff", "--json", "origin/main", "origin/alone"))
    assert found == {"params.yaml": {"ensemble.strategy": {"old": "wbf", "new": "yolo"}}}


def test_metrics_diff(copy: Path):
    command = ("dvc", "metrics", "diff", "--json", "origin/main", "origin/alone")
    found = json.loads(run(copy, *command))
    assert set(found) == {"metrics/holdout/ensemble.json"}
    before, after = (
        json.loads(run(copy, "git", "show", f"origin/{branch}:metrics/holdout/ensemble.json"))
        for branch in ("main", "alone")
    )
    own = found["metrics/holdout/ensemble.json"]
    assert set(own) == {key for key in before if before[key] != after[key]} != set()
    for key, value in own.items():
        assert (value["old"], value["new"]) == (before[key], after[key])


def test_all_measures_can_be_asked_for(copy: Path):
    revisions = ("origin/main", "origin/alone")
    command = ("dvc", "metrics", "diff", "--json", *revisions, "--targets", "metrics/evaluation.json")
    found = json.loads(run(copy, *command))["metrics/evaluation.json"]
    assert {key.split(".")[0] for key in found} <= {
        "ensemble", "ensemble_minus_classifier", "ensemble_minus_maskrcnn", "ensemble_minus_yolo",
        "ensemble_minus_efficientdet",
    }  # fmt: skip
    assert "ensemble.auc" in found  # the tiny project's average precision is 0 on both


def test_metrics_diff_as_a_table(copy: Path):
    """As the workflow posts it on a pull request."""
    lines = run(copy, "dvc", "metrics", "diff", "--md", "origin/main", "origin/alone").splitlines()
    assert lines[0].replace(" ", "") == "|Path|Metric|origin/main|origin/alone|Change|"
    assert any("ensemble.json" in line for line in lines)
    assert max(map(len, lines)) <= 120


def test_plots_diff(copy: Path):
    run(copy, "dvc", "plots", "diff", "origin/main", "origin/alone", "--out", "comparison")
    page = (copy / "comparison" / "index.html").read_text()
    for title in ("FROC of boxes", "ROC of studies", "Calibration of study scores", "AP@0.5 on validation"):
        assert title in page
    assert "origin/main" in page
    assert "origin/alone" in page
    pulled = [path for name in ("data", "models") for path in (copy / name).rglob("*") if path.is_file()]
    assert {path.name for path in pulled} == {".gitignore"}  # what git has

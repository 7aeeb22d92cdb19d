"""What changed between two branches, asked in a fresh clone that pulled nothing."""

import json
from pathlib import Path

import pytest

from tests.pipeline import change, clone, commit, ran, restore, run

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def copy(project: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clone of a project whose branch `union` fuses boxes in another way and calls at another threshold."""
    run(project, "git", "checkout", "-qb", "union")
    try:
        change(project, "strategy: wbf", "strategy: union")
        assert "ensemble" in ran(run(project, "dvc", "repro"))
        commit(project, "Union instead of weighted fusion")
    finally:
        run(project, "git", "checkout", "-q", "main")
        restore(project)
    return clone(project, tmp_path_factory.mktemp("differences") / "clone")


def test_params_diff(copy: Path):
    found = json.loads(run(copy, "dvc", "params", "diff", "--json", "origin/main", "origin/union"))
    assert found == {"params.yaml": {"ensemble.strategy": {"old": "wbf", "new": "union"}}}


def test_metrics_diff(copy: Path):
    command = ("dvc", "metrics", "diff", "--json", "origin/main", "origin/union")
    found = json.loads(run(copy, *command))["metrics/evaluation.json"]
    before, after = (
        json.loads(run(copy, "git", "show", f"origin/{branch}:metrics/evaluation.json"))["ensemble"]
        for branch in ("main", "union")
    )
    assert {key.split(".")[0] for key in found} <= {
        "ensemble", "ensemble_minus_classifier", "ensemble_minus_maskrcnn", "ensemble_minus_yolo"
    }  # fmt: skip
    changed = {f"ensemble.{key}" for key in before if before[key] != after[key]}
    assert {key for key in found if key.startswith("ensemble.")} == changed != set()
    for key in changed:
        name = key.removeprefix("ensemble.")
        assert (found[key]["old"], found[key]["new"]) == (before[name], after[name])


def test_metrics_diff_as_a_table(copy: Path):
    """As the workflow posts it on a pull request."""
    lines = run(copy, "dvc", "metrics", "diff", "--md", "origin/main", "origin/union").splitlines()
    assert lines[0].replace(" ", "") == "|Path|Metric|origin/main|origin/union|Change|"
    assert any("ensemble." in line for line in lines)


def test_plots_diff(copy: Path):
    output = run(copy, "dvc", "plots", "diff", "origin/main", "origin/union", "--out", "comparison")
    assert output.strip().endswith("index.html")
    page = (copy / "comparison" / "index.html").read_text()
    for title in ("FROC of boxes", "ROC of studies", "Calibration of study scores", "AP@0.5 on validation"):
        assert title in page
    assert "origin/main" in page
    assert "origin/union" in page
    assert sorted(path.name for path in (copy / "data").iterdir()) == [".gitignore"]  # nothing was pulled

"""`pneumonia results` and `gaps` say what is missing. What they compute: evaluation/test_results.py and test_gaps.py."""

from pathlib import Path

import pytest

from pneumonia import cli


def test_results_without_an_evaluation_says_what_to_do(project: Path, capsys: pytest.CaptureFixture[str]):
    assert cli.main(["results"]) == 2
    assert "metrics/evaluation.json not found; run `dvc repro evaluate` first" in capsys.readouterr().err


def test_gaps_wants_resamples(project: Path, capsys: pytest.CaptureFixture[str]):
    text = (project / "params.yaml").read_text()
    (project / "params.yaml").write_text(text.replace("  bootstrap: 2000", "  bootstrap: 0"))
    assert cli.main(["gaps"]) == 2
    assert "evaluate.bootstrap is 0; a gap is judged by resamples: set it to 1000" in capsys.readouterr().err

"""`pneumonia params` and `profile`. `verify` and `deps`: project/test_cache.py and test_code_deps.py."""

from pathlib import Path

import pytest

from pneumonia import cli


def test_params_are_checked(project: Path, capsys: pytest.CaptureFixture[str]):
    assert cli.main(["params"]) == 0
    text = (project / "params.yaml").read_text()
    (project / "params.yaml").write_text(text.replace("  score_floor:", "  score_flor:"))
    assert cli.main(["params"]) == 2
    error = capsys.readouterr().err
    assert "predict.score_flor: unknown key" in error
    assert "predict.score_floor: missing" in error


def test_profiles_are_listed_applied_and_checked(project: Path, capsys: pytest.CaptureFixture[str]):
    assert cli.main(["profile"]) == 0
    assert capsys.readouterr().out.split() == ["rsna-gpu", "rsna-mini-cpu"]
    assert cli.main(["profile", "rsna-mini-cpu", "--check"]) == 1
    assert "+  source: local" in capsys.readouterr().out
    assert cli.main(["profile", "rsna-mini-cpu"]) == 0
    assert cli.main(["profile", "rsna-mini-cpu", "--check"]) == 0
    capsys.readouterr()
    assert cli.main(["profile"]) == 0
    assert "rsna-mini-cpu  (applied)" in capsys.readouterr().out


def test_a_missing_profile_is_an_error(project: Path, capsys: pytest.CaptureFixture[str]):
    assert cli.main(["profile", "gpu"]) == 2
    assert "there is no profile 'gpu'" in capsys.readouterr().err

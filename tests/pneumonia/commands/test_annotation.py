"""`pneumonia worst` wants a study at least. `send` and `take`, there and back: annotation/test_send.py."""

from pathlib import Path

import pytest

from pneumonia import cli


def test_worst_of_no_studies(project: Path, capsys: pytest.CaptureFixture[str]):
    assert cli.main(["worst", "--output", "out", "--limit", "0"]) == 2
    assert "--limit must be at least 1, got 0" in capsys.readouterr().err
    assert not (project / "out").exists()

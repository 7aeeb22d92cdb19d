"""Paths of the command line, and the calibration of new studies."""

from pathlib import Path

import pytest

from pneumonia import cli
from pneumonia.commands import shared


@pytest.mark.parametrize(
    "arguments",
    [
        ["predict", "", "--output", "out"],
        ["predict", "in", "--output", ""],
        ["predict", "in", "--output", "out", "--models", ""],
        ["render", "", "--output", "out"],
        ["render", "in", "--output", ""],
        ["predict", "in", "--output", "out", "--scheduler", ""],
        ["crossval", "--output", ""],
        ["serve", ""],
        ["serve", "serve.yaml", "--models", ""],
    ],
)
def test_an_empty_path_is_not_the_current_folder(
    project: Path, arguments: list[str], capsys: pytest.CaptureFixture[str]
):
    with pytest.raises(SystemExit) as caught:
        cli.main(arguments)
    assert caught.value.code == 2
    assert "is empty; give a" in capsys.readouterr().err


def test_the_calibration_of_new_studies_is_the_models_own(tmp_path: Path, capsys):
    from pneumonia.prediction import calibration

    assert shared.calibration_of(tmp_path) == calibration.NONE
    assert "calibration.json not found: the scores of studies are no probabilities" in capsys.readouterr().err
    own = calibration.Calibration(method="platt", slope=2.0)
    calibration.write(tmp_path / "calibration.json", {"yolo": calibration.NONE, "ensemble": own})
    assert shared.calibration_of(tmp_path) == own
    assert capsys.readouterr().err == ""

"""`pneumonia export` and `benchmark` name what they miss."""

from pathlib import Path

import pytest

from pneumonia import cli


def test_export_names_what_it_misses(project: Path, capsys: pytest.CaptureFixture[str]):
    for words, said in (
        (["resnet"], "MODEL must be of classifier, maskrcnn, yolo, efficientdet, got resnet"),
        (["yolo"], "there is no trained model at models/yolo"),
    ):
        assert cli.main(["export", *words, "--output", "out"]) == 2
        assert said in capsys.readouterr().err
    assert not (project / "out").exists()


def test_benchmark_names_a_folder_without_models(project: Path, capsys: pytest.CaptureFixture[str]):
    assert cli.main(["benchmark", "profiles"]) == 2
    assert "profiles holds no model" in capsys.readouterr().err

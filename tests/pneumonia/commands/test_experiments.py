"""`pneumonia crossval` refuses what does not go together. What it runs: experiments/test_folds.py."""

from pathlib import Path

import pytest

from pneumonia import cli


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--against", "split.by=image"], "--set, --against and --seeds go with --run"),
        (["--run", "fold-0"], "--run finds the experiments by their params; name none"),
        (["--run", "--seeds", "1"], "--seeds wants two different seeds or more, and goes without --against"),
    ],
)
def test_crossval_says_what_does_not_go_together(words: list[str], said: str, tmp_path: Path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert cli.main(["crossval", *words]) == 2
    assert said in capsys.readouterr().err

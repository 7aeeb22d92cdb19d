"""`pneumonia compare` on a real repository of git and DVC, with outs in the cache, in a remote, and nowhere."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tests.places import ROOT
from tests.pneumonia.evaluation.evaluation_project import write_project

from pneumonia import cli
from pneumonia.experiments.revisions import files_of
from pneumonia.files import read_csv, write_csv

SPLIT = "data/split/split.csv"
PIPELINE = """
stages:
  all:
    cmd: cp -r made/. .
    deps:
    - made
    outs:
    - data/clean
    - data/split
    - data/ensemble
    - data/predictions
"""


def run(root, *command):
    environment = os.environ | {
        "GIT_AUTHOR_NAME": "n", "GIT_AUTHOR_EMAIL": "n@example.org", "GIT_COMMITTER_NAME": "n",
        "GIT_COMMITTER_EMAIL": "n@example.org", "DVC_NO_ANALYTICS": "1",
    }  # fmt: skip
    subprocess.run(command, cwd=root, env=environment, check=True, capture_output=True)


def dvc(root, *arguments):
    run(root, sys.executable, "-m", "dvc", *arguments, "-q")


def reproduce(root, message, **made):
    shutil.rmtree(root / "made", ignore_errors=True)
    write_project(root / "made", **made)
    dvc(root, "repro")
    run(root, "git", "add", ".")
    run(root, "git", "commit", "-qm", message)
    run(root, "git", "tag", message)


@pytest.fixture(scope="module")
def repository(tmp_path_factory):
    """Tags `good`, `worse` (boxes off by 40 of 100 pixels), and in the workspace `other`: another holdout."""
    root = tmp_path_factory.mktemp("repository")
    run(root, "git", "init", "-q")
    dvc(root, "init")
    dvc(root, "remote", "add", "-d", "remote", str(tmp_path_factory.mktemp("remote")))
    (root / "dvc.yaml").write_text(PIPELINE)
    (root / ".gitignore").write_text("made\n")
    shutil.copy(ROOT / "params.yaml", root)
    reproduce(root, "good")
    dvc(root, "push")
    reproduce(root, "worse", shift=40.0)
    split = read_csv(root / SPLIT, {"study": "str", "fold": "int", "subset": "str"})
    split.loc[split["study"].isin(["s002", "s003"]), "subset"] = "train"
    write_csv(root / SPLIT, split)
    return root


@pytest.fixture(autouse=True)
def there(repository, monkeypatch):
    monkeypatch.chdir(repository)


def test_compare_two_revisions(capsys):
    assert cli.main(["compare", "good", "worse", "--model", "yolo"]) == 0
    output = capsys.readouterr().out
    assert output.startswith("30 holdout studies of 15 persons, 10 positive, 10 boxes.")
    # A shift by 40 of at least 100 pixels leaves an overlap of 60 / 140 for the narrowest, below 0.5 up to 119.
    row = next(line for line in output.splitlines() if line.startswith("ap50 ")).split()
    assert float(row[1]) > float(row[2])
    assert row[-1] == "good"


def test_json_and_models(capsys):
    assert cli.main(["compare", "good", "good", "--model", "classifier", "--with", "yolo", "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert (result["a"], result["b"]) == ("good classifier", "good yolo")
    assert set(result["measures"]["auc"]) == {"a", "b", "difference", "low", "high", "better"}


def test_another_holdout_in_the_workspace_is_refused(capsys):
    assert cli.main(["compare", "good", "workspace"]) == 2
    assert "2 of 30 studies are only in the first, 0 of 28 only in the second" in capsys.readouterr().err


def test_the_workspace_is_left_alone():
    before = Path(SPLIT).read_bytes()
    with files_of("good", [SPLIT, "dvc.yaml"]) as folder:
        assert (folder / SPLIT).read_bytes() != before
        assert (folder / "dvc.yaml").read_text() == PIPELINE
    assert not folder.exists()
    assert Path(SPLIT).read_bytes() == before
    with files_of("workspace", [SPLIT]) as folder:
        assert (folder / SPLIT).read_bytes() == before


@pytest.mark.parametrize(
    ("revision", "path", "message"),
    [
        ("nothing", SPLIT, "revision 'nothing' is neither a commit, branch, tag nor experiment"),
        ("good", "data/none.csv", r"data/none\.csv of good \(\w+\) does not exist"),
        ("workspace", "data/none.csv", r"data/none\.csv is not in the workspace: run `dvc repro evaluate`"),
    ],
)
def test_errors_say_what_to_do(revision, path, message):
    with pytest.raises(ValueError, match=message), files_of(revision, [path]):
        pass


def test_outside_a_repository(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match="is not in a DVC repository: run this from"), files_of("good", [SPLIT]):
        pass


def test_a_remote_serves_what_the_cache_lacks(repository, tmp_path):
    clone = tmp_path / "clone"
    run(tmp_path, "git", "clone", "-q", str(repository), str(clone))
    with files_of("good", [SPLIT], root=clone) as folder:
        assert (folder / SPLIT).read_text().startswith("study,fold,subset\n")
    # `worse` was never pushed.
    message = r"scores\.csv of worse \(\w+\) is neither in DVC's cache nor in its remote: `dvc fetch` it"
    with pytest.raises(ValueError, match=message), files_of("worse", ["data/ensemble/scores.csv"], root=clone):
        pass

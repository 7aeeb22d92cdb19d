"""Folds are run where they are missing and found where they are there; what a copy of the project lacks is named."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from pneumonia.experiments import running
from pneumonia.experiments.folds import Experiment
from pneumonia.experiments.running import parsed, run, untracked

PARAMS = (
    "split: {folds: 3, fold: 0, holdout: 0.2, by: person}\nyolo: {weights: none, seed: 1}\ntracking: {enabled: true}\n"
)
FLAT = {
    "split.folds": 3, "split.fold": 0, "split.holdout": 0.2, "split.by": "person",
    "yolo.weights": "none", "yolo.seed": 1, "tracking.enabled": True,
}  # fmt: skip


def ended(**changed) -> Experiment:
    name, params = f"fold-{changed.get('split.fold', 0)}", FLAT | changed
    stages = Experiment(name, "", params, {}).stages
    return Experiment(name, "0" * 40, params, {stage: {} for stage in stages})


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, list[Experiment], list[list[str]]]:
    """A project whose experiments are a list, and what was asked of DVC: an experiment that is run joins the list."""
    (tmp_path / "params.yaml").write_text(PARAMS)
    subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)
    subprocess.run(["git", "add", "params.yaml"], cwd=tmp_path, check=True)
    there: list[Experiment] = []
    monkeypatch.setattr(running, "candidates", lambda root: there)
    return tmp_path, there, []


def started(there: list[Experiment], asked: list[list[str]]):
    def start(arguments) -> None:
        asked.append(list(arguments))
        changes = dict(word.split("=") for word in arguments if "=" in word)
        there.insert(
            0,
            ended(
                **parsed([f"{k}={v}" for k, v in changes.items() if k != "split.fold"], FLAT),
                **{"split.fold": int(changes["split.fold"])},
            ),
        )

    return start


def test_all_folds_are_run_one_after_the_other(project):
    root, there, asked = project
    found = run(["split.holdout=0"], None, root, start=started(there, asked))
    assert [own.fold for own in found] == [0, 1, 2]
    assert asked == [
        ["--temp", "-S", "split.holdout=0", "-S", f"split.fold={number}", "ensemble"] for number in range(3)
    ]


def test_what_came_to_its_end_is_not_run_again(project):
    root, there, asked = project
    # Fold 1 is there, and once more with another param; fold 2 was stopped before its last stage.
    stopped = ended(**{"split.fold": 2})
    there += [ended(**{"split.fold": 1, "yolo.seed": 9}), ended(**{"split.fold": 1, "tracking.enabled": False})]
    there.append(Experiment("stopped", "1" * 40, stopped.params, {"split": {}}))
    run([], None, root, start=started(there, asked))
    assert [words[-2] for words in asked] == ["split.fold=0", "split.fold=2"]
    run([], None, root, start=started(there, asked))
    assert len(asked) == 2


def test_one_fold_from_another_seed(project):
    root, there, asked = project
    (found,) = run(["yolo.seed=3"], [2], root, start=started(there, asked))
    assert (found.fold, found.params["yolo.seed"]) == (2, 3)


def test_a_run_that_leaves_nothing_is_said(project):
    root, _, asked = project
    with pytest.raises(ValueError, match="fold 0 ran, but left no experiment"):
        run([], None, root, start=lambda words: asked.append(list(words)))


@pytest.mark.parametrize("change", ["yolo.seed", "yolo.sead=3", "split.fold=2", "=3"])
def test_no_change(change: str):
    with pytest.raises(
        ValueError, match=r"a change is KEY=VALUE with a key of params\.yaml, other than split\.fold, got"
    ):
        parsed([change], FLAT)


def test_values_are_read_as_yaml():
    present = dict.fromkeys("abcd")
    assert parsed(["a=0", "b=0.25", "c=image", "d=true"], present) == {"a": 0, "b": 0.25, "c": "image", "d": True}


def test_what_git_does_not_know_is_copied(project):
    root, _, _ = project
    for name in (
        "weights/.gitkeep",
        "weights/yolo.weights",
        "data/.gitkeep",
        "data/source/studies.zip",
        "data/source/persons.csv",
    ):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    subprocess.run(["git", "add", "weights/.gitkeep", "data/.gitkeep"], cwd=root, check=True)
    named = {
        "a": "weights/yolo.weights",
        "b": "data/source/studies.zip",
        "c": "params.yaml",
        "d": "none",
        "e": 3,
        "f": "",
    }
    # A file beside one of git's, and a folder that git knows nothing of.
    assert untracked(named, root) == ["data/source", "weights/yolo.weights"]

"""The folds of a cross-validation among DVC's experiments: found through git, checked, and read from DVC's cache.

An experiment is a commit that git finds under refs/exps/<two digits>/<rest of its baseline>/<name> (DVC's user guide,
"Experiments"): params.yaml and dvc.lock lie in it, the tables in the cache, or in a remote.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pandas as pd
from ruamel.yaml import YAML

from pneumonia.evaluation import inputs
from pneumonia.experiments.crossval import Fold
from pneumonia.files import flat
from pneumonia.schema.models import MODELS

SHARED = ("clean", "window_resize")  # stages whose outs must be the same in every fold
FOLD_STAGES = (
    "split",
    *(f"train_{model}" for model in MODELS),
    *(f"predict_{model}" for model in MODELS),
    "ensemble",
)
CODE = ("src/", "stages/")
IDLE = ("tracking", "images.workers", "images.executor", "images.scheduler")  # params that change no output
FOLD = "split.fold"


@dataclass(frozen=True)
class Experiment:
    """A commit of the pipeline.

    Attributes:
        params: of params.yaml, "section.key" -> value.
        lock: the stages of dvc.lock.
    """

    name: str
    rev: str
    params: Mapping[str, Any]
    lock: Mapping[str, Any]

    @property
    def fold(self) -> int:
        return int(self.params[FOLD])

    def settings(self) -> dict[str, Any]:
        """What must agree between folds."""
        return {key: value for key, value in self.params.items() if key != FOLD and not key.startswith(IDLE)}


def gather(names: Sequence[str] = (), root: Path = Path()) -> list[Experiment]:
    """The experiments of a cross-validation, one a fold, checked to differ in `split.fold` only.

    Arguments:
        names: experiments, or any commits. None: of the checked-out commit and its experiments, the newest set with the
            same params that has every fold; of several with the same fold the newest.

    Raises:
        ValueError: a name is unknown, no complete set is there, params, code or data differ, or a run did not come to
            its end.
    """
    if names:
        chosen = [_load(name, _resolve(name, root), root) for name in names]
    else:
        chosen = _newest([_load(name, rev, root) for name, rev in _of_head(root)])
    check(chosen)
    return sorted(chosen, key=lambda experiment: experiment.fold)


def read(experiments: Sequence[Experiment], root: Path = Path()) -> tuple[pd.DataFrame, pd.DataFrame, list[Fold]]:
    """Labels and predictions of what `gather` found: studies.csv, boxes.csv (both the same in every fold), the folds."""
    with TemporaryDirectory() as name:
        folders = [Path(name, str(experiment.fold)) for experiment in experiments]
        for experiment, folder in zip(experiments, folders, strict=True):
            fetch(experiment, folder, root)
        found = [inputs.read(folder) for folder in folders]
    folds = [
        Fold(experiment.fold, experiment.name, own.split, own.predictions)
        for experiment, own in zip(experiments, found, strict=True)
    ]
    return found[0].studies, found[0].boxes, folds


def fetch(experiment: Experiment, folder: Path, root: Path = Path()) -> None:
    """Copy what an evaluation reads of an experiment to the same paths below `folder`, from DVC's cache or its remote.

    Raises:
        ValueError: a file is in neither.
    """
    import dvc.api

    files = dvc.api.DVCFileSystem(str(root.resolve()), rev=experiment.rev)
    for path in inputs.paths():
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            files.get_file(path, str(target))
        except OSError as error:
            raise ValueError(
                f"experiment {experiment.name}: {path} is neither in DVC's cache nor in its remote ({error}); "
                "dvc exp pull it, or run it again"
            ) from error


def _newest(experiments: Sequence[Experiment]) -> list[Experiment]:
    """The newest complete set of folds; experiments come newest first."""
    sets: list[dict[int, Experiment]] = []
    for experiment in experiments:
        own = next((s for s in sets if next(iter(s.values())).settings() == experiment.settings()), None)
        if own is None:
            sets.append(own := {})
        own.setdefault(experiment.fold, experiment)
    for found in sets:
        if len(found) == _folds(found):
            return list(found.values())
    best = max(sets, key=len)
    missing = [str(fold) for fold in range(_folds(best)) if fold not in best]
    have = ", ".join(f"{fold} ({best[fold].name})" for fold in sorted(best))
    raise ValueError(
        f"no set of experiments of this commit differs in {FOLD} alone and has every fold; the largest has fold {have} and "
        f"lacks {', '.join(missing)}. Queue them with dvc exp run --queue -S '{FOLD}=...' and the same other -S, or name "
        "the experiments"
    )


def _folds(found: Mapping[int, Experiment]) -> int:
    return int(next(iter(found.values())).params["split.folds"])


def check(experiments: Sequence[Experiment]) -> None:
    """Check that each experiment came to its end and that all have the same params but `split.fold`, code and data.

    Raises:
        ValueError: they do not.
    """
    for experiment in experiments:
        fault = _stale(experiment)
        if fault:
            raise ValueError(f"experiment {experiment.name} did not come to its end: {fault}; run it again")
    first = experiments[0]
    for other in experiments[1:]:
        one, two = first.settings(), other.settings()
        for key in sorted({*one, *two}):
            if one.get(key) != two.get(key):
                raise ValueError(
                    f"experiments {first.name} and {other.name} differ in more than {FOLD}: {key} is {one.get(key)!r} and "
                    f"{two.get(key)!r}"
                )
        for what, facts in (("code", _code), ("data", _data)):
            mine, theirs = facts(first), facts(other)
            differing = sorted(key for key in {*mine, *theirs} if mine.get(key) != theirs.get(key))
            if differing:
                raise ValueError(
                    f"experiments {first.name} and {other.name} were run with different {what}: {', '.join(differing[:3])}"
                )


def _code(experiment: Experiment) -> dict[str, str]:
    return {
        f"{dep['path']} of {stage}": dep["md5"]
        for stage in (*SHARED, *FOLD_STAGES)
        for dep in experiment.lock.get(stage, {}).get("deps", [])
        if dep["path"].startswith(CODE)
    }


def _data(experiment: Experiment) -> dict[str, str]:
    return {out["path"]: out["md5"] for stage in SHARED for out in experiment.lock.get(stage, {}).get("outs", [])}


def _stale(experiment: Experiment) -> str:
    """Why a stage that the predictions come from is not up to date in dvc.lock; empty where all are."""
    made = {out["path"]: (name, out["md5"]) for name, stage in experiment.lock.items() for out in stage.get("outs", [])}
    for name in FOLD_STAGES:
        stage = experiment.lock.get(name)
        if stage is None:
            return f"stage {name} never ran"
        for dep in stage.get("deps", []):
            maker, md5 = made.get(dep["path"], ("", dep.get("md5")))
            if md5 != dep.get("md5"):
                return f"stage {name} did not run after {maker}"
        locked = flat(stage.get("params", {}).get("params.yaml", {}))
        for key, value in locked.items():
            if experiment.params.get(key) != value:
                return f"stage {name} ran with {key}={value!r}, params.yaml says {experiment.params.get(key)!r}"
    return ""


def _of_head(root: Path) -> Iterator[tuple[str, str]]:
    """(name, commit) of the experiments of HEAD, newest first, then HEAD itself."""
    head = _git(root, "rev-parse", "HEAD").strip()
    yield from _refs(root, f"refs/exps/{head[:2]}/{head[2:]}")
    yield "HEAD", head


def _resolve(name: str, root: Path) -> str:
    found = {rev for _, rev in _refs(root, f"refs/exps/*/*/{name}")}
    if not found:
        try:
            return _git(root, "rev-parse", "--verify", "--quiet", f"{name}^{{commit}}").strip()
        except ValueError:
            raise ValueError(f"{name!r} is no experiment (see dvc exp list -A) and no commit") from None
    if len(found) > 1:
        raise ValueError(f"{len(found)} experiments are called {name!r}; name the one that is meant by its commit")
    return found.pop()


def _refs(root: Path, pattern: str) -> list[tuple[str, str]]:
    lines = _git(root, "for-each-ref", "--sort=-committerdate", "--format=%(refname:lstrip=4) %(objectname)", pattern)
    return [(name, rev) for name, rev in (line.rsplit(" ", 1) for line in lines.splitlines())]


def _load(name: str, rev: str, root: Path) -> Experiment:
    params = YAML(typ="safe").load(_git(root, "show", f"{rev}:./params.yaml"))
    ran = "dvc.lock" in _git(root, "ls-tree", "--name-only", rev, "dvc.lock")
    lock = YAML(typ="safe").load(_git(root, "show", f"{rev}:./dvc.lock"))["stages"] if ran else {}
    return Experiment(name, rev, flat(params), lock)


def _git(root: Path, *arguments: str) -> str:
    result = subprocess.run(
        ["git", *arguments], cwd=root, capture_output=True, text=True, encoding="utf-8", check=False
    )
    if result.returncode:
        raise ValueError(f"git {' '.join(arguments)}: {result.stderr.strip() or 'failed'}")
    return result.stdout

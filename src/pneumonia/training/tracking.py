"""MLflow, if wanted and working: what a training was given and what came of it. Changes no output, stops nothing."""

from __future__ import annotations

import fcntl
import logging
import os
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from pneumonia.files import flat, read_json, sha256, write_json

logger = logging.getLogger(__name__)
PARENT = Path("state/mlflow_run.json")  # the parent run of the `dvc repro` that trained last


class Run:
    """One run of MLflow; every method does nothing once something went wrong (one warning says what)."""

    def __init__(self, enabled: bool) -> None:
        self._works = enabled

    def log_metrics(self, epoch: int, values: Mapping[str, float]) -> None:
        """Numbers of an epoch; as `on_epoch` of a training."""
        numbers = {name: float(value) for name, value in values.items() if name != "epoch" and value is not None}
        self._try(lambda mlflow: mlflow.log_metrics(numbers, step=int(epoch)))

    def log_artifact(self, path: str | Path) -> None:
        """A file, or a folder under its name."""
        path = Path(path)
        if path.is_dir():
            self._try(lambda mlflow: mlflow.log_artifacts(str(path), artifact_path=path.name))
        else:
            self._try(lambda mlflow: mlflow.log_artifact(str(path)))

    def log_history(self, path: str | Path) -> None:
        """A training's history (CSV with a column epoch), and a picture of its curves."""
        path = Path(path)

        def log(mlflow: Any) -> None:
            import pandas as pd

            from pneumonia.training.curves import training_curves

            mlflow.log_artifact(str(path))
            with TemporaryDirectory() as folder:
                picture = Path(folder) / f"{path.stem}.png"
                picture.write_bytes(training_curves(pd.read_csv(path), path.stem))
                mlflow.log_artifact(str(picture), artifact_path="figures")

        self._try(log)

    def _try(self, action: Callable[[Any], object]) -> None:
        if not self._works:
            return
        try:
            import mlflow

            action(mlflow)
        except Exception as error:  # whatever it is: a record must not cost a training
            self._works = False
            logger.warning("MLflow is left out from here on: %s: %s", type(error).__name__, error)


@contextmanager
def run(
    enabled: bool, uri: str, experiment: str, name: str, params: Mapping[str, Any], tags: Mapping[str, str]
) -> Iterator[Run]:
    """A run of MLflow around a training: `with tracking.run(...) as run: run.log_metrics(epoch, logs)`.

    The trainings of one `dvc repro` (or one experiment) are children of one parent run, which the first of them makes.

    Arguments:
        enabled: False: the same object, doing nothing, MLflow never imported.
        uri: of the tracking store: `sqlite:///` and a path, or a server. A relative path is one from the project's root,
            also for queued experiments, which DVC runs in copies that it deletes.
        params: plain values, nested ones under `a.b`.
        tags: see `tags`.
    """
    result = Run(enabled)
    parent: list[str] = []

    def start(mlflow: Any) -> None:
        with _opened(mlflow, uri, experiment) as experiment_id:
            parent.extend(_parent(mlflow.MlflowClient(), experiment_id, tags))
        mlflow.start_run(run_name=name, tags=dict(tags), parent_run_id=next(iter(parent), None))
        mlflow.log_params(flat(params))

    def end(mlflow: Any, status: str) -> None:
        mlflow.end_run(status)
        for run_id in parent:
            mlflow.MlflowClient().set_terminated(run_id, status)

    result._try(start)
    status = "FINISHED"
    try:
        yield result
    except BaseException:
        status = "FAILED"
        raise
    finally:
        result._try(lambda mlflow: end(mlflow, status))


def summarize(enabled: bool, uri: str, experiment: str, metrics: Mapping[str, Any]) -> None:
    """Give the parent run of this `dvc repro` its final numbers, nested ones under `a.b`.

    Where nothing was trained there is none, and MLflow is not imported.
    """
    run_id = _known_parent(_dvc_process()) if enabled else None
    if run_id is None:
        return
    numbers = {key: float(value) for key, value in flat(metrics).items() if isinstance(value, int | float)}

    def log(mlflow: Any) -> None:
        with _opened(mlflow, uri, experiment):
            mlflow.log_metrics(numbers, run_id=run_id)

    Run(True)._try(log)


@contextmanager
def _opened(mlflow: Any, uri: str, experiment: str) -> Iterator[str]:
    """The id of `experiment`, made if it is new. Two processes that make the same store do it one by one."""
    # A server that does not answer should cost seconds, not MLflow's default of minutes.
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "10")
    path = _sqlite_path(uri)
    if path is None:
        mlflow.set_tracking_uri(uri)
        yield str(mlflow.set_experiment(experiment).experiment_id)
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.with_name(f"{path.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        # MLflow reads it as a URI in one place and as a path in another: where a folder is named with what means something
        # in a URI, the way from here, which seldom names one. timeout: seconds that a write waits for another's.
        place = os.path.relpath(path) if {"?", "%"} & set(str(path)) else path
        mlflow.set_tracking_uri(f"sqlite:///{place}?timeout=60")
        if mlflow.get_experiment_by_name(experiment) is None:
            mlflow.create_experiment(experiment, artifact_location=(path.parent / "mlruns").as_uri())
        yield str(mlflow.set_experiment(experiment).experiment_id)


def _sqlite_path(uri: str) -> Path | None:
    scheme = "sqlite:///"
    if not uri.startswith(scheme) or "?" in uri:
        return None
    return Path(os.environ.get("DVC_ROOT", "."), uri.removeprefix(scheme)).resolve()


def _parent(client: Any, experiment_id: str, tags: Mapping[str, str]) -> list[str]:
    """The id of the parent run of this `dvc repro`, made if it is the first training; none outside of one."""
    process = _dvc_process()
    if process is None:
        return []
    run_id = _known_parent(process)
    if run_id is None:
        own = {name: value for name, value in tags.items() if name == "git_commit"}
        name = os.environ.get("DVC_EXP_NAME") or f"repro {datetime.now():%Y-%m-%d %H:%M:%S}"
        run_id = str(client.create_run(experiment_id, tags=own | {"dvc_process": process}, run_name=name).info.run_id)
        if Path("params.yaml").exists():
            client.log_artifact(run_id, "params.yaml")
        write_json(PARENT, {"process": process, "run_id": run_id})
    client.update_run(run_id, status="RUNNING")
    return [run_id]


def _known_parent(process: str | None) -> str | None:
    if process is None or not PARENT.exists():
        return None
    known = read_json(PARENT)
    return str(known["run_id"]) if known["process"] == process else None


def _dvc_process() -> str | None:
    """What tells one `dvc repro` from the next: process id and start of the `dvc` that this process descends from."""
    if "DVC_STAGE" not in os.environ:  # which DVC sets for the commands of a stage
        return None
    import psutil

    try:
        for process in psutil.Process().parents():
            if any(Path(word).name == "dvc" for word in process.cmdline()[:3]):
                return f"{process.pid}-{process.create_time():.2f}"
    except psutil.Error:
        return None  # processes may be hidden, or end
    return None


def tags(stage: str, inputs: Sequence[str | Path] = ()) -> dict[str, str]:
    """What a run is of: git commit (with `+` where files differ from it), stage, hash of the data it reads."""
    import hashlib

    found = {"stage": stage}
    commit, changed = _git("rev-parse", "HEAD"), _git("status", "--porcelain", "--untracked-files=no")
    if commit:
        found["git_commit"] = commit + ("+" if changed else "")
    if inputs:
        paths = sorted(Path(path) for path in inputs)
        listed = "".join(f"{path.name} {sha256(path)}\n" for path in paths)
        found["data"] = hashlib.sha256(listed.encode()).hexdigest()[:16]
    return found


def _git(*arguments: str) -> str:
    try:
        done = subprocess.run(["git", *arguments], capture_output=True, text=True, timeout=20, check=True)
    except (OSError, subprocess.SubprocessError):
        return ""  # not a repository, or no git
    return done.stdout.strip()

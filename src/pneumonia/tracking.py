"""MLflow, if wanted and working: what a training was given and what came of it. Changes no output, stops nothing."""

from __future__ import annotations

import logging
import os
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

logger = logging.getLogger(__name__)


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

            from pneumonia.figures import training_curves

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

    Arguments:
        enabled: False: the same object, doing nothing, MLflow never imported.
        uri: of the tracking store, such as `sqlite:///mlflow.db`, or a server.
        params: plain values, nested ones under `a.b`.
        tags: see `tags`.
    """
    result = Run(enabled)

    def start(mlflow: Any) -> None:
        # A server that does not answer should cost seconds, not MLflow's default of minutes.
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "10")
        mlflow.set_tracking_uri(uri)
        mlflow.set_experiment(experiment)
        mlflow.start_run(run_name=name, tags=dict(tags))
        mlflow.log_params(flat(params))

    result._try(start)
    status = "FINISHED"
    try:
        yield result
    except BaseException:
        status = "FAILED"
        raise
    finally:
        result._try(lambda mlflow: mlflow.end_run(status))


def tags(stage: str, inputs: Sequence[str | Path] = ()) -> dict[str, str]:
    """What a run is of: git commit (with `+` where files differ from it), stage, hash of the data it reads."""
    import hashlib

    from pneumonia.files import sha256

    found = {"stage": stage}
    commit, changed = _git("rev-parse", "HEAD"), _git("status", "--porcelain", "--untracked-files=no")
    if commit:
        found["git_commit"] = commit + ("+" if changed else "")
    if inputs:
        paths = sorted(Path(path) for path in inputs)
        listed = "".join(f"{path.name} {sha256(path)}\n" for path in paths)
        found["data"] = hashlib.sha256(listed.encode()).hexdigest()[:16]
    return found


def flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested values in one level: `{"a": {"b": 1}}` becomes `{"a.b": 1}`."""
    result: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, Mapping):
            result |= flat(value, f"{prefix}{key}.")
        else:
            result[f"{prefix}{key}"] = value
    return result


def _git(*arguments: str) -> str:
    try:
        done = subprocess.run(["git", *arguments], capture_output=True, text=True, timeout=20, check=True)
    except (OSError, subprocess.SubprocessError):
        return ""  # not a repository, or no git
    return done.stdout.strip()

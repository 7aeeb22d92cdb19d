"""A copy of the project in a repository of its own, and how to drive it: for the tests that run DVC."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from tests.places import ROOT

from pneumonia.project import profiles

COPIED = ("dvc.yaml", "params.yaml", "stages", "src", "profiles", "requirements.lock", ".dvcignore", ".gitignore")
STAGES = 29  # of dvc.yaml


def environment(project: Path) -> dict[str, str]:
    return os.environ | {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(project / "src"),
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_AUTHOR_NAME": "Tester",
        "GIT_AUTHOR_EMAIL": "tester@example.org",
        "GIT_COMMITTER_NAME": "Tester",
        "GIT_COMMITTER_EMAIL": "tester@example.org",
        "COLUMNS": "200",
    }


def run(project: Path, *command: str, status: int | None = 0) -> str:
    """Run a command in `project`, hold its exit status to `status` (None: any) and return what it printed."""
    result = subprocess.run(
        command,
        cwd=project,
        env=environment(project),
        capture_output=True,
        text=True,
        check=False,
    )
    assert status is None or result.returncode == status, (
        f"{command} ended with {result.returncode}:\n{result.stdout}\n{result.stderr}"
    )
    return result.stdout + result.stderr


def kill_when(project: Path, happened: Callable[[], object], *command: str, seconds: float = 600) -> bool:
    """Start a command and `kill -9` it with all that it started once `happened()`. False: it ended before."""
    with (project.parent / "killed.log").open("w") as log:
        process = subprocess.Popen(
            command, cwd=project, env=environment(project), stdout=log, stderr=log, start_new_session=True
        )
        end = time.monotonic() + seconds
        while process.poll() is None and time.monotonic() < end:
            if happened():
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
                return True
            time.sleep(0.01)
    process.kill()
    return False


def ran(output: str) -> set[str]:
    """The stages that `dvc repro` ran."""
    return set(re.findall(r"Running stage '([^']+)'", output))


def restore(project: Path) -> None:
    """As committed: params, lock, metrics by git, outs by DVC."""
    run(project, "git", "reset", "-q", "--hard")
    run(project, "dvc", "checkout", "-q", "--force")


def change(project: Path, old: str, new: str) -> None:
    """Replace the one place of params.yaml that reads `old`."""
    path = project / "params.yaml"
    text, written = path.read_text(), path.stat().st_mtime
    assert text.count(old) == 1, f"{old!r} stands {text.count(old)} times in params.yaml"
    path.write_text(text.replace(old, new))
    # Git looks at whole seconds, and DVC writes its index: a change of the same size within a second would go unseen.
    os.utime(path, (written + 2, written + 2))


def create(project: Path) -> None:
    """A repository with one commit: the code, and params for two dozen tiny phantoms. Nothing was run in it."""
    project.mkdir()
    for name in COPIED:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, project / name, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
        else:
            shutil.copy(source, project / name)
    profiles.apply("tiny", project / "params.yaml", ROOT / "tests" / "data" / "profiles")
    run(project, "git", "init", "-q", "-b", "main")
    run(project, "dvc", "init", "-q")
    (project / ".dvc" / "config").write_text((ROOT / ".dvc" / "config").read_text())
    commit(project, "start")


def commit(project: Path, message: str) -> None:
    run(project, "git", "add", "-A")
    run(project, "git", "commit", "-qm", message)


def clone(project: Path, target: Path) -> Path:
    """A clone that has git's part of `project` and nothing of DVC's."""
    run(project, "git", "clone", "-q", str(project), str(target))
    return target

"""make in a folder that was moved: the environment's commands lead elsewhere."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from tests.places import ROOT


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project in a folder with a space, set up as far as make can see."""
    folder = tmp_path / "here now"
    (folder / ".venv/bin").mkdir(parents=True)
    for name in ("Makefile", "pyproject.toml", "requirements.lock"):
        shutil.copy(ROOT / name, folder)
    return folder


def setup(project: Path, interpreter: Path) -> subprocess.CompletedProcess[str]:
    # As pip writes it where a path holds a space.
    lines = ["#!/bin/sh", f'\'\'\'exec\' "{interpreter}" "$0" "$@"', "' '''"]
    (project / ".venv/bin/pip").write_text("\n".join(lines))
    (project / ".venv/.installed").touch()
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    command = ["make", "setup"]
    return subprocess.run(command, cwd=project, env=environment, capture_output=True, text=True, check=False)


def test_an_environment_of_this_folder_is_used(project: Path):
    result = setup(project, project / ".venv/bin/python")
    assert (result.returncode, result.stderr) == (0, "")


def test_one_of_another_folder_is_named(project: Path):
    result = setup(project, project.parent / "there before/.venv/bin/python")
    assert result.returncode == 2
    assert (
        "moved or copied here: the commands in .venv lead to where it was. Run make clean, then this" in result.stderr
    )

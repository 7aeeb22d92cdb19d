"""The command line: exit statuses, messages, and that data-only commands leave TensorFlow alone."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tests.places import ROOT
from tests.radiographs import chest

from pneumonia import cli

WITHOUT_INPUT = ["crossval", "worst", "send"]


@pytest.mark.parametrize(
    "command",
    [
        ["predict", "--threshold", "0.5"],
        ["render"],
        ["crossval"],
        ["convert", "coco"],
        ["take", "cvat"],
        ["evaluate-on"],
        ["worst"],
        ["send", "cvat"],
    ],
    ids=lambda command: command[0],
)
@pytest.mark.parametrize("output", ["home/new/..", "link/new/..", "home", "link"])
def test_no_command_replaces_what_a_path_leads_to(
    project: Path, command: list[str], output: str, capsys: pytest.CaptureFixture[str]
):
    (project / "home").mkdir()
    (project / "home" / "thesis").write_text("years")
    (project / "link").symlink_to("home")
    (project / "in.dcm").write_bytes(chest())
    source = [] if command[0] in WITHOUT_INPUT else ["in.dcm"]
    assert cli.main([*command, *source, "--output", output]) == 2
    assert f"{project / 'home'} exists and is not empty" in capsys.readouterr().err
    assert (project / "home" / "thesis").read_text() == "years"


def test_too_little_memory_is_said(project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    def fail(*arguments: object, **options: object) -> None:
        raise MemoryError

    monkeypatch.setattr("pneumonia.reading_room.render.render", fail)
    assert cli.main(["render", "x.dcm", "--output", "out"]) == 2
    assert capsys.readouterr().err == "pneumonia: out of memory; nothing was written\n"


HEAVY = {"tensorflow", "keras", "mlflow", "matplotlib", "torch", "jax", "dvc", "imgaug"}


LIGHT = (
    "commands",
    "schema",
    "dicom",
    "sources",
    "data",
    "prediction",
    "metrics",
    "evaluation",
    "annotation",
    "external",
    "report",
    "experiments",
    "project",
)


@pytest.mark.parametrize("room", ["the ground", *LIGHT])
def test_rooms_whose_job_is_data_import_no_heavy_package(room: str):
    folder = ROOT / "src/pneumonia"
    paths = sorted(folder.glob("*.py") if room == "the ground" else (folder / room).rglob("*.py"))
    modules = [
        ".".join(path.relative_to(ROOT / "src").with_suffix("").parts) for path in paths if path.stem != "__init__"
    ]
    assert modules
    code = f"import sys, {', '.join(modules)}; print(sorted({HEAVY!r} & set(sys.modules)))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


def test_a_reader_that_leaves_is_no_error(project: Path):
    """As `pneumonia results | head -1` does."""
    shutil.copytree(ROOT / "metrics", project / "metrics")
    command = [sys.executable, "-m", "pneumonia.cli", "results"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout
    assert process.stderr
    process.stdout.close()
    assert process.stderr.read() == ""
    process.stderr.close()
    assert process.wait(60) == 141

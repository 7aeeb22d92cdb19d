"""A package that is not installed is named with its extra, whoever finds out."""

import subprocess
import sys
from pathlib import Path

import pytest
from tests.places import ROOT

from pneumonia import cli, extras


def test_require_passes_what_is_there():
    extras.require("json", what="this")


@pytest.mark.parametrize(
    ("missing", "sentence"),
    [
        (["jinja2"], "the page needs jinja2, which is not installed: pip install -e '.[pipeline]' in the project"),
        (
            ["highdicom", "pynetdicom"],
            "the page needs highdicom and pynetdicom, which are not installed: pip install -e '.[dicom]' in the project",
        ),
    ],
)
def test_require_names_what_is_missing(missing: list[str], sentence: str, monkeypatch: pytest.MonkeyPatch):
    for name in missing:
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ModuleNotFoundError) as caught:
        extras.require("json", *missing, what="the page")
    assert str(caught.value) == sentence
    assert extras.explain(caught.value) == sentence


def test_pythons_own_error_is_explained():
    error = ModuleNotFoundError("No module named 'ruamel.yaml'", name="ruamel.yaml")
    sentence = "this command needs ruamel, which is not installed: pip install -e '.[pipeline]' in the project"
    assert extras.explain(error) == sentence
    assert extras.explain(ModuleNotFoundError("No module named 'x'", name="x")) is None  # a fault, not an extra


def test_a_missing_module_of_no_extra_stays_a_fault(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "pneumonia.project.code_deps", None)
    with pytest.raises(ModuleNotFoundError, match=r"pneumonia\.project\.code_deps"):
        cli.main(["deps"])


COMMAND = """
import sys
for name in sys.argv.pop(1).split(","):
    sys.modules[name] = None
from pneumonia import cli
sys.exit(cli.main(sys.argv[1:]))
"""


@pytest.mark.parametrize(
    ("missing", "command", "sentence"),
    [
        ("ruamel", "profile", "this command needs ruamel, which is not installed: pip install -e '.[pipeline]' in the project"),
        ("ruamel", "deps", "this command needs ruamel, which is not installed: pip install -e '.[pipeline]' in the project"),
        ("dvc", "compare A B", "this command needs dvc, which is not installed: pip install -e '.[pipeline]' in the project"),
        ("dvc", "verify", "this command needs dvc, which is not installed: pip install -e '.[pipeline]' in the project"),
        ("ruamel", "crossval", "this command needs ruamel, which is not installed: pip install -e '.[pipeline]' in the project"),
        (
            "highdicom,pynetdicom",
            "serve docs/serve.yaml",
            "the node needs highdicom and pynetdicom, which are not installed: pip install -e '.[dicom]' in the project",
        ),
        (
            "tensorflow,torch",
            "predict x.dcm --output out --threshold 0.5",
            "Keras' backend tensorflow is not installed: pip install -e '.[tensorflow]' in the project, or set KERAS_BACKEND to jax",
        ),
    ],
)  # fmt: skip
def test_a_command_names_the_extra_it_misses(missing: str, command: str, sentence: str, tmp_path: Path):
    environment = {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT / "src"), "KERAS_HOME": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", COMMAND, missing, *command.split()],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.returncode, done.stderr.strip(), done.stdout) == (2, f"pneumonia: {sentence}", "")

"""What a release says of itself, from one place; the lock of a node; what the audit says where it could not ask."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from benchmarks import audit
from packaging.requirements import Requirement
from tests.places import ROOT
from tests.test_supply import BASE, EXTRAS, PROJECT, normal

from pneumonia.cli import main

VERSION = PROJECT["version"]
PACKAGES = sorted(path.parent for path in (ROOT / "src").glob("*/__init__.py"))


def pins(lock: str) -> dict[str, str]:
    """Package -> version of a lock file, with the hashes of its files."""
    entries = re.split(r"\n(?=\S)", (ROOT / lock).read_text().strip())
    named = {re.match(r"[A-Za-z0-9._-]+", entry)[0]: entry for entry in entries}
    return {normal(name): entry for name, entry in named.items()}


def test_the_command_says_the_installed_version(capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit) as ended:
        main(["--version"])
    assert ended.value.code == 0
    assert re.fullmatch(r"pneumonia \d+\.\d+\.\d+\S*\n", capsys.readouterr().out)


def test_the_version_stands_in_one_place_and_those_that_repeat_it_agree():
    assert yaml.safe_load((ROOT / "CITATION.cff").read_text())["version"] == VERSION
    newest = re.search(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert newest
    assert newest[1] == VERSION
    assert [path for path in (ROOT / "src").rglob("*.py") if re.search(r"^__version__", path.read_text(), re.M)] == []


def test_every_package_says_that_it_is_typed():
    assert [path.name for path in PACKAGES if not (path / "py.typed").is_file()] == []


def test_a_citation_has_what_the_format_asks_for():
    said = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert {"authors", "cff-version", "message", "title"} <= set(said)
    assert (said["cff-version"], said["license"], said["type"]) == ("1.2.0", PROJECT["license"], "software")


def test_a_tag_publishes_what_was_built_and_tried_and_no_token_is_kept():
    flow = yaml.safe_load((ROOT / ".github/workflows/release.yaml").read_text())
    assert flow[True] == {"push": {"tags": ["v*"]}}  # YAML 1.1 reads `on` as true
    assert flow["permissions"] == {}
    publish = flow["jobs"]["publish"]
    assert (publish["needs"], publish["permissions"], publish["environment"]) == (
        "build",
        {"id-token": "write"},
        "release",
    )
    assert "secrets." not in (ROOT / ".github/workflows/release.yaml").read_text()
    targets = re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    (made,) = [step["run"] for step in flow["jobs"]["build"]["steps"] if str(step.get("run")).startswith("make ")]
    assert set(made.split()[1:]) <= set(targets)


def test_a_node_installs_what_the_lock_pins_without_tensorflow_or_keras():
    node, lock = pins("node.lock"), pins("requirements.lock")
    shared = {name: entry for name, entry in lock.items() if name in node}
    version = re.compile(r"==([^ ;\\\n]+)")
    assert {name: version.search(entry)[1] for name, entry in node.items()} == {
        name: version.search(entry)[1] for name, entry in shared.items()
    }
    assert all("--hash=sha256:" in entry for entry in node.values())
    assert BASE | EXTRAS["onnx"] | EXTRAS["dicom"] | EXTRAS["web"] <= set(node)
    assert not set(node) & {"tensorflow", "keras", "jax", "torch", "dvc", "mlflow"}


def test_the_tools_are_pinned_apart_from_the_project():
    import tomllib

    groups = tomllib.loads((ROOT / "pyproject.toml").read_text())["dependency-groups"]
    assert {normal(Requirement(line).name) for line in groups["tools"]} <= set(pins("tools.lock"))
    for name in ("node.lock", "tools.lock"):
        assert "://" not in (ROOT / name).read_text()


CLEAN = {"name": "a", "version": "1", "vulns": []}
BAD = {"name": "b", "version": "2", "vulns": [{"id": "CVE-1", "fix_versions": ["2.1"]}]}
UNKNOWN = {"name": "c", "skip_reason": "not found"}


@pytest.mark.parametrize(
    ("answered", "said", "status"),
    [
        ([CLEAN], ["1 of 3 packages looked up, 0 known vulnerabilities"], 0),
        ([CLEAN, BAD], ["b 2: CVE-1, mended in 2.1", "2 of 3 packages looked up, 1 known vulnerabilities"], 1),
        ([CLEAN, UNKNOWN], ["1 of 3 packages looked up", "did not know 1 (c, ...): nothing is known"], 3),
        ([BAD, UNKNOWN], ["CVE-1", "looked up, 1 known", "did not know 1"], 1),
        ([UNKNOWN], ["0 of 3 packages looked up", "did not know 1"], 3),
        ([], ["0 of 3 packages looked up", "did not know 0"], 3),
    ],
    ids=["clean", "bad", "part", "bad and part", "mirror", "silence"],
)
def test_an_audit_takes_no_silence_for_a_clean_bill(answered: list, said: list[str], status: int):
    lines, ended = audit.told(answered, 3)
    assert ended == status
    assert len(lines) == len(said)
    assert all(part in line for part, line in zip(said, lines, strict=True))


def test_an_audit_that_reaches_nobody_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    (tmp_path / "x.lock").write_text("a==1 \\\n    --hash=sha256:0\nb==2\n")
    away = [sys.executable, "-c", "import sys; sys.exit('ConnectionError: no route')"]
    assert audit.main(str(tmp_path / "x.lock"), away) == 3
    assert "could not be asked, so nothing is known" in (said := capsys.readouterr().out)
    assert "ConnectionError: no route" in said
    answers = [sys.executable, "-c", f"print({json.dumps({'dependencies': [CLEAN]})!r})"]
    assert audit.main(str(tmp_path / "x.lock"), answers) == 0
    assert "1 of 2 packages" in capsys.readouterr().out


@pytest.mark.slow
def test_the_source_archive_builds_the_same_wheel(tmp_path: Path):
    """As `make dist` does: an sdist, and from it alone a wheel that holds every file of src."""
    import shutil
    import zipfile

    for name in ("pyproject.toml", "setup.py", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, tmp_path)
    shutil.copytree(ROOT / "src", tmp_path / "src", ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    backend = "import setuptools.build_meta as b; print(b.build_sdist('dist'))"
    subprocess.run([sys.executable, "-c", backend], cwd=tmp_path, check=True, capture_output=True)
    (sdist,) = (tmp_path / "dist").glob("*.tar.gz")
    assert sdist.name == f"pneumonia-{VERSION}.tar.gz"
    command = (sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "-q", "-w", "out", str(sdist))
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    (wheel,) = (tmp_path / "out").glob("*.whl")
    held = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    source = {path for path in (ROOT / "src").rglob("*") if path.is_file() and "__pycache__" not in path.parts}
    shipped = {
        path for path in source if path.suffix in (".py", ".pth", ".typed") or {"static", "templates"} & {*path.parts}
    }
    assert held == {path.relative_to(ROOT / "src").as_posix() for path in shipped}
    assert {"mrcnn_imgaug.pth", *(f"{path.name}/py.typed" for path in PACKAGES)} <= held

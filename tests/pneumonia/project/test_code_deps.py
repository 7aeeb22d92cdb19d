"""The code deps of a stage: closure of imports, modules imported by name, folders in the place of files; DVC's hash of them."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from tests.places import ROOT

from pneumonia.project.code_deps import _content, code_deps, reached, update

WORDS = '"""Only words."""\n'
BY_NAME = "from importlib import import_module\ndef load(name):\n    return import_module(f'zoo.{name}.trained')\n"


def files(root: Path, content: dict[str, str]) -> None:
    for name, text in content.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def deps(root: Path, *words: str) -> list[str]:
    """Of `root/script.py`, relative to `root`."""
    found = code_deps(root / "script.py", words, root / "src", not_deps=())
    return [Path(path).relative_to(root).as_posix() for path in found]


def test_the_closure_follows_imports_inside_functions_and_relative_ones(tmp_path: Path):
    files(tmp_path, {
        "script.py": "from a.one import f\n",
        "src/a/__init__.py": WORDS,
        "src/a/one.py": "def f():\n    from a import two\n    return two\n",
        "src/a/two.py": "import a.three\nfrom . import four\nfrom .b.deep import X\n",
        "src/a/three.py": "import numpy\n",
        "src/a/four.py": "X = 1\n",
        "src/a/five.py": "X = 1\n",
        "src/a/b/__init__.py": WORDS,
        "src/a/b/deep.py": "from .. import six\nX = 1\n",
        "src/a/six.py": "X = 1\n",
    })  # fmt: skip
    assert deps(tmp_path) == [
        "script.py", "src/a/b/deep.py", "src/a/four.py", "src/a/one.py", "src/a/six.py", "src/a/three.py", "src/a/two.py",
    ]  # fmt: skip


def test_a_package_that_is_reached_whole_is_named_by_its_folder(tmp_path: Path):
    files(tmp_path, {
        "script.py": "import a.one, a.two, b.one\n",
        "src/a/__init__.py": WORDS,
        "src/a/one.py": "X = 1\n",
        "src/a/two.py": "X = 1\n",
        "src/a/README.md": "Words.\n",
        "src/a/.two.py.swp": "an editor's\n",
        "src/a/__pycache__/one.cpython-311.pyc": "a cache\n",
        "src/b/one.py": "X = 1\n",  # alone in its folder: named by its file
    })  # fmt: skip
    assert deps(tmp_path) == ["script.py", "src/a", "src/b/one.py"]
    (tmp_path / "src/a/three.py").write_text("X = 1\n")
    assert deps(tmp_path) == ["script.py", "src/a/one.py", "src/a/two.py", "src/b/one.py"]


def test_folders_within_folders(tmp_path: Path):
    files(tmp_path, {
        "script.py": "import a.one, a.two, a.b.one, a.b.two\n",
        "src/a/one.py": "X = 1\n",
        "src/a/two.py": "X = 1\n",
        "src/a/b/one.py": "X = 1\n",
        "src/a/b/two.py": "X = 1\n",
    })  # fmt: skip
    assert deps(tmp_path) == ["script.py", "src/a"]
    (tmp_path / "src/a/three.py").write_text("X = 1\n")
    assert deps(tmp_path) == ["script.py", "src/a/b", "src/a/one.py", "src/a/two.py"]


def test_a_package_with_code_in_its_init(tmp_path: Path):
    files(tmp_path, {
        "script.py": "import a.one\n",
        "src/a/__init__.py": WORDS + "from b import two\n",
        "src/a/one.py": "X = 1\n",
        "src/a/other.py": "X = 1\n",
        "src/b/__init__.py": WORDS,
        "src/b/two.py": "X = 1\n",
    })  # fmt: skip
    # It runs when a module of the package is imported; a docstring alone (b's) is no dep.
    assert deps(tmp_path) == ["script.py", "src/a/__init__.py", "src/a/one.py", "src/b/two.py"]


def test_templates_belong_to_the_module_that_names_their_loader(tmp_path: Path):
    files(tmp_path, {
        "script.py": "import a.page\n",
        "src/a/page.py": "import jinja2\nLOADER = jinja2.PackageLoader('a')\n",
        "src/a/other.py": "X = 1\n",
        "src/a/templates/page.html": "<p>",
        "src/a/templates/page.css": "p {}",
        "src/a/templates/.page.css.swp": "an editor's",
    })  # fmt: skip
    assert deps(tmp_path) == ["script.py", "src/a/page.py", "src/a/templates"]
    files(tmp_path, {"script.py": "import a.other\n"})
    assert deps(tmp_path) == ["script.py", "src/a/other.py"]


def test_what_is_left_out_is_left_out_with_what_it_alone_reaches_and_must_be_there(tmp_path: Path):
    files(tmp_path, {
        "script.py": "import a.one, a.noted\n",
        "src/a/one.py": "import a.shared\n",
        "src/a/noted.py": "import a.shared, a.alone\n",
        "src/a/shared.py": "X = 1\n",
        "src/a/alone.py": "X = 1\n",
    })  # fmt: skip
    found = reached(tmp_path / "script.py", tmp_path / "src", {"a.noted"})
    assert sorted(path.name for path in found) == ["one.py", "script.py", "shared.py"]
    with pytest.raises(
        ModuleNotFoundError, match=r"a\.gone is to be left out of the code deps, but there is no such module"
    ):
        code_deps(tmp_path / "script.py", src=tmp_path / "src", not_deps={"a.gone"})


def zoo(root: Path, loader: str = BY_NAME) -> None:
    files(root, {
        "script.py": "from load import load\n",
        "src/load.py": loader,
        "src/zoo/cat/trained.py": "import paws\n",
        "src/zoo/dog/trained.py": "X = 1\n",
        "src/paws.py": "X = 1\n",
    })  # fmt: skip


def test_a_name_on_the_command_line_reaches_its_module_and_no_other(tmp_path: Path):
    zoo(tmp_path)
    assert deps(tmp_path, "cat") == ["script.py", "src/load.py", "src/paws.py", "src/zoo/cat/trained.py"]
    assert deps(tmp_path, "dog") == ["script.py", "src/load.py", "src/zoo/dog/trained.py"]


@pytest.mark.parametrize(
    ("words", "loader", "error", "message"),
    [
        (["cow"], BY_NAME, ModuleNotFoundError, r"load\.py:3: 'cow' of the stage's command names no module: no zoo\.cow\.trained"),
        (["${item.model}"], BY_NAME, ModuleNotFoundError, r"'\$\{item\.model\}' of the stage's command names no module"),
        ([], BY_NAME, ValueError, r"load\.py:3: .* needs a name, but the stage's command gives none"),
        (["cat"], "import importlib\nX = importlib.import_module(NAME)\n", ValueError, r"load\.py:2: .* cannot be read off"),
    ],
)  # fmt: skip
def test_a_name_that_leads_nowhere_is_refused(
    tmp_path: Path, words: list[str], loader: str, error: type[Exception], message: str
):
    zoo(tmp_path, loader)
    with pytest.raises(error, match=message):
        deps(tmp_path, *words)


def test_a_whole_text_given_to_import_module_is_an_import(tmp_path: Path):
    zoo(tmp_path, "import importlib\nX = importlib.import_module('zoo.dog.trained')\n")
    assert deps(tmp_path) == ["script.py", "src/load.py", "src/zoo/dog/trained.py"]


PIPELINE = """\
stages:
  feed:  # a comment
    cmd: python stages/feed.py cat
    deps:
    - src/old.py
    - data/food
"""


def test_dvc_yaml_is_compared_and_corrected(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    zoo(tmp_path)
    files(tmp_path, {
        "dvc.yaml": PIPELINE,
        "stages/feed.py": "import load\n",
        "src/pneumonia/extras.py": "",
        "src/pneumonia/params.py": "",
        "src/pneumonia/training/tracking.py": "",
    })  # fmt: skip
    monkeypatch.chdir(tmp_path)
    assert update(write=True) == [
        "feed: src/load.py is missing",
        "feed: src/paws.py is missing",
        "feed: src/zoo/cat/trained.py is missing",
        "feed: stages/feed.py is missing",
        "feed: src/old.py is not reached",
    ]
    assert update(write=False) == []
    assert (tmp_path / "dvc.yaml").read_text().splitlines()[1:] == [
        "  feed:  # a comment",
        "    cmd: python stages/feed.py cat",
        "    deps:",
        "    - src/load.py",
        "    - src/paws.py",
        "    - src/zoo/cat/trained.py",
        "    - stages/feed.py",
        "    - data/food",
    ]
    (tmp_path / "dvc.yaml").write_text(PIPELINE.replace("cat", "cow"))
    with pytest.raises(ModuleNotFoundError, match=r"stage feed: .*'cow'"):
        update(write=False)


# --- What DVC hashes of a folder


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A DVC repository of two packages that has the project's .dvcignore."""
    root = tmp_path_factory.mktemp("hashed")
    files(root, {
        "src/a/one.py": "X = 1\n",
        "src/a/node/two.py": "X = 1\n",
        "src/a/templates/page.html": "<p>",
        ".dvcignore": (ROOT / ".dvcignore").read_text(),
    })  # fmt: skip
    environment = os.environ | {"GIT_CONFIG_GLOBAL": os.devnull}
    subprocess.run(["git", "init", "-q"], cwd=root, env=environment, check=True)
    kept = (root / ".dvcignore").read_text()
    subprocess.run(["dvc", "init", "-q"], cwd=root, env=environment, check=True)
    assert (root / ".dvcignore").read_text() == kept
    return root


def seen_by_dvc(root: Path, folder: str) -> set[str]:
    """The files below a folder that DVC looks at, relative to `root`."""
    from dvc.repo import Repo

    with Repo(str(root)) as repo:
        found = repo.dvcignore.find(repo.fs, str(root / folder))
        return {Path(path).relative_to(root).as_posix() for path in found}


def hash_by_dvc(root: Path, folder: str) -> str:
    """DVC's hash of a folder that is a dep."""
    from dvc.repo import Repo
    from dvc_data.hashfile.build import build

    with Repo(str(root)) as repo:
        place = str(root / folder)
        found = build(repo.cache.local, place, repo.fs, "md5", dry_run=True, ignore=repo.dvcignore)[2].hash_info
        return str(found.value)


LEFTOVERS = (
    "README.md", "node/README.md", "one.py~", ".one.py.swp", ".#one.py", "one.py.orig", "node/two.py.tmp", ".DS_Store",
    "__pycache__/one.cpython-311.pyc", "node/__pycache__/two.cpython-311.pyc", "templates/.page.html.swp",
    ".ipynb_checkpoints/one-checkpoint.py", ".mypy_cache/one.json",
)  # fmt: skip


@pytest.mark.parametrize("name", LEFTOVERS)
def test_leftovers_change_no_hash_of_a_folder(repository: Path, name: str):
    before = hash_by_dvc(repository, "src/a")
    path = repository / "src/a" / name
    files(repository, {f"src/a/{name}": "left over"})
    try:
        assert hash_by_dvc(repository, "src/a") == before
        assert path not in _content(repository / "src/a")
    finally:
        path.unlink()


@pytest.mark.parametrize("name", ["one.py", "node/two.py", "templates/page.html", "new.py", "templates/new.css"])
def test_source_changes_the_hash_of_its_folder(repository: Path, name: str):
    before, path = hash_by_dvc(repository, "src/a"), repository / "src/a" / name
    kept = path.read_text() if path.exists() else None
    path.write_text("Y = 2\n")
    try:
        assert hash_by_dvc(repository, "src/a") != before
        assert path in _content(repository / "src/a")
    finally:
        path.unlink()
        if kept is not None:
            path.write_text(kept)


def test_dvc_sees_the_source_that_git_has_and_nothing_else():
    listed = subprocess.run(["git", "ls-files", "-z", "src"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode:
        pytest.skip("not a git repository")
    in_git = {name for name in listed.stdout.split("\0") if name and (ROOT / name).exists()}
    hidden = in_git - seen_by_dvc(ROOT, "src")
    no_stage = ("README.md", ".pth", "py.typed")  # nor the node's page
    assert hidden == {name for name in in_git if name.endswith(no_stage) or "/node/web/static/" in name}
    for package in (path.parent for path in (ROOT / "src").glob("*/__init__.py")):
        content = {path.relative_to(ROOT).as_posix() for path in _content(package)}
        assert content == seen_by_dvc(ROOT, package.relative_to(ROOT).as_posix())

"""The house: arrows between modules point one way, the map names every room, every module has its test beside it."""

from __future__ import annotations

import ast
import fnmatch
import re
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path

import pytest
from tests.places import ROOT

SRC = ROOT / "src"
# Modules without a test file of their name, and the file that holds them: under its reason, patterns of their names.
TESTED_IN = {
    # every layer's numbers, and the weights, are Matterport's
    "mrcnn/test_network_parity.py": ["mrcnn.network", "mrcnn.weights", "mrcnn.parts.*"],
    # used as projects written for Matterport's package use them
    "mrcnn/test_projects.py": ["mrcnn.dataset", "mrcnn.evaluation", "mrcnn.images", "mrcnn.utils", "mrcnn.visualize"],
    # a network is what its cfg says: shapes and numbers of a whole one
    "yolov3/test_model.py": ["yolov3.architectures"],
    # D0 to D2 as networks, counted
    "efficientdet/test_network.py": ["efficientdet.sizes"],
    # each as the classifier's and as a pyramid, in one table
    "pneumonia/models/test_backbones.py": ["pneumonia.models.backbones.*"],
    # what a table says is worked out by hand with what it is made of
    "pneumonia/evaluation/test_subgroups.py": ["pneumonia.data.subsets"],
    "pneumonia/evaluation/test_outputs.py": ["pneumonia.evaluation.tables"],
    "pneumonia/evaluation/test_results.py": ["pneumonia.evaluation.words"],
    # its parts talk to each other and to peers, as a running node
    "pneumonia/reading_room/node/test_node.py": ["pneumonia.reading_room.node.*"],
    # a part is read on workers of a cluster, or refused there
    "pneumonia/reading_room/test_long_run.py": ["pneumonia.reading_room.remote"],
    # an object is made whole, and read back
    "pneumonia/reading_room/objects/test_make.py": ["pneumonia.reading_room.objects.*"],
    # the page as a whole, in which they stand
    "pneumonia/report/test_page.py": ["pneumonia.report.charts", "pneumonia.report.gallery", "pneumonia.report.inputs"],
    # what the tools' modules share
    "pneumonia/annotation/test_cvat.py": ["pneumonia.annotation.marks"],
    # a set is evaluated as a whole
    "pneumonia/external/test_validate.py": ["pneumonia.external.page", "pneumonia.external.predict"],
    # every reader finds its images by them
    "pneumonia/sources/foreign/test_fetch.py": ["pneumonia.sources.foreign.files", "pneumonia.sources.foreign.marked"],
    # the phantom is drawn by all of them together
    "pneumonia/sources/synthetic/test_writer.py": ["pneumonia.sources.synthetic.*"],
    # mended imgaug, by which boxes follow their images
    "pneumonia/training/test_augmentation.py": ["keraskit.training.augmenters"],
    # the words that it goes by
    "pneumonia/weak_labels/test_labeller.py": ["pneumonia.weak_labels.phrases"],
    # a backbone is trained from a folder as NIH publishes it
    "pneumonia/models/pretraining/test_training.py": [
        "pneumonia.models.pretraining.stage",
        "pneumonia.weak_labels.fetch",
        "pneumonia.weak_labels.project",
    ],
    # held against dvc.yaml, the committed tables and docs/design.md
    "pneumonia/schema/test_files.py": ["pneumonia.schema.*"],
    # a graph is written to be run beside its model, and a model is measured by the process that starts it
    "pneumonia/export/test_bundles.py": ["pneumonia.export.formats"],
    "pneumonia/export/test_benchmark.py": ["pneumonia.export.alone"],
    # what a training stage reads and writes
    "pneumonia/training/test_stage.py": ["pneumonia.training.inputs"],
}


def has_code(path: Path) -> bool:
    """A docstring alone is none."""
    body = ast.parse(path.read_text(encoding="utf-8")).body
    return any(not (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)) for node in body)


@cache
def modules() -> dict[str, Path]:
    """Dotted name -> file, of every module with code in src, and of the stage scripts (`stages.fetch`)."""
    found = {}
    for path in sorted(SRC.rglob("*.py")):
        parts = path.relative_to(SRC).with_suffix("").parts
        if has_code(path):
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found | {f"stages.{path.stem}": path for path in sorted((ROOT / "stages").glob("*.py"))}


def arrows(name: str, path: Path, known: Iterable[str]) -> set[str]:
    """The modules among `known` that a file imports, anywhere in it; by a name on the command line: all that it may name."""
    found = set()
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            parts = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            base = ".".join([*parts, *([node.module] if node.module else [])])
            own = {f"{base}.{alias.name}" for alias in node.names}
            found |= own if own <= set(known) else {base, *own}
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith("import_module"):
            text = node.args[0]
            parts = text.values if isinstance(text, ast.JoinedStr) else [text]
            pattern = "".join(str(part.value) if isinstance(part, ast.Constant) else "*" for part in parts)
            found |= set(fnmatch.filter(known, pattern))
    return (found & set(known)) - {name}


@cache
def graph() -> dict[str, set[str]]:
    """Module -> the modules that it imports."""
    return {name: arrows(name, path, modules()) for name, path in modules().items()}


def room(name: str) -> str:
    """The room of a module, as the map writes it: its package, or itself where it is drawn, or stands in `pneumonia`."""
    own = name.replace(".", "/")
    if modules()[name].name == "__init__.py":
        return own + "/"
    package = own.rpartition("/")[0]
    return own if package == "pneumonia" or own in heights() else package + "/"


def rooms(imports: Mapping[str, set[str]]) -> dict[str, dict[str, list[str]]]:
    """Room -> rooms that it imports from -> the modules at both ends of the arrows."""
    found: dict[str, dict[str, list[str]]] = {room(name): {} for name in imports}
    for name, others in imports.items():
        for other in sorted(others):
            if room(name) != room(other):
                found[room(name)].setdefault(room(other), []).append(f"{name} -> {other}")
    return found


def circles(imports: Mapping[str, Iterable[str]]) -> list[list[str]]:
    """Sets of nodes that reach each other."""
    import networkx

    drawn = networkx.DiGraph({name: list(others) for name, others in imports.items()})
    return [sorted(circle) for circle in networkx.strongly_connected_components(drawn) if len(circle) > 1]


def floors(text: str) -> Iterator[list[str]]:
    """The rooms of each line of a map, from the top floor down. What stands after two spaces says what the room is for.

    A line that is indented lies in the folder of the line above that is indented less; `src/` is no part of a room's name.
    """
    folders: list[tuple[int, str]] = []
    for line in filter(str.strip, text.splitlines()):
        depth = len(line) - len(line.lstrip())
        folders = [(d, name) for d, name in folders if d < depth]
        within = folders[-1][1] if folders else ""
        own = [within + name.removeprefix("src/") for name in re.split(r" {2,}", line.strip())[0].split(", ")]
        folders.append((depth, own[0]))
        yield own


@cache
def heights() -> dict[str, int]:
    """Room -> its floor on the map, 0 at the top."""
    return {name: number for number, floor in enumerate(floors(map_of_the_design())) for name in floor}


def map_of_the_design() -> str:
    """The first code block below the heading "The map" of docs/design.md: the rooms from the top floor down.

    A package ends in `/`; a module that is a room by itself has its name, as all that stand in `pneumonia` have.
    """
    text = (ROOT / "docs" / "design.md").read_text(encoding="utf-8")
    found = re.search(r"^## The map$.*?^```\w*\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    if found is None:
        raise ValueError('docs/design.md has no heading "## The map" with a code block below it')
    return found[1]


def test_no_circle_among_modules():
    assert circles(graph()) == []


def test_no_circle_among_rooms():
    between = rooms(graph())
    found = circles(between)
    assert [arrow for circle in found for a in circle for b in circle for arrow in between[a].get(b, [])] == []


def test_no_arrow_points_up():
    height, between = heights(), rooms(graph())
    drawn = [(a, b) for a in between for b in between[a] if a in height and b in height]  # others: see the next test
    assert sorted(arrow for a, b in drawn if height[b] <= height[a] for arrow in between[a][b]) == []


def test_every_room_is_on_the_map_and_no_other():
    drawn, there = [name for floor in floors(map_of_the_design()) for name in floor], set(rooms(graph()))
    assert len(set(drawn)) == len(drawn)
    assert sorted(there - set(drawn)) == []
    # A folder may head its rooms without being one: pneumonia, keraskit.
    assert [name for name in drawn if name not in there and not any(each.startswith(name) for each in there)] == []


def test_the_map_fits_one_screen():
    assert len(map_of_the_design().splitlines()) <= 40
    assert max(map(len, map_of_the_design().splitlines())) <= 120


def test_floors_of_a_map_worked_out_by_hand():
    text = "stages/   scripts\nsrc/a/\n  top/, x  two of them\n  low/deep/   and words, more\nsrc/b/\n"
    assert list(floors(text)) == [["stages/"], ["a/"], ["a/top/", "a/x"], ["a/low/deep/"], ["b/"]]


def test_circles_worked_out_by_hand():
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"b"}, "d": {"a"}}) == [["b", "c"]]


# --- Every module has its test beside it


def beside(name: str) -> Path:
    """Where the test of a module is, from `tests`."""
    path = modules()[name].relative_to(SRC)
    return path.parent / f"test_{path.name}"


def without_a_test() -> list[str]:
    """The modules of src without a test beside them; a package's own (a version) needs none."""
    own = [name for name, path in modules().items() if path.is_relative_to(SRC) and path.name != "__init__.py"]
    return [name for name in own if not (ROOT / "tests" / beside(name)).is_file()]


def used_by(test: str) -> set[str]:
    """The modules that a test file reaches, through its helpers, and through what they import."""
    known = modules() | {
        ".".join(path.relative_to(ROOT).with_suffix("").parts): path for path in (ROOT / "tests").rglob("*.py")
    }
    todo, found = [".".join(Path("tests", test).with_suffix("").parts)], set()
    while todo:
        name = todo.pop()
        if name not in found:
            found.add(name)
            todo += arrows(name, known[name], known)
    return found


def test_every_module_has_its_test_beside_it_or_named():
    held = {name: test for test, patterns in TESTED_IN.items() for pattern in patterns
            for name in fnmatch.filter(without_a_test(), pattern)}  # fmt: skip
    assert sorted(set(without_a_test()) - set(held)) == []


@pytest.mark.parametrize("test", TESTED_IN)
def test_a_named_test_reaches_what_it_holds(test: str):
    assert (ROOT / "tests" / test).is_file()
    reached = used_by(test)
    for pattern in TESTED_IN[test]:
        names = fnmatch.filter(without_a_test(), pattern)
        assert names, f"{pattern}: nothing is without a test of its name, so nothing needs to be said here"
        assert sorted(set(names) - reached) == []

"""The house: arrows between modules point one way, the map names every room, every module has its test beside it."""

from __future__ import annotations

import ast
import fnmatch
import re
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path

from tests.places import ROOT

SRC = ROOT / "src"
# The rooms from the top floor down, as docs/design.md draws them: a package ends in /, a module that is a room by itself has its
# name; those that stand in `pneumonia` all are.
# A room may import from the floors below its own; rooms on one line stand side by side and do not import each other.
FLOORS = """\
stages/
src/pneumonia/
  cli
  project/
  reading_room/node/
  reading_room/
  reading_room/objects/
  experiments/, report/
  evaluation/
  prediction/
  models/classifier/, models/maskrcnn/, models/yolo/
  models/
  models/backbones/
  training/
  data/
  sources/
  sources/synthetic/
  dicom/
  metrics/
  archive
  pictures, cluster, processes, params, rejection
  files
src/mrcnn/
  parts/
  config
src/yolov3/
src/keraskit/
  training/
  boxes/
  compute/
"""


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
    return {name: number for number, floor in enumerate(floors(FLOORS)) for name in floor}


def map_of_the_design() -> str:
    """The first code block below the heading "The map" of docs/design.md."""
    text = (ROOT / "docs" / "design.md").read_text(encoding="utf-8")
    found = re.search(r"^## The map$.*?^```\w*\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    assert found, 'docs/design.md has no heading "## The map" with a code block below it'
    return found[1]


def test_no_circle_among_modules():
    assert circles(graph()) == []


def test_no_circle_among_rooms():
    between = rooms(graph())
    found = circles(between)
    assert [arrow for circle in found for a in circle for b in circle for arrow in between[a].get(b, [])] == []


def test_no_arrow_points_up():
    height, between = heights(), rooms(graph())
    up = [arrow for a in between for b in between[a] if height[b] <= height[a] for arrow in between[a][b]]
    assert sorted(up) == []


def test_every_room_is_on_the_map_and_no_other():
    drawn, there = [name for floor in floors(FLOORS) for name in floor], set(rooms(graph()))
    assert len(set(drawn)) == len(drawn)
    assert sorted(there - set(drawn)) == []
    # A folder may head its rooms without being one: pneumonia, keraskit.
    assert [name for name in drawn if name not in there and not any(each.startswith(name) for each in there)] == []


def test_floors_of_a_map_worked_out_by_hand():
    text = "stages/   scripts\nsrc/a/\n  top/, x  two of them\n  low/deep/   and words, more\nsrc/b/\n"
    assert list(floors(text)) == [["stages/"], ["a/"], ["a/top/", "a/x"], ["a/low/deep/"], ["b/"]]


def test_circles_worked_out_by_hand():
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"b"}, "d": {"a"}}) == [["b", "c"]]

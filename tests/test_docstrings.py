"""Docstrings have one form: what it is or does, then blocks headed Arguments, Attributes, Returns, Raises where needed."""

from __future__ import annotations

import ast
import inspect
import re
from pathlib import Path

import pytest
from tests.places import ROOT

SRC = ROOT / "src"
HEADINGS = {"Arguments", "Attributes", "Returns", "Raises"}

Documented = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


def names(node: Documented) -> set[str]:
    """What a block may describe: a function's parameters; a class's fields and the parameters of its constructor."""
    if isinstance(node, ast.ClassDef):
        fields = {
            part.target.id
            for part in node.body
            if isinstance(part, ast.AnnAssign) and isinstance(part.target, ast.Name)
        }
        made = [part for part in node.body if isinstance(part, ast.FunctionDef) and part.name == "__init__"]
        return fields.union(*(names(part) for part in made))
    of = node.args
    every = [*of.posonlyargs, *of.args, *of.kwonlyargs, of.vararg, of.kwarg]
    return {argument.arg for argument in every if argument is not None}


def faults(docstring: str, known: set[str]) -> list[str]:
    """What a docstring has in another form; `known` are the names that are to be described in blocks only."""
    text = inspect.cleandoc(docstring)
    found = [
        f"heading {heading}:" for heading in re.findall(r"^([A-Z]\w*):$", text, re.MULTILINE) if heading not in HEADINGS
    ]
    # Blocks are indented, so that the lines at the margin are prose and headings.
    prose = "\n".join(line for line in text.splitlines() if not line.startswith(" "))
    for described in re.findall(r"(?:^|[.;] )(\w+(?:, \w+)*): ", prose, re.MULTILINE):
        if known.intersection(described.split(", ")):
            found.append(f"{described}: outside a block")
    found += [f"{said} outside a block" for said in re.findall(r"\bRaises? \w*(?:Error|Exception)\b", prose)]
    return found


def faults_of(path: Path) -> list[str]:
    """The faults of a file's docstrings, each with the function or class that it is in."""
    documented = (
        node for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(node, Documented)
    )
    return [
        f"{path.relative_to(ROOT)}:{node.lineno} {node.name}: {fault}"
        for node in documented
        for fault in faults(ast.get_docstring(node) or "", names(node))
    ]


@pytest.mark.parametrize("package", ["efficientdet", "keraskit", "mrcnn", "pneumonia", "yolov3"])
def test_docstrings_have_one_form(package):
    files = sorted((SRC / package).rglob("*.py"))
    assert files
    found = [fault for path in files for fault in faults_of(path)]
    assert not found, "\n".join(found)


GOOD = """The share of each cell that lies in any of the boxes.

    Example: one box over two cells gives 1 and 1.

    Arguments:
        boxes: `[n, 4]` x1, y1, x2, y2 in pixels.
        size, grid: side of the image, pixels; (rows, columns) of the map.

    Returns:
        float64 `[rows, columns]`, 0 to 1.

    Raises:
        ValueError: a box lies outside.
    """


@pytest.mark.parametrize(
    ("docstring", "expected"),
    [
        ("", []),
        (GOOD, []),
        # the same text with a heading of another style
        (GOOD.replace("Arguments:", "Args:"), ["heading Args:"]),
        # names of parameters at the start of a line and of a sentence; `note` is none of them
        (
            "Count.\n\n    note: any. size: pixels.\n    boxes, grid: of one frame.",
            ["size: outside a block", "boxes, grid: outside a block"],
        ),
        ("Count. Raises ValueError where there is none.", ["Raises ValueError outside a block"]),
    ],
    ids=["none", "good", "heading", "parameters", "errors"],
)
def test_faults(docstring, expected):
    assert faults(docstring, {"boxes", "size", "grid"}) == expected


def test_names_of_a_function_and_of_a_class():
    code = "def f(a, /, b, *c, d=1, **e): ...\nclass G:\n    h: int\n    i = 2\n    def __init__(self, j): ...\n"
    function, cls = ast.parse(code).body
    assert names(function) == {"a", "b", "c", "d", "e"}
    assert names(cls) == {"h", "self", "j"}

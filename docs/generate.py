"""The reference pages, written when the site is built: every param, command, table and docstring, from the code alone.

They lie in docs/reference, which git ignores, so none can be stale. tests/test_docs.py holds that nothing is left out.
"""

from __future__ import annotations

import argparse
import ast
import inspect
import re
import types
import typing
from collections.abc import Iterator, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from pneumonia import cli
from pneumonia.params import Params
from pneumonia.schema.models import DETECTORS
from pneumonia.schema.table import Table

PACKAGES = ("pneumonia", "mrcnn", "yolov3", "efficientdet", "keraskit")
SCHEMAS = ("raw", "data", "explore", "pretraining", "predictions", "results")
BOUNDS = ("ge", "gt", "le", "lt", "min_length", "max_length", "pattern")
LIMITS = {"ge": "at least {}", "gt": "above {}", "le": "at most {}", "lt": "below {}"}


def write(root: Path, folder: Path) -> None:
    """Write all pages into `folder`; those that say what they said are left, so that the site is built anew only where needed."""
    folder.mkdir(exist_ok=True)
    pages = {"params": params(root), "commands": commands(), "tables": tables()}
    pages |= {f"api-{package}": api(root / "src" / package) for package in PACKAGES}
    for name, text in pages.items():
        path = folder / f"{name}.md"
        if not path.is_file() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")


# --- params


def leaves(model: type[BaseModel], above: str = "") -> Iterator[tuple[str, FieldInfo]]:
    """(key, field) of each value of the typed model, keys as `dvc exp run -S` takes them."""
    for name, field in model.model_fields.items():
        inner = field.annotation
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            yield from leaves(inner, f"{above}{name}.")
        elif typing.get_origin(inner) is dict:  # a value a detector
            one = FieldInfo.from_annotation(typing.get_args(inner)[1])
            yield from ((f"{above}{name}.{detector}", one) for detector in DETECTORS)
        else:
            yield above + name, field


def comments(text: str) -> dict[str, str]:
    """Key -> the comment on its line of params.yaml."""
    found: dict[str, str] = {}
    above: list[tuple[int, str]] = []
    for line in text.splitlines():
        matched = re.match(r"( *)(\w+):(.*)$", line)
        if matched is None:
            continue
        depth = len(matched[1])
        above = [(d, name) for d, name in above if d < depth] + [(depth, matched[2])]
        _, mark, comment = matched[3].partition(" #")
        if mark:
            found[".".join(name for _, name in above)] = comment.strip()
    return found


def meaning(key: str, said: Mapping[str, str]) -> str | None:
    """What a value does: its own comment, that of the mapping it stands in, or that of its namesake in the classifier's section."""
    section, _, rest = key.partition(".")
    parent = key.rpartition(".")[0]
    return said.get(key) or (said.get(parent) if parent != section else None) or said.get(f"classifier.{rest}")


def takes(annotation: Any, limits: typing.Sequence[Any] = ()) -> str:
    """The type and the range of a value in words."""
    origin, parts = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Annotated:
        return takes(parts[0], [*parts[1:], *limits])
    limits = [inner for each in limits for inner in (each.metadata if isinstance(each, FieldInfo) else [each])]
    if origin is typing.Literal:
        return " \\| ".join(f"`{part}`" for part in parts)
    if origin in (typing.Union, types.UnionType):
        return ", or ".join(takes(part) for part in parts)
    if origin is list:
        words = f"list of: {takes(parts[0])}"
    elif isinstance(annotation, type) and issubclass(annotation, BaseModel):
        words = ", ".join(f"{name} ({takes(f.annotation, f.metadata)})" for name, f in annotation.model_fields.items())
    else:
        words = {bool: "true \\| false", int: "whole number", float: "number", str: "text"}[annotation]
    set_ = {name: getattr(each, name) for each in limits for name in BOUNDS if getattr(each, name, None) is not None}
    bounds = [form.format(f"{set_[name]:g}") for name, form in LIMITS.items() if name in set_]
    low, high = set_.get("min_length", 0), set_.get("max_length")
    if high is not None:
        bounds.append(f"{low} to {high} of them" if low != high else f"{low} of them")
    elif low:
        bounds.append("not empty")
    if "pattern" in set_:
        bounds.append(f"as `{set_['pattern']}`".replace("|", "\\|"))
    return ", ".join([words, *bounds])


def reruns(key: str, stages: Mapping[str, Any]) -> list[str]:
    """The stages that track a value, each of which is run again when it changes, with what depends on it."""
    found = []
    for name, stage in stages.items():
        tracked = {*stage.get("params", []), *re.findall(r"\$\{([\w.]+)\}", str(stage))}
        if any(key == each or key.startswith(f"{each}.") for each in tracked):
            found.append(name)
    return found


def params(root: Path) -> str:
    """The page of params.yaml."""
    text = (root / "params.yaml").read_text(encoding="utf-8")
    values, said = yaml.safe_load(text), comments(text)
    stages = yaml.safe_load((root / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
    lines = [
        "# Params\n",
        "Every value of `params.yaml`: the default, what it may be, its unit and effect, and the stages that a change runs again, "
        "besides those that depend on them. Unknown keys and impossible values are refused by name. `pneumonia params` checks the file.",
    ]
    section = ""
    for key, field in leaves(Params):
        if key.split(".")[0] != section:
            section = key.split(".")[0]
            lines += [f"\n## {section}\n"]
            lines += [f"{said[section]}.\n"] if section in said else []
            lines += ["| key | default | takes | unit and effect | runs again |", "|---|---|---|---|---|"]
        value: Any = values
        for part in key.split("."):
            value = value[part]
        shown = "empty" if value == "" else f"`{value}`".replace("True", "true").replace("False", "false")
        what = (meaning(key, said) or "").replace("|", "\\|")
        again = ", ".join(reruns(key, stages)) or "nothing"
        lines.append(f"| `{key}` | {shown} | {takes(field.annotation, field.metadata)} | {what} | {again} |")
    return "\n".join(lines) + "\n"


# --- commands


def parsers(
    parser: argparse.ArgumentParser, words: str = "pneumonia"
) -> Iterator[tuple[str, argparse.ArgumentParser, str]]:
    """(command, its parser, its help) of each command, those within commands too."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            said = {choice.dest: choice.help or "" for choice in action._choices_actions}
            for name, inner in action.choices.items():
                yield f"{words} {name}", inner, said.get(name, "")
                yield from parsers(inner, f"{words} {name}")


def commands() -> str:
    """The page of the command line, as `--help` says it."""
    lines = [
        "# Commands\n",
        "As `pneumonia COMMAND --help` says it. Exit status: 0 done, 1 something to see to, 2 wrong use or input.",
    ]
    for words, parser, said in parsers(cli._parser()):
        lines += [f"\n## {words}\n", f"{said[:1].upper()}{said[1:]}.\n", "| argument | what |", "|---|---|"]
        for action in parser._actions:
            if isinstance(action, argparse._HelpAction):
                continue
            name = ", ".join(action.option_strings) or str(action.metavar or action.dest)
            value = f" {action.metavar or action.dest.upper()}" if action.option_strings and action.nargs != 0 else ""
            within = isinstance(action, argparse._SubParsersAction)
            choices = f" ({', '.join(map(str, action.choices))})" if action.choices and not within else ""
            must = " **Needed.**" if action.required and action.option_strings else ""
            lines.append(f"| `{name}{value}` | {(action.help or '')}{choices}{must} |".replace(" None", ""))
    return "\n".join(lines) + "\n"


# --- tables


def named_tables() -> Iterator[tuple[str, Table]]:
    """(module of the schema, table) of each CSV file."""
    for name in SCHEMAS:
        module = import_module(f"pneumonia.schema.{name}")
        for value in vars(module).values():
            for table in value.values() if isinstance(value, dict) else [value]:
                if isinstance(table, Table):
                    yield name, table


def tables() -> str:
    """The page of the CSV files; what the columns mean is told in docs/design.md and docs/metrics.md."""
    lines = [
        "# Tables\n",
        "Every CSV file, its columns and types; digits after the point where they are fixed. What the columns mean stands in "
        "[the design](../design.md#files) and, of the evaluation, in [the metrics](../metrics.md).",
    ]
    seen: set[str] = set()
    for module, table in named_tables():
        if (said := f"{table.path}{list(table.columns)}") in seen:
            continue
        seen.add(said)
        lines += [
            f"\n## `{table.path}`\n",
            f"`pneumonia.schema.{module}`\n",
            "| column | type | digits |",
            "|---|---|---|",
        ]
        lines += [f"| `{name}` | {kind} | {table.decimals.get(name, '')} |" for name, kind in table.columns.items()]
    return "\n".join(lines) + "\n"


# --- docstrings


def _told(docstring: str) -> str:
    """A docstring as Markdown: its indented blocks become lists."""
    lines: list[str] = []
    for line in inspect.cleandoc(docstring).splitlines():
        if re.fullmatch(r"(Arguments|Attributes|Returns|Raises):", line):
            lines += ["", f"**{line[:-1]}**", ""]
        elif line.startswith("    ") and not line.startswith("     "):
            lines.append(f"- {line.strip()}" if re.match(r" {4}\S", line) else line)
        else:
            lines.append(line)
    return "\n".join(lines)


def _public(body: list[ast.stmt]) -> Iterator[ast.FunctionDef | ast.ClassDef]:
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_"):
            yield node


def api(package: Path) -> str:
    """The page of a package: its modules, public classes and functions with their signatures and docstrings. Nothing is imported."""
    lines = [f"# {package.name}\n"]
    for path in sorted(package.rglob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        parts = path.relative_to(package.parent).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        documented = [node for node in _public(tree.body) if ast.get_docstring(node)]
        docstring = ast.get_docstring(tree)
        if not docstring and not documented:
            continue
        lines += [f"\n## {name}\n", _told(docstring or "")]
        for node in documented:
            lines += ["\n```python", _signature(node), "```\n", _told(ast.get_docstring(node) or "")]
            for method in _public(node.body) if isinstance(node, ast.ClassDef) else ():
                if own := ast.get_docstring(method):
                    lines += [f"\n`{node.name}.{_signature(method).removeprefix('def ')}`\n", _told(own)]
    return "\n".join(lines) + "\n"


def _signature(node: ast.FunctionDef | ast.ClassDef) -> str:
    if isinstance(node, ast.ClassDef):
        return f"class {node.name}({', '.join(map(ast.unparse, node.bases))})" if node.bases else f"class {node.name}"
    gives = f" -> {ast.unparse(node.returns)}" if node.returns else ""
    return f"def {node.name}({ast.unparse(node.args)}){gives}"

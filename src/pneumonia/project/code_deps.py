"""Which of the project's modules a stage script reaches by import, so that `dvc.yaml` can name them exactly.

Imports inside functions count too (heavy ones stand there); they are found by reading the syntax tree, nothing is imported.
`pneumonia deps --write` puts the result into dvc.yaml, and a test compares the two.
"""

from __future__ import annotations

import ast
from collections.abc import Collection, Iterable
from pathlib import Path

# They check or report and cannot change an output, see docs/design.md.
NOT_DEPS = frozenset({"pneumonia.params", "pneumonia.training.tracking"})


def code_deps(script: Path, src: Path = Path("src"), not_deps: Collection[str] = NOT_DEPS) -> list[str]:
    """What DVC has to hash of `script` and of the modules of `src` that it reaches: sorted paths, `/`-separated.

    A package that is reached whole is named by its folder, other modules by their files. Templates beside a module
    (`templates/` in its package) belong to the module that names them.

    not_deps: modules that are left out with what they alone reach. Raises ModuleNotFoundError where one is gone.
    """
    for name in not_deps:
        if _find(name, src) is None:
            raise ModuleNotFoundError(
                f"{name} is to be left out of the code deps, but there is no such module in {src}"
            )
    return folded(reached(script, src, not_deps), src)


def reached(script: Path, src: Path, not_deps: Collection[str] = ()) -> set[Path]:
    """`script`, and every file with code that it reaches."""
    seen: dict[str, Path] = {}
    todo = [script]
    while todo:
        path = todo.pop()
        for name in _imports(path, src):
            module = _find(name, src)
            if module is None or name in seen or name in not_deps:
                continue
            seen[name] = module
            todo.append(module)
    paths = {script, *(path for path in seen.values() if _has_code(path))}
    for path in seen.values():
        templates = path.parent / "templates"
        if templates.is_dir() and "PackageLoader" in path.read_text(encoding="utf-8"):
            paths |= {template for template in templates.rglob("*") if template.is_file()}
    return paths


def folded(paths: Collection[Path], src: Path) -> list[str]:
    """`paths`, folders in the place of files where all of a folder's (two or more) are among them."""
    left, found = set(paths), []
    for folder in sorted({parent for path in paths for parent in path.parents if src in parent.parents}):
        own = {path for path in _content(folder) if path.suffix != ".py" or _has_code(path)}
        if len(own) > 1 and own <= left:  # parents come before their children
            found.append(folder)
            left -= own
    return sorted(path.as_posix() for path in (*found, *left))


def update(pipeline: Path = Path("dvc.yaml"), *, write: bool) -> list[str]:
    """Compare the code deps of every stage in `pipeline` with the import closure of its script.

    Returns one line a difference; with `write`, corrects the file (comments kept).
    """
    from ruamel.yaml import YAML

    from pneumonia.files import write_atomic

    yaml = YAML()
    yaml.preserve_quotes = True
    yaml.width = 4096
    document = yaml.load(pipeline)
    differences = []
    for name, stage in document["stages"].items():
        script = next(word for word in stage["cmd"].split() if word.endswith(".py"))
        wanted = code_deps(Path(script))
        listed = [dep for dep in stage["deps"] if dep.startswith(("src/", "stages/"))]
        differences += [f"{name}: {dep} is missing" for dep in wanted if dep not in listed]
        differences += [f"{name}: {dep} is not reached" for dep in listed if dep not in wanted]
        if write:
            stage["deps"] = wanted + [dep for dep in stage["deps"] if dep not in listed]
    if write and differences:
        with write_atomic(pipeline) as temporary:
            yaml.dump(document, temporary)
    return differences


def _imports(path: Path, src: Path) -> Iterable[str]:
    """Dotted names imported anywhere in the file, each with its parent packages."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                package = list(path.relative_to(src).parent.parts)
                package = package[: len(package) - node.level + 1]
                base = ".".join([*package, *([base] if base else [])])
            names.add(base)
            names.update(f"{base}.{alias.name}" for alias in node.names)
    for name in sorted(names):
        parts = name.split(".")
        yield from (".".join(parts[: i + 1]) for i in range(len(parts)))


def _find(name: str, src: Path) -> Path | None:
    base = src.joinpath(*name.split("."))
    for candidate in (base.with_suffix(".py"), base / "__init__.py"):
        if candidate.is_file():
            return candidate
    return None


def _content(folder: Path) -> set[Path]:
    """The files of a folder that DVC hashes, see .dvcignore."""
    return {
        path
        for path in folder.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts and path.name != "README.md"
    }


def _has_code(path: Path) -> bool:
    """A package's `__init__.py` that holds a docstring only cannot change an output."""
    body = ast.parse(path.read_text(encoding="utf-8")).body
    return any(not (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)) for node in body)

"""Which of the project's modules a stage script reaches by import, so that `dvc.yaml` can name them exactly.

Imports inside functions count too (heavy ones stand there); they are found by reading the syntax tree, nothing is imported.
`pneumonia deps --write` puts the result into dvc.yaml, and a test compares the two.

A module that is imported by a name on the command line is found as well: where a stage reaches
`import_module(f"pneumonia.models.{name}.trained")`, and its command is `python stages/predict.py yolo`, it reaches
`pneumonia.models.yolo.trained`, and no other model's module.
"""

from __future__ import annotations

import ast
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path

# They check or report and cannot change an output, see docs/design.md.
NOT_DEPS = frozenset({"pneumonia.extras", "pneumonia.params", "pneumonia.training.tracking"})
BY_NAME = ("importlib.import_module", "import_module", "__import__")


def code_deps(
    script: Path, words: Sequence[str] = (), src: Path = Path("src"), not_deps: Collection[str] = NOT_DEPS
) -> list[str]:
    """What DVC has to hash of `script` and of the modules of `src` that it reaches.

    A package that is reached whole is named by its folder, other modules by their files. Templates beside a module
    (`templates/` in its package) belong to the module that names them.

    Arguments:
        script: a stage's.
        words: what follows the script in the stage's command; they fill in the names of modules imported by name.
        src: the folder of the packages.
        not_deps: modules that are left out with what they alone reach.

    Returns:
        paths: sorted, `/`-separated.

    Raises:
        ModuleNotFoundError: one of `not_deps` is gone, or a word names no module.
        ValueError: a module is imported by a name that cannot be read off the source and `words`.
    """
    for name in not_deps:
        if _find(name, src) is None:
            raise ModuleNotFoundError(
                f"{name} is to be left out of the code deps, but there is no such module in {src}"
            )
    return folded(reached(script, src, not_deps, words), src)


def reached(script: Path, src: Path, not_deps: Collection[str] = (), words: Sequence[str] = ()) -> set[Path]:
    """`script`, and every file with code that it reaches. Arguments and errors as those of `code_deps`."""
    seen: dict[str, Path] = {}
    todo = [script]
    while todo:
        path = todo.pop()
        for name in _imports(path, src, words):
            module = _find(name, src)
            if module is None or name in seen or name in not_deps:
                continue
            seen[name] = module
            todo.append(module)
    paths = {script, *(path for path in seen.values() if _has_code(path))}
    for path in seen.values():
        templates = path.parent / "templates"
        if templates.is_dir() and "PackageLoader" in path.read_text(encoding="utf-8"):
            paths |= _content(templates)
    return paths


def folded(paths: Collection[Path], src: Path) -> list[str]:
    """`paths`, sorted; a folder of `src` takes the place of its files where all (two or more) are among them."""
    left, found = set(paths), []
    for folder in sorted({parent for path in paths for parent in path.parents if src in parent.parents}):
        own = {path for path in _content(folder) if path.suffix != ".py" or _has_code(path)}
        if len(own) > 1 and own <= left:  # parents come before their children
            found.append(folder)
            left -= own
    return sorted(path.as_posix() for path in (*found, *left))


def update(pipeline: Path = Path("dvc.yaml"), *, write: bool) -> list[str]:
    """Compare the code deps of every stage in `pipeline` with the import closure of its script.

    Arguments:
        pipeline: dvc.yaml, in the project's root, which is the current folder.
        write: correct the file (comments stay).

    Returns:
        differences: one line each.

    Raises:
        ModuleNotFoundError, ValueError: see `code_deps`; the message names the stage.
    """
    from ruamel.yaml import YAML

    from pneumonia.files import write_atomic

    yaml = YAML()
    yaml.preserve_quotes = True
    yaml.width = 4096
    document = yaml.load(pipeline)
    differences = []
    for name, stage in document["stages"].items():
        command = stage["cmd"].split()
        at = next(index for index, word in enumerate(command) if word.endswith(".py"))
        try:
            wanted = code_deps(Path(command[at]), command[at + 1 :])
        except (ModuleNotFoundError, ValueError) as error:
            raise type(error)(f"stage {name}: {error}") from error
        listed = [dep for dep in stage["deps"] if dep.startswith(("src/", "stages/"))]
        differences += [f"{name}: {dep} is missing" for dep in wanted if dep not in listed]
        differences += [f"{name}: {dep} is not reached" for dep in listed if dep not in wanted]
        if write:
            stage["deps"] = wanted + [dep for dep in stage["deps"] if dep not in listed]
    if write and differences:
        with write_atomic(pipeline) as temporary:
            yaml.dump(document, temporary)
    return differences


def _imports(path: Path, src: Path, words: Sequence[str]) -> Iterable[str]:
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
        elif isinstance(node, ast.Call) and ast.unparse(node.func) in BY_NAME:
            names.update(_by_name(node, words, f"{path}:{node.lineno}", src))
    for name in sorted(names):
        parts = name.split(".")
        yield from (".".join(parts[: i + 1]) for i in range(len(parts)))


def _by_name(call: ast.Call, words: Sequence[str], place: str, src: Path) -> Iterable[str]:
    """What `import_module(...)` imports: its text, `words` in the place of what is filled in."""
    text = call.args[0] if call.args else None
    if isinstance(text, ast.Constant):
        yield str(text.value)
        return
    if not isinstance(text, ast.JoinedStr):
        raise ValueError(
            f"{place}: what {ast.unparse(call)} imports cannot be read off; write its name as a text or f-text"
        )
    if not words:
        raise ValueError(f"{place}: {ast.unparse(call)} needs a name, but the stage's command gives none")
    for word in words:
        name = "".join(str(part.value) if isinstance(part, ast.Constant) else word for part in text.values)
        if _find(name, src) is None:
            raise ModuleNotFoundError(f"{place}: {word!r} of the stage's command names no module: no {name} in {src}")
        yield name


def _find(name: str, src: Path) -> Path | None:
    base = src.joinpath(*name.split("."))
    for candidate in (base.with_suffix(".py"), base / "__init__.py"):
        if candidate.is_file():
            return candidate
    return None


def _content(folder: Path) -> set[Path]:
    """The files below a folder of the source that DVC hashes: .dvcignore says the same in its language, a test compares."""

    def hashed(path: Path) -> bool:
        parts = path.relative_to(folder).parts
        hidden = any(part.startswith(".") or part == "__pycache__" for part in parts)
        return not hidden and (path.suffix == ".py" or path.parent.name == "templates")

    return {path for path in folder.rglob("*") if path.is_file() and hashed(path)}


def _has_code(path: Path) -> bool:
    """A package's `__init__.py` that holds a docstring only cannot change an output."""
    body = ast.parse(path.read_text(encoding="utf-8")).body
    return any(not (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)) for node in body)

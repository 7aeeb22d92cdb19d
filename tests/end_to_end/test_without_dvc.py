"""The stages as plain processes in the order of dvc.yaml, where DVC cannot be imported: the hashes that `dvc repro` locked.

The same run tells which modules each process really asks for: the deps of its stage must hold them.
"""

from __future__ import annotations

import hashlib
import json
import re
import shlex
import shutil
import subprocess
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from functools import reduce
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests import pipeline

from pneumonia.project.code_deps import NOT_DEPS, _has_code, reached

pytestmark = pytest.mark.slow

# Python imports a module of this name at the start of every process, also of a worker: it notes each module of the project that
# is asked for, and refuses DVC. Modules that a script would import through a cache of DVC's would fail here, not be missed.
SITECUSTOMIZE = """\
import os, sys

class Noted:
    def find_spec(self, name, path=None, target=None):
        top = name.partition(".")[0]
        if top == "dvc":
            raise ImportError("this run is without DVC")
        if top in {"pneumonia", "mrcnn", "yolov3", "efficientdet", "keraskit"}:
            with open(os.environ["NOTED"], "a") as stream:
                stream.write(name + "\\n")

sys.meta_path.insert(0, Noted())
"""


def stages(folder: Path) -> dict[str, Any]:
    """The stages of dvc.yaml, params filled in; deps and outs as paths."""
    params = yaml.safe_load((folder / "params.yaml").read_text())

    def value(found: re.Match[str]) -> str:
        return str(reduce(lambda section, key: section[key], found[1].split("."), params))

    text = re.sub(r"\$\{([\w.]+)\}", value, (folder / "dvc.yaml").read_text())
    found = yaml.safe_load(text)["stages"]
    for stage in found.values():
        stage["outs"] = [next(iter(out)) if isinstance(out, dict) else out for out in stage["outs"]]
    return found


def order(found: dict[str, Any]) -> TopologicalSorter[str]:
    """A stage comes after those whose outs hold one of its deps, or lie in one."""

    def meet(one: str, other: str) -> bool:
        return Path(one).is_relative_to(other) or Path(other).is_relative_to(one)

    return TopologicalSorter(
        {
            name: {
                before
                for before, other in found.items()
                if before != name and any(meet(dep, out) for dep in stage["deps"] for out in other["outs"])
            }
            for name, stage in found.items()
        }
    )


def md5(path: Path) -> str:
    """As dvc.lock has it: of a file its bytes'; of a folder that of the list of its files' MD5s, with `.dir` behind it."""
    if path.is_file():
        return hashlib.md5(path.read_bytes()).hexdigest()
    files = {file.relative_to(path).as_posix(): file for file in path.rglob("*") if file.is_file()}
    listed = [{"md5": md5(files[name]), "relpath": name} for name in sorted(files)]
    return hashlib.md5(json.dumps(listed, sort_keys=True).encode()).hexdigest() + ".dir"


@pytest.fixture(scope="module")
def plain(project: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the code and params of `project`, without git, DVC or MLflow, whose stages were run one by one."""
    folder = tmp_path_factory.mktemp("plain") / "project"
    folder.mkdir()
    for name in ("stages", "src", "profiles"):
        shutil.copytree(project / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("dvc.yaml", "params.yaml", "requirements.lock"):
        shutil.copy2(project / name, folder / name)
    for path in [*project.glob("data/**/.gitignore"), *project.glob("models/.gitignore")]:
        target = folder / path.relative_to(project)  # git has them, and the report lists what lies in these folders
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(path, target)
    pipeline.change(
        folder, "enabled: true                 # false: MLflow", "enabled: false                # false: MLflow"
    )  # no output
    hook = folder / "hook"
    hook.mkdir()
    (hook / "sitecustomize.py").write_text(SITECUSTOMIZE)

    def run(name: str) -> str:
        environment = pipeline.environment(folder)
        environment |= {"PYTHONPATH": f"{hook}:{folder / 'src'}", "NOTED": str(hook / name)}
        command = shlex.split(found[name]["cmd"])
        result = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
        assert result.returncode == 0, f"{name}:\n{result.stdout}\n{result.stderr}"
        return name

    found = stages(folder)
    todo = order(found)
    todo.prepare()
    running: set[Future[str]] = set()
    with ThreadPoolExecutor(2) as threads:
        while todo.is_active():
            running |= {threads.submit(run, name) for name in todo.get_ready()}
            done, running = wait(running, return_when=FIRST_COMPLETED)
            todo.done(*(each.result() for each in done))
    return folder


def test_every_output_is_that_of_dvc_repro(project: Path, plain: Path):
    lock = yaml.safe_load((project / "dvc.lock").read_text())["stages"]
    wanted = {out["path"]: out["md5"] for stage in lock.values() for out in stage["outs"]}
    assert len(wanted) > 30
    assert {path: md5(plain / path) for path in wanted} == wanted


def test_what_a_process_imports_is_among_the_deps_of_its_stage(plain: Path):
    src = plain / "src"
    left_out = set().union(*(reached(src / f"{name.replace('.', '/')}.py", src) for name in NOT_DEPS))
    missing = {}
    for name, stage in stages(plain).items():
        noted = set((plain / "hook" / name).read_text().split())
        assert "pneumonia.files" in noted
        allowed = {*left_out, *(plain / dep for dep in stage["deps"])}
        files = [path for module in sorted(noted) for path in code(src, module)]
        outside = [path.relative_to(src).as_posix() for path in files if not allowed & {path, *path.parents}]
        if outside:
            missing[name] = outside
    assert missing == {}


def code(src: Path, module: str) -> list[Path]:
    """The file of a module, unless it holds words only; none for what is no module (`from package import function`)."""
    base = src.joinpath(*module.split("."))
    return [path for path in (base.with_suffix(".py"), base / "__init__.py") if path.is_file() and _has_code(path)]

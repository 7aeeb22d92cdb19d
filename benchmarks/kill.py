"""`kill -9` at random moments of clean and window_resize, then `dvc repro`: the hashes of an undisturbed run? By hand:

    python -m benchmarks.kill --kills 10 --seed 1

Works in a temporary clone on a small synthetic set. Every other kill hits the stage alone, as when memory runs out; the
others hit DVC and all it started, as when the machine goes down. The run cache is off, so that stages do run again.
"""

from __future__ import annotations

import argparse
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import yaml

STAGES = ("clean", "window_resize")
REPRO = ("dvc", "repro", "--no-run-cache", *STAGES)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--studies", type=int, default=200)
    parser.add_argument("--size", type=int, default=512)
    arguments = parser.parse_args()
    rng = random.Random(arguments.seed)
    with tempfile.TemporaryDirectory() as name:
        project = Path(name) / "project"
        subprocess.run(["git", "clone", "--quiet", str(Path.cwd()), str(project)], check=True)
        params = (project / "params.yaml").read_text()
        for key, value in (("studies", arguments.studies), ("size", arguments.size), ("shard_rows", 16)):
            params = re.sub(rf"(\n +{key}: )\d+", rf"\g<1>{value}", params)
        (project / "params.yaml").write_text(params)
        _run(project, "dvc", "repro", "fetch")
        lock = (project / "dvc.lock").read_text()  # of a project in which neither stage has run
        seconds = _undisturbed(project)
        wanted = _hashes(project)
        print(f"{arguments.studies} studies; undisturbed: {seconds}, {wanted}", flush=True)
        for number in range(arguments.kills):
            stage = STAGES[number % 2]
            moment = 2 * rng.uniform(0, seconds[stage])
            left = ""
            while not left:  # the stage may be faster this time, and end first
                moment /= 2
                for folder in ("data/clean", "data/images", "state"):
                    shutil.rmtree(project / folder, ignore_errors=True)
                (project / "dvc.lock").write_text(lock)
                left = _kill(project, stage, moment, alone=number % 4 < 2)
            _run(project, *REPRO)
            same = _hashes(project) == wanted
            stray = [path for path in (project / "data").rglob(".*") if path.name != ".gitignore"]
            print(
                f"{stage} killed after {moment:.2f} s, leaving {left}: {'same hashes' if same else 'DIFFERS'}",
                flush=True,
            )
            assert same, (wanted, _hashes(project))
            for path in stray:  # the temporary folder of a killed clean: no out, so no hash knows it
                print(f"    {path.relative_to(project)} is left")
                shutil.rmtree(path)


def _environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": "src", "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}


def _run(project: Path, *command: str) -> None:
    subprocess.run(command, cwd=project, env=_environment(), check=True, capture_output=True)


def _start(project: Path) -> subprocess.Popen[bytes]:
    quiet = subprocess.DEVNULL
    return subprocess.Popen(REPRO, cwd=project, env=_environment(), stdout=quiet, stderr=quiet, start_new_session=True)


def _processes(group: int, stage: str) -> list[int]:
    """Ids of the processes of a session that run the stage's script, its workers among them."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            command = (folder / "cmdline").read_bytes().split(b"\0")
            state, _, _, session = (folder / "stat").read_text().rsplit(")", 1)[1].split()[:4]
        except OSError:  # ended meanwhile
            continue
        if int(session) == group and state != "Z" and command[1:2] == [f"stages/{stage}.py".encode()]:
            found.append(int(folder.name))
    return sorted(found)


def _undisturbed(project: Path) -> dict[str, float]:
    """Run both stages; the seconds that each one's process lived."""
    process, first, last = _start(project), {}, {}
    while process.poll() is None:
        for stage in STAGES:
            if _processes(process.pid, stage):
                last[stage] = time.monotonic()
                first.setdefault(stage, last[stage])
        time.sleep(0.02)
    assert process.returncode == 0, "the undisturbed run failed"
    return {stage: round(last[stage] - first[stage], 2) for stage in STAGES}


def _kill(project: Path, stage: str, moment: float, *, alone: bool) -> str:
    """Kill the run `moment` seconds after `stage` began; what it had left behind, or nothing if the stage had ended."""
    process = _start(project)
    while not (found := _processes(process.pid, stage)):
        assert process.poll() is None, f"{stage} never ran"
        time.sleep(0.01)
    time.sleep(moment)
    if not set(found) & set(_processes(process.pid, stage)):
        process.wait()
        return ""
    if alone:
        os.kill(found[0], signal.SIGKILL)
    else:
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    deadline = time.monotonic() + 10
    while _processes(process.pid, stage):  # workers notice that their parent is gone
        assert time.monotonic() < deadline, "workers live on"
        time.sleep(0.1)
    state = project / "state" / "window_resize"
    parts = len(list(state.glob("*/parts/*.json")))
    return (
        f"{parts} finished shards"
        if stage == "window_resize"
        else f"{len(list((project / 'data').glob('.clean*')))} folders"
    )


def _hashes(project: Path) -> dict[str, str]:
    """Path -> MD5 of the outs, from dvc.lock."""
    stages = yaml.safe_load((project / "dvc.lock").read_text())["stages"]
    return {out["path"]: out["md5"] for stage in STAGES for out in stages[stage]["outs"]}


if __name__ == "__main__":
    main()

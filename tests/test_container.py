"""The images, as far as they can be held without a daemon: stages, files, packages, users, and settings that fit each other."""

import fnmatch
import json
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from tests.places import ROOT

from pneumonia.cli import _parser
from pneumonia.reading_room.node import settings

Instruction = tuple[str, str]
COMPOSE = yaml.safe_load((ROOT / "compose.yaml").read_text())
ORTHANC = json.loads((ROOT / "container/orthanc.json").read_text())
NODE = settings.read(ROOT / "container/serve.yaml")


def stages(text: str) -> dict[str, tuple[str, list[Instruction]]]:
    """Name -> (what it starts from, instructions), of a Dockerfile; lines that go on are one."""
    lines = re.sub(r"\\\n", " ", re.sub(r"^#.*\n", "", text, flags=re.MULTILINE)).splitlines()
    found: dict[str, tuple[str, list[Instruction]]] = {}
    for word, _, rest in (line.strip().partition(" ") for line in lines if line.strip()):
        if word == "FROM":
            base, name = re.fullmatch(r"(\S+) AS (\w+)", rest).groups()
            found[name] = base, []
        else:
            next(reversed(found.values()))[1].append((word, rest.strip()))
    return found


STAGES = stages((ROOT / "Dockerfile").read_text())


def whole(name: str) -> list[Instruction]:
    """The instructions of a stage, those of what it starts from first."""
    base, own = STAGES[name]
    return [*(whole(base) if base in STAGES else []), *own]


def last(name: str, word: str) -> str:
    return [rest for each, rest in whole(name) if each == word][-1]


def copied() -> Iterator[str]:
    for _, instructions in STAGES.values():
        for word, rest in instructions:
            if word == "COPY" and not rest.startswith("--from="):
                yield from rest.split()[:-1]


def sent(path: str) -> bool:
    """Whether .dockerignore lets a path of the project through: the last line that fits decides."""
    kept = True
    for line in (ROOT / ".dockerignore").read_text().splitlines():
        if line and not line.startswith("#"):
            pattern = line.removeprefix("!")
            parts = Path(path).parts
            if any(fnmatch.fnmatch("/".join(parts[: n + 1]), pattern) for n in range(len(parts))):
                kept = line.startswith("!")
    return kept


def test_a_stage_starts_from_a_tag_or_from_a_stage_before_it():
    seen: set[str] = set()
    for name, (base, instructions) in STAGES.items():
        assert base in seen or re.fullmatch(r"[a-z]+:[\w.-]*\d[\w.-]*|debian:bookworm-slim", base), base
        for word, rest in instructions:
            if word == "COPY" and (source := re.match(r"--from=(\w+)", rest)):
                assert source[1] in seen
        seen.add(name)
    assert {"predict", "node", "orthanc", "pipeline"} <= seen


def test_what_is_copied_is_there_and_is_sent():
    sources = set(copied())
    assert {"src", "node.lock", "requirements.lock", "params.yaml"} <= sources
    assert [path for path in sources if not (ROOT / path).exists()] == []
    assert [path for path in sources if not sent(path)] == []
    for path in ("data/raw/images.zip", "models/yolo/model.weights", ".git/HEAD", "mlflow.db", "tests/places.py"):
        assert not sent(path)
    assert not sent("src/pneumonia/__pycache__")


@pytest.mark.parametrize("name", ["predict", "node"])
def test_what_reads_studies_has_no_tensorflow_and_no_root(name: str):
    user, _, group = last(name, "USER").partition(":")
    assert int(user) > 0 < int(group)
    told = " ".join(rest for _, rest in [*whole(name), *whole("reading")])
    assert "--require-hashes -r node.lock" in told  # held by test_release
    assert "requirements.lock" not in told
    assert json.loads(last(name, "ENTRYPOINT")) == ["pneumonia"]


@pytest.mark.parametrize("name", ["orthanc", "pipeline"])
def test_the_others_have_no_root_either(name: str):
    assert last(name, "USER").split(":")[0] not in ("root", "0")


def test_what_a_container_runs_is_a_command():
    for name in ("predict", "node"):
        words = json.loads(last(name, "CMD"))
        if words != ["--help"]:
            assert callable(_parser().parse_args(words).run)


def test_the_health_check_asks_where_the_node_answers():
    checked = re.search(r"http://([\d.]+):(\d+)(/\w+)", last("node", "HEALTHCHECK"))
    assert checked
    assert (checked[1], int(checked[2]), checked[3]) == (NODE.status.host, NODE.status.port, "/health")
    compile(json.loads(last("node", "HEALTHCHECK").partition("CMD")[2])[2], "check", "exec")


def test_debian_has_the_packages():
    if not shutil.which("apt-cache") or "VERSION_CODENAME=bookworm" not in Path("/etc/os-release").read_text():
        pytest.skip("not Debian 12, which the images are of")
    wanted = set()
    for _, instructions in STAGES.values():
        for word, rest in instructions:
            if word == "RUN" and (found := re.search(r"apt-get install (.*?) &&", rest)):
                wanted |= {each for each in shlex.split(found[1]) if not each.startswith("--")}
    assert {"libgl1", "orthanc-python"} <= wanted
    policy = subprocess.run(["apt-cache", "policy", *wanted], capture_output=True, text=True, check=False).stdout
    known = dict(re.findall(r"^(\S+):\n  Installed: .*\n  Candidate: (.*)", policy, re.MULTILINE))
    if not known:
        pytest.skip("apt has no lists of packages here: apt-get update")
    assert {name for name in wanted if known.get(name, "(none)") == "(none)"} == set()


def test_the_composition_builds_stages_and_mounts_what_is_there():
    for service in COMPOSE["services"].values():
        assert service["build"]["target"] in STAGES
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        assert "/tmp" in service["tmpfs"]
        for source, target, *_ in (volume.split(":") for volume in service["volumes"] if not volume.startswith("$")):
            assert target.startswith("/")
            assert source in COMPOSE["volumes"] if source[0] != "." else (ROOT / source).is_file()
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", []))  # Orthanc asks for no password
    mounted = {volume.rsplit(":", 1 + volume.endswith(":ro"))[1] for volume in COMPOSE["services"]["node"]["volumes"]}
    assert {"/etc/pneumonia/serve.yaml", "/models", "/node"} == mounted
    assert set(json.loads(last("node", "CMD"))) & mounted == {"/etc/pneumonia/serve.yaml", "/models"}
    assert Path(NODE.folder).is_relative_to("/node")


def test_the_archive_and_the_node_name_each_other():
    (peer,) = NODE.peers
    assert (peer, NODE.peers[peer].host, NODE.peers[peer].port) == (
        ORTHANC["DicomAet"],
        "orthanc",
        ORTHANC["DicomPort"],
    )
    assert ORTHANC["DicomModalities"] == {"pneumonia": [NODE.title, "node", NODE.port]}
    assert set(COMPOSE["services"]) == {"orthanc", "node"}
    alone = json.loads((ROOT / "docs/orthanc/orthanc.json").read_text())
    assert set(alone) == set(ORTHANC)
    for number in (NODE.port, 8053):
        assert str(number) in last("node", "EXPOSE").split()


def test_the_devcontainer_is_the_pipeline():
    told = json.loads((ROOT / ".devcontainer/devcontainer.json").read_text())
    assert (ROOT / ".devcontainer" / told["build"]["dockerfile"]).resolve() == ROOT / "Dockerfile"
    assert told["build"]["target"] in STAGES
    assert told["workspaceFolder"] == last("pipeline", "WORKDIR")
    assert f"--create-home {told['remoteUser']}" in " ".join(rest for _, rest in whole("pipeline"))

"""Profiles go over params.yaml, keep its comments and are checked like it."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.places import ROOT

from pneumonia import params
from pneumonia.project import profiles


@pytest.fixture
def project(tmp_path: Path) -> Path:
    shutil.copy(ROOT / "params.yaml", tmp_path)
    (tmp_path / "profiles").mkdir()
    return tmp_path


def write(project: Path, text: str) -> None:
    (project / "profiles" / "mine.yaml").write_text(text)


@pytest.mark.parametrize("name", profiles.names(ROOT / "profiles"))
def test_every_profile_gives_params_that_are_accepted(name: str, tmp_path: Path):
    target = tmp_path / "params.yaml"
    shutil.copy(ROOT / "params.yaml", target)
    assert not profiles.applied(name, target, ROOT / "profiles")
    difference = profiles.apply(name, target, ROOT / "profiles")
    assert difference.startswith("--- ")
    params.load(target)
    assert profiles.applied(name, target, ROOT / "profiles")
    assert profiles.apply(name, target, ROOT / "profiles") == ""


def test_profiles_point_at_nothing_outside_the_project():
    for path in (ROOT / "profiles").glob("*.yaml"):
        assert ".." not in path.read_text()


def test_only_the_named_values_change_and_comments_stay(project: Path):
    write(project, "yolo:\n  epochs: 3\n  augmentation:\n    flip: 0.0\n")
    before = (project / "params.yaml").read_text().splitlines()
    profiles.apply("mine", project / "params.yaml", project / "profiles")
    after = (project / "params.yaml").read_text().splitlines()
    changed = [(a, b) for a, b in zip(before, after, strict=True) if a != b]
    assert [b.split("#")[0].strip() for _, b in changed] == ["epochs: 3", "flip: 0.0"]
    assert changed[0][1].endswith("# upper bound")


def test_a_list_is_replaced_whole(project: Path):
    write(project, "images:\n  sizes:\n  - 128\n  - 192\n  - 256\n")
    profiles.apply("mine", project / "params.yaml", project / "profiles")
    assert params.load(project / "params.yaml").images.sizes == [128, 192, 256]


def test_an_unknown_key_is_refused_and_nothing_written(project: Path):
    write(project, "yolo:\n  epoch: 3\n")
    before = (project / "params.yaml").read_bytes()
    with pytest.raises(params.ParamsError, match=r"yolo\.epoch is not a key"):
        profiles.apply("mine", project / "params.yaml", project / "profiles")
    assert (project / "params.yaml").read_bytes() == before


def test_an_impossible_value_is_refused_and_nothing_written(project: Path):
    write(project, "yolo:\n  epochs: 0\n")
    before = (project / "params.yaml").read_bytes()
    with pytest.raises(params.ParamsError, match=r"yolo\.epochs: got 0"):
        profiles.apply("mine", project / "params.yaml", project / "profiles")
    assert (project / "params.yaml").read_bytes() == before


def test_a_missing_profile_lists_those_there_are(project: Path):
    write(project, "yolo:\n  epochs: 3\n")
    with pytest.raises(params.ParamsError, match=r"no profile 'other'.*there are: mine"):
        profiles.diff("other", project / "params.yaml", project / "profiles")


BROKEN = {
    "conflict": b"<<<<<<< HEAD\nyolo: 1\n=======\nyolo: 2\n>>>>>>> x\n",
    "latin-1": "# größer\n".encode("latin-1"),
    "twice": b"yolo: 1\nyolo: 2\n",
    "date": b"yolo: 2018-13-01\n",
    "deep": b"[" * 1200,
    "cut": b"yolo: [1,\n",
}


@pytest.mark.parametrize("content", BROKEN.values(), ids=BROKEN)
@pytest.mark.parametrize("file", ["params.yaml", "profiles/mine.yaml"])
@pytest.mark.parametrize("use", [profiles.applied, profiles.diff, profiles.apply])
def test_a_file_that_is_no_yaml_is_named(project: Path, content: bytes, file: str, use: Callable[..., object]):
    write(project, "yolo:\n  epochs: 3\n")
    (project / file).write_bytes(content)
    with pytest.raises(params.ParamsError, match=f"{file} is not valid YAML"):
        use("mine", project / "params.yaml", project / "profiles")
    assert (project / file).read_bytes() == content


def test_a_written_profile_is_applied_and_never_overwritten(project: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(project)
    path = profiles.write("tuned", {"ensemble": {"iou": 0.5, "weights": {"yolo": 2.0}}}, "searched\non these")
    assert path.read_text().startswith("# searched\n# on these\n\nensemble:\n  iou: 0.5\n")
    assert "+  iou: 0.5" in profiles.apply("tuned")
    with pytest.raises(params.ParamsError, match=r"profiles/tuned.yaml is there already; give another name"):
        profiles.write("tuned", {}, "")
    with pytest.raises(params.ParamsError, match=r"a profile is named by letters.* got '../params'"):
        profiles.check_new("../params")

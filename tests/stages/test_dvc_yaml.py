"""dvc.yaml and the code agree: deps are the import closure, params exist, scripts stay short, data commands start fast."""

import ast
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.places import ROOT

from pneumonia.project.code_deps import update
from pneumonia.schema.models import DETECTORS, MODELS

PIPELINE: dict[str, Any] = yaml.safe_load((ROOT / "dvc.yaml").read_text())
STAGES: dict[str, Any] = PIPELINE["stages"]
CONTRACT = {
    "fetch", "fetch_test", "clean", "explore", "window_resize", "window_resize_test", "split", "annotate",
    "fetch_pretrain", "pretrain",
    *(f"{work}_{model}" for work in ("train", "predict", "predict_test") for model in MODELS),
    "ensemble", "calibrate", "evaluate", "explain", "export", "report", "submission",
}  # fmt: skip


def test_the_stages_are_those_of_the_design():
    assert set(STAGES) == CONTRACT


@pytest.mark.parametrize("model", MODELS)
def test_a_model_of_the_list_has_its_section_its_stages_and_who_reads_them(model: str):
    assert model in yaml.safe_load((ROOT / "params.yaml").read_text())
    assert (ROOT / f"stages/train_{model}.py").is_file()
    train, predict, test = (STAGES[f"{work}_{model}"] for work in ("train", "predict", "predict_test"))
    assert train["cmd"] == f"python stages/train_{model}.py"
    assert train["params"] == [model]
    history, metrics = f"plots/history/{model}.csv", f"metrics/{model}.json"
    assert train["outs"] == [f"models/{model}", {history: {"cache": False}}, {metrics: {"cache": False}}]
    assert model in PIPELINE["artifacts"]
    for stage, script, out in ((predict, "predict", "predictions"), (test, "predict_test", "predictions_test")):
        assert stage["cmd"] == f"python stages/{script}.py {model}"
        assert f"models/{model}" in stage["deps"]
        assert stage["outs"] == [f"data/{out}/{model}"]
    for name in ("ensemble", "calibrate", "evaluate", "report"):
        assert f"data/predictions/{model}" in STAGES[name]["deps"], name
    assert f"data/predictions_test/{model}" in STAGES["submission"]["deps"]
    assert {f"models/{model}", f"plots/history/{model}.csv"} <= set(STAGES["report"]["deps"])
    assert f"models/{model}" in STAGES["export"]["deps"]
    assert model in STAGES["export"]["cmd"].split()


def test_the_ensemble_weighs_every_detector():
    own = yaml.safe_load((ROOT / "params.yaml").read_text())["ensemble"]
    assert list(own["weights"]) == list(own["thresholds"]) == list(DETECTORS)


def test_every_stage_says_what_it_is_for():
    assert [name for name, stage in STAGES.items() if not stage.get("desc")] == []


def test_code_deps_are_the_import_closure(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(ROOT)
    assert update(write=False) == []


def test_tracked_params_exist():
    params = yaml.safe_load((ROOT / "params.yaml").read_text())
    for name, stage in STAGES.items():
        for key in stage.get("params", []):
            value = params
            for part in key.split("."):
                assert part in value, f"{name} tracks {key}, which params.yaml does not have"
                value = value[part]


def test_another_fold_runs_nothing_that_comes_before_the_split():
    """What follows from split through deps that are outs; `dvc repro --dry` does not look through a changed stage."""

    def paths(stage: dict[str, Any], key: str) -> set[str]:
        found = [next(iter(item)) if isinstance(item, dict) else item for item in stage.get(key, [])]
        return set(found)

    after = {"split"}
    while True:
        made = {path for name in after for path in paths(STAGES[name], "outs")}
        more = {name for name, stage in STAGES.items() if paths(stage, "deps") & made}
        if more <= after:
            break
        after |= more
    assert set(STAGES) - after == {
        "fetch",
        "fetch_test",
        "clean",
        "explore",
        "window_resize",
        "window_resize_test",
        "fetch_pretrain",
    }
    assert [name for name in set(STAGES) - after if "split" in STAGES[name].get("params", [])] == []


def read_params(script: Path) -> set[str]:
    """Keys a stage script reads, as `params.load().section...` or through a name given to (a part of) it.

    `answering` reads `enabled` of the models that have it; `getattr(p, name)` stands for the section of any model.
    """
    tree = ast.parse(script.read_text())
    names: dict[str, list[str]] = {}

    def key(node: ast.AST) -> list[str] | None:
        parts: list[str] = []
        while isinstance(node, ast.Attribute):
            parts.insert(0, node.attr)
            node = node.value
        if isinstance(node, ast.Name) and node.id in names:
            return names[node.id] + parts
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "params.load":
            return parts
        return None

    for node in ast.walk(tree):
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            found = key(node.value)
            if found is not None:
                names[node.targets[0].id] = found
    outermost = [node for node in ast.walk(tree) if isinstance(node, ast.Attribute) and key(node)]
    inner = {id(node.value) for node in outermost}
    keys = [key(node) or [] for node in outermost if id(node) not in inner]
    found = {".".join(part for part in parts if part != "values") for parts in keys}
    values = yaml.safe_load((ROOT / "params.yaml").read_text())
    if "answering" in found:
        found = found - {"answering"} | {f"{model}.enabled" for model in MODELS if "enabled" in values[model]}
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call) and ast.unparse(node.func) == "getattr"]
    return found | {model for node in calls if key(node.args[0]) == [] for model in MODELS}


@pytest.mark.parametrize("name", sorted(CONTRACT))
def test_a_stage_tracks_the_params_it_reads_and_no_more(name: str):
    stage = STAGES[name]
    script = ROOT / next(word for word in stage["cmd"].split() if word.endswith(".py"))
    tracked = set(stage.get("params", []))
    untracked = {"tracking", "images.workers", "images.executor", "images.scheduler"}  # they change no output
    interpolated = set(re.findall(r"\$\{(\w+\.\w+)\}", str(stage["deps"])))

    def within(key: str, others: set[str]) -> bool:
        return any(key == other or key.startswith(other + ".") for other in others)

    read = read_params(script)
    leaves = {key for key in read if not any(other != key and other.startswith(key + ".") for other in read)}
    assert [k for k in sorted(leaves) if not within(k, tracked | untracked | interpolated)] == [], (
        "read but not tracked"
    )
    assert [k for k in sorted(tracked) if not any(within(k, {r}) or within(r, {k}) for r in read)] == [], (
        "tracked but not read"
    )


@pytest.mark.parametrize("script", sorted((ROOT / "stages").glob("*.py")), ids=lambda path: path.name)
def test_stage_scripts_stay_short(script: Path):
    assert len(script.read_text().splitlines()) <= 40

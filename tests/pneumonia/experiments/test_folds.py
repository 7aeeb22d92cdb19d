"""Folds found among real DVC experiments of a pipeline in miniature: same stage names, tables from a short script."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from tests.places import ROOT

from pneumonia import cli
from pneumonia.evaluation import inputs
from pneumonia.experiments import folds as experiments
from pneumonia.experiments import running
from pneumonia.experiments.folds import Experiment, check, fetch, gather, read
from pneumonia.files import flat
from pneumonia.schema.models import EVALUATED

PARAMS = """\
split:
  folds: 2
  fold: 0
model:
  rate: 0.5
classifier:
  seed: 1
maskrcnn:
  seed: 1
yolo:
  seed: 1
evaluate:
  operating_point:
    rule: best_f1
    value: 0.5
  bootstrap: 20
  seed: 1
tracking:
  enabled: true
"""

# Four positive and four negative studies, two of each a fold; h0 and h1 are the hold-out. Fold 0's models rank one pair
# wrong, fold 1's none.
MAKE = """\
import sys
from pathlib import Path
stage, fold = sys.argv[1], int(sys.argv[2])
target = {f"s{i}": i % 2 for i in range(8)} | {"h0": 0, "h1": 1}
place = {study: -1 if study[0] == "h" else int(study[1]) // 4 for study in target}
def write(path, header, rows):
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_text(header + "\\n" + "".join(",".join(map(str, row)) + "\\n" for row in rows))
if stage == "clean":
    rows = [(s, f"p{s}", "opacity" if t else "normal", t, "AP", "F", 50, 99, 99) for s, t in target.items()]
    write("data/clean/studies.csv", "study,person,category,target,view,sex,age,rows,columns", rows)
    write("data/clean/boxes.csv", "study,x,y,width,height", [(s, 0, 0, 10, 10) for s, t in target.items() if t])
elif stage == "split":
    kind = lambda k: "holdout" if k < 0 else "validation" if k == fold else "train"
    write("data/split/split.csv", "study,person,fold,subset", [(s, f"p{s}", k, kind(k)) for s, k in place.items()])
elif stage.startswith("predict") or stage == "ensemble":
    folder = "data/ensemble" if stage == "ensemble" else "data/predictions/" + stage.removeprefix("predict_")
    outside = [s for s, k in place.items() if k in (fold, -1)]
    score = {s: 0.9 - 0.01 * i if target[s] else 0.3 - 0.01 * i for i, s in enumerate(outside)}
    if fold == 0:
        score["s2"] = 0.88  # negative; between the positives s1 (0.89) and s3 (0.87)
    write(folder + "/scores.csv", "study,score", score.items())
    if "classifier" not in folder:
        write(folder + "/detections.csv", "study,x,y,width,height,score", [(s, 0, 0, 10, 10, v) for s, v in score.items()])
else:
    write("data/images/index.csv" if stage == "window_resize" else "models/" + stage[6:] + "/model.json", stage, [])
"""


def pipeline() -> str:
    def stage(name: str, deps: list[str], out: str, params: str = "") -> dict:
        tracked = {"params": [params]} if params else {}
        return {
            "cmd": f"python src/make.py {name} ${{split.fold}}",
            "deps": ["src/make.py", *deps],
            **tracked,
            "outs": [out],
        }

    models = ("classifier", "maskrcnn", "yolo")
    stages = {
        "clean": stage("clean", [], "data/clean"),
        "window_resize": stage("window_resize", ["data/clean"], "data/images"),
        "split": stage("split", ["data/clean"], "data/split", "split"),
        **{f"train_{m}": stage(f"train_{m}", ["data/split"], f"models/{m}", "model") for m in models},
        **{
            f"predict_{m}": stage(f"predict_{m}", ["data/split", f"models/{m}"], f"data/predictions/{m}")
            for m in models
        },
        "ensemble": stage("ensemble", [f"data/predictions/{m}" for m in models], "data/ensemble"),
    }
    # The commands of the shared stages do not know the fold.
    for name in ("clean", "window_resize"):
        stages[name]["cmd"] = f"python src/make.py {name} 0"
    return json.dumps({"stages": stages})


def run(project: Path, *command: str) -> str:
    environment = os.environ | {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "GIT_CONFIG_GLOBAL": os.devnull,
    }
    result = subprocess.run(command, cwd=project, env=environment, capture_output=True, text=True, check=False)
    assert result.returncode == 0, f"{command}:\n{result.stdout}\n{result.stderr}"
    return result.stdout


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """HEAD is fold 0, not reproduced; experiments: fold-0, fold-1, and faster (fold 1 with another rate)."""
    project = tmp_path_factory.mktemp("experiments")
    (project / "src").mkdir()
    (project / "src/make.py").write_text(MAKE)
    (project / "params.yaml").write_text(PARAMS)
    (project / "dvc.yaml").write_text(pipeline())
    run(project, "git", "init", "-q", "-b", "main")
    run(project, "git", "config", "user.name", "Tester")
    run(project, "git", "config", "user.email", "tester@example.org")
    run(project, "dvc", "init", "-q")
    run(project, "dvc", "repro", "-q", "clean", "window_resize")
    run(project, "git", "add", "-A")
    run(project, "git", "commit", "-qm", "start")
    for name, changed in {
        "fold-0": [],
        "faster": ["split.fold=1", "model.rate=0.7"],
        "fold-1": ["split.fold=1"],
    }.items():
        run(project, "dvc", "exp", "run", "-q", "-n", name, *(word for value in changed for word in ("-S", value)))
        run(project, "git", "checkout", "-q", "-f", ".")
    return project


@pytest.mark.slow
def test_the_newest_complete_set_is_found_and_read(project: Path):
    found = gather(root=project)
    assert [(experiment.fold, experiment.name) for experiment in found] == [(0, "fold-0"), (1, "fold-1")]
    assert found[1].params["split.fold"] == 1
    studies, boxes, (_, fold) = read(found, project)
    assert studies["target"].sum() == len(boxes) == 5
    assert (fold.number, fold.name) == (1, "fold-1")
    assert fold.split.loc[fold.split["subset"] == "validation", "study"].tolist() == ["s4", "s5", "s6", "s7"]
    assert sorted(fold.predictions) == ["classifier", "ensemble", "maskrcnn", "yolo"]
    assert fold.predictions["yolo"].scores["s5"] == 0.89
    assert fold.predictions["classifier"].detections is None


@pytest.mark.slow
def test_the_command_writes_figures_and_predictions(project: Path, monkeypatch: pytest.MonkeyPatch, capsys):
    monkeypatch.chdir(project)
    assert cli.main(["crossval", "fold-1", "fold-0", "--output", "out"]) == 0
    assert "fold 0: fold-0 (" in capsys.readouterr().out
    metrics = json.loads(Path("out/evaluation.json").read_text())
    assert metrics["out_of_fold"] == {"studies": 8, "persons": 8, "positives": 4, "boxes": 4}
    # s3 (0.87) lies below the negative s2 (0.88): in fold 0 one of 4 pairs; of all 16 pairs s7 (0.87) loses one, too.
    assert [metrics["folds"][k]["ensemble"]["auc"] for k in "01"] == [0.75, 1.0]
    assert metrics["ensemble"]["auc"] == 14 / 16
    assert pd.read_csv("out/folds.csv")["fold"].tolist() == ["0", "1", "all"] * 4
    assert pd.read_csv("out/split.csv").to_numpy().tolist() == [[f"s{i}", i // 4] for i in range(8)]
    assert len(pd.read_csv("out/predictions/classifier/scores.csv")) == 8
    assert len(pd.read_csv("out/predictions/yolo/detections.csv")) == 8
    assert cli.main(["crossval", "fold-1", "fold-0", "--output", "out"]) == 2
    assert "out exists and is not empty" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["fold-0", "faster"], r"fold-0 and faster differ in more than split\.fold: model\.rate is 0\.5 and 0\.7"),
        (["fold-0", "nothing"], "'nothing' is no experiment .* and no commit"),
        (["HEAD", "fold-1"], "HEAD did not come to its end: stage split never ran"),
    ],
)
def test_what_does_not_fit_is_refused(project: Path, names: list[str], message: str):
    with pytest.raises(ValueError, match=message):
        gather(names, project)


@pytest.mark.slow
def test_an_incomplete_set_says_what_is_missing(project: Path, monkeypatch: pytest.MonkeyPatch):
    listed = [(name, rev) for name, rev in experiments._of_head(project) if name not in ("fold-0", "HEAD")]
    monkeypatch.setattr(experiments, "_of_head", lambda root: listed)
    with pytest.raises(ValueError, match=r"the largest has fold 1 \(fold-1\) and lacks 0"):
        gather(root=project)


@pytest.mark.slow
def test_tables_that_are_nowhere(project: Path, tmp_path: Path):
    experiment = gather(root=project)[0]
    (project / ".dvc/cache").rename(project / ".dvc/elsewhere")
    try:
        with pytest.raises(ValueError, match=r"fold-0: data/\S+ is neither in DVC's cache nor in its remote"):
            fetch(experiment, tmp_path, project)
    finally:
        (project / ".dvc/elsewhere").rename(project / ".dvc/cache")


PARAMS_OF_MODELS = {f"{name}.seed": 1 for name in ("classifier", "maskrcnn", "yolo")}


def made(fold=0, **changed) -> Experiment:
    """An experiment as dvc.lock would show it."""
    code = {"path": "src/a.py", "md5": "1"}
    stages = Experiment("", "", PARAMS_OF_MODELS, {}).stages
    lock = {name: {"deps": [code], "outs": [{"path": f"out/{name}", "md5": "2"}]} for name in stages}
    lock["clean"] = {"outs": [{"path": "data/clean", "md5": "3"}]}
    lock["split"]["params"] = {"params.yaml": {"split": {"fold": fold}}}
    lock["ensemble"]["deps"] = [{"path": "out/split", "md5": "2"}]
    return dataclasses.replace(
        Experiment(f"fold-{fold}", "0" * 40, PARAMS_OF_MODELS | {"split.fold": fold, "split.folds": 2}, lock), **changed
    )


def changed_lock(stage: str, **parts) -> dict:
    lock = made(1).lock
    return lock | {stage: lock[stage] | parts}


def test_folds_of_one_pipeline_agree():
    check(
        [
            made(0),
            made(1),
            made(0, params=PARAMS_OF_MODELS | {"split.fold": 0, "split.folds": 2, "tracking.enabled": False}),
        ]
    )


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (
            {"params": PARAMS_OF_MODELS | {"split.fold": 1, "split.folds": 3}},
            "differ in more than split.fold: split.folds is 2 and 3",
        ),
        (
            {"lock": changed_lock("train_yolo", deps=[{"path": "src/a.py", "md5": "9"}])},
            "run with different code: src/a.py of train_yolo",
        ),
        (
            {"lock": changed_lock("clean", outs=[{"path": "data/clean", "md5": "9"}])},
            "run with different data: data/clean",
        ),
        (
            {"lock": changed_lock("ensemble", deps=[{"path": "out/split", "md5": "9"}])},
            "stage ensemble did not run after split",
        ),
        (
            {"lock": changed_lock("split", params={"params.yaml": {"split": {"fold": 0}}})},
            "stage split ran with split.fold=0, params.yaml says 1",
        ),
    ],
)
def test_folds_that_do_not_belong_together(other: dict, message: str):
    with pytest.raises(ValueError, match=message):
        check([made(0), made(1, **other)])


def test_models_that_are_off_or_came_later_have_no_stage():
    off = {"yolo.enabled": False, "yolo.seed": 1, "classifier.seed": 1}
    assert made(params=off).models == ("classifier",)
    assert made(params=off).stages == ["split", "train_classifier", "predict_classifier", "ensemble"]
    assert made(params=off | {"yolo.enabled": True}).models == ("classifier", "yolo")


def test_stages_and_tables_are_those_of_the_pipeline():
    import yaml

    stages = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
    params = yaml.safe_load((ROOT / "params.yaml").read_text())
    assert {*Experiment("", "", flat(params), {}).stages, *experiments.SHARED} <= set(stages)
    folders = {out for stage in stages.values() for out in stage["outs"] if isinstance(out, str)}
    assert [path for path in inputs.paths(EVALUATED) if str(Path(path).parent) not in folders] == []


@pytest.mark.slow
def test_missing_folds_are_run_by_dvc_and_found_again(project: Path):
    asked = []
    before = (project / "params.yaml").read_text()
    found = running.run(["model.rate=0.9"], None, project)
    assert [(own.fold, own.params["model.rate"]) for own in found] == [(0, 0.9), (1, 0.9)]
    assert (project / "params.yaml").read_text() == before
    again = running.run(["model.rate=0.9"], None, project, start=asked.append)
    assert ([own.rev for own in again], asked) == ([own.rev for own in found], [])

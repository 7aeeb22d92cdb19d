"""What is searched on: rows of the hold-out are never parsed, and predictions of other params are refused."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
import yaml
from tests.places import ROOT
from tests.pneumonia.evaluation.evaluation_project import write_project

from pneumonia import cli
from pneumonia.evaluation import inputs
from pneumonia.experiments import crossval
from pneumonia.experiments.folds import Experiment
from pneumonia.experiments.material import PARTS, of_crossval, of_run
from pneumonia.files import flat
from pneumonia.schema.models import ENSEMBLE, answering

PARAMS = yaml.safe_load((ROOT / "params.yaml").read_text())


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Thirty studies validate, thirty are held out; dvc.lock says that everything was made with these params."""
    write_project(tmp_path)
    stages = {
        name: {"params": {"params.yaml": {"predict": PARAMS["predict"]}}}
        for name in Experiment("", "", flat(PARAMS), {}).stages
    }
    (tmp_path / "dvc.lock").write_text(yaml.safe_dump({"stages": stages}))
    (tmp_path / "params.yaml").write_text((ROOT / "params.yaml").read_text())
    return tmp_path


def gathered(project: Path, params: dict | None = None) -> Path:
    """crossval/ of all sixty studies in three folds, as if nothing had been held out."""
    own = inputs.read(project, [*answering(flat(PARAMS)), ENSEMBLE])
    assigned = pd.DataFrame({"study": own.studies["study"], "fold": [i // 2 % 3 for i in range(60)]})
    options = {"rule": "best_f1", "value": 0.5, "resamples": 0, "seed": 1}
    metrics = crossval.evaluate(own.studies, own.boxes, assigned, own.predictions, **options)
    crossval.write(project / "crossval", metrics, assigned, own.predictions, flat(params or PARAMS))
    return project / "crossval"


def garble(project: Path) -> None:
    """Every row of a held-out study says something that cannot be parsed."""
    held_out = {
        line.split(",")[0] for line in (project / "data/split/split.csv").read_text().splitlines() if "holdout" in line
    }
    assert len(held_out) == 30
    for path in [
        *project.glob("data/*/*.csv"),
        *project.glob("data/predictions/*/*.csv"),
        *project.glob("crossval/predictions/*/*.csv"),
    ]:
        if path.parent.name != "split":
            lines = path.read_text().splitlines()
            path.write_text(
                "".join(
                    f"{line.split(',')[0]},?\n" if line.split(",")[0] in held_out else f"{line}\n" for line in lines
                )
            )


@pytest.mark.parametrize("kind", ["run", "crossval"])
def test_the_holdout_is_not_even_read(project: Path, kind: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(project)
    if kind == "crossval":
        gathered(project)
    (project / "profiles").mkdir()
    assert cli.main(["tune", "--name", "first"]) == 0
    garble(project)
    assert cli.main(["tune", "--name", "second"]) == 0
    first, second = (project / f"profiles/{name}.yaml" for name in ("first", "second"))
    assert first.is_file()
    assert first.read_text() == second.read_text()
    assert yaml.safe_load(first.read_text()).keys() == {"ensemble"}


def test_a_run_is_parted_by_person(project: Path):
    found = of_run(PARAMS, project, seed=1)
    assert len(found.labelled.ids) == 30
    parts = found.labelled.studies.assign(part=found.fold).groupby("person")["part"].nunique()
    assert (parts == 1).all()
    assert sorted(set(found.fold)) == list(range(PARTS))


def test_a_cross_validation_keeps_its_folds(project: Path):
    found = of_crossval(gathered(project), PARAMS, project)
    assert len(found.labelled.ids) == 30
    assert dict(zip(found.labelled.ids, found.fold.tolist(), strict=True))["s004"] == 2
    assert sorted(found.detections) == ["maskrcnn", "yolo"]


def test_predictions_of_other_params_are_refused(project: Path):
    folder = gathered(project)
    other = PARAMS | {"yolo": PARAMS["yolo"] | {"epochs": 99}}
    with pytest.raises(ValueError, match=r"were made with yolo.epochs=12, params.yaml says 99; cross-validate again"):
        of_crossval(folder, other, project)
    mine = PARAMS | {"split": PARAMS["split"] | {"holdout": 0.5}, "ensemble": {"iou": 0.3}}
    assert len(of_crossval(folder, mine, project).labelled.ids) == 30
    changed = PARAMS | {"predict": PARAMS["predict"] | {"nms_iou": 0.9}}
    with pytest.raises(
        ValueError, match=r"ran with predict.nms_iou=0.3, params.yaml says 0.9; run `dvc repro ensemble`"
    ):
        of_run(changed, project, seed=1)
    (folder / "params.json").unlink()
    with pytest.raises(ValueError, match=r"params.json not found; run `pneumonia crossval` again"):
        of_crossval(folder, PARAMS, project)

"""The whole pipeline by `dvc repro`, in a fresh repository, on tiny phantoms: every stage, then only what a change touches."""

import json
import re
import sys
from pathlib import Path

import pandas as pd
import pytest
from tests.pipeline import change, clone, ran, restore, run

from pneumonia import params

pytestmark = pytest.mark.slow


def test_every_out_is_there_and_the_next_repro_does_nothing(project: Path):
    output = run(project, "dvc", "repro")
    assert ran(output) == set()
    assert "up to date" in output
    assert run(project, "git", "status", "--porcelain") == ""


def test_every_study_is_in_or_rejected_with_a_reason(project: Path):
    studies = pd.read_csv(project / "data/clean/studies.csv")
    rejected = pd.read_csv(project / "data/clean/rejected.csv")
    assert len(studies) == 42  # 40 phantoms, and the two faults that can be mended
    assert len(rejected) == 11
    assert rejected["reason"].notna().all()
    assert not set(rejected["study"]) & set(studies["study"])


def test_no_person_is_shared_between_subsets(project: Path):
    split = pd.read_csv(project / "data/split/split.csv")
    assert split.groupby("person")["subset"].nunique().max() == 1
    assert json.loads((project / "metrics/split.json").read_text())["persons_shared"] == 0


def test_the_evaluation_has_the_figures_of_the_contract(project: Path):
    evaluation = json.loads((project / "metrics/evaluation.json").read_text())
    assert "auc" in evaluation["classifier"]
    for model in ("maskrcnn", "yolo", "efficientdet", "ensemble"):
        assert {"auc", "ap50", "challenge", "sensitivity", "precision", "boxes_per_normal"} <= set(evaluation[model])


def test_predictions_cover_every_study_outside_training(project: Path):
    split = pd.read_csv(project / "data/split/split.csv")
    outside = sorted(split.loc[split["subset"] != "train", "study"])
    for model in ("classifier", "maskrcnn", "yolo", "efficientdet"):
        assert pd.read_csv(project / f"data/predictions/{model}/scores.csv")["study"].tolist() == outside


def test_the_submission_names_every_test_study_once(project: Path):
    sample = pd.read_csv(project / "data/raw_test/sample_submission.csv")
    submission = pd.read_csv(project / "submission.csv", keep_default_na=False)
    assert submission.columns.tolist() == ["patientId", "PredictionString"]
    assert sorted(submission["patientId"]) == sorted(sample["patientId"])
    for text in submission["PredictionString"]:
        numbers = [float(word) for word in text.split()]
        assert len(numbers) % 5 == 0


def test_the_report_is_one_file_that_asks_for_nothing(project: Path):
    html = (project / "report/index.html").read_text()
    assert sorted(p.name for p in (project / "report").iterdir()) == ["cases.csv", "index.html"]
    assert not re.search(r"""(src|href)=["'](https?:)?//""", html)


def test_ensemble_params_rerun_only_what_follows(project: Path):
    change(project, "strategy: wbf", "strategy: union")
    try:
        output = run(project, "dvc", "repro")
        assert ran(output) == {"ensemble", "calibrate", "evaluate", "report", "submission"}
        difference = run(project, "dvc", "params", "diff")
        assert "ensemble.strategy" in difference
    finally:
        restore(project)


def test_a_fresh_clone_with_a_remote_reruns_only_what_changed(project: Path, tmp_path: Path):
    copy = clone(project, tmp_path / "clone")
    for repository in (project, copy):
        run(repository, "dvc", "remote", "add", "-q", "--local", "-d", "store", str(tmp_path / "store"))
    run(project, "dvc", "push", "-q")
    assert run(copy, "git", "status", "--porcelain") == ""
    change(copy, "strategy: wbf", "strategy: union")
    output = run(copy, "dvc", "repro", "--pull", "--allow-missing", "evaluate")  # not report: each pull takes seconds
    assert ran(output) == {"ensemble", "calibrate", "evaluate"}
    assert sorted(path.name for path in (copy / "data").iterdir() if path.is_dir()) == [
        "clean", "ensemble", "predictions", "predictions_test", "split",
    ]  # fmt: skip
    assert not (copy / "models" / "maskrcnn").exists()


def test_another_test_set_trains_nothing(project: Path):
    p = params.load(project / "params.yaml")
    assert p.fetch_test.synthetic.studies == 6
    head, tail = (project / "params.yaml").read_text().split("fetch_test:")
    (project / "params.yaml").write_text(head + "fetch_test:" + tail.replace("studies: 6", "studies: 5", 1))
    try:
        predictions = {f"predict_test_{model}" for model in ("classifier", "maskrcnn", "yolo", "efficientdet")}
        output = run(project, "dvc", "repro")
        assert ran(output) == {"fetch_test", "window_resize_test", "pretrain", "submission"} | predictions
        assert len(pd.read_csv(project / "submission.csv")) == 5
    finally:
        restore(project)


def test_new_studies_are_predicted_and_a_broken_file_is_listed(project: Path):
    import zipfile

    folder = project / "tmp" / "new"
    folder.mkdir(parents=True)
    with zipfile.ZipFile(project / "data/raw_test/images.zip") as archive:
        for name in sorted(archive.namelist())[:2]:
            (folder / Path(name).name).write_bytes(archive.read(name))
    (folder / "broken.dcm").write_bytes(b"not a DICOM")
    output = run(
        project, "pneumonia", "predict", str(folder), "--output", "tmp/results", "--threshold", "0.0", status=1
    )
    assert "1 failed" in output
    results = project / "tmp/results"
    assert len(pd.read_csv(results / "submission.csv")) == 2
    assert pd.read_csv(results / "failed.csv")["patientId"].tolist() == ["broken"]
    detections = pd.read_csv(results / "detections.csv")
    assert detections.columns.tolist() == ["patientId", "image_score", "x", "y", "width", "height", "score"]
    assert detections["patientId"].nunique() == 2
    assert len(list((results / "overlays").glob("*.png"))) == 2


@pytest.mark.parametrize("stage", ["ensemble", "evaluate", "explain", "report", "submission", "split", "clean"])
def test_stages_on_tables_never_import_tensorflow(project: Path, stage: str):
    code = (
        f"import runpy, sys; runpy.run_path('stages/{stage}.py', run_name='__main__'); "
        "print(sorted({'tensorflow', 'keras', 'mlflow'} & set(sys.modules)))"
    )
    try:
        assert run(project, sys.executable, "-c", code).splitlines()[-1] == "[]"
    finally:
        restore(project)


def test_each_repro_is_one_run_of_mlflow_whose_models_find_the_same_boxes(project: Path):
    """The parent has the evaluation's numbers, each child a history; the logged models predict as those of `models/`."""
    import mlflow

    client = mlflow.MlflowClient(f"sqlite:///{project}/mlflow.db")
    (found,) = [each for each in client.search_experiments() if each.name == "pneumonia"]
    runs = client.search_runs([found.experiment_id])
    (first,) = [each for each in runs if each.info.run_name.startswith("repro ")]
    children = {
        each.info.run_name: each for each in runs if each.data.tags.get("mlflow.parentRunId") == first.info.run_id
    }
    assert sorted(children) == ["classifier", "efficientdet", "maskrcnn", "yolo"]
    evaluation = json.loads((project / "metrics/evaluation.json").read_text())
    assert first.data.metrics["ensemble.auc"] == pytest.approx(evaluation["ensemble"]["auc"])
    logged = project / "tmp/logged"
    for name, child in children.items():
        assert [point.step for point in client.get_metric_history(child.info.run_id, "loss")] == [1, 2]
        assert client.list_artifacts(child.info.run_id, "figures")
        mlflow.artifacts.download_artifacts(
            run_id=child.info.run_id, artifact_path=name, dst_path=str(logged), tracking_uri=client.tracking_uri
        )
    for models in ("models", "tmp/logged"):
        output = f"tmp/by-{Path(models).name}"
        options = ("--models", models, "--output", output, "--threshold", "0.0", "--no-overlays")
        run(project, "pneumonia", "predict", "data/raw_test/images.zip", "--runtime", "keras", *options)
    detections = [(project / f"tmp/by-{name}/detections.csv").read_bytes() for name in ("models", "logged")]
    assert detections[0] == detections[1]
    assert detections[0].count(b"\n") > 6

"""MLflow is optional: off, missing, broken or working, a training goes on."""

import logging
import sys
import types

import pytest

from pneumonia.training import tracking

OPTIONS = {
    "uri": "http://localhost:5000",
    "experiment": "e",
    "name": "n",
    "params": {"a": {"b": 1}},
    "tags": {"stage": "s"},
}


def use(enabled):
    with tracking.run(enabled, **OPTIONS) as run:
        run.log_metrics(2, {"epoch": 2, "loss": 0.5})
        run.log_metrics(3, {"epoch": 3, "loss": 0.25})
        run.log_artifact("model.json")


def test_disabled_never_imports_it(monkeypatch, caplog):
    monkeypatch.setitem(sys.modules, "mlflow", None)  # an import would raise
    use(False)
    assert caplog.text == ""


def test_missing_warns_once(monkeypatch, caplog):
    monkeypatch.setitem(sys.modules, "mlflow", None)
    with caplog.at_level(logging.WARNING):
        use(True)
    assert caplog.text.count("MLflow is left out from here on") == 1


class Fake(types.ModuleType):
    def __init__(self, broken=()):
        super().__init__("mlflow")
        self.calls, self.broken = [], broken

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)

        def call(*arguments, **named):
            if name in self.broken:
                raise ConnectionError("no server")
            self.calls.append((name, arguments, named))
            return types.SimpleNamespace(experiment_id="1") if name == "set_experiment" else None

        return call


def test_what_is_logged(monkeypatch):
    fake = Fake()
    monkeypatch.setitem(sys.modules, "mlflow", fake)
    use(True)
    assert fake.calls == [
        ("set_tracking_uri", ("http://localhost:5000",), {}),
        ("set_experiment", ("e",), {}),
        ("MlflowClient", (), {}),
        ("start_run", (), {"run_name": "n", "tags": {"stage": "s"}, "parent_run_id": None}),
        ("log_params", ({"a.b": 1},), {}),
        ("log_metrics", ({"loss": 0.5},), {"step": 2}),
        ("log_metrics", ({"loss": 0.25},), {"step": 3}),
        ("log_artifact", ("model.json",), {}),
        ("end_run", ("FINISHED",), {}),
    ]


def test_a_history_is_logged_with_its_curves(monkeypatch, tmp_path):
    pictures = []

    class Reader(Fake):
        def log_artifact(self, path, artifact_path=None):
            if artifact_path == "figures":
                pictures.append((path.rsplit("/", 1)[1], open(path, "rb").read(8)))  # noqa: PTH123, SIM115
            self.calls.append(("log_artifact", artifact_path, {}))

    fake = Reader()
    monkeypatch.setitem(sys.modules, "mlflow", fake)
    history = tmp_path / "yolo.csv"
    history.write_text("epoch,loss,val_ap50\n1,2.0,0.1\n2,1.0,0.3\n")
    with tracking.run(True, **OPTIONS) as run:
        run.log_history(history)
    assert [path for name, path, _ in fake.calls if name == "log_artifact"] == [None, "figures"]
    assert pictures == [("yolo.png", b"\x89PNG\r\n\x1a\n")]


def test_failing_server_warns_once_and_is_left_alone(monkeypatch, caplog):
    fake = Fake(broken=("set_experiment",))
    monkeypatch.setitem(sys.modules, "mlflow", fake)
    with caplog.at_level(logging.WARNING):
        use(True)
    assert caplog.text.count("ConnectionError: no server") == 1
    assert [name for name, *_ in fake.calls] == ["set_tracking_uri"]


def test_the_trainings_own_error_passes_and_marks_the_run(monkeypatch):
    fake = Fake()
    monkeypatch.setitem(sys.modules, "mlflow", fake)
    with pytest.raises(KeyboardInterrupt), tracking.run(True, **OPTIONS):
        raise KeyboardInterrupt
    assert fake.calls[-1] == ("end_run", ("FAILED",), {})


def test_tags_name_the_data(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path))
    (tmp_path / "a.csv").write_text("1")
    first = tracking.tags("train", [tmp_path / "a.csv"])
    assert set(first) == {"stage", "data"}  # no git here
    (tmp_path / "a.csv").write_text("2")
    assert tracking.tags("train", [tmp_path / "a.csv"])["data"] != first["data"]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["plain", "q?mark=1&x#y %20 ü+"])
def test_the_real_one(tmp_path, monkeypatch, name):
    mlflow = pytest.importorskip("mlflow")
    (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path / name)
    uri = "sqlite:///mlflow.db"  # as params.yaml has it, and `mlflow ui` of the README
    options = {**OPTIONS, "uri": uri}
    with tracking.run(True, **options) as run:
        mlflow.get_experiment_by_name("e")
        run.log_metrics(1, {"loss": 0.5})
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert (tmp_path / name / "mlflow.db").is_file()
    found = mlflow.tracking.MlflowClient(uri).search_runs(["1"])
    assert [(r.data.metrics, r.data.params, r.data.tags["stage"]) for r in found] == [
        ({"loss": 0.5}, {"a.b": "1"}, "s")
    ]


@pytest.mark.slow
def test_the_trainings_of_one_repro_are_children_of_one_run(tmp_path, monkeypatch):
    mlflow = pytest.importorskip("mlflow")
    (tmp_path / "copy").mkdir()
    (tmp_path / "copy" / "params.yaml").write_text("a: 1\n")
    monkeypatch.chdir(tmp_path / "copy")
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))  # as DVC says to an experiment that it runs in a copy
    options = {**OPTIONS, "uri": "sqlite:///mlflow.db"}

    def repro(process: str, *names: str) -> None:
        monkeypatch.setattr(tracking, "_dvc_process", lambda: process)
        for name in names:
            with tracking.run(True, **{**options, "name": name}):
                pass
        tracking.summarize(True, options["uri"], "e", {"ensemble": {"ap50": 0.5}, "note": "no number"})

    repro("1-1.0", "classifier", "yolo")
    repro("2-1.0", "maskrcnn")
    client = mlflow.tracking.MlflowClient(f"sqlite:///{tmp_path}/mlflow.db")
    (experiment,) = [e for e in client.search_experiments() if e.name == "e"]
    runs = {run.info.run_id: run for run in client.search_runs([experiment.experiment_id])}
    parents = {run.data.tags["dvc_process"]: key for key, run in runs.items() if "dvc_process" in run.data.tags}
    assert sorted(parents) == ["1-1.0", "2-1.0"]
    children = {r.info.run_name: r.data.tags["mlflow.parentRunId"] for r in runs.values() if "stage" in r.data.tags}
    first, second = parents["1-1.0"], parents["2-1.0"]
    assert children == {"classifier": first, "yolo": first, "maskrcnn": second}
    assert [runs[key].data.metrics for key in (first, second)] == [{"ensemble.ap50": 0.5}] * 2
    assert {run.info.status for run in runs.values()} == {"FINISHED"}
    assert [file.path for file in client.list_artifacts(first)] == ["params.yaml"]


def test_no_training_no_summary(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, "mlflow", None)  # an import would raise
    monkeypatch.setattr(tracking, "_dvc_process", lambda: "1-1.0")
    tracking.summarize(True, "sqlite:///mlflow.db", "e", {"a": 1})
    assert list(tmp_path.iterdir()) == []


def test_a_script_that_dvc_does_not_run_belongs_to_no_repro(monkeypatch):
    monkeypatch.delenv("DVC_STAGE", raising=False)
    assert tracking._dvc_process() is None

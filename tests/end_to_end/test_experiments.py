"""`dvc exp run`: with changed params, in a queue, two at once, one that fails; and what it leaves of the workspace."""

import json
import shutil
import time
from pathlib import Path
from typing import Any

import pytest
from tests.pipeline import ran, restore, run

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def workspace(project: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the project in a folder of ASCII letters: DVC 3.67's queue fails in another (docs/experiments.md)."""
    target = tmp_path_factory.mktemp("experiments") / "project"
    shutil.copytree(project, target, ignore=shutil.ignore_patterns("mlruns", "mlflow.db", "__pycache__"))
    return target


@pytest.fixture(autouse=True)
def _restored(workspace: Path):
    yield
    run(workspace, "dvc", "exp", "remove", "-q", "--all-commits", status=None)
    run(workspace, "dvc", "queue", "remove", "-q", "--all", status=None)
    restore(workspace)


def experiments(workspace: Path) -> list[dict[str, Any]]:
    """What `dvc exp show` has on the experiments of HEAD: name, params, metrics."""
    shown = json.loads(run(workspace, "dvc", "exp", "show", "--json", "--no-pager"))
    (head,) = [each for each in shown if each["rev"] != "workspace"]
    return [group["revs"][0] for group in head["experiments"] or []]


def start_queue(workspace: Path, jobs: int) -> str:
    """Run what is queued; returns the table of tasks once none waits or runs."""
    run(workspace, "dvc", "queue", "start", "--jobs", str(jobs))
    end = time.monotonic() + 900
    while time.monotonic() < end:
        table = run(workspace, "dvc", "queue", "status")
        if "Queued" not in table and "Running" not in table:
            return table
        time.sleep(2)
    raise AssertionError(table)


def test_run_apply_and_branch(workspace: Path):
    output = run(workspace, "dvc", "exp", "run", "-n", "heavier", "-S", "ensemble.gate.power=0.75")
    assert {"ensemble", "evaluate"} <= ran(output) <= {"ensemble", "calibrate", "evaluate", "report", "submission"}
    after = (workspace / "metrics/evaluation.json").read_text()
    restore(workspace)
    assert (workspace / "metrics/evaluation.json").read_text() != after
    run(workspace, "dvc", "exp", "apply", "heavier")
    assert (workspace / "metrics/evaluation.json").read_text() == after
    assert "# union | wbf" in (workspace / "params.yaml").read_text()  # -S keeps comments
    assert ran(run(workspace, "dvc", "repro")) == set()
    run(workspace, "dvc", "exp", "branch", "heavier", "from-heavier")
    assert run(workspace, "git", "show", "from-heavier:metrics/evaluation.json") == after
    run(workspace, "git", "branch", "-qD", "from-heavier")


def test_a_range_in_the_queue(workspace: Path):
    run(workspace, "dvc", "exp", "run", "--queue", "-S", "ensemble.gate.power=range(0.0,0.75,0.5)", "evaluate")
    assert start_queue(workspace, jobs=1).count("Success") == 2
    powers = [
        each["data"]["params"]["params.yaml"]["data"]["ensemble"]["gate"]["power"] for each in experiments(workspace)
    ]
    assert sorted(powers) == [0.0, 0.5]
    assert run(workspace, "git", "status", "--porcelain") == ""


def test_two_trainings_at_once_keep_apart(workspace: Path):
    """Two ways to train YOLO side by side: results as one after the other would give, runs of MLflow of their own."""
    import mlflow

    run(workspace, "dvc", "exp", "run", "--queue", "-S", "yolo.learning_rate=choice(0.002,0.0005)", "evaluate")
    assert start_queue(workspace, jobs=2).count("Success") == 2
    assert run(workspace, "git", "status", "--porcelain") == ""
    rates, losses = {}, {}
    for each in experiments(workspace):
        rates[each["name"]] = each["data"]["params"]["params.yaml"]["data"]["yolo"]["learning_rate"]
        losses[each["name"]] = json.loads(run(workspace, "git", "show", f"{each['rev']}:metrics/yolo.json"))["loss"]
    assert sorted(rates.values()) == [0.0005, 0.002]
    assert len(set(losses.values())) == 2

    client = mlflow.MlflowClient(f"sqlite:///{workspace}/mlflow.db")
    (found,) = [each for each in client.search_experiments() if each.name == "pneumonia"]
    runs = {each.info.run_id: each for each in client.search_runs([found.experiment_id])}
    children = {
        runs[each.data.tags["mlflow.parentRunId"]].info.run_name: each
        for each in runs.values()
        if "mlflow.parentRunId" in each.data.tags
    }
    for name, rate in rates.items():
        assert float(children[name].data.params["learning_rate"]) == rate
        history = client.get_metric_history(children[name].info.run_id, "loss")
        assert [point.step for point in history] == [1, 2]  # its own two epochs, no one else's
        assert any(point.value == pytest.approx(losses[name], abs=1e-5) for point in history)


def test_one_that_fails_leaves_the_workspace_as_it_was(workspace: Path):
    run(workspace, "dvc", "exp", "run", "--queue", "-S", "ensemble.iou=7")
    assert "Failed" in start_queue(workspace, jobs=1)
    assert run(workspace, "git", "status", "--porcelain") == ""
    assert ran(run(workspace, "dvc", "repro")) == set()

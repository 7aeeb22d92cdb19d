"""`dvc exp run`: with changed params, in a queue, two at once, one that fails; what it leaves of the workspace."""

import json
import sqlite3
from pathlib import Path

import pytest

from tests.pipeline import ran, restore, run

pytestmark = pytest.mark.slow

STRATEGY = "ensemble.strategy"


@pytest.fixture(autouse=True)
def _restored(project: Path):
    yield
    run(project, "dvc", "exp", "remove", "-q", "--all-commits", status=None)
    restore(project)


def experiments(project: Path) -> dict[str, dict]:
    """Name -> params and metrics of each experiment of HEAD."""
    head = json.loads(run(project, "dvc", "exp", "show", "--json", "--no-pager"))[1]
    return {
        each["name"]: each["revs"][0]["data"] for group in head["experiments"] or [] for each in [group]
    }


def test_run_apply_and_branch(project: Path):
    output = run(project, "dvc", "exp", "run", "-n", "joined", "-S", f"{STRATEGY}=union")
    assert ran(output) == {"ensemble", "evaluate", "report", "submission"}
    assert "strategy: union" in (project / "params.yaml").read_text()
    united = (project / "metrics/evaluation.json").read_text()
    restore(project)
    assert (project / "metrics/evaluation.json").read_text() != united
    run(project, "dvc", "exp", "apply", "joined")
    assert (project / "metrics/evaluation.json").read_text() == united
    assert "# union | wbf" in (project / "params.yaml").read_text()  # comments outlive -S
    assert ran(run(project, "dvc", "repro")) == set()
    run(project, "dvc", "exp", "branch", "joined", "from-joined")
    assert json.loads(run(project, "git", "show", "from-joined:metrics/evaluation.json")) == json.loads(united)
    run(project, "git", "branch", "-qD", "from-joined")


def test_two_at_once_with_trainings_of_their_own(project: Path):
    """Each trains YOLO at another rate; checkpoints, results and MLflow runs stay apart, and the workspace as it was."""
    before = run(project, "git", "stash", "create"), (project / "metrics/yolo.json").read_text()
    run(project, "dvc", "exp", "run", "--queue", "-S", "yolo.learning_rate=choice(0.002,0.0005)")
    run(project, "dvc", "queue", "start", "--jobs", "2")
    run(project, "dvc", "queue", "logs", "-f", status=None)

"""What can go wrong around a run: each ends in a message that names it, and in a state from which `dvc repro` goes on."""

import json
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest
import yaml
from tests.pipeline import change, environment, ran, restore, run

pytestmark = pytest.mark.slow

AFTER_ENSEMBLE = {"ensemble", "calibrate", "evaluate", "report", "submission"}


@pytest.fixture(autouse=True)
def _restored(project: Path):
    yield
    restore(project)
    assert run(project, "git", "status", "--porcelain") == ""


def shrink(project: Path, factor: float) -> None:
    """Change a param of the ensemble; each test another, as DVC remembers what it ran."""
    change(project, "shrink: 1.0 ", f"shrink: {factor} ")


def cached(project: Path, out: str, name: str) -> Path:
    """Where DVC's cache keeps a file of a folder that is an out."""
    stages = yaml.safe_load((project / "dvc.lock").read_text())["stages"]
    (listing,) = [each["md5"] for stage in stages.values() for each in stage.get("outs", []) if each["path"] == out]
    cache = project / ".dvc/cache/files/md5"
    (md5,) = [
        each["md5"] for each in json.loads((cache / listing[:2] / listing[2:]).read_text()) if each["relpath"] == name
    ]
    return cache / md5[:2] / md5[2:]


def test_a_wrong_param_is_named_and_its_correction_trains_nothing_again(project: Path):
    change(project, "strategy: wbf", "stratgy: wbf")
    output = run(project, "dvc", "repro", status=255)
    assert "ensemble.stratgy: unknown key; remove it or correct its spelling" in output
    assert "ensemble.strategy: missing" in output
    change(project, "stratgy: wbf", "strategy: wbf")
    assert ran(run(project, "dvc", "repro")) == set()  # DVC has what it removed in its cache
    change(project, "  epochs: 2                     # upper bound; early", "  epochs: two  # upper bound; early")
    output = run(project, "dvc", "repro", status=255)
    assert "classifier.epochs: got 'two'; input should be a valid integer" in output


def test_a_disk_that_is_full_leaves_nothing_half_written(project: Path):
    """As a full disk does, a limit on the size of files lets writes fail; DVC's own database may be the first to."""
    shrink(project, 0.9)
    before = (project / "data/ensemble/detections.csv").read_bytes()
    # Before 3.12.8 and 3.13.1 (gh-126606) Python leaves half a .pyc on a full disk, which no later run can read.
    code = (
        "import resource, runpy, signal, sys; sys.dont_write_bytecode = True; "
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN); "
        f"resource.setrlimit(resource.RLIMIT_FSIZE, ({len(before) // 2}, resource.RLIM_INFINITY)); "
        "runpy.run_path('stages/ensemble.py', run_name='__main__')"
    )
    output = run(project, "python", "-c", code, status=1)
    assert "File too large" in output
    assert (project / "data/ensemble/detections.csv").read_bytes() == before
    assert [path.name for path in (project / "data").iterdir() if path.name.endswith(".tmp")] == []
    assert {"ensemble", "evaluate"} <= ran(run(project, "dvc", "repro")) <= AFTER_ENSEMBLE


def test_a_cache_that_cannot_be_written(project: Path):
    """Nothing goes on with a result that cannot be kept; once the cache can be written, the next run does."""
    shrink(project, 0.8)
    run(project, "dvc", "config", "--local", "cache.dir", "/dev/null/cache")
    try:
        output = run(project, "dvc", "repro", status=255)
        assert "/dev/null" in output
    finally:
        (project / ".dvc/config.local").unlink()
    assert "evaluate" in ran(run(project, "dvc", "repro"))
    assert ran(run(project, "dvc", "repro")) == set()


def test_a_damaged_file_of_the_cache_is_found_and_made_again(project: Path):
    """DVC believes what is read-only, so `pneumonia verify` reads it."""
    damaged = cached(project, "data/ensemble", "detections.csv")
    content = damaged.read_bytes()
    damaged.chmod(0o644)
    damaged.write_bytes(content[:-1] + b"7")  # the workspace's file is the same one
    damaged.chmod(0o444)
    output = run(project, "pneumonia", "verify", status=1)
    assert f"damaged: {damaged}" in output
    output = run(project, "pneumonia", "verify", "--remove")
    assert "deleted with it: data/ensemble/detections.csv" in output
    assert ran(run(project, "dvc", "repro")) == {"ensemble"}  # and then nothing, as it gives the same bytes
    assert damaged.read_bytes() == content


def test_a_damaged_out_is_put_right_from_the_cache(project: Path):
    out = project / "data/ensemble/detections.csv"
    content = out.read_bytes()
    out.unlink()  # a link to the cache
    out.write_bytes(b"nonsense\n")
    assert ran(run(project, "dvc", "repro")) == set()
    assert out.read_bytes() == content


def test_a_remote_that_is_not_there(project: Path, tmp_path: Path):
    shutil.rmtree(project / "data/ensemble")
    kept = tmp_path / "cache"
    (project / ".dvc/cache").rename(kept)
    try:
        assert "No remote provided" in run(project, "dvc", "pull", "ensemble", status=None)
        run(project, "dvc", "remote", "add", "-q", "--local", "-d", "gone", str(tmp_path / "gone"))
        output = run(project, "dvc", "pull", "ensemble", status=1)
        assert "failed to pull data from the cloud" in output
        assert "data/ensemble" in output
    finally:
        shutil.rmtree(project / ".dvc/cache", ignore_errors=True)
        kept.rename(project / ".dvc/cache")
        (project / ".dvc/config.local").unlink(missing_ok=True)


def test_a_second_repro_is_refused_while_one_runs(project: Path):
    shrink(project, 0.7)
    with subprocess.Popen(["dvc", "repro"], cwd=project, env=environment(project), stdout=subprocess.DEVNULL) as first:
        busy = project / ".dvc/tmp/rwlock"
        while first.poll() is None and not (busy.exists() and "write" in busy.read_text()):
            time.sleep(0.05)
        first.send_signal(signal.SIGSTOP)  # it keeps its lock for as long as the other one takes to come to it
        try:
            output = run(project, "dvc", "repro", status=255)
        finally:
            first.send_signal(signal.SIGCONT)
        assert "is busy, it is being blocked by" in output or "Unable to acquire lock" in output
        assert first.wait() == 0
    assert ran(run(project, "dvc", "repro")) == set()


def test_a_dirty_tree_runs_as_it_is(project: Path):
    (project / "src/pneumonia/prediction/fusion.py").write_text(
        (project / "src/pneumonia/prediction/fusion.py").read_text() + "\n# a change that nobody committed\n"
    )
    (project / "notes.txt").write_text("not in git")
    try:
        assert "ensemble" in ran(run(project, "dvc", "repro"))
        assert " M src/pneumonia/prediction/fusion.py" in run(project, "git", "status", "--porcelain")
    finally:
        (project / "notes.txt").unlink()


def test_without_git_dvc_says_so_and_runs_when_told(project: Path, tmp_path: Path):
    copy = tmp_path / "copy"
    shutil.copytree(project, copy, ignore=shutil.ignore_patterns(".git", "mlruns", "__pycache__"))
    assert "is not a git repository" in run(copy, "dvc", "repro", status=255)
    run(copy, "dvc", "config", "core.no_scm", "true")
    shrink(copy, 0.6)
    assert {"ensemble", "evaluate"} <= ran(run(copy, "dvc", "repro")) <= AFTER_ENSEMBLE

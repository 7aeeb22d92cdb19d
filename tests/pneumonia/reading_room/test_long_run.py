"""An archive is read a part at a time, here or by two workers of a Dask cluster, to the bytes of one run on one machine."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from tests.places import ROOT
from tests.pneumonia.reading_room.test_ensemble import ENSEMBLE
from tests.pneumonia.runtime.tiny import OPTIONS, write_bundles
from tests.radiographs import IMAGE, chest

from pneumonia.reading_room import admission, long_run, remote
from pneumonia.reading_room.long_run import predict_in_parts
from pneumonia.reading_room.predict import Wanted, predict_new
from pneumonia.reading_room.reader import Recipe

NAMES = ("classifier", "maskrcnn", "yolo")  # those that `ENSEMBLE` weighs
WINDOW = {"mode": "none", "center": -600.0, "width": 1500.0, "percentiles": [0.5, 99.5], "choice": 1}
READ = {"batch_size": 2, "limit": None, "overlays": True}
HERE = Path("/proc/self/cwd")  # is another folder in each process: one path, two places


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Models; fourteen files: ten studies, of which one is damaged, one is a hand and one names no study; a copy, three others."""
    folder = tmp_path_factory.mktemp("home")
    write_bundles(folder / "models")
    (folder / "in").mkdir()
    for number in range(10):
        own = {7: {"BodyPartExamined": "HAND"}, 8: {"StudyInstanceUID": ""}}.get(number, {})
        pixels = np.maximum(IMAGE, 5 * number).tobytes()
        (folder / f"in/s{number}.dcm").write_bytes(chest(SOPInstanceUID=f"1.2.3.{number}", PixelData=pixels, **own))
    damaged = (folder / "in/s3.dcm").read_bytes()
    (folder / "in/s3.dcm").write_bytes(damaged[:-100])
    (folder / "in/z.dcm").write_bytes((folder / "in/s1.dcm").read_bytes())
    (folder / "in/note.txt").write_text("read me")
    (folder / "in/empty.dcm").write_bytes(b"")
    (folder / "in/broken.dcm").write_bytes(b"broken")
    return folder


@pytest.fixture(scope="module")
def scheduler() -> Iterator[str]:
    """Two workers; a part is given up when two of them died."""
    distributed = pytest.importorskip("distributed", reason="the extra 'dask' is not installed")
    import dask

    options = {"n_workers": 2, "threads_per_worker": 1, "processes": True, "dashboard_address": None}
    with (
        dask.config.set({"distributed.scheduler.allowed-failures": 1}),
        distributed.LocalCluster(**options) as local,
    ):
        yield local.scheduler_address


@pytest.fixture(autouse=True)
def short_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(long_run, "PART", 3)  # of studies that are read by two, so two


@pytest.fixture
def recipe(home: Path) -> Recipe:
    return Recipe(
        models=home / "models",
        names=NAMES,
        runtime="onnx",
        window=WINDOW,
        predict=OPTIONS | {"flip": False, "batch_size": 2},
        ensemble=ENSEMBLE,
        threshold=0.25,
        max_boxes=4,
        wanted=admission.check_not_another,
    )


def content(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def counted(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The studies of every part that is read from here on in this process."""
    seen: list[list[str]] = []
    read = long_run.read_part

    def read_part(reader: Any, portion: Any, studies: Any, *rest: Any) -> Any:
        seen.append([entry.key for entry in studies])
        return read(reader, portion, studies, *rest)

    monkeypatch.setattr(long_run, "read_part", read_part)
    return seen


def table(output: Path) -> pd.DataFrame:
    return pd.read_csv(output / "studies.csv", dtype=str, keep_default_na=False).set_index("path")


@pytest.mark.parametrize("form", ["folder", "zip"])
def test_the_bytes_of_one_machine(form: str, home: Path, recipe: Recipe, scheduler: str, tmp_path: Path):
    pytest.importorskip("highdicom")
    source = home / "in"
    if form == "zip":
        source = tmp_path / "in.zip"
        with zipfile.ZipFile(source, "w") as archive:
            for path in sorted((home / "in").iterdir()):
                archive.write(path, f"some/{path.name}")
    recipe = replace(recipe, wanted=admission.check_said, capture=True)
    options = READ | {"dicom": True}
    one = predict_new(source, tmp_path / "one", recipe.load, **options)
    # read: s0 to s9 but the damaged s3, the hand s7 and s8, which no object can refer to; failed: s3, s8, broken, empty
    assert one == {"files": 14, "studies": 7, "with_findings": 7, "failed": 4, "skipped": 3}
    assert predict_in_parts(source, tmp_path / "many", recipe, **options, scheduler=scheduler) == one
    assert predict_in_parts(source, tmp_path / "parts", recipe, **options) == one
    assert content(tmp_path / "many") == content(tmp_path / "one")
    assert content(tmp_path / "parts") == content(tmp_path / "one")
    assert len(content(tmp_path / "one")) == 5 + 7 + 3 * 7  # tables, pictures, objects of three kinds
    left = {path.name for path in tmp_path.iterdir()}
    assert left == {"one", "many", "parts"} | ({"in.zip"} if form == "zip" else set())


def slowly(data: bytes) -> None:
    time.sleep(0.5)
    admission.check_not_another(data)


RUN = """
import sys
from pathlib import Path
from tests.pneumonia.reading_room import test_long_run as own
own.long_run.PART = 3
recipe = own.Recipe(models=Path(sys.argv[1]) / "models", names=own.NAMES, runtime="onnx", window=own.WINDOW,
    predict=own.OPTIONS | {"flip": False, "batch_size": 2}, ensemble=own.ENSEMBLE, threshold=0.25, max_boxes=4, wanted=own.slowly)
own.predict_in_parts(Path(sys.argv[1]) / "in", Path(sys.argv[2]), recipe, **own.READ, scheduler=sys.argv[3])
"""


def test_a_killed_command_goes_on(
    home: Path, recipe: Recipe, scheduler: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """What was finished is not read again: told by the parts that the cluster is given."""
    environment = os.environ | {"PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}"}
    command = [sys.executable, "-c", RUN, str(home), str(tmp_path / "out"), scheduler]
    running = subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL)
    try:
        for _ in range(600):
            finished = list(tmp_path.glob(".out.*.kept/parts/*.json"))
            if len(finished) >= 2 or running.poll() is not None:
                break
            time.sleep(0.1)
    finally:
        running.kill()
        running.wait()
    finished = list(tmp_path.glob(".out.*.kept/parts/*.json"))
    assert 2 <= len(finished) < 5
    assert not (tmp_path / "out").exists()

    given = []
    run = long_run.cluster.run

    def counting(function: Callable[..., Any], tasks: Any, *rest: Any, **more: Any) -> Any:
        return run(function, (given.append(task[2].key) or task for task in tasks), *rest, **more)

    monkeypatch.setattr(long_run.cluster, "run", counting)
    slow = replace(recipe, wanted=slowly)
    predict_in_parts(home / "in", tmp_path / "out", slow, **READ, scheduler=scheduler)
    assert len(given) == 5 - len(finished)  # ten studies by two
    assert not {path.stem for path in finished} & set(given)
    predict_new(home / "in", tmp_path / "one", recipe.load, **READ)
    assert content(tmp_path / "out") == content(tmp_path / "one")


def deadly(data: bytes) -> None:
    """As a decoder that ends its process, of a worker alone."""
    if b"1.2.3.5" in data and multiprocessing.parent_process() is not None:
        os._exit(1)
    admission.check_not_another(data)


def test_a_study_that_ends_its_workers_is_the_only_one_that_fails(
    home: Path, recipe: Recipe, scheduler: str, tmp_path: Path
):
    predict_in_parts(home / "in", tmp_path / "out", replace(recipe, wanted=deadly), **READ, scheduler=scheduler)
    predict_new(home / "in", tmp_path / "one", recipe.load, **READ)
    found, one = table(tmp_path / "out"), table(tmp_path / "one")
    assert found.loc["s5.dcm", ["status", "reason"]].tolist() == ["failed", long_run.ENDED]
    assert one.loc["s5.dcm", "status"] == "results"
    assert found.drop("s5.dcm").equals(one.drop("s5.dcm"))
    assert set(content(tmp_path / "one")) - set(content(tmp_path / "out")) == {"overlays/s5.png"}


def test_a_worker_that_sees_something_else_is_refused(
    home: Path, recipe: Recipe, scheduler: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    distributed = pytest.importorskip("distributed")
    shutil.copytree(home / "models", tmp_path / "models")
    shutil.copytree(home / "in", tmp_path / "in")
    shutil.copytree(home / "in", tmp_path / "only")
    graph = tmp_path / "models/yolo/model.onnx"
    graph.write_bytes(graph.read_bytes().replace(b"tiny", b"Tiny"))
    (tmp_path / "in/s4.dcm").write_bytes(chest(SOPInstanceUID="1.2.3.4", SeriesDescription="another"))
    monkeypatch.chdir(tmp_path)
    with distributed.Client(scheduler, set_as_default=False) as client:
        client.wait_for_workers(2)
        client.run(os.chdir, str(home))
    here = replace(recipe, models=HERE / "models")
    worker = r"the worker tcp://\S+ on \S+"
    for source, own, sentence in (
        (home / "in", here, rf"{worker} has other models at {HERE}/models: yolo/model\.onnx \(by SHA-256\)"),
        (HERE / "in", recipe, rf"{worker} has other files at {HERE}/in than were listed, such as that of study s4"),
        (HERE / "only", recipe, rf"{worker} sees no input at {HERE}/only; have it see the input at the same path"),
    ):
        with pytest.raises(ValueError, match=sentence):
            predict_in_parts(source, tmp_path / "out", own, **READ, scheduler=scheduler)
        assert not (tmp_path / "out").exists()
    monkeypatch.setattr(remote, "versions", lambda recipe, wanted: {"onnxruntime": "0.1"})
    with pytest.raises(ValueError, match=rf"{worker} has other versions: .*onnxruntime 1\.\S+, wanted 0\.1;"):
        predict_in_parts(home / "in", tmp_path / "out", recipe, **READ, scheduler=scheduler)


def test_a_worker_that_cannot_write_where_results_go_is_refused(
    home: Path, recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(remote, "_here", lambda: "the worker")
    monkeypatch.setattr(remote, "_threads", lambda: 1)
    wanted = Wanted(batch_size=2, overlays=True, dicom=False)
    job = remote.Job(
        recipe=recipe,
        wanted=wanted,
        source=home / "in",
        folder=tmp_path / "elsewhere",
        versions=remote.versions(recipe, wanted),
        models=remote.model_files(recipe.models),
    )
    with pytest.raises(ValueError, match=r"the worker does not see .*elsewhere, .*or leave them out \(--no-overlays\)"):
        remote._reader(job)
    remote._reader(replace(job, wanted=replace(wanted, overlays=False)))
    with pytest.raises(ValueError, match=r"the worker sees no models at .*none; have it see them"):
        remote._reader(replace(job, recipe=replace(recipe, models=tmp_path / "none")))


def test_what_changed_is_read_again_and_nothing_else(
    home: Path,
    recipe: Recipe,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
):
    source, output = tmp_path / "in", tmp_path / "out"
    shutil.copytree(home / "in", source)
    seen = counted(monkeypatch)
    read = long_run.read_part

    def interrupted(reader: Any, portion: Any, studies: Any, *rest: Any) -> Any:
        if studies[0].key == "s6":
            raise KeyboardInterrupt
        return read(reader, portion, studies, *rest)

    monkeypatch.setattr(long_run, "read_part", interrupted)
    with pytest.raises(KeyboardInterrupt):
        predict_in_parts(source, output, recipe, **READ)
    (kept,) = tmp_path.glob(".out.*.kept")
    assert f"what is finished is kept in {kept}; the same command goes on with it" in capsys.readouterr().err
    assert seen == [["s0", "s1"], ["s2", "s3"], ["s4", "s5"]]

    with pytest.raises(KeyboardInterrupt):
        predict_in_parts(source, output, replace(recipe, threshold=0.9), **READ)  # other settings: all anew
    assert f"other settings stays in {kept}" in caplog.text
    assert len(list(tmp_path.glob(".out.*.kept"))) == 2

    monkeypatch.setattr(long_run, "read_part", read)
    (source / "s2.dcm").write_bytes(chest(SOPInstanceUID="1.2.3.2", SeriesDescription="another"))
    (source / "t.dcm").write_bytes(chest(SOPInstanceUID="1.2.3.10"))
    half = kept / "parts" / sorted(path.name for path in (kept / "parts").iterdir())[0]
    seen.clear()
    predict_in_parts(source, output, recipe, **READ)
    assert seen == [["s2", "s3"], ["s6", "s7"], ["s8", "s9"], ["t"]]
    assert not half.exists()
    predict_new(source, tmp_path / "one", recipe.load, **READ)
    assert content(output) == content(tmp_path / "one")


def test_half_a_file_is_no_finished_part(home: Path, recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    write = long_run.write_tables

    def fail(*arguments: Any) -> Any:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(long_run, "write_tables", fail)
    with pytest.raises(OSError, match="No space left"):
        predict_in_parts(home / "in", tmp_path / "out", recipe, **READ)
    (kept,) = tmp_path.glob(".out.*.kept")
    part = sorted((kept / "parts").iterdir())[0]
    part.write_text(part.read_text()[:-10])
    (kept / "results/overlays/.s1.png.abcd.tmp").write_text("of a worker that was killed")
    (kept / "results/overlays/s3.png").write_text("of a study that has no results now")
    monkeypatch.setattr(long_run, "write_tables", write)
    seen = counted(monkeypatch)
    predict_in_parts(home / "in", tmp_path / "out", recipe, **READ)
    assert len(seen) == 1
    predict_new(home / "in", tmp_path / "one", recipe.load, **READ)
    assert content(tmp_path / "out") == content(tmp_path / "one")


def test_nothing_stays_where_nothing_was_finished(home: Path, recipe: Recipe, tmp_path: Path):
    (tmp_path / "models").mkdir()
    with pytest.raises(ValueError, match="no exported model"):
        predict_in_parts(home / "in", tmp_path / "out", replace(recipe, models=tmp_path / "models"), **READ)
    assert [path.name for path in tmp_path.iterdir()] == ["models"]

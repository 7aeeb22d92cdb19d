"""Shards from a Dask cluster of two worker processes on this machine are those of one machine."""

import os

import pytest
from tests.hostile import ExplicitVRLittleEndian, JPEGBaseline8Bit, np, study

from pneumonia import cluster
from pneumonia.archive import write_archive
from pneumonia.data import shards
from pneumonia.data.shards import write_shards

OPTIONS = {
    "sizes": [32, 48],
    "shard_rows": 4,
    "window": {"mode": "auto", "center": -600.0, "width": 1500.0, "percentiles": [0.5, 99.5], "choice": 1},
}


@pytest.fixture(scope="module")
def scheduler():
    distributed = pytest.importorskip("distributed", reason="the extra 'dask' is not installed")
    options = {"n_workers": 2, "threads_per_worker": 1, "processes": True, "dashboard_address": None}
    with distributed.LocalCluster(**options) as local:
        yield local.scheduler_address


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    path = tmp_path_factory.mktemp("raw") / "images.zip"
    rng = np.random.default_rng(0)
    kinds = [(JPEGBaseline8Bit, 255), (ExplicitVRLittleEndian, 4095)]
    write_archive(path, [(f"s{number:02}.dcm", study(rng, *kinds[number % 2])) for number in range(14)])
    return path


def content(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_same_bytes_as_on_one_machine(scheduler, archive, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # workers have another working directory: paths that are sent are absolute
    studies = [f"s{number:02}" for number in range(14)]
    write_shards(archive, studies, "one", workers=1, state="state/one", **OPTIONS)
    counts = write_shards(archive, studies, "many", executor="dask", scheduler=scheduler, state="state/many", **OPTIONS)
    assert counts == {"studies": 14, "resumed": 0, "unreadable": 0}
    assert content(tmp_path / "many") == content(tmp_path / "one")
    assert len(content(tmp_path / "one")) == 2 * (4 + 1)  # shards of 4, 4, 4, 2 studies and an index, in two sizes


def test_a_study_that_cannot_be_read_is_named(scheduler, archive, tmp_path):
    with pytest.raises(ValueError, match="study t00 cannot be read"):
        write_shards(archive, ["s00", "t00"], tmp_path / "a", executor="dask", scheduler=scheduler, **OPTIONS)
    assert not (tmp_path / "a").exists()


def test_a_worker_of_another_version_is_refused(scheduler, archive, tmp_path, monkeypatch):
    monkeypatch.setattr(shards, "_versions", lambda: "another")
    with pytest.raises(RuntimeError, match="another version of this project"):
        write_shards(archive, ["s00"], tmp_path / "a", executor="dask", scheduler=scheduler, **OPTIONS)


def end_if_odd(number):
    if number % 2:
        os._exit(1)
    return number


def test_a_task_that_ends_its_workers_is_lost_and_the_others_are_not():
    distributed = pytest.importorskip("distributed", reason="the extra 'dask' is not installed")
    import dask

    options = {"n_workers": 1, "threads_per_worker": 1, "processes": True, "dashboard_address": None}
    with (
        dask.config.set({"distributed.scheduler.allowed-failures": 0}),
        distributed.LocalCluster(**options) as local,
    ):
        tasks = [(2,), (3,), (4,)]
        found = cluster.run(end_if_odd, tasks, local.scheduler_address, lost=lambda number: -number, alone=True)
        assert list(found) == [2, -3, 4]
        with pytest.raises(distributed.KilledWorker):
            list(cluster.run(end_if_odd, [(5,)], local.scheduler_address))


def test_no_cluster_at_the_address(monkeypatch):
    pytest.importorskip("distributed", reason="the extra 'dask' is not installed")
    monkeypatch.setattr(cluster, "CONNECT_SECONDS", 1)
    with pytest.raises(ValueError, match=r"no Dask cluster answers at 'tcp://127\.0\.0\.1:9'"):
        list(cluster.run(len, [("a",)], "tcp://127.0.0.1:9"))

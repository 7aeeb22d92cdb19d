"""The writer of shards: the same bytes by one process or several, after errors and after `kill -9`."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from tests.places import ROOT, SHARED
from tests.pneumonia.data.small_shards import WINDOW, content, open_broken_reader, open_reader, write

from pneumonia.data import shards
from pneumonia.data.images.squares import Placement
from pneumonia.data.images.store import ShardStore
from pneumonia.data.shards import write_shards
from pneumonia.project.code_deps import reached


def test_files_of_a_folder(folder):
    assert sorted(content(folder)) == [
        f"{size}/{name}" for size in (16, 32) for name in ("index.csv", *(f"shard-0000{i}.npy" for i in range(3)))
    ]
    assert not list(folder.parent.glob(".*"))  # the state is gone
    assert [np.load(folder / "16" / f"shard-0000{i}.npy").shape for i in range(3)] == [
        (4, 16, 16),
        (4, 16, 16),
        (2, 16, 16),
    ]
    lines = (folder / "32" / "index.csv").read_text().splitlines()
    assert lines[0] == "study,shard,row,scale,pad_x,pad_y,columns,rows,aspect,window"
    # 44 x 60 in 32: scale 32 / 60, pad_x (60 - 44) // 2 * 32 / 60 = 4.2666...
    assert lines[5] == "s004,1,0,0.5333333333333333,4.266666666666667,0.0,44,60,1.0,none"


def test_processes_order_and_shards_change_no_pixel(folder, tmp_path):
    write(tmp_path / "two", workers=2)
    assert content(tmp_path / "two") == content(folder)
    ids = [f"s{number:03d}" for number in range(10)][::-1]
    write_shards(
        "none.zip", ids, tmp_path / "back", sizes=[16, 32], shard_rows=4, window=WINDOW, open_reader=open_reader
    )
    assert content(tmp_path / "back") == content(folder)
    write(tmp_path / "one", shard_rows=100)
    both = [ShardStore(path / "32") for path in (folder, tmp_path / "one")]
    assert np.array_equal(*(store.batch(["s008", "s001"]) for store in both))


def test_an_older_folder_is_replaced_whole(tmp_path):
    (tmp_path / "images" / "512").mkdir(parents=True)
    write(tmp_path / "images")
    assert sorted(path.name for path in (tmp_path / "images").iterdir()) == ["16", "32"]


def test_unreadable_studies(tmp_path):
    with pytest.raises(ValueError, match=r"study s003 cannot be read \(unreadable: cut short\)"):
        write(tmp_path / "images", open_reader=open_broken_reader)
    counts = write(tmp_path / "images", open_reader=open_broken_reader, unreadable="skip", workers=2)
    assert counts["unreadable"] == 1
    store = ShardStore(tmp_path / "images" / "32")
    assert store.image("s003").max() == 0
    assert store.image("s002").max() == 2
    assert store.index.loc["s003", "window"] == "unreadable"
    assert (tmp_path / "images" / "32" / "unreadable.csv").read_text() == "study,reason\ns003,unreadable\n"


def test_finished_shards_are_kept_after_an_error(tmp_path, folder):
    read = open_reader()
    seen = []

    def failing():
        def broken(study):
            if study == "s006":
                raise RuntimeError("power cut")
            return read(study)

        return broken

    def counting():
        def count(study):
            seen.append(study)
            return read(study)

        return count

    with pytest.raises(ValueError, match="power cut"):
        write(tmp_path / "images", open_reader=failing)
    assert not (tmp_path / "images").exists()
    (images,) = (tmp_path / ".images.state").glob("*/images/16")
    (images / ".index.csv.abc.tmp").write_text("of a run that was killed while it wrote the index")
    assert write(tmp_path / "images", open_reader=counting)["resumed"] == 4
    assert seen == [f"s00{i}" for i in range(4, 10)]
    assert content(tmp_path / "images") == content(folder)


def test_state_of_other_inputs_is_not_used(tmp_path):
    with pytest.raises(ValueError, match="cut short"):
        write(tmp_path / "images", open_reader=open_broken_reader, shard_rows=3)
    assert write(tmp_path / "images", shard_rows=3, window=WINDOW | {"mode": "none"})["resumed"] == 0


KILLED = """
import sys, time
import numpy as np
from pathlib import Path
from pneumonia.data.shards import write_shards

def open_reader():
    def read(study):
        if int(study[1:]) >= 48:  # the second half waits to be killed, however late that comes
            time.sleep(float(sys.argv[2]))
        return np.full((8, 8), int(study[1:]), np.uint8), "none", 1.0
    return read

counts = write_shards("none.zip", [f"s{i:03d}" for i in range(96)], Path(sys.argv[1]), sizes=[8], shard_rows=16,
                      window={}, workers=2, open_reader=open_reader)
print(counts["resumed"])
"""


@pytest.mark.slow
def test_a_killed_run_goes_on_and_leaves_no_process(tmp_path):
    folder = tmp_path / "images"
    process = subprocess.Popen([sys.executable, "-c", KILLED, str(folder), "60"], stderr=subprocess.DEVNULL)
    parts = tmp_path / ".images.state"
    deadline = time.monotonic() + 30
    while not list(parts.glob("*/parts/*.json")) and time.monotonic() < deadline:
        time.sleep(0.01)
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    workers = children.read_text().split() if children.exists() else []
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    result = subprocess.run(
        [sys.executable, "-c", KILLED, str(folder), "0"], capture_output=True, text=True, check=True, timeout=60
    )
    assert 16 <= int(result.stdout) <= 48  # some shards were kept, the second half was not there yet
    pixels = np.concatenate([np.load(path)[:, 4, 4] for path in sorted((folder / "8").glob("*.npy"))])
    assert pixels.tolist() == list(range(96))
    while any(_alive(worker) for worker in workers) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(_alive(worker) for worker in workers)


def _alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"sizes": []}, r"sizes must be different pixel counts above 0, got \[\]"),
        ({"sizes": [8, 8]}, "different"),
        ({"shard_rows": 0}, "shard_rows must be at least 1, got 0"),
        ({"workers": -1}, "workers must be 0"),
        ({"unreadable": "maybe"}, "'raise' or 'skip', got 'maybe'"),
        ({"count": 0}, "studies is empty"),
    ],
)
def test_impossible_values_are_refused(tmp_path, options, message):
    with pytest.raises(ValueError, match=message):
        write(tmp_path / "images", **options)


def test_an_id_twice_is_refused(tmp_path):
    with pytest.raises(ValueError, match="twice"):
        write_shards("none.zip", ["a", "a"], tmp_path / "images", sizes=[8], shard_rows=4, window=WINDOW)


def test_index_parts_are_plain_json(tmp_path):
    with pytest.raises(ValueError, match="cut short"):
        write(tmp_path / "images", open_reader=open_broken_reader, shard_rows=3)
    (part,) = (tmp_path / ".images.state").glob("*/parts/*.json")
    assert [row["study"] for row in json.loads(part.read_text())["rows"]] == ["s000", "s001", "s002"]
    assert part.name == "shard-00000.json"
    assert shards.CHUNK >= 1


def test_real_studies(tmp_path):
    archive = SHARED / "rsna-mini.zip"
    if not archive.exists():
        pytest.skip(f"{archive} is missing: the real studies")
    from pneumonia.archive import StudyArchive

    ids = StudyArchive(archive).studies[:12]
    write_shards(archive, ids, tmp_path / "images", sizes=[64], shard_rows=100, window=WINDOW, workers=1)
    store = ShardStore(tmp_path / "images" / "64")
    assert store.placement(ids[3]) == Placement(0.0625, 0.0, 0.0)
    assert store.index["window"].unique().tolist() == ["none"]  # 8 bit, no window tags
    images = store.batch(ids)
    assert images.reshape(12, -1).std(axis=1).min() > 20


# How work is spread, and how and under which names files are written: no byte of an image.
APART = ("pneumonia.cluster", "pneumonia.files", "pneumonia.processes", "pneumonia.schema")


def test_the_modules_that_decide_the_bytes_are_all_that_the_writer_reaches():
    src = ROOT / "src"
    found = reached(src / "pneumonia/data/shards.py", src, APART)
    names = {".".join(path.relative_to(src).with_suffix("").parts) for path in found}
    assert sorted(name for name in names if not f"{name}.".startswith("pneumonia.schema.")) == sorted(shards.DECIDING)


def test_a_deciding_module_that_is_gone_is_an_error(monkeypatch):
    monkeypatch.setattr(shards, "DECIDING", (*shards.DECIDING, "pneumonia.dicom.gone"))
    with pytest.raises(ModuleNotFoundError, match=r"there is no module pneumonia\.dicom\.gone"):
        shards._versions()


def test_another_text_of_a_deciding_module_is_another_version(monkeypatch, tmp_path):
    before = shards._versions()
    assert shards._versions() == before
    changed = tmp_path / "decoders.py"
    changed.write_text("another")
    source = shards.source
    monkeypatch.setattr(shards, "source", lambda name: changed if name == "pneumonia.dicom.decoders" else source(name))
    assert shards._versions() != before

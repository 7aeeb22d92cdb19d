"""Placement and resizing of studies, the writer of shards and their reader."""

import json
import os
import pickle
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.places import SHARED

from pneumonia.data import shards
from pneumonia.data.shards import write_shards
from pneumonia.data.squares import Placement, placement, resize_study
from pneumonia.data.store import ShardStore, StudyRow
from pneumonia.rejection import Reason, StudyError

WINDOW = {"mode": "auto", "center": -600.0, "width": 1500.0, "percentiles": [0.5, 99.5]}


def open_reader():
    """Study "s017": 60 rows, 40 + 17 columns, all pixels 17."""

    def read(study):
        number = int(study[1:])
        return np.full((60, 40 + number), number, np.uint8), "none", 1.0

    return read


def open_broken_reader():
    read = open_reader()

    def broken(study):
        if study == "s003":
            raise StudyError(Reason.UNREADABLE, "cut short")
        return read(study)

    return broken


def write(folder, count=10, **options):
    ids = [f"s{number:03d}" for number in range(count)]
    options = {"sizes": [32, 16], "shard_rows": 4, "window": WINDOW, "workers": 1, "open_reader": open_reader} | options
    return write_shards(folder.parent / "none.zip", ids, folder, **options)


def content(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()
    }


# --- Placement and resizing


def test_placement_worked_out_by_hand():
    assert placement(1024, 1024, 256) == Placement(0.25, 0.0, 0.0)
    assert placement(1000, 600, 500) == Placement(0.5, 0.0, 100.0)  # (1000 - 600) / 2 * 0.5
    assert placement(3, 6, 12) == Placement(2.0, 2.0, 0.0)  # (6 - 3) // 2 = 1 pixel left, 2 right
    assert placement(100, 50, 100, aspect=2.0) == Placement(1.0, 0.0, 0.0, 2.0)  # 50 rows twice as high as wide


def test_placement_refuses_nothing_to_place():
    with pytest.raises(ValueError, match="at least 1, got 0, 5, 8"):
        placement(0, 5, 8)


def test_resizing_averages_and_pads_below_and_above():
    image = np.array([[0, 100, 200, 200], [100, 200, 200, 200]], np.uint8)  # 4 x 2 -> padded to 4 x 4 -> 2 x 2
    assert resize_study(image, 4).tolist() == [[0] * 4, [0, 100, 200, 200], [100, 200, 200, 200], [0] * 4]
    # Each output pixel is a 2 x 2 block of the padded image: (0 + 0 + 0 + 100) / 4 = 25, (200 + 200) / 4 = 100 ...
    assert resize_study(image, 2).tolist() == [[25, 100], [75, 100]]


def test_resizing_makes_pixels_square():
    image = np.repeat(np.uint8([[10], [90]]), 4, axis=1)  # 2 rows of pixels twice as high as wide: a square
    out = resize_study(image, 4, aspect=2.0)
    assert out.shape == (4, 4)
    assert out[0, 0] == 10
    assert out[-1, -1] == 90
    with pytest.raises(ValueError, match=r"aspect .* above 0, got -1"):
        resize_study(image, 4, aspect=-1)


@pytest.mark.parametrize(
    "image", [np.zeros((4, 4), np.float32), np.zeros((4, 4, 3), np.uint8), np.zeros((0, 4), np.uint8)]
)
def test_resizing_wants_one_grey_channel_of_8_bits(image):
    with pytest.raises(ValueError, match=r"uint8 \[rows, columns\], got"):
        resize_study(image, 8)


@settings(deadline=None, max_examples=40)
@given(columns=st.integers(60, 400), rows=st.integers(60, 400), size=st.sampled_from([64, 96, 200]), data=st.data())
def test_a_bright_rectangle_lies_where_its_box_is_mapped(columns, rows, size, data):
    """What a model sees and what it is told agree: the bright area's sum and centre follow the placement."""
    x, y = data.draw(st.integers(0, columns - 30)), data.draw(st.integers(0, rows - 30))
    width, height = data.draw(st.integers(20, columns - x)), data.draw(st.integers(20, rows - y))
    image = np.zeros((rows, columns), np.uint8)
    image[y : y + height, x : x + width] = 200
    mass = resize_study(image, size) / 200.0
    scale, pad_x, pad_y, _ = placement(columns, rows, size)
    centres = np.arange(size) + 0.5
    assert mass.sum() == pytest.approx(width * height * scale**2, rel=0.03)
    assert (mass.sum(0) * centres).sum() / mass.sum() == pytest.approx((x + width / 2) * scale + pad_x, abs=0.15)
    assert (mass.sum(1) * centres).sum() / mass.sum() == pytest.approx((y + height / 2) * scale + pad_y, abs=0.15)


# --- Writing and reading


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("images") / "images"
    assert write(folder) == {"studies": 10, "resumed": 0, "unreadable": 0}
    return folder


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


def test_reading_images(folder):
    store = ShardStore(folder / "32")
    assert store.size == 32
    assert len(store) == 10
    assert "s009" in store
    assert store.index.index.tolist() == [f"s00{i}" for i in range(10)]
    assert store.image("s007").dtype == np.uint8
    assert store.image("s007")[16, 16] == 7
    assert store.image("s007")[16, 0] == 0  # padding
    assert store.batch(["s009", "s000", "s005"])[:, 16, 16].tolist() == [9, 0, 5]
    assert store.batch([]).shape == (0, 32, 32)
    again = pickle.loads(pickle.dumps(store))
    assert len(pickle.dumps(store)) < 20_000
    assert np.array_equal(again.image("s003"), store.image("s003"))


def test_a_read_image_is_the_callers_own(folder):
    store = ShardStore(folder / "32")
    store.image("s001")[:] = 255
    assert store.image("s001").max() == 1


def test_errors_of_the_store_say_what_to_do(folder):
    with pytest.raises(FileNotFoundError, match=r"64/index.csv is missing.*images.sizes"):
        ShardStore(folder / "64")
    with pytest.raises(KeyError, match=r"study 'x' is not in .*index.csv \(10 studies\)"):
        ShardStore(folder / "32").image("x")


def test_boxes_worked_out_by_hand(folder):
    store = ShardStore(folder / "32")  # s000: 40 x 60, scale 32 / 60, pad_x 10 * 32 / 60
    scale = 32 / 60
    boxes = store.to_resized("s000", np.array([[10, 20, 30, 40]]))
    assert boxes.dtype == np.float32
    np.testing.assert_allclose(boxes, [[20 * scale, 20 * scale, 50 * scale, 60 * scale]], rtol=1e-6)
    np.testing.assert_allclose(store.to_original("s000", boxes), [[10, 20, 30, 40]], atol=1e-5)
    # Clipped to the image: the whole square is the whole image.
    np.testing.assert_allclose(store.to_original("s000", [[0, 0, 32, 32]]), [[0, 0, 40, 60]], atol=1e-5)
    assert store.to_original("s000", []).shape == (0, 4)
    assert store.to_resized("s000", np.zeros((0, 4))).shape == (0, 4)


@pytest.fixture(scope="module")
def any_store(folder):
    """A store whose only study gets its shape from the test."""

    def make(columns, rows, size, aspect):
        store = ShardStore(folder / "32")
        place = placement(columns, rows, size, aspect)
        store._rows = {"a": StudyRow(0, 0, *place[:3], columns, rows, place.aspect, "none")}
        return store

    return make


@settings(deadline=None, max_examples=60)
@given(
    columns=st.integers(1, 6000),
    rows=st.integers(1, 6000),
    size=st.integers(32, 2048),
    aspect=st.sampled_from([1.0, 1.0, 0.5, 1.37]),
    corners=st.lists(st.tuples(*[st.floats(0, 1)] * 4), max_size=4),
)
def test_boxes_come_back(any_store, columns, rows, size, aspect, corners):
    store = any_store(columns, rows, size, aspect)
    boxes = [
        (min(x1, x2) * columns, min(y1, y2) * rows, abs(x1 - x2) * columns, abs(y1 - y2) * rows)
        for x1, y1, x2, y2 in corners
    ]
    boxes = np.array(boxes).reshape(-1, 4)
    resized = store.to_resized("a", boxes)
    assert np.all((resized >= -1e-3) & (resized <= size + 1e-3))
    # float32 keeps 24 bits: a thousandth of a pixel of the original
    np.testing.assert_allclose(store.to_original("a", resized), boxes, atol=max(columns, rows) * 1e-6)


@settings(deadline=None, max_examples=40)
@given(columns=st.integers(1, 3000), rows=st.integers(1, 3000), box=st.tuples(*[st.floats(-500, 3500)] * 4))
def test_boxes_never_leave_the_image(any_store, columns, rows, box):
    x, y, width, height = any_store(columns, rows, 192, 1.0).to_original(
        "a", np.sort(np.reshape(box, (2, 2)), 0).reshape(1, 4)
    )[0]
    assert min(x, y, width, height) >= 0
    assert x + width <= columns * (1 + 1e-6)
    assert y + height <= rows * (1 + 1e-6)


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

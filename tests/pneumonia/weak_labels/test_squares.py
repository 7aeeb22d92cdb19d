"""A stream of images to shards: same bytes from any layout and number of processes, and after a kill."""

import shutil
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
from tests.pneumonia.weak_labels.nih_like import names, picture, png, write

from pneumonia.data.images.store import ShardStore
from pneumonia.weak_labels import nih, squares
from pneumonia.weak_labels.labels import Rejected


def make(root: Path, folder: Path, wanted: list[str] | None = None, **options: int) -> squares.Written:
    given = {"size": 32, "shard_rows": 8, "workers": 1} | options
    return squares.write(
        root, names() if wanted is None else wanted, nih.key, folder / "images", state=folder / "state", **given
    )


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (folder / "images").iterdir()}


@pytest.fixture
def source(tmp_path: Path) -> Path:
    write(tmp_path / "source")
    return tmp_path / "source"


def test_shards_of_a_folder_are_a_store(source: Path, tmp_path: Path):
    written = make(source, tmp_path)
    assert written == squares.Written(names(), [], 0, 0)
    assert sorted(content(tmp_path)) == ["index.csv", "shard-00000.npy", "shard-00001.npy", "shard-00002.npy"]
    store = ShardStore(tmp_path / "images")
    assert (len(store), store.size) == (20, 32)
    mean = picture(3, opaque=True)[:2, :2].mean()  # 64 px to 32: a pixel is the mean of four
    assert abs(int(store.image("00000002_001")[0, 0]) - mean) <= 0.5
    assert not (tmp_path / "state").exists()


def test_a_zip_and_a_compressed_tar_give_the_same_images(source: Path, tmp_path: Path):
    make(source, tmp_path)
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        for path in sorted(source.rglob("*.png"), reverse=True):
            archive.write(path, path.name)
    with tarfile.open(tmp_path / "a.tar.gz", "w:gz") as tar:
        tar.add(source / "images_001")
        tar.add(source / "images_002")
    wanted = ShardStore(tmp_path / "images").batch(names())
    for archive in ("a.zip", "a.tar.gz"):
        make(tmp_path / archive, tmp_path / archive[2:])
        np.testing.assert_array_equal(ShardStore(tmp_path / archive[2:] / "images").batch(names()), wanted)


def test_two_processes_give_the_bytes_of_one(source: Path, tmp_path: Path):
    make(source, tmp_path / "one")
    make(source, tmp_path / "two", workers=2)
    assert content(tmp_path / "one") == content(tmp_path / "two")


def test_what_cannot_be_used_is_listed_and_the_rest_goes_on(source: Path, tmp_path: Path):
    images = source / "images_001" / "images"
    (images / "00000001_000.png").write_bytes(b"no image")
    (images / "00000099_000.png").write_bytes(png(picture(1, opaque=False)))  # nobody asked for it
    shutil.copy(images / "00000002_000.png", source / "images_002" / "images")
    (images / "00000002_001.png").write_bytes(png(np.full((64, 64), 9, np.uint8)))
    written = make(source, tmp_path)
    assert written.images == [name for name in names() if name not in ("00000001_000", "00000002_001")]
    assert written.rejected == [
        Rejected("00000001_000", "unreadable", "UnidentifiedImageError"),
        Rejected("00000002_000", "duplicate_image", "images_002/images/00000002_000.png"),
        Rejected("00000002_001", "constant_pixels", "value 9"),
    ]
    assert written.unlisted == 1


@pytest.mark.parametrize("workers", [1, 2])
def test_a_broken_run_goes_on_after_its_last_whole_shard(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, workers: int
):
    (source / "images_001" / "images" / "00000001_000.png").write_bytes(b"no image")
    make(source, tmp_path / "whole")
    kept = squares._keep

    def keep(work: Path, shard: int, *rest: object) -> object:
        if shard == 2:
            raise KeyboardInterrupt
        return kept(work, shard, *rest)

    monkeypatch.setattr(squares, "_keep", keep)
    with pytest.raises(KeyboardInterrupt):
        make(source, tmp_path, workers=workers)
    monkeypatch.undo()
    written = make(source, tmp_path, workers=workers)
    assert written.resumed == 16
    assert [each.image for each in written.rejected] == ["00000001_000"]
    assert content(tmp_path) == content(tmp_path / "whole")


def test_other_inputs_begin_anew(source: Path, tmp_path: Path):
    stale = tmp_path / "state" / "0123"
    stale.mkdir(parents=True)
    assert make(source, tmp_path).resumed == 0
    assert not stale.exists()


def test_a_label_file_of_other_images_is_refused(source: Path, tmp_path: Path):
    with pytest.raises(
        ValueError, match=r"none of the 1 images of the label file can be used \(no image has such a name\)"
    ):
        make(source, tmp_path, ["b7"])

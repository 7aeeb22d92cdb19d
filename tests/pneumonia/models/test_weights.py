"""Weight files are found, and hold what the lock says."""

import json
import logging

import pytest

from pneumonia.models.weights import check, obtain, pin, resolve

ABC = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"  # SHA-256 of "abc", FIPS 180-2 appendix B.1


@pytest.fixture
def place(tmp_path):
    folder = tmp_path / "weights"
    folder.mkdir()
    (folder / "net.h5").write_bytes(b"abc")
    return {"folder": folder, "lock": tmp_path / "weights.lock"}


def test_words_are_no_files(place):
    assert [resolve(word, **place) for word in ("none", "imagenet")] == ["none", "imagenet"]


def test_by_name_and_by_path(place):
    path = place["folder"] / "net.h5"
    assert resolve("net.h5", **place) == path
    assert resolve(str(path), **place) == path


def test_missing_file_says_where_to_put_it(place):
    with pytest.raises(FileNotFoundError, match=r"no file coco\.h5 and none at .*weights.coco\.h5"):
        resolve("coco.h5", **place)


def test_unknown_hash_is_logged_with_how_to_pin_it(place, caplog):
    with caplog.at_level(logging.WARNING):
        assert check(place["folder"] / "net.h5", lock=place["lock"]) == ABC
    assert f'"net.h5": "{ABC}"' in caplog.text


def test_pinned_file_must_not_change(place):
    path = place["folder"] / "net.h5"
    pin(path, lock=place["lock"])
    assert json.loads(place["lock"].read_text()) == {"net.h5": ABC}
    assert resolve("net.h5", **place) == path
    path.write_bytes(b"abd")
    with pytest.raises(ValueError, match=f"wants {ABC}"):
        resolve("net.h5", **place)


def test_a_public_file_is_downloaded_and_pinned_once(place):
    calls = []

    def download(path):
        calls.append(path)
        path.write_bytes(b"abc")

    path = place["folder"] / "public.h5"
    assert [obtain("public.h5", download, **place) for _ in range(2)] == [path, path]
    assert calls == [path]
    assert json.loads(place["lock"].read_text()) == {"public.h5": ABC}
    path.unlink()  # another machine, another file under that address
    with pytest.raises(ValueError, match=f"wants {ABC}"):
        obtain("public.h5", lambda path: path.write_bytes(b"abd"), **place)


def test_lock_of_another_form(place):
    place["lock"].write_text("[1]")
    with pytest.raises(ValueError, match="file name -> SHA-256"):
        resolve("net.h5", **place)

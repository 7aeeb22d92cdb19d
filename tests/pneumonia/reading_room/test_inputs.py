"""Every file of an input once: what is read under which name, what is skipped, what has failed; a zip as its folder."""

from __future__ import annotations

import errno
import os
import pickle
import socket
import stat
import zipfile
from pathlib import Path
from typing import Any

import pytest
from tests import mixed_input
from tests.radiographs import chest

from pneumonia.archive import write_archive
from pneumonia.reading_room import inputs as module
from pneumonia.reading_room.inputs import Inputs
from pneumonia.rejection import StudyError


def image(number: int) -> bytes:
    return chest(SOPInstanceUID=f"1.2.3.{number}")


def fill(folder: Path, files: dict[str, bytes]) -> Path:
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


def listed(source: Path) -> dict[str, tuple[str, str, str]]:
    return {entry.path: (entry.key, entry.status, entry.reason) for entry in Inputs(source).entries}


def test_a_folder_of_200_files_and_its_zip_give_the_same_list(tmp_path: Path):
    expected = mixed_input.write(tmp_path / "input")
    mixed_input.pack(tmp_path / "input", tmp_path / "input.zip")
    folder, packed = Inputs(tmp_path / "input"), Inputs(tmp_path / "input.zip")
    assert len(folder.entries) == 200
    assert [(each.path, each.key, each.status) for each in folder.entries] == [
        (each.path, each.key, each.status) for each in packed.entries
    ]
    assert {each.path for each in folder.entries} == expected.keys()
    assert {each.path for each in folder.entries if each.status == "failed"} == {
        path for path, status in expected.items() if status == "failed" and not path.startswith("cut/")
    }
    keys = [entry.key for entry in folder.studies()]
    assert len({key.lower() for key in keys}) == len(keys) == 156  # 141 good, 5 cut, 10 of another kind
    for own, other in zip(folder.studies(), packed.studies(), strict=True):
        assert folder.read(own) == packed.read(other)


def test_a_key_is_the_stem_or_else_the_uid_or_else_made_of_the_path(tmp_path: Path):
    nameless = chest().replace(b"1.2.3.4", b"no uid!")
    source = fill(
        tmp_path,
        {
            "doe^jane/view1.dcm": image(1),
            "roe^john/view1.dcm": image(2),
            "roe^john/VIEW1.dcm": nameless,
            "single.dcm": image(3),
            "a:b.dcm": image(4),
            "con.dcm": image(5),
            "1.2.3.1.dcm": image(6),  # the UID of another, which is not free any more
            ".hidden.dcm": image(7),
        },
    )
    keys = {path: key for path, (key, _, _) in listed(source).items()}
    hashed = [keys.pop("doe^jane/view1.dcm"), keys.pop("roe^john/VIEW1.dcm")]
    assert keys == {
        "roe^john/view1.dcm": "1.2.3.2",
        "single.dcm": "single",
        "a:b.dcm": "1.2.3.4",
        "con.dcm": "1.2.3.5",
        "1.2.3.1.dcm": "1.2.3.1",
        ".hidden.dcm": "1.2.3.7",
    }
    assert all(key.startswith("file-") and len(key) == 21 for key in hashed)
    assert len(set(hashed)) == 2


def test_a_copy_is_skipped_and_two_images_of_one_uid_have_failed(tmp_path: Path):
    other = image(1)[:-1] + b"\1"
    files = {"x/a.dcm": image(1), "y/a.dcm": image(1), "old": image(2), "older": image(2)[132:], "z/b.dcm": image(3)}
    assert listed(fill(tmp_path / "1", files)) == {
        "x/a.dcm": ("a", "", ""),
        "y/a.dcm": ("a", "skipped", "a copy of x/a.dcm"),
        "old": ("old", "", ""),
        "older": ("old", "skipped", "a copy of old"),
        "z/b.dcm": ("b", "", ""),
    }
    said = listed(fill(tmp_path / "2", {"x/a.dcm": image(1), "y/a.dcm": image(1), "z/b.dcm": other}))
    same = "duplicate_id: another image with the same SOP Instance UID is in"
    assert said == {
        "x/a.dcm": ("a", "failed", f"{same} z/b.dcm"),
        "y/a.dcm": ("a", "skipped", "a copy of x/a.dcm"),
        "z/b.dcm": ("b", "failed", f"{same} x/a.dcm"),
    }
    looked_at = Inputs(tmp_path / "2", unique=False)
    assert [(entry.path, entry.note) for entry in looked_at.studies()] == [
        ("x/a.dcm", "Another image with the same SOP Instance UID is in z/b.dcm."),
        ("z/b.dcm", "Another image with the same SOP Instance UID is in x/a.dcm."),
    ]


def test_many_images_of_one_uid_name_some_of_the_others(tmp_path: Path):
    files = {f"{number}.dcm": image(1)[:-1] + bytes([number]) for number in range(5)}
    said = listed(fill(tmp_path, files))
    assert said["0.dcm"][2].endswith("is in 1.dcm, 2.dcm and 2 more")
    assert said["4.dcm"][2].endswith("is in 0.dcm, 1.dcm and 2 more")


def test_ten_thousand_patients_of_one_file_name(tmp_path: Path):
    head = image(9)[:700]
    assert head.count(b"1.2.3.9\0") == 2
    members = (
        (f"patient{number:05}/view1.dcm", head.replace(b"1.2.3.9\0", b"1.%06d" % number)) for number in range(10_000)
    )
    write_archive(tmp_path / "many.zip", members)
    inputs = Inputs(tmp_path / "many.zip")
    studies = inputs.studies()
    assert len({entry.key for entry in studies}) == len(studies) == 10_000
    assert (studies[123].key, studies[123].path) == ("1.000123", "patient00123/view1.dcm")
    assert len(inputs.studies(7)) == 7
    assert inputs.entries[7].reason == "beyond the limit of 7"


def test_links_are_followed_and_lead_round_once(tmp_path: Path):
    source = fill(tmp_path / "input", {"b/one.dcm": image(1)})
    fill(tmp_path / "outside", {"two.dcm": image(2), "deep/three.dcm": image(3)})
    (source / "a").symlink_to("b")
    (source / "b" / "back").symlink_to(source)
    (source / "c").symlink_to(tmp_path / "outside")
    (source / "d").symlink_to(tmp_path / "outside" / "deep")
    (source / "e.dcm").symlink_to(tmp_path / "outside" / "two.dcm")
    (source / "f.dcm").symlink_to("nowhere")
    assert listed(source) == {
        "b/one.dcm": ("one", "", ""),
        "a": ("", "skipped", "a folder that is listed already"),
        "b/back": ("", "skipped", "a folder that is listed already"),
        "c/two.dcm": ("two", "", ""),
        "c/deep/three.dcm": ("three", "", ""),
        "d": ("", "skipped", "a folder that is listed already"),
        "e.dcm": ("two", "skipped", "a copy of c/two.dcm"),
        "f.dcm": ("", "failed", "a symbolic link that leads nowhere"),
    }


def closed(
    monkeypatch: pytest.MonkeyPatch, folder: Path, error: int = errno.EACCES, links: dict[Path, Path] | None = None
) -> None:
    """Let `folder` be as one without the permission x, for root too: what is in it can be named, and no more."""
    stat_of, lstat_of, scan = os.stat, os.lstat, os.scandir

    def refuse(path: object) -> None:
        own = Path(os.fsdecode(path)) if isinstance(path, str | os.PathLike) else Path()
        if own.parent == folder or (links or {}).get(own, own).parent == folder:
            raise OSError(error, os.strerror(error), str(path))

    def look(path: Any, **options: Any) -> os.stat_result:
        if options.get("follow_symlinks", True) or Path(path).parent == folder:
            refuse(path)
        return stat_of(path, **options)

    def look_at_link(path: Any, **options: Any) -> os.stat_result:
        if Path(path).parent == folder:
            refuse(path)
        return lstat_of(path, **options)

    def scan_unless_below(path: Any) -> Any:
        refuse(path)
        return scan(path)

    monkeypatch.setattr(os, "stat", look)
    monkeypatch.setattr(os, "lstat", look_at_link)
    monkeypatch.setattr(os, "scandir", scan_unless_below)


def test_each_file_of_a_folder_that_lets_none_be_opened_has_failed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    source = fill(tmp_path, {"a.dcm": image(1), "shut/b.dcm": image(2), "shut/c.txt": b"", "shut/sub/d.dcm": image(3)})
    (source / "shut" / "link.dcm").symlink_to("b.dcm")
    closed(monkeypatch, source / "shut")
    denied = ("", "failed", "cannot be read: Permission denied")
    assert listed(source) == {
        "a.dcm": ("a", "", ""),
        "shut/b.dcm": denied,
        "shut/c.txt": denied,
        "shut/link.dcm": denied,
        "shut/sub": ("", "failed", "a folder that cannot be read: Permission denied"),
    }


@pytest.mark.parametrize("error", [errno.EACCES, errno.EIO, errno.ESTALE])
def test_a_link_leads_nowhere_only_where_there_is_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: int):
    source, away = tmp_path / "in", fill(tmp_path / "away", {"x.dcm": image(1)})
    source.mkdir()
    (source / "a.dcm").symlink_to(away / "x.dcm")
    (source / "b.dcm").symlink_to(tmp_path / "absent")
    (source / "c.dcm").symlink_to("c.dcm")
    closed(monkeypatch, away, error, {source / "a.dcm": away / "x.dcm"})
    nowhere = ("", "failed", "a symbolic link that leads nowhere")
    assert listed(source) == {
        "a.dcm": ("", "failed", f"cannot be read: {os.strerror(error)}"),
        "b.dcm": nowhere,
        "c.dcm": nowhere,
    }


def test_what_is_no_regular_file_is_refused_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    os.mkfifo(tmp_path / "fifo")
    monkeypatch.chdir(tmp_path)  # the name of a socket is short
    with socket.socket(socket.AF_UNIX) as own:
        own.bind("socket")
        read, write = os.pipe()
        for path in (tmp_path / "fifo", tmp_path / "socket", f"/dev/fd/{read}", "/dev/null"):
            with pytest.raises(ValueError, match="is not a regular file; save it as a file first"):
                Inputs(path)
        os.close(read)
        os.close(write)


def test_a_pipe_is_not_opened(tmp_path: Path):
    os.mkfifo(tmp_path / "pipe.dcm")
    assert listed(tmp_path) == {"pipe.dcm": ("", "skipped", "not a regular file")}


def test_links_in_a_zip(tmp_path: Path):
    links = {
        "x/a.dcm": "../y/b.dcm",
        "x/folder": "../y",
        "x/out.dcm": "../../../etc/passwd",
        "x/abs.dcm": "/etc/passwd",
    }
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("y/b.dcm", image(1))
        for name, target in links.items():
            info = zipfile.ZipInfo(name)
            info.create_system, info.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
            archive.writestr(info, target)
    nowhere = ("", "failed", "a symbolic link that leads nowhere in the archive")
    assert listed(tmp_path / "a.zip") == {
        "y/b.dcm": ("b", "", ""),
        "x/a.dcm": ("", "skipped", "a link to y/b.dcm, which is listed"),
        "x/folder": ("", "skipped", "a link to y, which is listed"),
        "x/out.dcm": nowhere,
        "x/abs.dcm": nowhere,
    }


def test_odd_members_of_a_zip_are_each_an_entry(tmp_path: Path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        members = {"": image(1), "x/": b"", "b.dcm/": image(2), "c.dcm/": b"no", "d.dcm": image(3), "\0.dcm": image(4)}
        for name, content in members.items():
            info = zipfile.ZipInfo("?")
            info.filename = info.orig_filename = name
            archive.writestr(info, content)
    inputs = Inputs(tmp_path / "a.zip")
    assert [(each.path, each.key, each.status, each.reason) for each in inputs.entries] == [
        ("", "", "failed", "unsafe_name: has an empty name"),
        ("\\x00.dcm", "", "failed", "unsafe_name: has a backslash or NUL in its name"),
        ("b.dcm/", "b", "", ""),
        ("c.dcm/", "", "skipped", "not a DICOM file"),
        ("d.dcm", "d", "", ""),
    ]
    assert [inputs.read(study) for study in inputs.studies()] == [image(2), image(3)]


@pytest.mark.parametrize("name", ["../a.dcm", "x/../../a.dcm", "/etc/a.dcm", "C:/a.dcm", "x\\..\\a.dcm", "../note.txt"])
def test_unsafe_names_of_a_zip_have_failed(tmp_path: Path, name: str):
    write_archive(tmp_path / "a.zip", [(name, image(1)), ("b.dcm", image(2))])
    said = listed(tmp_path / "a.zip")
    assert said.pop("b.dcm") == ("b", "", "")
    ((key, status, reason),) = said.values()
    assert (key, status, reason.split(":")[0]) == ("", "failed", "unsafe_name")


def test_a_damaged_member_fails_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    tail = b"tail" * 2000  # beyond what is looked at for the list
    write_archive(tmp_path / "a.zip", [("a.dcm", image(1)), ("b.dcm", image(2) + tail), ("c.dcm", image(3))])
    data = (tmp_path / "a.zip").read_bytes().replace(tail, b"fail" * 2000).replace(b"PA", b"AP", 1)
    (tmp_path / "a.zip").write_bytes(data)
    inputs = Inputs(tmp_path / "a.zip")
    assert inputs.entries[0].status == "failed"
    assert inputs.entries[0].reason.startswith("unreadable: damaged archive member: Bad CRC-32")
    second, third = inputs.studies()
    with pytest.raises(StudyError, match="unreadable: damaged archive member: Bad CRC-32"):
        inputs.read(second)
    assert inputs.read(third) == image(3)
    monkeypatch.setattr(module, "MAX_STUDY_BYTES", 1000)
    with pytest.raises(StudyError, match="bytes; at most 1,000 are read"):
        inputs.read(third)


def test_names_that_some_file_system_cannot_hold_or_tell_apart(tmp_path: Path):
    long = "\u80ba" * 80  # 240 bytes
    names = ["caf\u00e9.dcm", "cafe\u0301.dic", "R\u00d6NTGEN.dcm", long, "a.", "b\u202ec.dcm", "aux.1.dcm"]
    write_archive(tmp_path / "a.zip", [(name, image(number)) for number, name in enumerate(names)])
    keys = [Inputs(tmp_path / "a.zip").entries[place].key for place in range(7)]
    assert sorted(keys) == sorted([*(f"1.2.3.{number}" for number in (0, 1, 3, 4, 5, 6)), "R\u00d6NTGEN"])
    (tmp_path / "in").mkdir()
    Path(os.fsdecode(os.fsencode(tmp_path / "in") + b"/\xff.dcm")).write_bytes(image(2))
    assert [entry.key for entry in Inputs(tmp_path / "in").studies()] == ["1.2.3.2"]


def test_a_path_is_shown_in_letters_that_a_table_can_hold(tmp_path: Path):
    (tmp_path / "a\nb\x1b.dcm").write_bytes(image(1))
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff.dcm")).write_bytes(image(2))
    assert sorted(listed(tmp_path)) == ["\\udcff.dcm", "a\\nb\\x1b.dcm"]


def test_one_file_is_a_study_or_has_failed(tmp_path: Path):
    fill(tmp_path, {"a.dcm": image(1), "b": image(2)[132:], "c.txt": b"no", "d.download": b""})
    write_archive(tmp_path / "d.download", [("x.dcm", image(3))])
    assert listed(tmp_path / "a.dcm") == {"a.dcm": ("a", "", "")}
    assert listed(tmp_path / "b") == {"b": ("b", "", "")}
    assert listed(tmp_path / "c.txt") == {"c.txt": ("c.txt", "failed", "unreadable: not a DICOM file")}
    assert listed(tmp_path / "d.download") == {"x.dcm": ("x", "", "")}  # a zip is known by its content
    with pytest.raises(FileNotFoundError, match="wanted a DICOM file, a folder or a zip"):
        Inputs(tmp_path / "absent")


def test_another_process_opens_the_zip_itself(tmp_path: Path):
    write_archive(tmp_path / "a.zip", [("a.dcm", image(1))])
    inputs = Inputs(tmp_path / "a.zip")
    (entry,) = inputs.studies()
    assert pickle.loads(pickle.dumps(inputs)).read(entry) == inputs.read(entry) == image(1)

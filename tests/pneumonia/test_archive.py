"""Studies in a zip; names that lead elsewhere; archives that lie."""

import os
import pickle
import stat
import zipfile
from multiprocessing import get_context

import pytest
from tests.places import SHARED

from pneumonia import archive
from pneumonia.archive import StudyArchive, write_archive
from pneumonia.rejection import Reason, StudyError


def make_zip(path, members):
    write_archive(path, members)
    return path


def test_studies_are_the_sorted_stems_of_dcm_members(tmp_path):
    path = make_zip(
        tmp_path / "a.zip",
        [("top/b.dcm", b"B"), ("a.DCM", b"A"), ("labels.csv", b""), ("__MACOSX/._a.dcm", b""), ("top/._b.dcm", b"")],
    )
    studies = StudyArchive(path)
    assert studies.studies == ["a", "b"]
    assert (studies.read("b"), studies.read("a")) == (b"B", b"A")
    assert (studies.duplicates, studies.unsafe) == ({}, {})
    with pytest.raises(KeyError, match="no study 'c'"):
        studies.read("c")


def test_an_id_of_two_members_is_set_apart(tmp_path):
    studies = StudyArchive(make_zip(tmp_path / "a.zip", [("x/a.dcm", b"1"), ("y/a.dcm", b"2"), ("b.dcm", b"3")]))
    assert studies.studies == ["b"]
    assert studies.duplicates == {"a": "2 files: x/a.dcm, y/a.dcm"}


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_name_that_stands_twice_is_a_duplicate(tmp_path):
    assert StudyArchive(make_zip(tmp_path / "a.zip", [("a.dcm", b"1"), ("a.dcm", b"2")])).duplicates.keys() == {"a"}


@pytest.mark.parametrize(
    "name",
    ["../a.dcm", "x/../../a.dcm", "/etc/a.dcm", "C:/a.dcm", "x\\..\\a.dcm", "a\x07b.dcm", ".dcm", "..dcm", "a:b.dcm"],
)
def test_unsafe_names_are_set_apart(tmp_path, name):
    studies = StudyArchive(make_zip(tmp_path / "a.zip", [(name, b"1"), ("b.dcm", b"2")]))
    assert studies.studies == ["b"]
    assert len(studies.unsafe) == 1


def test_symbolic_links_are_unsafe(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as made:
        info = zipfile.ZipInfo("a.dcm")
        info.create_system, info.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
        made.writestr(info, "/etc/passwd")
    assert StudyArchive(tmp_path / "a.zip").unsafe == {"a.dcm": "is a symbolic link"}


def test_a_damaged_member_is_a_study_error(tmp_path):
    path = make_zip(tmp_path / "a.zip", [("a.dcm", b"0123456789")])
    path.write_bytes(path.read_bytes().replace(b"0123456789", b"0123x56789"))
    with pytest.raises(StudyError, match="damaged archive member: Bad CRC-32") as caught:
        StudyArchive(path).read("a")
    assert caught.value.reason == Reason.UNREADABLE


def test_a_zip_bomb_is_not_unpacked(tmp_path, monkeypatch):
    monkeypatch.setattr(archive, "MAX_STUDY_BYTES", 1000)
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as made:
        made.writestr("a.dcm", bytes(100_000))
    with pytest.raises(StudyError, match="100,000 bytes; at most 1,000 are read"):
        StudyArchive(tmp_path / "a.zip").read("a")


def test_a_truncated_zip_says_so(tmp_path):
    path = make_zip(tmp_path / "a.zip", [("a.dcm", bytes(1000))])
    path.write_bytes(path.read_bytes()[:-60])
    with pytest.raises(ValueError, match=r"a\.zip is not a whole zip archive .* download it again"):
        StudyArchive(path)


def _read(studies):
    return studies.read("a")


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_another_process_reads_with_its_own_file(tmp_path, method):
    studies = StudyArchive(make_zip(tmp_path / "a.zip", [("a.dcm", b"A")]))
    studies.read("a")  # open here already
    if method == "spawn":
        assert pickle.loads(pickle.dumps(studies)).read("a") == b"A"
        return
    with get_context(method).Pool(2) as pool:
        assert pool.map(_read, [studies] * 4) == [b"A"] * 4


def test_same_members_same_bytes(tmp_path):
    first = make_zip(tmp_path / "1.zip", [("a.dcm", b"A"), ("b.dcm", b"B")]).read_bytes()
    assert make_zip(tmp_path / "2.zip", [("a.dcm", b"A"), ("b.dcm", b"B")]).read_bytes() == first


def test_real_studies():
    path = SHARED / "rsna-mini.zip"
    if not path.is_file():
        pytest.skip("../shared/rsna-mini.zip is not there")
    studies = StudyArchive(path)
    assert len(studies.studies) == 1420 + 120
    assert studies.studies[0] == "0004cfab-14fd-4e49-80ba-63a80b6bddd6"
    assert len(studies.read(studies.studies[0])) == 92324


def test_a_folder_that_cannot_be_listed_is_named(tmp_path, monkeypatch):
    (tmp_path / "ward/closed").mkdir(parents=True)
    (tmp_path / "ward/a.dcm").write_bytes(b"A")
    listed = os.scandir

    def scandir(path):
        if str(path).endswith("closed"):
            raise PermissionError(13, "Permission denied", str(path))
        return listed(path)

    monkeypatch.setattr(os, "scandir", scandir)
    with pytest.raises(OSError, match=r"ward/closed: the folder cannot be listed \(Permission denied\); let this user"):
        archive.files_below(tmp_path)
    with pytest.raises(OSError, match="gone: the folder cannot be listed"):
        archive.files_below(tmp_path / "gone")

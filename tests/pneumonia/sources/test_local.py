"""The challenge's zip or folder to data/raw: the same bytes however they come, and one clear error for each fault."""

import hashlib
import os
import shutil
import stat
import zipfile

import pytest
from tests.places import SHARED

from pneumonia.archive import StudyArchive
from pneumonia.sources.local import fetch_labelled, fetch_test

LABELS = "patientId,x,y,width,height,Target\nb,1,2,30,40,1\na,,,,,0\n"
CLASSES = "patientId,class\nb,Lung Opacity\na,Normal\n"
SAMPLE = "patientId,PredictionString\nt,0.5 0 0 100 100\n"
FILES = {
    "stage_2_train_images/b.dcm": b"B" * 100,
    "stage_2_train_images/a.dcm": b"A" * 100,
    "stage_2_test_images/t.dcm": b"T" * 100,
    "stage_2_train_labels.csv": LABELS.encode(),
    "stage_2_detailed_class_info.csv": CLASSES.encode(),
    "stage_2_sample_submission.csv": SAMPLE.encode(),
    "GCP Credits Request Link - RSNA.txt": b"comes with the challenge",
}


def make_zip(path, files, compression=zipfile.ZIP_DEFLATED):
    with zipfile.ZipFile(path, "w", compression) as made:
        for name, content in files.items():
            made.writestr(name, content)
    return path


def make_folder(path, files):
    for name, content in files.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(content)
    return path


def without(*names, **more):
    return {name: content for name, content in FILES.items() if name not in names} | more


def in_parts(folder):
    """As the competition's page offers the files one by one: images and CSVs each in a zip."""
    folder.mkdir()
    for part in ("stage_2_train_images", "stage_2_test_images"):
        images = {name.split("/")[1]: content for name, content in FILES.items() if name.startswith(part)}
        make_zip(folder / f"{part}.zip", images)
    make_zip(folder / "stage_2_train_labels.csv.zip", {"stage_2_train_labels.csv": LABELS})
    (folder / "stage_2_detailed_class_info.csv").write_text(CLASSES)
    (folder / "stage_2_sample_submission.csv").write_text(SAMPLE)
    return folder


SOURCES = {
    "zip": lambda path: make_zip(path / "c.zip", FILES),
    "stored": lambda path: make_zip(path / "c.zip", dict(reversed(FILES.items())), zipfile.ZIP_STORED),
    "nested": lambda path: make_zip(path / "c.zip", {f"rsna/{name}": content for name, content in FILES.items()}),
    "folder": lambda path: make_folder(path / "c", FILES),
    "deep folder": lambda path: (
        make_folder(path / "c", {f"x/y/{name}": content for name, content in FILES.items()}).parent
    ),
    "parts": lambda path: in_parts(path / "c"),
}


def linked(path):
    """Images on another disk, files and the folder itself behind links, and a link that leads back."""
    real = make_folder(path / "disk", without("stage_2_train_labels.csv"))
    (path / "labels").write_bytes(FILES["stage_2_train_labels.csv"])
    (path / "c").mkdir()
    for item in real.iterdir():
        (path / "c" / item.name).symlink_to(item)
    (path / "c/stage_2_train_labels.csv").symlink_to(path / "labels")
    (path / "c/again").symlink_to(path / "c")
    (path / "link").symlink_to(path / "c")
    return path / "link"


def with_copies(path):
    """Each CSV beside the zip that it came in, as Kaggle's client leaves it."""
    folder = make_folder(path / "c", FILES)
    for name in ("stage_2_train_labels.csv", "stage_2_detailed_class_info.csv", "stage_2_sample_submission.csv"):
        make_zip(folder / f"{name}.zip", {name: FILES[name]})
    return folder


SOURCES |= {"linked": linked, "with copies": with_copies}


@pytest.mark.parametrize("kind", SOURCES)
def test_every_form_gives_the_same_bytes(tmp_path, kind):
    (tmp_path / "in").mkdir()
    source = SOURCES[kind](tmp_path / "in")
    fetch_labelled(source, tmp_path / "raw")
    fetch_test(source, tmp_path / "raw_test")
    archive = zipfile.ZipFile(tmp_path / "raw/images.zip")
    assert archive.namelist() == ["stage_2_train_images/a.dcm", "stage_2_train_images/b.dcm"]
    assert {info.compress_type for info in archive.infolist()} == {zipfile.ZIP_STORED}
    assert (tmp_path / "raw/labels.csv").read_text() == LABELS
    assert (tmp_path / "raw/classes.csv").read_text() == CLASSES
    assert (tmp_path / "raw/persons.csv").read_text() == "study,person\n"
    assert zipfile.ZipFile(tmp_path / "raw_test/images.zip").namelist() == ["stage_2_test_images/t.dcm"]
    assert (tmp_path / "raw_test/sample_submission.csv").read_text() == SAMPLE
    digest = hashlib.sha256((tmp_path / "raw/images.zip").read_bytes()).hexdigest()
    # Of the archive made of these two members by this format's description: stored, 1980-01-01, mode 644, sorted.
    assert digest == hashlib.sha256(expected_archive()).hexdigest()


def expected_archive():
    """A zip of the two labelled studies, put together by its specification (APPNOTE 4.3.7, 4.3.12, 4.3.16)."""
    import struct
    import zlib

    local, central = b"", b""
    for name, content in (("stage_2_train_images/a.dcm", b"A" * 100), ("stage_2_train_images/b.dcm", b"B" * 100)):
        common = struct.pack("<HHHHHIII", 20, 0, 0, 0, 0x21, zlib.crc32(content), 100, 100)
        mode = (stat.S_IFREG | 0o644) << 16
        tail = struct.pack("<HHHHHII", len(name), 0, 0, 0, 0, mode, len(local))
        central += b"PK\x01\x02" + struct.pack("<BB", 20, 3) + common + tail + name.encode()
        local += b"PK\x03\x04" + common + struct.pack("<HH", len(name), 0) + name.encode() + content
    end = struct.pack("<HHHHIIH", 0, 0, 2, 2, len(central), len(local), 0)
    return local + central + b"PK\x05\x06" + end


def test_persons_of_the_labelled_studies_only(tmp_path):
    (tmp_path / "p.csv").write_text("patientId,person\nz,1\na,0002\n")
    fetch_labelled(make_zip(tmp_path / "c.zip", FILES), tmp_path / "raw", persons=tmp_path / "p.csv")
    assert (tmp_path / "raw/persons.csv").read_text() == "study,person\na,0002\n"


def test_persons_of_another_data_set(tmp_path):
    (tmp_path / "p.csv").write_text("patientId,person\nz,1\n")
    with pytest.raises(ValueError, match="none of its studies is among the 2 labelled ones"):
        fetch_labelled(make_zip(tmp_path / "c.zip", FILES), tmp_path / "raw", persons=tmp_path / "p.csv")


def test_labels_and_images_that_do_not_match_are_left_to_clean(tmp_path, caplog):
    files = without("stage_2_train_images/a.dcm") | {"stage_2_train_images/new.dcm": b"N"}
    fetch_labelled(make_zip(tmp_path / "c.zip", files), tmp_path / "raw")
    assert StudyArchive(tmp_path / "raw/images.zip").studies == ["b", "new"]
    assert "1 labelled studies without image" in caplog.text
    assert "1 images without label" in caplog.text


def test_a_new_test_set_needs_no_sample_submission(tmp_path):
    source = make_folder(tmp_path / "second stage", {"y.dcm": b"Y", "sub/x.dcm": b"X", "read me.txt": b""})
    fetch_test(source, tmp_path / "raw_test")
    assert StudyArchive(tmp_path / "raw_test/images.zip").studies == ["x", "y"]
    assert (tmp_path / "raw_test/sample_submission.csv").read_text() == (
        "patientId,PredictionString\nx,0.5 0 0 100 100\ny,0.5 0 0 100 100\n"
    )


@pytest.mark.parametrize(
    ("files", "message"),
    [
        (without("stage_2_train_labels.csv"), "wanted one stage_2_train_labels.csv, found none"),
        (without("stage_2_detailed_class_info.csv"), "wanted one stage_2_detailed_class_info.csv, found none"),
        (
            FILES | {"copy/stage_2_train_labels.csv": b""},
            "found stage_2_train_labels.csv, copy/stage_2_train_labels.csv",
        ),
        (
            without("stage_2_train_images/a.dcm", "stage_2_train_images/b.dcm"),
            "no .dcm file in a folder stage_2_train_images",
        ),
        (FILES | {"stage_2_train_images/a.png": b""}, "1 files in stage_2_train_images are no .dcm files"),
        (FILES | {"x/stage_2_train_images/a.dcm": b"A"}, "study a has two files"),
        (FILES | {"stage_2_train_labels.csv": b"id,label\na,0\n"}, "stage_2_train_labels.csv: columns patientId, x, y"),
        (FILES | {"stage_2_detailed_class_info.csv": b"patientId,class\na,Flu\n"}, "line 2, column class: wanted"),
        (FILES | {"../evil.dcm": b""}, "'../evil.dcm' climbs out of the archive"),
        (FILES | {"/evil.dcm": b""}, "'/evil.dcm' has an absolute name"),
    ],
)
def test_each_fault_has_one_clear_error(tmp_path, files, message):
    source = make_zip(tmp_path / "c.zip", files)
    with pytest.raises(ValueError, match=r"c\.zip.*" + message.replace(".", r"\.")):
        fetch_labelled(source, tmp_path / "raw")


@pytest.mark.parametrize(
    ("files", "message"),
    [
        (FILES | {"stage_2_test_images/u.dcm": b"U"}, "1 of 2 test studies are not in stage_2_sample_submission.csv"),
        (
            FILES | {"stage_2_sample_submission.csv": SAMPLE.encode() + b"u,\n"},
            "1 of 2 test studies have no image, such as u",
        ),
        (without("stage_2_test_images/t.dcm"), "no .dcm file in a folder stage_2_test_images"),
    ],
)
def test_faults_of_the_test_set(tmp_path, files, message):
    with pytest.raises(ValueError, match=message):
        fetch_test(make_zip(tmp_path / "c.zip", files), tmp_path / "raw_test")


def test_hidden_files_of_operating_systems_are_no_fault(tmp_path):
    more = {"stage_2_train_images/.DS_Store": b"", "__MACOSX/stage_2_train_images/._a.dcm": b""}
    fetch_labelled(make_zip(tmp_path / "c.zip", FILES | more), tmp_path / "raw")
    assert StudyArchive(tmp_path / "raw/images.zip").studies == ["a", "b"]


def test_symbolic_links_are_refused(tmp_path):
    path = make_zip(tmp_path / "c.zip", FILES)
    with zipfile.ZipFile(path, "a") as made:
        info = zipfile.ZipInfo("stage_2_train_images/c.dcm")
        info.create_system, info.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
        made.writestr(info, "/etc/passwd")
    with pytest.raises(ValueError, match="is a symbolic link"):
        fetch_labelled(path, tmp_path / "raw")


def test_a_truncated_zip(tmp_path):
    path = make_zip(tmp_path / "c.zip", FILES)
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(ValueError, match=r"c\.zip is not a whole zip archive .* copy or download it again"):
        fetch_labelled(path, tmp_path / "raw")


def test_a_damaged_member(tmp_path):
    path = make_zip(tmp_path / "c.zip", FILES, zipfile.ZIP_STORED)
    path.write_bytes(path.read_bytes().replace(b"A" * 100, b"A" * 99 + b"X"))
    with pytest.raises(ValueError, match=r"member stage_2_train_images/a\.dcm is damaged \(Bad CRC-32"):
        fetch_labelled(path, tmp_path / "raw")


def test_sha256(tmp_path):
    path = make_zip(tmp_path / "c.zip", FILES)
    right = hashlib.sha256(path.read_bytes()).hexdigest()
    fetch_labelled(path, tmp_path / "raw", right)
    with pytest.raises(ValueError, match=rf"SHA-256 is {right}, wanted {'0' * 64}"):
        fetch_labelled(path, tmp_path / "raw", "0" * 64)
    with pytest.raises(ValueError, match="a sha256 can be checked of a zip only"):
        fetch_labelled(make_folder(tmp_path / "c", FILES), tmp_path / "raw", right)


def test_nothing_there(tmp_path):
    with pytest.raises(FileNotFoundError, match="wanted the challenge's zip, or the folder"):
        fetch_labelled(tmp_path / "absent.zip", tmp_path / "raw")


def test_real_studies(tmp_path):
    source = SHARED / "rsna-mini.zip"
    if not source.is_file():
        pytest.skip("../shared/rsna-mini.zip is not there")
    fetch_test(source, tmp_path)
    studies = StudyArchive(tmp_path / "images.zip")
    assert len(studies.studies) == 120
    assert studies.read("f2ca38b7-7222-4f3e-819d-c3c3713d9238")[128:132] == b"DICM"
    shutil.rmtree(tmp_path)


@pytest.mark.parametrize("name", ["stage_2_train_labels.csv", "stage_2_detailed_class_info.csv"])
def test_an_edited_file_beside_its_zip_is_not_passed_over(tmp_path, name):
    folder = with_copies(tmp_path)
    (folder / name).write_bytes(FILES[name] + b"\n")
    with pytest.raises(ValueError, match=rf"found {name}, {name}.zip/{name}; they differ: keep the one that is meant"):
        fetch_labelled(folder, tmp_path / "raw")


def test_images_beside_their_zip_are_not_passed_over(tmp_path):
    folder = make_folder(tmp_path / "c", FILES)
    make_zip(folder / "stage_2_train_images.zip", {"a.dcm": b"another"})
    with pytest.raises(
        ValueError, match=r"study a has two files, stage_2_train_images/a.dcm and stage_2_train_images.zip/a.dcm"
    ):
        fetch_labelled(folder, tmp_path / "raw")


DICOM = bytes(128) + b"DICM"
FORMS = {"folder": make_folder, "zip": make_zip}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", ["b.IMA", "c", "d.dic", "ward/e.dcm.bak", "1.2.3"])
def test_dicom_under_another_name_is_not_passed_over(tmp_path, form, name):
    source = FORMS[form](tmp_path / "new set", {"a.dcm": DICOM, "read me.txt": b"", name: DICOM})
    with pytest.raises(ValueError, match=rf"new set: 1 DICOM files are not named .dcm: {name}; rename them"):
        fetch_test(source, tmp_path / "raw_test")


@pytest.mark.parametrize("form", FORMS)
def test_what_is_left_out_of_a_new_test_set_is_named(tmp_path, caplog, form):
    more = {f"{number}.txt": b"" for number in range(9)} | {"DICOMDIR": DICOM, ".old/x.dcm": DICOM, "._a.dcm": b""}
    source = FORMS[form](tmp_path / "new set", {"a.dcm": DICOM, "ward/e.dcm": DICOM, ".DS_Store": b""} | more)
    fetch_test(source, tmp_path / "raw_test")
    assert StudyArchive(tmp_path / "raw_test/images.zip").studies == ["a", "e"]
    assert caplog.messages == [
        f"{source}: 1 hidden .dcm files are passed over: .old/x.dcm",
        f"{source}: 10 files that are no .dcm files are passed over: 0.txt, 1.txt, 2.txt, 3.txt, 4.txt, ...",
    ]


def test_a_sample_submission_is_no_leftover(tmp_path, caplog):
    fetch_test(make_zip(tmp_path / "new.zip", {"t.dcm": b"T", "stage_2_sample_submission.csv": SAMPLE}), tmp_path / "r")
    assert not caplog.messages


@pytest.mark.parametrize("fetch", [fetch_labelled, fetch_test])
@pytest.mark.parametrize("name", ["f.dcm", "stage_2_train_images/.f.dcm", "f"])
@pytest.mark.parametrize("make", [lambda path: path.symlink_to("gone"), os.mkfifo])
def test_what_is_no_file_is_refused(tmp_path, fetch, name, make):
    source = make_folder(tmp_path / "c", FILES)
    make(source / name)
    with pytest.raises(ValueError, match=rf"c: 1 entries are no files: .*{name} \(a (link that leads nowhere|pipe)"):
        fetch(source, tmp_path / "raw")


def test_a_lock_of_an_editor_is_no_fault(tmp_path):
    source = make_folder(tmp_path / "c", FILES)
    (source / ".#labels.csv").symlink_to("me@host.123")
    fetch_labelled(source, tmp_path / "raw")

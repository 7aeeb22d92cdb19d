"""The challenge's files from disk to data/raw and data/raw_test: Kaggle's zip, or a folder of what was in it.

The images stay in one archive, which is rewritten so that the same studies give the same bytes however they came.
"""

from __future__ import annotations

import io
import logging
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Protocol

from pneumonia.archive import MAX_STUDY_BYTES, files_below, is_study_name, name_fault, open_zip, write_archive
from pneumonia.files import sha256 as sha256_of
from pneumonia.files import write_csv
from pneumonia.schema import raw
from pneumonia.sources.labels import read_classes, read_labels, read_table
from pneumonia.sources.persons import read_mapping

LABELS, CLASSES = "stage_2_train_labels.csv", "stage_2_detailed_class_info.csv"
SAMPLE = "stage_2_sample_submission.csv"
TRAIN_IMAGES, TEST_IMAGES = "stage_2_train_images", "stage_2_test_images"

MOST_COPIES = 8  # of one file, that are compared
MOST_NAMES = 5  # in one message


class Read(Protocol):
    """The content of a file, or its first bytes."""

    def __call__(self, most: int = -1) -> bytes:
        """At most `most` bytes; all where it is negative."""


Files = dict[str, Read]  # posix name -> its content


def fetch_labelled(source: Path, folder: Path, sha256: str = "", persons: Path | None = None) -> None:
    """Write images.zip, labels.csv, classes.csv and persons.csv of the labelled studies into `folder`.

    Arguments:
        source: the challenge's zip, or a folder of its files (images and CSVs as they are, or each in a zip of its
            name), at any depth.
        folder: made where there is none.
        sha256: what the zip must hash to; empty checks nothing.
        persons: see `pneumonia.sources.persons`.

    Raises:
        FileNotFoundError: what is missing, in one sentence.
        OSError: a folder that cannot be listed.
        ValueError: what is extra, cut short, no file or has other columns, in one sentence.
    """
    folder.mkdir(parents=True, exist_ok=True)
    files = _open(source, sha256)
    labels, classes = _only(files, LABELS, source), _only(files, CLASSES, source)
    studies = set(read_labels(io.BytesIO(labels), f"{source}: {LABELS}")["study"])
    read_classes(io.BytesIO(classes), f"{source}: {CLASSES}")
    images = _images(files, TRAIN_IMAGES, source)
    _note(f"{len(studies - set(images))} labelled studies without image", bool(studies - set(images)))
    _note(f"{len(set(images) - studies)} images without label", bool(set(images) - studies))

    (folder / raw.LABELS).write_bytes(labels)
    (folder / raw.CLASSES).write_bytes(classes)
    _write_persons(folder / raw.PERSONS, persons, studies)
    _write_images(folder / raw.IMAGES, TRAIN_IMAGES, images, source)


def fetch_test(source: Path, folder: Path, sha256: str = "") -> None:
    """Write images.zip and sample_submission.csv of the test studies into `folder`; the rest as in `fetch_labelled`.

    A source without the challenge's image folders is a new test set: all of its .dcm files. What else lies there is
    named in a warning; where it holds DICOM it is refused. A source without a sample submission gets one that lists its
    images.
    """
    import pandas as pd

    folder.mkdir(parents=True, exist_ok=True)
    files = _open(source, sha256)
    ours = any({TRAIN_IMAGES, TEST_IMAGES} & _folders(name) for name in files)
    images = _images(files, TEST_IMAGES if ours else "", source)
    if any(PurePosixPath(name).name == SAMPLE for name in files):
        content = _only(files, SAMPLE, source)
        wanted = set(
            read_table(io.BytesIO(content), ["patientId", "PredictionString"], f"{source}: {SAMPLE}")["patientId"]
        )
        _match(wanted, set(images), source)
        (folder / raw.SAMPLE_SUBMISSION).write_bytes(content)
    else:
        sample = pd.DataFrame({"patientId": sorted(images), "PredictionString": "0.5 0 0 100 100"})
        write_csv(folder / raw.SAMPLE_SUBMISSION, sample)
    _write_images(folder / raw.IMAGES, TEST_IMAGES, images, source)


def _open(source: Path, sha256: str) -> Files:
    """All files below a folder or in a zip, by name."""
    source = Path(source)
    if source.is_dir():
        if sha256:
            raise ValueError(f"{source} is a folder; a sha256 can be checked of a zip only: clear it, or give the zip")
        files: Files = {}
        for path in files_below(source):
            name = path.relative_to(source).as_posix()
            if path.name in {f"{part}.zip" for part in (LABELS, CLASSES, SAMPLE, TRAIN_IMAGES, TEST_IMAGES)}:
                # A part zipped on its own, its members bare or in a folder of its name.
                files |= {f"{name}/{inner}": read for inner, read in _members(path).items()}
            else:
                files[name] = _file(path)
        return files
    if not source.is_file():
        raise FileNotFoundError(
            f"{source}: no such file or folder; wanted the challenge's zip, or the folder it was unpacked to"
        )
    if sha256 and (got := sha256_of(source)) != sha256:
        raise ValueError(f"{source}: SHA-256 is {got}, wanted {sha256}; copy or download it again")
    return _members(source)


def _file(path: Path) -> Read:
    def read(most: int = -1) -> bytes:
        with path.open("rb") as stream:
            return stream.read(most)

    return read


def _members(path: Path) -> Files:
    archive = open_zip(path)
    files: Files = {}
    for info in archive.infolist():
        if info.is_dir():
            continue
        fault = name_fault(info)
        if fault or info.filename in files:
            raise ValueError(
                f"{path}: member {info.orig_filename!r} {fault or 'occurs twice'}; this is not the challenge's archive"
            )
        files[info.filename] = _reader(archive, info)
    return files


def _reader(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> Read:
    def read(most: int = -1) -> bytes:
        if most < 0 and info.file_size > MAX_STUDY_BYTES:
            size = f"{info.file_size:,} bytes, at most {MAX_STUDY_BYTES:,} are read"
            raise ValueError(f"{archive.filename}: member {info.filename} has {size}")
        try:
            with archive.open(info) as stream:
                return stream.read(most)
        except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, NotImplementedError) as error:
            raise ValueError(
                f"{archive.filename}: member {info.filename} is damaged ({error}); copy or download it again"
            ) from error

    return read


def _only(files: Files, wanted: str, source: Path) -> bytes:
    """The content of the one file of this name."""
    names = [name for name in files if PurePosixPath(name).name == wanted and not _is_hidden(name)]
    contents = {files[name]() for name in names[:MOST_COPIES]}
    if len(contents) == 1 and len(names) <= MOST_COPIES:
        return contents.pop()  # of copies that are the same it does not matter which
    found = ", ".join(names[:3])
    hint = "; they differ: keep the one that is meant" if len(names) > 1 else ""
    raise ValueError(f"{source}: wanted one {wanted}, found {found or 'none'}{hint}")


def _images(files: Files, part: str, source: Path) -> Files:
    """The DICOM files below a folder named `part` (any folder where empty), by study id."""
    below = [name for name in files if not part or part in _folders(name)]
    inside = [name for name in below if not _is_hidden(name)]
    _warn_of([name for name in below if _is_hidden(name) and is_study_name(name)], "hidden .dcm files", source)
    images: dict[str, str] = {}
    extra = []
    for name in inside:
        study = PurePosixPath(name).stem
        if not is_study_name(name):
            extra.append(name)
        elif study in images:
            raise ValueError(f"{source}: study {study} has two files, {images[study]} and {name}; keep one")
        else:
            images[study] = name
    if part and extra:
        raise ValueError(f"{source}: {len(extra)} files in {part} are no .dcm files, such as {extra[0]}; remove them")
    _refuse_dicom(files, extra, source)
    if not images:
        raise ValueError(
            f"{source}: no .dcm file{f' in a folder {part}' if part else ''}; wanted the challenge's images"
        )
    _warn_of([name for name in extra if PurePosixPath(name).name != SAMPLE], "files that are no .dcm files", source)
    return {study: files[name] for study, name in images.items()}


def _refuse_dicom(files: Files, extra: list[str], source: Path) -> None:
    """Refuse DICOM files under other names than .dcm: they would be left out of the test set."""
    found = [name for name in extra if PurePosixPath(name).name.upper() != "DICOMDIR" and _is_dicom(files[name])]
    if found:
        raise ValueError(
            f"{source}: {len(found)} DICOM files are not named .dcm: {_some(found)}; rename them, or remove them"
        )


def _is_dicom(read: Read) -> bool:
    """Whether the marker of PS3.10 stands where it should; a file that cannot be read is no DICOM file."""
    try:
        return read(132)[128:] == b"DICM"
    except ValueError:
        return False


def _warn_of(names: list[str], what: str, source: Path) -> None:
    if names:
        logging.getLogger(__name__).warning("%s: %d %s are passed over: %s", source, len(names), what, _some(names))


def _some(names: list[str]) -> str:
    return ", ".join(sorted(names)[:MOST_NAMES]) + (", ..." if len(names) > MOST_NAMES else "")


def _folders(name: str) -> set[str]:
    """The names of the folders that a file lies in; a part that was zipped on its own counts as one."""
    return {part.removesuffix(".zip") for part in PurePosixPath(name).parts[:-1]}


def _is_hidden(name: str) -> bool:
    """Files that operating systems add: .DS_Store, ._name, __MACOSX."""
    return any(part.startswith(".") or part == "__MACOSX" for part in PurePosixPath(name).parts)


def _match(wanted: set[str], found: set[str], source: Path) -> None:
    for studies, what in ((wanted - found, "have no image"), (found - wanted, f"are not in {SAMPLE}")):
        if studies:
            raise ValueError(
                f"{source}: {len(studies)} of {len(wanted | found)} test studies {what}, such as {min(studies)}"
            )


def _write_images(path: Path, part: str, images: Files, source: Path) -> None:
    from tqdm import tqdm

    def members() -> Iterator[tuple[str, bytes]]:
        for study in tqdm(sorted(images), f"copy {part}", unit=" studies", disable=None):
            content = images[study]()
            if not content:
                _note(f"study {study} of {source} is an empty file", True)
            yield f"{part}/{study}.dcm", content

    write_archive(path, members())


def _write_persons(path: Path, persons: Path | None, studies: set[str]) -> None:
    import pandas as pd

    table = pd.DataFrame({"study": [], "person": []}, dtype="str")
    if persons is not None:
        table = read_mapping(persons)
        table = table[table["study"].isin(studies)]
        if table.empty:
            raise ValueError(
                f"{persons}: none of its studies is among the {len(studies)} labelled ones; is it another data set's?"
            )
    write_csv(path, table)


def _note(text: str, true: bool) -> None:
    if true:
        logging.getLogger(__name__).warning("%s; clean will list them", text)

"""The images of a foreign set: which there are, and their sizes."""

from __future__ import annotations

from pathlib import Path

from pneumonia.archive import MAX_STUDY_BYTES, files_below, is_study_name
from pneumonia.sources.foreign import pictures
from pneumonia.sources.foreign.marked import some


def is_image(path: Path) -> bool:
    """Whether a file is a DICOM file or a picture by its suffix, and no hidden one."""
    return not path.name.startswith(".") and (is_study_name(path.name) or is_picture(path))


def is_picture(path: Path) -> bool:
    """Whether a file is a PNG or JPEG by its suffix."""
    return path.suffix.lower() in pictures.SUFFIXES


def images(folder: Path) -> list[Path]:
    """All DICOM files and pictures below a folder, sorted.

    Raises:
        ValueError: there is none.
    """
    found = [path for path in files_below(folder) if is_image(path)]
    if not found:
        raise ValueError(f"{folder}: no .dcm, .png or .jpg file")
    return found


def by_study(paths: list[Path], source: Path) -> dict[str, Path]:
    """Study (a file's stem) -> file.

    Raises:
        ValueError: two files are of one study.
    """
    found: dict[str, Path] = {}
    for path in paths:
        if other := found.get(path.stem):
            both = some(each.relative_to(source).as_posix() for each in (path, other))
            raise ValueError(f"{source}: study {path.stem} has two files, {both}; keep one, or rename them")
        found[path.stem] = path
    return found


def size(path: Path) -> tuple[int, int] | None:
    """Rows and columns of an image; None where a DICOM file does not say, which clean will judge.

    Raises:
        ValueError: a picture that cannot be used.
    """
    if is_picture(path):
        try:
            return pictures.size(read(path))
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from error
    import pydicom

    try:
        header = pydicom.dcmread(path, stop_before_pixels=True, specific_tags=["Rows", "Columns"])
        rows, columns = int(header.Rows), int(header.Columns)
    except Exception:  # of whatever kind a damaged file leads to
        return None
    return (rows, columns) if rows > 0 and columns > 0 else None


def read(path: Path) -> bytes:
    """The bytes of an image.

    Raises:
        ValueError: it is too large to be one.
    """
    if path.stat().st_size > MAX_STUDY_BYTES:
        raise ValueError(f"{path}: {path.stat().st_size:,} bytes; at most {MAX_STUDY_BYTES:,} are read")
    return path.read_bytes()

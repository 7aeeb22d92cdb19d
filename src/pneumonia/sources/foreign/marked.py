"""What every reader of a layout gives: images, boxes and classes of the studies, and what is known of them besides."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

Box = tuple[float, float, float, float]  # x, y, width, height; pixels of the original image, top-left corner

NORMAL, NOT_NORMAL, UNMARKED = "normal", "not_normal", ""
MOST_NAMES = 3  # in one message


@dataclass(frozen=True)
class Options:
    """How a layout is read: `fetch.foreign` of params.yaml.

    Attributes:
        images: folder of the images, from the source's; empty is the layout's own.
        annotations: file of the labels, from the source's folder; empty is the layout's own. COCO and YOLO only.
        sidecar: CSV of what a DICOM header would say, see `pneumonia.sources.foreign.sidecar`; empty is none.
        opacity: names of the classes that are an opacity; may be empty where the set has one class.
        unmarked: what an image without any box is, normal or not_normal, where the layout does not say; or refuse.
        radiologists: VinDr-CXR; so many must have drawn a box in the same place.
        agreement: VinDr-CXR; IoU from which two boxes are in the same place.
    """

    images: str = ""
    annotations: str = ""
    sidecar: str = ""
    opacity: Sequence[str] = ()
    unmarked: str = "refuse"
    radiologists: int = 1
    agreement: float = 0.5


@dataclass(frozen=True)
class Facts:
    """What a DICOM header would say of a study; empty text is unknown."""

    person: str = ""
    sex: str = ""  # F or M
    age: str = ""  # years
    view: str = ""  # AP or PA
    spacing: str = ""  # mm


@dataclass
class Marked:
    """A set as its layout has it.

    Attributes:
        images: study -> file, DICOM or a picture.
        boxes: study -> boxes of opacities, as they stand; empty of a positive study whose boxes are unknown.
        negative: study -> normal, not_normal or unmarked. A study that is here and in `boxes` is one on which its readers
            disagree.
        facts: study -> what the layout itself knows.
        notes: what is worth saying, in sentences.
    """

    images: dict[str, Path]
    boxes: dict[str, list[Box]] = field(default_factory=dict)
    negative: dict[str, str] = field(default_factory=dict)
    facts: dict[str, Facts] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def opacities(names: Iterable[str], wanted: Sequence[str], source: Path) -> set[str]:
    """The class names that count as opacity: those `wanted`, or the only one there is.

    Raises:
        ValueError: a name is wanted that is not there, or none is and there are several.
    """
    known = sorted(set(names))
    unknown = sorted(set(wanted) - set(known))
    if unknown:
        raise ValueError(
            f"{source}: fetch.foreign.opacity names {', '.join(unknown)}; the classes here are {', '.join(known)}"
        )
    if not wanted and len(known) != 1:
        raise ValueError(
            f"{source}: which of the {len(known)} classes are an opacity? Name them in fetch.foreign.opacity: "
            f"{', '.join(known) or 'there is none'}"
        )
    return set(wanted) or set(known)


def below(source: Path, name: str, what: str) -> Path:
    """`name`, from the folder `source`, which it must not leave.

    Raises:
        FileNotFoundError: it is not there.
        ValueError: it lies outside.
    """
    path = source / name
    if not path.exists():
        raise FileNotFoundError(f"{path}: no such {what}")
    if not path.resolve().is_relative_to(source.resolve()):
        raise ValueError(f"{path}: this {what} lies outside of {source}; copy it there")
    return path


def only(paths: Sequence[Path], what: str, source: Path) -> Path:
    """The one of `paths`; ValueError where there are none or several."""
    if len(paths) != 1:
        found = some(path.relative_to(source).as_posix() for path in paths)
        raise ValueError(f"{source}: wanted one {what}, found {found or 'none'}")
    return paths[0]


def some(names: Iterable[str]) -> str:
    """The first few of names, sorted."""
    names = sorted(names)
    return ", ".join(names[:MOST_NAMES]) + (", ..." if len(names) > MOST_NAMES else "")


def repeated(names: Iterable[str]) -> list[str]:
    """Those that come more than once, sorted."""
    return sorted(name for name, count in Counter(names).items() if count > 1)


def lines(path: Path) -> Iterator[tuple[int, str]]:
    """The number and text of the lines of a file in UTF-8, without those that are empty.

    Raises:
        ValueError: it is not in UTF-8.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not text in UTF-8: {error}") from error
    return ((number, line.strip()) for number, line in enumerate(text.splitlines(), 1) if line.strip())

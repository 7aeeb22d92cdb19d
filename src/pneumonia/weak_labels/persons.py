"""Nobody who is evaluated is learned from before: the persons of validation, hold-out and test studies, by every spelling.

The challenge's studies are images of NIH ChestX-ray14: a backbone that has seen a person's other images, or the very one,
would make the figures of the hold-out too good.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from pneumonia.sources.persons import read_mapping
from pneumonia.weak_labels.labels import person_key

if TYPE_CHECKING:
    import pandas as pd

SUBSETS = ("validation", "holdout")  # what is evaluated of the labelled studies
# A source whose persons may be those of the studies: NIH's are the challenge's, a hospital's reports are its own studies'.
SHARED = ("nih", "reports")
_NIH_IMAGE = re.compile(r"(\d{8})_\d{3}")


class Evaluated(NamedTuple):
    """Who is evaluated.

    Attributes:
        persons: keys (`labels.person_key`).
        studies: of validation, hold-out and test.
        unmapped: those of them whose person is not known.
    """

    persons: frozenset[str]
    studies: int
    unmapped: int


def evaluated(split: pd.DataFrame, test: Iterable[str], mapping: str | Path) -> Evaluated:
    """The persons of the evaluated studies, as the split and as a mapping have them.

    Arguments:
        split: columns study, person, subset; a study of unknown person is its own.
        test: ids of the test studies.
        mapping: file of `pneumonia.sources.persons`; may have no rows.
    """
    rows = read_mapping(mapping)
    known = {str(study): {person_key(person)} for study, person in zip(rows["study"], rows["person"], strict=True)}
    for study, person in zip(split["study"], split["person"], strict=True):
        if person != study:
            known.setdefault(str(study), set()).add(person_key(person))
    studies = {str(study) for study in split["study"][split["subset"].isin(SUBSETS)]} | set(map(str, test))
    persons = frozenset().union(*(known.get(study, set()) for study in studies))
    return Evaluated(persons, len(studies), sum(study not in known for study in studies))


def refuse_unknown(who: Evaluated, source: str, fetched: str, most: int) -> None:
    """Refuse what cannot be known.

    Arguments:
        source: of the weak labels.
        fetched: source of the studies; nobody is drawn in `synthetic` ones.
        most: evaluated studies without a person that are put up with.

    Raises:
        ValueError: there are more, and the source may hold their persons.
    """
    if source in SHARED and fetched != "synthetic" and who.unmapped > most:
        raise ValueError(
            f"the person of {who.unmapped} of {who.studies} evaluated studies (validation, holdout, test) is not known, so they "
            f"may be among those of pretrain.source {source}. Name a mapping of all studies, test studies too, in pretrain.persons "
            f"(columns patientId and nih_patient, or the challenge's mapping JSON), or say with pretrain.unmapped: {who.unmapped} "
            f"that so many may have been learned from"
        )


def without(table: pd.DataFrame, who: Evaluated) -> tuple[pd.DataFrame, dict[str, int]]:
    """The images of everybody else, and the counts that say so.

    Returns:
        rows of `table` (columns image, person, ...); `persons_left_out`, `images_left_out` and `persons_overlapping`, which is
        always 0: what remains is looked through again, also by the person in NIH's file names.

    Raises:
        ValueError: an evaluated person remains.
    """
    own = table["person"].map(person_key)
    left_out = own.isin(who.persons)
    kept = table[~left_out]
    overlapping = overlap(kept["person"], kept["image"], who)
    if overlapping:
        raise ValueError(
            f"{len(overlapping)} evaluated persons remain among the weak labels: their file names give other persons than their "
            f"rows; correct the label file, or remove those images"
        )
    counts = {
        "persons_left_out": int(own[left_out].nunique()),
        "images_left_out": int(left_out.sum()),
        "persons_overlapping": len(overlapping),
    }
    return kept.reset_index(drop=True), counts


def overlap(persons: Collection[str], images: Collection[str], who: Evaluated) -> set[str]:
    """The evaluated persons among images, by their rows and by names as NIH gives them (`00019124_092`)."""
    named = (match[1] for image in images if (match := _NIH_IMAGE.fullmatch(image)))
    return {person_key(person) for person in (*persons, *named)} & who.persons

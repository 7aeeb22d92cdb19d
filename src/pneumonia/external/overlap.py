"""Studies of a new set that training or the choice of thresholds has seen: by id, by person, by pixels."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from typing import Protocol

import numpy as np
import pandas as pd


class Images(Protocol):
    """Square images by study."""

    def image(self, study: str) -> np.ndarray:
        """uint8 `[size, size]`."""


def digest(image: np.ndarray) -> str:
    """SHA-256 of an image's shape and pixels."""
    return hashlib.sha256(str(image.shape).encode() + np.ascontiguousarray(image).tobytes()).hexdigest()


def seen(
    known: pd.DataFrame, new: pd.DataFrame, ours: Images, theirs: Iterable[tuple[str, np.ndarray]]
) -> dict[str, set[str]]:
    """`id`, `person`, `pixels` -> the new studies that are among the known ones by it.

    Arguments:
        known, new: study, person.
        ours: the square images of the known studies.
        theirs: new study and its square image of the same size.
    """
    hashes = {digest(ours.image(study)) for study in known["study"]}
    return {
        "id": {*new["study"]} & {*known["study"]},
        "person": {*new["study"][new["person"].isin(known["person"])]},
        "pixels": {study for study, image in theirs if digest(image) in hashes},
    }


def refuse(found: Mapping[str, set[str]]) -> None:
    """ValueError where a study was seen; it says how many by what."""
    every = set().union(*found.values())
    if every:
        by = ", ".join(f"{len(studies)} by {what}" for what, studies in found.items() if studies)
        raise ValueError(
            f"{len(every)} studies of the new set are in training or validation ({by}); leave them out of the set. Where the "
            "two sets merely use the same names for persons, say --unrelated-persons"
        )

"""What the stage pretrain reads: data/pretrain, and who of it is learned from."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from pneumonia.data.images.store import ShardStore
from pneumonia.files import read_json
from pneumonia.schema import pretraining as schema
from pneumonia.schema.data import SPLIT
from pneumonia.schema.raw import SAMPLE_SUBMISSION, TEST_FOLDER
from pneumonia.sources.labels import read_ids
from pneumonia.weak_labels import persons

if TYPE_CHECKING:
    import pandas as pd


class Learned(NamedTuple):
    """What a backbone is to learn from.

    Attributes:
        store: squares.
        labels: columns image, person and the findings; nobody who is evaluated.
        findings: names.
        counts: for the metrics.
        files: all that was read, for the hash that names the resume file.
    """

    store: ShardStore
    labels: pd.DataFrame
    findings: list[str]
    counts: dict[str, Any]
    files: list[Path]


def is_off() -> bool:
    """Whether data/pretrain is that of the source "none"."""
    return read_json(schema.SOURCE)["source"] == schema.OFF


def learned(fetched: str, mapping: str, unmapped: int) -> Learned:
    """What data/pretrain holds of persons who are not evaluated.

    Arguments:
        fetched: source of the studies.
        mapping: file of persons, see `pneumonia.weak_labels.persons.evaluated`.
        unmapped: evaluated studies without a person that are put up with.

    Raises:
        ValueError: it cannot be known who is evaluated, or nobody else remains.
    """
    told = read_json(schema.SOURCE)
    table = schema.labels(told["findings"])
    test = read_ids(Path(TEST_FOLDER, SAMPLE_SUBMISSION))
    who = persons.evaluated(SPLIT.read(), test, mapping)
    persons.refuse_unknown(who, told["source"], fetched, unmapped)
    kept, left_out = persons.without(table.read(), who)
    if kept.empty:
        raise ValueError(
            f"all {told['images']} images of {schema.FOLDER} are of evaluated persons: nothing to learn from"
        )
    store = ShardStore(schema.SQUARES)
    counts = {
        **{name: told[name] for name in ("source", "images", "persons", "rejected", "labels_without_image")},
        **left_out,
        "evaluated_persons": len(who.persons),
        "evaluated_studies": who.studies,
        "evaluated_unmapped": who.unmapped,
    }
    inputs = [
        Path(table.path),
        Path(SPLIT.path),
        Path(TEST_FOLDER, SAMPLE_SUBMISSION),
        Path(mapping),
        *store.folder.iterdir(),
    ]
    return Learned(store, kept, told["findings"], counts, inputs)

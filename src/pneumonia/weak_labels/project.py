"""The files around the stages fetch_pretrain and pretrain: what a source leaves in data/pretrain, and who of it is learned from."""

from __future__ import annotations

import shutil
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from pneumonia.data.images.store import ShardStore
from pneumonia.files import fresh_dir, read_json, write_json
from pneumonia.schema import pretraining as schema
from pneumonia.schema.data import SPLIT
from pneumonia.schema.raw import SAMPLE_SUBMISSION, TEST_FOLDER
from pneumonia.sources.labels import read_ids
from pneumonia.weak_labels import chexpert, nih, persons, reports, squares
from pneumonia.weak_labels.labels import Labels

if TYPE_CHECKING:
    import pandas as pd


READERS = {"nih": nih.read, "chexpert": chexpert.read, "reports": reports.read}  # label file -> Labels


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


def fetch(
    folder: str | Path,
    *,
    source: str,
    path: str,
    labels: str,
    image_size: int,
    shard_rows: int,
    workers: int,
    state: Path,
) -> dict[str, Any]:
    """Make data/pretrain; returns the counts that stand in its source.json. Of the source "none" it holds that word alone."""
    if source == schema.OFF:
        with fresh_dir(folder) as made:
            write_json(made / Path(schema.SOURCE).name, {"source": source})
        return {"source": source}
    read: Labels = READERS[source](labels)
    images = Path(state).with_name(f"{Path(state).name}_images")
    written = squares.write(
        path,
        read.table["image"],
        read.key,
        images,
        size=image_size,
        shard_rows=shard_rows,
        workers=workers,
        state=state,
    )
    return _publish(Path(folder), source, read, written, images)


def _publish(folder: Path, source: str, read: Labels, written: squares.Written, images: Path) -> dict[str, Any]:
    import pandas as pd

    table = read.table[read.table["image"].isin(written.images)]
    rejected = [*read.rejected, *written.rejected]
    met = {*written.images, *(each.image for each in written.rejected)}
    counts = {
        "source": source,
        "findings": list(read.findings),
        "images": len(table),
        "persons": int(table["person"].nunique()),
        "rejected": dict(sorted(Counter(each.reason for each in rejected).items())),
        "labels_without_image": int((~read.table["image"].isin(met)).sum()),
        "images_without_label": written.unlisted,
    }
    with fresh_dir(folder) as made:
        schema.labels(read.findings).write(made / "labels.csv", table)
        schema.REJECTED.write(
            made / schema.REJECTED.name, pd.DataFrame(rejected, columns=list(schema.REJECTED.columns))
        )
        write_json(made / Path(schema.SOURCE).name, counts)
        shutil.move(images, made / Path(schema.SQUARES).name)
    return counts


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

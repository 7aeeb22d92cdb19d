"""What a source leaves in data/pretrain: squares, states of findings, what was refused."""

from __future__ import annotations

import shutil
from collections import Counter
from pathlib import Path
from typing import Any

from pneumonia.files import fresh_dir, write_json
from pneumonia.schema import pretraining as schema
from pneumonia.weak_labels import chexpert, nih, reports, squares
from pneumonia.weak_labels.labels import Labels

READERS = {"nih": nih.read, "chexpert": chexpert.read, "reports": reports.read}  # label file -> Labels


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

"""fetch_pretrain: weakly labelled radiographs, read where they lie, as squares and states of findings to data/pretrain."""

from pathlib import Path

from pneumonia import params
from pneumonia.schema.pretraining import FOLDER
from pneumonia.weak_labels.fetch import fetch


def main() -> None:
    every = params.load()
    p = every.pretrain
    counts = fetch(
        FOLDER,
        source=p.source,
        path=p.path,
        labels=p.labels,
        image_size=p.image_size,
        shard_rows=every.images.shard_rows,
        workers=every.images.workers,
        state=Path("state/fetch_pretrain"),
    )
    print(counts)


if __name__ == "__main__":
    main()

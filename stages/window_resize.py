"""Window and resize the cleaned studies: data/raw, data/clean -> data/images/<size>/."""

from pathlib import Path

from pneumonia import params
from pneumonia.data.shards import write_shards
from pneumonia.schema import raw
from pneumonia.schema.data import IMAGES, STUDIES


def main() -> None:
    p = params.load().images
    studies = STUDIES.read(columns=["study"])["study"].tolist()
    counts = write_shards(
        f"{raw.FOLDER}/{raw.IMAGES}",
        studies,
        Path(IMAGES),
        sizes=p.sizes,
        shard_rows=p.shard_rows,
        window=p.window.values(),
        workers=p.workers,
        executor=p.executor,
        scheduler=p.scheduler,
        state=Path("state/window_resize"),
    )
    print(f"{counts['studies']} studies in {len(p.sizes)} sizes ({counts['resumed']} of them from a broken run)")


if __name__ == "__main__":
    main()

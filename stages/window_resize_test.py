"""Window and resize every test study: data/raw_test -> data/images_test; what cannot be read becomes zeros."""

from pathlib import Path

from pneumonia import params
from pneumonia.archive import StudyArchive
from pneumonia.data.shards import write_shards
from pneumonia.schema import raw
from pneumonia.schema.data import TEST_IMAGES


def main() -> None:
    p = params.load().images
    archive = Path(raw.TEST_FOLDER, raw.IMAGES)
    members = StudyArchive(archive)
    counts = write_shards(
        archive,
        [*members.studies, *members.duplicates],  # an id of several files counts as unreadable, and still gets its row
        Path(TEST_IMAGES),
        sizes=p.sizes,
        shard_rows=p.shard_rows,
        window=p.window.values(),
        workers=p.workers,
        executor=p.executor,
        scheduler=p.scheduler,
        unreadable="skip",
        state=Path("state/window_resize_test"),
    )
    print(f"{counts['studies']} test studies in {len(p.sizes)} sizes, {counts['unreadable']} unreadable")


if __name__ == "__main__":
    main()

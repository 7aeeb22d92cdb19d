"""Shards of ten tiny studies: for the tests of the writer and of the reader."""

import numpy as np

from pneumonia.data.shards import write_shards
from pneumonia.rejection import Reason, StudyError

WINDOW = {"mode": "auto", "center": -600.0, "width": 1500.0, "percentiles": [0.5, 99.5]}


def open_reader():
    """Study "s017": 60 rows, 40 + 17 columns, all pixels 17."""

    def read(study):
        number = int(study[1:])
        return np.full((60, 40 + number), number, np.uint8), "none", 1.0

    return read


def open_broken_reader():
    read = open_reader()

    def broken(study):
        if study == "s003":
            raise StudyError(Reason.UNREADABLE, "cut short")
        return read(study)

    return broken


def write(folder, count=10, **options):
    ids = [f"s{number:03d}" for number in range(count)]
    options = {"sizes": [32, 16], "shard_rows": 4, "window": WINDOW, "workers": 1, "open_reader": open_reader} | options
    return write_shards(folder.parent / "none.zip", ids, folder, **options)


def content(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()
    }

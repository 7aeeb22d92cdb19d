"""What a study costs in window_resize, against the floor of JPEG decoding alone and against the usual script, by hand:

    python -m benchmarks.window_resize --studies 200

Real studies of ../shared/rsna-mini.zip, on one thread, in the processor's time, so that waiting for other work on the
machine does not count. Every way handles 16 studies (a task) before the next 16 are taken, so that a slower moment is one
for all of them; medians over the tasks. The usual script is `cv2.imwrite(png, cv2.resize(dcmread(file).pixel_array, (size,
size)))`; in the environment of requirements.lock pydicom decodes with Pillow.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import cv2
import numpy as np
import pydicom

from pneumonia import params
from pneumonia.archive import StudyArchive
from pneumonia.data.images.squares import resize_study
from pneumonia.data.shards import CHUNK, Job, Task, archive_reader, fill
from pneumonia.dicom import decoders
from pneumonia.dicom.parsing import parse
from pneumonia.dicom.study import read_study
from pneumonia.dicom.windowing import to_uint8

Result = TypeVar("Result")
SIZES = (
    (128, 192),
    (256,),
    (512,),
    (416, 512),
    (1024,),
)  # the default, one core, one size, the GPU profile, no resizing
PNG_SIZES = (192, 256, 512, 1024)


class Clock:
    """Milliseconds of the processor a study by name, a value a task."""

    def __init__(self) -> None:
        self.times: dict[str, list[float]] = defaultdict(list)

    def __call__(self, name: str, function: Callable[[], Result]) -> Result:
        start = time.process_time()
        result = function()
        self.times[name].append(1000 / CHUNK * (time.process_time() - start))
        return result

    def median(self, name: str) -> float:
        return float(np.median(self.times[name]))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--studies", type=int, default=200)
    parser.add_argument("--archive", type=Path, default=Path("../shared/rsna-mini.zip"))
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    window = params.load().images.window.values()
    archive = StudyArchive(arguments.archive)
    studies = archive.studies[: arguments.studies // CHUNK * CHUNK]
    clock = Clock()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        read = archive_reader(arguments.archive, window)
        jobs = {sizes: _job(folder / "-".join(map(str, sizes)), sizes) for sizes in SIZES}
        for start in range(0, len(studies), CHUNK):
            own = studies[start : start + CHUNK]
            files = [archive.read(study) for study in own]
            for number, data in enumerate(files):
                (folder / f"{number}.dcm").write_bytes(data)  # the usual script finds loose files
            frames = [
                np.frombuffer(decoders._encapsulated(parse(data, pixels=True).PixelData), np.uint8) for data in files
            ]
            clock("floor", lambda frames=frames: [cv2.imdecode(frame, cv2.IMREAD_GRAYSCALE) for frame in frames])
            for sizes, job in jobs.items():
                clock(f"ours {sizes}", lambda job=job, own=own: fill(job, read, Task(0, 0, own)))
            for size in PNG_SIZES:
                clock(f"usual {size}", lambda size=size, own=own: _usual(folder, len(own), size))
            _steps(clock, archive, own, window, jobs)
    _print(clock, len(studies))


def _usual(folder: Path, studies: int, size: int) -> None:
    for number in range(studies):
        pixels = pydicom.dcmread(folder / f"{number}.dcm").pixel_array
        cv2.imwrite(str(folder / f"{number}.png"), cv2.resize(pixels, (size, size)))


def _job(work: Path, sizes: tuple[int, ...]) -> Job:
    job = Job(work, sizes, "raise", lambda: None)  # type: ignore[arg-type, return-value]
    for size in sizes:
        job.part(size, 0).parent.mkdir(parents=True)
        np.lib.format.open_memmap(job.part(size, 0), "w+", np.uint8, (CHUNK, size, size))
    return job


def _steps(
    clock: Clock, archive: StudyArchive, studies: list[str], window: dict[str, Any], jobs: dict[tuple[int, ...], Job]
) -> None:
    """The same work step by step."""
    files = clock("read", lambda: [archive.read(study) for study in studies])
    clock("parse (within the next)", lambda: [parse(data, pixels=True) for data in files])
    read = clock("parse, header, decode", lambda: [read_study(data) for data in files])
    images = clock("window", lambda: [to_uint8(header, pixels, **window).image for header, pixels in read])
    for size in sorted({size for sizes in SIZES for size in sizes}):
        resized = clock(
            f"resize to {size}", lambda size=size: np.stack([resize_study(image, size) for image in images])
        )
        with jobs[next(sizes for sizes in SIZES if size in sizes)].part(size, 0).open("r+b") as stream:
            clock(
                f"write {size}", lambda stream=stream, resized=resized: (stream.seek(128), stream.write(resized.data))
            )


def _print(clock: Clock, studies: int) -> None:
    floor = clock.median("floor")
    print(f"{studies} studies, medians in ms; the floor, JPEG decoding alone, is {floor:.2f}")
    for name in clock.times:
        if not name.startswith(("ours", "usual", "floor")):
            print(f"  {name:24}{clock.median(name):8.2f}{clock.median(name) / floor:8.2f} floors")
    for sizes in SIZES:
        ours = clock.median(f"ours {sizes}")
        usual = [
            f"{np.median(np.divide(clock.times[f'usual {size}'], clock.times[f'ours {sizes}'])):.1f}x a PNG of {size}"
            for size in PNG_SIZES
            if size >= min(sizes)
        ]
        print(
            f"  ours {sizes!s:20}{ours:8.2f}{ours / floor:8.2f} floors; as fast as the usual script: {', '.join(usual)}"
        )
    for size in PNG_SIZES:
        print(
            f"  usual {size:<19}{clock.median(f'usual {size}'):8.2f}{clock.median(f'usual {size}') / floor:8.2f} floors"
        )


if __name__ == "__main__":
    main()

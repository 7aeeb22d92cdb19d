"""What a worker of a cluster does: a part of an input is read there as it would be on one machine, or not at all.

The worker sees the same input and models at the same paths, and has the same versions; where that is not so, the error names
the worker and what differs.
"""

from __future__ import annotations

import hashlib
import platform
import socket
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from pneumonia import cluster
from pneumonia.files import sha256, source
from pneumonia.reading_room.inputs import FAILED, Portion
from pneumonia.reading_room.predict import Part, Wanted, read_part
from pneumonia.reading_room.reader import Reader, Recipe
from pneumonia.runtime.choice import KERAS
from pneumonia.schema.models import MODELS

PROJECT = "pneumonia"
CODE = ("pneumonia", "keraskit", "mrcnn", "yolov3")
PACKAGES = ("numpy", "pandas", "opencv-python-headless", "pydicom", "imagecodecs", "pillow")  # that decide on results
OF_RUNTIME = {KERAS: ("keras", "tensorflow", "jax", "torch"), "onnx": ("onnxruntime",)}


@dataclass(frozen=True, kw_only=True)
class Job:
    """What the parts of one input share.

    Attributes:
        recipe: of the reader; its models lie at an absolute path.
        wanted: of each study.
        source: the input, absolute.
        folder: where pictures and objects go, absolute.
        versions: of the machine that gives the job, see `versions`.
        models: SHA-256 of the models' files there, see `model_files`.
    """

    recipe: Recipe
    wanted: Wanted
    source: Path
    folder: Path
    versions: Mapping[str, str]
    models: Mapping[str, str]


def versions(recipe: Recipe, wanted: Wanted) -> dict[str, str]:
    """What must be the same everywhere: this project to the letter, the packages that decide on results, Python, the kind of processor."""
    names = [*PACKAGES, *OF_RUNTIME[recipe.runtime], *(["highdicom"] if wanted.dicom else [])]
    found = {name: _version(name) for name in names}
    code = hashlib.sha256()
    for package in CODE:
        root = source(package).parent
        for path in sorted(root.rglob("*.py")):
            code.update(f"{package}/{path.relative_to(root).as_posix()} {sha256(path)}\n".encode())
    found[PROJECT] = f"{_version(PROJECT)}, code {code.hexdigest()[:12]}"
    return found | {"Python": platform.python_version(), "processor": platform.machine()}


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "none"


def model_files(models: Path) -> dict[str, str]:
    """SHA-256 of every file of every model in a folder, by its path there."""
    paths = [path for name in MODELS for path in sorted((models / name).rglob("*")) if path.is_file()]
    return {path.relative_to(models).as_posix(): sha256(path) for path in paths}


_reading = threading.Lock()  # of a worker with several threads: one part at a time, by models that share its threads
_ready: tuple[Job, Reader] | None = None


def read(job: Job, portion: Portion) -> Part:
    """Have the studies of a part read, on a worker.

    Raises:
        ValueError: this worker is not like the machine that gave the job, or the models fail on any image.
    """
    global _ready
    with _reading:
        if _ready is None or _ready[0] != job:
            _ready = None  # the models of before, if any, need their memory no longer
            _ready = job, _reader(job)
        _check_files(job, portion)
        part = read_part(_ready[1], portion, portion.entries, job.folder, job.wanted, threads=_threads())
        if any(said["status"] == FAILED for said in part.said.values()):
            _check_files(job, portion)  # a file system that went away is no fault of a study
        return part


def _reader(job: Job) -> Reader:
    import cv2

    own = versions(job.recipe, job.wanted)
    if other := {name for name, version in own.items() if job.versions.get(name) != version}:
        said = "; ".join(f"{name} {own[name]}, wanted {job.versions.get(name)}" for name in sorted(other))
        raise ValueError(f"{_here()} has other versions: {said}; install the same on every machine")
    found = model_files(job.recipe.models)
    if not found:
        raise ValueError(f"{_here()} sees no models at {job.recipe.models}; have it see them at the same path")
    if differ := sorted(name for name in {*found, *job.models} if found.get(name) != job.models.get(name)):
        raise ValueError(
            f"{_here()} has other models at {job.recipe.models}: {', '.join(differ)} (by SHA-256); put the same there"
        )
    _check_source(job)
    if (job.wanted.overlays or job.wanted.dicom) and not job.folder.is_dir():
        raise ValueError(
            f"{_here()} does not see {job.folder}, where pictures and objects go; have it see the folder of --output at the "
            "same path, or leave them out (--no-overlays)"
        )
    if cv2.getNumThreads() != 1:
        cv2.setNumThreads(1)
    return job.recipe.load(threads=_threads())


def _check_source(job: Job) -> None:
    if not job.source.exists():
        raise ValueError(f"{_here()} sees no input at {job.source}; have it see the input at the same path")


def _check_files(job: Job, portion: Portion) -> None:
    _check_source(job)
    if differing := portion.differing():
        raise ValueError(
            f"{_here()} has other files at {job.source} than were listed, such as that of study {differing[0].key}; have it "
            "see the same input, or, where the input has changed, run the command again"
        )


def _threads() -> int:
    return cluster.worker()[1]


def _here() -> str:
    return f"the worker {cluster.worker()[0]} on {socket.gethostname()}"

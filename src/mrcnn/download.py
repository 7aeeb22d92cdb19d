"""The weights that trainings start from, from where they are published: Matterport's own, and ImageNet's of ResNet50."""

from __future__ import annotations

import contextlib
import hashlib
import os
import sys
import tempfile
import urllib.request
from pathlib import Path
from typing import Any

# Matterport's release 2.0 of 2017: ResNet101, 81 classes, trained on COCO.
COCO_MODEL_URL = "https://github.com/matterport/Mask_RCNN/releases/download/v2.0/mask_rcnn_coco.h5"
# Release 0.2 of Chollet's deep-learning-models: a ResNet50 with the layer names that Matterport took over.
IMAGENET_MODEL_URL = (
    "https://github.com/fchollet/deep-learning-models/releases/download/v0.2/"
    "resnet50_weights_tf_dim_ordering_tf_kernels_notop.h5"
)
IMAGENET_MD5 = "a268eb855778b3df3c7506639542a6af"


def download_trained_weights(coco_model_path: str | Path, verbose: int = 1, url: str = COCO_MODEL_URL) -> None:
    """Download Matterport's COCO weights (about 258 MB) to `coco_model_path`, whole or not at all.

    Arguments:
        verbose: 0 for no progress bar.

    Raises:
        ConnectionError: the download fails or breaks off; it names the address and where to put the file by hand.
    """
    _download(url, Path(coco_model_path), verbose)


def imagenet_weights(
    folder: str | Path | None = None, url: str = IMAGENET_MODEL_URL, md5: str = IMAGENET_MD5, verbose: int = 1
) -> Path:
    """The file of ResNet50's ImageNet weights without its classifier (about 95 MB), downloaded if it is not there.

    Arguments:
        folder: where it is kept; None: the folder of Keras' own downloads, `models` in `KERAS_HOME` or `~/.keras`.
        md5: what its publisher gives, in hex.

    Raises:
        ConnectionError: as `download_trained_weights`.
        ValueError: the file is another one.
    """
    home = Path(os.environ.get("KERAS_HOME") or Path.home() / ".keras")
    path = (home / "models" if folder is None else Path(folder)) / url.rsplit("/", 1)[1]
    if not path.exists():
        _download(url, path, verbose)
    found = hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()
    if found != md5:
        raise ValueError(f"{path} has MD5 {found}, not {md5} of {url}: remove it, and it is downloaded again")
    return path


def _bar(title: str, size: int) -> Any:
    """A progress bar; None where tqdm is not installed: a bar is no reason to fail."""
    try:
        from tqdm import tqdm
    except ModuleNotFoundError:
        return contextlib.nullcontext()
    return tqdm(total=size or None, desc=title, unit="B", unit_scale=True, file=sys.stderr)


def _download(url: str, path: Path, verbose: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent, delete=False) as file:
        temporary = Path(file.name)
        try:
            with urllib.request.urlopen(url, timeout=60) as response:
                size = int(response.headers.get("Content-Length") or 0)
                with _bar(path.name, size) if verbose else contextlib.nullcontext() as bar:
                    while block := response.read(1 << 20):
                        file.write(block)
                        if bar is not None:
                            bar.update(len(block))
            file.flush()
            if size and temporary.stat().st_size != size:
                raise OSError(f"{temporary.stat().st_size} of {size} bytes came")
            temporary.chmod(0o644)
            temporary.replace(path)
        except OSError as error:
            raise ConnectionError(
                f"{url} could not be downloaded ({error}). Download it elsewhere and put it at {path}"
            ) from error
        finally:
            with contextlib.suppress(FileNotFoundError):
                temporary.unlink()

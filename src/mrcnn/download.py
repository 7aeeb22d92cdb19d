"""Matterport's own weights, from where it publishes them."""

from __future__ import annotations

import contextlib
import sys
import tempfile
import urllib.request
from pathlib import Path

from tqdm import tqdm

# Matterport's release 2.0 of 2017: ResNet101, 81 classes, trained on COCO.
COCO_MODEL_URL = "https://github.com/matterport/Mask_RCNN/releases/download/v2.0/mask_rcnn_coco.h5"


def download_trained_weights(coco_model_path: str | Path, verbose: int = 1, url: str = COCO_MODEL_URL) -> None:
    """Download Matterport's COCO weights (about 258 MB) to `coco_model_path`, whole or not at all.

    verbose: 0 for no progress bar. Raises ConnectionError, naming the address and where to put the file by hand, where
    the download fails or breaks off.
    """
    path = Path(coco_model_path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent, delete=False) as file:
        temporary = Path(file.name)
        try:
            with urllib.request.urlopen(url, timeout=60) as response:
                size = int(response.headers.get("Content-Length") or 0)
                bar = tqdm(
                    total=size or None, desc=path.name, unit="B", unit_scale=True, disable=not verbose, file=sys.stderr
                )
                with bar:
                    while block := response.read(1 << 20):
                        file.write(block)
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

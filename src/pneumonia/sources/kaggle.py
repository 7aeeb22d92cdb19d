"""The challenge from Kaggle, by Kaggle's own client (the extra `kaggle`), kept below data/source for the next time."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pneumonia.archive import open_zip
from pneumonia.sources import local

COMPETITION = "rsna-pneumonia-detection-challenge"
PAGE = f"https://www.kaggle.com/c/{COMPETITION}"


class KaggleError(RuntimeError):
    """The download could not be had; the message says what to do."""


def fetch_labelled(
    store: Path, folder: Path, sha256: str = "", persons: Path | None = None, client: Any = None
) -> None:
    """Download the challenge to the folder `store` unless it lies there, and write the labelled studies into `folder`.

    Arguments:
        client: an authenticated `KaggleApi`; None makes one.

    Raises:
        KaggleError: the challenge cannot be had.
        FileNotFoundError, ValueError: as `pneumonia.sources.local`.
    """
    local.fetch_labelled(download(store, client), folder, sha256, persons)


def fetch_test(store: Path, folder: Path, sha256: str = "", client: Any = None) -> None:
    """The same for the test studies."""
    local.fetch_test(download(store, client), folder, sha256)


def download(store: Path, client: Any = None) -> Path:
    """The challenge's zip in the folder `store`, downloaded (4 GB) unless a whole one lies there."""
    path = Path(store) / f"{COMPETITION}.zip"
    if path.is_file() and _is_whole(path):
        return path
    store.mkdir(parents=True, exist_ok=True)
    client = client or connect()
    try:
        client.competition_download_files(COMPETITION, path=str(store), quiet=False)
    except Exception as error:  # the client's releases raise different types for one refusal
        raise KaggleError(_explain(error)) from error
    if not (path.is_file() and _is_whole(path)):
        raise KaggleError(
            f"the download did not leave a whole archive at {path}; run it again, which goes on where it ended"
        )
    return path


def connect() -> Any:
    """An authenticated client.

    Raises:
        KaggleError: it is not installed, or finds no credentials.
    """
    advice = (
        "Kaggle credentials are missing or not valid: create an API token in your Kaggle account's settings and put it "
        "at ~/.kaggle/kaggle.json, or set KAGGLE_USERNAME and KAGGLE_KEY"
    )
    # Without credentials some releases end the process at import or in authenticate().
    try:
        from kaggle.api.kaggle_api_extended import KaggleApi

        client = KaggleApi()
        client.authenticate()
    except ImportError as error:
        raise KaggleError(
            "fetch.source is kaggle, but its client is not installed: pip install -e '.[kaggle]' in the project"
        ) from error
    except (SystemExit, OSError, ValueError) as error:
        raise KaggleError(advice) from error
    return client


def _is_whole(path: Path) -> bool:
    try:
        open_zip(path).close()
    except ValueError:
        return False
    return True


def _explain(error: Exception) -> str:
    status = getattr(getattr(error, "response", None), "status_code", None) or getattr(error, "status", None)
    if status == 401:
        return "Kaggle refused the credentials (401): create a new API token and put it at ~/.kaggle/kaggle.json"
    if status == 403:
        return (
            f"Kaggle refused the download (403): accept the challenge's rules at {PAGE}/rules with your token's account"
        )
    if status == 404:
        return f"Kaggle does not know {COMPETITION} (404): update its client, pip install --upgrade kaggle"
    advice = f"run it again, or download {PAGE}/data by hand and set source to local"
    return f"the download from Kaggle failed ({type(error).__name__}: {error}); {advice}"

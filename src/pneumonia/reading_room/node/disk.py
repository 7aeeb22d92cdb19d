"""The folder of a queue: its files, and the room that is held for the notes that free a full disk."""

from __future__ import annotations

import fcntl
import os
import shutil
from contextlib import suppress
from pathlib import Path

RESERVE = 2**21  # bytes


class Disk:
    """One node at a time holds the folder.

    Arguments:
        beside: whether to work beside a node that may hold it.

    Attributes:
        incoming: where files lie that are not accepted yet.

    Raises:
        BlockingIOError: another node holds it.
    """

    def __init__(self, folder: Path, *, beside: bool = False) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o700)  # for this user's eyes alone: it holds patients' images
        for name in ("incoming", "images", "results"):
            (folder / name).mkdir(exist_ok=True)
        self.folder, self.incoming, self._reserve = folder, folder / "incoming", folder / "reserve"
        self._handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            if not beside:
                fcntl.flock(self._handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            os.close(self._handle)
            raise BlockingIOError(f"another node works on {folder}; end it, or name another folder") from error

    def close(self) -> None:
        """Let the folder go."""
        os.close(self._handle)

    def image(self, ticket: str) -> Path:
        """Where the file of an image lies, if it does."""
        return self.folder / "images" / f"{ticket}.dcm"

    def results(self, ticket: str) -> Path:
        """The folder where the results of an image lie, if they do."""
        return self.folder / "results" / ticket

    def kept_image(self, ticket: str) -> Path | None:
        """The file of an image, as long as it lies in the node's folder."""
        return self.image(ticket) if self.image(ticket).is_file() else None

    def kept_results(self, ticket: str) -> list[Path]:
        """The files of an image's results, as long as they lie in the node's folder."""
        return sorted(self.results(ticket).glob("*.dcm"))

    def names(self, folder: str) -> set[str]:
        """The tickets of which there are files in `images`, or in `results`."""
        return {path.name.removesuffix(".dcm") for path in (self.folder / folder).iterdir()}

    def remove_image(self, ticket: str) -> None:
        """Where there is one."""
        self.image(ticket).unlink(missing_ok=True)

    def remove_results(self, ticket: str) -> None:
        """Where there are some."""
        shutil.rmtree(self.results(ticket), ignore_errors=True)

    def clear_incoming(self) -> None:
        """Remove all that lies there."""
        shutil.rmtree(self.incoming)
        self.incoming.mkdir()

    def keep_reserve(self) -> None:
        """Hold room for the notes that free a full disk, where there is some."""
        if self._reserve.exists() or self.free_bytes() < 2 * RESERVE:
            return
        with suppress(OSError), self._reserve.open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, RESERVE)

    def free_reserve(self) -> None:
        """Let that room go: what was delivered can then be noted, and its files go."""
        self._reserve.unlink(missing_ok=True)

    def free_bytes(self) -> int:
        """Of the disk that the folder lies on."""
        return shutil.disk_usage(self.folder).free


def sync(path: Path) -> None:
    """Make a file's content, or the names in a folder, durable."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)

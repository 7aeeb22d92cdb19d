"""The database of a queue, and the one lock under which it and the queue's files change."""

from __future__ import annotations

import fcntl
import os
import sqlite3
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pneumonia.reading_room.node import tables

BOOKS = "queue.sqlite"


class Base:
    """Safe to use from several threads, and beside another process.

    Arguments:
        beside: whether a node may have it open; then its tables are left as they are.

    Attributes:
        lock: is held where the database is read; see `exclusive` for what changes it.

    Raises:
        sqlite3.Error: it cannot be opened.
        ValueError: it is of another version.
    """

    def __init__(self, folder: Path, *, beside: bool = False) -> None:
        self.lock, self._depth = threading.RLock(), 0
        self._between = os.open(folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        self._base = sqlite3.connect(folder / BOOKS, timeout=60, check_same_thread=False, isolation_level=None)
        try:
            self._base.execute("PRAGMA journal_mode = WAL")
            self._base.execute("PRAGMA synchronous = FULL")  # a commit is on disk before a sender is told "stored"
            # pages: the log of changes stays smaller than the reserve
            self._base.execute("PRAGMA wal_autocheckpoint = 100")
            if beside:
                tables.require(self._base.execute("PRAGMA user_version").fetchone()[0])
            else:
                tables.prepare(self._base)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Let it go."""
        with self.lock:
            self._base.close()
            os.close(self._between)

    def run(self, query: str, values: Sequence[Any] = ()) -> sqlite3.Cursor:
        """Run a query, under a lock of the caller's."""
        return self._base.execute(query, values)

    def many(self, query: str, values: Iterable[Sequence[Any]]) -> None:
        """Run a query for each of `values`."""
        self._base.executemany(query, values)

    def one(self, query: str, *values: str) -> tuple[str, ...] | None:
        """The first row of a query's."""
        row: tuple[str, ...] | None = self._base.execute(query, values).fetchone()
        return row

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        """One thread of one process at a time."""
        with self.lock:
            if not self._depth:
                fcntl.flock(self._between, fcntl.LOCK_EX)
            self._depth += 1
            try:
                yield
            finally:
                self._depth -= 1
                if not self._depth:
                    fcntl.flock(self._between, fcntl.LOCK_UN)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """The same, and all that is changed meanwhile is changed, or nothing."""
        with self.exclusive():
            self._base.execute("BEGIN IMMEDIATE")
            try:
                yield
            except BaseException:
                self._base.execute("ROLLBACK")
                raise
            self._base.execute("COMMIT")

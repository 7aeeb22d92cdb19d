"""What the node lends to its page: all that a request can see or change."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pneumonia.reading_room.node.web.shelf import Shelf


@dataclass(frozen=True, kw_only=True)
class Desk:
    """One queue, one reader: the same that associations use.

    Attributes:
        incoming: folder where files lie until the queue takes them.
        images: SOP classes that are taken.
        object_bytes, request_bytes: of one image, and of a request with several.
        uploads: requests with images at once; more are told to come again.
        seconds: that a client may be silent in the middle of what it sends.
        shelf: what was seen of the images that were read last.
        ticket: the queue's name of an image, by its SOP Instance UID.
        take: puts a file of `incoming` into the queue, given sender and ticket: `accepted`, `known` or `busy`, and the
            ticket under which it is there.
        busy: whether the queue is full or the disk is.
        health: as of /health.
        rows: of the queue, newest first: ticket, sender, state, reason, received (seconds since the epoch) and more.
    """

    incoming: Path
    images: Collection[str]
    object_bytes: int
    request_bytes: int
    uploads: int
    seconds: float
    shelf: Shelf
    ticket: Callable[[str], str]
    take: Callable[[str, str, Path], tuple[str, str]]
    busy: Callable[[], bool]
    health: Callable[[], Mapping[str, Any]]
    rows: Callable[[], Sequence[Mapping[str, Any]]]

"""What the queue's books hold, as plain values, and the names that images go by there."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Image:
    """An image to read.

    Attributes:
        ticket: its name in the queue and the log.
        path: its file in the queue.
        sender: the AE title that sent it.
        tries: how often reading was begun, this time included.
        received: when it came in, seconds since the epoch: it may be forgotten while it is read, and another come in its place.
    """

    ticket: str
    path: Path
    sender: str
    tries: int
    received: float


@dataclass(frozen=True)
class Parcel:
    """A result to send.

    Attributes:
        ticket: of the image that it is of.
        peer: name of the peer that it is for.
        path: its file in the queue.
        received: when the image came in, seconds since the epoch.
        tries: how often it was tried in vain.
        failing: since when, seconds since the epoch; None where it was not tried in vain.
    """

    ticket: str
    peer: str
    path: Path
    received: float
    tries: int
    failing: float | None


@dataclass(frozen=True)
class Accepted:
    """What became of an image that came in; true where it was taken, false where it was known.

    Attributes:
        ticket: of the image, or of the one that it is a copy of.
        new: whether it was taken.
    """

    ticket: str
    new: bool

    def __bool__(self) -> bool:
        return self.new


@dataclass(frozen=True)
class Row:
    """What the books say of one image; nothing in it names a person.

    Attributes:
        ticket: its name in the queue and the log.
        sender: the AE title that sent it.
        receivers: titles of the peers that its results are for.
        state: waiting (to be read), answering (results are being sent), answered, refused (not to be read, or not readable),
            failed (given up by the node), undelivered (results that a peer did not take, or that were for nobody).
        outcome: positive, negative, not analysed or failed; empty where it is not known yet.
        reason: why it was not analysed, or failed.
        fault: why a result of it was not taken.
        received, finished: seconds since the epoch; finished is None until nothing is left to do.
        tries: how often reading it was begun.
        waiting: results that wait, by peer.
        image, results: whether its file, or its results, lie in the node's folder.
    """

    ticket: str
    sender: str
    receivers: tuple[str, ...]
    state: str
    outcome: str
    reason: str
    fault: str
    received: float
    finished: float | None
    tries: int
    waiting: dict[str, int]
    image: bool
    results: bool


@dataclass(frozen=True)
class Debt:
    """What one peer has yet to take.

    Attributes:
        results: how many.
        oldest: when the image of the oldest came in, seconds since the epoch.
        in_vain: how many of them were tried in vain.
        failing: since when the first of those is tried, seconds since the epoch; None where there is none.
    """

    results: int
    oldest: float
    in_vain: int
    failing: float | None


def ticket(sop_instance: str) -> str:
    """The name of an image in the queue and the log."""
    return hashlib.sha256(sop_instance.encode()).hexdigest()[:32]


def image_of(name: str) -> str:
    """The part of a ticket that is a hash of the SOP Instance UID: what `ticket` gives."""
    return name.partition("-")[0]

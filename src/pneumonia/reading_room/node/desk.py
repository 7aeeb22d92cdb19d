"""`pneumonia node`: a node's books for the person who looks after it, whether the node runs or not.

The queue's lock lies between this and the node (see `pneumonia.reading_room.node.base`), so a kill of either harms neither.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict
from pathlib import Path

from pneumonia.reading_room.node.queue import Queue
from pneumonia.reading_room.node.records import Row
from pneumonia.reading_room.node.settings import Settings

AGAIN = "its file was not kept (keep_images); it will be read again if it is sent again"


def opened(settings: Settings) -> Queue:
    """The queue of the node that has these settings.

    Raises:
        FileNotFoundError: it has none yet.
    """
    return Queue(Path(settings.folder), beside=True)


def table(rows: Iterable[Row]) -> str:
    """One line an image."""
    heads = ("received (UTC)", "ticket", "from", "state", "outcome", "waiting for", "kept", "why")
    lines = [heads]
    for row in rows:
        waiting = ", ".join(f"{peer} ({number})" for peer, number in row.waiting.items())
        kept = [word for word, is_kept in (("image", row.image), ("results", row.results)) if is_kept]
        why = "; ".join(text for text in (row.reason, row.fault) if text)
        moment = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(row.received))
        lines.append((moment, row.ticket, row.sender, row.state, row.outcome, waiting, ", ".join(kept), why))
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines
    )


def as_json(rows: Iterable[Row]) -> str:
    """The same as a JSON list; times are seconds since the epoch."""
    return json.dumps([asdict(row) for row in rows], indent=2)


def reread(queue: Queue, row: Row) -> str:
    """What became of it, in words."""
    return "is read again" if queue.reread(row.ticket) else AGAIN


def resend(queue: Queue, row: Row, *, peers: list[str], settings: Settings) -> str:
    """What became of it, in words.

    Raises:
        ValueError: nothing can be sent.
    """
    for title in peers:
        if title not in settings.peers or not settings.peers[title].reached:
            raise ValueError(f"{title} is no peer with a host and a port")
    number = queue.outbox.resend(row.ticket, peers)
    if number:
        return f"{number} results are sent again to {', '.join(peers or row.waiting or row.receivers)}"
    if row.image:
        raise ValueError("its results were not kept (keep_results); have it read again: pneumonia node reread")
    raise ValueError("neither its results nor its file were kept (keep_results, keep_images); have it sent again")


def forget(queue: Queue, row: Row, *, force: bool) -> str:
    """What became of it, in words.

    Raises:
        ValueError: it is not done with.
    """
    try:
        queue.ended.drop(row.ticket, force=force)
    except ValueError as error:
        raise ValueError(f"{error}; --force forgets it all the same, and it is not answered") from error
    return "is forgotten, with its files"


def each(
    queue: Queue, names: Iterable[str], rows: Iterable[Row], work: Callable[[Queue, Row], str]
) -> tuple[list[str], bool]:
    """Do `work` to the images that are named, and to `rows`.

    Returns:
        a line for each, and whether all could be done.
    """
    lines, whole, known = [], True, {row.ticket: row for row in rows}
    for name in names:
        found = queue.books.find(name)
        if not found:
            lines.append(f"{name}: no image of the books is called so")
            whole = False
        known |= {row.ticket: row for row in found}
    for row in known.values():
        try:
            lines.append(f"{row.ticket}: {work(queue, row)}")
        except ValueError as error:
            lines.append(f"{row.ticket}: {error}")
            whole = False
    return lines, whole

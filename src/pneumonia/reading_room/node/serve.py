"""`pneumonia serve`: queue, listener, worker, couriers and status, put together, until a signal ends it."""

from __future__ import annotations

import logging
import os
import signal
import sqlite3
import ssl
import sys
import threading
import time
import warnings
from collections.abc import Callable
from contextlib import ExitStack, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pneumonia import extras
from pneumonia.reading_room.admission import IMAGES, SECONDARY_CAPTURE, check
from pneumonia.reading_room.node import status
from pneumonia.reading_room.node.commitment import Commitments, CommittingCourier
from pneumonia.reading_room.node.courier import KINDS, Courier, client_context
from pneumonia.reading_room.node.disk import RESERVE
from pneumonia.reading_room.node.ended import Keep
from pneumonia.reading_room.node.health import Health
from pneumonia.reading_room.node.listener import Listener, server_context
from pneumonia.reading_room.node.queue import Queue
from pneumonia.reading_room.node.records import image_of, ticket
from pneumonia.reading_room.node.settings import Peer, Settings
from pneumonia.reading_room.node.status import Metrics
from pneumonia.reading_room.node.stow import StowCourier, authorization
from pneumonia.reading_room.node.transport import Bounds
from pneumonia.reading_room.node.web.names import PAGE
from pneumonia.reading_room.node.webhook import Alerts

if TYPE_CHECKING:
    from pneumonia.reading_room.reader import Reader

LOG = logging.getLogger(__name__.rpartition(".")[0])  # the whole node's
MIB = 2**20
# Seconds: between two looks for images to forget, and at the reserve of disk; until a part that failed goes on.
FORGET_EVERY, RESERVE_EVERY, AGAIN_AFTER = 3600.0, 30.0, 5.0


class Node:
    """A node that runs from `start` to `stop`.

    Arguments:
        settings: of `pneumonia.reading_room.node.settings`.
        load: makes the reader; called once, in a thread of its own, with what the settings say of it: `capture` and `admit`.
        key: says which models and params that reader has, as `pneumonia.reading_room.trained.key` does; called once.

    Attributes:
        ended: is set by who wants it to end, and where it cannot go on.
    """

    def __init__(self, settings: Settings, load: Callable[..., Reader], key: Callable[[], str] = lambda: "") -> None:
        s, self._stop, self.ended = settings, threading.Event(), threading.Event()
        self._settings, self._load = s, load
        self._threads = dict[str, threading.Thread]()
        tls = (s.tls.certificate, s.tls.key, s.tls.authority) if s.tls else None
        self._commitments = Commitments()
        receivers = [name for name, peer in s.peers.items() if peer.reached]
        self._wake = {name: threading.Event() for name in ("", *receivers)}  # "": of the reader
        self._key = once(lambda: s.known_by(key()))
        with ExitStack() as undo:
            self.queue = Queue(
                Path(s.folder),
                reader=self._key,
                receivers=s.receivers,
                keep=Keep(images=s.keep_images, results=s.keep_results),
            )
            undo.callback(self.queue.close)
            self._health = Health(self.queue, s)
            self.metrics = Metrics(
                self.queue.books.counts,
                lambda: self.listener.associations,
                lambda: self.listener.refused,
                lambda: self.listener.cut,
                lambda: self.listener.tls_failures,
            )
            self.metrics.watch(self.queue.books.outcomes, self.queue.outbox.debts)
            self._alerts = (
                Alerts(
                    self.queue.books,
                    title=s.title,
                    **s.webhook.values(),
                    conditions=self._health.conditions,
                    stop=self._stop,
                )
                if s.webhook
                else None
            )
            self.listener = Listener(
                self.queue,
                title=s.title,
                allowed=list(s.peers),
                images=(*IMAGES, SECONDARY_CAPTURE) if s.accept.secondary_capture else IMAGES,
                address=(s.host, s.port),
                bounds=Bounds(
                    associations=s.limits.associations,
                    associations_per_host=s.limits.associations_per_host,
                    pdu_bytes=s.limits.pdu_bytes,
                    object_bytes=s.limits.object_mib * MIB,
                    seconds=s.limits.seconds,
                ),
                waiting=s.limits.waiting,
                free_bytes=s.limits.free_disk_mib * MIB,
                tls=server_context(*tls) if tls else None,
                count=self._stored,
                commitments=self._commitments if any(p.commitment and p.host for p in s.peers.values()) else None,
            )
            undo.callback(self.listener.stop)
            self._couriers = [
                self._courier(name, s.peers[name], client_context(*tls) if tls and s.peers[name].tls else None)
                for name in receivers
            ]
            self.page = None
            if s.web is not None:
                extras.require("starlette", "uvicorn", what="the page of the node (settings: web)")
                from pneumonia.reading_room.node.page import Page

                images = (*IMAGES, SECONDARY_CAPTURE) if s.accept.secondary_capture else IMAGES
                self.page = Page(
                    self.queue, s, s.web, images=images, health=self.health, count=self._stored, stop=self._stop
                )
                undo.callback(self.page.close)
            self._status = status.serve((s.status.host, s.status.port), self.metrics.registry, self.health)
            undo.pop_all()

    def start(self) -> None:
        """Listen and send, and read once the models are loaded, each in a thread of its own."""
        s = self._settings
        for peer, number in self.queue.outbox.undelivered_to().items():
            if not s.peers.get(peer, Peer()).reached and not (s.web and peer == PAGE):
                LOG.error("results=%d wait for %s, which the settings give no address", number, peer)
        self._run("listener", partial(self._keep_up, "listener", self.listener.serve))
        LOG.info(
            "listening title=%s port=%d status=%s:%d",
            s.title, self.listener.port, *self._status.server_address[:2],
        )  # fmt: skip
        for number, courier in enumerate(self._couriers):
            self._run(f"courier {number}", partial(self._keep_up, f"courier {number}", courier.serve))
        self._run("books", partial(self._keep_up, "books", self._forget))
        if self.page is not None:
            self._run("page", partial(self._keep_up, "page", self.page.serve))
            self._run("page's results", partial(self._keep_up, "page's results", self.page.hand_over))
            LOG.info("page port=%d", self.page.port)
        if self._alerts:
            self._run("alerts", partial(self._keep_up, "alerts", self._alerts.serve))
        self._run("key", self._ask_key)
        self._run("reader", self._read)

    def stop(self) -> None:
        """End after what is being read and sent now; the rest waits on disk. A second call does nothing."""
        if self._stop.is_set():
            return
        self._stop.set()
        for each in self._wake.values():
            each.set()
        self.listener.stop()
        if self.page is not None:
            self.page.stop()
        for name, thread in self._threads.items():
            if name != "reader" or self._health.ready:  # models that are being loaded are not waited for
                thread.join(timeout=60)
        self._status.shutdown()
        self._status.server_close()
        self.queue.close()
        LOG.info("ended")

    def health(self) -> dict[str, Any]:
        """What /health says; see `pneumonia.reading_room.node.health`."""
        return self._health.said()

    @property
    def broken(self) -> bool:
        """Whether it cannot go on, since its models cannot be loaded; what was accepted waits on disk."""
        return self._health.broken

    @property
    def loading(self) -> bool:
        """Whether the models are being loaded, which nothing can interrupt."""
        return not self._health.ready and any(
            name == "reader" and each.is_alive() for name, each in self._threads.items()
        )

    @property
    def status_port(self) -> int:
        """Of /health and /metrics."""
        return int(self._status.server_address[1])

    def _courier(self, name: str, peer: Peer, tls: ssl.SSLContext | None) -> Courier:
        s = self._settings
        common: dict[str, Any] = {
            "title": s.title,
            "peer": name,
            "tls": tls,
            "first_pause": s.delivery.first_pause,
            "longest_pause": s.delivery.longest_pause,
            "give_up": s.delivery.give_up_hours * 3600,
            "seconds": s.limits.seconds,
            "count": self.metrics.sent,
            "stop": self._stop,
            "kinds": peer.objects or tuple(KINDS),
            "wake": self._wake[name],
        }
        if peer.url is not None:
            login = authorization(Path(peer.login_file)) if peer.login_file else ""
            return StowCourier(self.queue.outbox, url=peer.url, login=login, commitment=peer.commitment, **common)
        address = peer.host or "", peer.port or 0
        if peer.commitment:
            return CommittingCourier(self.queue.outbox, commitments=self._commitments, address=address, **common)
        return Courier(self.queue.outbox, address=address, **common)

    def _stored(self, outcome: str) -> None:
        self.metrics.stored(outcome)
        self._wake[""].set()

    def _was_read(self, outcome: str, seconds: float) -> None:
        self.metrics.read(outcome, seconds)
        for name in self._wake.keys() - {""}:
            self._wake[name].set()

    def _admit(self, data: bytes, name: str) -> None:
        check(data, **self._settings.accept.values(), announced=lambda uid: ticket(uid) == image_of(name))

    def _read(self) -> None:
        """Load the models and warm them up, then read what waits."""
        s, began = self._settings, time.monotonic()
        try:
            from pneumonia.reading_room.node.worker import Worker  # heavy: the node listens meanwhile

            reader = self._load(capture=s.capture, admit=self._admit)
            reader.warm_up(s.batch)
            reader = self.page.watching(reader) if self.page else reader
        except Exception as error:  # as where their files are damaged; its text names those
            LOG.critical("models cannot be loaded error=%s: %s", type(error).__name__, error)
            self._health.broken = True
            self.ended.set()
            return
        if self._stop.is_set():
            return
        self._health.ready = True
        LOG.info("models ready seconds=%.1f", time.monotonic() - began)
        worker = Worker(
            self.queue,
            reader,
            receivers=s.receivers,
            batch=s.batch,
            count=self._was_read,
            stop=self._stop,
            wake=self._wake[""],
            not_analysed=s.answers.kinds(),
        )
        self._keep_up("reader", worker.serve)

    def _ask_key(self) -> None:
        """Read the models' files before the first image waits for it; one who does asks again where that fails."""
        with suppress(Exception):
            self._key()

    def _run(self, name: str, work: Callable[[], None]) -> None:
        self._threads[name] = threading.Thread(target=work, name=name, daemon=True)
        self._threads[name].start()

    def _keep_up(self, name: str, work: Callable[[], None]) -> None:
        while not self._stop.is_set():
            try:
                work()
            except Exception as error:  # as where the disk is full; its text may quote an image
                self._health.failed(name, error)
                LOG.critical("%s failed, goes on soon error=%s", name, type(error).__name__)
                if isinstance(error, sqlite3.Error) and self.queue.disk.free_bytes() < RESERVE:
                    self.queue.disk.free_reserve()  # what was delivered can be noted, which frees the disk
                self._stop.wait(AGAIN_AFTER)

    def _forget(self) -> None:
        while True:
            self.queue.ended.forget(self._settings.keep_days)
            end = time.monotonic() + FORGET_EVERY
            while time.monotonic() < end:
                if self._stop.wait(RESERVE_EVERY):
                    return
                self.queue.disk.keep_reserve()
                if not self._health.room() and (dropped := self.queue.ended.drop_kept(self._health.room)):
                    LOG.warning("disk is full, removed what was kept of images=%d", dropped)


def once(work: Callable[[], str]) -> Callable[[], str]:
    """`work` done at the first call, in whichever thread that is; the others wait for it."""
    lock, said = threading.Lock(), list[str]()

    def ask() -> str:
        with lock:
            if not said:
                said.append(work())
            return said[0]

    return ask


def run(make: Callable[[], Node]) -> int:
    """Run a node until SIGTERM or SIGINT, logging to stderr.

    Returns:
        The exit status: 1 where the node could not go on.
    """
    handler = logging.StreamHandler(sys.stderr)
    formatter = logging.Formatter("%(asctime)sZ %(levelname)s %(message)s", "%Y-%m-%dT%H:%M:%S")
    formatter.converter = time.gmtime
    handler.setFormatter(formatter)
    LOG.addHandler(handler)
    LOG.setLevel(logging.INFO)
    LOG.propagate = False
    warnings.simplefilter("ignore")  # pydicom's repeat the values of headers
    # The library's threads end like this where a peer leaves in the middle of a step; it means no more than that.
    threading.excepthook = lambda fault: LOG.warning("connection ended error=%s", fault.exc_type.__name__)
    node = make()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: node.ended.set())
    try:
        node.start()
        node.ended.wait()
    finally:
        node.stop()
    status = 1 if node.broken else 0
    if node.loading:  # in a thread that the interpreter would wait for, or crash on; all that counts is on disk
        logging.shutdown()
        os._exit(status)
    return status

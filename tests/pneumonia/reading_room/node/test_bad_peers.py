"""Peers that mean no good, or cannot do better: each is bounded, and a good one is served meanwhile."""

from __future__ import annotations

import os
import random
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress

import psutil
import pytest
from pynetdicom.pdu import A_ASSOCIATE_RQ
from pynetdicom.pdu_primitives import A_ASSOCIATE, ImplementationClassUIDNotification, MaximumLengthNotification
from pynetdicom.presentation import build_context
from tests.pneumonia.reading_room.node.stand_in import CR, Archive, asked, certificate, echo, radiograph, send, until

from pneumonia.reading_room.node.serve import Node

Start = Callable[..., Node]
OTHER_HOST = "127.0.0.2"  # the loopback network has many addresses; good peers of these tests come from there


def connect(port: int, host: str = "127.0.0.1") -> socket.socket:
    made = socket.create_connection(("127.0.0.1", port), timeout=10, source_address=(host, 0))
    return made


def associated(port: int, host: str = "127.0.0.1") -> socket.socket:
    """A connection whose association is established: what is sent before that is refused as such."""
    made = connect(port, host)
    made.sendall(request())
    assert made.recv(4096)[0] == 2  # A-ASSOCIATE-AC
    return made


def closed(connection: socket.socket, seconds: float = 10) -> bool:
    """Whether the other side ends the connection in time, whatever it says before."""
    connection.settimeout(seconds)
    try:
        while connection.recv(4096):
            pass
    except TimeoutError:
        return False
    except OSError:
        return True
    return True


def request(title: str = "ARCHIVE") -> bytes:
    """An A-ASSOCIATE-RQ for storing CR images."""
    wanted = A_ASSOCIATE()
    wanted.application_context_name = "1.2.840.10008.3.1.1.1"
    wanted.calling_ae_title, wanted.called_ae_title = title, "PNEUMONIA"
    length, own = MaximumLengthNotification(), ImplementationClassUIDNotification()
    length.maximum_length_received, own.implementation_class_uid = 16384, "1.2.3"
    wanted.user_information = [length, own]
    context = build_context(CR)
    context.context_id = 1
    wanted.presentation_context_definition_list = [context]
    pdu = A_ASSOCIATE_RQ()
    pdu.from_primitive(wanted)
    return pdu.encode()


def store_command(uid: str) -> bytes:
    """The command set of a C-STORE-RQ as a P-DATA-TF PDU."""

    def element(number: int, value: bytes) -> bytes:
        return struct.pack("<HHL", 0, number, len(value)) + value

    def padded(text: str) -> bytes:
        return text.encode() + b"\0" * (len(text) % 2)

    body = b"".join(
        [
            element(0x0002, padded(CR)),
            element(0x0100, struct.pack("<H", 1)),
            element(0x0110, struct.pack("<H", 1)),
            element(0x0700, struct.pack("<H", 0)),
            element(0x0800, struct.pack("<H", 1)),
            element(0x1000, padded(uid)),
        ]
    )
    return data_pdu(b"\3" + element(0x0000, struct.pack("<L", len(body))) + body)


def data_pdu(fragment: bytes) -> bytes:
    value = struct.pack(">LB", len(fragment) + 1, 1) + fragment
    return struct.pack(">BBL", 4, 0, len(value)) + value


@pytest.fixture
def connections() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def test_garbage_on_the_port(started: Start, connections: ExitStack):
    node = started()
    rng = random.Random(7)
    for data in (
        b"GET / HTTP/1.1\r\n\r\n",
        bytes(70),
        rng.randbytes(5000),
        b"\1",
        request()[:40],
        request() + rng.randbytes(5000),
    ):
        bad = connections.enter_context(connect(node.listener.port))
        bad.sendall(data)
        assert closed(bad)
        assert echo(node.listener.port, source=OTHER_HOST) == 0
    assert node.health()["healthy"]


def test_a_connection_that_says_nothing_is_closed(started: Start, connections: ExitStack):
    port = started().listener.port
    silent = connections.enter_context(connect(port))
    idle = connections.enter_context(associated(port))
    halfway = connections.enter_context(associated(port))
    halfway.sendall(store_command("1.2.3") + data_pdu(b"\0" + bytes(1000))[:500])
    assert echo(port) == 0
    for each in (silent, idle, halfway):
        assert closed(each)  # after 3 seconds


def test_a_pdu_of_four_gigabytes_is_not_waited_for(started: Start, connections: ExitStack):
    node = started()
    before = psutil.Process().memory_info().rss
    for kind, start in ((1, connect), (4, associated)):
        bad = connections.enter_context(start(node.listener.port))
        bad.sendall(struct.pack(">BBL", kind, 0, 2**32 - 1))
        assert closed(bad, 2)
    assert psutil.Process().memory_info().rss - before < 2**26
    assert echo(node.listener.port) == 0


def test_an_object_of_two_gigabytes_is_cut_off(started: Start, archive: Archive, connections: ExitStack):
    node = started(limits={"object_mib": 8, "free_disk_mib": 0, "seconds": 5})
    before = psutil.Process().memory_info().rss
    bad = connections.enter_context(associated(node.listener.port, OTHER_HOST))
    bad.sendall(store_command("1.2.3.4.5"))
    piece, sent, good = data_pdu(b"\0" + os.urandom(100_000)), 0, []

    def meanwhile() -> None:
        good.extend(send(node.listener.port, [radiograph(1)]))

    thread = threading.Thread(target=meanwhile)
    thread.start()
    with suppress(OSError):
        while sent < 2**31:
            bad.sendall(piece)
            sent += len(piece)
    assert 2**23 <= sent < 2**26  # what fits into the buffers of the connection besides the 8 MiB
    thread.join()
    assert good == [0]
    until(lambda: node.queue.books.counts()["answered"] == 1)
    assert psutil.Process().memory_info().rss - before < 2**27
    until(lambda: list(node.queue.incoming.iterdir()) == [])  # and what had come of it is gone
    assert node.queue.books.counts()["waiting"] == 0


def test_objects_that_come_to_nothing_leave_no_files(started: Start, connections: ExitStack):
    node = started()
    end = data_pdu(b"\2" + bytes(1000))
    unknown = store_command("1.2.3").replace(CR.encode(), b"1.2.840.10008.5.1.4.1.1.9")
    for data in (
        store_command("1.2.3") * 30,  # announced again and again
        (unknown + end) * 5,
        store_command("") + end,
        store_command("1.2.3")[:-20] + end,
    ):
        bad = connections.enter_context(associated(node.listener.port))
        bad.sendall(data)
        bad.shutdown(socket.SHUT_WR)
        until(lambda: node.listener.associations == 0, 15)
        assert list(node.queue.incoming.iterdir()) == []
    assert echo(node.listener.port) == 0


def test_other_messages_are_not_collected_in_memory(started: Start, connections: ExitStack):
    node = started()
    before = psutil.Process().memory_info().rss
    bad = connections.enter_context(associated(node.listener.port))
    find = store_command("1.2.3").replace(
        struct.pack("<HHLH", 0, 0x0100, 2, 1), struct.pack("<HHLH", 0, 0x0100, 2, 0x20)
    )
    sent = 0
    with suppress(OSError):
        bad.sendall(find)
        while sent < 2**27:
            bad.sendall(data_pdu(b"\0" + bytes(100_000)))
            sent += 100_000
    assert sent < 2**24
    assert psutil.Process().memory_info().rss - before < 2**26
    until(lambda: "pneumonia_connections_cut 1.0" in asked(node, "metrics"))


def test_objects_sent_without_waiting_for_answers_wait_in_the_sender(started: Start, connections: ExitStack):
    node = started(limits={"waiting": 5, "free_disk_mib": 0, "seconds": 5})
    bad = connections.enter_context(associated(node.listener.port, OTHER_HOST))
    bad.settimeout(5)
    before = psutil.Process().memory_info().rss

    def flood() -> None:
        try:
            for number in range(100):
                bad.sendall(store_command(f"1.2.3.4.{number}") + data_pdu(b"\2" + os.urandom(100_000)))
        except OSError:
            return

    thread = threading.Thread(target=flood)
    thread.start()
    assert echo(node.listener.port) == 0
    thread.join(timeout=20)
    assert not thread.is_alive()
    assert psutil.Process().memory_info().rss - before < 2**26
    assert len(list(node.queue.incoming.iterdir())) <= 2  # one being stored, one read ahead


def test_two_hundred_associations_at_once(started: Start, archive: Archive, connections: ExitStack):
    node = started(limits={"free_disk_mib": 0, "seconds": 5})
    before = threading.active_count()
    for _ in range(200):
        bad = connections.enter_context(connect(node.listener.port))
        try:
            bad.sendall(request())
        except OSError:  # closed at once
            continue
    assert node.listener.associations <= 8  # of one host
    assert threading.active_count() - before <= 2 * 8
    assert node.listener.refused >= 150
    until(lambda: f"pneumonia_connections_refused {float(node.listener.refused)}" in asked(node, "metrics"))
    assert echo(node.listener.port, source=OTHER_HOST) == 0
    until(lambda: node.listener.associations == 0, 15)  # they said nothing more
    assert send(node.listener.port, [radiograph()]) == [0]
    until(lambda: node.queue.books.counts()["answered"] == 1)


def test_more_associations_than_the_limit_are_told_so(started: Start, connections: ExitStack):
    node = started(limits={"associations": 2, "associations_per_host": 10, "free_disk_mib": 0, "seconds": 5})
    answers = []
    for _ in range(4):
        peer = connections.enter_context(connect(node.listener.port))
        peer.sendall(request())
        answers.append(peer.recv(4096)[:10])
        time.sleep(0.05)
    assert [answer[0] for answer in answers] == [2, 2, 3, 3]  # A-ASSOCIATE-AC, and -RJ
    assert list(answers[2][7:10]) == [2, 3, 2]  # transient, presentation, local limit exceeded (PS3.8, table 9-21)


def test_a_silent_client_of_tls_does_not_hold_up_others(started: Start, tmp_path, connections: ExitStack):
    own, key = certificate(tmp_path, "node")
    node = started(tls={"certificate": str(own), "key": str(key)})
    silent = [connections.enter_context(connect(node.listener.port)) for _ in range(3)]
    context = ssl.create_default_context(cafile=str(own))
    began = time.monotonic()
    assert send(node.listener.port, [radiograph()], tls=(context, "localhost")) == [0]
    assert time.monotonic() - began < 2.5
    assert all(closed(each) for each in silent)

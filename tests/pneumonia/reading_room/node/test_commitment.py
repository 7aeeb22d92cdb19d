"""Results leave the queue when their receiver says that it keeps them: Orthanc, and a receiver that says what a test wants."""

from __future__ import annotations

import json
import shutil
import subprocess
import threading
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pydicom import Dataset
from pynetdicom import AE, build_role, evt
from tests.pneumonia.reading_room.node.stand_in import Archive, free_port, radiograph, send, until

from pneumonia.reading_room.node.commitment import COMMITMENT, INSTANCE
from pneumonia.reading_room.node.courier import RESULTS
from pneumonia.reading_room.node.serve import Node

Start = Callable[..., Node]
ORTHANC = shutil.which("Orthanc", path="/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin")


class Keeper(Archive):
    """An archive that is asked to keep; says so on the same association or on one of its own, of all or of none."""

    def __init__(self, *, own: bool, keeps: bool = True, title: str = "ARCHIVE") -> None:
        self.own, self.keeps, self.reporter = own, keeps, title
        self.asked = list[Dataset]()
        self.node_port = 0
        self.statuses = list[int]()
        super().__init__(title)
        self.close()
        self._entity = AE(title)
        for result in (*RESULTS, COMMITMENT):
            self._entity.add_supported_context(result)
        handlers: Any = [(evt.EVT_C_STORE, self._store), (evt.EVT_N_ACTION, self._act)]
        self._server = self._entity.start_server(("127.0.0.1", self.port), block=False, evt_handlers=handlers)

    def _act(self, event: evt.Event) -> tuple[int, None]:
        wanted = event.action_information
        assert (event.action_type, str(event.request.RequestedSOPInstanceUID)) == (1, INSTANCE)
        self.asked.append(wanted)
        threading.Timer(0.05, self._say, [event.assoc, self.report(wanted)]).start()
        return 0x0000, None

    def report(self, wanted: Dataset) -> Dataset:
        said = Dataset()
        said.TransactionUID = wanted.TransactionUID
        name = "ReferencedSOPSequence" if self.keeps else "FailedSOPSequence"
        setattr(said, name, list(wanted.ReferencedSOPSequence))
        if not self.keeps:
            for item in said.FailedSOPSequence:
                item.FailureReason = 0x0110
        return said

    def _say(self, association: Any, said: Dataset) -> None:
        if self.own:
            entity = AE(self.reporter)
            entity.add_requested_context(COMMITMENT)
            association = entity.associate(
                "127.0.0.1", self.node_port, ae_title="PNEUMONIA", ext_neg=[build_role(COMMITMENT, scp_role=True)]
            )
            assert association.is_established
        kind = 1 if self.keeps else 2
        status, _ = association.send_n_event_report(said, kind, COMMITMENT, INSTANCE)
        self.statuses.append(int(status.Status))
        if self.own:
            association.release()


@pytest.fixture
def keeper() -> Iterator[Callable[..., Keeper]]:
    made: list[Keeper] = []

    def start(**options: Any) -> Keeper:
        made.append(Keeper(**options))
        return made[-1]

    yield start
    for each in made:
        each.close()


def asking(started: Start, keeper: Keeper, **changes: Any) -> Node:
    """A node that asks the keeper."""
    peers = {"ARCHIVE": {"host": "127.0.0.1", "port": keeper.port, "commitment": True}, "STRANGER": {}}
    node = started(peers=peers, **changes)
    keeper.node_port = node.listener.port
    return node


@pytest.mark.parametrize("own", [False, True])
def test_results_leave_when_their_receiver_keeps_them(started: Start, keeper: Callable[..., Keeper], own: bool):
    archive = keeper(own=own)
    node = asking(started, archive)
    send(node.listener.port, [radiograph(0), radiograph(1)])
    until(lambda: node.queue.books.counts()["answered"] == 2)
    until(lambda: len(archive.statuses) == len(archive.asked))
    assert set(archive.statuses) == {0}
    asked = [item.ReferencedSOPInstanceUID for wanted in archive.asked for item in wanted.ReferencedSOPSequence]
    assert sorted(asked) == sorted(archive.objects)
    assert set(archive.came.values()) == {1}


def test_what_is_not_kept_is_sent_again(started: Start, keeper: Callable[..., Keeper]):
    archive = keeper(own=False, keeps=False)
    node = asking(started, archive)
    send(node.listener.port, [radiograph(0)])
    until(lambda: max(archive.came.values(), default=0) >= 2)
    assert node.queue.books.counts()["answering"] == 1
    archive.keeps = True
    until(lambda: node.queue.books.counts()["answered"] == 1)
    assert len(archive.objects) == 2


def test_a_receiver_that_cannot_say_is_asked_again(started: Start, archive: Archive):
    """Of the class it knows nothing: the results stay, and are said to."""
    node = started(peers={"ARCHIVE": {"host": "127.0.0.1", "port": archive.port, "commitment": True}})
    send(node.listener.port, [radiograph(0)])
    until(lambda: len(archive.objects) == 2)
    until(lambda: node.queue.outbox.debts()["ARCHIVE"].failing is not None)
    assert node.queue.books.counts()["answering"] == 1


def test_another_peer_cannot_say_it(started: Start, keeper: Callable[..., Keeper]):
    archive = keeper(own=True)
    archive.reporter = "STRANGER"
    node = asking(started, archive)
    send(node.listener.port, [radiograph(0)])
    until(lambda: archive.statuses)
    assert set(archive.statuses) == {0x0110}
    assert node.queue.books.counts()["answering"] == 1


def test_without_the_setting_nobody_is_asked_and_nothing_is_accepted(started: Start, keeper: Callable[..., Keeper]):
    archive = keeper(own=False)
    node = started(peers={"ARCHIVE": {"host": "127.0.0.1", "port": archive.port}})
    send(node.listener.port, [radiograph(0)])
    until(lambda: node.queue.books.counts()["answered"] == 1)
    assert archive.asked == []
    entity = AE("ARCHIVE")
    entity.add_requested_context(COMMITMENT)
    entity.add_requested_context("1.2.840.10008.1.1")
    association = entity.associate("127.0.0.1", node.listener.port, ae_title="PNEUMONIA")
    assert [str(each.abstract_syntax) for each in association.accepted_contexts] == ["1.2.840.10008.1.1"]
    association.release()


@pytest.mark.skipif(ORTHANC is None, reason="needs Orthanc")
def test_orthanc_keeps_results_and_says_so(started: Start, tmp_path: Path):
    dicom, http, node_port, folder = free_port(), free_port(), free_port(), tmp_path / "orthanc"
    folder.mkdir()
    node_is = {"AET": "PNEUMONIA", "Host": "127.0.0.1", "Port": node_port, "AllowStorageCommitment": True}
    settings = {
        "StorageDirectory": str(folder), "IndexDirectory": str(folder), "HttpPort": http, "DicomPort": dicom,
        "DicomAet": "ORTHANC", "DicomCheckCalledAet": False, "AuthenticationEnabled": False, "RemoteAccessAllowed": False,
        "Plugins": [], "DicomModalities": {"node": node_is},
    }  # fmt: skip
    (folder / "orthanc.json").write_text(json.dumps(settings))
    with (folder / "orthanc.log").open("wb") as log:
        process = subprocess.Popen([str(ORTHANC), "--verbose", str(folder / "orthanc.json")], stdout=log, stderr=log)
    try:
        node = started(
            port=node_port, peers={"ORTHANC": {"host": "127.0.0.1", "port": dicom, "commitment": True}, "MODALITY": {}},
            results_to=["ORTHANC"],
        )  # fmt: skip
        assert send(node_port, [radiograph(0)], title="MODALITY") == [0]
        until(lambda: node.queue.books.counts()["answered"] == 1, 60)
        with urllib.request.urlopen(f"http://127.0.0.1:{http}/instances", timeout=10) as answer:
            assert len(json.load(answer)) == 2
        said = (folder / "orthanc.log").read_text()
        assert "torage commitment" in said
    finally:
        process.terminate()
        process.wait(timeout=30)

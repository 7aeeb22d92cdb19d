"""The Conformance Statement is what a running node negotiates, and the file is what the code says."""

from __future__ import annotations

import re
import ssl
from collections.abc import Callable
from typing import Any

import pytest
from pydicom.uid import AllTransferSyntaxes
from pynetdicom import AE, AllStoragePresentationContexts, evt
from tests.places import ROOT
from tests.pneumonia.reading_room.node.stand_in import Archive, certificate, radiograph, send, until

from pneumonia.reading_room.node.conformance import statement
from pneumonia.reading_room.node.listener import server_context
from pneumonia.reading_room.node.serve import Node
from pneumonia.reading_room.node.settings import Settings, read

Start = Callable[..., Node]
FILE = ROOT / "docs" / "dicom-conformance.md"
VERIFICATION = "1.2.840.10008.1.1"
PEERS = {"ORTHANC": {"host": "127.0.0.1", "port": 4242}}


def section(text: str, number: str) -> str:
    """The text below the heading of this number."""
    return re.split(r"\n#+ ", text.split(f" {number} ", 1)[1])[0]


def rows(text: str) -> list[list[str]]:
    """The cells of all tables of a text."""
    return [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("|") and "---" not in line]


def test_the_file_is_that_of_the_example_settings():
    said = statement(read(ROOT / "docs" / "serve.yaml"))
    assert FILE.read_text(encoding="utf-8") == said, (
        "run: pneumonia serve docs/serve.yaml --conformance > docs/dicom-conformance.md"
    )


def accepted(port: int, classes: list[str], syntaxes: list[str]) -> tuple[dict[str, set[str]], Any]:
    """What of these is accepted, each pair proposed alone; and what the acceptor said of itself."""
    found: dict[str, set[str]] = {}
    pairs = [(each, syntax) for each in classes for syntax in syntaxes]
    acceptor: Any = None
    for start in range(0, len(pairs), 128):
        entity = AE("ARCHIVE")
        for each, syntax in pairs[start : start + 128]:
            entity.add_requested_context(each, syntax)
        # Contexts of one class are put together by the library: propose them one by one instead.
        contexts = []
        for each, syntax in pairs[start : start + 128]:
            one = AE()
            one.add_requested_context(each, syntax)
            contexts.append(one.requested_contexts[0])
        association = entity.associate("127.0.0.1", port, contexts=contexts, ae_title="PNEUMONIA")
        assert association.is_established or not association.accepted_contexts
        for context in association.accepted_contexts:
            found.setdefault(str(context.abstract_syntax), set()).add(str(context.transfer_syntax[0]))
        acceptor = association.acceptor
        if association.is_established:
            association.release()
    return found, acceptor


def test_what_is_accepted_is_what_the_statement_says(started: Start):
    text = statement(Settings.model_validate({"peers": PEERS}))
    own = rows(section(text, "3.2.4"))
    images = {row[1] for row in own if row[2:3] == ["those below"]}
    compressions = {row[1] for row in own if len(row) == 2 and row[1].startswith("1.2.840.10008.1.2")}
    assert len(images) == 2
    assert len(compressions) == 13
    classes = [str(context.abstract_syntax) for context in AllStoragePresentationContexts]
    port = started().listener.port
    offered, acceptor = accepted(port, [VERIFICATION, *images], [str(each) for each in AllTransferSyntaxes])
    assert {name: offered[name] for name in images} == dict.fromkeys(images, compressions)
    assert len(offered[VERIFICATION]) == 4
    (verification,) = [row for row in own if row[1] == VERIFICATION]
    assert verification[2].count(",") == 3
    others, _ = accepted(port, sorted(set(classes) - images), ["1.2.840.10008.1.2", "1.2.840.10008.1.2.1"])
    assert others == {}
    assert f"{acceptor.maximum_length:,} bytes" in section(text, "3.5")
    assert str(acceptor.implementation_class_uid) in section(text, "3.2.2")


def test_with_secondary_capture_it_is_accepted_and_said(started: Start):
    changed = {"accept": {"secondary_capture": True}}
    text = statement(Settings.model_validate({"peers": PEERS, **changed}))
    capture = "1.2.840.10008.5.1.4.1.1.7"
    assert capture in section(text, "3.2.4")
    assert set(accepted(started(**changed).listener.port, [capture], ["1.2.840.10008.1.2.1"])[0]) == {capture}


def test_of_several_transfer_syntaxes_the_first_of_the_table_is_taken(started: Start):
    own = rows(section(FILE.read_text(encoding="utf-8"), "3.2.4"))
    order = [row[1] for row in own if len(row) == 2 and row[1].startswith("1.2.840.10008.1.2")]
    port = started().listener.port
    for proposed in (order, order[::-1], order[:3:-1]):
        entity = AE("ARCHIVE")
        entity.add_requested_context("1.2.840.10008.5.1.4.1.1.1", proposed)
        association = entity.associate("127.0.0.1", port, ae_title="PNEUMONIA")
        assert [str(each) for each in association.accepted_contexts[0].transfer_syntax] == [
            next(each for each in order if each in proposed)
        ]
        association.release()


@pytest.mark.parametrize("capture", [False, True])
def test_what_is_proposed_is_what_the_statement_says(started: Start, archive: Archive, capture: bool):
    """As the receiver sees it."""
    text = statement(Settings.model_validate({"peers": PEERS, "capture": capture}))
    names = {"Explicit VR Little Endian": "1.2.840.10008.1.2.1", "Implicit VR Little Endian": "1.2.840.10008.1.2"}
    said = {
        row[1]: [names[name] for name in row[3].split(", ")]
        for row in rows(section(text, "3.2.3"))
        if row[1].startswith("1.2.840.10008.5.1.4")
    }
    proposed: dict[str, list[str]] = {}
    lengths: list[int] = []

    def note(event: evt.Event) -> None:
        lengths.append(event.assoc.requestor.maximum_length)
        assert not event.assoc.requestor.role_selection
        assert not event.assoc.requestor.sop_class_extended
        for context in event.assoc.requestor.requested_contexts:
            proposed[str(context.abstract_syntax)] = [str(each) for each in context.transfer_syntax]

    archive._server.bind(evt.EVT_REQUESTED, note)
    node = started(capture=capture)
    send(node.listener.port, [radiograph()])
    until(lambda: node.queue.books.counts()["answered"] == 1)
    assert {name: proposed[name] for name in said} == said
    assert len(said) == (3 if capture else 2)
    assert f"{lengths[0]:,} bytes" in section(text, "3.5")


def test_a_setting_stands_where_it_counts():
    changed = Settings.model_validate(
        {
            "peers": PEERS,
            "title": "OTHER",
            "limits": {"seconds": 7.0, "waiting": 77},
            "delivery": {"give_up_hours": 5.0},
        }
    )
    text = statement(changed)
    for words in ("`OTHER`", "| 7 s |", "77 images wait", "given up 5 h after"):
        assert words in text


def test_tls_is_of_the_versions_that_are_said(tmp_path):
    certified, key = certificate(tmp_path, "node")
    context = server_context(str(certified), str(key), "")
    assert context.minimum_version == ssl.TLSVersion.TLSv1_2
    assert "TLS 1.2 and 1.3" in FILE.read_text(encoding="utf-8")

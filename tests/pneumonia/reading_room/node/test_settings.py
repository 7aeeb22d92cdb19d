"""The settings file: the example shows the defaults, and what is wrong is named."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError
from tests.places import ROOT

from pneumonia.reading_room.node.settings import Settings, read

PEERS = {"ORTHANC": {"host": "127.0.0.1", "port": 4242}}


def test_the_example_shows_the_defaults():
    assert read(ROOT / "docs" / "serve.yaml") == Settings.model_validate({"peers": PEERS})


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("peers: {}", "peers: got {}"),
        ("title: X", "peers: missing"),
        ("peers: {A: {host: h}}", "host and port belong together, got host='h', port=None"),
        ("peers: {A: {}}", "results_to is 'sender', but no peer has a host and a port"),
        (
            "peers: {A: {host: h, port: 104}}\nresults_to: [B]",
            "results_to names B, which is no peer with a host and a port",
        ),
        ("peers: {A: {host: h, port: 104}}\nresults_to: []", "results_to is empty"),
        ("peers: {A: {host: h, port: 104}}\nprot: 1", "prot: unknown key"),
        ("peers: {A: {host: h, port: 104}}\ntitle: SEVENTEEN-LETTERS", "title: got 'SEVENTEEN-LETTERS'"),
        ("peers: {A: {host: h, port: 104}}\naccept: {views: [LL]}", "accept.views.0: got 'LL'"),
        ("peers: {A: {host: h, port: 104}}\nlimits: {associations: 0}", "limits.associations: got 0"),
        ("peers: {A: {host: h, port: 104, tls: true}}", "peers.A.tls is true, but tls names no certificate"),
        ("- a", "must hold a mapping, got list"),
        ("a: [", "is no YAML"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, text: str, said: str):
    (tmp_path / "serve.yaml").write_text(text)
    with pytest.raises(ValueError) as caught:
        read(tmp_path / "serve.yaml")
    assert said in str(caught.value)


def test_a_missing_file_says_where_one_is(tmp_path: Path):
    with pytest.raises(FileNotFoundError, match=r"docs/serve\.yaml"):
        read(tmp_path / "no.yaml")


def test_who_gets_results():
    peers = {**PEERS, "MODALITY": {}}
    to_sender = Settings.model_validate({"peers": peers})
    assert to_sender.receivers("ORTHANC") == ["ORTHANC"]
    assert to_sender.receivers("MODALITY") == []
    named = Settings.model_validate({"peers": peers, "results_to": ["ORTHANC"]})
    assert named.receivers("MODALITY") == ["ORTHANC"]


def test_an_answer_depends_on_what_is_asked_for_and_not_on_the_network():
    def known_by(key: str = "models", **changes: object) -> str:
        return Settings.model_validate({"peers": PEERS, **changes}).known_by(key)

    same = [
        {},
        {"port": 104, "title": "OTHER", "batch": 1, "keep_days": 1},
        {"peers": {"ORTHANC": {"host": "other", "port": 105, "objects": None}, "MODALITY": {}}},
    ]
    others = [
        {"key": "other models"},
        {"capture": True},
        {"threshold": 0.5},
        {"accept": {"views": ["AP", "PA", ""]}},
        {"answers": {"not_analysed": "sr"}},
        {"peers": {"ORTHANC": {**PEERS["ORTHANC"], "objects": ["sr"]}}},
    ]
    assert len({known_by(**each) for each in same}) == 1
    assert len({known_by(**each) for each in [{}, *others]}) == 7


def test_a_webhook_has_an_address_and_events_of_the_list():
    hook = {"url": "https://pager.example/x"}
    known = Settings.model_validate({"peers": PEERS, "webhook": hook}).webhook
    assert known is not None
    assert known.events == ["failed", "undelivered", "peer_away", "disk_full", "models_failing"]
    for wrong in ({"url": "file:///etc/passwd"}, {**hook, "events": []}, {**hook, "events": ["all"]}, {}):
        with pytest.raises(ValidationError):
            Settings.model_validate({"peers": PEERS, "webhook": wrong})


def test_a_capture_that_says_not_analysed_may_be_wanted():
    peers = {"A": {"host": "h", "port": 104, "objects": ["sc"]}}
    with pytest.raises(ValidationError, match="names sc, but capture is false"):
        Settings.model_validate({"peers": peers})
    Settings.model_validate({"peers": peers, "answers": {"not_analysed": "capture"}})

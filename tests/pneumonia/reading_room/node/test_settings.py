"""The settings file: the example shows the defaults, and what is wrong is named."""

from __future__ import annotations

from pathlib import Path

import pytest
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

"""What a node says is wrong with it, and for how long."""

from __future__ import annotations

import urllib.error
from collections.abc import Callable

import pytest
from tests.pneumonia.reading_room.node.stand_in import Archive, Model, asked, radiograph, send, until

from pneumonia.reading_room.node.records import ticket
from pneumonia.reading_room.node.serve import Node


def test_health_knows_of_results_that_nobody_takes(started: Callable[..., Node], archive: Archive, model: Model):
    peers = {"ARCHIVE": {"host": "127.0.0.1", "port": archive.port}, "MODALITY": {}}
    archive.status = 0xA700
    node = started(peers=peers, delivery={"first_pause": 60})
    send(node.listener.port, [radiograph(1)])
    until(lambda: any(debt.failing for debt in node.queue.outbox.debts().values()))
    said = node.health()["waiting_for"]["ARCHIVE"]
    assert said["results"] == 2
    assert 0 <= said["failing_seconds"] <= said["oldest_seconds"] < 20
    assert node.health()["healthy"]  # not for long enough
    send(node.listener.port, [radiograph(2)], title="MODALITY")
    until(lambda: node.queue.books.counts()["undelivered"] == 1)
    assert node.health()["faults"] == ["images not delivered in the last 24 hours: 1"]
    model.fails.add(ticket("1.2.3.4.3"))
    send(node.listener.port, [radiograph(3)])
    until(lambda: node.queue.books.counts()["failed"] == 1)
    assert node.health()["faults"][0] == "images given up in the last 24 hours: 1"
    with pytest.raises(urllib.error.HTTPError) as caught:
        asked(node, "health")
    assert caught.value.code == 503
    metrics = asked(node, "metrics")
    assert 'pneumonia_results_waiting{peer="ARCHIVE"} 2.0' in metrics
    assert 'pneumonia_peer_failing_seconds{peer="ARCHIVE"} ' in metrics
    assert 'pneumonia_oldest_result_seconds{peer="ARCHIVE"} ' in metrics
    node.queue.ended.drop(ticket("1.2.3.4.2"))
    node.queue.ended.drop(ticket("1.2.3.4.3"))
    assert node.health()["healthy"]
    node.stop()
    other = started(peers={"OTHER": {"host": "127.0.0.1", "port": 1}})
    assert other.health()["faults"] == ["results wait for ARCHIVE, which has no address: 2"]

"""Thirty images with bad headers, a node that is killed twice: thirty answers, each of its kind, none invented."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections import Counter
from contextlib import closing
from pathlib import Path

import pytest
import yaml
from pydicom import Dataset
from tests.places import ROOT
from tests.pneumonia.reading_room.node.stand_in import Archive, echo, free_port, radiograph, send, settings_to, until
from tests.pneumonia.reading_room.node.worst import READ, REFUSED

from pneumonia.reading_room.node.queue import Queue
from pneumonia.reading_room.node.records import ticket

# By number: those that are read, of which the model finds nothing on some and fails on some, and those that are refused.
HEADERS = [*READ.values(), *REFUSED.values()]
FAILING = {3, 14}
NEGATIVE = set(range(0, len(READ), 2)) - FAILING
WANTED = {
    number: "not analysed"
    if number >= len(READ)
    else "failed"
    if number in FAILING
    else "negative"
    if number in NEGATIVE
    else "positive"
    for number in range(len(HEADERS))
}


def said(report: Dataset) -> str:
    """What a report says, of all its content and by the codes of PS3.16 alone."""
    codes, texts, stack = set(), [], [report]
    while stack:
        item = stack.pop()
        stack += item.get("ContentSequence", [])
        codes |= {str(code.CodeValue) for code in item.get("ConceptCodeSequence", [])}
        texts.append(str(item.get("TextValue", "")))
    if "111225" in codes:  # Not Attempted
        return "failed" if any("not read in 3 tries" in text for text in texts) else "not analysed"
    return {True: "positive", False: "negative"}["52101004" in codes]  # Present


def of(report: Dataset) -> str:
    """The SOP Instance UID of the image that a report is of."""
    (series,) = report.CurrentRequestedProcedureEvidenceSequence[0].ReferencedSeriesSequence
    (image,) = series.ReferencedSOPSequence
    return str(image.ReferencedSOPInstanceUID)


@pytest.mark.filterwarnings("ignore")  # of such values, as they are written here
def test_each_image_has_one_answer_of_its_kind(tmp_path: Path, archive: Archive):
    assert len(HEADERS) == 30
    port = free_port()
    settings = settings_to(
        archive, tmp_path / "node", port, delivery={"first_pause": 0.2}, answers={"not_analysed": "sr"}
    )
    (tmp_path / "serve.yaml").write_text(yaml.safe_dump(settings))
    finds = {
        "fails": [ticket(f"1.2.3.4.{number}") for number in FAILING],
        "clear": [ticket(f"1.2.3.4.{number}") for number in NEGATIVE],
    }
    (tmp_path / "model.json").write_text(json.dumps(finds))
    log = (tmp_path / "log").open("wb")
    program = ["-m", "tests.pneumonia.reading_room.node.stand_in", str(tmp_path / "serve.yaml"), "0.1"]

    def start() -> subprocess.Popen[bytes]:
        command = [sys.executable, *program, str(tmp_path / "model.json")]
        return subprocess.Popen(command, cwd=ROOT, stderr=log)

    def stored(number: int) -> None:
        while send(port, [radiograph(number, **HEADERS[number])]) != [0]:
            time.sleep(0.1)

    node = start()
    try:
        until(lambda: echo(port) == 0, 60)
        for number in range(len(HEADERS)):
            stored(number)
            if number in (9, 22):
                node.kill()
                node.wait()
                node = start()
        until(lambda: len(archive.of("SR")) == len(HEADERS), 120)
        time.sleep(0.5)
        answers = {of(report): said(report) for report in archive.of("SR")}
        assert answers == {f"1.2.3.4.{number}": kind for number, kind in WANTED.items()}
        assert len(archive.of("SR")) == len(HEADERS)
        with closing(Queue(tmp_path / "node", beside=True)) as queue:
            until(lambda: queue.books.counts()["answering"] == 0)
            assert Counter(row.outcome for row in queue.books.rows()) == Counter(WANTED.values())
    finally:
        node.kill()
        node.wait()
        log.close()
    text = (tmp_path / "log").read_text()
    assert "Traceback" not in text
    assert [word for word in ("Doe", "Yamada", "Hong", "1.2.3.4") if word in text] == []

"""Nodes with a model that finds the same box on every image, an archive that takes results, and senders.

Run as a program with a settings file and the seconds that the model takes for an image: a node to kill. A third argument
names a JSON file with the tickets on which the model `fails`, and of which it says that they are `clear`.
"""

from __future__ import annotations

import io
import json
import socket
import subprocess
import sys
import time
import urllib.request
from collections import Counter
from collections.abc import Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
from pydicom import dcmread
from pydicom.dataset import Dataset
from pynetdicom import AE, evt
from tests.radiographs import chest

from pneumonia.reading_room.ensemble import Study
from pneumonia.reading_room.node import serve
from pneumonia.reading_room.node.courier import RESULTS
from pneumonia.reading_room.node.settings import Settings, read
from pneumonia.reading_room.objects.findings import Algorithm
from pneumonia.reading_room.reader import Reader

CR = "1.2.840.10008.5.1.4.1.1.1"
BOX = [8.0, 4.5, 10.25, 20.0]  # x, y, width, height of the image's pixels
SCORE = 0.875
WINDOW = {"mode": "none", "center": -600.0, "width": 1500.0, "percentiles": [0.5, 99.5], "choice": 1}


class Model:
    """Finds BOX on every image but those in `clear`, in `seconds` for each; `fails` tells the images on which it raises."""

    def __init__(self, seconds: float = 0.0) -> None:
        self.seconds, self.batches = seconds, list[int]()
        self.fails, self.clear = set[str](), set[str]()

    def __call__(self, studies: Mapping[str, Study]) -> tuple[pd.DataFrame, pd.Series]:
        time.sleep(self.seconds * len(studies))
        self.batches.append(len(studies))
        if self.fails & set(studies):
            raise RuntimeError("Doe^Jane, P1")
        rows = [[study, *BOX, SCORE] for study in studies if study not in self.clear]
        scores = pd.Series([0.1 if study in self.clear else 0.9 for study in studies], index=list(studies))
        return pd.DataFrame(rows, columns=["study", "x", "y", "width", "height", "score"]), scores


def node(settings: Settings, model: Model, key: str = "") -> serve.Node:
    algorithm = Algorithm("1.2.3", "ab" * 32, "gate")
    reader = partial(Reader, predict=model, window=WINDOW, threshold=0.25, max_boxes=4, algorithm=algorithm)
    return serve.Node(settings, reader, lambda: key)


class Archive:
    """Takes results on a port of its own; counts how often each object came."""

    def __init__(
        self,
        title: str = "ARCHIVE",
        port: int = 0,
        status: int = 0x0000,
        kinds: Iterable[str] = RESULTS,
        syntaxes: list[str] | None = None,
    ) -> None:
        self.title, self.status, self.came = title, status, Counter[str]()
        self.proposed: list[tuple[str, list[str]]] = []  # kinds of the last association, and their transfer syntaxes
        self.associations = 0
        self.poison = ""  # an object on which it ends the association
        self.objects: dict[str, Dataset] = {}
        self._entity = AE(title)
        for kind in kinds:
            self._entity.add_supported_context(kind, syntaxes)
        handlers: Any = [(evt.EVT_C_STORE, self._store), (evt.EVT_REQUESTED, self._requested)]
        self._server: Any = self._entity.start_server(("127.0.0.1", port), block=False, evt_handlers=handlers)
        self.port: int = self._server.server_address[1]

    def _store(self, event: evt.Event) -> int:
        if event.request.AffectedSOPInstanceUID == self.poison:
            event.assoc.abort(block=False)
        elif self.status == 0:
            made = event.dataset
            self.came[made.SOPInstanceUID] += 1
            self.objects[made.SOPInstanceUID] = made
        return self.status

    def _requested(self, event: evt.Event) -> None:
        self.associations += 1
        contexts = event.assoc.requestor.requested_contexts
        self.proposed = [(str(each.abstract_syntax), [str(one) for one in each.transfer_syntax]) for each in contexts]

    def of(self, modality: str) -> list[Dataset]:
        return [each for each in self.objects.values() if each.Modality == modality]

    def close(self) -> None:
        if self._server is not None:
            self._server.shutdown()
        self._server = None


def send(
    port: int, files: Iterable[bytes], *, title: str = "ARCHIVE", called: str = "PNEUMONIA", tls: Any = None
) -> list[int]:
    """Send files over one association; the status of each, -1 where there was no association or no answer."""
    entity = AE(title)
    entity.acse_timeout = entity.dimse_timeout = entity.network_timeout = 20
    sets = [dcmread(io.BytesIO(data), force=True) for data in files]
    for made in sets:
        entity.add_requested_context(made.SOPClassUID, made.file_meta.TransferSyntaxUID)
    association = entity.associate("127.0.0.1", port, ae_title=called, tls_args=tls)
    if not association.is_established:
        return [-1 for _ in sets]
    statuses = [int(association.send_c_store(made).get("Status", -1)) for made in sets]
    association.release()
    return statuses


def echo(port: int, *, title: str = "ARCHIVE", called: str = "PNEUMONIA", source: str = "127.0.0.1") -> int:
    """The status of a C-ECHO, -1 without an association."""
    entity = AE(title)
    entity.acse_timeout = entity.dimse_timeout = entity.network_timeout = 10
    entity.add_requested_context("1.2.840.10008.1.1")
    association = entity.associate("127.0.0.1", port, ae_title=called, bind_address=(source, 0))
    if not association.is_established:
        return -1
    status = int(association.send_c_echo().get("Status", -1))
    association.release()
    return status


def asked(running: serve.Node, page: str) -> str:
    """What the node says over HTTP; HTTPError for a status that is no success."""
    with urllib.request.urlopen(f"http://127.0.0.1:{running.status_port}/{page}", timeout=10) as answer:
        return str(answer.read().decode())


def certificate(folder: Path, name: str, days: int = 2) -> tuple[Path, Path]:
    """A certificate for localhost that is its own authority, and its key; valid for `days`."""
    paths, request = (folder / f"{name}.pem", folder / f"{name}.key"), str(folder / f"{name}.csr")
    key = ["-newkey", "rsa:2048", "-nodes", "-subj", f"/O={name}/CN=localhost", "-keyout", str(paths[1])]
    for command in (
        ["openssl", "req", "-new", *key, "-out", request],
        [
            "openssl",
            "x509",
            "-req",
            "-in",
            request,
            "-signkey",
            str(paths[1]),
            "-days",
            str(days),
            "-out",
            str(paths[0]),
        ],
    ):
        subprocess.run(command, check=True, capture_output=True)
    return paths


def radiograph(number: int = 0, **elements: Any) -> bytes:
    """A frontal chest image; each number is another one. An element of None is left out."""
    return chest(**{"SOPInstanceUID": f"1.2.3.4.{number}", **elements})


def until(true: Any, seconds: float = 20.0) -> None:
    """Wait until `true()`; an AssertionError after `seconds`."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "did not come true in time"
        time.sleep(0.02)


def settings_to(archive: Archive, folder: Path, port: int, **more: Any) -> dict[str, Any]:
    """What serve.yaml holds of a node in `folder` that listens on `port` and answers `archive`."""
    return {
        "host": "127.0.0.1",
        "port": port,
        "folder": str(folder),
        "peers": {"ARCHIVE": {"host": "127.0.0.1", "port": archive.port}},
        "status": {"port": 0},
        "limits": {"free_disk_mib": 0},
        **more,
    }


def free_port() -> int:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        return int(held.getsockname()[1])


if __name__ == "__main__":
    model = Model(float(sys.argv[2]))
    for name, tickets in json.loads(Path(sys.argv[3]).read_text()).items() if sys.argv[3:] else ():
        setattr(model, name, set(tickets))
    sys.exit(serve.run(lambda: node(read(Path(sys.argv[1])), model)))

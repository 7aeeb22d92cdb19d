"""A node under load: real studies over loopback by several senders; nothing lost, nothing answered twice, memory flat.

    cd PROJECT && python -m benchmarks.node ../shared/rsna-mini.zip --studies 500 --senders 4 [--kill 150 800]

With `--senders 1 --pause 1` the node is idle when a study comes: from store to result is then what one study takes.

PROJECT has trained models and its own params.yaml. The node is `pneumonia serve` as its user runs it; with `--kill` it is
ended by kill -9 on its way, and started again. By hand; the figures go where they are needed.
"""

from __future__ import annotations

import argparse
import io
import json
import sqlite3
import sys
import tempfile
import threading
import time
import urllib.request
import warnings
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import yaml
from pydicom import dcmread
from pynetdicom import AE, evt
from pynetdicom.sop_class import ComprehensiveSRStorage, GrayscaleSoftcopyPresentationStateStorage

from pneumonia.reading_room.inputs import Entry, Inputs
from pneumonia.reading_room.node.listener import VERIFICATION, quiet_library

STATUS = 11118  # port of the node's /health


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("source", type=Path)
    parser.add_argument("--studies", type=int, default=500)
    parser.add_argument("--senders", type=int, default=4)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--pause", type=float, default=0.0, help="seconds of each sender between two studies")
    parser.add_argument(
        "--kill", type=int, nargs="*", default=[], help="kill -9 when stored and answered together are so many"
    )
    arguments = parser.parse_args()
    quiet_library()
    warnings.simplefilter("ignore")
    archive = Inputs(arguments.source)
    studies = archive.studies(arguments.studies)
    came: Counter[str] = Counter()
    of: dict[str, str] = {}  # SOP Instance UID of a report -> of its image

    def take(event: Any) -> int:
        made = event.dataset
        came[made.SOPInstanceUID] += 1
        if made.Modality == "SR":
            evidence = made.CurrentRequestedProcedureEvidenceSequence[0].ReferencedSeriesSequence[0]
            of[made.SOPInstanceUID] = evidence.ReferencedSOPSequence[0].ReferencedSOPInstanceUID
        return 0

    peer = AE("ARCHIVE")
    for kind in (ComprehensiveSRStorage, GrayscaleSoftcopyPresentationStateStorage):
        peer.add_supported_context(kind)
    server: Any = peer.start_server(("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_C_STORE, take)])

    with tempfile.TemporaryDirectory() as folder:
        port = 11119
        settings = {
            "host": "127.0.0.1",
            "port": port,
            "folder": f"{folder}/node",
            "peers": {"ARCHIVE": {"host": "127.0.0.1", "port": server.server_address[1]}},
            "status": {"port": STATUS},
            "batch": arguments.batch,
            "accept": {"secondary_capture": True},
            "limits": {"waiting": len(studies) + 1, "free_disk_mib": 64},
            "delivery": {"first_pause": 1.0},
        }
        (Path(folder) / "serve.yaml").write_text(yaml.safe_dump(settings))
        log = (Path(folder) / "log").open("wb")

        def start() -> psutil.Popen:
            command = [sys.executable, "-m", "pneumonia.cli", "serve", f"{folder}/serve.yaml"]
            began = time.monotonic()
            node = psutil.Popen(command, stderr=log)
            for there, words in ((lambda: echo(port) == 0, "listening"), (ready, "models ready")):
                while not there():
                    if node.poll() is not None:
                        sys.exit((Path(folder) / "log").read_text()[-3000:])
                    time.sleep(0.05)
                print(f"{words} after {time.monotonic() - began:.2f} s", flush=True)
            return node

        node = start()
        resident = [node.memory_info().rss]
        stored: dict[str, float] = {}
        began = time.monotonic()
        threads = [
            threading.Thread(
                target=send,
                args=(port, archive, studies[first :: arguments.senders], stored, arguments.pause),
                daemon=True,
            )
            for first in range(arguments.senders)
        ]
        for thread in threads:
            thread.start()
        marks = list(arguments.kill)
        shown = time.monotonic()
        while len(set(of.values())) < len(studies):
            time.sleep(0.25)
            if marks and len(stored) + len(set(of.values())) >= marks[0]:
                marks.pop(0)
                node.kill()
                node.wait()
                print(f"killed with {len(stored)} stored, {len(set(of.values()))} answered", flush=True)
                node = start()
            if node.poll() is not None:
                log.close()
                sys.exit((Path(folder) / "log").read_text()[-3000:])
            resident.append(node.memory_info().rss)
            if time.monotonic() - shown > 15:
                shown = time.monotonic()
                print(
                    f"{len(stored)} stored, {len(set(of.values()))} answered, {resident[-1] / 2**20:.0f} MB", flush=True
                )
        seconds = time.monotonic() - began
        time.sleep(2)
        node.terminate()
        node.wait()
        with sqlite3.connect(f"{folder}/node/queue.sqlite") as base:
            rows = base.execute("SELECT finished - received FROM images WHERE state = 'answered'").fetchall()
        waits = np.array([row[0] for row in rows])
        memory = np.array(resident) / 2**20
        quarter = len(memory) // 4
        print(
            f"{len(studies)} studies, {arguments.senders} senders, batches of {arguments.batch}: {seconds:.0f} s,"
            f" {60 * len(studies) / seconds:.0f} studies a minute"
        )
        print(
            f"stored {len(stored)}, answered {len(rows)}, images with a report {len(set(of.values()))}, reports {len(of)},"
            f" objects received {came.total()}, of these more than once {sum(n > 1 for n in came.values())}"
        )
        print(f"store to result: 50% {np.percentile(waits, 50):.2f} s, 99% {np.percentile(waits, 99):.2f} s")
        print(
            f"resident memory: at the start {memory[0]:.0f} MB, second quarter {memory[quarter : 2 * quarter].mean():.0f} MB,"
            f" last quarter {memory[-quarter:].mean():.0f} MB, most {memory.max():.0f} MB"
        )
        print(
            "log:",
            Counter(
                line.split(" ")[2]
                for line in (Path(folder) / "log").read_text().splitlines()
                if " INFO " in line or " WARNING " in line
            ),
        )


def send(port: int, archive: Inputs, studies: list[Entry], stored: dict[str, float], pause: float) -> None:
    """Store each study, over one association as long as it holds."""
    association: Any = None
    for study in studies:
        made = dcmread(io.BytesIO(archive.read(study)))
        while study.key not in stored:
            if association is None or not association.is_established:
                entity = AE("ARCHIVE")
                entity.add_requested_context(made.SOPClassUID, made.file_meta.TransferSyntaxUID)
                association = entity.associate("127.0.0.1", port, ae_title="PNEUMONIA")
            if association.is_established and association.send_c_store(made).get("Status") == 0:
                stored[study.key] = time.monotonic()
                time.sleep(pause)
            else:
                time.sleep(0.5)
    association.release()


def ready() -> bool:
    """Whether the models are loaded."""
    with urllib.request.urlopen(f"http://127.0.0.1:{STATUS}/health", timeout=10) as answer:
        return bool(json.load(answer)["ready"])


def echo(port: int) -> int:
    """The status of a C-ECHO; -1 without an association."""
    entity = AE("ARCHIVE")
    entity.add_requested_context(VERIFICATION)
    association = entity.associate("127.0.0.1", port, ae_title="PNEUMONIA")
    if not association.is_established:
        return -1
    status = int(association.send_c_echo().get("Status", -1))
    association.release()
    return status


if __name__ == "__main__":
    main()

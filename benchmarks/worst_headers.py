"""Studies with the worst headers, through Orthanc and the node, both killed on the way: each has one answer of its kind. By hand:

    cd PROJECT && python -m benchmarks.worst_headers --studies 200 --source ../shared/rsna-mini.zip
    python -m benchmarks.worst_headers --studies 200 --stand-in

Needs Debian's orthanc, orthanc-python and dcmtk. The node is `pneumonia serve` with the trained models of PROJECT on real
pixels, or, with `--stand-in`, one whose model finds the same box on two of three images and fails on every tenth. Each
study has one to three of the headers of `tests.pneumonia.reading_room.node.worst`, every fifth one that is not to be
read. Orthanc gets them from storescu and sends them on; results go back to it. At the end its reports are read.
"""

from __future__ import annotations

import argparse
import io
import json
import random
import subprocess
import sys
import tempfile
import time
import urllib.request
import warnings
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import yaml
from pydicom import Dataset, dcmread
from tests.pneumonia.reading_room.node.stand_in import radiograph
from tests.pneumonia.reading_room.node.test_peers import Orthanc, storescu
from tests.pneumonia.reading_room.node.test_worst_headers import of, said
from tests.pneumonia.reading_room.node.worst import READ, REFUSED

from pneumonia.dicom.windowing import study_to_uint8
from pneumonia.params import load
from pneumonia.reading_room.inputs import Inputs
from pneumonia.reading_room.node.queue import Queue
from pneumonia.reading_room.node.records import ticket

PORTS = {"dicom": 11250, "http": 8700, "node": 11251}
SECONDS = 3600.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--studies", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--source", type=Path, help="folder or zip of studies whose pixels are taken")
    parser.add_argument("--stand-in", action="store_true", help="a model that is none")
    parser.add_argument("--kill", type=int, nargs="*", default=[60, 140], help="when so many have an answer")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    rng, count = random.Random(arguments.seed), arguments.studies
    headers = [drawn(rng, number) for number in range(count)]
    wanted = {f"1.2.3.4.{number}": kind(number, arguments.stand_in) for number in range(count)}
    pixels = list(pictures(arguments.source, count)) if arguments.source else [{}]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        paths = [folder / f"{number}.dcm" for number in range(count)]
        for number, path in enumerate(paths):
            study = {"StudyInstanceUID": f"1.2.3.{number}", "SeriesInstanceUID": f"1.2.3.{number}.1"}
            path.write_bytes(radiograph(number, **{**study, **pixels[number % len(pixels)], **headers[number]}))
        configure(folder, count)
        orthanc = Orthanc(folder / "orthanc", **PORTS)
        node = start(folder, stand_in=arguments.stand_in)
        began, marks = time.monotonic(), list(arguments.kill)
        try:
            for first in range(0, count, 20):
                done = storescu(orthanc.dicom, paths[first : first + 20], "MODALITY", "ORTHANC")
                assert done.returncode == 0, done.stderr
            while (there := len(reports(orthanc))) < count:
                assert time.monotonic() - began < SECONDS, f"{there} answers"
                if marks and there >= marks[0]:
                    marks.pop(0)
                    node.kill()
                    node.wait()
                    orthanc.kill()
                    print(f"killed both with {there} answers", flush=True)
                    orthanc.start()
                    node = start(folder, stand_in=arguments.stand_in)
                time.sleep(0.5)
            seconds = time.monotonic() - began
            time.sleep(5)  # for what should not come
            answers = [fetched(orthanc, each) for each in reports(orthanc)]
        finally:
            orthanc.kill()
            node.kill()
            node.wait()
        with closing(Queue(folder / "node", beside=True)) as queue:
            rows = queue.books.rows(limit=sys.maxsize)
    kinds = {of(report): said(report) for report in answers}
    print(f"{count} studies, {len(answers)} reports in {seconds:.0f} s: {dict(Counter(kinds.values()))}")
    print(f"books: {dict(Counter((row.state, row.outcome) for row in rows))}")
    wrong = {
        uid: (kinds.get(uid), wanted.get(uid)) for uid in kinds | wanted if kinds.get(uid, "none") not in wanted[uid]
    }
    assert not wrong, wrong
    assert len(answers) == count
    print("each image has one answer of its kind")


def drawn(rng: random.Random, number: int) -> dict[str, Any]:
    """Elements of one image: every fifth is not to be read, or cannot be."""
    headers = list(READ.values())
    chosen = [headers[number % len(headers)], *rng.sample(headers, rng.randint(0, 2))]
    # Orthanc is asked to send on CR and DX alone
    refused = [elements for elements in REFUSED.values() if "Modality" not in elements]
    chosen += [refused[number // 5 % len(refused)]] if number % 5 == 4 else []
    return {name: value for elements in chosen for name, value in elements.items()}


def kind(number: int, stand_in: bool) -> set[str]:
    """What the answer may be."""
    if number % 5 == 4:
        return {"not analysed"}
    if not stand_in:
        return {"positive", "negative"}
    return {"failed"} if number % 10 == 0 else {"negative"} if number % 3 == 0 else {"positive"}


def pictures(source: Path, count: int) -> Iterator[dict[str, Any]]:
    """The pixels of studies, as elements."""
    archive, window = Inputs(source), load().images.window.values()
    for study in archive.studies(count):
        image = study_to_uint8(archive.read(study), **window).image
        yield {"Rows": image.shape[0], "Columns": image.shape[1], "PixelData": image.tobytes()}


def configure(folder: Path, count: int) -> None:
    """Write the settings of the node, and what the stand-in finds."""
    settings = {
        "host": "127.0.0.1",
        "port": PORTS["node"],
        "folder": str(folder / "node"),
        "peers": {"ORTHANC": {"host": "127.0.0.1", "port": PORTS["dicom"]}},
        "status": {"port": 0},
        "limits": {"free_disk_mib": 64},
        "delivery": {"first_pause": 1.0},
        "answers": {"not_analysed": "sr"},
    }
    (folder / "serve.yaml").write_text(yaml.safe_dump(settings))
    finds = {
        name: [ticket(f"1.2.3.4.{number}") for number in range(count) if kind(number, stand_in=True) == {word}]
        for name, word in (("fails", "failed"), ("clear", "negative"))
    }
    (folder / "model.json").write_text(json.dumps(finds))


def start(folder: Path, *, stand_in: bool) -> subprocess.Popen[bytes]:
    program = "tests.pneumonia.reading_room.node.stand_in" if stand_in else "pneumonia.cli"
    arguments = (
        [f"{folder}/serve.yaml", "0.1", f"{folder}/model.json"] if stand_in else ["serve", f"{folder}/serve.yaml"]
    )
    with (folder / "log").open("ab") as log:
        return subprocess.Popen([sys.executable, "-m", program, *arguments], stderr=log)


def reports(orthanc: Orthanc) -> list[str]:
    """What Orthanc calls the reports that it has."""
    asked = json.dumps({"Level": "Instance", "Query": {"Modality": "SR"}}).encode()
    with urllib.request.urlopen(f"http://127.0.0.1:{orthanc.http}/tools/find", asked, timeout=30) as answer:
        return list(json.load(answer))


def fetched(orthanc: Orthanc, name: str) -> Dataset:
    with urllib.request.urlopen(f"http://127.0.0.1:{orthanc.http}/instances/{name}/file", timeout=30) as answer:
        return dcmread(io.BytesIO(answer.read()))


if __name__ == "__main__":
    main()

"""Programs that hospitals run, from Debian's packages: dcmtk sends, Orthanc stores, routes and takes the results."""

from __future__ import annotations

import json
import shutil
import subprocess
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.places import ROOT
from tests.pneumonia.reading_room.node.stand_in import BOX, Archive, free_port, radiograph, until

from pneumonia.reading_room.node.serve import Node

Start = Callable[..., Node]
# Not through this environment's own commands: pynetdicom brings a storescu and an echoscu too.
SYSTEM = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin"
ORTHANC, STORESCU, ECHOSCU = (shutil.which(name, path=SYSTEM) for name in ("Orthanc", "storescu", "echoscu"))
CONFIGURATION = ROOT / "docs" / "orthanc"  # what docs/reading-room.md walks through


class Orthanc:
    """A running Orthanc: `get` asks its REST API."""

    def __init__(self, folder: Path, dicom: int, http: int, node: int) -> None:
        self.dicom, self.http = dicom, http
        settings = json.loads((CONFIGURATION / "orthanc.json").read_text())
        title, host, _ = settings["DicomModalities"]["pneumonia"]
        settings |= {
            "StorageDirectory": str(folder / "storage"),
            "IndexDirectory": str(folder / "storage"),
            "DicomPort": dicom,
            "HttpPort": http,
            "LuaScripts": [str(CONFIGURATION / "route.lua")],
            "DicomModalities": {"pneumonia": [title, host, node]},
        }
        (folder / "orthanc.json").write_text(json.dumps(settings))
        log = (folder / "orthanc.log").open("wb")
        self.process = subprocess.Popen([str(ORTHANC), str(folder / "orthanc.json")], stdout=log, stderr=log)
        until(self._up, 30)

    def _up(self) -> bool:
        assert self.process.poll() is None, "Orthanc has ended"
        try:
            return bool(self.get("system"))
        except (urllib.error.URLError, ConnectionError):
            return False

    def get(self, path: str) -> Any:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.http}/{path}", timeout=10) as answer:
            return json.load(answer)

    def instances(self) -> list[dict[str, Any]]:
        return [self.get(f"instances/{name}/simplified-tags") for name in self.get("instances")]


def storescu(port: int, files: list[Path], title: str, called: str) -> subprocess.CompletedProcess[str]:
    command = [str(STORESCU), "-aet", title, "-aec", called, "127.0.0.1", str(port), *map(str, files)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


def write(folder: Path, count: int) -> list[Path]:
    paths = [folder / f"{number}.dcm" for number in range(count)]
    for number, path in enumerate(paths):
        path.write_bytes(radiograph(number))
    return paths


@pytest.mark.skipif(STORESCU is None, reason="needs dcmtk")
def test_dcmtk_asks_and_sends(started: Start, archive: Archive, tmp_path: Path):
    node = started()
    command = [str(ECHOSCU), "-aet", "ARCHIVE", "-aec", "PNEUMONIA", "127.0.0.1", str(node.listener.port)]
    assert subprocess.run(command, timeout=60).returncode == 0
    files = write(tmp_path, 3)
    assert storescu(node.listener.port, files, "ARCHIVE", "PNEUMONIA").returncode == 0
    until(lambda: len(archive.objects) == 6)
    refused = storescu(node.listener.port, files, "STRANGER", "PNEUMONIA")
    assert refused.returncode != 0
    assert "Calling AE Title Not Recognized" in refused.stderr


@pytest.fixture
def pacs(tmp_path: Path, started: Start) -> Iterator[tuple[Orthanc, Node]]:
    dicom = free_port()
    node = started(peers={"ORTHANC": {"host": "127.0.0.1", "port": dicom}})
    folder = tmp_path / "orthanc"
    folder.mkdir()
    made = Orthanc(folder, dicom, free_port(), node.listener.port)
    yield made, node
    made.process.terminate()
    made.process.wait(timeout=30)


@pytest.mark.skipif(ORTHANC is None, reason="needs Orthanc")
@pytest.mark.skipif(STORESCU is None, reason="needs dcmtk")
def test_orthanc_routes_images_and_gets_results_into_their_studies(pacs: tuple[Orthanc, Node], tmp_path: Path):
    orthanc, node = pacs
    assert storescu(orthanc.dicom, write(tmp_path, 2), "MODALITY", "ORTHANC").returncode == 0
    until(lambda: node.queue.counts()["answered"] == 2, 60)
    until(lambda: len(orthanc.get("instances")) == 6)
    (study,) = orthanc.get("studies")  # both images and all results are one study's
    assert orthanc.get(f"studies/{study}")["MainDicomTags"]["StudyInstanceUID"] == "1.2.3"
    stored = orthanc.instances()
    assert sorted(each["Modality"] for each in stored) == ["CR", "CR", "PR", "PR", "SR", "SR"]
    for each in stored:
        assert each["PatientID"] == "P1"
        if each["Modality"] == "PR":
            (reference,) = each["ReferencedSeriesSequence"][0]["ReferencedImageSequence"]
            assert reference["ReferencedSOPInstanceUID"] in ("1.2.3.4.0", "1.2.3.4.1")
            drawn = each["GraphicAnnotationSequence"][0]["GraphicObjectSequence"][0]["GraphicData"]
            assert [float(number) for number in drawn.split("\\")][:2] == BOX[:2]

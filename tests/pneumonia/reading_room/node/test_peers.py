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
from tests.pneumonia.reading_room.node.stand_in import BOX, Archive, Model, asked, free_port, radiograph, until

from pneumonia.reading_room.node.serve import Node

Start = Callable[..., Node]
# Not through this environment's own commands: pynetdicom brings a storescu and an echoscu too.
SYSTEM = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin"
ORTHANC, STORESCU, ECHOSCU = (shutil.which(name, path=SYSTEM) for name in ("Orthanc", "storescu", "echoscu"))
PLUGIN = Path("/usr/share/orthanc/plugins/libOrthancPython.so")  # Debian's orthanc-python
CONFIGURATION = ROOT / "docs" / "orthanc"  # what docs/reading-room.md walks through


class Orthanc:
    """A running Orthanc: `get` asks its REST API."""

    def __init__(self, folder: Path, dicom: int, http: int, node: int) -> None:
        folder.mkdir(exist_ok=True)
        self.folder, self.dicom, self.http, self.node = folder, dicom, http, node
        settings = json.loads((CONFIGURATION / "orthanc.json").read_text())
        title, host, _ = settings["DicomModalities"]["pneumonia"]
        settings |= {
            "DicomPort": dicom,
            "HttpPort": http,
            "DicomModalities": {"pneumonia": [title, host, node]},
        }
        (folder / "orthanc.json").write_text(json.dumps(settings))
        route = (CONFIGURATION / "route.py").read_text()
        assert "PAUSES = (5.0, 30.0)" in route
        (folder / "route.py").write_text(route.replace("(5.0, 30.0)", "(0.5, 2.0)"))
        self.start()

    def start(self) -> None:
        with (self.folder / "orthanc.log").open("ab") as log:
            self.process = subprocess.Popen([str(ORTHANC), "orthanc.json"], stdout=log, stderr=log, cwd=self.folder)
        until(self._up, 30)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def end(self) -> int:
        self.process.terminate()
        return self.process.wait(timeout=30)

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


needs_orthanc = pytest.mark.skipif(
    ORTHANC is None or STORESCU is None or not PLUGIN.is_file(), reason="needs Orthanc, its Python plugin and dcmtk"
)


@pytest.fixture
def orthanc(tmp_path: Path) -> Iterator[Orthanc]:
    made = Orthanc(tmp_path / "orthanc", free_port(), free_port(), free_port())
    yield made
    made.kill()


def beside(orthanc: Orthanc) -> dict[str, Any]:
    """Settings of the node that this Orthanc knows."""
    return {"peers": {"ORTHANC": {"host": "127.0.0.1", "port": orthanc.dicom}}, "port": orthanc.node}


@needs_orthanc
def test_orthanc_routes_images_and_gets_results_into_their_studies(orthanc: Orthanc, started: Start, tmp_path: Path):
    node = started(**beside(orthanc))
    assert storescu(orthanc.dicom, write(tmp_path, 2), "MODALITY", "ORTHANC").returncode == 0
    until(lambda: node.queue.books.counts()["answered"] == 2, 60)
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
    assert orthanc.end() == 0


@needs_orthanc
def test_nothing_is_lost_on_the_way_from_orthanc(
    orthanc: Orthanc, started: Start, model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """The node is away, Orthanc is killed, the node is full for a while, is restarted, and Orthanc is too."""
    files = write(tmp_path, 14)
    assert storescu(orthanc.dicom, files[:6], "MODALITY", "ORTHANC").returncode == 0
    state = orthanc.folder / "orthanc-storage" / "pneumonia.json"
    until(lambda: state.is_file() and len(json.loads(state.read_text())["waiting"]) == 6)
    orthanc.kill()
    orthanc.start()
    assert storescu(orthanc.dicom, files[6:12], "MODALITY", "ORTHANC").returncode == 0
    model.seconds = 1.0
    full = started(**beside(orthanc), batch=1, limits={"waiting": 2, "free_disk_mib": 0})
    until(lambda: full.queue.books.counts()["answered"] >= 2, 60)
    until(lambda: 'pneumonia_received_total{outcome="busy"}' in asked(full, "metrics"), 60)
    full.stop()
    assert orthanc.end() == 0
    model.seconds = 0.0
    node = started(**beside(orthanc), limits={"waiting": 2, "free_disk_mib": 0})
    orthanc.start()
    assert storescu(orthanc.dicom, files[12:], "MODALITY", "ORTHANC").returncode == 0
    until(lambda: node.queue.books.counts()["answered"] == 14, 120)
    until(lambda: len(orthanc.get("instances")) == 3 * 14)
    until(lambda: json.loads(state.read_text())["waiting"] == {})
    images = {each["SOPInstanceUID"] for each in orthanc.instances() if each["Modality"] == "CR"}
    assert images == {f"1.2.3.4.{number}" for number in range(14)}
    reports = [each for each in orthanc.instances() if each["Modality"] == "SR"]
    assert len(reports) == 14

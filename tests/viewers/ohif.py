"""OHIF as published (npm pack @ohif/app), its studies in an Orthanc with DICOMweb, both on loopback, in headless Chromium.

OHIF's folder `package/dist` is named by the environment variable OHIF_DIST; Orthanc, its DICOMweb plugin, Chromium and its
driver are Debian's orthanc, orthanc-dicomweb, chromium and chromium-driver. Tried with OHIF 3.13.2.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from tests.pneumonia.reading_room.node.stand_in import free_port

DIST = os.environ.get("OHIF_DIST", "")
ORTHANC = shutil.which("Orthanc", path="/usr/local/sbin:/usr/sbin:/usr/bin")
PLUGIN = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")
DRIVER = shutil.which("chromedriver")
MISSING = [
    name
    for name, there in {
        "OHIF_DIST": DIST and (Path(DIST) / "index.html").is_file(),
        "Orthanc": ORTHANC,
        "its DICOMweb plugin": PLUGIN.is_file(),
        "chromedriver": DRIVER,
    }.items()
    if not there
]
_SETTINGS = {
    "routerBasename": None, "extensions": [], "modes": [], "customizationService": {}, "showStudyList": True,
    "maxNumberOfWebWorkers": 2, "investigationalUseDialog": {"option": "never"}, "defaultDataSourceName": "orthanc",
    "dataSources": [{
        "namespace": "@ohif/extension-default.dataSourcesModule.dicomweb", "sourceName": "orthanc",
        "configuration": {
            "friendlyName": "orthanc", "name": "orthanc", "qidoRoot": "/dicom-web", "wadoRoot": "/dicom-web",
            "qidoSupportsIncludeField": False, "imageRendering": "wadors", "thumbnailRendering": "wadors",
            "enableStudyLazyLoad": True, "omitQuotationForMultipartRequest": True, "bulkDataURI": {"enabled": True},
        },
    }],
}  # fmt: skip


def until(true: Callable[[], Any], seconds: float) -> Any:
    """What `true` gives once it is something."""
    end = time.monotonic() + seconds
    while not (found := true()):
        assert time.monotonic() < end, f"not within {seconds} s"
        time.sleep(0.2)
    return found


class _Handler(SimpleHTTPRequestHandler):
    orthanc = 0  # its port

    def do_GET(self) -> None:
        if self.path.startswith("/dicom-web/"):
            self._pass_on()
        elif self.path == "/app-config.js":
            self._answer(200, f"window.config={json.dumps(_SETTINGS)}".encode(), "application/javascript")
        else:
            if not Path(self.translate_path(self.path)).is_file():
                self.path = "/index.html"
            super().do_GET()

    def end_headers(self) -> None:
        self.send_header("Cross-Origin-Opener-Policy", "same-origin")
        self.send_header("Cross-Origin-Embedder-Policy", "require-corp")
        super().end_headers()

    def log_message(self, *said: Any) -> None:
        pass

    def _pass_on(self) -> None:
        asked = urllib.request.Request(
            f"http://127.0.0.1:{self.orthanc}{self.path}", headers={"Accept": self.headers.get("Accept", "*/*")}
        )
        try:
            with urllib.request.urlopen(asked, timeout=30) as answer:
                self._answer(200, answer.read(), answer.headers["Content-Type"])
        except urllib.error.HTTPError as error:
            self._answer(error.code, b"", "text/plain")

    def _answer(self, status: int, body: bytes, kind: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


class Viewer:
    """OHIF in a browser."""

    def __init__(self, driver: Any, port: int, orthanc: int) -> None:
        self.driver, self.port, self.orthanc = driver, port, orthanc

    def store(self, data: bytes) -> None:
        asked = urllib.request.Request(f"http://127.0.0.1:{self.orthanc}/instances", data=data, method="POST")
        with urllib.request.urlopen(asked, timeout=30) as answer:
            assert answer.status == 200

    def open(self, study: str, thumbnails: int) -> None:
        """Show a study with so many series."""
        self.driver.get(f"http://127.0.0.1:{self.port}/viewer?StudyInstanceUIDs={study}")
        until(lambda: len(self.thumbnails()) == thumbnails and self._images(), 90)
        for tour in self.driver.find_elements("xpath", "//*[contains(text(),'Skip all')]"):
            tour.click()
        self.messages()

    def thumbnails(self) -> list[tuple[str, Any]]:
        """Of each series its words and element."""
        found = self.driver.find_elements("css selector", '[data-cy^="study-browser-thumbnail"]')
        return [(element.text.strip().replace("\n", " "), element) for element in found]

    def open_report(self, number: int) -> list[str]:
        """Open the study's SR of that number.

        Returns:
            What is written over the image, a label each.
        """
        before = self.outlines()
        self._double_click(number)
        until(lambda: self.outlines() and self.outlines() != before, 30)
        time.sleep(2)
        return self.labels()

    def read_report(self, number: int) -> str:
        """Open the study's SR of that number, which is no report of measurements: the words on the page."""
        self._double_click(number)
        time.sleep(5)
        return str(self.driver.find_element("tag name", "body").text)

    def accept(self) -> None:
        """Let OHIF take the report's boxes over as measurements."""
        (yes,) = [each for each in self.driver.find_elements("tag name", "button") if each.text.strip() == "Yes"]
        yes.click()
        time.sleep(5)

    def labels(self) -> list[str]:
        texts = self.driver.find_elements("css selector", "svg.svg-layer text")
        return sorted(text.get_attribute("textContent") for text in texts)

    def outlines(self) -> list[list[float]]:
        """Of each closed line over the image: left, top, right, bottom in pixels of the screen."""
        found = []
        for line in self.driver.find_elements("css selector", "svg.svg-layer polyline"):
            numbers = [float(n) for n in (line.get_attribute("points") or "").replace(",", " ").split()]
            if len(numbers) > 4:
                found.append([min(numbers[0::2]), min(numbers[1::2]), max(numbers[0::2]), max(numbers[1::2])])
        return sorted(found)

    def messages(self) -> list[str]:
        """What the browser's console said since the last time."""
        return [each["message"] for each in self.driver.get_log("browser")]

    def _double_click(self, number: int) -> None:
        from selenium.webdriver import ActionChains

        reports = [element for words, element in self.thumbnails() if words.startswith("SR")]
        ActionChains(self.driver).move_to_element(reports[number]).double_click().perform()

    def _images(self) -> list[Any]:
        return list(self.driver.find_elements("css selector", "canvas.cornerstone-canvas"))


@contextmanager
def viewer(folder: Path) -> Iterator[Viewer]:
    """A running OHIF, whose Orthanc keeps its files in `folder`."""
    from selenium import webdriver

    http, dicom = free_port(), free_port()
    settings = {
        "StorageDirectory": str(folder / "db"), "IndexDirectory": str(folder / "db"), "HttpPort": http, "DicomPort": dicom,
        "RemoteAccessAllowed": False, "AuthenticationEnabled": False, "Plugins": [str(PLUGIN)],
        "DicomWeb": {"Enable": True, "Root": "/dicom-web/", "StudiesMetadata": "Full", "SeriesMetadata": "Full"},
    }  # fmt: skip
    (folder / "orthanc.json").write_text(json.dumps(settings))
    with (folder / "orthanc.log").open("wb") as log:
        orthanc = subprocess.Popen([str(ORTHANC), str(folder / "orthanc.json")], stdout=log, stderr=log)
    handler = type("Handler", (_Handler,), {"orthanc": http})
    server = ThreadingHTTPServer(("127.0.0.1", 0), lambda *given: handler(*given, directory=DIST))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    options = webdriver.ChromeOptions()
    for option in ("--headless=new", "--no-sandbox", "--use-angle=swiftshader", "--enable-unsafe-swiftshader",
                   "--ignore-gpu-blocklist", "--window-size=1500,900"):  # fmt: skip
        options.add_argument(option)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    try:
        until(lambda: _answers(http), 30)
        driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(DRIVER))
        try:
            yield Viewer(driver, server.server_port, http)
        finally:
            driver.quit()
    finally:
        server.shutdown()
        orthanc.terminate()
        orthanc.wait(timeout=30)


def _answers(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/system", timeout=5):
            return True
    except OSError:
        return False

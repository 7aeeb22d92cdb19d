"""The node's mouth for a server that speaks DICOMweb: sends results by STOW-RS (PS3.18, 10.5), as a courier does by C-STORE.

Asked for it (`commitment`), it has the server find each result by QIDO-RS before that leaves the queue.
"""

from __future__ import annotations

import base64
import http.client
import json
import logging
import secrets
import ssl
from collections.abc import Collection, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import quote, urlsplit

from pydicom import dcmread

from pneumonia.reading_room.node.courier import RESULTS, Courier
from pneumonia.reading_room.node.records import Parcel

LOG = logging.getLogger(__name__)
JSON = "application/dicom+json"
MAX_ANSWER = 2**20  # bytes
CHUNK = 2**18
_REFUSED = (400, 411, 413, 415, 422)  # statuses of HTTP that another try of the same will not change
_FOR_GOOD = (
    0xA9,
    0xC1,
)  # first bytes of failure reasons (PS3.18, table I.2-2): it does not match its class; no such compression
_FAILED, _THERE, _OTHER, _UID, _REASON = "00081198", "00081199", "0008119A", "00081155", "00081197"
_IDENTITY = ("SOPInstanceUID",)


class Unwilling(Exception):
    """What a server answers in the place of what was asked for.

    Attributes:
        for_all: whether it would answer anything else so too.
    """

    def __init__(self, status: int) -> None:
        super().__init__(f"HTTP {status}")
        self.for_all = status not in _REFUSED


class Line:
    """One connection to a server.

    Raises:
        OSError: there is none.
    """

    def __init__(self, url: str, login: str, tls: ssl.SSLContext | None, seconds: float) -> None:
        parts = urlsplit(url)
        self._path, host = parts.path.rstrip("/"), parts.hostname or ""
        self._login = {"Authorization": login} if login else {}
        self._open: http.client.HTTPConnection = (
            http.client.HTTPSConnection(host, parts.port, timeout=seconds, context=tls)
            if parts.scheme == "https"
            else http.client.HTTPConnection(host, parts.port, timeout=seconds)
        )
        self._open.connect()
        self.is_established = True
        self.accepted_contexts = [SimpleNamespace(abstract_syntax=each) for each in RESULTS]  # nothing is negotiated

    def release(self) -> None:
        """Hang up."""
        self.is_established = False
        self._open.close()

    def store(self, path: Path) -> int:
        """Send one file.

        Returns:
            0: the server has it; else why not, as a failure reason.

        Raises:
            Unwilling: the server says something else.
            OSError, HTTPException: it hung up.
        """
        cut = secrets.token_hex(16)
        head = f"--{cut}\r\nContent-Type: application/dicom\r\n\r\n".encode()
        end = f"\r\n--{cut}--\r\n".encode()
        headers = {
            "Content-Type": f'multipart/related; type="application/dicom"; boundary="{cut}"',
            "Content-Length": str(len(head) + path.stat().st_size + len(end)),
            "Accept": JSON,
        }
        status, said = self._ask("POST", "/studies", headers, _body(head, path, end))
        try:
            answer = json.loads(said)
            failed = [int(item[_REASON]["Value"][0]) for tag in (_FAILED, _OTHER) for item in _items(answer, tag)]
            there = [item[_UID]["Value"][0] for item in _items(answer, _THERE)]
        except (ValueError, LookupError, TypeError, AttributeError):
            raise Unwilling(status if status >= 300 else 502) from None
        if failed:
            return failed[0]
        if status in (200, 202) and uid(path) in there:
            return 0
        raise Unwilling(status if status >= 300 else 502)

    def finds(self, instance: str) -> bool:
        """Whether the server finds this SOP Instance UID.

        Raises:
            Unwilling: it says something else.
        """
        status, said = self._ask("GET", f"/instances?SOPInstanceUID={quote(instance)}&limit=1", {"Accept": JSON})
        if status == 204:
            return False
        try:
            return status == 200 and any(item["00080018"]["Value"] == [instance] for item in json.loads(said))
        except (ValueError, LookupError, TypeError):
            raise Unwilling(status if status >= 300 else 502) from None

    def _ask(self, method: str, path: str, headers: dict[str, str], body: Any = None) -> tuple[int, bytes]:
        self._open.request(method, self._path + path, body, headers | self._login)
        answer = self._open.getresponse()
        said = answer.read(MAX_ANSWER)
        if not answer.isclosed():  # more than that
            self.release()
        if answer.status not in (200, 202, 204, 409):
            raise Unwilling(answer.status)
        return answer.status, said


class StowCourier(Courier):
    """Sends to a DICOMweb server until `stop` is set.

    Arguments:
        url: of the server's DICOMweb, before `/studies`.
        login: the value of `Authorization`; empty: none.
        commitment: whether a result counts as delivered only when the server finds it.
        named: see `Courier`; of its address there is none.
    """

    def __init__(self, *arguments: Any, url: str, login: str, commitment: bool, **named: Any) -> None:
        super().__init__(*arguments, address=("", 0), **named)
        self._url, self._login, self._commitment = url, login, commitment

    def _associate(self) -> tuple[Any, str]:
        try:
            return Line(self._url, self._login, self._tls, self._seconds), ""
        except OSError as error:
            return None, f"no connection ({type(error).__name__})"

    def _deliver(self, line: Any, parcel: Parcel, taken: Collection[str]) -> bool:
        try:
            reason = line.store(parcel.path)
            if not reason and self._commitment and not line.finds(uid(parcel.path)):
                self._postpone(parcel, "stored, and not found there")
                return False
        except Unwilling as error:
            if error.for_all:
                line.release()
                self._postpone(parcel, str(error))
            else:
                self._end(parcel, str(error))
            return False
        except (OSError, http.client.HTTPException) as error:
            line.release()
            self._postpone(parcel, type(error).__name__)
            return False
        if reason >> 8 in _FOR_GOOD:
            self._end(parcel, f"failure reason 0x{reason:04X}")
            return False
        return self._judge(parcel, reason, taken)


def searched(url: str, login: str, tls: ssl.SSLContext | None, seconds: float) -> str:
    """What became of a search for nothing: an empty text, or what went wrong."""
    try:
        line = Line(url, login, tls, seconds)
        line.finds("1.2.3")
    except Unwilling as error:
        return f"answers with {error}"
    except (OSError, http.client.HTTPException) as error:
        return f"does not answer ({type(error).__name__})"
    line.release()
    return ""


def authorization(path: Path) -> str:
    """The value of `Authorization` by a file that holds `Bearer TOKEN` or `USER:PASSWORD`.

    Raises:
        ValueError: it holds neither, or can be read by others; nothing of it is repeated.
        FileNotFoundError: there is none.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file; wanted `Bearer TOKEN` or `USER:PASSWORD`")
    if path.stat().st_mode & 0o077:
        raise ValueError(f"{path} can be read by other users: chmod 600 {path}")
    said = path.read_text(encoding="utf-8").strip()
    if said.startswith("Bearer ") and said.isascii() and "\n" not in said:
        return said
    if ":" in said and "\n" not in said:
        return "Basic " + base64.b64encode(said.encode()).decode()
    raise ValueError(f"{path} holds neither `Bearer TOKEN` nor `USER:PASSWORD`, on one line")


def uid(path: Path) -> str:
    """The SOP Instance UID of a result."""
    return str(dcmread(path, stop_before_pixels=True, specific_tags=list(_IDENTITY)).SOPInstanceUID)


def _body(head: bytes, path: Path, end: bytes) -> Iterator[bytes]:
    yield head
    with path.open("rb") as stream:
        while piece := stream.read(CHUNK):
            yield piece
    yield end


def _items(answer: Any, tag: str) -> list[Any]:
    found = answer.get(tag, {}).get("Value", [])
    return found if isinstance(found, list) else []

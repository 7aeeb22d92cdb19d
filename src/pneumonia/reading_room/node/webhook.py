"""Alerts, posted as JSON to an address of the hospital's: what failed and what is wrong with the node, never of whom.

Images that were given up or not delivered are alerted from the books, where each is struck off when its alert was sent,
so that a kill loses none; what is wrong with the node is alerted when it begins and when it has ended.
"""

from __future__ import annotations

import json
import logging
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any

from pneumonia.reading_room.node.books import Books
from pneumonia.reading_room.node.records import Row

LOG = logging.getLogger(__name__)
LOOK_EVERY = 2.0  # seconds
SECONDS = 10.0  # that the address may be silent
PAUSES = (1.0, 2.0, 5.0, 15.0, 60.0, 300.0)  # seconds between two tries of one alert; then it is given up, and logged
AT_ONCE = 100  # images that an alert lists; it counts all
OF_THE_LAST = 86_400.0  # seconds: older images are in the books alone
_OF_IMAGES = ("failed", "undelivered")


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A token is for the address that it was given for."""

    def redirect_request(self, *_: Any) -> None:
        """Follow none."""


class Alerts:
    """Looks and posts until `stop` is set; nothing waits for it.

    Arguments:
        title: of the node.
        url, events, token_file: see `pneumonia.reading_room.node.settings.Webhook`.
        conditions: what is wrong now: numbers and titles by event and what it is of, as `("peer_away", "PACS")`.

    Raises:
        OSError: the token's file cannot be read.
    """

    def __init__(
        self,
        books: Books,
        *,
        title: str,
        url: str,
        events: Collection[str],
        token_file: str,
        conditions: Callable[[], Mapping[tuple[str, str], Mapping[str, Any]]],
        stop: threading.Event,
    ) -> None:
        self._books, self._title, self._url, self._events = books, title, url, events
        self._token, self._conditions, self._stop = Path(token_file) if token_file else None, conditions, stop
        self._open = dict[tuple[str, str], Mapping[str, Any]]()
        self._opener = urllib.request.build_opener(_NoRedirect)
        self._headers()

    def serve(self) -> None:
        """Look, and look again; the last time when the node ends."""
        while not self._stop.wait(LOOK_EVERY):
            self.step()
        self.step()

    def step(self) -> None:
        """Post what is new."""
        for event in _OF_IMAGES:
            rows = self._books.untold(event, OF_THE_LAST) if event in self._events else []
            if rows:
                if not self._send(event, count=len(rows), images=[_said(row) for row in rows[:AT_ONCE]]):
                    return
                self._books.told(row.ticket for row in rows)
        now = {key: said for key, said in self._conditions().items() if key[0] in self._events}
        for key in now.keys() - self._open.keys():
            if not self._send(key[0], condition="began", **now[key]):
                return
            self._open[key] = now[key]
        for key in self._open.keys() - now.keys():
            if not self._send(key[0], condition="ended", **self._open[key]):
                return
            del self._open[key]

    def _send(self, event: str, **values: Any) -> bool:
        """Post one alert, or give it up; False where the node ends meanwhile."""
        moment = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        body = json.dumps({"node": self._title, "event": event, "time": moment, **values}).encode()
        for pause in (*PAUSES, None):
            fault = self._post(body)
            if not fault:
                LOG.info("alert sent event=%s", event)
                return True
            if pause is None:
                break
            LOG.warning("alert not sent event=%s fault=%s again_in=%.0f", event, fault, pause)
            if self._stop.wait(pause):
                return False
        LOG.error("alert given up event=%s fault=%s", event, fault)
        return True

    def _post(self, body: bytes) -> str:
        """An empty text, or what went wrong."""
        try:
            request = urllib.request.Request(self._url, body, self._headers(), method="POST")
            with self._opener.open(request, timeout=SECONDS):
                return ""
        except urllib.error.HTTPError as error:
            with error:
                return f"status {error.code}"
        except Exception as error:  # no connection, no answer, an answer that is no HTTP
            return type(error).__name__

    def _headers(self) -> dict[str, str]:
        token = {"Authorization": f"Bearer {self._token.read_text().strip()}"} if self._token else {}
        return {"Content-Type": "application/json", **token}


def _said(row: Row) -> dict[str, Any]:
    return {
        "ticket": row.ticket,
        "state": row.state,
        "outcome": row.outcome,
        "reason": row.reason or row.fault,
        "tries": row.tries,
    }

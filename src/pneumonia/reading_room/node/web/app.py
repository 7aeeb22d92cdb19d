"""The addresses of the node's HTTP.

/                               the page; its files below /static/
/page/session                   whether a token is needed; POST one to begin, DELETE to end
/page/state                     queue, health and operating point
/page/images                    POST a DICOM file: it is read like any other
/page/images/{ticket}           what was seen of it; /picture below that
/dicom-web/studies[/{study}]    POST: DICOMweb's store (STOW-RS)
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Awaitable, Callable, Collection
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import FileResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp

from pneumonia.reading_room.node.web.desk import Desk
from pneumonia.reading_room.node.web.dicomweb import RETRY_AFTER, store
from pneumonia.reading_room.node.web.failures import BUSY, WORDS
from pneumonia.reading_room.node.web.guard import COOKIE, SESSION_SECONDS, Guard, Tokens
from pneumonia.reading_room.node.web.names import PAGE
from pneumonia.reading_room.node.web.receive import Upload, arriving

STATIC = Path(__file__).parent / "static"
PUBLIC = ("/", "/static/", "/page/session")
DICOMWEB = "/dicom-web"
MAX_LOGIN_BYTES = 4096
SAME_SECONDS = 0.5  # for which all browsers are told the same of the queue


class Point:
    """The operating point, which is known when the models are loaded."""

    def __init__(self) -> None:
        self.threshold: float | None = None
        self.max_boxes = 0


def application(desk: Desk, point: Point, tokens: Tokens, hosts: Collection[str]) -> ASGIApp:
    """What answers the addresses above.

    Arguments:
        hosts: see `Guard`.
    """
    uploading = 0
    said = _for_all(lambda: json.dumps(_state(desk, point)))

    async def page(request: Request) -> Response:
        return FileResponse(STATIC / "index.html")

    async def session(request: Request) -> Response:
        secret = request.cookies.get(COOKIE, "")
        secure = request.url.scheme == "https"
        if request.method == "POST":
            name = tokens.name(await _token(request, desk))
            if name != PAGE:
                return PlainTextResponse("this is no token for the page\n", 403)
            response = JSONResponse({"open": True})
            response.set_cookie(
                COOKIE, tokens.begin(name), max_age=SESSION_SECONDS, httponly=True, samesite="strict", secure=secure
            )
            return response
        if request.method == "DELETE":
            tokens.end(secret)
            response = JSONResponse({"open": tokens.open})
            response.delete_cookie(COOKIE, httponly=True, samesite="strict", secure=secure)
            return response
        return JSONResponse({"open": tokens.open or tokens.of_session(secret) == PAGE, "tokens": not tokens.open})

    async def state(request: Request) -> Response:
        return Response(await run_in_threadpool(said), media_type="application/json")

    async def image(request: Request) -> Response:
        seen = desk.shelf.get(request.path_params["ticket"])
        if seen is None:
            return PlainTextResponse("nothing is kept of this image\n", 404)
        if request.url.path.endswith("/picture"):
            return Response(seen.picture, media_type="image/jpeg")
        size = {"columns": seen.columns, "rows": seen.rows, "aspect": seen.aspect}
        return JSONResponse({**size, "boxes": seen.boxes, "score": seen.score, "notes": seen.notes})

    async def drop(request: Request) -> Response:
        if request.headers.get("content-type") != "application/dicom":
            return PlainTextResponse("wanted application/dicom\n", 415)
        upload = await run_in_threadpool(Upload, desk)
        try:
            async for piece in arriving(request.stream(), desk):
                await run_in_threadpool(upload.write, piece)
            taken = await run_in_threadpool(upload.finish, PAGE)
        except (OverflowError, TimeoutError) as error:
            return PlainTextResponse("It is too large, or came too slowly.\n", 413 if error.args else 408)
        except ClientDisconnect:
            return Response(status_code=400)
        finally:
            upload.close()
        if taken.failure:
            busy = taken.failure == BUSY
            return PlainTextResponse(
                WORDS[taken.failure] + "\n", 503 if busy else 422, {"Retry-After": RETRY_AFTER} if busy else {}
            )
        return JSONResponse({"ticket": taken.ticket, "known": taken.known}, 202)

    async def stow(request: Request) -> Response:
        return await store(request, desk, request.state.sender)

    def bounded(answer: Callable[[Request], Awaitable[Response]]) -> Callable[[Request], Awaitable[Response]]:
        async def counted(request: Request) -> Response:
            nonlocal uploading
            if uploading >= desk.uploads:
                return PlainTextResponse("too many at once\n", 503, {"Retry-After": RETRY_AFTER})
            uploading += 1
            try:
                return await answer(request)
            finally:
                uploading -= 1

        return counted

    routes = [
        Route("/", page),
        Mount("/static", StaticFiles(directory=STATIC)),
        Route("/page/session", session, methods=["GET", "POST", "DELETE"]),
        Route("/page/state", state),
        Route("/page/images", bounded(drop), methods=["POST"]),
        Route("/page/images/{ticket}", image),
        Route("/page/images/{ticket}/picture", image),
        Route(f"{DICOMWEB}/studies", bounded(stow), methods=["POST"]),
        Route(f"{DICOMWEB}/studies/{{study}}", bounded(stow), methods=["POST"]),
    ]
    return Guard(Starlette(routes=routes), tokens=tokens, hosts=hosts, public=PUBLIC, by_token=DICOMWEB)


def _for_all(work: Callable[[], str]) -> Callable[[], str]:
    """Done at most once in `SAME_SECONDS`, however many ask."""
    lock, last, moment = threading.Lock(), "", float("-inf")

    def ask() -> str:
        nonlocal last, moment
        with lock:
            if time.monotonic() - moment > SAME_SECONDS:
                last, moment = work(), time.monotonic()
            return last

    return ask


def _state(desk: Desk, point: Point) -> dict[str, Any]:
    health, seen = desk.health(), desk.shelf.all()
    rows = []
    for row in desk.rows():
        kept = seen.get(row["ticket"])
        own: dict[str, Any] = {**row, "patient": desk.shelf.patient(row["ticket"]), "kept": kept is not None}
        if kept:
            own |= {"score": kept.score, "scores": [box[4] for box in kept.boxes], "seen": kept.moment}
        rows.append(own)
    return {
        "now": time.time(),
        "faults": health["faults"],
        "notes": health.get("notes", []),
        "images": health["images"],
        "threshold": point.threshold,
        "max_boxes": point.max_boxes,
        "show_patient": desk.shelf.shows_patients,
        "rows": rows,
    }


async def _token(request: Request, desk: Desk) -> str:
    """What a person typed; empty where that cannot be said."""
    body = b""
    try:
        async for piece in arriving(request.stream(), desk):
            body += piece
            if len(body) > MAX_LOGIN_BYTES:
                return ""
        said = json.loads(body)
    except (ValueError, TimeoutError, ClientDisconnect):
        return ""
    token = said.get("token") if isinstance(said, dict) else None
    return token if isinstance(token, str) else ""

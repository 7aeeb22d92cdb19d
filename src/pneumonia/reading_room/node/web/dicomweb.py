"""Images by DICOMweb: the store transaction (STOW-RS, PS3.18, 10.5), into the queue."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from pneumonia.reading_room.node.web.desk import Desk
from pneumonia.reading_room.node.web.failures import BUSY
from pneumonia.reading_room.node.web.multipart import Mark, Splitter, boundary
from pneumonia.reading_room.node.web.receive import Taken, Upload, arriving

MAX_INSTANCES = 1000  # of one request
RETRY_AFTER = "30"  # seconds
JSON = "application/dicom+json"
_UID = re.compile(r"[0-9]+(\.[0-9]+)*")


async def store(request: Request, desk: Desk, sender: str) -> Response:
    """Answer one request with what became of each instance of it (PS3.18, 10.5.3).

    Status 200: all are in the queue; 202: some are not; 409: none is; 503: none is, the queue being full.
    """
    study = request.path_params.get("study", "")
    if study and not (len(study) <= 64 and _UID.fullmatch(study)):
        return _said(400, "the study is no UID")
    accepted = request.headers.get("accept", "*/*")
    if not re.search(r"\*/\*|application/(\*|json|dicom\+json)", accepted):
        return _said(406, f"answers are {JSON}")
    try:
        splitter = Splitter(boundary(request.headers.get("content-type", "")))
    except ValueError as error:
        return _said(415, str(error))
    taken: list[Taken] = []
    upload: Upload | None = None
    try:
        async for piece in arriving(request.stream(), desk):
            for part in splitter.feed(piece):
                if part is Mark.BEGIN:
                    if len(taken) == MAX_INSTANCES:
                        raise OverflowError(f"more than {MAX_INSTANCES:,} instances")
                    upload = await run_in_threadpool(Upload, desk)
                elif upload is None:
                    continue
                elif part is Mark.END:
                    taken.append(await run_in_threadpool(upload.finish, sender, study))
                    upload.close()
                    upload = None
                else:
                    await run_in_threadpool(upload.write, part)
        splitter.end()
    except ValueError as error:
        return _said(400, f"no multipart/related message: {error}")
    except (OverflowError, TimeoutError) as error:
        return _said(*((413, str(error)) if isinstance(error, OverflowError) else (408, "silent for too long")))
    except ClientDisconnect:
        return Response(status_code=400)
    finally:
        if upload is not None:
            upload.close()
    if not taken:
        return _said(400, "there is no instance in it")
    failures = [each.failure for each in taken if each.failure]
    status = 200 if not failures else 202 if len(failures) < len(taken) else 409
    busy = status == 409 and all(failure == BUSY for failure in failures)
    return Response(
        json.dumps(answer(taken)),
        503 if busy else status,
        {"Retry-After": RETRY_AFTER} if busy else {},
        media_type=JSON,
    )


def answer(taken: Iterable[Taken]) -> dict[str, Any]:
    """The data set that a store is answered with (PS3.18, table 10.5.3-1), in the DICOM JSON model.

    Retrieve URLs are empty: nothing can be had from a node but its results, which it sends.
    """
    there, failed, unknown = [], [], []
    for each in taken:
        own: dict[str, Any] = {
            "00081150": {"vr": "UI", "Value": [each.sop_class]},
            "00081155": {"vr": "UI", "Value": [each.sop_instance]},
        }
        reason = {"00081197": {"vr": "US", "Value": [each.failure]}}
        if not each.failure:
            there.append(own | {"00081190": {"vr": "UR"}})
        elif each.sop_instance:
            failed.append(own | reason)
        else:
            unknown.append(reason)
    said: dict[str, Any] = {"00081190": {"vr": "UR"}}
    for tag, items in (("00081198", failed), ("00081199", there), ("0008119A", unknown)):
        if items:
            said[tag] = {"vr": "SQ", "Value": items}
    return said


def _said(status: int, text: str) -> Response:
    return Response(text + "\n", status, media_type="text/plain")

"""`pneumonia serve` and `node`: a DICOM node, and its books."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pneumonia import extras
from pneumonia.commands import shared
from pneumonia.params import Params, load
from pneumonia.runtime.choice import Choice

if TYPE_CHECKING:
    from pneumonia.reading_room.node.queue import Queue
    from pneumonia.reading_room.node.records import Row
    from pneumonia.reading_room.node.settings import Settings
    from pneumonia.reading_room.reader import Reader


def add(commands: shared.Commands) -> None:
    """Make the parsers of `serve` and of `node` and its own commands."""
    serve = commands.add_parser(
        "serve", help="a DICOM node: takes images from a PACS, sends results back (extra: dicom)"
    )
    serve.add_argument("settings", type=shared.path, metavar="FILE", help="YAML; docs/serve.yaml is one to start from")
    shared.add_models(serve)
    serve.add_argument(
        "--check", action="store_true", help="read the settings, say what is wrong and which peers answer, and end"
    )
    serve.add_argument("--offline", action="store_true", help="with --check: ask no peer")
    serve.add_argument(
        "--conformance", action="store_true", help="print the DICOM Conformance Statement of these settings, and end"
    )
    shared.add_runtime(serve)
    serve.set_defaults(run=_serve)

    node = commands.add_parser("node", help="a node's books, while it runs or not: list, reread, resend, forget")
    asked = node.add_subparsers(title="commands", metavar="COMMAND", required=True)
    listed = asked.add_parser("list", help="the images it knows, newest first")
    listed.add_argument("--state", help="only those waiting, answering, answered, refused, failed or undelivered")
    listed.add_argument("--limit", type=int, default=100, metavar="N", help="at most so many (default: 100)")
    listed.add_argument("--json", action="store_true", help="print JSON")
    listed.set_defaults(run=_node_list)
    reread = asked.add_parser("reread", help="have images read again, where their files were kept")
    reread.add_argument(
        "--all-failed", dest="state", action="store_const", const="failed", help="all that the node gave up"
    )
    resend = asked.add_parser("resend", help="have results sent again, or now where they wait")
    resend.add_argument(
        "--all-undelivered",
        dest="state",
        action="store_const",
        const="undelivered",
        help="all that a peer did not take",
    )
    resend.add_argument("--to", action="append", default=[], metavar="TITLE", help="to this peer alone")
    forget = asked.add_parser("forget", help="strike images from the books")
    forget.add_argument("--force", action="store_true", help="even those that are not answered yet")
    for name, each in {"reread": reread, "resend": resend, "forget": forget}.items():
        each.add_argument(
            "images", nargs="*", metavar="IMAGE", help="a ticket, the start of one, or a SOP Instance UID"
        )
        each.set_defaults(**{"run": _node_change, "work": name, "state": None, "to": [], "force": False})
    for each in (listed, reread, resend, forget):
        each.add_argument(
            "--settings",
            type=shared.path,
            default=Path("serve.yaml"),
            metavar="FILE",
            help="of the node (default: serve.yaml)",
        )


def _reader(p: Params, choice: Choice, threshold: float, models: Path) -> Callable[..., Reader]:
    """What makes the reader of new studies, as the params have it; takes the options `capture` and `admit`."""

    def load_reader(**options: Any) -> Reader:
        from pneumonia.reading_room.reader import Reader  # what it imports takes longer than a node may take to listen

        return Reader.load(choice.folder, runtime=choice.runtime, **shared.reading(p, threshold, models), **options)

    return load_reader


def _serve(arguments: argparse.Namespace) -> int:
    from pneumonia.reading_room.node import settings

    s = settings.read(arguments.settings)
    if arguments.conformance:
        extras.require("highdicom", "pynetdicom", "prometheus_client", what="the node")
        from pneumonia.reading_room.node.conformance import statement

        print(statement(s), end="")
        return 0
    if not arguments.check:
        extras.require("highdicom", "pynetdicom", "prometheus_client", what="the node")
    p = load()
    threshold = shared.operating_point(s.threshold, "threshold in " + str(arguments.settings), arguments.models)
    choice = shared.chosen_runtime(p, arguments)
    if arguments.check:
        print(f"{arguments.settings} is fine; operating point {threshold:.3f}")
        return 0 if arguments.offline else _echo(s)
    from pneumonia.reading_room import trained
    from pneumonia.reading_room.node import serve

    key = partial(trained.key, choice.folder, runtime=choice.words, **shared.reading(p, threshold, arguments.models))
    return serve.run(lambda: serve.Node(s, _reader(p, choice, threshold, arguments.models), key))


def _echo(s: Settings) -> int:
    """Say of each peer with an address whether it answers; 1 where one does not."""
    extras.require("pynetdicom", what="asking the peers (not done with --offline)")
    from pneumonia.reading_room.node import echo

    outcomes = echo.peers(s)
    for title, fault in outcomes.items():
        peer = s.peers[title]
        print(f"{title} at {peer.url or f'{peer.host}:{peer.port}'} {fault or 'answers'}")
    return 1 if any(outcomes.values()) else 0


def _node_list(arguments: argparse.Namespace) -> int:
    from pneumonia.reading_room.node import desk, settings

    with closing(desk.opened(settings.read(arguments.settings))) as queue:
        rows = queue.books.rows(arguments.state, limit=arguments.limit)
    print(desk.as_json(rows) if arguments.json else desk.table(rows))
    return 0


def _node_change(arguments: argparse.Namespace) -> int:
    """Do what `arguments.work` names to the images that are named, and to all of `arguments.state`."""
    from pneumonia.reading_room.node import desk, settings

    if not arguments.images and not arguments.state:
        raise ValueError("name an image; `pneumonia node list` shows them")
    s = settings.read(arguments.settings)
    works: dict[str, Callable[[Queue, Row], str]] = {
        "reread": desk.reread,
        "resend": partial(desk.resend, peers=arguments.to, settings=s),
        "forget": partial(desk.forget, force=arguments.force),
    }
    with closing(desk.opened(s)) as queue:
        rows = queue.books.rows(arguments.state, limit=sys.maxsize) if arguments.state else []
        lines, whole = desk.each(queue, arguments.images, rows, works[arguments.work])
    print("\n".join(lines) or f"no image is {arguments.state}")
    return 0 if whole else 1

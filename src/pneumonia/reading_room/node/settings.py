"""The settings of a node: who may send, where results go, and how much of everything is allowed.

They belong to a hospital's network, not to an experiment, so they stand in a file of their own (see docs/serve.yaml)
and no stage depends on them.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Annotated, Literal, get_args
from urllib.parse import urlsplit

import yaml
from pydantic import Field, ValidationError, field_validator, model_validator

from pneumonia.params import Count, Positive, Section, Share, explain, yaml_loader
from pneumonia.reading_room.admission import plain
from pneumonia.reading_room.node.web.names import PAGE

Title = Annotated[str, Field(pattern=r"^[\x21-\x5b\x5d-\x7e]([\x20-\x5b\x5d-\x7e]{0,14}[\x21-\x5b\x5d-\x7e])?$")]
Port = Annotated[int, Field(ge=0, lt=2**16)]  # 0: any that is free
Host = Annotated[str, Field(min_length=1)]
LOOPBACK = ("127.0.0.1", "::1", "localhost")


Event = Literal["failed", "undelivered", "peer_away", "disk_full", "models_failing"]
EVENTS: tuple[Event, ...] = get_args(Event)


class Peer(Section):
    """Another application entity, or a DICOMweb server. Without an address it may send, and nothing is sent to it."""

    host: Host | None = None
    port: Annotated[int, Field(ge=1, lt=2**16)] | None = None
    tls: bool = False
    objects: Annotated[list[Literal["sr", "pr", "sc"]], Field(min_length=1)] | None = None  # None: all that are made
    url: str | None = None  # of a DICOMweb server, in the place of host and port
    login_file: str = ""  # what that server wants to see: `Bearer TOKEN` or `USER:PASSWORD`
    commitment: bool = False  # results leave the queue when the peer says that it keeps them

    @model_validator(mode="after")
    def _one_address(self) -> Peer:
        if self.url is None:
            if self.login_file:
                raise ValueError("login_file is for a peer with a url")
            return self
        if self.host is not None or self.port is not None:
            raise ValueError("url stands in the place of host and port")
        parts = urlsplit(self.url)
        if (
            parts.scheme not in ("http", "https")
            or not parts.hostname
            or parts.username
            or parts.query
            or parts.fragment
        ):
            raise ValueError(f"url must be like https://pacs.example.org/dicom-web, got {self.url!r}")
        if parts.scheme == "http" and (self.tls or (self.login_file and parts.hostname not in LOOPBACK)):
            raise ValueError("with tls or login_file, url must begin with https://")
        return self

    @property
    def reached(self) -> bool:
        """Whether it has an address."""
        return self.host is not None or self.url is not None

    @model_validator(mode="after")
    def _whole_address(self) -> Peer:
        if (self.host is None) != (self.port is None):
            raise ValueError(f"host and port belong together, got host={self.host!r}, port={self.port!r}")
        return self


class Accept(Section):
    """Which images are read: those whose header says so. An empty text in a list stands for "the header does not say"."""

    views: list[Literal["AP", "PA", ""]] = ["AP", "PA"]  # noqa: RUF012, pydantic copies it
    body_parts: list[str] = ["CHEST", "THORAX"]  # noqa: RUF012
    secondary_capture: bool = False  # of modality CR or DX
    processed: bool = False  # those with bones taken out, marks of a computer, or other pictures made from radiographs

    @field_validator("body_parts")
    @classmethod
    def _parts_are_words(cls, parts: list[str]) -> list[str]:
        for part in parts:
            if part and not plain(part):
                raise ValueError(f"{part!r} has neither letters nor digits")
        return parts


class Answers(Section):
    """What becomes of an image that is not analysed: its receivers get nothing, or objects that say so and why."""

    not_analysed: Literal["none", "sr", "capture", "both"] = "none"

    def kinds(self) -> tuple[str, ...]:
        """Of the objects for one that is not analysed."""
        return {"none": (), "sr": ("sr",), "capture": ("sc",), "both": ("sr", "sc")}[self.not_analysed]


class Limits(Section):
    """How much one peer, or all of them, can ask for."""

    associations: Count = 16
    associations_per_host: Count = 8
    pdu_bytes: Annotated[int, Field(ge=4096, le=2**20)] = 131_072
    object_mib: Annotated[int, Field(ge=1, le=256)] = 128
    waiting: Count = 1000  # images; beyond, senders are told to come again
    free_disk_mib: Annotated[int, Field(ge=0)] = 1024
    seconds: Positive = 30.0  # that a peer may be silent


class Delivery(Section):
    """How long a peer that does not take its results is tried."""

    first_pause: Positive = 5.0  # seconds; doubled at each try
    longest_pause: Positive = 600.0
    give_up_hours: Positive = 72.0


class Tls(Section):
    """PEM files. With `authority`, a peer must show a certificate that it signed."""

    certificate: str
    key: str
    authority: str = ""


class Status(Section):
    """Where /health and /metrics are served."""

    host: Host = "127.0.0.1"
    port: Port = 8052


class Health(Section):
    """From when on a node is not healthy."""

    failed: Count = 1  # images given up in the last `hours`
    undelivered: Count = 1  # images whose results nobody took, in the last `hours`
    hours: Positive = 24.0
    peer_away_minutes: Positive = 30.0  # that a peer does not take a result


class Webhook(Section):
    """Where alerts are posted, as JSON that names no one."""

    url: Annotated[str, Field(pattern=r"^https?://[^\s/]+\S*$")]
    events: Annotated[list[Event], Field(min_length=1)] = [*EVENTS]  # noqa: RUF012, pydantic copies it
    token_file: str = ""  # its content goes along as a bearer token


class Web(Section):
    """A page for people, and DICOMweb (extra: web). Beyond loopback, and for DICOMweb, only with tokens."""

    host: Host = "127.0.0.1"
    port: Port = 8053
    names: list[Host] = []  # noqa: RUF012, that a browser may call this host, besides `host` and localhost
    token_file: str = ""  # lines `NAME TOKEN`: WEB opens the page, a peer's title sends by DICOMweb
    tls: bool = False
    show_patient: bool = False
    keep_images: Annotated[int, Field(ge=1, le=1000)] = 100  # pictures in memory, the last ones that were read
    keep_minutes: Positive = 480.0
    request_mib: Annotated[int, Field(ge=1, le=8192)] = 1024  # of one request with several images

    @model_validator(mode="after")
    def _tokens_beyond_loopback(self) -> Web:
        if self.host not in LOOPBACK and not self.token_file:
            raise ValueError(f"host {self.host} can be reached from other machines: name a token_file")
        return self


class Settings(Section):
    """Everything in the file."""

    title: Title = "PNEUMONIA"
    host: Host = "0.0.0.0"
    port: Port = 11112
    folder: Annotated[str, Field(min_length=1)] = "node"
    peers: Annotated[dict[Title, Peer], Field(min_length=1)]
    results_to: Literal["sender"] | list[Title] = "sender"
    capture: bool = False
    threshold: Share | None = None
    batch: Annotated[int, Field(ge=1, le=64)] = 4
    keep_days: Positive = 30.0
    keep_images: Annotated[float, Field(ge=0)] = 0.0
    keep_results: Annotated[float, Field(ge=0)] = 0.0
    accept: Accept = Accept()
    answers: Answers = Answers()
    limits: Limits = Limits()
    delivery: Delivery = Delivery()
    tls: Tls | None = None
    status: Status = Status()
    health: Health = Health()
    webhook: Webhook | None = None
    web: Web | None = None

    @model_validator(mode="after")
    def _page_has_its_own_name(self) -> Settings:
        if self.web and PAGE in self.peers:
            raise ValueError(f"peers.{PAGE} has the name of the node's page: call it otherwise")
        if self.web and self.web.tls and self.tls is None:
            raise ValueError("web.tls is true, but tls names no certificate to show there")
        return self

    @model_validator(mode="after")
    def _tls_has_a_certificate(self) -> Settings:
        wanting = [title for title, peer in self.peers.items() if peer.tls]
        if wanting and self.tls is None:
            raise ValueError(f"peers.{wanting[0]}.tls is true, but tls names no certificate to show there")
        return self

    @model_validator(mode="after")
    def _wanted_objects_are_made(self) -> Settings:
        for title, peer in self.peers.items():
            if peer.objects and "sc" in peer.objects and not (self.capture or "sc" in self.answers.kinds()):
                raise ValueError(f"peers.{title}.objects names sc, but capture is false: none is made")
        return self

    @model_validator(mode="after")
    def _results_have_an_address(self) -> Settings:
        if self.results_to == "sender":
            if not any(peer.reached for peer in self.peers.values()):
                raise ValueError("results_to is 'sender', but no peer has a host and a port, or a url")
            return self
        for title in self.results_to:
            if title not in self.peers or not self.peers[title].reached:
                raise ValueError(f"results_to names {title}, which is no peer with a host and a port, or a url")
        if not self.results_to:
            raise ValueError("results_to is empty; name a peer, or write: sender")
        return self

    def receivers(self, sender: str) -> list[str]:
        """The titles of the peers that get the results of an image from `sender`; what the page brought is the page's."""
        if sender == PAGE:
            return [PAGE] if self.web else []
        if self.results_to != "sender":
            return list(self.results_to)
        return [sender] if sender in self.peers and self.peers[sender].reached else []

    def known_by(self, key: str) -> str:
        """A hash of all that an answer depends on besides the image.

        Arguments:
            key: of models and params.
        """
        own = self.model_dump(mode="json", include={"capture", "threshold", "accept", "answers"})
        network = {"host", "port", "tls", "url", "login_file", "commitment"}
        peers = {
            title: peer.model_dump(mode="json", exclude=network, exclude_defaults=True)
            for title, peer in self.peers.items()
        }
        own["peers"] = {title: said for title, said in peers.items() if said}
        return hashlib.sha256(json.dumps([key, own], sort_keys=True).encode()).hexdigest()


def read(path: Path) -> Settings:
    """Read the file.

    Raises:
        ValueError: names each key that is wrong.
        FileNotFoundError: there is no such file.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file; docs/serve.yaml is one to start from")
    try:
        content = yaml.load(path.read_text(encoding="utf-8"), Loader=yaml_loader())
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is no YAML: {error}") from error
    if not isinstance(content, dict):
        raise ValueError(f"{path} must hold a mapping, got {type(content).__name__}")
    try:
        return Settings.model_validate(content)
    except ValidationError as error:
        lines = "\n".join(map(explain, error.errors()))
        raise ValueError(f"{path} cannot be used:\n{lines}") from None

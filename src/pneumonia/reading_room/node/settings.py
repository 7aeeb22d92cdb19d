"""The settings of a node: who may send, where results go, and how much of everything is allowed.

They belong to a hospital's network, not to an experiment, so they stand in a file of their own (see docs/serve.yaml)
and no stage depends on them.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Annotated, Literal, get_args

import yaml
from pydantic import Field, ValidationError, field_validator, model_validator

from pneumonia.params import Count, Positive, Section, Share, explain, yaml_loader
from pneumonia.reading_room.admission import plain

Title = Annotated[str, Field(pattern=r"^[\x21-\x5b\x5d-\x7e]([\x20-\x5b\x5d-\x7e]{0,14}[\x21-\x5b\x5d-\x7e])?$")]
Port = Annotated[int, Field(ge=0, lt=2**16)]  # 0: any that is free
Host = Annotated[str, Field(min_length=1)]


Event = Literal["failed", "undelivered", "peer_away", "disk_full", "models_failing"]
EVENTS: tuple[Event, ...] = get_args(Event)


class Peer(Section):
    """Another application entity. Without an address it may send, and nothing is sent to it."""

    host: Host | None = None
    port: Annotated[int, Field(ge=1, lt=2**16)] | None = None
    tls: bool = False
    objects: Annotated[list[Literal["sr", "pr", "sc"]], Field(min_length=1)] | None = None  # None: all that are made

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
            if not any(peer.host for peer in self.peers.values()):
                raise ValueError("results_to is 'sender', but no peer has a host and a port")
            return self
        for title in self.results_to:
            if title not in self.peers or self.peers[title].host is None:
                raise ValueError(f"results_to names {title}, which is no peer with a host and a port")
        if not self.results_to:
            raise ValueError("results_to is empty; name a peer, or write: sender")
        return self

    def receivers(self, sender: str) -> list[str]:
        """The titles of the peers that get the results of an image from `sender`."""
        if self.results_to != "sender":
            return list(self.results_to)
        return [sender] if sender in self.peers and self.peers[sender].host else []

    def known_by(self, key: str) -> str:
        """A hash of all that an answer depends on besides the image.

        Arguments:
            key: of models and params.
        """
        own = self.model_dump(mode="json", include={"capture", "threshold", "accept", "answers"})
        network = {"host", "port", "tls"}
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

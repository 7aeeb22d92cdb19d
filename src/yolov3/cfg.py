"""Darknet's `.cfg` files: a list of layers as text, to and from typed layers.

Layers are numbered from 0 in the order of their sections, `[net]` not counted; a negative reference of a route or
shortcut counts back from the layer itself. Only the sections of YOLOv3 are known. An option that would change what
a layer computes and is not known here is refused, never ignored: a network that silently differs from its
description gives plausible wrong boxes. What steers Darknet's training alone is read over; an option of later Darknets
that leaves the layer as it is at the value that stands there (`scale_x_y=1`) is read over as well.

Files are read as Darknet does: bytes of comments mean nothing, of an option given twice the first counts. What Darknet's
atoi and atof would read otherwise than it looks (`width=1e3`, `mask=0,,1`, `activation=leaky # x`) is refused.

Reference: Redmon and Farhadi 2018, "YOLOv3: An Incremental Improvement"; option names as in Darknet's `src/parser.c`.
"""

from __future__ import annotations

import codecs
import logging
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

ACTIVATIONS = ("leaky", "linear")
LARGEST = 2**31 - 1  # that atoi's int holds
_COMMENT = r"\s*([#;].*)?"  # after a number atoi and atof stop there; elsewhere Darknet takes it for part of the value
_INTEGER = re.compile(r"\s*([-+]?[0-9]+)" + _COMMENT)
_NUMBER = re.compile(r"\s*([-+]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?)" + _COMMENT)

logger = logging.getLogger(__name__)

# What steers Darknet's own training changes nothing in the network: read over.
_TRAINING_ONLY = {
    "convolutional": {"burnin_update", "dontload", "dontloadscales", "learning_rate", "stopbackward", "train_only_bn"},
    "yolo": {
        "cls_normalizer", "counters_per_class", "delta_normalizer", "focal_loss", "ignore_thresh_kind", "iou_loss",
        "iou_normalizer", "iou_thresh", "iou_thresh_kind", "jitter", "label_smooth_eps", "map", "max", "max_delta",
        "obj_normalizer", "objectness_smooth", "random", "resize", "show_details", "truth_thresh", "uc_normalizer",
    },
}  # fmt: skip
# How Darknet's own suppression works, which is not part of the network.
_SUPPRESSION = {"yolo": {"nms_kind", "beta_nms"}}
# Options of later Darknets, and the value at which they change nothing.
_NEUTRAL: dict[str, dict[str, float]] = {
    "convolutional": {"antialiasing": 0, "binary": 0, "dilation": 1, "groups": 1, "xnor": 0},
    "maxpool": {"antialiasing": 0, "maxpool_depth": 0},
    "route": {"group_id": 0, "groups": 1},
    "upsample": {"scale": 1},
    "yolo": {"new_coords": 0, "scale_x_y": 1},
}
_KNOWN = {
    "convolutional": {"batch_normalize", "filters", "size", "stride", "pad", "padding", "activation"},
    "maxpool": {"size", "stride", "padding"},
    "upsample": {"stride"},
    "route": {"layers"},
    "shortcut": {"from", "activation"},
    "yolo": {"mask", "anchors", "classes", "num", "ignore_thresh"},
}


@dataclass(frozen=True)
class Convolutional:
    """A convolution, then batch normalization or a bias, then the activation (`leaky` has slope 0.1 below zero)."""

    filters: int
    size: int
    stride: int = 1
    padding: int = 0  # zeros added on each of the four sides
    batch_normalize: bool = True
    activation: str = "leaky"


@dataclass(frozen=True)
class MaxPool:
    """Maximum over windows of an image with a border of `padding` cells in all, of which the smaller half lies left and
    above: the first window starts at `-(padding // 2)` (Darknet's `src/maxpool_layer.c`)."""

    size: int
    stride: int
    padding: int


@dataclass(frozen=True)
class Upsample:
    """Nearest neighbour, `stride` times larger."""

    stride: int


@dataclass(frozen=True)
class Route:
    """The channels of other layers side by side; `layers` are absolute numbers."""

    layers: tuple[int, ...]


@dataclass(frozen=True)
class Shortcut:
    """The layer before plus layer `source` (an absolute number); of unequal widths, the channels that both have."""

    source: int
    activation: str = "linear"


@dataclass(frozen=True)
class Yolo:
    """A detection head: reads the layer before, `3 * (5 + classes)` channels for three anchors.

    `anchors` are all of the network's (width, height) in pixels of the input, `mask` the numbers of those this head
    uses.
    """

    mask: tuple[int, ...]
    anchors: tuple[tuple[float, float], ...]
    classes: int
    ignore_threshold: float = 0.5

    @property
    def own_anchors(self) -> tuple[tuple[float, float], ...]:
        """(width, height) in pixels of the anchors of this head."""
        return tuple(self.anchors[index] for index in self.mask)


Layer = Convolutional | MaxPool | Upsample | Route | Shortcut | Yolo


@dataclass(frozen=True)
class Description:
    """A network: the size of its input in pixels, and its layers in order."""

    width: int
    height: int
    channels: int
    layers: tuple[Layer, ...]

    @property
    def heads(self) -> tuple[Yolo, ...]:
        """The `[yolo]` layers in order."""
        return tuple(layer for layer in self.layers if isinstance(layer, Yolo))

    @property
    def classes(self) -> int:
        """Number of classes, the same in every head."""
        return self.heads[0].classes


def read(path: str | Path) -> Description:
    """Read a `.cfg` file, whatever its comments are encoded in.

    Raises:
        ValueError: it is none that `parse` takes; the message names file, line, section and option.
    """
    path = Path(path)
    data = path.read_bytes()
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise ValueError(f"{path}: the file is in UTF-16, which Darknet cannot read; save it as ASCII or UTF-8")
    # Latin-1 gives every byte a character: options are ASCII, or their line is refused, and comments are not looked at.
    return parse(data.removeprefix(codecs.BOM_UTF8).decode("latin-1"), str(path))


def parse(text: str, name: str = "cfg") -> Description:
    """Turn the text of a `.cfg` file into a `Description`; `name` stands in messages.

    Raises:
        ValueError: a section is unknown, an option is unknown, missing, no number or one that no layer can have, or a
            reference points outside.
    """
    sections = _sections(text, name)
    if not sections or sections[0].kind not in ("net", "network"):
        found = sections[0].kind if sections else "nothing"
        raise ValueError(f"{name}: the first section must be [net], found {found!r}")
    net, rest = sections[0], sections[1:]
    layers = tuple(_layer(section, index) for index, section in enumerate(rest))
    width, height, channels = net.integer("width", 1), net.integer("height", 1), net.integer("channels", 1, 3)
    description = Description(width, height, channels, layers)
    where = [section.where for section in rest]
    _check(description, name, where)
    shapes(description, where)
    return description


def shapes(description: Description, where: Sequence[str] = ()) -> list[tuple[int, int, int]]:
    """Height, width and channels of what each layer puts out.

    Arguments:
        where: what errors call each layer.

    Raises:
        ValueError: layers do not fit: sizes that a route or a shortcut would have to bring together, or an image that
            ends before the network does.
    """
    found: list[tuple[int, int, int]] = []
    height, width, channels = description.height, description.width, description.channels
    for index, layer in enumerate(description.layers):
        name = where[index] if where else f"layer {index}"
        if isinstance(layer, Convolutional):
            border = 2 * layer.padding - layer.size
            height, width = ((side + border) // layer.stride + 1 for side in (height, width))
            channels = layer.filters
        elif isinstance(layer, MaxPool):
            height, width = ((s + layer.padding - layer.size) // layer.stride + 1 for s in (height, width))
        elif isinstance(layer, Upsample):
            height, width = height * layer.stride, width * layer.stride
        elif isinstance(layer, Route | Shortcut):
            sources = layer.layers if isinstance(layer, Route) else (index - 1, layer.source)
            sizes = [found[source] for source in sources]
            if len({size[:2] for size in sizes}) > 1:
                said = " and ".join(f"{h}x{w}" for h, w, _ in sizes)
                raise ValueError(f"{name} brings layers of different sizes together: {said}")
            height, width = sizes[0][:2]
            channels = sum(size[2] for size in sizes) if isinstance(layer, Route) else sizes[0][2]
        if min(height, width, channels) < 1:
            raise ValueError(f"{name} is left with {height}x{width} cells of {channels} channels; wanted 1 at least")
        found.append((height, width, channels))
    return found


def to_text(description: Description) -> str:
    """Write a `Description` as `.cfg` text that `parse` reads back to an equal one."""
    lines = ["[net]", f"width={description.width}", f"height={description.height}", f"channels={description.channels}"]
    for index, layer in enumerate(description.layers):
        lines += ["", f"# {index}", *_lines(layer)]
    return "\n".join(lines) + "\n"


@dataclass(frozen=True)
class _Section:
    kind: str
    where: str  # "file:line: [kind]"
    options: dict[str, str]

    def text(self, key: str, default: str | None = None) -> str:
        if key in self.options:
            return self.options[key]
        if default is None:
            raise ValueError(f"{self.where} has no {key}=")
        return default

    def integer(self, key: str, least: int | None = None, default: int | None = None) -> int:
        value = self.integers(key, None if default is None else str(default), count=1)[0]
        if least is not None and value < least:
            raise ValueError(f"{self.where} {key}= must be {least} at least, got {value}")
        return value

    def integers(self, key: str, default: str | None = None, count: int | None = None) -> tuple[int, ...]:
        values = tuple(int(part) for part in self._parts(key, default, count, _INTEGER, "whole numbers"))
        if any(abs(value) > LARGEST for value in values):
            raise ValueError(f"{self.where} {key}= must be at most {LARGEST:,}, got {self.text(key, default)!r}")
        return values

    def numbers(self, key: str, default: str | None = None, count: int | None = None) -> tuple[float, ...]:
        values = tuple(float(part) for part in self._parts(key, default, count, _NUMBER, "numbers"))
        if not all(map(math.isfinite, values)):
            raise ValueError(f"{self.where} {key}= must be finite numbers, got {self.text(key, default)!r}")
        return values

    def _parts(
        self, key: str, default: str | None, count: int | None, pattern: re.Pattern[str], what: str
    ) -> list[str]:
        """The numbers between commas, as text; none may be empty: Darknet counts commas."""
        text = self.text(key, default)
        matches = [pattern.fullmatch(part) for part in text.split(",")]
        parts = [match[1] for match in matches if match]
        if len(parts) < len(matches):
            raise ValueError(f"{self.where} {key}= must be {what}, one between two commas, got {text!r}")
        if count is not None and len(parts) != count:
            raise ValueError(f"{self.where} {key}= must hold {count} number(s), got {text!r}")
        return parts


def _sections(text: str, name: str) -> list[_Section]:
    sections: list[_Section] = []
    for number, raw in enumerate(text.split("\n"), start=1):  # other characters end no line for Darknet
        line = raw.strip()
        if not line or line[0] in "#;":
            continue
        if line.startswith("["):
            if not line.endswith("]"):
                raise ValueError(f"{name}:{number}: a section is written [name], got {line!r}")
            kind = line[1:-1].strip()
            sections.append(_Section(kind, f"{name}:{number}: [{kind}]", {}))
            continue
        key, equals, value = line.partition("=")
        if not equals or not sections or _plain(key) != key:
            raise ValueError(f"{name}:{number}: wanted [section] or option=value, got {_plain(line).strip()!r}")
        key, value = key.strip(), value.strip()
        if not (key + _plain(value)).isascii():
            raise ValueError(f"{name}:{number}: an option is written in ASCII, got {line!r}")
        known = sections[-1].options.setdefault(key, value)
        if known != value:
            logger.warning("%s:%d: %s= stands twice; as in Darknet the first counts: %s", name, number, key, known)
    return sections


def _plain(text: str) -> str:
    """What stands before a comment."""
    return text.partition("#")[0].partition(";")[0]


def _layer(section: _Section, index: int) -> Layer:
    kind = section.kind
    if kind not in _KNOWN:
        raise ValueError(f"{section.where} is not a section of YOLOv3; known are {', '.join(sorted(_KNOWN))}")
    neutral = _NEUTRAL.get(kind, {})
    read_over = {*neutral, *_TRAINING_ONLY.get(kind, ()), *_SUPPRESSION.get(kind, ())}
    unknown = sorted(set(section.options) - _KNOWN[kind] - read_over)
    if unknown:
        raise ValueError(f"{section.where} has options that are not known here: {', '.join(unknown)}")
    for key, value in neutral.items():
        if section.numbers(key, repr(value), 1)[0] != value:
            raise ValueError(f"{section.where} {key}= is known here at {value:g} only, got {section.options[key]!r}")
    if kind == "convolutional":
        size = section.integer("size", 1, 1)
        padding = size // 2 if section.integer("pad", default=0) else section.integer("padding", 0, 0)
        return Convolutional(
            filters=section.integer("filters", 1, 1),
            size=size,
            stride=section.integer("stride", 1, 1),
            padding=padding,
            batch_normalize=bool(section.integer("batch_normalize", default=0)),
            activation=_activation(section, "logistic"),
        )
    if kind == "maxpool":
        return _max_pool(section)
    if kind == "upsample":
        return Upsample(section.integer("stride", 1, 2))
    if kind == "route":
        return Route(tuple(_absolute(section, value, index) for value in section.integers("layers")))
    if kind == "shortcut":
        return Shortcut(_absolute(section, section.integer("from"), index), _activation(section, "linear"))
    return _yolo(section)


def _max_pool(section: _Section) -> MaxPool:
    stride = section.integer("stride", 1, 1)
    size = section.integer("size", 1, stride)
    padding = section.integer("padding", 0, size - 1)
    if padding > 2 * (size - 1):  # a window of border alone has no maximum
        raise ValueError(f"{section.where} wants padding= of at most 2 x (size - 1), got {section.options}")
    return MaxPool(size, stride, padding)


def _yolo(section: _Section) -> Yolo:
    flat = section.numbers("anchors")
    count = section.integer("num", 1, 1)
    if len(flat) != 2 * count:
        raise ValueError(f"{section.where} num={count} wants {2 * count} numbers in anchors=, got {len(flat)}")
    if min(flat) <= 0:
        raise ValueError(f"{section.where} anchors= must be above 0, got {section.text('anchors')!r}")
    mask = section.integers("mask", ",".join(str(index) for index in range(count)))
    if any(not 0 <= value < count for value in mask):
        raise ValueError(f"{section.where} mask= must name anchors 0 to {count - 1}, got {list(mask)}")
    anchors = tuple(zip(flat[0::2], flat[1::2], strict=True))
    return Yolo(mask, anchors, section.integer("classes", 1, 20), section.numbers("ignore_thresh", "0.5", 1)[0])


def _activation(section: _Section, default: str) -> str:
    activation = section.text("activation", default)  # Darknet's default is logistic, which YOLOv3 never uses
    if activation not in ACTIVATIONS:
        hint = (
            "; Darknet takes a comment behind it for part of it: remove it" if _plain(activation) != activation else ""
        )
        raise ValueError(
            f"{section.where} activation= must be one of {', '.join(ACTIVATIONS)}, got {activation!r}{hint}"
        )
    return activation


def _absolute(section: _Section, value: int, index: int) -> int:
    layer = value if value >= 0 else index + value
    if not 0 <= layer < index:
        raise ValueError(f"{section.where} is layer {index} and can only refer to layers before it, got {value}")
    return layer


def _check(description: Description, name: str, where: Sequence[str]) -> None:
    if not description.heads:
        raise ValueError(f"{name}: no [yolo] section, so nothing would be detected")
    for index, layer in enumerate(description.layers):
        if not isinstance(layer, Yolo):
            continue
        before = description.layers[index - 1] if index else None
        wanted = len(layer.mask) * (5 + layer.classes)
        found = before.filters if isinstance(before, Convolutional) else None
        if found != wanted:
            raise ValueError(
                f"{where[index]} is layer {index}: with {len(layer.mask)} anchors and {layer.classes} classes it wants a "
                f"convolutional layer of filters={wanted} before it, "
                f"found {f'filters={found}' if found else type(before).__name__}"
            )
        if layer.classes != description.classes or layer.anchors != description.heads[0].anchors:
            raise ValueError(f"{where[index]} is layer {index} and differs in classes or anchors from the first [yolo]")


def _lines(layer: Layer) -> list[str]:
    if isinstance(layer, Convolutional):
        lines = ["[convolutional]"]
        lines += ["batch_normalize=1"] if layer.batch_normalize else []
        lines += [f"filters={layer.filters}", f"size={layer.size}", f"stride={layer.stride}"]
        lines += ["pad=1"] if layer.padding == layer.size // 2 else [f"padding={layer.padding}"]
        return [*lines, f"activation={layer.activation}"]
    if isinstance(layer, MaxPool):
        border = [] if layer.padding == layer.size - 1 else [f"padding={layer.padding}"]
        return ["[maxpool]", f"size={layer.size}", f"stride={layer.stride}", *border]
    if isinstance(layer, Upsample):
        return ["[upsample]", f"stride={layer.stride}"]
    if isinstance(layer, Route):
        return ["[route]", f"layers={_join(layer.layers)}"]
    if isinstance(layer, Shortcut):
        return ["[shortcut]", f"from={layer.source}", f"activation={layer.activation}"]
    sizes = ", ".join(_join(anchor) for anchor in layer.anchors)
    return [
        "[yolo]",
        f"mask={_join(layer.mask)}",
        f"anchors={sizes}",
        f"classes={layer.classes}",
        f"num={len(layer.anchors)}",
        f"ignore_thresh={layer.ignore_threshold!r}",
    ]


def _join(values: Sequence[float]) -> str:
    return ",".join(str(int(value)) if value == int(value) else repr(float(value)) for value in values)

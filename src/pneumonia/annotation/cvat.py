"""CVAT for images 1.1 (docs.cvat.ai/docs/other/xml_format): an XML with an `image` a study and corners in pixels.

The labels are boxes `pneumonia`, a model's boxes are `suggested` with their score as attribute; those that are still
`suggested` when they come back count for nothing. An image that stands in the file without a box has none now.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from pathlib import Path
from xml.etree import ElementTree

from pneumonia.annotation.marks import SUGGESTED, TRUTH, Box, Reviewed, Sent, Sizes, known, put

NAME = "annotations.xml"
CORNERS = ("xtl", "ytl", "xbr", "ybr")


def write(folder: Path, studies: Iterable[Sent], images: str, model: str) -> None:
    """Write the annotations into `folder`, to be uploaded to a task with these pictures.

    Arguments:
        studies: in the order of the images.
        images: what the name of a picture starts with.
        model: what made the suggestions, in words.
    """
    studies = list(studies)
    root = ElementTree.Element("annotations")
    ElementTree.SubElement(root, "version").text = "1.1"
    task = ElementTree.SubElement(ElementTree.SubElement(root, "meta"), "task")
    for name, text in (
        ("name", f"opacities; suggestions by {model}"),
        ("size", str(len(studies))),
        ("mode", "annotation"),
    ):
        ElementTree.SubElement(task, name).text = text
    labels = ElementTree.SubElement(task, "labels")
    for name in (TRUTH, SUGGESTED):
        label = ElementTree.SubElement(labels, "label")
        ElementTree.SubElement(label, "name").text = name
        ElementTree.SubElement(label, "type").text = "rectangle"
        attributes = ElementTree.SubElement(label, "attributes")
        if name == SUGGESTED:
            own = ElementTree.SubElement(attributes, "attribute")
            wanted = {"name": "score", "mutable": "False", "input_type": "text", "default_value": "", "values": ""}
            for part, text in wanted.items():
                ElementTree.SubElement(own, part).text = text
    for number, sent in enumerate(studies):
        image = ElementTree.SubElement(
            root,
            "image",
            id=str(number),
            name=f"{images}{sent.image}",
            width=str(sent.columns),
            height=str(sent.rows),
        )
        for box in sent.truths:
            _write_box(image, TRUTH, "manual", box)
        for box, score in sent.suggested:
            ElementTree.SubElement(
                _write_box(image, SUGGESTED, "auto", box), "attribute", name="score"
            ).text = f"{score:.6f}"
    ElementTree.indent(root)
    ElementTree.ElementTree(root).write(folder / NAME, encoding="utf-8", xml_declaration=True)


def read(path: Path, sizes: Sizes) -> Reviewed:
    """The boxes of an export.

    Raises:
        ValueError: it is none, or has what is no upright box of an opacity; it names the image.
    """
    data = path.read_bytes()
    if b"<!DOCTYPE" in data or b"<!ENTITY" in data:
        raise ValueError(f"{path} declares a document type; CVAT's files do not")
    try:
        root = ElementTree.fromstring(data)
    except ElementTree.ParseError as error:
        raise ValueError(f"{path} is not XML: {error}") from error
    if root.tag != "annotations" or root.find("track") is not None:
        raise ValueError(f"{path}: wanted CVAT for images 1.1, not for video")
    reviewed, left = Reviewed(), 0
    for image in root.iter("image"):
        name = image.get("name", "")
        where, study = f"{path}: image {name!r}", Path(name).stem
        rows, columns = known(study, sizes, where)
        if (image.get("height"), image.get("width")) != (str(rows), str(columns)):
            raise ValueError(
                f"{where} has {image.get('width')} x {image.get('height')} pixels, ours has {columns} x {rows}: another image"
            )
        boxes = []
        for shape in image:
            if shape.tag == "box" and shape.get("label") == SUGGESTED:
                left += 1
            else:
                boxes.append(_box(shape, where))
        put(reviewed, study, boxes, where)
    if left:
        reviewed.notes.append(f"{left} boxes are still labelled {SUGGESTED} and count for nothing")
    return reviewed


def _write_box(image: ElementTree.Element, label: str, source: str, box: Box) -> ElementTree.Element:
    x, y, width, height = box
    corners = {name: f"{value:.2f}" for name, value in zip(CORNERS, (x, y, x + width, y + height), strict=True)}
    own = {"label": label, "source": source, "occluded": "0", **corners, "z_order": "0"}
    return ElementTree.SubElement(image, "box", own)


def _box(shape: ElementTree.Element, where: str) -> Box:
    if shape.tag != "box":
        raise ValueError(f"{where}: a {shape.tag} is no upright box: redraw or delete it")
    if shape.get("label") != TRUTH:
        raise ValueError(f"{where}: a box is labelled {shape.get('label')!r}; wanted {TRUTH} or {SUGGESTED}")
    try:
        corners = [float(shape.get(name, "")) for name in CORNERS]
        turned = float(shape.get("rotation", "0"))
    except ValueError:
        raise ValueError(f"{where}: wanted numbers for {', '.join(CORNERS)} and rotation, got {shape.attrib}") from None
    if turned or not all(map(math.isfinite, corners)):
        raise ValueError(f"{where}: a box is turned or not finite; boxes are upright: redraw it")
    left, top, right, bottom = corners
    return left, top, right - left, bottom - top

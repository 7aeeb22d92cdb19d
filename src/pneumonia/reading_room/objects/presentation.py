"""A Grayscale Softcopy Presentation State: the same boxes and scores, drawn by the viewer over the original image."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from pneumonia.reading_room.objects.findings import WARNING, Algorithm, Findings, identity
from pneumonia.reading_room.objects.grey import add_pixel_shape

if TYPE_CHECKING:
    from highdicom.pr import GrayscaleSoftcopyPresentationState
    from pydicom import Dataset

    from pneumonia.dicom.windowing import Rendering

LAYER = "FINDINGS"
COLOUR = (255, 64, 64)  # RGB


def presentation_state(
    source: Dataset, grey: Dataset, rendering: Rendering, findings: Findings, algorithm: Algorithm
) -> GrayscaleSoftcopyPresentationState:
    """The presentation state of one image: the picture that the models saw, with the findings drawn over it.

    Arguments:
        source: header of the image, as `pneumonia.reading_room.objects.source.read_source` gives it.
        grey: as `pneumonia.reading_room.objects.grey.pipeline` gives it.
        rendering: of the image.
        findings: of the image, boxes in its pixels.
        algorithm: that found them.
    """
    from highdicom import pr
    from highdicom.color import CIELabColor

    layer = pr.GraphicLayer(
        LAYER, order=1, description="Opacities found by an algorithm", display_color=CIELabColor.from_rgb(*COLOUR)
    )
    rows, columns = int(source.Rows), int(source.Columns)
    boxes, texts = [], []
    for outline, score in zip(findings.corners(), findings.scores, strict=True):
        # The corner of the first pixel is 0.0, 0.0 (PS3.3, C.10.5.1.2, units PIXEL), as it is for a box.
        points = np.clip(outline, 0.0, (columns, rows))
        boxes.append(pr.GraphicObject(pr.GraphicTypeValues.POLYLINE, points, units="PIXEL"))
        anchor = (float(points[0, 0]), float(points[0, 1]))
        texts.append(
            pr.TextObject(f"{100 * score:.0f}%", units="PIXEL", anchor_point=anchor, anchor_point_visible=False)
        )
    corner = (1.0, 1.0)
    texts.append(
        pr.TextObject(
            f"AI: {findings.statement}. {WARNING}", units="PIXEL", anchor_point=corner, anchor_point_visible=False
        )
    )
    annotation = pr.GraphicAnnotation(
        referenced_images=[source], graphic_layer=layer, graphic_objects=boxes or None, text_objects=texts
    )
    result = pr.GrayscaleSoftcopyPresentationState(
        referenced_images=[source],
        **identity(source, findings, algorithm, "PR"),
        content_label=LAYER,
        content_description="Opacities found by an algorithm, research use",
        graphic_annotations=[annotation],
        graphic_layers=[layer],
        content_qualification="RESEARCH",
    )
    for element in grey:
        result[element.tag] = element
    add_pixel_shape(result.DisplayedAreaSelectionSequence[0], rendering.header)
    return result

"""Words of a presentation state stand where the state says, within the image."""

from __future__ import annotations

import numpy as np
import pytest
from tests.radiographs import IMAGE, chest

pytest.importorskip("highdicom")

from pneumonia.reading_room.objects.findings import Algorithm, Findings
from pneumonia.reading_room.objects.make import make
from pneumonia.reading_room.objects.presentation import label


def corners(x: float, y: float, right: float, bottom: float) -> np.ndarray:
    return np.array([(x, y), (right, y), (right, bottom), (x, bottom), (x, y)])


@pytest.mark.parametrize(
    ("box", "wanted"),
    [  # an image of 1000 rows and 800 columns: a line is 40 high, a label 160 wide
        ((100, 300, 400, 600), (100, 260, 260, 300)),  # above the box
        ((100, 10, 400, 600), (100, 10, 260, 50)),  # no room above
        ((750, 300, 800, 600), (640, 260, 800, 300)),  # no room at the right
        ((0, 0, 800, 1000), (0, 0, 160, 40)),
    ],
)
def test_a_label_stands_at_its_box_within_the_image(box: tuple[float, ...], wanted: tuple[float, ...]):
    assert label(corners(*box), 1000, 800) == wanted


def test_every_text_has_a_rectangle_and_no_anchor():
    findings = Findings(np.array([[8.0, 4.5, 10.25, 20.0]]), np.array([0.875]), 0.9, 0.25)
    state = make(chest(), IMAGE, findings, Algorithm("1.2.3", "ab" * 32, "gate"))["pr"]
    (annotation,) = state.GraphicAnnotationSequence
    places = []
    for text in annotation.TextObjectSequence:
        assert "AnchorPoint" not in text
        assert (text.BoundingBoxAnnotationUnits, text.BoundingBoxTextHorizontalJustification) == ("PIXEL", "LEFT")
        places.append([*text.BoundingBoxTopLeftHandCorner, *text.BoundingBoxBottomRightHandCorner])
    assert places == [  # 48 rows: a line is 1.92 high
        pytest.approx([8, 2.58, 15.68, 4.5]),
        pytest.approx([0, 0, 64, 1.92]),
    ]

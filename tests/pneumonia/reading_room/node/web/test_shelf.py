"""What is kept for the page: so many, for so long, in memory; whose image it is only where that may be shown."""

from __future__ import annotations

import cv2
import numpy as np
import pandas as pd
import pytest
from tests.radiographs import chest

from pneumonia.reading_room.ensemble import Study
from pneumonia.reading_room.node.web.shelf import Seen, Shelf, whose

TICKETS = [f"{number:032x}" for number in range(4)]


def seen(moment: float) -> Seen:
    return Seen(b"", 4, 3, 1.0, [], 0.5, (), moment)


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    clock = [1000.0]
    monkeypatch.setattr("pneumonia.reading_room.node.web.shelf.time.time", lambda: clock[0])
    return clock


def test_the_oldest_goes_where_there_are_too_many(now: list[float]):
    shelf = Shelf(2, 60.0)
    for ticket in TICKETS[:3]:
        shelf.put(ticket, seen(now[0]))
    assert list(shelf.all()) == TICKETS[1:3]
    shelf.put(TICKETS[1], seen(now[0]))  # read again: now the newest
    shelf.put(TICKETS[3], seen(now[0]))
    assert list(shelf.all()) == [TICKETS[1], TICKETS[3]]


def test_what_is_too_old_goes(now: list[float]):
    shelf = Shelf(10, 60.0)
    shelf.put(TICKETS[0], seen(1000.0))
    shelf.put(TICKETS[1], seen(1050.0))
    now[0] = 1061.0
    assert shelf.get(TICKETS[0]) is None
    assert list(shelf.all()) == TICKETS[1:2]


def test_what_the_models_see_is_kept_as_they_see_it(now: list[float]):
    shelf = Shelf(10, 60.0)
    found = pd.DataFrame(
        [
            [TICKETS[0], 1.0, 2.0, 3.0, 4.0, 0.1],
            [TICKETS[0], 5.0, 6.0, 7.0, 8.0, 0.9],
            ["blank", 0.0, 0.0, 1.0, 1.0, 0.5],
        ],
        columns=["study", "x", "y", "width", "height", "score"],
    )
    scores = pd.Series({TICKETS[0]: 0.7, f"{TICKETS[1]}-2": 0.2, "blank": 0.1})

    def predict(studies: dict[str, Study]) -> tuple[pd.DataFrame, pd.Series]:
        return found, scores

    wide = Study(np.zeros((100, 4000), np.uint8), 2.0)  # its pixels are twice as high as wide
    answer = shelf.predicting(predict)(dict.fromkeys(scores.index, wide))
    assert answer == (found, scores)
    assert list(shelf.all()) == [TICKETS[0], f"{TICKETS[1]}-2"]  # the blank study is none of the queue's
    own = shelf.get(TICKETS[0])
    assert own is not None
    assert (own.columns, own.rows, own.aspect, own.score, own.moment) == (4000, 100, 2.0, 0.7, 1000.0)
    assert own.boxes == [[5.0, 6.0, 7.0, 8.0, 0.9], [1.0, 2.0, 3.0, 4.0, 0.1]]  # best first
    picture = cv2.imdecode(np.frombuffer(own.picture, np.uint8), cv2.IMREAD_GRAYSCALE)
    assert picture.shape == (77, 1536)  # 1536 / 4000 of 200 and of 4000


def test_whose_an_image_is_is_kept_only_where_it_may_be_shown(now: list[float]):
    admitted: list[str] = []

    def admit(data: bytes, name: str) -> None:
        admitted.append(name)
        if not data:
            raise ValueError("not admitted")

    silent, open_ = Shelf(10, 60.0), Shelf(1, 60.0, whose)
    assert silent.admitting(admit) is admit
    assert silent.patient(TICKETS[0]) == ""
    watched = open_.admitting(admit)
    watched(chest(), TICKETS[0])
    assert open_.patient(TICKETS[0]) == "Doe^Jane, P1, 19500102"
    with pytest.raises(ValueError, match="not admitted"):
        watched(b"", TICKETS[1])
    assert open_.patient(TICKETS[1]) == ""
    watched(chest(PatientName="Roe^Richard"), TICKETS[2])
    assert open_.patient(TICKETS[0]) == ""  # only so many are kept
    assert admitted == TICKETS[:3]


def test_a_file_that_nobody_can_read_is_nobodys():
    assert whose(b"Doe^Jane") == ""

"""A thing that goes on is said at its beginning, and then with the number of times."""

from pneumonia.reading_room.node import seldom
from pneumonia.reading_room.node.seldom import Seldom


def test_it_is_said_at_once_then_seldom_with_a_count():
    now = [0.0]
    said = Seldom(300, lambda: now[0])
    heard = []
    for second in range(0, 601, 10):
        now[0] = float(second)
        heard.append(said.count("away"))
    assert [number for number in heard if number] == [1, 30, 30]
    assert said.count("another") == 1


def test_it_does_not_grow_for_ever():
    said = Seldom(300)
    for number in range(seldom.MOST + 1):
        assert said.count(str(number)) == 1
    assert said.count("0") == 1  # forgotten, so said again

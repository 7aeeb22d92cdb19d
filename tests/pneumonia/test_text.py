"""Tables for a terminal."""

from pneumonia.text import aligned


def test_words_stand_left_and_numbers_right():
    rows = [["measure", "value", "better"], ["auc", "0.5", ""], ["ap", "+10.25", "b"]]
    assert aligned(rows, right=[1]).split("\n") == [
        "measure   value  better",
        "auc         0.5",
        "ap       +10.25  b",
    ]
    assert aligned(rows).split("\n")[1:] == ["auc      0.5", "ap       +10.25  b"]

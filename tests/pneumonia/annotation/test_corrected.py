"""What was done to boxes, by hand; and new label tables in which the rows of other studies stand as they were."""

import io

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pneumonia.annotation import corrected
from pneumonia.annotation.corrected import Change, changes
from pneumonia.sources.labels import read_classes, read_labels

LABELS = b"patientId,x,y,width,height,Target\na,1.0,2.0,30.0,40.0,1\nb,,,,,0\na,50.0,2.0,30.0,40.0,1\nc,5.0,5.0,10.0,10.0,1\n"
CLASSES = b"patientId,class\na,Lung Opacity\na,Lung Opacity\nb,Normal\nc,Lung Opacity\n"
A, B = (1.0, 2.0, 30.0, 40.0), (50.0, 2.0, 30.0, 40.0)


@pytest.mark.parametrize(
    ("before", "after", "wanted"),
    [
        ([A, B], [B, A], []),
        ([A], [(1.04, 2.0, 30.0, 40.0)], []),  # what a tool loses by decimals
        ([(0, 0, 10, 10)], [(0, 0, 10, 12)], [Change("moved", (0, 0, 10, 10), (0, 0, 10, 12), 100 / 120)]),
        ([A], [A, B], [Change("added", None, B)]),
        ([A, B], [B], [Change("removed", A, None)]),
        ([A], [B], [Change("removed", A, None), Change("added", None, B)]),
        ([], [], []),
        # the new box overlaps both: 100 / 120 with the first, 50 / 130 with the second
        (
            [(0, 0, 10, 10), (0, 7, 10, 6)],
            [(0, 0, 10, 12)],
            [Change("moved", (0, 0, 10, 10), (0, 0, 10, 12), 100 / 120), Change("removed", (0, 7, 10, 6), None)],
        ),
    ],
)
def test_changes_of_a_study(before, after, wanted):
    found = changes(before, after)
    assert [own[:3] for own in found] == [own[:3] for own in wanted]
    assert [own.iou for own in found] == pytest.approx([own.iou for own in wanted], nan_ok=True)


boxes = st.lists(st.tuples(*[st.integers(0, 50)] * 2, *[st.integers(1, 30)] * 2), max_size=5)


@given(boxes, boxes)
def test_no_box_is_lost_or_made_up(before, after):
    found = changes(before, after)
    count = {kind: sum(own.change == kind for own in found) for kind in corrected.CHANGES}
    assert len(after) == len(before) + count["added"] - count["removed"]
    assert [own[0] for own in changes(after, before)].count("added") == count["removed"]


def test_only_the_rows_of_changed_studies_are_written_anew():
    after = {"a": [A], "b": [(7.0, 8.5, 9.25, 10.0)]}
    labels, classes = corrected.labels(LABELS, CLASSES, after, after, "")
    assert labels == "patientId,x,y,width,height,Target\na,1,2,30,40,1\nb,7,8.5,9.25,10,1\nc,5.0,5.0,10.0,10.0,1\n"
    assert classes == "patientId,class\na,Lung Opacity\nb,Lung Opacity\nc,Lung Opacity\n"
    assert len(read_labels(io.BytesIO(labels.encode()), "labels")) == 3
    assert len(read_classes(io.BytesIO(classes.encode()), "classes")) == 3


def test_a_study_without_its_last_box_is_not_taken_for_normal_unasked():
    with pytest.raises(
        ValueError, match="1 studies have lost their last box, such as c; say what they are with --cleared"
    ):
        corrected.labels(LABELS, CLASSES, {"c": []}, ["c"], "")
    labels, classes = corrected.labels(LABELS, CLASSES, {"c": []}, dict.fromkeys("c"), "not_normal")
    assert labels.splitlines()[-1] == "c,,,,,0"
    assert classes.splitlines()[-1] == "c,No Lung Opacity / Not Normal"


def test_the_table_of_changes():
    found = corrected.compare({"a": [A, B], "c": [A]}, {"a": [A], "b": [A], "c": [A]})
    table = corrected.table(found)
    assert table[["study", "change"]].to_numpy().tolist() == [["a", "removed"], ["b", "added"]]
    assert table.loc[0, ["x", "y", "width", "height"]].tolist() == list(B)
    assert pd.isna(table.loc[0, "new_x"])
    assert table.loc[1, ["new_x", "new_y", "new_width", "new_height"]].tolist() == list(A)

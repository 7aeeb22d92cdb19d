"""Tables and figures of the first look."""

import subprocess
import sys

import cv2
import numpy as np
import pandas as pd
import pytest

from pneumonia.data.explore import (
    age_table,
    box_places,
    box_size_table,
    boxes_per_study_table,
    choose_examples,
    class_table,
    explore,
    share_table,
)

STUDIES = pd.DataFrame(
    [
        ["a", "p", "opacity", 2, "AP", "F", 57.0, 100, 200],
        ["b", "p", "opacity", 1, "AP", "M", 61.0, 100, 100],
        ["c", "q", "normal", 0, "PA", "M", np.nan, 100, 100],
        ["d", "r", "not_normal", 0, "AP", "", 9.0, 100, 100],
        ["e", "s", "not_normal", 0, "", "F", 10.0, 100, 100],
    ],
    columns=["study", "person", "category", "boxes", "view", "sex", "age", "rows", "columns"],
)
BOXES = pd.DataFrame(
    [["a", 0.0, 0.0, 100.0, 50.0], ["b", 50.0, 50.0, 12.0, 50.0], ["a", 100.0, 0.0, 100.0, 50.0]],
    columns=["study", "x", "y", "width", "height"],
)


def read_image(study):
    return np.full((100, 200 if study == "a" else 100), 90, np.uint8)


def test_classes():
    assert class_table(STUDIES).to_numpy().tolist() == [
        ["normal", 1, 0.2, 1],
        ["not_normal", 2, 0.4, 2],
        ["opacity", 2, 0.4, 1],
    ]


def test_boxes_per_study():
    assert boxes_per_study_table(STUDIES).to_numpy().tolist() == [[1, 1], [2, 1]]


def test_box_sizes_in_per_cent_of_the_image():
    table = box_size_table(STUDIES, BOXES).set_index("per_cent")
    assert table["width"][table["width"] > 0].to_dict() == {10: 1, 50: 2}  # 12 / 100; 100 / 200 twice
    assert table["height"].to_dict()[50] == 3
    assert table["area"][table["area"] > 0].to_dict() == {5: 1, 25: 2}  # 0.12 * 0.5; 0.5 * 0.5
    assert table.index.tolist() == list(range(0, 100, 5))


def test_places_of_boxes():
    # Study a covers the upper half (two boxes, counted once), b the lower right quarter but for its right part.
    assert box_places(STUDIES, BOXES, grid=2).tolist() == [[0.5, 0.5], [0.0, 0.0]]
    assert box_places(STUDIES, BOXES, grid=4)[3].tolist() == [0.0, 0.0, 0.0, 0.0]  # b ends at 62 of 100, before 62.5
    wider = BOXES.assign(width=[100.0, 13.0, 100.0])
    assert box_places(STUDIES, wider, grid=4)[3].tolist() == [0.0, 0.0, 0.5, 0.0]
    assert box_places(STUDIES, BOXES[:0], grid=3).tolist() == [[0.0] * 3] * 3


def test_ages_by_decade():
    table = age_table(STUDIES).set_index("age")
    assert table.loc[50, "opacity"] == 1
    assert table.loc[60, "opacity"] == 1
    assert (table.loc[0, "not_normal"], table.loc[10, "not_normal"]) == (1, 1)
    assert table["normal"].sum() == 0  # the age is not known


def test_shares_of_a_view_sum_to_one():
    table = share_table(STUDIES, "view")
    assert table[table["view"] == "AP"][["studies", "share"]].to_numpy().tolist() == [[0, 0], [1, 1 / 3], [2, 2 / 3]]
    assert table.groupby("view")["share"].sum().tolist() == pytest.approx([1, 1, 1])
    assert sorted(set(table["view"])) == ["AP", "PA", "unknown"]


def test_examples_do_not_depend_on_the_order():
    many = pd.DataFrame(
        {"study": [f"s{i:03d}" for i in range(90)], "category": ["normal", "not_normal", "opacity"] * 30}
    )
    chosen = choose_examples(many, 4, seed=1)
    assert [len(ids) for ids in chosen.values()] == [4, 4, 4]
    assert set(chosen["opacity"]) <= {f"s{i:03d}" for i in range(2, 90, 3)}
    assert choose_examples(many[::-1], 4, seed=1) == chosen
    assert choose_examples(many, 4, seed=2) != chosen
    assert choose_examples(many, 99, seed=1)["normal"][:4] == chosen["normal"]


def test_files_are_the_same_twice(tmp_path):
    names = ["ages", "box_places", "box_sizes", "boxes_per_study", "classes", "examples", "sexes", "views"]
    for run, studies, boxes in (("1", STUDIES, BOXES), ("2", STUDIES[::-1], BOXES[::-1])):
        (tmp_path / run).mkdir()
        explore(studies, boxes, tmp_path / run, read_image=read_image, examples=2, seed=1)
    assert sorted(path.name for path in (tmp_path / "1").glob("*.png")) == [f"{name}.png" for name in names]
    assert sorted(path.stem for path in (tmp_path / "1").glob("*.csv")) == [n for n in names if n != "examples"]
    for path in (tmp_path / "1").iterdir():
        assert path.read_bytes() == (tmp_path / "2" / path.name).read_bytes(), path.name
        assert b"atplotlib" not in path.read_bytes()  # nor its version
    blue, green, red = cv2.split(cv2.imread(str(tmp_path / "1" / "examples.png")).astype(int))
    assert ((green > blue + 60) & (green > red + 100)).sum() > 200  # the boxes are drawn


def test_a_set_without_positives_or_of_few_can_be_looked_at(tmp_path):
    explore(STUDIES[2:], BOXES[:0], tmp_path, read_image=read_image, examples=3, seed=1)
    assert (tmp_path / "examples.png").stat().st_size > 1000


def test_importing_loads_nothing_heavy():
    modules = ", ".join(f"pneumonia.data.{name}" for name in ("explore", "images.store", "shards", "split", "annotate"))
    heavy = {"tensorflow", "keras", "mlflow", "matplotlib", "sklearn", "imgaug"}
    code = f"import sys, {modules}; print(sorted({heavy} & set(sys.modules)))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout == "[]\n"


def test_an_example_that_cannot_be_shown_is_one_picture_less(tmp_path):
    def fail(study):
        if study == "a":
            raise KeyError(study)
        return read_image(study)

    explore(STUDIES, BOXES, tmp_path, read_image=fail, examples=3, seed=1)
    assert (tmp_path / "examples.png").stat().st_size > 1000

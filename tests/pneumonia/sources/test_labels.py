"""The challenge's CSVs, sound and broken."""

import io

import numpy as np
import pytest

from pneumonia.sources.labels import read_classes, read_ids, read_labels, read_persons

HEADER = "patientId,x,y,width,height,Target\n"


def write(path, text):
    path.write_text(text, encoding="utf-8")
    return path


def test_labels(tmp_path):
    path = write(tmp_path / "l.csv", HEADER + "b,264.0,152.0,213.0,379.0,1\na,,,,,0\n")
    labels = read_labels(path)
    assert labels.columns.tolist() == ["study", "x", "y", "width", "height", "target"]
    assert labels["study"].tolist() == ["b", "a"]
    assert labels.loc[0, ["x", "y", "width", "height"]].tolist() == [264, 152, 213, 379]
    assert labels.loc[1, ["x", "y", "width", "height"]].isna().all()
    assert labels["target"].tolist() == [1, 0]


def test_column_order_byte_order_mark_and_line_ends_do_not_matter(tmp_path):
    path = tmp_path / "l.csv"
    path.write_bytes(b"\xef\xbb\xbfTarget,patientId,x,y,width,height\r\n0,a,,,,\r\n")
    assert read_labels(path)["study"].tolist() == ["a"]


def test_classes(tmp_path):
    text = "patientId,class\na,Normal\nb,No Lung Opacity / Not Normal\nc,Lung Opacity\n"
    assert read_classes(write(tmp_path / "c.csv", text))["category"].tolist() == ["normal", "not_normal", "opacity"]


def test_persons_keep_their_zeros(tmp_path):
    assert read_persons(write(tmp_path / "p.csv", "study,person\na,00019124\n"))["person"].tolist() == ["00019124"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "patientId,x,y,width,Target\na,,,,0\n",
            r"columns height are missing; wanted patientId,x,y,width,height,Target",
        ),
        (HEADER + "a,,,,,0\nb,1,2,wide,4,1\n", r"line 3, column width: wanted a number, got 'wide'"),
        (HEADER + "a,,,,,2\nb,,,,,3\n", r"line 2, column Target: wanted 0 or 1, got '2' \(and 1 more rows\)"),
        (HEADER + "a,,,,,\n", r"line 2, column Target: wanted 0 or 1, got ''"),
        (HEADER + ",1,2,3,4,1\n", r"line 2, column patientId: wanted an id"),
        (HEADER + "a,1\n", r"line 2, column Target: wanted 0 or 1"),
        (HEADER + "a,1,2,3,4,1\n\nb,1,2,3,4,1,7,8\n", r"line 4 has 8 values for 6 columns; wanted patientId,x,y"),
        ("x," + HEADER + "1,a,1,2,3,4,1\n", r"column x comes 2 times; wanted each once"),
        (HEADER + 'a,1,"2,3,4,1\n', r"is not a CSV file"),
        ("", r"is not a CSV file"),
    ],
)
def test_broken_labels_name_file_row_and_column(tmp_path, text, message):
    with pytest.raises(ValueError, match=rf"labels\.csv.*{message}"):
        read_labels(write(tmp_path / "labels.csv", text))


def test_an_unknown_class_is_named(tmp_path):
    with pytest.raises(ValueError, match=r"line 2, column class: wanted 'Normal' or .*, got 'Pneumonia'"):
        read_classes(write(tmp_path / "c.csv", "patientId,class\na,Pneumonia\n"))


def test_an_open_file_goes_by_the_name_it_is_given():
    with pytest.raises(ValueError, match="inside the zip: columns"):
        read_classes(io.BytesIO(b"a,b\n1,2\n"), "inside the zip")


def test_infinite_coordinates_are_left_to_clean(tmp_path):
    assert np.isinf(read_labels(write(tmp_path / "l.csv", HEADER + "a,inf,2,3,4,1\n")).loc[0, "x"])


@pytest.mark.parametrize(
    "text",
    [
        "b\na\n",
        "# first-stage test\n\n a \nb\n",
        "patientId,PredictionString\nb,0.5 0 0 100 100\na,\n",
        "person,study\r\np,b\r\np,a\r\n",
    ],
)
def test_a_list_of_ids(tmp_path, text):
    assert read_ids(write(tmp_path / "list.csv", text)) == ["a", "b"]


def test_a_list_may_be_empty(tmp_path):
    assert read_ids(write(tmp_path / "list.txt", "# none\n")) == []
    assert read_ids(write(tmp_path / "list.txt", "patientId\n")) == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a\nb\na\n", "every id is wanted once, a comes twice"),
        ("id,name\na,x\n", "a column patientId or study or one id a line is wanted, got id,name"),
        ("person,study\np,a\np\n", "row 2 has no id"),
    ],
)
def test_a_broken_list_of_ids_says_what_is_wrong(tmp_path, text, message):
    with pytest.raises(ValueError, match=message):
        read_ids(write(tmp_path / "list.csv", text))


def test_no_list_of_ids(tmp_path):
    with pytest.raises(FileNotFoundError, match="no such list of study ids"):
        read_ids(tmp_path / "list.csv")


@pytest.mark.parametrize("header", [HEADER, HEADER.replace("\n", ",\n"), HEADER.replace("\n", ",,\r\n")])
@pytest.mark.parametrize("ending", ["\n", ",\n", ",,,\n", ", ,\n", ",\r\n"])
def test_commas_at_the_end_of_a_line_mean_nothing(tmp_path, header, ending):
    path = tmp_path / "labels.csv"
    path.write_text(header + f"a,1,2,3,4,1{ending}b,,,,,0{ending}".replace("\r\n", "\n"), newline="")
    frame = read_labels(path)
    assert frame["study"].tolist() == ["a", "b"]  # and not 1 and nothing
    assert frame[["x", "y", "width", "height"]].to_numpy()[0].tolist() == [1.0, 2.0, 3.0, 4.0]
    assert frame["target"].tolist() == [1, 0]

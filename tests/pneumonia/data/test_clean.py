"""One reason a study, what is mended, and the challenge's true counts."""

import io
import math

import numpy as np
import pandas as pd
import pytest
from pydicom import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian
from tests.places import SHARED

from pneumonia.archive import write_archive
from pneumonia.data import clean as module
from pneumonia.data.clean import Image, Rejected, check, clean, summarize
from pneumonia.rejection import Reason
from pneumonia.sources.labels import read_classes, read_labels
from pneumonia.sources.persons import read_mapping

AUTO = {"mode": "auto", "center": -600.0, "width": 1500.0, "percentiles": [0.5, 99.5], "choice": 1}

BOX = (100.0, 200.0, 300.0, 400.0)
NONE = (math.nan,) * 4


def judge(studies, *, min_box_side=16, max_age=110, persons=(), failed=(), images=None, age=50.0):
    """`check` on `{study: (category or None, [(box, target), ...])}`, all 1000 x 1000 images."""
    images = studies if images is None else images
    return check(
        [Image(study, "AP", "F", age, 1000, 1000, 0.143, "opencv") for study in images],
        failed,
        pd.DataFrame(
            [(study, *box, target) for study, (_, rows) in studies.items() for box, target in rows],
            columns=["study", "x", "y", "width", "height", "target"],
        ).astype({"target": "int64", "study": "str"}),
        pd.DataFrame(
            [(study, category) for study, (category, _) in studies.items() if category], columns=["study", "category"]
        ).astype("str"),
        pd.DataFrame(persons, columns=["study", "person"]).astype("str"),
        min_box_side=min_box_side,
        max_age=max_age,
    )


def test_the_three_categories():
    tables = judge(
        {
            "c": ("opacity", [((5.0, 6.0, 70.0, 80.0), 1), (BOX, 1)]),
            "a": ("normal", [(NONE, 0)]),
            "b": ("not_normal", [(NONE, 0)]),
        },
        persons=[("b", "0042"), ("other", "0001")],
    )
    assert tables.studies[["study", "person", "category", "target", "boxes"]].to_numpy().tolist() == [
        ["a", "a", "normal", 0, 0],
        ["b", "0042", "not_normal", 0, 0],
        ["c", "c", "opacity", 1, 2],
    ]
    assert tables.boxes.to_numpy().tolist() == [["c", 5, 6, 70, 80], ["c", *BOX]]
    assert tables.rejected.empty
    assert tables.mended == {"box_clipped": 0, "duplicate_label_row": 0, "odd_age": 0}


@pytest.mark.parametrize(
    ("study", "reason"),
    [
        (("opacity", []), "image_without_label"),
        ((None, [(NONE, 0)]), "label_without_class"),
        (("opacity", [(BOX, 1), (NONE, 0)]), "labels_disagree"),
        (("opacity", [(NONE, 1)]), "positive_without_boxes"),
        (("normal", [(BOX, 0)]), "negative_with_boxes"),
        (("normal", [(BOX, 1)]), "class_disagrees"),
        (("opacity", [(NONE, 0)]), "class_disagrees"),
        (("opacity", [(BOX, 1), (NONE, 1)]), "box_invalid"),
        (("opacity", [((1.0, 2.0, math.nan, 4.0), 1)]), "box_invalid"),
        (("opacity", [((1.0, 2.0, math.inf, 40.0), 1)]), "box_invalid"),
        (("opacity", [((1.0, 2.0, -30.0, 40.0), 1)]), "box_invalid"),
        (("opacity", [((1000.0, 2.0, 30.0, 40.0), 1)]), "box_outside_image"),
        (("opacity", [((-50.0, 2.0, 50.0, 40.0), 1)]), "box_outside_image"),
        (("opacity", [((500.0, 2.0, 15.0, 40.0), 1)]), "box_too_small"),
        (("opacity", [((990.0, 2.0, 100.0, 40.0), 1)]), "box_too_small"),  # 10 pixels of it are inside
    ],
)
def test_a_study_is_left_out_for_one_reason(study, reason):
    tables = judge({"bad": study, "good": ("normal", [(NONE, 0)])})
    assert tables.rejected[["study", "reason"]].to_numpy().tolist() == [["bad", reason]]
    assert tables.studies["study"].tolist() == ["good"]
    assert tables.boxes.empty


def test_a_study_of_two_classes():
    tables = check(
        [Image("a", "AP", "F", 50.0, 1000, 1000, 0.143, "")],
        [],
        pd.DataFrame([("a", *NONE, 0)], columns=["study", "x", "y", "width", "height", "target"]),
        pd.DataFrame([("a", "normal"), ("a", "not_normal")], columns=["study", "category"]),
        pd.DataFrame({"study": [], "person": []}),
        min_box_side=16,
        max_age=110,
    )
    assert tables.rejected["reason"].tolist() == ["classes_disagree"]


def test_labels_without_image_and_failed_images():
    tables = judge(
        {"a": ("normal", [(NONE, 0)]), "b": ("normal", [(NONE, 0)])},
        images=[],
        failed=[Rejected("b", Reason.UNREADABLE, "damaged"), Rejected("c", Reason.DUPLICATE_ID, "2 files")],
    )
    assert tables.rejected.to_numpy().tolist() == [
        ["a", "label_without_image", "no image has this id"],
        ["b", "unreadable", "damaged"],
        ["c", "duplicate_id", "2 files"],
    ]
    assert tables.studies.empty


def test_boxes_over_the_border_are_clipped_and_counted():
    tables = judge({"a": ("opacity", [((-10.0, 20.0, 110.0, 50.0), 1), ((900.0, 950.0, 200.0, 100.0), 1), (BOX, 1)])})
    assert tables.boxes[["x", "y", "width", "height"]].to_numpy().tolist() == [
        [0, 20, 100, 50],
        [100, 200, 300, 400],
        [900, 950, 100, 50],
    ]
    assert tables.mended["box_clipped"] == 2


def test_duplicate_rows_are_dropped_and_counted():
    tables = judge({"a": ("opacity", [(BOX, 1), (BOX, 1)]), "b": ("normal", [(NONE, 0), (NONE, 0), (NONE, 0)])})
    assert tables.studies["boxes"].tolist() == [1, 0]
    assert tables.mended["duplicate_label_row"] == 3


@pytest.mark.parametrize(("age", "kept", "odd"), [(110.0, 110.0, 0), (148.0, None, 1), (math.nan, None, 0)])
def test_impossible_ages_become_empty(age, kept, odd):
    tables = judge({"a": ("normal", [(NONE, 0)])}, age=age)
    found = tables.studies.loc[0, "age"]
    assert found == kept if kept else math.isnan(found)
    assert tables.mended["odd_age"] == odd


def test_the_metrics_have_every_key_always():
    metrics = summarize(judge({"a": ("normal", [(NONE, 0)])}))
    assert metrics["category"] == {"normal": 1, "not_normal": 0, "opacity": 0}
    assert metrics["view"] == {"AP": 1, "PA": 0, "unknown": 0}
    assert set(metrics["rejected"]) == {"total", *map(str, Reason)}


def test_the_whole_challenge():
    folder = SHARED / "labels"
    if not folder.is_dir():
        pytest.skip("../shared/labels is not there")
    headers = pd.read_csv(folder / "dicom_headers.csv", keep_default_na=False)
    tables = check(
        [Image(row.patientId, row.view, row.sex, row.age, 1024, 1024, 0.1, "") for row in headers.itertuples()],
        [],
        read_labels(folder / "stage_2_train_labels.csv"),
        read_classes(folder / "stage_2_detailed_class_info.csv"),
        read_mapping(folder / "rsna_to_nih.csv"),
        min_box_side=16,
        max_age=110,
    )
    metrics = summarize(tables)
    assert (metrics["studies"], metrics["boxes"], metrics["rejected"]["total"]) == (26684, 9555, 0)
    assert metrics["category"] == {"normal": 8851, "not_normal": 11821, "opacity": 6012}
    assert metrics["view"] == {"AP": 12173, "PA": 14511, "unknown": 0}
    assert metrics["persons"] == 11410 + 26684 - 26586  # those of NIH, and one each for the studies that are not mapped
    assert metrics["mended"] == {"box_clipped": 0, "duplicate_label_row": 0, "odd_age": 5}
    assert tables.studies["boxes"].value_counts().to_dict() == {0: 20672, 1: 2614, 2: 3266, 3: 119, 4: 13}


def dicom_file(pixels, **elements):
    made = Dataset()
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    made.file_meta.MediaStorageSOPClassUID = made.SOPClassUID = "1.2.840.10008.5.1.4.1.1.1"
    made.file_meta.MediaStorageSOPInstanceUID = made.SOPInstanceUID = "1.2.3"
    made.Modality, made.PhotometricInterpretation, made.SamplesPerPixel = "CR", "MONOCHROME2", 1
    made.Rows, made.Columns = pixels.shape
    made.BitsAllocated, made.BitsStored, made.HighBit, made.PixelRepresentation = 8, 8, 7, 0
    made.PatientSex, made.ViewPosition, made.PixelSpacing = "M", "PA", [0.2, 0.2]
    made.PixelData = pixels.tobytes()
    made["PixelData"].VR = "OB"
    for name, value in elements.items():
        setattr(made, name, value)
    stream = io.BytesIO()
    made.save_as(stream, enforce_file_format=True)
    return stream.getvalue()


@pytest.fixture(scope="module")
def raw(tmp_path_factory):
    folder = tmp_path_factory.mktemp("raw")
    picture = np.random.default_rng(0).integers(0, 256, (64, 48), np.uint8)
    good = dicom_file(picture)
    members = [(f"stage_2_train_images/good{number:02}.dcm", good) for number in range(20)]
    members += [
        ("stage_2_train_images/constant.dcm", dicom_file(np.zeros((8, 8), np.uint8))),
        ("stage_2_train_images/cut.dcm", good[:-100]),
        ("stage_2_train_images/mammogram.dcm", dicom_file(picture, Modality="MG")),
        ("../outside.dcm", good),
        ("again/good19.dcm", good),
    ]
    write_archive(folder / "images.zip", members)
    studies = [f"good{number:02}" for number in range(20)] + ["constant", "cut", "mammogram", "absent"]
    labels = "".join(f"{study},,,,,0\n" for study in studies[1:]) + "good00,4,5,20,30.5,1\n"
    (folder / "labels.csv").write_text("patientId,x,y,width,height,Target\n" + labels)
    classes = "".join(f"{study},{'Lung Opacity' if study == 'good00' else 'Normal'}\n" for study in studies)
    (folder / "classes.csv").write_text("patientId,class\n" + classes)
    (folder / "persons.csv").write_text("study,person\ngood00,0007\ngood01,0007\n")
    return folder


def test_from_raw_files_to_tables(raw, tmp_path):
    metrics = clean(raw, tmp_path, min_box_side=16, max_age=110, window=AUTO, workers=2)
    studies = (tmp_path / "studies.csv").read_text().splitlines()
    assert studies[:3] == [
        "study,person,category,target,boxes,view,sex,age,rows,columns,spacing",
        "good00,0007,opacity,1,1,PA,M,,64,48,0.2000",
        "good01,0007,normal,0,0,PA,M,,64,48,0.2000",
    ]
    assert (tmp_path / "boxes.csv").read_text() == "study,x,y,width,height\ngood00,4.00,5.00,20.00,30.50\n"
    rejected = pd.read_csv(tmp_path / "rejected.csv").set_index("study")["reason"].to_dict()
    assert rejected == {
        "../outside.dcm": "unsafe_name",
        "absent": "label_without_image",
        "constant": "constant_pixels",
        "cut": "unreadable",
        "good19": "duplicate_id",
        "mammogram": "wrong_modality",
    }
    assert (metrics["studies"], metrics["persons"], metrics["rejected"]["total"]) == (19, 18, 6)
    assert metrics["decoder"] == {"pydicom": 19}


def test_any_number_of_processes_gives_the_same_bytes(raw, tmp_path):
    for workers in (1, 2):
        clean(raw, tmp_path / str(workers), min_box_side=16, max_age=110, window=AUTO, workers=workers)
    for name in ("studies.csv", "boxes.csv", "rejected.csv"):
        assert (tmp_path / "1" / name).read_bytes() == (tmp_path / "2" / name).read_bytes()


def test_a_decoder_that_is_not_installed_stops_it(raw, tmp_path, monkeypatch):
    def missing(data, study):
        raise module.MissingDecoderError("JPEG-LS Lossless")

    monkeypatch.setattr(module, "read_study", missing)
    with pytest.raises(RuntimeError, match=r"study constant: JPEG-LS Lossless .*'\.\[dicom\]'"):
        clean(raw, tmp_path, min_box_side=16, max_age=110, window=AUTO, workers=1)


def test_a_study_that_the_window_makes_one_grey_value_is_left_out(raw, tmp_path):
    above = AUTO | {"mode": "hu", "center": 5000.0}  # no stored value comes near
    clean(raw, tmp_path, min_box_side=16, max_age=110, window=above, workers=1)
    rejected = pd.read_csv(tmp_path / "rejected.csv").set_index("study")
    assert rejected.loc["good00", "reason"] == "constant_pixels"
    assert "window hu (center 5000, width 1500) makes every pixel 0 of 255" in rejected.loc["good00", "detail"]
    assert len(pd.read_csv(tmp_path / "studies.csv")) == 0


def test_what_nobody_foresaw_rejects_one_study(raw, tmp_path, monkeypatch):
    real = module.read_study

    def fail(data, study):
        if study == "good03":
            raise KeyError("Doe^Jane")
        return real(data, study)

    monkeypatch.setattr(module, "read_study", fail)
    clean(raw, tmp_path, min_box_side=16, max_age=110, window=AUTO, workers=1)
    rejected = pd.read_csv(tmp_path / "rejected.csv").set_index("study")
    assert rejected.loc["good03"].tolist() == ["unreadable", "cannot be read (KeyError)"]
    assert len(pd.read_csv(tmp_path / "studies.csv")) == 18

"""Data sets: formats, proportions, determinism, odd and broken studies."""

import io
import zipfile

import numpy as np
import pandas as pd
import pydicom
import pytest

from pneumonia.dicom.study import read_study
from pneumonia.rejection import StudyError
from pneumonia.sources.synthetic.cohort import apportion, sample_cohort, study_id
from pneumonia.sources.synthetic.faults import FAULTS, MENDABLE
from pneumonia.sources.synthetic.writer import write_labelled, write_test

STUDIES, SIZE, SEED = 48, 96, 3


@pytest.fixture(scope="module")
def raw(tmp_path_factory):
    folder = tmp_path_factory.mktemp("raw")
    write_labelled(folder, studies=STUDIES, size=SIZE, seed=SEED, workers=1)
    return folder


@pytest.fixture(scope="module")
def files(raw):
    with zipfile.ZipFile(raw / "images.zip") as archive:
        return {name: archive.read(name) for name in archive.namelist()}


@pytest.fixture(scope="module")
def tables(raw):
    return {
        name: pd.read_csv(raw / f"{name}.csv", dtype=str, keep_default_na=False)
        for name in ("labels", "classes", "persons")
    }


def broken(fault):
    return study_id(SEED, "broken", list(FAULTS).index(fault))


def rows_of(table, study):
    return table[table.patientId == study]


def test_the_archive_is_stored_sorted_and_without_dates(raw):
    with zipfile.ZipFile(raw / "images.zip") as archive:
        members = archive.infolist()
    names = [member.filename for member in members]
    assert names == sorted(names)
    assert len(names) == STUDIES + len(FAULTS) - 1  # one is missing on purpose
    assert all(member.compress_type == zipfile.ZIP_STORED for member in members)
    assert {member.date_time for member in members} == {(1980, 1, 1, 0, 0, 0)}
    uuid = "[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"
    assert pd.Series(names).str.fullmatch(f"stage_2_train_images/{uuid}.dcm").all()


def test_labels_are_as_the_challenge_writes_them(raw, tables):
    labels, classes = tables["labels"], tables["classes"]
    assert (raw / "labels.csv").read_text().splitlines()[0] == "patientId,x,y,width,height,Target"
    assert (raw / "classes.csv").read_text().splitlines()[0] == "patientId,class"
    assert labels.patientId.tolist() == classes.patientId.tolist() == sorted(labels.patientId)
    sound = ~labels.patientId.isin([broken(fault) for fault in FAULTS])
    negative = labels[sound & (labels.Target == "0")]
    assert (negative[["x", "y", "width", "height"]] == "").all(axis=None)
    positive = labels[sound & (labels.Target == "1")]
    assert positive[["x", "y", "width", "height"]].apply(lambda column: column.str.fullmatch(r"\d+\.\d")).all(axis=None)
    assert set(classes["class"][sound & (labels.Target == "1")]) == {"Lung Opacity"}
    assert set(classes["class"][sound & (labels.Target == "0")]) == {"Normal", "No Lung Opacity / Not Normal"}


def test_classes_and_boxes_are_in_the_challenges_proportions(tables):
    sound = tables["classes"][~tables["classes"].patientId.isin([broken(fault) for fault in FAULTS])]
    studies = sound.drop_duplicates()
    # 48 x 8851 / 26684 = 15.9, 48 x 11821 / 26684 = 21.3, 48 x 6012 / 26684 = 10.8
    assert studies["class"].value_counts().to_dict() == {
        "No Lung Opacity / Not Normal": 21,
        "Normal": 16,
        "Lung Opacity": 11,
    }
    boxes = sound[sound["class"] == "Lung Opacity"].groupby("patientId").size()
    # 11 x 2614 / 6012 = 4.8, 11 x 3266 / 6012 = 6.0, the others 0.2 and 0.0
    assert boxes.value_counts().to_dict() == {1: 5, 2: 6}


def test_apportion_rounds_up_the_largest_remainders():
    assert apportion(10, {"a": 1, "b": 1, "c": 1}) == {"a": 4, "b": 3, "c": 3}
    assert apportion(7, {"a": 100, "b": 1}) == {"a": 7, "b": 0}


def test_a_thousand_studies_have_the_challenges_views_persons_ages_and_sexes():
    cases = sample_cohort(1000, 2018, "labelled")
    table = pd.DataFrame([{"person": c.person, **vars(c.spec)} for c in cases])
    assert table.category.value_counts().to_dict() == {"not_normal": 443, "normal": 332, "opacity": 225}
    assert table.opacities[table.opacities > 0].value_counts().to_dict() == {2: 122, 1: 98, 3: 4, 4: 1}
    assert (table.view == "AP").sum() == 456  # the challenge: 45.6%
    positive = (table.category == "opacity").groupby(table.view).mean()
    assert positive["AP"] == pytest.approx(0.383, abs=0.002)  # 4664 / 12173
    assert positive["PA"] == pytest.approx(0.093, abs=0.002)  # 1348 / 14511
    assert 330 < table.person.nunique() < 530  # 11,410 persons of 26,684 studies would be 428
    studies = table.groupby("person").person.transform("size")
    assert studies.max() <= 12  # the challenge: 65, see cohort
    assert studies[table.category == "opacity"].mean() > 1.7 * studies[table.category == "normal"].mean()
    assert table.groupby("person").sex.nunique().max() == 1
    assert 40 < table.age.mean() < 53
    assert 0.45 < (table.sex == "M").mean() < 0.68


def test_every_sound_study_has_a_person_and_some_share_one(tables):
    persons, labels = tables["persons"], tables["labels"]
    assert persons.columns.tolist() == ["study", "person"]
    assert persons.study.tolist() == sorted(persons.study)
    assert set(persons.study) == set(labels.patientId) - {broken(fault) for fault in FAULTS}
    assert persons.person.nunique() < STUDIES


def test_headers_are_the_challenges(files, tables):
    sound = tables["persons"].study
    views, encodings = set(), []
    for study in sound:
        dataset = pydicom.dcmread(io.BytesIO(files[f"stage_2_train_images/{study}.dcm"]))
        assert dataset.PatientID == study
        assert dataset.Modality == "CR"
        assert dataset.BodyPartExamined == "CHEST"
        assert dataset.SeriesDescription == f"view: {dataset.ViewPosition}"
        assert dataset.PatientSex in ("F", "M")
        assert dataset.PatientAge == str(int(dataset.PatientAge))  # "57", not "057Y"
        assert (dataset.Rows, dataset.Columns, dataset.SamplesPerPixel) == (SIZE, SIZE, 1)
        assert "WindowCenter" not in dataset
        # 0.139 to 0.195 mm for 1024 pixels
        assert 0.139 <= float(dataset.PixelSpacing[0]) * SIZE / 1024 < 0.195
        views.add(dataset.ViewPosition)
        encodings.append(
            (dataset.file_meta.TransferSyntaxUID.name, dataset.PhotometricInterpretation, dataset.BitsStored)
        )
    assert views == {"AP", "PA"}
    jpeg = "JPEG Baseline (Process 1)"
    assert pd.Series(encodings).value_counts().to_dict() == {
        (jpeg, "MONOCHROME2", 8): 46,
        (jpeg, "MONOCHROME1", 8): 1,
        ("Explicit VR Little Endian", "MONOCHROME2", 16): 1,
    }


def test_the_odd_encodings_show_the_same_kind_of_picture(files, tables):
    seen = set()
    for study in tables["persons"].study:
        header, pixels = read_study(files[f"stage_2_train_images/{study}.dcm"], study)
        values = pixels.values.astype(float)
        if header.rescale_type == "HU":
            # The lung window, -1350 to 150 HU, holds all of it.
            assert -1350 <= values.min() < -1200
            assert -200 < values.max() <= 150
            values = (values + 1350) / 1500 * 255
            seen.add("HU")
        if header.photometric == "MONOCHROME1":
            values = 255 - values
            seen.add("MONOCHROME1")
        # The abdomen's middle is bright, air above the shoulder dark.
        assert values[-20:-10, 40:56].mean() > 120
    assert seen == {"HU", "MONOCHROME1"}


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ("truncated", "unreadable"),
        ("constant_pixels", "constant_pixels"),
        ("no_pixels", "no_pixels"),
        ("wrong_modality", "wrong_modality"),
    ],
)
def test_broken_files_cannot_be_read(files, fault, reason):
    with pytest.raises(StudyError) as caught:
        read_study(files[f"stage_2_train_images/{broken(fault)}.dcm"])
    assert caught.value.reason == reason


def test_every_other_file_can_be_read(files):
    unreadable = {broken(fault) for fault in ("truncated", "constant_pixels", "no_pixels", "wrong_modality")}
    for name, data in files.items():
        if name[21:-4] not in unreadable:
            read_study(data)


def test_broken_labels_disagree(files, tables):
    labels, classes = tables["labels"], tables["classes"]

    def label(fault):
        return rows_of(labels, broken(fault))

    assert f"stage_2_train_images/{broken('no_image')}.dcm" not in files
    assert len(label("no_image")) == 1
    assert f"stage_2_train_images/{broken('no_labels')}.dcm" in files
    assert len(label("no_labels")) == 0
    assert label("positive_without_box")[["x", "Target"]].to_numpy().tolist() == [["", "1"]]
    assert label("negative_with_box")[["x", "width", "Target"]].to_numpy().tolist() == [["28.8", "19.2", "0"]]
    assert float(label("box_outside_image").x.iloc[0]) > SIZE
    crossing = label("box_crosses_border").iloc[0]
    assert float(crossing.x) < SIZE < float(crossing.x) + float(crossing.width)
    assert label("duplicate_rows").duplicated().sum() == 1
    assert label("class_disagrees").Target.tolist() == ["1"]
    assert rows_of(classes, broken("class_disagrees"))["class"].tolist() == ["Normal"]
    assert rows_of(classes, broken("two_classes"))["class"].tolist() == ["No Lung Opacity / Not Normal", "Normal"]
    assert set(MENDABLE) < set(FAULTS)


def test_bytes_do_not_depend_on_the_number_of_processes(tmp_path):
    outs = []
    for workers in (1, 2):
        folder = tmp_path / str(workers)
        folder.mkdir()
        write_test(folder, studies=6, size=64, seed=1, workers=workers)
        outs.append({path.name: path.read_bytes() for path in sorted(folder.iterdir())})
    assert outs[0] == outs[1]


def test_a_test_set_has_images_and_a_sample_submission(tmp_path):
    write_test(tmp_path, studies=5, size=64, seed=7, workers=1)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["images.zip", "sample_submission.csv"]
    sample = pd.read_csv(tmp_path / "sample_submission.csv")
    assert sample.columns.tolist() == ["patientId", "PredictionString"]
    assert set(sample.PredictionString) == {"0.5 0 0 100 100"}
    with zipfile.ZipFile(tmp_path / "images.zip") as archive:
        assert archive.namelist() == [f"stage_2_test_images/{study}.dcm" for study in sample.patientId]


def test_studies_of_other_seeds_and_sets_never_coincide():
    ids = [study_id(seed, kind, i) for seed in range(20) for kind in ("labelled", "test", "broken") for i in range(50)]
    assert len(set(ids)) == 20 * 3 * 50
    people = {case.person for seed in (1, 2) for case in sample_cohort(50, seed, "labelled")}
    assert {person.split("-")[0] for person in people} == {"1", "2"}


def test_an_age_above_a_hundred_slips_in_as_in_the_challenge(tmp_path):
    from pneumonia.sources.synthetic.writer import _tasks

    tasks = _tasks(sample_cohort(300, 1, "labelled"), 64, 1, "labelled")
    assert [task.age for task in tasks if task.age is not None] == [148]
    assert max(np.array([task.case.spec.age for task in tasks])) <= 95


def test_a_missing_folder_and_too_few_studies_are_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere is not a folder"):
        write_test(tmp_path / "nowhere", studies=5, size=64, seed=1)
    with pytest.raises(ValueError, match=r"at least 4 studies.*got 2"):
        write_labelled(tmp_path, studies=2, size=64, seed=1)

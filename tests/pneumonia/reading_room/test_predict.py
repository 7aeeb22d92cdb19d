"""`pneumonia predict` with models that stand in for trained ones: boxes go back to original pixels, failures are listed."""

import json
import threading
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, generate_uid
from tests import mixed_input
from tests.radiographs import IMAGE, chest

from pneumonia.reading_room import admission, ensemble
from pneumonia.reading_room import predict as module
from pneumonia.reading_room.ensemble import Study
from pneumonia.reading_room.objects.findings import Algorithm
from pneumonia.reading_room.predict import predict_new
from pneumonia.reading_room.reader import Reader

WINDOW = {"mode": "none", "center": -600.0, "width": 1500.0, "percentiles": [0.5, 99.5]}
PREDICT = {"score_floor": 0.01, "nms_iou": 0.3, "max_detections": 20, "flip": False, "batch_size": 2}
ENSEMBLE = {
    "strategy": "wbf",
    "iou": 0.4,
    "weights": {"maskrcnn": 1.0, "yolo": 1.0},
    "thresholds": {"maskrcnn": 0.0, "yolo": 0.0},
    "gate": {"mode": "none", "threshold": 0.0, "power": 1.0},
    "shrink": 1.0,
}


class Finder:
    """Finds one box, x 8..24, y 16..32 of 64 pixels, wherever the image is not black."""

    image_size = 64

    def detect(self, images: np.ndarray, score_floor: float, nms_iou: float, max_detections: int) -> list[np.ndarray]:
        box = np.array([[8, 16, 24, 32, 0.8]], np.float32)
        return [box if image.any() else box[:0] for image in images]


class Scorer:
    image_size = 32

    def predict(self, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return np.full(len(images), 0.4, np.float32), np.zeros((len(images), 1, 1), np.float32)


def write_dicom(path: Path, pixels: np.ndarray, **elements: str) -> None:
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.1"
    meta.MediaStorageSOPInstanceUID = generate_uid()
    dataset = Dataset()
    dataset.file_meta = meta
    dataset.SOPClassUID, dataset.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
    dataset.Modality, dataset.PhotometricInterpretation, dataset.SamplesPerPixel = "CR", "MONOCHROME2", 1
    dataset.Rows, dataset.Columns = pixels.shape
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 8, 8, 7, 0
    dataset.PixelData = pixels.astype(np.uint8).tobytes()
    for name, value in elements.items():
        setattr(dataset, name, value)
    dataset.save_as(path, enforce_file_format=True)


@pytest.fixture
def arguments(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    source = tmp_path / "new"
    source.mkdir()
    ramp = np.arange(128 * 96).reshape(128, 96) % 250
    write_dicom(source / "a.dcm", ramp)  # 96 wide, 128 high: 16 pixels of padding left and right, half size
    write_dicom(source / "c.dcm", ramp[:96])
    (source / "b.dcm").write_bytes(b"broken")
    for name in ("classifier", "maskrcnn", "yolo"):
        (tmp_path / "models" / name).mkdir(parents=True)
        (tmp_path / "models" / name / "model.json").write_text("{}")
    monkeypatch.setattr(ensemble, "load", lambda name, folder: Scorer() if name == "classifier" else Finder())
    return {
        "source": source,
        "output": tmp_path / "out",
        "load": partial(
            Reader.load,
            tmp_path / "models",
            names=("classifier", "maskrcnn", "yolo"),
            window=WINDOW,
            predict=PREDICT,
            ensemble=ENSEMBLE,
            threshold=0.5,
            max_boxes=4,
        ),
        "batch_size": 2,
        "limit": None,
        "overlays": True,
    }


def test_boxes_are_in_original_pixels_and_failures_are_listed(arguments: dict[str, Any]):
    summary = predict_new(**arguments)
    assert summary == {"files": 3, "studies": 2, "with_findings": 2, "failed": 1, "skipped": 0}
    out = arguments["output"]
    rows = pd.read_csv(out / "detections.csv").set_index("patientId")
    # a: 128 pixels in 64, scale 0.5, pad_x 8: x (8..24 - 8) * 2 = 0..32, y 16..32 * 2 = 32..64
    assert rows.loc["a", ["x", "y", "width", "height", "score"]].tolist() == [0.0, 32.0, 32.0, 32.0, 0.8]
    assert rows.loc["a", "image_score"] == pytest.approx(0.6)  # mean of 0.4 and 0.8
    # c: 96 in 64, scale 2/3, no padding
    assert rows.loc["c", ["x", "y", "width", "height"]].tolist() == [12.0, 24.0, 24.0, 24.0]
    failed = pd.read_csv(out / "failed.csv")
    assert failed["patientId"].tolist() == ["b"]
    assert failed["reason"].notna().all()
    submission = pd.read_csv(out / "submission.csv")
    assert submission["PredictionString"].tolist() == ["0.800000 0.0 32.0 32.0 32.0", "0.800000 12.0 24.0 24.0 24.0"]
    with Image.open(out / "overlays" / "a.png") as picture:
        assert picture.size == (96, 128)
    made_by = json.loads((out / "made_by.json").read_text())
    assert made_by["settings"].endswith("; run by Keras")
    assert made_by["operating_point"] == 0.5


def test_a_study_without_findings_keeps_its_score(arguments: dict[str, Any]):
    write_dicom(arguments["source"] / "a.dcm", np.zeros((64, 64)) + np.eye(64))
    strict = ENSEMBLE | {"thresholds": {"maskrcnn": 0.9, "yolo": 0.9}}
    arguments["load"] = partial(arguments["load"], ensemble=strict)
    summary = predict_new(**(arguments | {"overlays": False}))
    assert summary["with_findings"] == 0
    rows = pd.read_csv(arguments["output"] / "detections.csv")
    assert rows["patientId"].tolist() == ["a", "c"]
    assert rows["x"].isna().all()
    assert rows["image_score"].tolist() == [0.2, 0.2]
    assert not (arguments["output"] / "overlays").exists()


def test_a_copy_is_skipped_and_another_image_of_the_same_uid_fails(arguments: dict[str, Any]):
    source = arguments["source"]
    (source / "again").mkdir()
    (source / "again" / "a.dcm").write_bytes((source / "a.dcm").read_bytes())
    (source / "again" / "c.dcm").write_bytes((source / "c.dcm").read_bytes()[:-1] + b"\xff")
    summary = predict_new(**(arguments | {"overlays": False}))
    assert summary == {"files": 5, "studies": 1, "with_findings": 1, "failed": 3, "skipped": 1}
    rows = pd.read_csv(arguments["output"] / "studies.csv", keep_default_na=False).set_index("path")
    assert rows.loc[["a.dcm", "again/a.dcm"], "study"].tolist() == ["a", "a"]
    assert rows["status"].to_dict() == {
        "a.dcm": "results", "again/a.dcm": "skipped", "again/c.dcm": "failed", "b.dcm": "failed", "c.dcm": "failed"
    }  # fmt: skip
    assert rows.loc["again/a.dcm", "reason"] == "a copy of a.dcm"
    assert rows.loc["c.dcm", "reason"].endswith("the same SOP Instance UID is in again/c.dcm")
    assert rows.loc["again/c.dcm", "reason"].endswith("the same SOP Instance UID is in c.dcm")


def test_results_as_dicom_stand_beside_the_others(arguments: dict[str, Any]):
    sr = pytest.importorskip("highdicom.sr")
    ramp = np.arange(128 * 96).reshape(128, 96) % 250
    write_dicom(
        arguments["source"] / "a.dcm", ramp, StudyInstanceUID="1.2.3", SeriesInstanceUID="1.2.3.4", PatientID="P1"
    )
    arguments["load"] = partial(arguments["load"], capture=True)
    summary = predict_new(**(arguments | {"dicom": True}))
    out = arguments["output"]
    assert sorted(path.name for path in (out / "dicom").iterdir()) == ["a.pr.dcm", "a.sc.dcm", "a.sr.dcm"]
    report = sr.srread(out / "dicom/a.sr.dcm")
    (region,) = report.content.get_planar_roi_measurement_groups()
    assert region.roi.value.min(0).tolist() == [0, 32]  # as in detections.csv
    assert region.roi.value.max(0).tolist() == [32, 64]
    assert region.get_measurements()[0].value == pytest.approx(80, abs=1e-4)
    assert (report.StudyInstanceUID, report.PatientID) == ("1.2.3", "P1")
    # c has findings, but names no study that an object could join.
    failed = pd.read_csv(out / "failed.csv").set_index("patientId")["reason"]
    assert "predicted, but not as DICOM" in failed["c"]
    assert "StudyInstanceUID" in failed["c"]
    assert summary == {"files": 3, "studies": 1, "with_findings": 1, "failed": 2, "skipped": 0}


def test_results_as_dicom_without_their_package_are_refused_before_anything_runs(
    arguments: dict[str, Any], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    sentence = r"a result as DICOM needs highdicom, which is not installed: pip install -e '\.\[dicom\]'"
    with pytest.raises(ModuleNotFoundError, match=sentence):
        predict_new(**(arguments | {"dicom": True}))
    assert not arguments["output"].exists()


def test_limit_takes_the_first_by_id(arguments: dict[str, Any]):
    assert predict_new(**(arguments | {"limit": 1}))["studies"] == 1


def test_a_missing_model_is_named_and_nothing_is_written(arguments: dict[str, Any], tmp_path: Path):
    (tmp_path / "models" / "yolo" / "model.json").unlink()
    with pytest.raises(ValueError, match=r"no trained model at .*yolo; run `dvc repro`"):
        predict_new(**arguments)
    assert not arguments["output"].exists()


def test_an_empty_folder_is_an_error(arguments: dict[str, Any], tmp_path: Path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="DICOM"):
        predict_new(**(arguments | {"source": tmp_path / "empty"}))


COLUMNS = ["study", "x", "y", "width", "height", "score"]


class Models:
    """Find one box in each study; fail on those named, alone or in a batch."""

    def __init__(self, *faulty: str) -> None:
        self.faulty = faulty

    def __call__(self, studies: Mapping[str, Study]) -> tuple[pd.DataFrame, pd.Series]:
        for name in self.faulty:
            if name in studies:
                raise KeyError(name)
        boxes = pd.DataFrame([[name, 1.0, 2.0, 8.0, 4.0, 0.75] for name in studies], columns=COLUMNS)
        return boxes, pd.Series(dict.fromkeys(studies, 0.5))


def run(source: Path, output: Path, models: Models, *, dicom: bool = False, **options: Any) -> dict[str, int]:
    reader = Reader(
        predict=models,
        window=WINDOW,
        threshold=0.5,
        max_boxes=4,
        algorithm=Algorithm("1.2.3", "ab" * 32, "gate"),
        **options,
    )
    return predict_new(source, output, lambda: reader, batch_size=4, limit=None, overlays=True, dicom=dicom)


def table(output: Path) -> pd.DataFrame:
    return pd.read_csv(output / "studies.csv", dtype=str, keep_default_na=False).set_index("path")


def not_another(data: bytes, name: str) -> None:
    admission.check_not_another(data)


def test_200_files_and_their_zip_end_in_the_same_three_lists(tmp_path: Path):
    expected = mixed_input.write(tmp_path / "input")
    mixed_input.pack(tmp_path / "input", tmp_path / "input.zip")
    for name in ("input", "input.zip"):
        output = tmp_path / f"{name}.out"
        summary = run(tmp_path / name, output, Models(), admit=not_another)
        rows = table(output)
        assert rows["status"].to_dict() == expected
        counted = {status: summary["studies" if status == "results" else status] for status in mixed_input.EXPECTED}
        assert counted == mixed_input.EXPECTED
        assert sum(counted.values()) == summary["files"] == len(rows) == 200
        read = sorted(rows.loc[rows["status"] == "results", "study"])
        assert sorted(pd.read_csv(output / "submission.csv", dtype=str)["patientId"]) == read
        assert sorted(pd.read_csv(output / "detections.csv", dtype=str)["patientId"]) == read
        assert sorted(path.stem for path in (output / "overlays").iterdir()) == read
        failed = pd.read_csv(output / "failed.csv", dtype=str)
        assert len(failed) == 19
        assert failed.notna().all().all()
        assert rows.loc["hand/0.dcm", "reason"] == "body_part: said to show something else than a chest"
        assert rows.loc["lateral/0.dcm", "reason"] == "view: said to be another view than AP or PA"
        assert (rows.loc[rows["status"] == "results", "window"] == "none").all()
    folder, packed = table(tmp_path / "input.out"), table(tmp_path / "input.zip.out")
    assert folder["study"].equals(packed["study"])


def images(folder: Path, **elements: str) -> Path:
    folder.mkdir()
    for number, name in enumerate("abcdef"):
        (folder / f"{name}.dcm").write_bytes(chest(SOPInstanceUID=f"1.2.3.{number}", **elements))
    return folder


def test_the_models_fail_on_one_image_and_read_the_others(tmp_path: Path):
    summary = run(images(tmp_path / "in"), tmp_path / "out", Models("c", "e"))
    assert summary == {"files": 6, "studies": 4, "with_findings": 4, "failed": 2, "skipped": 0}
    rows = table(tmp_path / "out")
    assert rows["status"].tolist() == ["results", "results", "failed", "results", "failed", "results"]
    assert rows.loc["c.dcm", "reason"] == "not predicted: KeyError: 'c'"
    assert pd.read_csv(tmp_path / "out/detections.csv")["patientId"].tolist() == ["a", "b", "d", "f"]


def test_models_that_fail_on_any_image_end_it(tmp_path: Path):
    with pytest.raises(ValueError, match=r"the models fail on any image \(KeyError: 'a'\)"):
        run(images(tmp_path / "in"), tmp_path / "out", Models("a", "blank"))
    assert not (tmp_path / "out").exists()


def test_a_picture_or_an_object_that_cannot_be_made_is_one_study_less(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    pytest.importorskip("highdicom")
    source = images(tmp_path / "in")
    (source / "b.dcm").write_bytes(chest(SOPInstanceUID="1.2.3.1", StudyInstanceUID=""))
    draw, write = module._draw, module.make.write

    def fail_to_draw(study: Study, findings: Any) -> bytes:
        if study.image[0, 0] == 9:
            raise RuntimeError("no font for Doe^Jane")
        return draw(study, findings)

    def fail_to_write(folder: Path, study: str, objects: Any) -> list[Path]:
        written = write(folder, study, objects)
        if study == "d":
            raise UnicodeEncodeError("ascii", "Müller", 1, 2, "no")
        return written

    monkeypatch.setattr(module, "_draw", fail_to_draw)
    monkeypatch.setattr(module.make, "write", fail_to_write)
    pixels = IMAGE.copy()
    pixels[0, 0] = 9
    (source / "c.dcm").write_bytes(chest(SOPInstanceUID="1.2.3.2", PixelData=pixels.tobytes()))
    summary = run(source, tmp_path / "out", Models(), dicom=True)
    assert summary == {"files": 6, "studies": 3, "with_findings": 3, "failed": 3, "skipped": 0}
    reasons = table(tmp_path / "out")["reason"]
    assert "StudyInstanceUID" in reasons["b.dcm"]
    assert reasons["c.dcm"] == "predicted, but not written (RuntimeError)"
    assert reasons["d.dcm"] == "predicted, but not as DICOM (UnicodeEncodeError)"
    for folder in ("overlays", "dicom"):
        assert {path.name.split(".")[0] for path in (tmp_path / "out" / folder).iterdir()} == {"a", "e", "f"}


def test_a_full_disk_ends_it_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def fail(*arguments: Any) -> bool:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module, "_write_study", fail)
    with pytest.raises(OSError, match="No space left"):
        run(images(tmp_path / "in"), tmp_path / "out", Models())
    assert [path.name for path in tmp_path.iterdir()] == ["in"]


def test_an_image_that_does_not_say_what_it_shows_is_read_with_a_warning(tmp_path: Path):
    source = images(tmp_path / "in", BodyPartExamined="")
    run(source, tmp_path / "1", Models(), admit=not_another)
    rows = table(tmp_path / "1")
    assert set(rows["status"]) == {"results"}
    assert rows.loc["a.dcm", "warning"] == "body_part: not said to show one of CHEST, THORAX"
    source = images(tmp_path / "hands", BodyPartExamined="HAND")
    run(source, tmp_path / "2", Models())  # as with --any-image
    assert set(table(tmp_path / "2")["warning"]) == {"body_part: not said to show one of CHEST, THORAX"}


def test_what_the_limit_leaves_out_is_skipped(tmp_path: Path):
    reader = Reader(
        predict=Models(), window=WINDOW, threshold=0.5, max_boxes=4, algorithm=Algorithm("1.2.3", "ab" * 32, "gate")
    )
    summary = predict_new(
        images(tmp_path / "in"), tmp_path / "out", lambda: reader, batch_size=4, limit=2, overlays=False
    )
    assert summary == {"files": 6, "studies": 2, "with_findings": 2, "failed": 0, "skipped": 4}
    assert table(tmp_path / "out")["reason"].tolist() == ["", ""] + ["beyond the limit of 2"] * 4


class Files:
    """A reader's `admit` that notes which files were read, and by which thread."""

    def __init__(self) -> None:
        self.threads: dict[str, str] = {}
        self.fifth = threading.Event()

    def __call__(self, data: bytes, name: str) -> None:
        self.threads[name] = threading.current_thread().name
        if len(self.threads) == 5:
            self.fifth.set()


def test_the_next_batch_is_read_while_the_models_work(tmp_path: Path):
    files = Files()

    class Waiting(Models):
        def __call__(self, studies: Mapping[str, Study]) -> tuple[pd.DataFrame, pd.Series]:
            assert files.fifth.wait(30)  # of the second batch
            return super().__call__(studies)

    assert run(images(tmp_path / "in"), tmp_path / "out", Waiting(), admit=files)["studies"] == 6
    assert len(set(files.threads.values())) == 1  # parsing changes settings of the whole process
    assert set(files.threads.values()) != {threading.current_thread().name}


def test_no_header_is_read_while_objects_are_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    pytest.importorskip("highdicom")
    files, seen = Files(), []
    make = module.Reader.objects

    def objects(*arguments: Any) -> Any:
        seen.append(len(files.threads))
        return make(*arguments)

    monkeypatch.setattr(module.Reader, "objects", objects)
    run(images(tmp_path / "in"), tmp_path / "out", Models(), dicom=True, admit=files)
    assert seen == [4, 4, 4, 4, 6, 6]


@pytest.mark.parametrize("error", [MemoryError, KeyboardInterrupt])
def test_what_ends_a_run_ends_its_threads(tmp_path: Path, error: type[BaseException]):
    files = Files()

    class Ending(Models):
        def __call__(self, studies: Mapping[str, Study]) -> tuple[pd.DataFrame, pd.Series]:
            raise error

    before = threading.active_count()
    with pytest.raises(error):
        run(images(tmp_path / "in"), tmp_path / "out", Ending(), admit=files)
    assert threading.active_count() == before
    assert [path.name for path in tmp_path.iterdir()] == ["in"]


def test_too_little_memory_for_a_file_or_a_picture_ends_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def fail(*arguments: Any) -> None:
        raise MemoryError

    source = images(tmp_path / "in")
    with pytest.raises(MemoryError):
        run(source, tmp_path / "1", Models(), admit=fail)
    monkeypatch.setattr(module, "_draw", fail)
    with pytest.raises(MemoryError):
        run(source, tmp_path / "2", Models())
    assert [path.name for path in tmp_path.iterdir()] == ["in"]

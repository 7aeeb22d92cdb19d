"""COCO JSON and YOLO text of the labels; pycocotools reads the former."""

import contextlib
import io
import json
import zipfile

import pandas as pd
import pytest

from pneumonia.data.annotate import coco, write_annotations, yolo

STUDIES = pd.DataFrame({"study": ["c", "a", "b"], "rows": [1024, 1024, 500], "columns": [1024, 1024, 1000]})
BOXES = pd.DataFrame(
    [["b", 100.0, 50.0, 200.0, 100.0], ["a", 600.0, 128.0, 128.0, 64.0], ["a", 256.0, 128.0, 512.0, 256.5]],
    columns=["study", "x", "y", "width", "height"],
)
SPLIT = pd.DataFrame({"study": ["a", "b", "c"], "subset": ["train", "holdout", "train"]})


def test_coco_in_pixels_of_the_original():
    data = coco(STUDIES, BOXES, ["b", "c"])
    assert data["images"] == [
        {"id": 2, "file_name": "b.dcm", "width": 1000, "height": 500},
        {"id": 3, "file_name": "c.dcm", "width": 1024, "height": 1024},
    ]
    assert data["annotations"] == [
        {
            "id": 3,  # the third of all boxes by study and place
            "image_id": 2,
            "category_id": 1,
            "bbox": [100.0, 50.0, 200.0, 100.0],
            "area": 20000.0,
            "iscrowd": 0,
            "segmentation": [[100.0, 50.0, 300.0, 50.0, 300.0, 150.0, 100.0, 150.0]],
        }
    ]
    assert data["categories"] == [{"id": 1, "name": "pneumonia", "supercategory": "finding"}]


def test_yolo_in_shares_of_the_image():
    assert yolo(STUDIES, BOXES, ["a", "b", "c"]) == {
        # (256 + 512 / 2) / 1024, (128 + 256.5 / 2) / 1024, 512 / 1024, 256.5 / 1024
        "a": "0 0.500000 0.250244 0.500000 0.250488\n0 0.648438 0.156250 0.125000 0.062500\n",
        "b": "0 0.200000 0.200000 0.200000 0.200000\n",  # 200 / 1000, 100 / 500, 200 / 1000, 100 / 500
        "c": "",
    }


def test_a_study_that_was_not_cleaned_is_refused():
    with pytest.raises(ValueError, match=r"1 studies of the split were not cleaned, such as \['x'\]"):
        coco(STUDIES, BOXES, ["a", "x"])


def test_the_archive(tmp_path):
    path = tmp_path / "annotations.zip"
    assert write_annotations(path, STUDIES, BOXES, SPLIT) == {"train": 2, "validation": 0, "holdout": 1}
    with zipfile.ZipFile(path) as archive:
        assert archive.namelist() == [
            "coco/holdout.json",
            "coco/train.json",
            "coco/validation.json",
            "yolo/data.yaml",
            "yolo/holdout.txt",
            "yolo/holdout/labels/b.txt",
            "yolo/train.txt",
            "yolo/train/labels/a.txt",
            "yolo/train/labels/c.txt",
            "yolo/validation.txt",
        ]
        assert archive.read("yolo/train.txt") == b"./train/images/a.dcm\n./train/images/c.dcm\n"
        assert archive.read("yolo/train/labels/c.txt") == b""
        assert json.loads(archive.read("coco/train.json")) == coco(STUDIES, BOXES, ["a", "c"])
        assert b"0: pneumonia" in archive.read("yolo/data.yaml")


def test_same_labels_same_bytes(tmp_path):
    write_annotations(tmp_path / "1.zip", STUDIES, BOXES, SPLIT)
    write_annotations(tmp_path / "2.zip", STUDIES[::-1], BOXES[::-1], SPLIT[::-1])
    assert (tmp_path / "1.zip").read_bytes() == (tmp_path / "2.zip").read_bytes()


def test_pycocotools_reads_it(tmp_path):
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    path = tmp_path / "all.json"
    path.write_text(json.dumps(coco(STUDIES, BOXES, ["a", "b", "c"])))
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO(str(path))
        found = truth.loadRes([{"image_id": 1, "category_id": 1, "bbox": [256, 128, 512, 256.5], "score": 0.9}])
        evaluation = COCOeval(truth, found, "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    assert truth.getImgIds() == [1, 2, 3]
    assert [len(truth.getAnnIds(image)) for image in (1, 2, 3)] == [2, 1, 0]
    assert truth.annToMask(truth.loadAnns(3)[0]).sum() == 200 * 100
    assert evaluation.stats[8] == pytest.approx(1 / 3)  # recall: one of three boxes, at every IoU

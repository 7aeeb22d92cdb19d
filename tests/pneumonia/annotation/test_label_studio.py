"""Label Studio's tasks: per cents worked out by hand, the way back, and what is no upright box."""

import json

import pytest

from pneumonia.annotation import label_studio
from pneumonia.annotation.marks import Sent

SENT = [
    Sent("a", 500, 1000, ((100.0, 50.0, 200.0, 125.0),), (((10.0, 20.0, 30.0, 40.0), 0.75),)),
    Sent("b", 500, 1000),
]
SIZES = {"a": (500, 1000), "b": (500, 1000)}


@pytest.fixture
def tasks(tmp_path):
    label_studio.write(tmp_path, SENT, "/data/local-files/?d=", "ensemble")
    return json.loads((tmp_path / label_studio.NAME).read_text())


def back(tmp_path, tasks):
    path = tmp_path / "export.json"
    path.write_text(json.dumps(tasks))
    return label_studio.read(path, SIZES)


def test_a_task_has_the_labels_as_annotation_and_the_models_boxes_as_prediction(tasks):
    first, second = tasks
    assert first["data"] == {"image": "/data/local-files/?d=a.png", "study": "a"}
    (region,) = first["annotations"][0]["result"]
    assert region["value"] == {
        "x": 10.0, "y": 10.0, "width": 20.0, "height": 25.0, "rotation": 0, "rectanglelabels": ["pneumonia"],
    }  # fmt: skip
    assert (region["original_width"], region["original_height"]) == (1000, 500)
    (guess,) = first["predictions"]
    assert (guess["model_version"], guess["score"]) == ("ensemble", 0.75)
    assert guess["result"][0]["value"]["x"] == 1.0
    assert second["annotations"] == [{"result": []}]
    assert "predictions" not in second


def test_the_configuration_names_what_the_tasks_refer_to(tmp_path, tasks):
    text = (tmp_path / label_studio.CONFIG).read_text()
    region = tasks[0]["annotations"][0]["result"][0]
    for name in (f'name="{region["from_name"]}"', f'toName="{region["to_name"]}"', 'value="pneumonia"'):
        assert name in text


def test_the_boxes_come_back(tmp_path, tasks):
    assert back(tmp_path, tasks).boxes == {"a": [(100.0, 50.0, 200.0, 125.0)], "b": []}


def test_a_task_that_was_skipped_or_not_done_stays(tmp_path, tasks):
    tasks[0]["annotations"][0]["was_cancelled"] = True
    tasks[1]["annotations"] = []
    found = back(tmp_path, tasks)
    assert found.boxes == {}
    assert found.notes == ["2 tasks have no submitted annotation and stay as they are"]


def region(tasks):
    return tasks[0]["annotations"][0]["result"][0]


REFUSED = {
    "turned": (lambda t: region(t)["value"].update(rotation=12), "study a.*is turned"),
    "image turned": (lambda t: region(t).update(image_rotation=90), "is turned"),
    "polygon": (lambda t: region(t).update(type="polygonlabels"), "a region is of type 'polygonlabels'"),
    "other label": (lambda t: region(t)["value"].update(rectanglelabels=["mass"]), r"labelled \['mass'\]; wanted \['pneumonia'\]"),
    "two labels": (lambda t: region(t)["value"].update(rectanglelabels=["pneumonia", "mass"]), "labelled"),
    "other image": (lambda t: region(t).update(original_width=500), "the image was 500 x 500, ours is 1000 x 500"),
    "text": (lambda t: region(t)["value"].update(x="1"), "wanted numbers"),
    "two annotators": (lambda t: t[0]["annotations"].append({"result": []}), "has 2 annotations"),
    "no study": (lambda t: t[0]["data"].pop("study"), "data.study is missing"),
    "stranger": (lambda t: t[0]["data"].update(study="z"), "there is no study 'z'"),
    "twice": (lambda t: t[1]["data"].update(study="a"), "study a comes twice"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_upright_box_of_one_of_our_studies_is_refused(tmp_path, tasks, name):
    change, said = REFUSED[name]
    change(tasks)
    with pytest.raises(ValueError, match=said):
        back(tmp_path, tasks)


def test_a_smaller_copy_of_the_image_gives_the_same_boxes(tmp_path, tasks):
    region(tasks).update(original_width=200, original_height=100)
    assert back(tmp_path, tasks).boxes["a"] == [(100.0, 50.0, 200.0, 125.0)]

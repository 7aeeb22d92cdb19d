"""The page, from a small made-up project on disk."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser

import cv2
import numpy as np
import pandas as pd
import pytest

from pneumonia import figures, report, report_inputs
from pneumonia.evaluation import Predictions, evaluate
from pneumonia.files import write_csv, write_json
from pneumonia.gallery import facts, index
from pneumonia.predictions import write_predictions

SIZE = 64
STUDY = "0004cfab-14fd-4e49-80ba-63a80b6b{:04d}"


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """Twelve studies of 640 x 640 at scale 0.1; every third shows an opacity; half of them validate."""
    root = tmp_path_factory.mktemp("project")
    rng = np.random.default_rng(0)
    ids = [STUDY.format(i) for i in range(12)]
    ill = [i % 3 == 0 for i in range(12)]
    studies = pd.DataFrame(
        {
            "study": ids, "person": [f"p{i}" for i in range(12)],
            "category": ["opacity" if i else "normal" for i in ill], "target": [int(i) for i in ill],
            "view": ["AP", "PA"] * 6, "sex": ["F", "M", ""] * 4, "age": [57.0, 93.0, np.nan, 4.0] * 3,
        }
    )  # fmt: skip
    boxes = pd.DataFrame([(s, 100.0, 200.0, 150.0, 300.0) for s, i in zip(ids, ill, strict=True) if i],
                         columns=["study", "x", "y", "width", "height"])  # fmt: skip
    split = pd.DataFrame({"study": ids, "subset": ["holdout", "validation"] * 3 + ["validation", "holdout"] * 3})
    detections = boxes.assign(score=[0.9, 0.8, 0.7, 0.2], x=[100.0, 110, 120, 400])
    extra = pd.DataFrame([(ids[1], 10, 10, 99, 99, 0.6), (ids[2], 10, 10, 99, 99, 0.75)], columns=detections.columns)
    detections = pd.concat([detections, extra])
    scores = detections.groupby("study")["score"].max().reindex(ids).fillna(0.0)
    data = root / "data"
    write_csv(data / "clean/studies.csv", studies)
    write_csv(data / "clean/boxes.csv", boxes)
    write_csv(data / "split/split.csv", split)
    for folder in ("predictions/maskrcnn", "predictions/yolo", "ensemble"):
        write_predictions(data / folder, detections, scores)
    (data / "predictions/classifier").mkdir()
    write_csv(data / "predictions/classifier/scores.csv", scores.rename("score").rename_axis("study").reset_index())
    np.save(data / "predictions/classifier/cam.npy", rng.uniform(size=(12, 4, 4)).astype(np.float16))
    (data / f"images/{SIZE}").mkdir(parents=True)
    np.save(data / f"images/{SIZE}/shard-00000.npy", rng.integers(0, 255, (12, SIZE, SIZE), dtype=np.uint8))
    placed = {"scale": 0.1, "pad_x": 0.0, "pad_y": 0.0, "aspect": 1.0, "columns": 640, "rows": 640, "window": "none"}
    images = pd.DataFrame({"study": ids, "shard": 0, "row": range(12)}).assign(**placed)
    write_csv(data / f"images/{SIZE}/index.csv", images)
    models = {name: Predictions(scores, detections) for name in ("maskrcnn", "yolo", "ensemble")}
    models["classifier"] = Predictions(scores)
    result = evaluate(studies, boxes, split, models, rule="best_f1", value=0.5, resamples=20, seed=1)
    write_json(root / "metrics/evaluation.json", result.metrics)
    write_json(root / "metrics/clean.json", {"studies": 12, "rejected": {"unreadable": 1}})
    counts = {"studies": 6, "positive": 2, "persons": 6}
    write_json(
        root / "metrics/split.json",
        {"persons_shared": 0, "subsets": dict.fromkeys(("train", "validation", "holdout"), counts)},
    )
    for name, points in result.curves.items():
        for model, own in points.groupby("model"):
            write_csv(root / f"plots/{name}/{model}.csv", own.drop(columns="model"))
    write_csv(root / "plots/confusion.csv", result.confusion)
    history = pd.DataFrame({"epoch": [0, 1], "loss": [1.0, 0.5], "val_loss": [1.1, 0.7], "val_auc": [0.5, 0.6]})
    for model in ("classifier", "maskrcnn", "yolo"):
        write_csv(root / f"plots/history/{model}.csv", history)
    (root / "plots/explore").mkdir()
    (root / "plots/explore/box_sizes.png").write_bytes(figures.training_curves(history, "x"))
    return root


@pytest.fixture(scope="module")
def inputs(project):
    params = {"ensemble": {"strategy": "wbf", "gate": {"mode": "none"}}, "maskrcnn": {"phases": [{"layers": "<all>"}]}}
    return report_inputs.read(project, image_size=SIZE, examples=2, params=params)


@pytest.fixture(scope="module")
def page(inputs):
    return report.render(inputs)


class Outline(HTMLParser):
    """Which elements stay open, which ids come, what is linked."""

    VOID = frozenset({"meta", "link", "input", "img", "br", "image", "rect", "path", "circle"})

    def __init__(self):
        super().__init__()
        self.open, self.ids, self.links, self.missing_alt = [], [], [], 0

    def handle_starttag(self, tag, attrs):
        values = dict(attrs)
        if tag not in self.VOID:
            self.open.append(tag)
        if "id" in values:
            self.ids.append(values["id"])
        self.links += [values[name] for name in ("href", "src") if name in values]
        self.missing_alt += tag == "img" and not values.get("alt")

    def handle_endtag(self, tag):
        if tag not in self.VOID:
            assert self.open.pop() == tag


def test_page_is_well_formed_and_self_contained(page):
    outline = Outline()
    outline.feed(page)
    assert outline.open == []
    assert len(outline.ids) == len(set(outline.ids))
    assert all(link.startswith(("data:", "#")) for link in outline.links)
    assert {link[1:] for link in outline.links if link.startswith("#")} <= set(outline.ids)
    assert outline.missing_alt == 0
    assert "http://" not in page
    assert "https://" not in page
    assert len(page.encode()) < 5e6


def test_page_has_the_same_bytes_twice(page, inputs):
    assert report.render(inputs) == page


def test_page_names_no_study_but_the_list_does(page, inputs):
    assert "0004cfab" not in page
    cases = index(inputs.galleries)
    assert cases["study"].str.startswith("0004cfab").all()
    assert cases["case"].tolist() == list(range(1, len(cases) + 1))


def test_galleries_sort_the_holdout_by_what_happened(inputs):
    # Holdout: studies 0, 2, 4, 7, 9, 11; ill are 0 (found, 0.9) and 9 (0.2, far off); 2 is a false alarm at 0.75.
    kinds = {kind.name: [case.study[-2:] for case in kind.cases] for kind in inputs.galleries}
    assert kinds == {"found": ["00"], "misplaced": [], "missed": ["09"], "false": ["02"]}


def test_boxes_are_drawn_in_the_frame_of_the_picture(page, inputs):
    case = inputs.galleries[0].cases[0]
    np.testing.assert_allclose(case.truth, [[10, 20, 25, 50]])
    np.testing.assert_allclose(case.boxes["ensemble"], [[10, 20, 25, 50, 0.9]], atol=1e-5)
    assert re.search(r'<rect class="truth" x="10.0" y="20.0" width="15.0" height="30.0"/>', page)
    assert "pneumonia 0.90" in page


def test_params_are_escaped_and_flat(page):
    assert "ensemble.gate.mode" in page
    assert "maskrcnn.phases[0].layers" in page
    assert "&lt;all&gt;" in page
    assert "<all>" not in page


def test_slider_starts_at_the_chosen_threshold(page, inputs):
    points = json.loads(re.search(r'id="points">(.*?)</script>', page)[1])
    start = int(re.search(r'type="range"[^>]* value="(\d+)"', page)[1])
    assert points[start][0] == pytest.approx(inputs.evaluation["ensemble"]["box_threshold"], abs=1e-4)
    assert points[start][1] == 0.5  # one of two opacities is called


def test_not_a_medical_device(page):
    assert "Not a medical device" in page


def test_facts_hold_no_exact_age():
    row = {"view": "AP", "sex": "F", "age": 57.0, "category": "opacity"}
    assert facts(row) == "AP, woman, 50 to 59 years, opacity"
    assert facts(row | {"age": 93.0, "sex": ""}) == "AP, 90 years or more, opacity"
    assert facts({"view": "", "age": float("nan"), "category": "not_normal"}) == "no opacity, not normal"


def test_numbers_as_words():
    assert (report.percent(0.834), report.percent(None), report.percent(float("nan"))) == ("83%", "-", "-")
    assert (report.number(0.834), report.number(0.8346, 3), report.number(None)) == ("0.83", "0.835", "-")
    assert report.interval({"auc_low": 0.781, "auc_high": 0.879}, "auc") == "0.78 to 0.88"
    assert report.interval({"auc_low": None, "auc_high": None}, "auc") == "- to -"


def test_figures_are_shrunk():
    wide = figures.png(np.tile(np.arange(0, 250, 2, dtype=np.uint8), (50, 16)))
    data = report.shrink_png(wide, 500)
    assert cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR).shape == (12, 500, 3)

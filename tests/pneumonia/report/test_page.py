"""The page, from a small made-up project on disk."""

from __future__ import annotations

import dataclasses
import json
import re
import shutil
from html.parser import HTMLParser

import cv2
import numpy as np
import pytest
from tests.pneumonia.report import report_project
from tests.pneumonia.report.report_project import ANSWERING, PARAMS, SIZE

from pneumonia import pictures
from pneumonia.report import inputs as report_inputs
from pneumonia.report import page as report
from pneumonia.report.gallery import facts, index, outcome


def read(root):
    return report_inputs.read(root, ANSWERING, source="synthetic", image_size=SIZE, examples=2, params=PARAMS)


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    return report_project.write(tmp_path_factory.mktemp("project"))


@pytest.fixture(scope="module")
def inputs(project):
    return read(project)


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
    kinds = {kind.name: [case.study[-2:] for case in kind.cases] for kind in inputs.galleries}
    assert kinds == {"missed": ["09"], "misplaced": [], "false": ["02"], "found": ["00"]}


def test_boxes_are_drawn_in_the_frame_of_the_picture(page, inputs):
    case = inputs.galleries[-1].cases[0]
    np.testing.assert_allclose(case.truth, [[10, 20, 25, 50]])
    np.testing.assert_allclose(case.boxes["ensemble"], [[10, 20, 25, 50, 0.9, 1]], atol=1e-5)
    assert re.search(r'<rect class="truth" x="10.0" y="20.0" width="15.0" height="30.0"/>', page)
    assert "opacity 0.90" in page


def test_params_are_escaped_and_flat(page):
    assert "ensemble.gate.mode" in page
    assert "maskrcnn.phases[0].layers" in page
    assert "&lt;all&gt;" in page
    assert "<all>" not in page


def test_slider_starts_at_the_chosen_threshold(page, inputs):
    data = json.loads(re.search(r'id="settings">(.*?)</script>', page)[1])
    ensemble = data["models"]["ensemble"]
    row = ensemble["rows"][ensemble["start"]]
    assert row[0] == pytest.approx(inputs.evaluation["ensemble"]["threshold"], abs=1e-6)
    assert row[2:] == [1, 1, 1, 3, 1, 1]  # one of two opacities and one of four others called; a box on each
    assert f'value="{ensemble["start"]}" step' in page
    assert ensemble["chosen"]["sensitivity"].startswith("50% (")
    assert data["models"]["classifier"]["chosen"]["box_sensitivity"] == "-"
    assert data["truths"] == 2


def test_the_head_names_the_detectors_that_were_evaluated(page, inputs):
    assert "A classifier, Mask R-CNN, YOLOv3 and their ensemble" in page
    third = dataclasses.replace(
        inputs,
        evaluation={key.replace("yolo", "efficientdet"): value for key, value in inputs.evaluation.items()}
        | inputs.evaluation,
        settings=inputs.settings | {"efficientdet": inputs.settings["yolo"]},
        galleries=[],
    )
    assert "A classifier, Mask R-CNN, YOLOv3, EfficientDet and their ensemble" in report.render(third)


def test_the_summary_counts_the_holdout(page):
    # Of 6 studies 1 is found, 1 missed, 1 a false alarm, 3 left alone: 16.7, 16.7, 16.7 and 50 of a hundred.
    words = re.sub(r"<[^>]+>", "", page)
    assert "Of every 100 studies like these, 34 show an opacity. The ensemble calls 17 of them and misses 17" in words
    assert "of the 66 others it calls 16" in words
    assert "1 of 2 opacities called, 1 of 4 others called falsely" in words
    assert "Only 2 holdout studies show an opacity" in words


def test_a_wish_stands_beside_what_was_reached(inputs):
    best = inputs.evaluation["ensemble"] | {"wanted": 0.9, "reached_validation": 0.92, "reached_holdout": 0.84}
    params = PARAMS | {"evaluate": {"operating_point": {"rule": "min_sensitivity"}}}
    wishing = dataclasses.replace(inputs, evaluation={**inputs.evaluation, "ensemble": best}, params=params)
    words = re.sub(r"<[^>]+>", "", report.render(wishing))
    assert "Wanted was a sensitivity of at least 90%: it reached 92% there, and 84% on the holdout." in words


def test_sections_of_the_tables_and_maps(page):
    words = re.sub(r"<[^>]+>", " ", page)
    for part in (
        "Calibration: studies", "FROC: boxes", "too small to say", "Its peak lies in a box", "1/8 false boxes a study",
        "no image in the file", "age that cannot be, taken as unknown", "The ensemble less each model",
    ):  # fmt: skip
        assert part in words, part
    assert "colour image" not in words  # no study was left out for it


def test_the_model_card_has_the_sections_of_mitchell_et_al(page):
    card = page[page.index('id="card"') : page.index('id="run"')]
    assert re.findall("<h3>(.*?)</h3>", card) == [
        "Model details", "Intended use", "Factors", "Metrics", "Evaluation data", "Training data",
        "Quantitative analyses", "Ethical considerations", "Caveats and recommendations",
    ]  # fmt: skip
    assert "All are drawn by this project" in card


def test_the_run_names_data_packages_and_the_way_to_the_commit(page, project):
    assert re.search(r"git log -S [0-9a-f]{32} -- dvc.lock", page)
    assert "data/clean/studies.csv" in page
    assert re.search(r"<code>numpy</code></th><td><code>\d", page)
    assert str(project) not in page


def test_a_project_without_the_newer_files_still_has_a_page(project, tmp_path):
    root = tmp_path / "old"
    shutil.copytree(project, root)
    for name in ("plots/calibration", "plots/challenge"):
        shutil.rmtree(root / name)
    for name in ("plots/subgroups.csv", "plots/operating.csv", "metrics/explain.json"):
        (root / name).unlink()
    evaluation = json.loads((root / "metrics/evaluation.json").read_text())
    for model in ("classifier", "maskrcnn", "yolo", "ensemble"):
        for key in [
            k for k in evaluation[model] if k.startswith(("ece", "ap50_", "froc", "npv", "auc_pa", "challenge_mean"))
        ]:
            del evaluation[model][key]
        evaluation[model] |= {"precision": None, "precision_low": None, "precision_high": None}
    (root / "metrics/evaluation.json").write_text(json.dumps(evaluation))
    page = report.render(read(root))
    for part in ("Where it fails", "Calibration: studies", "Its peak lies", "nan", "None (", "undefined"):
        assert part not in re.sub('base64,[^"]+', "", page[page.index("<body>") : page.index("<script>")]), part
    assert 'href="#groups"' not in page


def test_not_a_medical_device(page):
    assert "Not a medical device" in page


def test_facts_hold_no_exact_age():
    row = {"view": "AP", "sex": "F", "age": 57.0, "category": "opacity"}
    assert facts(row) == "AP, woman, 50 to 59 years, opacity"
    assert facts(row | {"age": 93.0, "sex": ""}) == "AP, 90 years or more, opacity"
    assert facts({"view": "", "age": float("nan"), "category": "not_normal"}) == "no opacity, not normal"


def test_outcomes_in_words():
    assert outcome(True, True, True) == "found"
    assert outcome(True, True, False) == "box elsewhere"
    assert outcome(True, True, False, has_boxes=False) == "called"
    assert outcome(True, False, False) == "missed"
    assert outcome(False, True, False) == "false alarm"
    assert outcome(False, False, False) == "left alone"


def test_figures_are_shrunk():
    wide = pictures.png(np.tile(np.arange(0, 250, 2, dtype=np.uint8), (50, 16)))
    data = report.shrink_png(wide, 500)
    assert cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR).shape == (12, 500, 3)

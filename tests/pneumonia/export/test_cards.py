"""The card and the datasheet beside a bundle: what hubs read, figures that were measured, and no part of the bundle."""

import json
import re
from pathlib import Path

import pytest
import yaml
from tests.places import ROOT
from tests.pneumonia.runtime.tiny import write_bundles

from pneumonia.export import cards
from pneumonia.runtime import bundle
from pneumonia.runtime.bundle import FORMATS, Bundle

MADE = Bundle(
    kind="yolo",
    format="onnx",
    image_size=192,
    predict={"score_floor": 0.01},
    files={},
    trained={},
    parity={"studies": 32, "score": "1.0e-06"},
    operating_point=0.25,
    licence="MIT",
    versions={},
)
EVALUATION = {
    "yolo": {"auc": 0.9481, "auc_low": 0.8812, "auc_high": 0.9934, "ap50": 0.731},
    "ensemble": {
        "auc": 0.9639,
        "auc_low": 0.92,
        "auc_high": 0.99,
        "ap50": 0.777,
        "ap50_low": 0.675,
        "ap50_high": 0.849,
    },
    "classifier": {"auc": 0.5},
    "holdout": {"studies": 200, "persons": 87, "positives": 45, "boxes": 71},
}


def changed(**values: object) -> Bundle:
    return Bundle(**{**vars(MADE), **values})


def front(text: str) -> dict[str, object]:
    """The front matter of a card, as a hub reads it: YAML between two lines of three dashes, at the very start."""
    found = re.match(r"---\n(.*?)\n---\n\n# ", text, re.DOTALL)
    assert found
    return yaml.safe_load(found[1])


def test_the_front_matter_is_what_hubs_read():
    assert front(cards.card(MADE, source="synthetic", evaluation=None)) == {
        "license": "mit",
        "library_name": "onnx",
        "pipeline_tag": "object-detection",
        "tags": ["chest-radiograph", "medical-imaging", "pneumonia", "research-only"],
    }
    other = front(cards.card(changed(kind="classifier", licence="not stated: x"), source="local", evaluation=None))
    assert (other["license"], other["pipeline_tag"]) == ("other", "image-classification")
    assert other["license_name"]
    assert set(cards.LIBRARIES) == set(FORMATS)


def test_figures_are_those_of_the_evaluation_and_no_others():
    text = cards.card(MADE, source="synthetic", evaluation=EVALUATION)
    assert "| measure | YOLOv3 | Ensemble |" in text
    assert "| AUC | 0.95 (0.88 to 0.99) | 0.96 (0.92 to 0.99) |" in text
    assert "| AP at IoU 0.5 | 0.73 | 0.78 (0.68 to 0.85) |" in text
    assert "200 studies of 87 persons, 45 positive, 71 boxes; phantoms" in text
    assert "0.50" not in text  # the classifier's
    assert "Operating point of the ensemble: 0.250000." in text
    bare = cards.card(changed(operating_point=None), source="synthetic", evaluation=None)
    assert "None are given: no evaluation lay beside" in bare
    assert "none was chosen" in bare
    assert not re.search(r"\d\.\d\d", bare.split("## Figures")[1])


@pytest.mark.parametrize("source", ["synthetic", "local", "kaggle"])
def test_every_card_says_what_it_is_not_for_and_leaves_no_blank(source: str):
    text = cards.card(MADE, source=source, evaluation=None)
    assert "Not a medical device" in text
    assert "any use for a patient" in text
    assert "$" not in text + cards.datasheet(source)


def test_a_datasheet_has_the_sections_of_gebru_and_is_of_the_right_data():
    for source, title in (("synthetic", "# Datasheet: the phantom"), ("kaggle", "# Datasheet: RSNA")):
        text = cards.datasheet(source)
        assert text.startswith(title)
        headings = " ".join(re.findall(r"^## (.*)$", text, re.MULTILINE))
        for section in ("Motivation", "Composition", "Collection", "abelling", "Uses", "Distribution", "Maintenance"):
            assert section in headings
    assert cards.datasheet("local").startswith("> These weights were trained on data that its owner named")
    assert "# Datasheet: RSNA" in cards.datasheet("local")


def test_they_are_no_part_of_the_bundle(tmp_path: Path):
    write_bundles(tmp_path)
    made = bundle.read(tmp_path / "yolo")
    cards.write(tmp_path / "yolo", made, source="synthetic", evaluation=EVALUATION)
    assert {"README.md", "DATASHEET.md"} <= {path.name for path in (tmp_path / "yolo").iterdir()}
    (tmp_path / "yolo/README.md").write_text("translated")
    assert bundle.read(tmp_path / "yolo") == made
    (tmp_path / "yolo/more.bin").write_text("x")
    with pytest.raises(ValueError, match=r"more\.bin is not what was exported"):
        bundle.read(tmp_path / "yolo")


def test_no_stage_reaches_the_words():
    stages = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
    deps = json.dumps([stage["deps"] for stage in stages.values()])
    assert "src/pneumonia/export/cards.py" not in deps
    assert '"src/pneumonia/export"' not in deps


def test_the_committed_evaluation_fills_a_card():
    text = cards.card(MADE, source="synthetic", evaluation=json.loads((ROOT / "metrics/evaluation.json").read_text()))
    assert re.search(r"\| AUC \| 0\.\d\d \(0\.\d\d to \d\.\d\d\) \| 0\.", text)

"""From a folder as NIH publishes it to a backbone that others start from; and the stage that is off."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from tests.places import ROOT
from tests.pneumonia.weak_labels import nih_like

from pneumonia.files import read_json
from pneumonia.models import weights as weight_files
from pneumonia.models.pretraining import stage, training
from pneumonia.schema.data import SPLIT
from pneumonia.weak_labels import fetch as fetching
from pneumonia.weak_labels import project

FETCHED = {"image_size": 32, "shard_rows": 8, "workers": 1, "state": Path("state/fetch_pretrain")}
SMALL = {
    "source": "nih", "image_size": 32, "backbone": "resnet_small", "weights": "none", "epochs": 2, "batch_size": 8, "validation": 0.4,
    "bootstrap": 20, "device": "cpu", "average": 0.0,
}  # fmt: skip


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project of two labelled studies, one held out, one to train on, and a test study."""
    monkeypatch.chdir(tmp_path)
    split = pd.DataFrame(
        {"study": ["s1", "s2"], "person": ["s1", "s2"], "fold": [0, 0], "subset": ["train", "holdout"]}
    )
    SPLIT.write(SPLIT.path, split)
    Path("data/raw_test").mkdir(parents=True)
    Path("data/raw_test/sample_submission.csv").write_text("patientId,PredictionString\nt1,\n")
    # Persons 3 and 5 of NIH are evaluated, each in a spelling of its own; person 1 is trained on.
    Path("mapping.csv").write_text('patientId,nih_patient\ns1,00000001\ns2,3.0\nt1,"00000005"\n')
    return tmp_path


def fetch(source: str = "nih") -> dict[str, Any]:
    labels = nih_like.write(Path("nih"), count=60) if source == "nih" else Path("absent")
    return fetching.fetch("data/pretrain", source=source, path="nih", labels=str(labels), **FETCHED)


def test_off_leaves_the_same_bytes_and_no_weights(place: Path):
    assert fetch("none") == {"source": "none"}
    assert project.is_off()
    stage.off()
    assert read_json("models/backbone/model.json") == {"kind": "backbone", "backbone": "none"}
    assert read_json("metrics/pretrain.json") == {"source": "none"}
    assert Path("plots/history/pretrain.csv").read_text() == "epoch,loss,val_auc,learning_rate\n"
    with pytest.raises(FileNotFoundError, match=r"backbone\.npz is missing; set pretrain\.source and run pretrain"):
        weight_files.resolve("pretrained")


def test_evaluated_persons_are_left_out_and_a_missing_mapping_is_refused(place: Path):
    assert fetch()["images"] == 60
    learned = project.learned("local", "mapping.csv", 0)
    assert not {"3", "5"} & set(learned.labels["person"])
    assert "1" in set(learned.labels["person"])
    wanted = {
        "persons_left_out": 2,
        "images_left_out": 4,
        "persons_overlapping": 0,
        "evaluated_studies": 2,
        "evaluated_unmapped": 0,
    }
    assert {name: learned.counts[name] for name in wanted} == wanted
    Path("nobody.csv").write_text("patientId,person\n")
    with pytest.raises(ValueError, match=r"the person of 2 of 2 evaluated studies .* pretrain\.persons"):
        project.learned("local", "nobody.csv", 0)
    assert project.learned("local", "nobody.csv", 2).counts["evaluated_unmapped"] == 2


def test_a_share_of_the_persons_validates():
    found = training.subsets([str(i) for i in range(1000)], 0.2, 1)
    assert 160 < found.count("validation") < 240
    assert training.subsets(["7", "7"], 0.2, 1) in (["train"] * 2, ["validation"] * 2)


@pytest.mark.slow
def test_a_backbone_is_trained_and_others_start_from_it(place: Path):
    pytest.importorskip("tensorflow")
    from pneumonia.models.backbones import named_weights, pyramid
    from pneumonia.models.classifier import network

    fetch()
    learned = project.learned("local", "mapping.csv", 0)
    values = yaml.safe_load((ROOT / "params.yaml").read_text())["pretrain"] | SMALL
    track = {"enabled": False, "uri": "sqlite:///x.db", "experiment": "x"}
    stage.run(learned.store, learned.labels, learned.findings, learned.counts, learned.files, values, track)

    metrics = read_json("metrics/pretrain.json")
    assert set(metrics["findings"]) == {"Effusion", "Pneumonia"}  # the only ones with positives
    assert len(metrics["findings_left_out"]) == 12
    assert metrics["persons_overlapping"] == 0
    assert metrics["train_studies"] + metrics["validation_studies"] == 56
    effusion = metrics["findings"]["Effusion"]
    assert effusion["auc_low"] <= effusion["auc"] <= effusion["auc_high"]
    assert len(Path("plots/history/pretrain.csv").read_text().splitlines()) == 1 + metrics["epochs"]

    path = weight_files.resolve("pretrained")
    started = network.build("resnet_small", 64, path, frozen_norm=True)  # another size
    with np.load(path) as file:
        assert sorted(file.files)[:1] == ["stage16_0_a_conv/0"]
        for layer in ("stem_conv", "stage32_1_b_norm"):
            for i, array in enumerate(started.get_layer(layer).get_weights()):
                np.testing.assert_array_equal(array, file[f"{layer}/{i}"])
    with pytest.raises(ValueError, match="layer stem_conv of efficientnet_lite0 has shapes"):
        pyramid.build("efficientnet_lite0", 64, path)
    with pytest.raises(ValueError, match=r"backbone\.npz has no layer .*: it is of another backbone"):
        pyramid.build("resnet50", 64, path)
    # A backbone with a head gives one without what they share.
    whole = pyramid.build("efficientnet_lite0", 32, head=True)
    named_weights.save("lite0.npz", whole.layers)
    bare = pyramid.build("efficientnet_lite0", 32, "lite0.npz")
    np.testing.assert_array_equal(bare.get_layer("stem_conv").get_weights(), whole.get_layer("stem_conv").get_weights())

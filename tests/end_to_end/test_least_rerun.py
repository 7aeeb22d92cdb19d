"""For every leaf of params.yaml: which stages DVC would run again if it changed, against a table written by hand."""

from __future__ import annotations

import copy
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

pytestmark = pytest.mark.slow

AFTER_EVALUATE = {"evaluate", "report"}
AFTER_CALIBRATE = {"calibrate"} | AFTER_EVALUATE
AFTER_ENSEMBLE = {"ensemble", "submission"} | AFTER_CALIBRATE
AFTER_CLASSIFIER = {"predict_classifier", "predict_test_classifier", "explain", "export"} | AFTER_ENSEMBLE
AFTER_MASKRCNN = {"predict_maskrcnn", "predict_test_maskrcnn", "export"} | AFTER_ENSEMBLE
AFTER_YOLO = {"predict_yolo", "predict_test_yolo", "export"} | AFTER_ENSEMBLE
AFTER_EFFICIENTDET = {"predict_efficientdet", "predict_test_efficientdet", "export"} | AFTER_ENSEMBLE
PREDICTIONS = {"predict_classifier", "predict_maskrcnn", "predict_yolo", "predict_efficientdet"}
TEST_PREDICTIONS = {f"predict_test_{stage.removeprefix('predict_')}" for stage in PREDICTIONS}
TRAININGS = {"train_classifier", "train_maskrcnn", "train_yolo", "train_efficientdet"}
AFTER_TRAININGS = TRAININGS | AFTER_CLASSIFIER | AFTER_MASKRCNN | AFTER_YOLO | AFTER_EFFICIENTDET
AFTER_PRETRAIN = {"pretrain"} | AFTER_TRAININGS - {"train_yolo", "predict_yolo", "predict_test_yolo"}
AFTER_SPLIT = {"annotate", "pretrain"} | AFTER_TRAININGS
AFTER_PIXELS = {"window_resize", "window_resize_test"} | AFTER_TRAININGS
AFTER_CLEAN = {"explore", "window_resize", "split"} | AFTER_SPLIT
NOTHING: set[str] = set()
CLASSIFIER, MASKRCNN, YOLO, EFFICIENTDET = (
    {"export", *(f"{stage}_{model}" for stage in ("train", "predict", "predict_test"))}
    for model in ("classifier", "maskrcnn", "yolo", "efficientdet")
)

# The longest key that a leaf is or lies under decides.
TABLE = {
    "fetch": {"fetch", "clean"} | AFTER_CLEAN,
    # A new test set has other persons, who are left out of the weak labels; off, the backbone stays the same and nothing follows.
    "fetch_test": {"fetch_test", "window_resize_test", "submission"} | TEST_PREDICTIONS | AFTER_PRETRAIN,
    "clean": {"clean"} | AFTER_CLEAN,
    "explore": {"explore", "report"},
    "images": AFTER_PIXELS,
    "images.window": {"clean"} | AFTER_CLEAN | AFTER_PIXELS,  # what the window refuses is left out
    "images.workers": NOTHING,
    "images.executor": NOTHING,
    "images.scheduler": NOTHING,
    "split": {"split"} | AFTER_SPLIT,
    "images.shard_rows": {"fetch_pretrain"} | AFTER_PIXELS | AFTER_PRETRAIN,
    "pretrain": AFTER_PRETRAIN,
    **dict.fromkeys(
        (f"pretrain.{name}" for name in ("image_size", "labels", "path", "source")), {"fetch_pretrain"} | AFTER_PRETRAIN
    ),
    "classifier": {"train_classifier"} | AFTER_CLASSIFIER,
    "maskrcnn": {"train_maskrcnn"} | AFTER_MASKRCNN,
    "yolo": {"train_yolo"} | AFTER_YOLO,
    "efficientdet": {"train_efficientdet"} | AFTER_EFFICIENTDET,
    "predict": {"explain", "export"} | PREDICTIONS | TEST_PREDICTIONS | AFTER_ENSEMBLE,
    "ensemble": AFTER_ENSEMBLE,
    "calibrate": AFTER_CALIBRATE,
    "evaluate": AFTER_EVALUATE,
    "evaluate.bootstrap": {"explain"} | AFTER_EVALUATE,  # which has intervals too
    "evaluate.seed": {"explain"} | AFTER_EVALUATE,
    "report": {"report"},
    "submission": {"submission"},
    "tracking": NOTHING,
}

# What an edit of a module makes out of date by itself; what follows reruns only if an output changes.
MODULES = {
    "mrcnn/parts/losses.py": MASKRCNN,
    "yolov3/losses.py": YOLO,
    "efficientdet/bifpn.py": EFFICIENTDET,
    "pneumonia/models/classifier/network.py": CLASSIFIER,
    "pneumonia/models/maskrcnn/trained.py": MASKRCNN,
    "pneumonia/models/yolo/trained.py": YOLO,
    "pneumonia/models/classifier/training.py": {"train_classifier"},
    "pneumonia/models/maskrcnn/training.py": {"train_maskrcnn"},
    "pneumonia/models/yolo/training.py": {"train_yolo"},
    "pneumonia/models/efficientdet/training.py": {"train_efficientdet"},
    "pneumonia/models/backbones/resnet_small.py": {"pretrain"} | CLASSIFIER | MASKRCNN | EFFICIENTDET,
    "keraskit/boxes/nms.py": MASKRCNN | YOLO | EFFICIENTDET,
    "keraskit/training/fit.py": {"pretrain"} | TRAININGS,
    "pneumonia/prediction/inference.py": {"export"} | PREDICTIONS | TEST_PREDICTIONS,
    "pneumonia/prediction/fusion.py": {"ensemble", "submission"},
    "pneumonia/report/templates/report.css": {"report"},
    "pneumonia/training/tracking.py": NOTHING,
    "mrcnn/visualize.py": NOTHING,
    "mrcnn/README.md": NOTHING,
}


def leaves(values: dict[str, Any], prefix: str = "") -> Iterator[str]:
    for key, value in values.items():
        if isinstance(value, dict):
            yield from leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}"


def wanted(leaf: str) -> set[str]:
    parts = leaf.split(".")
    return next(TABLE[key] for n in range(len(parts), 0, -1) if (key := ".".join(parts[:n])) in TABLE)


def other(value: Any) -> Any:
    """Another value of the same kind."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, int | float):
        return value + 1
    if isinstance(value, list):
        return [*value, *(value[-1:] or ["x"])]
    return f"{value}x"


@pytest.fixture(autouse=True)
def _parsed_once(monkeypatch: pytest.MonkeyPatch):
    """DVC reads the same text of dvc.lock and params.yaml some twenty times a call, by a parser in Python."""
    from ruamel.yaml import YAML

    load, known = YAML.load, {}

    def cached(self: Any, stream: Any) -> Any:
        text = stream if isinstance(stream, str | bytes) else stream.read()
        key = (tuple(self.typ), text)
        if key not in known:
            known[key] = load(self, text)
        return copy.deepcopy(known[key])

    monkeypatch.setattr(YAML, "load", cached)


def would_run(project: Path, *, after: bool = True) -> set[str]:
    """What DVC says has changed, and (`after`) all that follows it."""
    from dvc.repo import Repo
    from networkx import ancestors

    with Repo(str(project)) as repo, repo.lock:
        graph = repo.index.graph  # edges from a stage to those it depends on
        changed = {stage for stage in graph if stage.status()}
        follows = {stage for one in changed for stage in ancestors(graph, one)} if after else set()
        return {stage.addressing.split(":")[-1] for stage in changed | follows}


def test_every_leaf_reruns_what_the_table_says_and_nothing_else(project: Path):
    file = project / "params.yaml"
    original = file.read_text()
    params = yaml.safe_load(original)
    different = {}
    assert would_run(project) == set()
    try:
        for leaf in leaves(params):
            changed = yaml.safe_load(original)
            *path, last = leaf.split(".")
            section = changed
            for name in path:
                section = section[name]
            section[last] = other(section[last])
            file.write_text(yaml.safe_dump(changed))
            found = would_run(project)
            if found != wanted(leaf):
                different[leaf] = {"more": found - wanted(leaf), "less": wanted(leaf) - found}
    finally:
        file.write_text(original)
    assert different == {}


def test_what_means_the_same_reruns_nothing(project: Path):
    """A comment, another way to write a number, another order."""
    file = project / "params.yaml"
    original = file.read_text()
    try:
        params = yaml.safe_load(original)
        turned = dict(reversed(params.items()))
        turned["ensemble"]["weights"] = dict.fromkeys(params["ensemble"]["weights"], 1)  # 1.0 before
        file.write_text("# another comment\n" + yaml.safe_dump(turned, sort_keys=False))
        assert would_run(project) == set()
    finally:
        file.write_text(original)


@pytest.mark.parametrize("name", MODULES)
def test_a_changed_module_reruns_the_stages_that_reach_it_and_nothing_else(project: Path, name: str):
    file = project / "src" / name
    kept = file.with_suffix(".kept")
    shutil.copy2(file, kept)
    try:
        with file.open("a") as stream:
            stream.write("\n")
        assert would_run(project, after=False) == MODULES[name]
    finally:
        kept.replace(file)

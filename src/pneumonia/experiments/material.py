"""What `pneumonia tune` searches on: out-of-fold predictions and the truth of the studies they are of, and nothing else.

Rows of other studies, the hold-out's above all, are left out of every file before it is parsed: whatever stands in them, it
cannot have a say.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pandas as pd
from ruamel.yaml import YAML

from pneumonia.data.split import persons
from pneumonia.data.subsets import subset
from pneumonia.evaluation import inputs
from pneumonia.experiments.crossval import PARAMS
from pneumonia.experiments.folds import Experiment, stale
from pneumonia.experiments.tuning import Material
from pneumonia.files import flat, read_json, write_csv
from pneumonia.schema.data import BOXES, SPLIT, STUDIES
from pneumonia.schema.models import CLASSIFIER, MODELS, answering, has_boxes, tables
from pneumonia.schema.predictions import PREDICTIONS

PARTS = 5  # that the validation studies of one run are divided in
# What the predictions of a fold come from. Who is held out may differ: the workspace's hold-out is left out of the search.
MADE_OF = ("fetch", "clean", "images.sizes", "images.window", "split", *MODELS, "predict")
MAY_DIFFER = ("split.fold", "split.holdout")
SAME = {f"{model}.{key}" for model in MODELS for key in ("device", "devices")}


def of_crossval(folder: Path, params: Mapping[str, Any], root: Path = Path()) -> Material:
    """The predictions that `pneumonia crossval` gathered in `folder`, less the hold-out of the project at `root`.

    Arguments:
        params: of params.yaml, as plain values.

    Raises:
        ValueError: they were not made with these params.
    """
    if not (folder / PARAMS).is_file():
        raise ValueError(
            f"{folder / PARAMS} not found; run `pneumonia crossval` again: tuning needs the params of its folds"
        )
    theirs, mine = read_json(folder / PARAMS), flat(params)
    for key in sorted({*theirs, *mine}):
        counts = key.startswith(MADE_OF) and not key.startswith(MAY_DIFFER) and key not in SAME
        if counts and theirs.get(key) != mine.get(key):
            raise ValueError(
                f"the predictions in {folder} were made with {key}={theirs.get(key)!r}, params.yaml says {mine.get(key)!r}; "
                "cross-validate again"
            )
    split = SPLIT.read_file(folder / SPLIT.name, ("study", "fold"))
    own = SPLIT.read(root, ("study", "subset"))
    split = split[~split["study"].isin(set(own["study"][own["subset"] == "holdout"]))]
    models = answering(theirs)
    sources = {
        path: folder / Path(path).relative_to(Path(PREDICTIONS).parent) for name in models for path in tables(name)
    }
    return _material(split, models, sources, root)


def of_run(params: Mapping[str, Any], root: Path = Path(), *, seed: int) -> Material:
    """The validation studies of the project at `root`, their persons dealt to `PARTS` parts that stand for folds.

    Arguments:
        params: of params.yaml, as plain values.
        seed: of the order in which persons are dealt.

    Raises:
        ValueError: the predictions were not made with these params.
    """
    lock = root / "dvc.lock"
    stages = YAML(typ="safe").load(lock.read_text(encoding="utf-8"))["stages"] if lock.is_file() else {}
    workspace = Experiment("workspace", "", flat(params), stages)
    fault = stale(workspace, [stage for stage in workspace.stages if stage != "ensemble"])
    if fault:
        raise ValueError(f"the predictions do not belong to params.yaml: {fault}; run `dvc repro ensemble` first")
    split = SPLIT.read(root, ("study", "subset"))
    split = split.loc[split["subset"] == "validation", ["study"]].assign(fold=0)
    models = workspace.models
    material = _material(split, models, {path: root / path for name in models for path in tables(name)}, root)
    person = material.labelled.studies["person"]
    positive = material.labelled.studies.groupby("person")["target"].sum()
    names = np.random.default_rng(seed).permutation(sorted(set(person)))
    order = sorted(names, key=lambda name: -positive[name])  # stable: by chance among equals
    part = {name: place % PARTS for place, name in enumerate(order)}
    fold = person.map(part).to_numpy(np.int64)
    return Material(material.labelled, fold, material.detections, material.class_scores)


def _material(split: pd.DataFrame, models: Sequence[str], sources: Mapping[str, Path], root: Path) -> Material:
    """The rows of these studies; `split` has study and fold, `sources` the file of each table of `models`, by its path."""
    wanted = set(split["study"])
    with TemporaryDirectory() as name:
        folder = Path(name)
        for path, source in {**sources, STUDIES.path: root / STUDIES.path, BOXES.path: root / BOXES.path}.items():
            _copy(source, folder / path, wanted)
        write_csv(folder / SPLIT.path, split.assign(subset="searched"))
        found = inputs.read(folder, models)
    labelled = subset(found.studies.assign(person=persons(found.studies)), found.boxes, found.split, "searched")
    fold = split.set_index("study")["fold"].loc[labelled.ids].to_numpy(np.int64)
    detections: dict[str, pd.DataFrame] = {}
    for model in filter(has_boxes, models):
        labelled.scores(found.predictions[model].scores)  # each study has one
        own = found.predictions[model].detections
        assert own is not None
        detections[model] = own
    labelled.scores(found.predictions[CLASSIFIER].scores)
    return Material(labelled, fold, detections, found.predictions[CLASSIFIER].scores)


def _copy(source: Path, target: Path, wanted: Collection[str]) -> None:
    """Copy a table's header and the rows whose first column is a wanted study.

    Raises:
        ValueError: the file is not there, or its first column is another.
    """
    if not source.is_file():
        raise ValueError(f"{source} not found; run `dvc repro ensemble`, or `pneumonia crossval`, first")
    target.parent.mkdir(parents=True, exist_ok=True)
    with source.open(encoding="utf-8") as lines, target.open("w", encoding="utf-8") as kept:
        header = next(lines, "")
        if header.partition(",")[0] != "study":
            raise ValueError(f"{source}: the first column must be study, got {header.partition(',')[0]!r}")
        kept.write(header)
        kept.writelines(line for line in lines if line.partition(",")[0] in wanted)

"""`pneumonia evaluate-on`: the internal thresholds on another set's predictions, by the same evaluation.

The evaluator is given the internal training and validation studies, by which thresholds and sizes of boxes are chosen, and
the new set in place of the hold-out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from pneumonia.archive import StudyArchive
from pneumonia.data.clean import clean
from pneumonia.data.images.squares import resize_study
from pneumonia.data.images.store import ShardStore
from pneumonia.data.subsets import subset
from pneumonia.destination import new_dir
from pneumonia.evaluation import inputs, outputs
from pneumonia.evaluation.calibrate import calibrated
from pneumonia.evaluation.evaluate import evaluate
from pneumonia.evaluation.inputs import Predictions
from pneumonia.external import overlap, page, shift
from pneumonia.external.predict import images, predict
from pneumonia.files import read_json, write_json
from pneumonia.prediction import calibration
from pneumonia.reading_room.ensemble import Ensemble
from pneumonia.schema import raw
from pneumonia.schema.data import BOXES, IMAGES, STUDIES
from pneumonia.schema.models import CALIBRATION, ENSEMBLE
from pneumonia.schema.results import EVALUATION, PAGE

SAME = 1e-6  # of two thresholds: scores have six decimals


def evaluate_on(
    source: Path,
    output: Path,
    load: Callable[[], Ensemble],
    names: Sequence[str],
    made_by: str,
    *,
    window: Mapping[str, Any],
    image_size: int,
    cleaning: Mapping[str, Any],
    rule: str,
    value: float,
    resamples: int,
    seed: int,
    unrelated_persons: bool,
    root: Path = Path(),
) -> dict[str, Any]:
    """Evaluate on the set in `source`, a folder of data/raw's form; writes the tables, `shift.json` and the page to `output`.

    Arguments:
        source: images.zip, labels.csv, classes.csv and persons.csv.
        output: absent or empty, see `pneumonia.destination`.
        load: makes what predicts, once the set is known to be a new one.
        names, made_by: the models in it, and what runs it in words.
        window, cleaning: the sections images.window and clean of params.yaml as plain values.
        image_size: one of data/images, in which pixels are compared.
        rule, value, resamples, seed: as of `pneumonia.evaluation.evaluate`.
        unrelated_persons: the two sets' names of persons have nothing to do with each other.
        root: of the project with the internal evaluation.

    Returns:
        What shift.json says.

    Raises:
        FileNotFoundError: `source` is no such folder.
        ValueError: a study was seen in training or validation, or the internal evaluation is of other thresholds.
    """
    missing = [file for file in (raw.IMAGES, raw.LABELS, raw.CLASSES) if not (source / file).is_file()]
    if missing:
        raise FileNotFoundError(
            f"{source} has no {', '.join(missing)}; wanted a folder of data/raw's form, as `pneumonia convert` writes it"
        )
    own, internal = inputs.read(root, [*names, ENSEMBLE]), read_json(root / EVALUATION)
    fitted = calibration.read(root / CALIBRATION)
    ours = calibrated(own.predictions, fitted)
    name = source.resolve().name
    with new_dir(output) as folder:
        (folder / "clean").mkdir()
        count = clean(source, folder / "clean", **cleaning, window=window)
        studies = STUDIES.read_file(folder / "clean" / STUDIES.name, inputs.STUDY_COLUMNS)
        boxes = BOXES.read_file(folder / "clean" / BOXES.name)
        if studies.empty:
            raise ValueError(f"{source}: no study is left after cleaning ({count['rejected']['total']} were rejected)")
        if unrelated_persons:
            studies["person"] = f"{name} " + studies["person"]
        known = own.studies[own.studies["study"].isin(own.split.loc[own.split["subset"] != "holdout", "study"])]
        archive, ids = StudyArchive(source / raw.IMAGES), studies["study"].tolist()
        theirs = (
            (study, resize_study(each.image, image_size, each.aspect))
            for chunk in images(archive, ids, window)
            for study, each in chunk.items()
        )
        overlap.refuse(overlap.seen(known, studies, ShardStore(root / IMAGES / str(image_size)), theirs))

        said = calibrated(predict(load(), images(archive, ids, window), folder / "predictions"), fitted)
        new_split = pd.DataFrame({"study": ids, "fold": -1, "subset": "holdout"})
        split = pd.concat([own.split[own.split["study"].isin(known["study"])], new_split])
        result = evaluate(
            pd.concat([known, studies], ignore_index=True),
            pd.concat([own.boxes[own.boxes["study"].isin(known["study"])], boxes], ignore_index=True),
            split,
            {model: _joined(ours[model], found) for model, found in said.items()},
            rule=rule,
            value=value,
            resamples=resamples,
            seed=seed,
        )
        _check_frozen(result.metrics, internal)
        old, new = subset(own.studies, own.boxes, own.split, "holdout"), subset(studies, boxes, new_split, "holdout")
        options = {"resamples": resamples, "seed": seed}
        found = {
            "prevalence": shift.named(shift.of_prevalence(new, old, **options)),
            "scores": {
                model: shift.named(shift.of_scores(new, old, each.scores, ours[model].scores, **options))
                for model, each in said.items()
            },
            "measures": {
                model: shift.named(shift.of_measures(result.metrics[model], internal[model])) for model in said
            },
            "rejected": count["rejected"],
        }
        outputs.write(folder, result)
        write_json(folder / "shift.json", found)
        written = read_json(folder / "shift.json")
        text = page.render(name, internal, read_json(folder / EVALUATION), written, made_by)
        (folder / PAGE).write_text(text, encoding="utf-8")
    return written


def _joined(one: Predictions, other: Predictions) -> Predictions:
    """The predictions of two sets of studies as those of one."""
    new = other.scores.index
    scores = pd.concat([one.scores.drop(new, errors="ignore"), other.scores])
    assert one.raw is not None  # both are calibrated
    assert other.raw is not None
    before = pd.concat([one.raw.drop(new, errors="ignore"), other.raw])
    if one.detections is None or other.detections is None:
        return Predictions(scores, raw=before)
    old = one.detections[~one.detections["study"].isin(new)]
    return Predictions(scores, pd.concat([old, other.detections], ignore_index=True), raw=before)


def _check_frozen(metrics: Mapping[str, Any], internal: Mapping[str, Any]) -> None:
    """Refuse thresholds other than those of the internal evaluation."""
    for model, own in internal.items():
        for name in ("threshold", "box_threshold"):
            if model in metrics and name in own and abs(own[name] - metrics[model][name]) > SAME:
                raise ValueError(
                    f"{EVALUATION} has {name} {own[name]} for {model}, the predictions give {metrics[model][name]}: they are of "
                    "different runs; run `dvc repro evaluate` first"
                )

"""Cross-validation: what each fold's models say of the studies they did not train on, as one evaluation.

Every study outside the hold-out is validated once, so its prediction comes from models that never trained on it or on
another study of its person. Thresholds are chosen without the fold they are used on: those of fold k from the
out-of-fold predictions of all other folds. Intervals are 95%, by resampling persons; they hold the trained models
fixed, so the spread over folds stands beside them.

One thing is not out of fold: the epoch that is kept is the best of its validation fold, which makes these figures a little too good.
They are for choosing between settings; the hold-out is for the final report.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pneumonia.data.subsets import Labelled, subset
from pneumonia.destination import new_dir
from pneumonia.evaluation.calibrate import calibrations
from pneumonia.evaluation.estimates import estimate
from pneumonia.evaluation.inputs import Predictions
from pneumonia.evaluation.measured import MeasuredModel
from pneumonia.evaluation.thresholds import choose
from pneumonia.files import write_csv, write_json
from pneumonia.metrics.calibration import calibration_error
from pneumonia.metrics.ratios import Array
from pneumonia.prediction.tables import write_predictions
from pneumonia.schema.data import SPLIT
from pneumonia.schema.predictions import SCORES

RATES = ("sensitivity", "specificity", "precision", "f1")
MEASURES = ("auc", *RATES, "challenge", "ap50")
STEADY = ("auc", "ap50", "challenge_mean")  # measures that no threshold has a say in
PARAMS = "params.json"  # of the folds, beside their predictions


@dataclass(frozen=True)
class Fold:
    """One run of the pipeline.

    Attributes:
        number: the fold that validates.
        name: what errors call it.
        split: study, fold, subset.
        predictions: model -> Predictions.
    """

    number: int
    name: str
    split: pd.DataFrame
    predictions: Mapping[str, Predictions]


def out_of_fold(folds: Sequence[Fold]) -> tuple[pd.DataFrame, dict[str, Predictions]]:
    """Put the folds together: `study, fold` of every study outside the hold-out, and each model's predictions of them.

    Raises:
        ValueError: a fold is missing or comes twice, the runs were split differently, a study is validated twice or
            never, or a model has no score for a study of its fold.
    """
    folds = sorted(folds, key=lambda fold: fold.number)
    assigned = _assigned(folds)
    models = {}
    for model in sorted(folds[0].predictions):
        scores, detections = [], []
        for fold in folds:
            ids = assigned.loc[assigned["fold"] == fold.number, "study"]
            own = fold.predictions[model]
            missing = sorted(set(ids) - set(own.scores.index))
            if missing:
                raise ValueError(
                    f"{fold.name}: {model} has no score for {len(missing)} of {len(ids)} validation studies, such as "
                    f"{missing[0]}; run it again to its end"
                )
            scores.append(own.scores.loc[ids])
            if own.detections is not None:
                detections.append(own.detections[own.detections["study"].isin(set(ids))])
        together = pd.concat(detections, ignore_index=True) if detections else None
        models[model] = Predictions(pd.concat(scores).sort_index(), together)
    return assigned, models


def evaluate(
    studies: pd.DataFrame,
    boxes: pd.DataFrame,
    assigned: pd.DataFrame,
    predictions: Mapping[str, Predictions],
    *,
    rule: str,
    value: float,
    resamples: int,
    seed: int,
    method: str = "none",
    score_floor: float = 0.0,
) -> dict[str, Any]:
    """The figures of all out-of-fold studies together and of each fold.

    Arguments:
        studies, boxes, rule, value, resamples, seed: as of `evaluation.evaluate.evaluate`.
        assigned, predictions: of `out_of_fold`.
        method, score_floor: as of `evaluation.calibrate.calibrations`; a fold's calibration is fitted on the other folds.

    Returns:
        model -> measure -> number, with `<measure>_low`, `<measure>_high` (95%), `<measure>_folds_mean` and
        `<measure>_folds_sd` (over folds, n - 1) beside it; `folds` -> number -> counts, and model -> measures and the
        thresholds used on that fold; `out_of_fold`: counts. Measures: `MEASURES` (ap50 and
        challenge of a detector only), `ece` of the calibrated score, `ece_raw` of the score as it is.
        A model's pooled AUC and AP compare scores of different folds' models, `_folds_mean` does not.
    """
    labelled = subset(studies, boxes, assigned.assign(subset="out_of_fold"), "out_of_fold")
    fold = assigned.set_index("study")["fold"].loc[labelled.ids].to_numpy(np.int64)
    numbers = sorted({int(number) for number in fold})
    members = {number: fold == number for number in numbers}
    models = _measured(labelled, fold, predictions, rule=rule, value=value)
    probabilities = {name: np.zeros(len(fold)) for name in models}
    for mine in members.values():
        fitted = calibrations(predictions, labelled.part(~mine), method=method, score_floor=score_floor)
        for name, model in models.items():
            probabilities[name][mine] = fitted[name].of(model.scores[mine])

    def measures(weights: Array) -> dict[tuple[str, str], Array]:
        values: dict[tuple[str, str], Array] = {}
        for name, model in models.items():
            values |= {(name, key): own for key, own in model.measures(weights, MEASURES).items()}
            for key, scores in {"ece": probabilities[name], "ece_raw": model.scores}.items():
                values[name, key] = calibration_error(scores, model.targets, weights)
        return values

    estimates = estimate(measures, labelled.studies["person"].tolist(), resamples=resamples, seed=seed)
    each = measures(np.stack(list(members.values())).astype(np.float64))
    result: dict[str, Any] = {"out_of_fold": labelled.counts(), "folds": {}}
    for (name, key), values in each.items():
        over = {f"{key}_folds_mean": float(np.mean(values)), f"{key}_folds_sd": float(np.std(values, ddof=1))}
        result.setdefault(name, {}).update(estimates[name, key].named(key) | over)
    for place, (number, mine) in enumerate(members.items()):
        part: dict[str, Any] = labelled.part(mine).counts()
        for name, model in models.items():
            used = model.thresholds[place]
            part[name] = {"threshold": used.study}
            if model.table is not None:
                part[name]["challenge_threshold"] = used.challenge
            part[name] |= {key: float(values[place]) for (of, key), values in each.items() if of == name}
        result["folds"][str(number)] = part
    return result


def differences(
    studies: pd.DataFrame,
    boxes: pd.DataFrame,
    first: tuple[pd.DataFrame, Mapping[str, Predictions]],
    second: tuple[pd.DataFrame, Mapping[str, Predictions]],
    *,
    rule: str,
    value: float,
    resamples: int,
    seed: int,
) -> pd.DataFrame:
    """How two cross-validations differ on the studies that both predicted, on the same resamples of persons.

    Arguments:
        studies, boxes, rule, value, resamples, seed: as of `evaluate`.
        first, second: what `out_of_fold` returned, of each.

    Returns:
        model, measure, first, second, difference (second minus first), low, high (its 95% interval).
    """
    both = first[0][first[0]["study"].isin(set(second[0]["study"]))]
    labelled = subset(studies, boxes, both.assign(subset="both"), "both")
    sides = []
    for assigned, predictions in (first, second):
        fold = assigned.set_index("study")["fold"].loc[labelled.ids].to_numpy(np.int64)
        sides.append(_measured(labelled, fold, predictions, rule=rule, value=value))

    def measures(weights: Array) -> dict[tuple[str, str, str], Array]:
        result: dict[tuple[str, str, str], Array] = {}
        for name in sorted({*sides[0]} & {*sides[1]}):
            one, two = (side[name].measures(weights, MEASURES) for side in sides)
            for key in MEASURES:
                if key in one and key in two:
                    result |= {(name, key, "first"): one[key], (name, key, "second"): two[key]}
                    result[name, key, "difference"] = two[key] - one[key]
        return result

    found = estimate(measures, labelled.studies["person"].tolist(), resamples=resamples, seed=seed)
    rows = [
        {
            "model": name,
            "measure": key,
            "first": found[name, key, "first"].value,
            "second": found[name, key, "second"].value,
            "difference": own.value,
            "low": own.low,
            "high": own.high,
        }
        for (name, key, side), own in found.items()
        if side == "difference"
    ]
    return pd.DataFrame(rows)


def spread(studies: pd.DataFrame, boxes: pd.DataFrame, runs: Mapping[int, Fold]) -> pd.DataFrame:
    """How the measures without a threshold differ between trainings of one fold from several seeds, on its validation studies.

    Arguments:
        studies, boxes: as of `evaluate`.
        runs: seed -> the fold.

    Returns:
        model, measure, a column `seed_<number>` each, mean, sd (n - 1).
    """
    rows: dict[tuple[str, str], dict[str, float]] = {}
    for seed, fold in runs.items():
        labelled = subset(studies, boxes, fold.split, "validation")
        for name, own in sorted(fold.predictions.items()):
            chosen = choose(own, labelled, rule="threshold", value=0.5)
            found = MeasuredModel(own, labelled, [chosen]).measures(np.ones((1, len(labelled.ids))), STEADY)
            for key in STEADY:
                if key in found:
                    rows.setdefault((name, key), {})[f"seed_{seed}"] = float(found[key][0])
    return pd.DataFrame(
        [
            {
                "model": name,
                "measure": key,
                **own,
                "mean": np.mean([*own.values()]),
                "sd": np.std([*own.values()], ddof=1),
            }
            for (name, key), own in rows.items()
        ]
    )


def _measured(
    labelled: Labelled, fold: NDArray[np.int64], predictions: Mapping[str, Predictions], *, rule: str, value: float
) -> dict[str, MeasuredModel]:
    """Each model on these studies, each fold with thresholds chosen on the others; `fold` is that of each study, `[N]`."""
    numbers = np.unique(fold)
    models = {}
    for name, own in sorted(predictions.items()):
        chosen = [choose(own, labelled.part(fold != number), rule=rule, value=value) for number in numbers]
        models[name] = MeasuredModel(own, labelled, chosen, np.searchsorted(numbers, fold))
    return models


def table(metrics: Mapping[str, Any]) -> pd.DataFrame:
    """`model, fold, studies, positives` and the measures, a row a fold and one for `all`, of what `evaluate` returned."""
    parts = {**metrics["folds"], "all": metrics["out_of_fold"] | metrics}
    rows = []
    for model in sorted(set(metrics) - {"folds", "out_of_fold"}):
        for fold, part in parts.items():
            values = {key: part[model].get(key, float("nan")) for key in ("auc", "ap50", "challenge", *RATES)}
            rows.append(
                {"model": model, "fold": fold, "studies": part["studies"], "positives": part["positives"], **values}
            )
    return pd.DataFrame(rows)


def write(
    output: str | Path,
    metrics: Mapping[str, Any],
    assigned: pd.DataFrame,
    predictions: Mapping[str, Predictions],
    params: Mapping[str, Any],
) -> pd.DataFrame:
    """Write evaluation.json, folds.csv, params.json, split.csv and predictions/ into the new folder `output`; returns `table`.

    Arguments:
        params: that the folds share, "section.key" -> value.
    """
    rows = table(metrics)
    with new_dir(output) as folder:
        write_json(folder / "evaluation.json", metrics)
        write_json(folder / PARAMS, params)
        write_csv(folder / "folds.csv", rows, dict.fromkeys(rows.columns[4:], 6))
        write_csv(folder / SPLIT.name, assigned)
        for model, own in predictions.items():
            if own.detections is None:
                SCORES.write(folder / "predictions" / model / SCORES.name, own.scores.reset_index())
            else:
                write_predictions(folder / "predictions" / model, own.detections, own.scores)
    return rows


def _assigned(folds: Sequence[Fold]) -> pd.DataFrame:
    """`study, fold`, sorted by study, after checking that the folds are those of one split."""
    first = folds[0]
    places = {fold.name: fold.split.set_index("study")["fold"].sort_index() for fold in folds}
    # With `split.train_share` a fold leaves out studies that others validate: what all know of a study must agree.
    together = pd.concat(places.values())
    together = together[~together.index.duplicated()].sort_index()
    wanted = sorted(set(together) - {-1})
    found = [fold.number for fold in folds]
    twice = sorted({number for number in found if found.count(number) > 1})
    if twice:
        names = [fold.name for fold in folds if fold.number == twice[0]]
        raise ValueError(f"fold {twice[0]} comes {len(names)} times: {', '.join(names)}; name one of them")
    missing = [number for number in wanted if number not in found]
    if missing:
        value = missing[0] if len(missing) == 1 else f"choice({','.join(map(str, missing))})"
        raise ValueError(
            f"fold {', '.join(map(str, missing))} of {len(wanted)} is missing; found {', '.join(map(str, found))}. Run "
            f"dvc exp run --queue -S 'split.fold={value}', then dvc queue start"
        )
    seen: dict[str, str] = {}
    for fold in folds:
        if not places[fold.name].equals(together.loc[places[fold.name].index]):
            raise ValueError(f"{first.name} and {fold.name} were split differently; cross-validate one split")
        validated = fold.split.loc[fold.split["subset"] == "validation", "study"]
        overlap = sorted(set(validated) & set(seen))
        if overlap:
            raise ValueError(
                f"{len(overlap)} studies are validated by both {seen[overlap[0]]} and {fold.name}, such as {overlap[0]}; "
                "folds must not overlap"
            )
        seen |= dict.fromkeys(validated, fold.name)
    rest = together[together >= 0]
    lost = sorted(set(rest.index) - set(seen))
    if lost:
        raise ValueError(f"{len(lost)} of {len(rest)} studies are validated by no fold, such as {lost[0]}")
    return rest.rename("fold").reset_index()

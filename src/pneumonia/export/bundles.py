"""From a trained model's folder to a bundle: its graph written, run beside the model itself, and described."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pneumonia.data.images.store import ShardStore
from pneumonia.export import formats, parity
from pneumonia.prediction.inference import load
from pneumonia.runtime import bundle, models
from pneumonia.runtime.bundle import Bundle
from pneumonia.schema.data import SPLIT
from pneumonia.schema.models import ENSEMBLE, has_boxes

STUDIES = 32  # that a bundle is compared on
Squares = Callable[[int], NDArray[np.uint8]]  # side -> images uint8 [N, side, side]


@dataclass(frozen=True)
class Terms:
    """What a bundle says beside what was measured.

    Attributes:
        operating_point: see `pneumonia.runtime.bundle.Bundle`.
        licence: see there.
        calibrations: of each model and of the ensemble, as `models/calibration.json` has them; empty where there are none.
    """

    operating_point: float | None
    licence: str
    calibrations: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


def held_back(images: Path, split: Path, count: int = STUDIES) -> Squares:
    """The images of the first `count` hold-out studies by id (with `split.holdout: 0` validation's), in the size that is asked for.

    Arguments:
        images: folder of the image sizes.
        split: the table of the subsets.

    Raises:
        ValueError: there is none: nothing to compare a model on.
    """
    if not split.is_file():
        raise ValueError(
            f"{split} not found; run `dvc repro split window_resize` first: an export is compared on its studies"
        )
    table = SPLIT.read_file(split, columns=("study", "subset"))
    by_subset = {name: sorted(own) for name, own in table.groupby("subset")["study"]}
    studies = (by_subset.get("holdout") or by_subset.get("validation") or [])[:count]
    if not studies:
        raise ValueError(
            f"{split} has no hold-out or validation study: an exported model could not be compared with the trained one"
        )
    return lambda size: ShardStore(images / str(size)).batch(studies)


def export(
    names: Sequence[str],
    trained: Path,
    out: Path,
    *,
    form: str,
    squares: Squares,
    predict: Mapping[str, Any],
    terms: Terms,
) -> dict[str, Bundle]:
    """Write a bundle of each model into the empty folder `out`.

    Arguments:
        names: of `pneumonia.schema.models.MODELS`.
        trained: folder of the trained models.
        form: one of `pneumonia.runtime.bundle.FORMATS`.
        squares: images on which each is compared with the trained model.
        predict: the section `predict` of params.yaml as plain values; a detector's floor, suppression and limit go into its graph.

    Raises:
        ValueError: a bundle does not say what its model says; `out` is then of no use.
    """
    formats.check(form)
    return {name: _one(name, trained / name, out / name, form, squares, predict, terms) for name in names}


def _one(
    name: str, trained: Path, out: Path, form: str, squares: Squares, predict: Mapping[str, Any], terms: Terms
) -> Bundle:
    out.mkdir()
    model = load(name, trained)
    used = ("score_floor", "nms_iou", "max_detections") if has_boxes(name) else ()
    options = {key: predict[key] for key in used}
    formats.write(model.graph(**options), form, out)
    described = Bundle(
        kind=name,
        format=form,
        image_size=model.image_size,
        predict=options,
        files=bundle.hashes(out),
        trained=bundle.hashes(trained),
        parity={},
        operating_point=terms.operating_point,
        licence=terms.licence,
        versions=formats.versions(form),
        calibration={key: own for key, own in terms.calibrations.items() if key in (name, ENSEMBLE)},
    )
    described.write(out)
    images = squares(model.image_size)
    found = parity.compare(name, model, models.load(out), images, options)
    proven = Bundle(**{**vars(described), "parity": {"studies": len(images), **_short(found)}})
    proven.write(out)
    return proven


def licence(source: str) -> str:
    """What can be said of weights by where their studies come from, `fetch.source` of params.yaml."""
    return "MIT" if source == "synthetic" else "not stated: that of the data it was trained on may bind it"


def _short(found: Mapping[str, float]) -> dict[str, str]:
    return {key: f"{value:.1e}" for key, value in found.items()}

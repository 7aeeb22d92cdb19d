"""Which runtime answers: the exported models where they stand for the trained ones, else Keras. Nothing is guessed silently."""

from __future__ import annotations

import importlib.util
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pneumonia.runtime import bundle
from pneumonia.runtime.bundle import PACKAGES
from pneumonia.schema.models import MODELS, has_boxes
from pneumonia.schema.training import DESCRIPTION, EXPORTED

LOG = logging.getLogger(__name__)
KERAS, ONNX, AUTO = "keras", "onnx", "auto"
RUNTIMES = (AUTO, ONNX, KERAS)
WORDS = {KERAS: "Keras", ONNX: "ONNX Runtime"}


@dataclass(frozen=True)
class Choice:
    """What runs the models.

    Attributes:
        runtime: `keras` or `onnx`.
        folder: of the models, a folder each: trained ones or bundles.
    """

    runtime: str
    folder: Path

    @property
    def words(self) -> str:
        return WORDS[self.runtime]


def choose(models: Path, wanted: str, predict: Mapping[str, Any], names: Sequence[str]) -> Choice:
    """The runtime for the models in a folder.

    Arguments:
        models: folder of the trained models, with their bundles in `exported` where there are any; or of bundles.
        wanted: one of `RUNTIMES`; `auto`: `onnx` where its bundles stand for the trained models, else `keras`, saying why.
        predict: the section `predict` of params.yaml as plain values.
        names: of the models that answer, of `pneumonia.schema.models.MODELS`.

    Raises:
        ValueError: the bundles are wanted, or all that there is, and cannot be used; says why.
    """
    if wanted not in RUNTIMES:
        raise ValueError(f"runtime must be one of {', '.join(RUNTIMES)}, got {wanted!r}")
    only = any(bundle.holds_bundle(models / name) for name in MODELS)
    folder = models if only else models / EXPORTED
    if wanted == KERAS:
        if only:
            raise ValueError(f"{models} holds exported models, which Keras does not run; leave out --runtime keras")
        return Choice(KERAS, models)
    reason = _unfit(folder, None if only else models, predict, names)
    if not reason:
        return Choice(ONNX, folder)
    if only or wanted == ONNX:
        raise ValueError(reason)
    if folder.is_dir():
        LOG.warning("the exported models are not used: %s", reason)
    return Choice(KERAS, models)


def _unfit(folder: Path, trained: Path | None, predict: Mapping[str, Any], names: Sequence[str]) -> str:
    """Why bundles do not stand for the trained models (None: there are none to compare with); empty where they do."""
    for name in names:
        try:
            described = bundle.read(folder / name)
        except ValueError as error:
            return str(error)
        if described.kind != name or described.format != ONNX:
            return f"{folder / name} is {described.kind} as {described.format}, wanted {name} as {ONNX}"
        held = {key: predict[key] for key in ("score_floor", "nms_iou", "max_detections") if has_boxes(name)}
        if dict(described.predict) != held:
            return (
                f"{folder / name} was exported with {dict(described.predict)}, params.yaml has {held}: export it again"
            )
        own = trained / name if trained else None
        if own is not None and (own / DESCRIPTION).is_file() and bundle.hashes(own) != dict(described.trained):
            return f"{folder / name} was exported from another model than {own}: export it again"
    if importlib.util.find_spec(PACKAGES[ONNX]) is None:
        return "onnxruntime is not installed: pip install -e '.[onnx]' in the project"
    return ""

"""What the commands share: paths of the command line, what runs the models, and all else that a reading depends on."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from pneumonia.params import Params
from pneumonia.runtime import bundle
from pneumonia.runtime.choice import AUTO, KERAS, RUNTIMES, Choice, choose
from pneumonia.schema.models import CALIBRATION, ENSEMBLE
from pneumonia.schema.results import SUBMISSION_METRICS
from pneumonia.schema.training import MODELS

if TYPE_CHECKING:
    from pneumonia.prediction.calibration import Calibration

Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"


def path(text: str) -> Path:
    """A path of the command line; an empty one, as an unset variable of a shell gives, would be the current folder.

    Raises:
        argparse.ArgumentTypeError: it is empty.
    """
    if not text:
        raise argparse.ArgumentTypeError("is empty; give a path, and . for the current folder")
    return Path(text)


def address(text: str) -> str:
    """An address of the command line.

    Raises:
        argparse.ArgumentTypeError: it is empty.
    """
    if not text:
        raise argparse.ArgumentTypeError("is empty; give an address, or leave it out to work on this machine")
    return text


def add_models(parser: argparse.ArgumentParser) -> None:
    """The option `--models`."""
    parser.add_argument(
        "--models", type=path, default=Path(MODELS), metavar="DIR", help="trained models (default: models)"
    )


def add_runtime(parser: argparse.ArgumentParser) -> None:
    """The option `--runtime`, of which `chosen_runtime` makes a choice."""
    parser.add_argument(
        "--runtime",
        choices=RUNTIMES,
        default=AUTO,
        help="what runs the models (default: onnx where `pneumonia export` wrote them, else keras)",
    )


def chosen_runtime(p: Params, arguments: argparse.Namespace) -> Choice:
    """What runs the models; says what is missing before anything is opened."""
    choice = choose(arguments.models, arguments.runtime, p.predict.values(), p.answering)
    if choice.runtime == KERAS:
        from keraskit.compute import devices
        from pneumonia.reading_room.trained import require

        devices.require_backend()
        require(choice.folder, p.answering)
    return choice


def reading(p: Params, threshold: float, models: Path) -> dict[str, Any]:
    """All that a reading depends on besides the models."""
    return {
        "names": p.answering,
        "window": p.images.window.values(),
        "predict": p.predict.values(),
        "ensemble": p.ensemble.values(),
        "threshold": threshold,
        "max_boxes": p.submission.max_boxes,
        "calibration": calibration_of(models),
    }


def calibration_of(models: Path) -> Calibration:
    """The ensemble's: what `calibrate` left beside the trained models, else what bundles in `models` name; else says there is none."""
    from pneumonia.prediction import calibration

    fitted = models / Path(CALIBRATION).name
    if fitted.is_file():
        return calibration.read(fitted)[ENSEMBLE]
    if named := bundle.calibration(models):
        return calibration.described(named)
    print(f"pneumonia: {fitted} not found: the scores of studies are no probabilities", file=sys.stderr)
    return calibration.NONE


def operating_point(wanted: float | None, option: str, models: Path | None = None) -> float:
    """The score from which a box counts: what is wanted, else what `submission` chose, else what bundles in `models` name."""
    from pneumonia.files import read_json

    if wanted is not None:
        return wanted
    chosen = Path(SUBMISSION_METRICS)
    if chosen.is_file():
        return float(read_json(chosen)["threshold"])
    if models is not None and (named := bundle.operating_point(models)) is not None:
        return named
    raise ValueError(f"{chosen} not found; run `dvc repro submission` first, or give {option}")

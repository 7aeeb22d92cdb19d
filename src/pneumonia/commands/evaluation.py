"""`pneumonia results` and `gaps`: what the predictions are worth, and for whom less."""

from __future__ import annotations

import argparse
from pathlib import Path

from pneumonia.commands import shared
from pneumonia.params import load
from pneumonia.schema.models import ENSEMBLE, EVALUATED
from pneumonia.schema.results import EVALUATION


def add(commands: shared.Commands) -> None:
    """Make the parsers of `results` and `gaps`."""
    results = commands.add_parser("results", help="metrics/evaluation.json as a table, with intervals")
    results.add_argument("--md", action="store_true", help="as Markdown")
    results.set_defaults(run=_results)

    gaps = commands.add_parser(
        "gaps", help="does the model do worse for some: by view, sex and age, corrected for many looks"
    )
    gaps.add_argument("--model", default=ENSEMBLE, choices=EVALUATED, help="default: ensemble")
    gaps.add_argument("--json", action="store_true", help="print JSON")
    gaps.set_defaults(run=_gaps)


def _results(arguments: argparse.Namespace) -> int:
    from pneumonia.evaluation.results import table
    from pneumonia.files import read_json

    path = Path(EVALUATION)
    if not path.is_file():
        raise ValueError(f"{path} not found; run `dvc repro evaluate` first")
    print(table(read_json(path), markdown=arguments.md))
    return 0


def _gaps(arguments: argparse.Namespace) -> int:
    from pneumonia.data.subsets import subset
    from pneumonia.evaluation import gaps
    from pneumonia.evaluation.inputs import read
    from pneumonia.evaluation.measured import MeasuredModel
    from pneumonia.evaluation.thresholds import choose as choose_threshold
    from pneumonia.evaluation.words import NAMES

    p = load().evaluate
    if not p.bootstrap:
        raise ValueError("evaluate.bootstrap is 0; a gap is judged by resamples: set it to 1000")
    own = read(".", [arguments.model])
    validation, holdout = (subset(own.studies, own.boxes, own.split, name) for name in ("validation", "holdout"))
    said = own.predictions[arguments.model]
    model = MeasuredModel(said, holdout, [choose_threshold(said, validation, **p.operating_point.values())])
    found = gaps.gaps(model, resamples=p.bootstrap, seed=p.seed)
    sentence = gaps.sentence(found, NAMES[arguments.model])
    if arguments.json:
        import json

        rows = found.astype(object).where(found.notna(), None).to_dict("records")
        print(json.dumps({"sentence": sentence, "gaps": rows}, indent=2, allow_nan=False))
    else:
        print(found.round(3).to_string(index=False, na_rep="-"))
        print(sentence)
    return 0

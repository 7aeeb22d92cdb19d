"""`pneumonia export` and `benchmark`: trained models for other runtimes, and what each costs."""

from __future__ import annotations

import argparse
from pathlib import Path

from pneumonia import destination
from pneumonia.commands import shared
from pneumonia.params import load
from pneumonia.runtime.bundle import FORMATS
from pneumonia.schema.data import IMAGES, SPLIT
from pneumonia.schema.models import CALIBRATION
from pneumonia.schema.models import MODELS as TRAINED
from pneumonia.schema.results import EVALUATION, SUBMISSION_METRICS
from pneumonia.schema.training import MODELS


def add(commands: shared.Commands) -> None:
    """Make the parsers of `export` and `benchmark`."""
    export = commands.add_parser("export", help="the trained models as graphs for other runtimes, proven equal")
    export.add_argument("names", nargs="*", metavar="MODEL", help=f"{', '.join(TRAINED)} (default: all that are on)")
    export.add_argument("--format", choices=FORMATS, default="onnx", help="default: onnx")
    export.add_argument(
        "--output",
        type=shared.path,
        required=True,
        metavar="DIR",
        help="where they go, a folder each; must not exist or be empty",
    )
    shared.add_models(export)
    export.add_argument(
        "--licence", help="of the weights, for those who get them (default: what the data's source allows)"
    )
    export.set_defaults(run=_export)

    benchmark = commands.add_parser("benchmark", help="what this machine does with each model in each format")
    benchmark.add_argument(
        "folders",
        nargs="+",
        type=shared.path,
        metavar="DIR",
        help="folders of trained or of exported models, such as models",
    )
    benchmark.add_argument(
        "--studies", type=int, default=64, metavar="N", help="images of the measured run (default: 64)"
    )
    benchmark.add_argument("--threads", type=int, default=0, metavar="N", help="of a model (default: one a core)")
    benchmark.add_argument("--json", action="store_true", help="print JSON")
    benchmark.set_defaults(run=_benchmark)


def _export(arguments: argparse.Namespace) -> int:
    from pneumonia.export import bundles, cards, formats
    from pneumonia.files import read_json
    from pneumonia.reading_room.trained import require

    p = load()
    names = arguments.names or list(p.answering)
    if unknown := sorted({*names} - {*TRAINED}):
        raise ValueError(f"MODEL must be of {', '.join(TRAINED)}, got {', '.join(unknown)}")
    destination.check(arguments.output)
    require(arguments.models, names)
    formats.prepare()
    squares = bundles.held_back(Path(IMAGES), Path(SPLIT.path))
    chosen, fitted = Path(SUBMISSION_METRICS), arguments.models / Path(CALIBRATION).name
    terms = bundles.Terms(
        operating_point=shared.operating_point(None, "") if chosen.is_file() else None,
        licence=arguments.licence or bundles.licence(p.fetch.source),
        calibrations=read_json(fitted) if fitted.is_file() else {},
    )
    with destination.new_dir(arguments.output) as folder:
        made = bundles.export(
            names,
            arguments.models,
            folder,
            form=arguments.format,
            squares=squares,
            predict=p.predict.values(),
            terms=terms,
        )
        own_run = arguments.models == Path(MODELS) and Path(EVALUATION).is_file()
        evaluation = read_json(EVALUATION) if own_run else None  # it says nothing of models from elsewhere
        for name, own in made.items():
            cards.write(folder / name, own, source=p.fetch.source, evaluation=evaluation)
    for name, own in made.items():
        said = ", ".join(f"{key} {value}" for key, value in own.parity.items())
        print(f"{name}: as trained on held-back {said}")
    print(f"{len(made)} models as {arguments.format} in {arguments.output}")
    return 0


def _benchmark(arguments: argparse.Namespace) -> int:
    import json

    from pneumonia.export import benchmark

    p = load().predict
    options = {"score_floor": p.score_floor, "nms_iou": p.nms_iou, "max_detections": p.max_detections}
    rows = benchmark.measure(arguments.folders, options, studies=arguments.studies, threads=arguments.threads)
    print(json.dumps(benchmark.as_dict(rows), indent=2) if arguments.json else benchmark.text(rows))
    return 0

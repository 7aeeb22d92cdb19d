"""`pneumonia convert` and `evaluate-on`: another project's labelled set, made ours and measured on."""

from __future__ import annotations

import argparse
from typing import get_args

from pneumonia import destination
from pneumonia.commands import shared
from pneumonia.params import Foreign, load
from pneumonia.schema.models import ENSEMBLE


def add(commands: shared.Commands) -> None:
    """Make the parsers of `convert` and `evaluate-on`."""
    convert = commands.add_parser("convert", help="another project's labelled set to a folder of data/raw's form")
    convert.add_argument("layout", choices=get_args(Foreign), help="see docs/data.md")
    convert.add_argument("source", type=shared.path, metavar="DIR", help="the set as it is published, unpacked")
    convert.add_argument(
        "--output", type=shared.path, required=True, metavar="DIR", help="where it goes; must not exist or be empty"
    )
    convert.add_argument("--opacity", action="append", default=[], metavar="CLASS", help="a class that is an opacity")
    convert.add_argument("--unmarked", choices=("normal", "not_normal"), default="refuse", help="images without box")
    convert.add_argument("--images", default="", metavar="DIR", help="folder of the images, from the set's")
    convert.add_argument("--annotations", default="", metavar="FILE", help="coco, yolo: the JSON or data.yaml")
    convert.add_argument("--sidecar", default="", metavar="FILE", help="CSV of what PNG and JPEG do not say")
    convert.add_argument("--radiologists", type=int, default=2, metavar="N", help="vindr: who must agree (default: 2)")
    convert.add_argument("--agreement", type=float, default=0.4, help="vindr: IoU of one place (default: 0.4)")
    convert.add_argument("--persons", type=shared.path, metavar="FILE", help="CSV of patientId and person")
    convert.set_defaults(run=_convert)

    external = commands.add_parser("evaluate-on", help="frozen models and thresholds on another labelled set")
    external.add_argument(
        "source", type=shared.path, metavar="DIR", help="of data/raw's form, as `pneumonia convert` writes it"
    )
    external.add_argument("--output", type=shared.path, required=True, metavar="DIR", help="must not exist or be empty")
    shared.add_models(external)
    shared.add_runtime(external)
    external.add_argument(
        "--unrelated-persons",
        action="store_true",
        help="the two sets' names of persons have nothing to do with each other",
    )
    external.set_defaults(run=_evaluate_on)


def _convert(arguments: argparse.Namespace) -> int:
    from pneumonia.sources.foreign.fetch import fetch_labelled
    from pneumonia.sources.foreign.marked import Options

    if arguments.radiologists < 1 or not 0 < arguments.agreement <= 1:
        raise ValueError("--radiologists must be at least 1, and --agreement above 0 and at most 1")
    destination.check(arguments.output)
    names = ("images", "annotations", "sidecar", "opacity", "unmarked", "radiologists", "agreement")
    options = Options(**{name: getattr(arguments, name) for name in names})
    with destination.new_dir(arguments.output) as folder:
        fetch_labelled(arguments.layout, arguments.source, folder, options, persons=arguments.persons)
    print(f"{arguments.source} in the form of data/raw in {arguments.output}")
    return 0


def _evaluate_on(arguments: argparse.Namespace) -> int:
    p = load()
    destination.check(arguments.output)
    choice = shared.chosen_runtime(p, arguments)
    from pneumonia.external.validate import evaluate_on
    from pneumonia.reading_room.ensemble import Ensemble

    shift = evaluate_on(
        arguments.source,
        arguments.output,
        lambda: Ensemble(
            choice.folder, p.answering, predict=p.predict.values(), ensemble=p.ensemble.values(), runtime=choice.runtime
        ),
        p.answering,
        choice.words,
        window=p.images.window.values(),
        image_size=p.images.sizes[0],
        cleaning=p.clean.values(),
        **p.evaluate.operating_point.values(),
        resamples=p.evaluate.bootstrap,
        seed=p.evaluate.seed,
        unrelated_persons=arguments.unrelated_persons,
    )
    auc, share = shift["measures"][ENSEMBLE], shift["prevalence"]
    print(
        f"ensemble AUC {auc['auc']:+.3f} ({auc['auc_low']:+.3f} to {auc['auc_high']:+.3f}) against the internal hold-out, "
        f"prevalence {share['external']:.3f} against {share['internal']:.3f}; {shift['rejected']['total']} studies rejected; "
        f"in {arguments.output}"
    )
    return 0

"""`pneumonia predict` and `render`: studies without labels."""

from __future__ import annotations

import argparse

from pneumonia import destination
from pneumonia.commands import shared
from pneumonia.params import load


def add(commands: shared.Commands) -> None:
    """Make the parsers of `predict` and `render`."""
    predict = commands.add_parser("predict", help="run the trained models on new studies, no labels needed")
    predict.add_argument("input", type=shared.path, help="a DICOM, a folder of them, or a zip of them")
    predict.add_argument(
        "--output",
        type=shared.path,
        required=True,
        metavar="DIR",
        help="where the results go; must not exist or be empty",
    )
    shared.add_models(predict)
    predict.add_argument(
        "--threshold", type=float, help="score from which a box counts (default: the one submission chose)"
    )
    predict.add_argument("--limit", type=int, metavar="N", help="only the first N studies, by id")
    predict.add_argument("--no-overlays", dest="overlays", action="store_false", help="write no pictures")
    predict.add_argument(
        "--dicom", action="store_true", help="write a structured report and a presentation state a study (extra: dicom)"
    )
    predict.add_argument(
        "--capture", action="store_true", help="the same, and a secondary capture with the boxes burnt in"
    )
    predict.add_argument(
        "--any-image",
        action="store_true",
        help="also images whose header says that they are no chest from front or back (not with --dicom or --capture)",
    )
    shared.add_runtime(predict)
    predict.add_argument(
        "--scheduler",
        type=shared.address,
        metavar="ADDRESS",
        help="read on the Dask cluster at this address, such as tcp://node1:8786 (extra: dask); implies --resume",
    )
    predict.add_argument(
        "--resume",
        action="store_true",
        help="for hours of work: keep what is finished of a run that ends early, and go on with it",
    )
    predict.set_defaults(run=_predict)

    render = commands.add_parser("render", help="the images as the models see them, as PNG, and how they were made")
    render.add_argument("input", type=shared.path, help="a DICOM, a folder of them, or a zip of them")
    render.add_argument(
        "--output", type=shared.path, required=True, metavar="DIR", help="where they go; must not exist or be empty"
    )
    render.add_argument("--workers", type=int, default=0, metavar="N", help="processes (default: one a core)")
    render.set_defaults(run=_render)


def _predict(arguments: argparse.Namespace) -> int:
    from pneumonia.reading_room import admission
    from pneumonia.reading_room.long_run import predict_in_parts
    from pneumonia.reading_room.predict import predict_new
    from pneumonia.reading_room.reader import Recipe

    dicom = arguments.dicom or arguments.capture
    if dicom and arguments.any_image:
        raise ValueError("--any-image goes with tables and pictures alone: a DICOM object states that it is of a chest")
    wanted = admission.check_said if dicom else admission.check_not_another
    p = load()
    threshold = shared.operating_point(arguments.threshold, "--threshold", arguments.models)
    destination.check(arguments.output)
    choice = shared.chosen_runtime(p, arguments)
    recipe = Recipe(
        models=choice.folder.absolute(),
        runtime=choice.runtime,
        **shared.reading(p, threshold, arguments.models),
        capture=arguments.capture,
        wanted=None if arguments.any_image else wanted,
    )
    options = {
        "batch_size": p.predict.batch_size,
        "limit": arguments.limit,
        "overlays": arguments.overlays,
        "dicom": dicom,
    }
    if arguments.scheduler or arguments.resume:
        summary = predict_in_parts(
            arguments.input, arguments.output, recipe, **options, scheduler=arguments.scheduler or ""
        )
    else:
        summary = predict_new(arguments.input, arguments.output, recipe.load, **options)
    print(
        f"{summary['studies']} studies read, {summary['with_findings']} with findings at score {threshold:.3f}, "
        f"{summary['failed']} failed, {summary['skipped']} skipped, of {summary['files']} files; "
        f"models run by {choice.words}; results in {arguments.output}"
    )
    return 1 if summary["failed"] else 0


def _render(arguments: argparse.Namespace) -> int:
    from pneumonia.reading_room.render import render

    window = load().images.window.values()
    destination.check(arguments.output)
    summary = render(arguments.input, arguments.output, window=window, workers=arguments.workers)
    print(
        f"{summary['ok']} images rendered, {summary['rejected']} rejected, {summary['skipped']} skipped, "
        f"of {summary['files']} files; results in {arguments.output}"
    )
    return 1 if summary["rejected"] else 0

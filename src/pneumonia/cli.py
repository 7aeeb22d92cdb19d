"""`pneumonia`: the commands beside `dvc`. Heavy packages are imported by the command that needs them."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from pneumonia import destination, extras
from pneumonia.params import Foreign, Params, ParamsError, load
from pneumonia.runtime import bundle
from pneumonia.runtime.bundle import FORMATS
from pneumonia.runtime.choice import AUTO, KERAS, RUNTIMES, Choice, choose
from pneumonia.schema import raw
from pneumonia.schema.data import IMAGES, SPLIT
from pneumonia.schema.models import CALIBRATION, ENSEMBLE, EVALUATED
from pneumonia.schema.models import MODELS as TRAINED
from pneumonia.schema.results import EVALUATION, OBJECTIVES, SUBMISSION_METRICS
from pneumonia.schema.training import MODELS

if TYPE_CHECKING:
    from pneumonia.prediction.calibration import Calibration
    from pneumonia.reading_room.node.queue import Queue
    from pneumonia.reading_room.node.records import Row
    from pneumonia.reading_room.node.settings import Settings
    from pneumonia.reading_room.reader import Reader

ANNOTATION_TOOLS = ("label_studio", "cvat", "coco")


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit status: 0 done, 1 done but something to see to, 2 wrong use or input, 130
    interrupted, 141 where whoever read the output left."""
    parser = _parser()
    arguments = parser.parse_args(argv)
    try:
        status: int = arguments.run(arguments)
        sys.stdout.flush()  # while a reader that left can still be met
    except BrokenPipeError:  # `pneumonia results | head`: nobody reads on
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141  # what a shell says of a command that a closed pipe ended
    except (ParamsError, ValueError, OSError) as error:
        print(f"pneumonia: {error}", file=sys.stderr)
        return 2
    except MemoryError:
        print("pneumonia: out of memory; nothing was written", file=sys.stderr)
        return 2
    except ModuleNotFoundError as error:
        sentence = extras.explain(error)
        if sentence is None:
            raise
        print(f"pneumonia: {sentence}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("pneumonia: interrupted", file=sys.stderr)
        return 130
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="pneumonia", description=__doc__.split("\n")[0])
    parser.add_argument("--version", action="version", version=f"pneumonia {_version()}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)

    predict = commands.add_parser("predict", help="run the trained models on new studies, no labels needed")
    predict.add_argument("input", type=_path, help="a DICOM, a folder of them, or a zip of them")
    predict.add_argument(
        "--output", type=_path, required=True, metavar="DIR", help="where the results go; must not exist or be empty"
    )
    predict.add_argument(
        "--models", type=_path, default=Path(MODELS), metavar="DIR", help="trained models (default: models)"
    )
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
    predict.add_argument(
        "--runtime",
        choices=RUNTIMES,
        default=AUTO,
        help="what runs the models (default: onnx where `pneumonia export` wrote them, else keras)",
    )
    predict.add_argument(
        "--scheduler",
        type=_address,
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
    render.add_argument("input", type=_path, help="a DICOM, a folder of them, or a zip of them")
    render.add_argument(
        "--output", type=_path, required=True, metavar="DIR", help="where they go; must not exist or be empty"
    )
    render.add_argument("--workers", type=int, default=0, metavar="N", help="processes (default: one a core)")
    render.set_defaults(run=_render)

    serve = commands.add_parser(
        "serve", help="a DICOM node: takes images from a PACS, sends results back (extra: dicom)"
    )
    serve.add_argument("settings", type=_path, metavar="FILE", help="YAML; docs/serve.yaml is one to start from")
    serve.add_argument(
        "--models", type=_path, default=Path(MODELS), metavar="DIR", help="trained models (default: models)"
    )
    serve.add_argument(
        "--check", action="store_true", help="read the settings, say what is wrong and which peers answer, and end"
    )
    serve.add_argument("--offline", action="store_true", help="with --check: ask no peer")
    serve.add_argument(
        "--conformance", action="store_true", help="print the DICOM Conformance Statement of these settings, and end"
    )
    serve.add_argument(
        "--runtime",
        choices=RUNTIMES,
        default=AUTO,
        help="what runs the models (default: onnx where `pneumonia export` wrote them, else keras)",
    )
    serve.set_defaults(run=_serve)

    node = commands.add_parser("node", help="a node's books, while it runs or not: list, reread, resend, forget")
    asked = node.add_subparsers(title="commands", metavar="COMMAND", required=True)
    listed = asked.add_parser("list", help="the images it knows, newest first")
    listed.add_argument("--state", help="only those waiting, answering, answered, refused, failed or undelivered")
    listed.add_argument("--limit", type=int, default=100, metavar="N", help="at most so many (default: 100)")
    listed.add_argument("--json", action="store_true", help="print JSON")
    listed.set_defaults(run=_node_list)
    reread = asked.add_parser("reread", help="have images read again, where their files were kept")
    reread.add_argument(
        "--all-failed", dest="state", action="store_const", const="failed", help="all that the node gave up"
    )
    resend = asked.add_parser("resend", help="have results sent again, or now where they wait")
    resend.add_argument(
        "--all-undelivered",
        dest="state",
        action="store_const",
        const="undelivered",
        help="all that a peer did not take",
    )
    resend.add_argument("--to", action="append", default=[], metavar="TITLE", help="to this peer alone")
    forget = asked.add_parser("forget", help="strike images from the books")
    forget.add_argument("--force", action="store_true", help="even those that are not answered yet")
    for name, each in {"reread": reread, "resend": resend, "forget": forget}.items():
        each.add_argument(
            "images", nargs="*", metavar="IMAGE", help="a ticket, the start of one, or a SOP Instance UID"
        )
        each.set_defaults(**{"run": _node_change, "work": name, "state": None, "to": [], "force": False})
    for each in (listed, reread, resend, forget):
        each.add_argument(
            "--settings",
            type=_path,
            default=Path("serve.yaml"),
            metavar="FILE",
            help="of the node (default: serve.yaml)",
        )

    export = commands.add_parser("export", help="the trained models as graphs for other runtimes, proven equal")
    export.add_argument("names", nargs="*", metavar="MODEL", help=f"{', '.join(TRAINED)} (default: all that are on)")
    export.add_argument("--format", choices=FORMATS, default="onnx", help="default: onnx")
    export.add_argument(
        "--output",
        type=_path,
        required=True,
        metavar="DIR",
        help="where they go, a folder each; must not exist or be empty",
    )
    export.add_argument(
        "--models", type=_path, default=Path(MODELS), metavar="DIR", help="trained models (default: models)"
    )
    export.add_argument(
        "--licence", help="of the weights, for those who get them (default: what the data's source allows)"
    )
    export.set_defaults(run=_export)

    benchmark = commands.add_parser("benchmark", help="what this machine does with each model in each format")
    benchmark.add_argument(
        "folders", nargs="+", type=_path, metavar="DIR", help="folders of trained or of exported models, such as models"
    )
    benchmark.add_argument(
        "--studies", type=int, default=64, metavar="N", help="images of the measured run (default: 64)"
    )
    benchmark.add_argument("--threads", type=int, default=0, metavar="N", help="of a model (default: one a core)")
    benchmark.add_argument("--json", action="store_true", help="print JSON")
    benchmark.set_defaults(run=_benchmark)

    convert = commands.add_parser("convert", help="another project's labelled set to a folder of data/raw's form")
    convert.add_argument("layout", choices=get_args(Foreign), help="see docs/data.md")
    convert.add_argument("source", type=_path, metavar="DIR", help="the set as it is published, unpacked")
    convert.add_argument(
        "--output", type=_path, required=True, metavar="DIR", help="where it goes; must not exist or be empty"
    )
    convert.add_argument("--opacity", action="append", default=[], metavar="CLASS", help="a class that is an opacity")
    convert.add_argument("--unmarked", choices=("normal", "not_normal"), default="refuse", help="images without box")
    convert.add_argument("--images", default="", metavar="DIR", help="folder of the images, from the set's")
    convert.add_argument("--annotations", default="", metavar="FILE", help="coco, yolo: the JSON or data.yaml")
    convert.add_argument("--sidecar", default="", metavar="FILE", help="CSV of what PNG and JPEG do not say")
    convert.add_argument("--radiologists", type=int, default=2, metavar="N", help="vindr: who must agree (default: 2)")
    convert.add_argument("--agreement", type=float, default=0.4, help="vindr: IoU of one place (default: 0.4)")
    convert.add_argument("--persons", type=_path, metavar="FILE", help="CSV of patientId and person")
    convert.set_defaults(run=_convert)

    external = commands.add_parser("evaluate-on", help="frozen models and thresholds on another labelled set")
    external.add_argument(
        "source", type=_path, metavar="DIR", help="of data/raw's form, as `pneumonia convert` writes it"
    )
    external.add_argument("--output", type=_path, required=True, metavar="DIR", help="must not exist or be empty")
    external.add_argument(
        "--models", type=_path, default=Path(MODELS), metavar="DIR", help="trained models (default: models)"
    )
    external.add_argument("--runtime", choices=RUNTIMES, default=AUTO, help="what runs the models")
    external.add_argument(
        "--unrelated-persons",
        action="store_true",
        help="the two sets' names of persons have nothing to do with each other",
    )
    external.set_defaults(run=_evaluate_on)

    send = commands.add_parser("send", help="labels and findings to an annotation tool, with pictures")
    send.add_argument("tool", choices=ANNOTATION_TOOLS, help="whose form")
    send.add_argument("--output", type=_path, required=True, metavar="DIR", help="must not exist or be empty")
    send.add_argument(
        "--studies",
        type=_path,
        metavar="FILE",
        help="a CSV with a column study, as of `pneumonia worst` (default: the held-back)",
    )
    send.add_argument("--images", default="", metavar="PREFIX", help="what a picture's address starts with in the tool")
    send.add_argument("--no-findings", dest="findings", action="store_false", help="the labels alone")
    send.set_defaults(run=_send)

    take = commands.add_parser("take", help="corrected boxes back from an annotation tool, as new label tables")
    take.add_argument("tool", choices=ANNOTATION_TOOLS, help="whose form")
    take.add_argument("file", type=_path, metavar="FILE", help="the tool's export")
    take.add_argument("--output", type=_path, required=True, metavar="DIR", help="must not exist or be empty")
    take.add_argument(
        "--cleared", choices=("normal", "not_normal"), default="", help="what a study is that has lost its last box"
    )
    take.set_defaults(run=_take)

    worst = commands.add_parser("worst", help="where labels and models disagree most, with pictures")
    worst.add_argument("--output", type=_path, required=True, metavar="DIR", help="must not exist or be empty")
    worst.add_argument("--limit", type=int, default=50, metavar="N", help="studies (default: 50)")
    worst.add_argument(
        "--crossval",
        type=_path,
        metavar="DIR",
        help="out-of-fold predictions of `pneumonia crossval` (default: the held-back)",
    )
    worst.set_defaults(run=_worst)

    results = commands.add_parser("results", help="metrics/evaluation.json as a table, with intervals")
    results.add_argument("--md", action="store_true", help="as Markdown")
    results.set_defaults(run=_results)

    gaps = commands.add_parser(
        "gaps", help="does the model do worse for some: by view, sex and age, corrected for many looks"
    )
    gaps.add_argument("--model", default=ENSEMBLE, choices=EVALUATED, help="default: ensemble")
    gaps.add_argument("--json", action="store_true", help="print JSON")
    gaps.set_defaults(run=_gaps)

    compare = commands.add_parser("compare", help="how a model of two revisions differs on the same holdout studies")
    compare.add_argument("first", metavar="REV_A", help="commit, branch, tag or experiment; or `workspace`")
    compare.add_argument("second", metavar="REV_B", help="the same; measures are given as second minus first")
    compare.add_argument("--model", default=ENSEMBLE, choices=EVALUATED, help="whose predictions (default: ensemble)")
    compare.add_argument(
        "--with", dest="other", choices=EVALUATED, help="another model of REV_B (default: the same one)"
    )
    compare.add_argument("--json", action="store_true", help="print JSON")
    compare.set_defaults(run=_compare)

    crossval = commands.add_parser("crossval", help="gather the folds' DVC experiments into one out-of-fold evaluation")
    crossval.add_argument(
        "experiments",
        nargs="*",
        metavar="EXPERIMENT",
        help="one a fold, by name or commit (default: the newest of this commit that differ in split.fold alone)",
    )
    crossval.add_argument(
        "--output",
        type=_path,
        default=Path("crossval"),
        metavar="DIR",
        help="where the figures and predictions go; must not exist or be empty (default: crossval)",
    )
    crossval.add_argument(
        "--run", dest="running", action="store_true", help="run the folds that are not there yet, then gather them"
    )
    crossval.add_argument(
        "--set",
        dest="changes",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="with --run: a param otherwise than in params.yaml, such as split.holdout=0; may be given more than once",
    )
    crossval.add_argument(
        "--against",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="with --run: the folds once more with this change, and the differences; may be given more than once",
    )
    crossval.add_argument(
        "--seeds",
        nargs="+",
        type=int,
        metavar="N",
        help="with --run: no folds, but the fold of params.yaml trained from each of these seeds, and how they differ",
    )
    crossval.set_defaults(run=_crossval)

    tune = commands.add_parser("tune", help="search the ensemble's params on out-of-fold predictions; writes a profile")
    tune.add_argument(
        "predictions",
        nargs="?",
        type=_path,
        metavar="DIR",
        help="what `pneumonia crossval` wrote (default: crossval, or this run's validation studies where it is not there)",
    )
    tune.add_argument(
        "--objective",
        nargs="+",
        choices=OBJECTIVES,
        default=["ap50", "challenge"],
        help="what is maximized, the mean of several (default: ap50 challenge)",
    )
    tune.add_argument("--name", default="tuned", help="of the profile (default: tuned)")
    tune.set_defaults(run=_tune)

    profile = commands.add_parser("profile", help="write a profile's values over params.yaml, comments kept")
    profile.add_argument("name", nargs="?", help="a file of profiles/ without .yaml; none lists them")
    profile.add_argument(
        "--check", action="store_true", help="change nothing; say whether it is applied (exit status 1 if not)"
    )
    profile.set_defaults(run=_profile)

    params = commands.add_parser("params", help="check params.yaml")
    params.set_defaults(run=_params)

    verify = commands.add_parser("verify", help="read DVC's cache: is each file what its name says?")
    verify.add_argument("--remove", action="store_true", help="delete what is damaged, so that DVC makes it again")
    verify.set_defaults(run=_verify)

    deps = commands.add_parser("deps", help="compare the code deps in dvc.yaml with what the stage scripts import")
    deps.add_argument("--write", action="store_true", help="correct dvc.yaml")
    deps.set_defaults(run=_deps)
    return parser


def _version() -> str:
    """The version of the installed package, which pyproject.toml alone names."""
    from importlib import metadata

    try:
        return metadata.version("pneumonia")
    except metadata.PackageNotFoundError:
        return "not installed"


def _path(text: str) -> Path:
    """A path of the command line; an empty one, as an unset variable of a shell gives, would be the current folder.

    Raises:
        argparse.ArgumentTypeError: it is empty.
    """
    if not text:
        raise argparse.ArgumentTypeError("is empty; give a path, and . for the current folder")
    return Path(text)


def _address(text: str) -> str:
    """An address of the command line.

    Raises:
        argparse.ArgumentTypeError: it is empty.
    """
    if not text:
        raise argparse.ArgumentTypeError("is empty; give an address, or leave it out to work on this machine")
    return text


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
    threshold = _operating_point(arguments.threshold, "--threshold", arguments.models)
    destination.check(arguments.output)
    choice = _choose(p, arguments)
    recipe = Recipe(
        models=choice.folder.absolute(),
        runtime=choice.runtime,
        **_reading(p, threshold, arguments.models),
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


def _choose(p: Params, arguments: argparse.Namespace) -> Choice:
    """What runs the models; says what is missing before anything is opened."""
    choice = choose(arguments.models, arguments.runtime, p.predict.values(), p.answering)
    if choice.runtime == KERAS:
        from keraskit.compute import devices
        from pneumonia.reading_room.trained import require

        devices.require_backend()
        require(choice.folder, p.answering)
    return choice


def _reader(p: Params, choice: Choice, threshold: float, models: Path) -> Callable[..., Reader]:
    """What makes the reader of new studies, as the params have it; takes the options `capture` and `admit`."""

    def load_reader(**options: Any) -> Reader:
        from pneumonia.reading_room.reader import Reader  # what it imports takes longer than a node may take to listen

        return Reader.load(choice.folder, runtime=choice.runtime, **_reading(p, threshold, models), **options)

    return load_reader


def _reading(p: Params, threshold: float, models: Path) -> dict[str, Any]:
    """All that a reading depends on besides the models."""
    return {
        "names": p.answering,
        "window": p.images.window.values(),
        "predict": p.predict.values(),
        "ensemble": p.ensemble.values(),
        "threshold": threshold,
        "max_boxes": p.submission.max_boxes,
        "calibration": _calibration(models),
    }


def _calibration(models: Path) -> Calibration:
    """The ensemble's: what `calibrate` left beside the trained models, else what bundles in `models` name; else says there is none."""
    from pneumonia.prediction import calibration

    fitted = models / Path(CALIBRATION).name
    if fitted.is_file():
        return calibration.read(fitted)[ENSEMBLE]
    if named := bundle.calibration(models):
        return calibration.described(named)
    print(f"pneumonia: {fitted} not found: the scores of studies are no probabilities", file=sys.stderr)
    return calibration.NONE


def _operating_point(wanted: float | None, option: str, models: Path | None = None) -> float:
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


def _serve(arguments: argparse.Namespace) -> int:
    from pneumonia.reading_room.node import settings

    s = settings.read(arguments.settings)
    if arguments.conformance:
        extras.require("highdicom", "pynetdicom", "prometheus_client", what="the node")
        from pneumonia.reading_room.node.conformance import statement

        print(statement(s), end="")
        return 0
    if not arguments.check:
        extras.require("highdicom", "pynetdicom", "prometheus_client", what="the node")
    p = load()
    threshold = _operating_point(s.threshold, "threshold in " + str(arguments.settings), arguments.models)
    choice = _choose(p, arguments)
    if arguments.check:
        print(f"{arguments.settings} is fine; operating point {threshold:.3f}")
        return 0 if arguments.offline else _echo(s)
    from pneumonia.reading_room import trained
    from pneumonia.reading_room.node import serve

    key = partial(trained.key, choice.folder, runtime=choice.words, **_reading(p, threshold, arguments.models))
    return serve.run(lambda: serve.Node(s, _reader(p, choice, threshold, arguments.models), key))


def _echo(s: Settings) -> int:
    """Say of each peer with an address whether it answers; 1 where one does not."""
    extras.require("pynetdicom", what="asking the peers (not done with --offline)")
    from pneumonia.reading_room.node import echo

    outcomes = echo.peers(s)
    for title, fault in outcomes.items():
        peer = s.peers[title]
        print(f"{title} at {peer.url or f'{peer.host}:{peer.port}'} {fault or 'answers'}")
    return 1 if any(outcomes.values()) else 0


def _node_list(arguments: argparse.Namespace) -> int:
    from pneumonia.reading_room.node import desk, settings

    with closing(desk.opened(settings.read(arguments.settings))) as queue:
        rows = queue.books.rows(arguments.state, limit=arguments.limit)
    print(desk.as_json(rows) if arguments.json else desk.table(rows))
    return 0


def _node_change(arguments: argparse.Namespace) -> int:
    """Do what `arguments.work` names to the images that are named, and to all of `arguments.state`."""
    from pneumonia.reading_room.node import desk, settings

    if not arguments.images and not arguments.state:
        raise ValueError("name an image; `pneumonia node list` shows them")
    s = settings.read(arguments.settings)
    works: dict[str, Callable[[Queue, Row], str]] = {
        "reread": desk.reread,
        "resend": partial(desk.resend, peers=arguments.to, settings=s),
        "forget": partial(desk.forget, force=arguments.force),
    }
    with closing(desk.opened(s)) as queue:
        rows = queue.books.rows(arguments.state, limit=sys.maxsize) if arguments.state else []
        lines, whole = desk.each(queue, arguments.images, rows, works[arguments.work])
    print("\n".join(lines) or f"no image is {arguments.state}")
    return 0 if whole else 1


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
        operating_point=_operating_point(None, "") if chosen.is_file() else None,
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
    choice = _choose(p, arguments)
    from pneumonia.external.validate import evaluate_on
    from pneumonia.reading_room.ensemble import Ensemble

    shift = evaluate_on(
        arguments.source,
        arguments.output,
        Ensemble(
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


def _send(arguments: argparse.Namespace) -> int:
    from pneumonia.annotation import send
    from pneumonia.archive import StudyArchive
    from pneumonia.evaluation.inputs import read
    from pneumonia.files import read_json
    from pneumonia.sources.labels import read_table

    window = load().images.window.values()
    destination.check(arguments.output)
    own = read(".", [ENSEMBLE])
    held_back = own.split.loc[own.split["subset"] != "train", "study"]
    listed = read_table(arguments.studies, ["study"])["study"] if arguments.studies else sorted(held_back)
    chosen = list(dict.fromkeys(listed))
    detections = own.predictions[ENSEMBLE].detections
    assert detections is not None
    threshold = float(read_json(EVALUATION)[ENSEMBLE]["box_threshold"])
    shown = detections if arguments.findings else detections.iloc[:0]
    sent = send.gather(own.studies, own.boxes, shown, chosen, threshold=threshold)
    with destination.new_dir(arguments.output) as folder:
        archive = StudyArchive(Path(raw.FOLDER) / raw.IMAGES)
        send.write(arguments.tool, folder, sent, archive, window=window, images=arguments.images, model=ENSEMBLE)
    boxes = sum(len(each.truths) for each in sent), sum(len(each.suggested) for each in sent)
    print(f"{len(sent)} studies, {boxes[0]} labelled boxes, {boxes[1]} suggested, in {arguments.output}")
    return 0


def _take(arguments: argparse.Namespace) -> int:
    from pneumonia.annotation import corrected, send
    from pneumonia.files import write_csv
    from pneumonia.schema.data import BOXES, STUDIES
    from pneumonia.schema.table import BOX
    from pneumonia.sources.local import CLASSES, LABELS

    destination.check(arguments.output)
    studies, before = STUDIES.read(columns=("study", "rows", "columns")), corrected.boxes_by_study(BOXES.read())
    sizes = {study: (int(rows), int(columns)) for study, rows, columns in studies.itertuples(index=False)}
    reviewed = send.TOOLS[arguments.tool].read(arguments.file, sizes)
    found = corrected.compare(before, reviewed.boxes)
    rows, named = (corrected.read_table_bytes(Path(raw.FOLDER) / name) for name in (raw.LABELS, raw.CLASSES))
    labels, classes = corrected.labels(rows, named, reviewed.boxes, found, arguments.cleared)
    difference = corrected.table(found)
    with destination.new_dir(arguments.output) as folder:
        (folder / LABELS).write_text(labels, encoding="utf-8")
        (folder / CLASSES).write_text(classes, encoding="utf-8")
        write_csv(
            folder / "diff.csv", difference, dict.fromkeys([*BOX, *(f"new_{side}" for side in BOX)], 2) | {"iou": 4}
        )
    count = ", ".join(f"{int((difference['change'] == kind).sum())} {kind}" for kind in corrected.CHANGES)
    for note in reviewed.notes:
        print(note)
    print(f"{len(sizes) - len(reviewed.boxes)} studies are not in the file, or not looked at, and stay as they are")
    print(f"{len(reviewed.boxes)} studies looked at, {len(found)} changed; boxes: {count}; in {arguments.output}")
    return 0


def _worst(arguments: argparse.Namespace) -> int:
    from pneumonia.annotation import send
    from pneumonia.annotation.worst import WORST, worst
    from pneumonia.archive import StudyArchive
    from pneumonia.evaluation.inputs import Predictions, read
    from pneumonia.files import read_json
    from pneumonia.prediction.tables import read_detections, read_scores

    if arguments.limit < 1:
        raise ValueError(f"--limit must be at least 1, got {arguments.limit}")
    window = load().images.window.values()
    destination.check(arguments.output)
    own = read(".", [ENSEMBLE])
    said, threshold = own.predictions[ENSEMBLE], read_json(EVALUATION)[ENSEMBLE]["box_threshold"]
    looked_at = {*own.split.loc[own.split["subset"] != "train", "study"]}
    if arguments.crossval:
        folder = arguments.crossval / "predictions" / ENSEMBLE
        said = Predictions(read_scores(folder), read_detections(folder))
        looked_at = {*said.scores.index}
    assert said.detections is not None
    studies = own.studies[own.studies["study"].isin(looked_at)].set_index("study")
    rows = worst(studies["target"], said.scores, own.boxes, said.detections, box_threshold=float(threshold))
    doubtful = rows["study"].nunique()
    rows = rows[rows["rank"] <= arguments.limit]
    with destination.new_dir(arguments.output) as folder:
        WORST.write(folder / WORST.name, rows)
        archive = StudyArchive(Path(raw.FOLDER) / raw.IMAGES)
        shown = said.detections[said.detections["score"] >= float(threshold)]
        for rank, study in rows[["rank", "study"]].drop_duplicates().itertuples(index=False):
            picture = send.overlaid(archive, study, own.boxes, shown, window)
            (folder / f"{rank:04d}-{study}.png").write_bytes(picture)
    print(
        f"{doubtful} of {len(studies)} studies are in doubt, {rows['study'].nunique()} of them in {arguments.output}; "
        f"look again: pneumonia send cvat --studies {arguments.output / WORST.name} --output DIR"
    )
    return 0


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


def _compare(arguments: argparse.Namespace) -> int:
    import json

    from pneumonia.evaluation import inputs as evaluation_files
    from pneumonia.experiments import comparison
    from pneumonia.experiments.revisions import files_of

    every = load()
    p = every.evaluate
    revisions, models = (arguments.first, arguments.second), (arguments.model, arguments.other or arguments.model)
    inputs = []
    for revision, model in zip(revisions, models, strict=True):
        with files_of(revision, evaluation_files.paths([model])) as folder:
            inputs.append(evaluation_files.read(folder, [model]))
    result = comparison.compare(
        inputs[0],
        inputs[1],
        *models,
        **p.operating_point.values(),
        resamples=p.bootstrap,
        seed=p.seed,
        method=every.calibrate.method,
        score_floor=every.predict.score_floor,
    )
    names = revisions if models[0] == models[1] else [" ".join(pair) for pair in zip(revisions, models, strict=True)]
    if arguments.json:
        print(json.dumps(comparison.as_dict(result, *names), indent=2, allow_nan=False))
    else:
        print(comparison.text(result, *names))
    return 0


def _crossval(arguments: argparse.Namespace) -> int:
    from pneumonia.experiments import crossval, running
    from pneumonia.experiments import folds as experiments
    from pneumonia.files import write_csv

    destination.check(arguments.output)
    if not arguments.running and (arguments.changes or arguments.against or arguments.seeds):
        raise ValueError("--set, --against and --seeds go with --run")
    if arguments.running and arguments.experiments:
        raise ValueError("--run finds the experiments by their params; name none")
    if arguments.seeds:
        return _seeds(arguments)
    found = running.run(arguments.changes, None) if arguments.running else experiments.gather(arguments.experiments)
    for experiment in found:
        print(f"fold {experiment.fold}: {experiment.name} ({experiment.rev[:7]})", flush=True)
    studies, boxes, folds = experiments.read(found)
    assigned, predictions = crossval.out_of_fold(folds)
    p = found[0].params
    metrics = crossval.evaluate(
        studies,
        boxes,
        assigned,
        predictions,
        rule=p["evaluate.operating_point.rule"],
        value=p["evaluate.operating_point.value"],
        resamples=p["evaluate.bootstrap"],
        seed=p["evaluate.seed"],
        method=p.get("calibrate.method", "none"),
        score_floor=p.get("predict.score_floor", 0.0),
    )
    rows = crossval.write(arguments.output, metrics, assigned, predictions, found[0].settings())
    print(rows.round(3).to_string(index=False, na_rep="-"))
    for change in arguments.against:
        _, _, others = experiments.read(running.run([*arguments.changes, change], None))
        differences = crossval.differences(
            studies,
            boxes,
            (assigned, predictions),
            crossval.out_of_fold(others),
            rule=p["evaluate.operating_point.rule"],
            value=p["evaluate.operating_point.value"],
            resamples=p["evaluate.bootstrap"],
            seed=p["evaluate.seed"],
        )
        path = arguments.output / f"against-{change.replace('/', '_')}.csv"
        write_csv(path, differences, dict.fromkeys(differences.columns[2:], 6))
        print(f"\n{change}, minus the above:\n{differences.round(3).to_string(index=False, na_rep='-')}", flush=True)
    return 0


def _seeds(arguments: argparse.Namespace) -> int:
    """One fold trained from several seeds: how much of a figure is the draw of a training."""
    from pneumonia.experiments import crossval, running
    from pneumonia.experiments import folds as experiments
    from pneumonia.files import write_csv

    if arguments.against or len(set(arguments.seeds)) < 2:
        raise ValueError("--seeds wants two different seeds or more, and goes without --against")
    runs = {}
    for seed in arguments.seeds:
        changes = [*arguments.changes, *(f"{model}.seed={seed}" for model in TRAINED)]
        studies, boxes, (fold,) = experiments.read(running.run(changes, [load().split.fold]))
        runs[seed] = fold
    rows = crossval.spread(studies, boxes, runs)
    with destination.new_dir(arguments.output) as folder:
        write_csv(folder / "seeds.csv", rows, dict.fromkeys(rows.columns[2:], 6))
    print(rows.round(3).to_string(index=False))
    return 0


def _tune(arguments: argparse.Namespace) -> int:
    from pneumonia.experiments import material, tuning
    from pneumonia.project import profiles

    p = load()
    folder = arguments.predictions or Path("crossval")
    gathered = arguments.predictions is not None or folder.is_dir()
    profiles.check_new(arguments.name)
    if gathered:
        own = material.of_crossval(folder, p.values())
        words = f"{folder}: every study by models that did not train on its person"
    else:
        own = material.of_run(p.values(), seed=p.evaluate.seed)
        words = f"{folder} not found, so the validation studies of one run, by which its trainings ended, in {material.PARTS} parts"
    counts = own.labelled.counts()
    searched = f"{counts['studies']} studies of {counts['persons']} persons, {counts['positives']} positive; {words}"
    print(searched, flush=True)
    start = p.ensemble.values()
    tuned = tuning.tune(own, start, arguments.objective, resamples=p.evaluate.bootstrap, seed=p.evaluate.seed)
    print(f"{tuned.tried} settings tried\n{tuning.text(tuned)}")
    if tuned.settings == start:
        print("no setting is better than the one in params.yaml; no profile was written")
        return 0
    path = profiles.write(
        arguments.name, {"ensemble": tuned.settings}, tuning.comment(tuned, searched, arguments.objective)
    )
    print(f"{path} written; apply it with: pneumonia profile {arguments.name}")
    return 0


def _profile(arguments: argparse.Namespace) -> int:
    from pneumonia.project import profiles

    if arguments.name is None:
        for name in profiles.names():
            print(f"{name}{'  (applied)' if profiles.applied(name) else ''}")
        return 0
    if arguments.check:
        difference = profiles.diff(arguments.name)
        print(difference or f"profile {arguments.name} is applied")
        return 1 if difference else 0
    print(profiles.apply(arguments.name) or f"profile {arguments.name} was applied already")
    return 0


def _params(arguments: argparse.Namespace) -> int:
    load()
    print("params.yaml is fine")
    return 0


def _verify(arguments: argparse.Namespace) -> int:
    from pneumonia.project import cache

    folder = cache.folder()
    checked = cache.check(folder)
    for path, why in checked.unreadable.items():
        print(f"cannot be read: {path} ({why})")
    for path in checked.damaged:
        print(f"damaged: {path}")
    print(f"{checked.files} files of {folder} were read, {len(checked.damaged)} are not what their name says")
    if not checked.damaged or not arguments.remove:
        if checked.damaged:
            print("delete them with: pneumonia verify --remove")
        return 1 if checked.damaged or checked.unreadable else 0
    removed = cache.remove(checked.damaged)
    for path in removed.links:
        print(f"deleted with it: {path}")
    for path, why in removed.kept.items():
        print(f"cannot be deleted: {path} ({why})")
    print(f"{len(removed.files)} deleted; dvc pull fetches them again, or dvc repro makes them again")
    return 1 if removed.kept or checked.unreadable else 0


def _deps(arguments: argparse.Namespace) -> int:
    from pneumonia.project.code_deps import update

    differences = update(write=arguments.write)
    print("\n".join(differences) or "dvc.yaml names exactly what the stage scripts import")
    if differences and not arguments.write:
        print("correct it with: pneumonia deps --write")
    return 1 if differences and not arguments.write else 0


if __name__ == "__main__":
    sys.exit(main())

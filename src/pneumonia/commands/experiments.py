"""`pneumonia compare`, `crossval` and `tune`: is one better than another?"""

from __future__ import annotations

import argparse
from pathlib import Path

from pneumonia import destination
from pneumonia.commands import shared
from pneumonia.params import load
from pneumonia.schema.models import ENSEMBLE, EVALUATED
from pneumonia.schema.models import MODELS as TRAINED
from pneumonia.schema.results import OBJECTIVES


def add(commands: shared.Commands) -> None:
    """Make the parsers of `compare`, `crossval` and `tune`."""
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
        type=shared.path,
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
        type=shared.path,
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

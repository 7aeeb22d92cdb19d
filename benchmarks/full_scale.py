"""Every stage that needs no pixels, on the challenge's own 26,684 studies: seconds and peak memory of each.

    python benchmarks/full_scale.py [--labels ../shared/labels] [--work DIR]

Each step runs in a process of its own. `split`, `annotate`, `ensemble`, `evaluate` and `submission` are the pipeline's
scripts, run in a folder laid out like the project. Without the images, three things stand in: `clean` is called as
`pneumonia.data.clean.check` with headers from dicom_headers.csv (1024 x 1024 pixels each) in place of decoded files; the
detections are made up (seeded: truth boxes moved a little, and up to 20 random ones a study); so is the test set's
index.csv. Their figures mean nothing, their cost does.

Wanted in --labels: stage_2_train_labels.csv, stage_2_detailed_class_info.csv, stage_2_sample_submission.csv of the
challenge, dicom_headers.csv (patientId, sex, age, view, pixel_spacing), rsna_to_nih.csv (patientId, nih_patient).
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from pneumonia.data import clean
from pneumonia.data.split import CROSSED, SINGLE, STUDY_COLUMNS, split, summary
from pneumonia.evaluation import inputs
from pneumonia.experiments import crossval
from pneumonia.files import read_json, write_csv, write_json
from pneumonia.prediction.tables import write_predictions
from pneumonia.schema.data import BOXES, CLEAN, CLEAN_METRICS, STUDIES
from pneumonia.schema.models import EVALUATED, MODELS
from pneumonia.sources import labels
from pneumonia.sources.persons import read_mapping

ROOT = Path(__file__).parents[1]
SIDE = 1024  # pixels, rows and columns of every image of the challenge
FIRST_STAGE = 25_684  # studies of the challenge's first training set; its test set follows in the second's label file
STAGES = ("split", "annotate", "ensemble", "evaluate", "submission")


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--labels", type=Path, default=ROOT / "../shared/labels", help="the challenge's label files")
    parser.add_argument("--work", type=Path, help="an empty folder to work in (default: a temporary one)")
    parser.add_argument("--step", choices=[*STEPS], help=argparse.SUPPRESS)
    arguments = parser.parse_args(argv)
    if not arguments.labels.is_dir():
        parser.error(f"--labels: no folder {arguments.labels}; give one with the challenge's label files")
    folder = arguments.labels.resolve()
    if arguments.step:
        STEPS[arguments.step](folder)
        return
    with tempfile.TemporaryDirectory() as name:
        run_all(folder, (arguments.work or Path(name)).resolve())


def run_all(folder: Path, work: Path) -> None:
    (work / "profiles").mkdir(parents=True)
    shutil.copy(ROOT / "params.yaml", work)
    shutil.copy(ROOT / "profiles/no_holdout_ids.txt", work / "profiles")
    own = [sys.executable, __file__, "--labels", str(folder), "--step"]
    print("| step | seconds | of them CPU | peak memory |\n|---|---|---|---|")
    for name in ("clean", "split", "annotate", "predict", "ensemble", "evaluate", "submission", "crossval"):
        command = [sys.executable, str(ROOT / "stages" / f"{name}.py")] if name in STAGES else [*own, name]
        seconds, cpu, megabytes = timed(command, work)
        if name != "predict":  # makes the detections up
            print(f"| {name} | {seconds:.1f} | {cpu:.1f} | {megabytes:.0f} MB |", flush=True)
    print()
    subprocess.run([*own, "balance"], cwd=work, check=True)


def timed(command: Sequence[str], work: Path) -> tuple[float, float, float]:
    """Run a command; seconds on the clock, seconds of CPU, megabytes at its peak. Exits where it fails."""
    with (work / "log.txt").open("a+b") as log:
        start = time.perf_counter()
        process = subprocess.Popen(command, cwd=work, stdout=log, stderr=subprocess.STDOUT)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - start
    if status:
        sys.exit(f"{' '.join(command)} failed:\n{(work / 'log.txt').read_text()[-2000:]}")
    megabytes = usage.ru_maxrss / (1e6 if sys.platform == "darwin" else 1e3)
    return seconds, usage.ru_utime + usage.ru_stime, megabytes


def clean_labels(folder: Path) -> None:
    """What `clean` does, with headers from a table: data/clean, metrics/clean.json."""
    images = [
        clean.Image(row.patientId, row.view, row.sex, row.age, SIDE, SIDE, row.pixel_spacing, "")
        for row in pd.read_csv(folder / "dicom_headers.csv").itertuples()
    ]
    tables = clean.check(
        images,
        [],
        labels.read_labels(folder / "stage_2_train_labels.csv"),
        labels.read_classes(folder / "stage_2_detailed_class_info.csv"),
        read_mapping(folder / "rsna_to_nih.csv"),
        min_box_side=16,
        max_age=110,
    )
    clean.write(Path(CLEAN), tables)
    write_json(CLEAN_METRICS, clean.summarize(tables))


def predict(folder: Path) -> None:
    """Make up predictions of every study, of the test studies, and the test set's index."""
    studies = STUDIES.read(columns=STUDY_COLUMNS)["study"]
    boxes = BOXES.read()
    test = labels.read_ids(folder / "stage_2_sample_submission.csv")
    sets = {"predictions": (studies, boxes), "predictions_test": (pd.Series(test), boxes[:0])}
    for place, (ids, truth) in sets.items():
        for seed, model in enumerate(MODELS):
            detections = made_up(ids, truth, np.random.default_rng(seed))
            scores = detections.groupby("study")["score"].max().reindex(ids, fill_value=0.0)
            write_predictions(Path("data") / place / model, detections, scores)
    index = pd.DataFrame({"study": test, "columns": SIDE, "rows": SIDE})
    write_csv("data/images_test/192/index.csv", index)
    Path("data/raw_test").mkdir()
    shutil.copy(folder / "stage_2_sample_submission.csv", "data/raw_test/sample_submission.csv")


def made_up(studies: pd.Series, truth: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    """Most truth boxes, moved by some 20 pixels and scored at random, and 0 to 20 weaker random boxes a study."""
    count = rng.integers(0, 21, len(studies))
    random = pd.DataFrame({"study": np.repeat(studies.to_numpy(), count)})
    for column, (low, high) in {"x": (0, 700), "y": (0, 700), "width": (80, 320), "height": (80, 320)}.items():
        random[column] = rng.uniform(low, high, len(random))
    random["score"] = rng.beta(1, 8, len(random))
    near = truth[rng.random(len(truth)) < 0.7].copy()
    near[["x", "y"]] = (near[["x", "y"]] + rng.normal(0, 20, (len(near), 2))).clip(lower=0)
    near["score"] = rng.uniform(0.01, 1, len(near))
    return pd.concat([near, random], ignore_index=True)


def cross_validate(folder: Path) -> None:
    """What `pneumonia crossval` does once the folds are read, five folds and a thousand resamples."""
    own = inputs.read(".", EVALUATED)
    folds = []
    for number in range(5):
        fold = own.split["fold"]
        split = own.split.assign(subset=np.select([fold < 0, fold == number], ["holdout", "validation"], "train"))
        folds.append(crossval.Fold(number, f"fold {number}", split, own.predictions))
    assigned, predictions = crossval.out_of_fold(folds)
    metrics = crossval.evaluate(
        own.studies, own.boxes, assigned, predictions, rule="best_f1", value=0.5, resamples=1000, seed=1
    )
    write_json("crossval.json", metrics)


def balance(folder: Path) -> None:
    """Print what splits of the whole challenge look like: how even, and who shares a person."""
    counts = read_json(CLEAN_METRICS)
    print(f"{counts['studies']} studies of {counts['persons']} persons, {counts['boxes']} boxes, "
          f"{counts['rejected']['total']} rejected")  # fmt: skip
    studies = STUDIES.read(columns=STUDY_COLUMNS)
    listed = list(dict.fromkeys(labels.read_labels(folder / "stage_2_train_labels.csv")["study"]))[FIRST_STAGE:]
    default = {"by": "person", "holdout": 0.2, "folds": 5, "fold": 0, "seed": 1}
    for name, options in {
        "by person, 5 folds": {},
        "by person, 10 folds": {"folds": 10},
        "by person, 1,000 studies": {"subset": 1000},
        "by person, first-stage test as hold-out": {"holdout_ids": listed},
        "by image, 5 folds": {"by": "image"},
        "by image, 5 folds, no hold-out": {"by": "image", "holdout": 0.0},
    }.items():
        chosen = default | options
        assigned = split(studies, **chosen)
        show(name, summary(assigned, studies, by=chosen["by"], holdout_ids=chosen.get("holdout_ids", ())))
        if "holdout_ids" in chosen:  # whose shares are what they are
            show("  the same without the hold-out", summary(assigned[assigned["subset"] != "holdout"], studies))


def show(name: str, numbers: dict) -> None:
    def worst(groups: Sequence[Sequence[str]]) -> str:
        value, factor = max((numbers["balance"]["_x_".join(names)], " x ".join(names)) for names in groups)
        return f"{100 * value:.2f} percentage points ({factor})"

    parts = {key: part for key, part in numbers["subsets"].items() if part["studies"]}
    sizes = ", ".join(f"{key} {part['studies']} ({part['positive']} positive)" for key, part in parts.items())
    print(f"\n{name}: {sizes}; {numbers['left_out']} left out")
    print(f"  largest deviation of a share: {worst(SINGLE)}; of crossed strata {worst(CROSSED)}")
    print(f"  persons in several subsets: {numbers['persons_shared']}")
    for key, own in numbers["sharing_person"].items():
        if own["studies"]:
            all_of, positive = parts[key]["studies"], parts[key]["positive"]
            print(f"  {key} studies that share a person with training: {own['studies']} of {all_of} "
                  f"({own['studies'] / all_of:.0%}), positive ones {own['positive']} of {positive} "
                  f"({own['positive'] / positive:.0%})")  # fmt: skip


STEPS = {"clean": clean_labels, "predict": predict, "crossval": cross_validate, "balance": balance}

if __name__ == "__main__":
    main()

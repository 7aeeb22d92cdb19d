"""How long the evaluate stage takes on the whole challenge, and how much memory: run by hand.

    python benchmarks/evaluate.py            # the default split: a fifth of the studies is held out
    python benchmarks/evaluate.py --all      # every study is reported (thresholds still from a fifth of them)

The labels are the challenge's own (26,684 studies, from ../shared/labels or --labels), the predictions made up: five
detections a study of each detector and of the ensemble, half of the truth boxes among them, moved a little. The stage
runs as `dvc repro evaluate` would run it, in a process of its own, from reading the CSVs to writing the plots.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd

from pneumonia.data.split import split
from pneumonia.files import write_csv
from pneumonia.prediction.tables import write_predictions
from pneumonia.schema.data import BOXES, SPLIT, STUDIES
from pneumonia.schema.models import CLASSIFIER, EVALUATED, FOLDERS, has_boxes
from pneumonia.schema.predictions import SCORES
from pneumonia.schema.table import BOX
from pneumonia.sources.labels import CLASSES

ROOT = Path(__file__).resolve().parents[1]
DETECTIONS = 5


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--labels", type=Path, default=ROOT / "../shared/labels", help="folder of the challenge's CSVs")
    parser.add_argument("--all", action="store_true", help="report on every study instead of the holdout")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        studies = write_project(root, arguments.labels, everything=arguments.all)
        shutil.copy(ROOT / "params.yaml", root)
        seconds, cpu, peak = run(root)
        print(f"{studies} studies reported: {seconds:.1f} s, {cpu:.1f} s of CPU time, peak memory {peak / 1e6:.0f} MB")


def run(root: Path) -> tuple[float, float, float]:
    """Run the stage in `root`: (wall seconds, CPU seconds, peak bytes)."""
    environment = os.environ | {"PYTHONPATH": str(ROOT / "src")}
    start = time.perf_counter()
    process = subprocess.Popen([sys.executable, str(ROOT / "stages/evaluate.py")], cwd=root, env=environment)
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - start
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"evaluate ended with status {process.returncode}")
    unit = 1 if sys.platform == "darwin" else 1024  # ru_maxrss: bytes there, KiB here
    return seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * unit


def write_project(root: Path, labels: Path, *, everything: bool) -> int:
    """Write what evaluate reads; returns how many studies it will report on."""
    studies, boxes = read_labels(labels)
    subsets = split(studies, by="person", holdout=0.2, folds=5, fold=0, subset=0, seed=1)
    if everything:
        # Each study once as itself in the holdout; a copy of the validation studies chooses the thresholds.
        chosen = subsets.loc[subsets["subset"] == "validation", "study"]
        extra, moved = (frame[frame["study"].isin(chosen)].copy() for frame in (studies, boxes))
        for frame in (extra, moved):
            frame["study"] = "v" + frame["study"]
        subsets = pd.concat(
            [
                studies[["study"]].assign(fold=-1, subset="holdout"),
                extra[["study"]].assign(fold=0, subset="validation"),
            ]
        )
        studies, boxes = pd.concat([studies, extra]), pd.concat([boxes, moved])
    write_csv(root / STUDIES.path, studies)
    write_csv(root / BOXES.path, boxes)
    write_csv(root / SPLIT.path, subsets)
    rng = np.random.default_rng(1)
    for model in filter(has_boxes, EVALUATED):
        detections = made_up(studies, boxes, rng)
        folder = root / FOLDERS[model]
        write_predictions(folder, detections, detections.groupby("study")["score"].max())
    scores = np.clip(rng.normal(0.3 + 0.3 * studies["target"], 0.2), 0, 1)
    folder = root / FOLDERS[CLASSIFIER]
    folder.mkdir()
    SCORES.write(folder / SCORES.name, pd.DataFrame({"study": studies["study"], "score": scores}))
    return int((subsets["subset"] == "holdout").sum())


def read_labels(folder: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    """studies and boxes as clean writes them, from the challenge's label files."""
    labels = pd.read_csv(folder / "stage_2_train_labels.csv")
    classes = pd.read_csv(folder / "stage_2_detailed_class_info.csv").drop_duplicates("patientId")
    headers = pd.read_csv(folder / "dicom_headers.csv").set_index("patientId")
    persons = pd.read_csv(folder / "rsna_to_nih.csv", dtype=str).set_index("patientId")["nih_patient"]
    studies = classes.set_index("patientId")["class"].map(CLASSES).rename("category").to_frame().sort_index()
    studies["target"] = (studies["category"] == "opacity").astype(int)
    studies["person"] = persons.reindex(studies.index).fillna("")
    studies = studies.join(headers[["view", "sex", "age"]]).assign(rows=1024, columns=1024)
    boxes = labels.dropna(subset=BOX).rename(columns={"patientId": "study"})[["study", *BOX]]
    return studies.rename_axis("study").reset_index(), boxes.sort_values(["study", *BOX], ignore_index=True)


def made_up(studies: pd.DataFrame, boxes: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    """Five detections a study: of the positives, half of their boxes moved by some pixels; the rest anywhere."""
    near = boxes[rng.uniform(size=len(boxes)) < 0.5].copy()
    near[BOX] += rng.normal(0, 20, (len(near), 4))
    near["score"] = rng.beta(4, 3, len(near))
    missing = DETECTIONS - near["study"].value_counts().reindex(studies["study"], fill_value=0)
    study = np.repeat(missing.index.to_numpy(), missing.to_numpy())
    corner, side = rng.uniform(50, 700, (len(study), 2)), rng.uniform(60, 320, (len(study), 2))
    far = pd.DataFrame(np.c_[corner, side], columns=BOX).assign(score=rng.beta(1, 6, len(study)))
    far.insert(0, "study", study)
    return pd.concat([near, far], ignore_index=True)


if __name__ == "__main__":
    main()

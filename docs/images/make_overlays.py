"""Draw docs/images/overlays.webp from a finished run: `python docs/images/make_overlays.py` in the project's root.

Holdout studies with an opacity that the ensemble scored highest, in the middle and lowest; truth green, findings red.
"""

from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from pneumonia import params
from pneumonia.archive import StudyArchive
from pneumonia.dicom.windowing import study_to_uint8
from pneumonia.files import read_json
from pneumonia.pictures import overlay

COLUMNS, SIDE = 4, 320


def main() -> None:
    p = params.load()
    threshold = read_json("metrics/evaluation.json")["ensemble"]["box_threshold"]
    split, studies = pd.read_csv("data/split/split.csv"), pd.read_csv("data/clean/studies.csv")
    boxes, found = pd.read_csv("data/clean/boxes.csv"), pd.read_csv("data/ensemble/detections.csv")
    scores = pd.read_csv("data/ensemble/scores.csv")
    holdout = studies.merge(split[split["subset"] == "holdout"][["study"]]).merge(scores)
    positive = holdout[holdout["target"] == 1].sort_values(["score", "study"], ascending=[False, True])
    chosen = positive.iloc[np.linspace(0, len(positive) - 1, COLUMNS * 2).round().astype(int)]["study"]
    archive = StudyArchive("data/raw/images.zip")
    tiles = []
    for study in chosen:
        image = study_to_uint8(archive.read(study), **p.images.window.values(), study=study).image
        truth = boxes[boxes["study"] == study][["x", "y", "width", "height"]].to_numpy(float, copy=True)
        rows = found[(found["study"] == study) & (found["score"] >= threshold)]
        own = rows[["x", "y", "width", "height", "score"]].to_numpy(float, copy=True)
        truth[:, 2:] += truth[:, :2]
        own[:, 2:4] += own[:, :2]
        picture = Image.fromarray(overlay(image, truth, own)).resize((SIDE, SIDE), Image.Resampling.LANCZOS)
        tiles.append(np.asarray(picture))
    rows_of_tiles = [np.concatenate(tiles[i : i + COLUMNS], axis=1) for i in range(0, len(tiles), COLUMNS)]
    sheet = Image.fromarray(np.concatenate(rows_of_tiles))
    sheet.save(Path(__file__).with_name("overlays.webp"), quality=80, method=6)


if __name__ == "__main__":
    main()

"""A first look at the cleaned data: data/raw, data/clean -> plots/explore/ (figures and their tables)."""

import numpy as np

from pneumonia import params
from pneumonia.archive import StudyArchive
from pneumonia.data.explore import STUDY_COLUMNS, explore
from pneumonia.dicom.windowing import study_to_uint8
from pneumonia.files import fresh_dir
from pneumonia.schema import raw
from pneumonia.schema.data import BOXES, STUDIES
from pneumonia.schema.explore import FOLDER


def main() -> None:
    p = params.load()
    archive = StudyArchive(f"{raw.FOLDER}/{raw.IMAGES}")

    def read_image(study: str) -> np.ndarray:
        return study_to_uint8(archive.read(study), **p.images.window.values(), study=study).image

    studies = STUDIES.read(columns=STUDY_COLUMNS)
    boxes = BOXES.read()
    with fresh_dir(FOLDER) as folder:
        explore(studies, boxes, folder, read_image=read_image, examples=p.explore.examples, seed=p.explore.seed)
    print(f"{FOLDER}: {len(studies)} studies, {len(boxes)} boxes")


if __name__ == "__main__":
    main()

"""A first look at the cleaned data: data/raw, data/clean -> plots/explore/ (figures and their tables)."""

import numpy as np

from pneumonia import params
from pneumonia.archive import StudyArchive
from pneumonia.data.explore import BOX_COLUMNS, STUDY_COLUMNS, explore
from pneumonia.dicom.windowing import study_to_uint8
from pneumonia.files import fresh_dir, read_csv


def main() -> None:
    p = params.load()
    archive = StudyArchive("data/raw/images.zip")

    def read_image(study: str) -> np.ndarray:
        return study_to_uint8(archive.read(study), **p.images.window.values(), study=study).image

    studies = read_csv("data/clean/studies.csv", STUDY_COLUMNS)
    boxes = read_csv("data/clean/boxes.csv", BOX_COLUMNS)
    with fresh_dir("plots/explore") as folder:
        explore(studies, boxes, folder, read_image=read_image, examples=p.explore.examples, seed=p.explore.seed)
    print(f"plots/explore: {len(studies)} studies, {len(boxes)} boxes")


if __name__ == "__main__":
    main()

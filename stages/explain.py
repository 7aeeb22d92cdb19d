"""Do the classifier's activation maps look at the opacities? Maps and labels -> metrics/explain.json."""

from __future__ import annotations

import numpy as np

from pneumonia import params
from pneumonia.data.images.store import ShardStore
from pneumonia.evaluation.explanations import explain
from pneumonia.files import write_json
from pneumonia.prediction.tables import read_scores
from pneumonia.schema.data import BOXES, IMAGES, SPLIT, STUDIES
from pneumonia.schema.predictions import MAPS, PREDICTIONS
from pneumonia.schema.results import EXPLAIN


def main() -> None:
    p = params.load()
    folder = f"{PREDICTIONS}/classifier"
    maps = np.load(f"{folder}/{MAPS}", mmap_mode="r", allow_pickle=False)
    store = ShardStore(f"{IMAGES}/{p.classifier.image_size}")
    result = explain(
        STUDIES.read(columns=("study", "person", "target")),
        BOXES.read(),
        SPLIT.read(columns=("study", "subset")),
        dict(zip(read_scores(folder).index, maps, strict=True)),
        store.to_resized,
        store.size,
        resamples=p.evaluate.bootstrap,
        seed=p.evaluate.seed,
    )
    write_json(EXPLAIN, result)
    for name in sorted(result.keys() & {"cam", "cam_relative", "uniform", "usual_place"}):
        print(f"{name}: points at an opacity {result[name]['pointing']:.2f}, mass inside {result[name]['mass']:.2f}")


if __name__ == "__main__":
    main()

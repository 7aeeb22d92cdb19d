"""Do the classifier's activation maps look at the opacities? Maps and labels -> metrics/explain.json."""

from __future__ import annotations

import numpy as np

from pneumonia import params
from pneumonia.data.store import ShardStore
from pneumonia.evaluation.explanations import explain
from pneumonia.files import read_csv, write_json
from pneumonia.prediction.tables import BOX_COLUMNS, read_scores


def main() -> None:
    p = params.load()
    folder = "data/predictions/classifier"
    maps = np.load(f"{folder}/cam.npy", mmap_mode="r", allow_pickle=False)
    store = ShardStore(f"data/images/{p.classifier.image_size}")
    result = explain(
        read_csv("data/clean/studies.csv", {"study": "str", "person": "str", "target": "int"}),
        read_csv("data/clean/boxes.csv", BOX_COLUMNS),
        read_csv("data/split/split.csv", {"study": "str", "subset": "str"}),
        dict(zip(read_scores(folder).index, maps, strict=True)),
        store.to_resized,
        store.size,
        resamples=p.evaluate.bootstrap,
        seed=p.evaluate.seed,
    )
    write_json("metrics/explain.json", result)
    for name in sorted(result.keys() & {"cam", "cam_relative", "uniform", "usual_place"}):
        print(f"{name}: points at an opacity {result[name]['pointing']:.2f}, mass inside {result[name]['mass']:.2f}")


if __name__ == "__main__":
    main()

"""Train Mask R-CNN on the boxes: models/maskrcnn, metrics/maskrcnn.json, plots/history/maskrcnn.csv."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from pneumonia import devices, maskrcnn, params, tracking, training_data
from pneumonia.files import read_csv, write_csv, write_json
from pneumonia.images import ShardStore
from pneumonia.predictions import BOX_COLUMNS

TABLES = [Path("data/split/split.csv"), Path("data/clean/studies.csv"), Path("data/clean/boxes.csv")]
OUT = Path("models/maskrcnn")
ELSEWHERE = ("image_size", "device", "precision")


def main() -> None:
    every = params.load()
    p = every.maskrcnn
    devices.configure(p.device, p.precision, p.seed)
    store = ShardStore(Path("data/images") / str(p.image_size))
    split, targets = read_csv(TABLES[0], {"study": "str", "subset": "str"}), {"study": "str", "target": "int"}
    studies = split.merge(read_csv(TABLES[1], targets), on="study", validate="one_to_one")
    boxes = read_csv(TABLES[2], BOX_COLUMNS)
    inputs = [*TABLES, *store.folder.iterdir()]
    state = training_data.state_path(Path("state/maskrcnn"), p.values(), inputs)
    values = {name: value for name, value in p.values().items() if name not in ELSEWHERE}
    tags = tracking.tags("train_maskrcnn", inputs)
    with tracking.run(**every.tracking.values(), name="maskrcnn", params=p.values(), tags=tags) as run:
        trained = maskrcnn.train(store, studies, boxes, OUT, state, **values, on_epoch=run.log_metrics)
        run.log_artifact(OUT)
    history = pd.DataFrame(trained.history)
    write_csv("plots/history/maskrcnn.csv", history, dict.fromkeys(history.columns[1:], 6) | {"learning_rate": 8})
    write_json("metrics/maskrcnn.json", trained.metrics)


if __name__ == "__main__":
    main()

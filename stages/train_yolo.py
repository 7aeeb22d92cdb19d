"""Train YOLOv3 on the boxes: models/yolo, metrics/yolo.json, plots/history/yolo.csv."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from pneumonia import devices, params, tracking, training_data, yolo
from pneumonia.files import read_csv, write_csv, write_json
from pneumonia.images import ShardStore
from pneumonia.predictions import BOX_COLUMNS

TABLES = [Path("data/split/split.csv"), Path("data/clean/studies.csv"), Path("data/clean/boxes.csv")]
OUT, HISTORY = Path("models/yolo"), Path("plots/history/yolo.csv")


def main() -> None:
    everything = params.load()
    p = everything.yolo
    devices.configure(p.device, p.precision, p.seed)
    store = ShardStore(Path("data/images") / str(p.image_size))
    split, targets = read_csv(TABLES[0], {"study": "str", "subset": "str"}), {"study": "str", "target": "int"}
    studies = split.merge(read_csv(TABLES[1], targets), on="study", validate="one_to_one")
    boxes, inputs = read_csv(TABLES[2], BOX_COLUMNS), [*TABLES, *store.folder.iterdir()]
    state = training_data.state_path(Path("state/yolo"), p.values(), inputs)
    values = {name: value for name, value in p.values().items() if name not in ("image_size", "device", "precision")}
    tags = tracking.tags("train_yolo", inputs)
    with tracking.run(**everything.tracking.values(), name="yolo", params=p.values(), tags=tags) as run:
        trained = yolo.train(store, studies, boxes, OUT, state, on_epoch=run.log_metrics, **values)
        history = pd.DataFrame(trained.history)
        write_csv(HISTORY, history, dict.fromkeys(history.columns[1:], 6) | {"learning_rate": 8})
        write_json("metrics/yolo.json", trained.metrics)
        for path in (HISTORY, OUT):
            run.log_artifact(path)


if __name__ == "__main__":
    main()

"""Train the classifier: models/classifier, metrics/classifier.json, plots/history/classifier.csv."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from pneumonia import classifier, devices, params, tracking, training_data
from pneumonia.files import read_csv, write_csv, write_json
from pneumonia.images import ShardStore

TABLES = [Path("data/split/split.csv"), Path("data/clean/studies.csv")]
OUT = Path("models/classifier")
ELSEWHERE = ("image_size", "device", "precision")


def main() -> None:
    every = params.load()
    p = every.classifier
    devices.configure(p.device, p.precision, p.seed)
    store = ShardStore(Path("data/images") / str(p.image_size))
    split = read_csv(TABLES[0], {"study": "str", "subset": "str"})
    studies = split.merge(read_csv(TABLES[1], {"study": "str", "target": "int"}), on="study", validate="one_to_one")
    inputs = [*TABLES, *store.folder.iterdir()]
    state = training_data.state_path(Path("state/classifier"), p.values(), inputs)
    values = {name: value for name, value in p.values().items() if name not in ELSEWHERE}
    tags = tracking.tags("train_classifier", inputs)
    with tracking.run(**every.tracking.values(), name="classifier", params=p.values(), tags=tags) as run:
        trained = classifier.train(store, studies, OUT, state, **values, on_epoch=run.log_metrics)
        run.log_artifact(OUT)
    history = pd.DataFrame(trained.history)
    write_csv("plots/history/classifier.csv", history, dict.fromkeys(history.columns[1:], 6) | {"learning_rate": 8})
    write_json("metrics/classifier.json", trained.metrics)


if __name__ == "__main__":
    main()

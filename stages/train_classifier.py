"""Train the classifier: models/classifier, metrics/classifier.json, plots/history/classifier.csv."""

from pathlib import Path

from keraskit.compute import devices
from pneumonia import params
from pneumonia.models.classifier.training import train
from pneumonia.training import batches, tracking
from pneumonia.training import inputs as training_files

OUT = Path("models/classifier")
ELSEWHERE = ("image_size", "device", "devices", "precision")  # said before the training starts


def main() -> None:
    every = params.load()
    p = every.classifier
    devices.configure(p.device, p.precision, p.seed, p.devices)
    inputs = training_files.read(p.image_size, boxes=False)
    state = batches.state_path(Path("state/classifier"), p.values(), inputs.files)
    values = {key: value for key, value in p.values().items() if key not in ELSEWHERE}
    tags = tracking.tags("train_classifier", inputs.files)
    follow = tracking.run(**every.tracking.values(), name="classifier", params=p.values(), tags=tags)
    with devices.parallel(p.devices), follow as run:
        trained = train(inputs.store, inputs.studies, OUT, state, **values, on_epoch=run.log_metrics)
        run.log_history(training_files.write("classifier", trained))
        run.log_artifact(OUT)


if __name__ == "__main__":
    main()

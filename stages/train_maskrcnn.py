"""Train Mask R-CNN on the boxes: models/maskrcnn, metrics/maskrcnn.json, plots/history/maskrcnn.csv."""

from pathlib import Path

from keraskit.compute import devices
from pneumonia import params
from pneumonia.models.maskrcnn.training import train
from pneumonia.training import batches, tracking
from pneumonia.training import inputs as training_files

OUT = Path("models/maskrcnn")
ELSEWHERE = ("image_size", "device", "devices", "precision")  # said before the training starts


def main() -> None:
    every = params.load()
    p = every.maskrcnn
    devices.configure(p.device, p.precision, p.seed, p.devices)
    inputs = training_files.read(p.image_size, boxes=True)
    state = batches.state_path(Path("state/maskrcnn"), p.values(), inputs.files)
    values = {key: value for key, value in p.values().items() if key not in ELSEWHERE}
    tags = tracking.tags("train_maskrcnn", inputs.files)
    follow = tracking.run(**every.tracking.values(), name="maskrcnn", params=p.values(), tags=tags)
    with devices.parallel(p.devices), follow as run:
        trained = train(inputs.store, inputs.studies, inputs.boxes, OUT, state, **values, on_epoch=run.log_metrics)
        run.log_history(training_files.write("maskrcnn", trained))
        run.log_artifact(OUT)


if __name__ == "__main__":
    main()

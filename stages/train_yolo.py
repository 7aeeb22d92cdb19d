"""Train YOLOv3 on the boxes: models/yolo, metrics/yolo.json, plots/history/yolo.csv."""

from pathlib import Path

from keraskit.compute import devices
from pneumonia import params
from pneumonia.models.yolo.training import train
from pneumonia.training import batches, tracking
from pneumonia.training import inputs as training_files

OUT = Path("models/yolo")
ELSEWHERE = ("image_size", "device", "devices", "precision")  # said before the training starts


def main() -> None:
    every = params.load()
    p = every.yolo
    devices.configure(p.device, p.precision, p.seed, p.devices)
    inputs = training_files.read(p.image_size, boxes=True)
    state = batches.state_path(Path("state/yolo"), p.values(), inputs.files)
    values = {key: value for key, value in p.values().items() if key not in ELSEWHERE}
    tags = tracking.tags("train_yolo", inputs.files)
    follow = tracking.run(**every.tracking.values(), name="yolo", params=p.values(), tags=tags)
    with devices.parallel(p.devices), follow as run:
        trained = train(inputs.store, inputs.studies, inputs.boxes, OUT, state, **values, on_epoch=run.log_metrics)
        run.log_history(training_files.write("yolo", trained))
        run.log_artifact(OUT)


if __name__ == "__main__":
    main()

"""Train YOLOv3 on the boxes: models/yolo, metrics/yolo.json, plots/history/yolo.csv."""

from functools import partial

from pneumonia import params
from pneumonia.models.yolo.training import Architecture, Objective, Optimization, train
from pneumonia.training import stage
from pneumonia.training.groups import Epochs, Stopping, pick


def main() -> None:
    every = params.load()
    values = every.yolo.values()
    fitted = partial(
        train,
        architecture=pick(Architecture, values),
        objective=pick(Objective, values),
        epochs=pick(Epochs, values),
        stopping=pick(Stopping, values),
        optimization=pick(Optimization, values),
    )
    stage.run("yolo", fitted, values, every.tracking.values(), boxes=True)


if __name__ == "__main__":
    main()

"""Train Mask R-CNN on the boxes: models/maskrcnn, metrics/maskrcnn.json, plots/history/maskrcnn.csv."""

from functools import partial

from pneumonia import params
from pneumonia.models.maskrcnn.training import Architecture, Losses, Targets, train
from pneumonia.training import stage
from pneumonia.training.groups import Optimization, Stopping, pick


def main() -> None:
    every = params.load()
    values = every.maskrcnn.values()
    fitted = partial(
        train,
        architecture=pick(Architecture, values),
        targets=pick(Targets, values),
        losses=pick(Losses, values),
        phases=values["phases"],
        stopping=pick(Stopping, values),
        optimization=pick(Optimization, values),
        average=values["average"],
    )
    stage.run("maskrcnn", fitted, values, every.tracking.values(), boxes=True)


if __name__ == "__main__":
    main()

"""Train EfficientDet on the boxes: models/efficientdet, metrics/efficientdet.json, plots/history/efficientdet.csv."""

from functools import partial

from pneumonia import params
from pneumonia.models import off


def main() -> None:
    every = params.load()
    values = every.efficientdet.values()
    if not values.pop("enabled"):
        return off.train("efficientdet")
    from pneumonia.models.efficientdet.training import Architecture, Matching, train
    from pneumonia.training import stage
    from pneumonia.training.groups import Epochs, Optimization, Stopping, pick

    fitted = partial(
        train,
        architecture=pick(Architecture, values),
        matching=pick(Matching, values),
        epochs=pick(Epochs, values),
        stopping=pick(Stopping, values),
        optimization=pick(Optimization, values),
        average=values["average"],
    )
    stage.run("efficientdet", fitted, values, every.tracking.values(), boxes=True)


if __name__ == "__main__":
    main()

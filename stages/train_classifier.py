"""Train the classifier: models/classifier, metrics/classifier.json, plots/history/classifier.csv."""

from functools import partial

from pneumonia import params
from pneumonia.models.classifier.training import Architecture, Objective, train
from pneumonia.training import stage
from pneumonia.training.groups import Epochs, Optimization, pick


def main() -> None:
    every = params.load()
    values = every.classifier.values()
    fitted = partial(
        train,
        architecture=pick(Architecture, values),
        objective=pick(Objective, values),
        epochs=pick(Epochs, values),
        patience=values["patience"],
        optimization=pick(Optimization, values),
        average=values["average"],
    )
    stage.run("classifier", fitted, values, every.tracking.values(), boxes=False)


if __name__ == "__main__":
    main()

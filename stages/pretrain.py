"""pretrain: a backbone learns findings from data/pretrain: models/backbone, metrics/pretrain.json, plots/history/pretrain.csv."""

from pneumonia import params
from pneumonia.models.pretraining import stage
from pneumonia.weak_labels import project


def main() -> None:
    every = params.load()
    values, tracking = every.pretrain.values(), every.tracking.values()
    if project.is_off():
        stage.off()
        return
    learned = project.learned(every.fetch.source, values["persons"], values["unmapped"])
    stage.run(learned.store, learned.labels, learned.findings, learned.counts, learned.files, values, tracking)


if __name__ == "__main__":
    main()

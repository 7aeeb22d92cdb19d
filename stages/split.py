"""Hold-out and folds: data/clean -> data/split/split.csv, metrics/split.json."""

from pneumonia import params
from pneumonia.data.split import FACTORS, STUDY_COLUMNS, split, summary
from pneumonia.files import write_json
from pneumonia.schema.data import SPLIT, SPLIT_METRICS, STUDIES
from pneumonia.sources.labels import read_ids


def main() -> None:
    p = params.load().split
    studies = STUDIES.read(columns=STUDY_COLUMNS)
    holdout_ids = read_ids(p.holdout_ids)
    assigned = split(studies, **p.values() | {"holdout_ids": holdout_ids})
    numbers = summary(assigned, studies, by=p.by, holdout_ids=holdout_ids)
    SPLIT.write(SPLIT.path, assigned)
    write_json(SPLIT_METRICS, numbers)
    for name, counts in numbers["subsets"].items():
        print(f"{name}: {counts['studies']} studies, {counts['positive']} positive, {counts['persons']} persons")
    print(f"persons in several subsets: {numbers['persons_shared']} (unknown for {numbers['person_unknown']} studies)")
    worst = 100 * max(numbers["balance"][factor] for factor in FACTORS)
    print(
        f"shares of class, view, sex and age within {worst:.2f} percentage points of the whole, in every subset and fold"
    )


if __name__ == "__main__":
    main()

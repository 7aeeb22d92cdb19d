"""Hold-out and folds: data/clean -> data/split/split.csv, metrics/split.json."""

from pneumonia import params
from pneumonia.files import read_csv, write_csv, write_json
from pneumonia.split import STUDY_COLUMNS, split, summary


def main() -> None:
    p = params.load().split
    studies = read_csv("data/clean/studies.csv", STUDY_COLUMNS)
    assigned = split(studies, **p.values())
    numbers = summary(assigned, studies, by=p.by)
    write_csv("data/split/split.csv", assigned)
    write_json("metrics/split.json", numbers)
    for name, counts in numbers["subsets"].items():
        print(f"{name}: {counts['studies']} studies, {counts['positive']} positive, {counts['persons']} persons")
    print(f"persons in several subsets: {numbers['persons_shared']} (unknown for {numbers['person_unknown']} studies)")


if __name__ == "__main__":
    main()

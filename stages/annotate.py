"""Labels of every subset as COCO JSON and YOLO text: data/clean, data/split -> data/annotations.zip."""

from pneumonia.data.annotate import BOX_COLUMNS, SIZE_COLUMNS, write_annotations
from pneumonia.files import read_csv


def main() -> None:
    counts = write_annotations(
        "data/annotations.zip",
        read_csv("data/clean/studies.csv", SIZE_COLUMNS),
        read_csv("data/clean/boxes.csv", BOX_COLUMNS),
        read_csv("data/split/split.csv", {"study": "str", "subset": "str"}),
    )
    print("annotated " + ", ".join(f"{count} {subset}" for subset, count in counts.items()))


if __name__ == "__main__":
    main()

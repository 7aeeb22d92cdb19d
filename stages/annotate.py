"""Labels of every subset as COCO JSON and YOLO text: data/clean, data/split -> data/annotations.zip."""

from pneumonia.data.annotate import SIZE_COLUMNS, write_annotations
from pneumonia.schema.data import ANNOTATIONS, BOXES, SPLIT, STUDIES


def main() -> None:
    counts = write_annotations(
        ANNOTATIONS,
        STUDIES.read(columns=SIZE_COLUMNS),
        BOXES.read(),
        SPLIT.read(columns=("study", "subset")),
    )
    print("annotated " + ", ".join(f"{count} {subset}" for subset, count in counts.items()))


if __name__ == "__main__":
    main()

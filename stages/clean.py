"""clean: every study in or out with a reason, to data/clean and metrics/clean.json."""

from pathlib import Path

from pneumonia import params
from pneumonia.data.clean import clean
from pneumonia.files import fresh_dir, write_json
from pneumonia.schema import raw
from pneumonia.schema.data import CLEAN, CLEAN_METRICS


def main() -> None:
    p = params.load()
    with fresh_dir(CLEAN) as folder:
        metrics = clean(
            Path(raw.FOLDER),
            folder,
            min_box_side=p.clean.min_box_side,
            max_age=p.clean.max_age,
            window=p.images.window.values(),
        )
    write_json(CLEAN_METRICS, metrics)


if __name__ == "__main__":
    main()

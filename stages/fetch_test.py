"""fetch_test: the unlabelled test studies, drawn, downloaded or copied, to data/raw_test."""

from pathlib import Path

from pneumonia import params
from pneumonia.files import fresh_dir
from pneumonia.schema.raw import STORE, TEST_FOLDER


def main() -> None:
    p = params.load().fetch_test
    with fresh_dir(TEST_FOLDER) as folder:
        if p.source == "synthetic":
            from pneumonia.sources.synthetic.writer import write_test

            write_test(folder, studies=p.synthetic.studies, size=p.synthetic.size, seed=p.synthetic.seed)
        elif p.source == "kaggle":
            from pneumonia.sources import kaggle

            kaggle.fetch_test(Path(STORE), folder, p.sha256)
        else:
            from pneumonia.sources import local

            local.fetch_test(Path(p.path), folder, p.sha256)


if __name__ == "__main__":
    main()

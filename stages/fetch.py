"""fetch: the labelled studies, drawn, downloaded, copied or converted, to data/raw."""

from pathlib import Path

from pneumonia import params
from pneumonia.files import fresh_dir
from pneumonia.schema.raw import FOLDER, STORE


def main() -> None:
    p = params.load().fetch
    persons = Path(p.persons) if p.persons else None
    with fresh_dir(FOLDER) as folder:
        if p.source == "synthetic":
            from pneumonia.sources.synthetic.writer import write_labelled

            write_labelled(folder, studies=p.synthetic.studies, size=p.synthetic.size, seed=p.synthetic.seed)
        elif p.source == "kaggle":
            from pneumonia.sources import kaggle

            kaggle.fetch_labelled(Path(STORE), folder, p.sha256, persons)
        elif p.source == "local":
            from pneumonia.sources import local

            local.fetch_labelled(Path(p.path), folder, p.sha256, persons)
        else:
            from pneumonia.sources.foreign import fetch
            from pneumonia.sources.foreign.marked import Options

            fetch.fetch_labelled(p.source, Path(p.path), folder, Options(**p.foreign.values()), p.sha256, persons)


if __name__ == "__main__":
    main()

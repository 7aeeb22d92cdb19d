"""Export the trained models, each beside itself on hold-out studies: `python stages/export.py MODEL ...` writes models/exported."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from pneumonia import params
from pneumonia.export import bundles, formats
from pneumonia.files import fresh_dir
from pneumonia.schema.data import IMAGES, SPLIT
from pneumonia.schema.training import EXPORTED, MODELS


def main(names: Sequence[str]) -> None:
    formats.prepare()
    p = params.load()
    names = [name for name in names if name in p.answering]
    # The operating point belongs to the ensemble: with it, another of its params would export the models again.
    terms = bundles.Terms(operating_point=None, licence=bundles.licence(p.fetch.source))
    squares = bundles.held_back(Path(IMAGES), Path(SPLIT.path))
    with fresh_dir(Path(MODELS, EXPORTED)) as folder:
        bundles.export(
            names, Path(MODELS), folder, form="onnx", squares=squares, predict=p.predict.values(), terms=terms
        )


if __name__ == "__main__":
    main(sys.argv[1:])

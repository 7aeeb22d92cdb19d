"""A detector that is off (`<name>.enabled: false`): what its stages leave, so that DVC has its outs and nobody takes them for results."""

from __future__ import annotations

from pathlib import Path

from pneumonia.files import fresh_dir, write_json
from pneumonia.schema.training import HISTORY, METRICS, MODELS, history

MARK = "off.txt"  # all that lies in the folder of a model that is off


def train(name: str) -> None:
    """Write models/<name> with `MARK` alone, metrics/<name>.json and plots/history/<name>.csv without a number."""
    import pandas as pd

    with fresh_dir(Path(MODELS, name)) as folder:
        (folder / MARK).write_text(f"{name}.enabled is false in params.yaml\n", encoding="utf-8")
    write_json(METRICS.format(model=name), {})
    table = history(["loss"])
    table.write(HISTORY.format(model=name), pd.DataFrame(columns=list(table.columns)))


def is_off(folder: Path) -> bool:
    """Whether the folder of a model says that it is off."""
    return (folder / MARK).is_file()

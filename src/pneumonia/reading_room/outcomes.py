"""What became of each file of an input, as rows of a table that adds up."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING

from pneumonia.reading_room.inputs import FAILED, RESULTS, SKIPPED, Entry
from pneumonia.schema.results import NEW_STUDIES

if TYPE_CHECKING:
    import pandas as pd

    from pneumonia.dicom.windowing import Rendering
    from pneumonia.schema.table import Table


class Outcomes:
    """Collects one outcome a study; what is no study has its own already.

    Arguments:
        table: its columns are those of a row.
        words: what the table calls `RESULTS`, `FAILED` and `SKIPPED`.
    """

    def __init__(self, table: Table = NEW_STUDIES, words: Mapping[str, str] | None = None) -> None:
        self._table, self._words = table, dict(words or {})
        self._said: dict[int, dict[str, str]] = {}

    def read(self, entry: Entry, rendering: Mapping[str, str], warning: str = "") -> None:
        """The study has results; `rendering` is what `described` gives."""
        self._said[entry.number] = {"status": RESULTS, "warning": warning, **rendering}

    def failed(self, entry: Entry, reason: str) -> None:
        """The study has none, for this reason."""
        self._said[entry.number] = {"status": FAILED, "reason": reason}

    def skipped(self, entry: Entry, reason: str) -> None:
        """The study is not wanted, for this reason."""
        self._said[entry.number] = {"status": SKIPPED, "reason": reason}

    def said(self, entry: Entry) -> dict[str, str]:
        """What was said of a study."""
        return self._said[entry.number]

    def say(self, entry: Entry, said: Mapping[str, str]) -> None:
        """Say what `said` gave of the same study."""
        self._said[entry.number] = dict(said)

    def rows(self, entries: list[Entry]) -> pd.DataFrame:
        """One row an entry, in their order.

        Raises:
            RuntimeError: nothing was said of one.
        """
        import pandas as pd

        rows = []
        for entry in entries:
            own = {"path": entry.path, "study": entry.key, "status": entry.status, "reason": entry.reason}
            own |= {} if entry.status else self._said.get(entry.number, {})
            if not own["status"]:
                raise RuntimeError("a file is neither among the results nor failed nor skipped")
            rows.append([own.get(column, "") for column in self._table.columns])
        frame = pd.DataFrame(rows, columns=list(self._table.columns), dtype=str)
        frame["status"] = frame["status"].replace(self._words)
        return frame


def counts(rows: pd.DataFrame) -> Counter[str]:
    """Files by status."""
    return Counter(rows["status"])


def described(rendering: Rendering | None) -> dict[str, str]:
    """How an image was made of its file, in the words of the tables."""
    if rendering is None:
        return {}
    return {
        "decoder": rendering.decoder,
        "window": rendering.window,
        "center": _number(rendering.center),
        "width": _number(rendering.width),
        "inverted": "yes" if rendering.inverted else "no",
        "notes": " ".join(rendering.notes),
    }


def _number(value: float) -> str:
    return "" if math.isnan(value) else f"{value:.10g}"

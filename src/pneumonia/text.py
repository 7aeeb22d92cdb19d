"""Tables for a terminal."""

from __future__ import annotations

from collections.abc import Collection, Sequence


def aligned(rows: Sequence[Sequence[str]], right: Collection[int] = ()) -> str:
    """Cells under each other, two spaces between columns, a line a row; nothing at the end of a line.

    Arguments:
        rows: the first is the heading; all as long.
        right: the columns whose cells stand right, as numbers do; the others stand left.
    """
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = []
    for row in rows:
        cells = zip(row, widths, strict=True)
        padded = [text.rjust(width) if i in right else text.ljust(width) for i, (text, width) in enumerate(cells)]
        lines.append("  ".join(padded).rstrip())
    return "\n".join(lines)

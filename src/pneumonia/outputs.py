"""Where a command may write: nothing that lies there is ever lost."""

from __future__ import annotations

from pathlib import Path


def require_unused(folder: Path) -> None:
    """Raise ValueError where `folder` is a file, or a folder that holds something."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ValueError(f"{folder} exists and is not empty; name another --output")

"""How the tests share two processes (`pytest -n 2 --dist loadgroup`)."""

from pathlib import Path

import pytest

PIPELINE = Path(__file__).parent / "end_to_end"


@pytest.hookimpl(tryfirst=True)  # before xdist reads the marks
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A file's tests share what they train, those of end_to_end one reproduced project: each group stays in one process.

    The longest group goes first.
    """
    for item in items:
        group = "pipeline" if PIPELINE in item.path.parents else item.path.as_posix()
        item.add_marker(pytest.mark.xdist_group(group))
    items.sort(key=lambda item: PIPELINE not in item.path.parents)

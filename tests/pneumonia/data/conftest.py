"""A folder of shards, written once for the tests of the writer and of the reader."""

import pytest
from tests.pneumonia.data.small_shards import write


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("images") / "images"
    assert write(folder) == {"studies": 10, "resumed": 0, "unreadable": 0}
    return folder

"""The module is there for its imports; it says what to write."""

import pytest

from mrcnn.parallel_model import ParallelModel


def test_it_says_what_to_do():
    with pytest.raises(NotImplementedError, match="set GPU_COUNT"):
        ParallelModel(None, 2)

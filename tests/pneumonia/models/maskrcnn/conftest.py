"""One small training for the tests of this folder."""

import types

import keras
import pytest
from tests.pneumonia.models.maskrcnn.ellipses import SIZE, fit, made_up


@pytest.fixture(scope="session")
def trained(tmp_path_factory):
    """Its folder, its data, what it returned, and the epochs it told of."""
    folder = tmp_path_factory.mktemp("maskrcnn")
    store, studies, boxes = made_up(8, SIZE)
    seen = []
    keras.utils.set_random_seed(1)
    result = fit(store, studies, boxes, folder / "models", folder / "state.npz", on_epoch=lambda *row: seen.append(row))
    return types.SimpleNamespace(folder=folder, store=store, result=result, seen=seen)

"""One small training for the tests of this folder."""

import pytest
from tests.pneumonia.models.classifier.squares import fit


@pytest.fixture(scope="session")
def trained(tmp_path_factory):
    """Its folder, what it returned, and the epochs it told of."""
    folder = tmp_path_factory.mktemp("classifier")
    seen = []
    result = fit(folder / "model", folder / "state" / "x.npz", on_epoch=lambda epoch, logs: seen.append(epoch))
    return folder, result, seen

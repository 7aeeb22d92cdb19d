"""One reproduced project for all tests of this folder; each leaves it as it was (`pipeline.restore`)."""

from pathlib import Path

import pytest
from tests import pipeline


@pytest.fixture(scope="session")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository of its own in a folder with a space and an umlaut in its name, reproduced once."""
    project = tmp_path_factory.mktemp("fresh") / "Röntgen copy"
    pipeline.create(project)
    output = pipeline.run(project, "dvc", "repro")
    assert len(pipeline.ran(output)) == pipeline.STAGES
    pipeline.commit(project, "reproduced")
    return project

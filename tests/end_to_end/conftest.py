"""One reproduced project for all tests of this folder; each leaves it as it was (`pipeline.restore`)."""

import fcntl
import os
import shutil
from pathlib import Path

import pytest
from tests import pipeline


@pytest.fixture(scope="session")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository of its own in a folder with a space and an umlaut in its name, reproduced once.

    Processes that share the tests (`pytest -n`) share that run too, and each works in a copy of it.
    """
    place = tmp_path_factory.mktemp("fresh") / "Röntgen copy"
    if "PYTEST_XDIST_WORKER" not in os.environ:
        return reproduced(place)
    shared = tmp_path_factory.getbasetemp().parent / "Röntgen shared"
    done = shared.with_name("reproduced")
    with shared.with_name("reproducing").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not done.exists():
            shutil.rmtree(shared, ignore_errors=True)
            reproduced(shared)
            done.touch()
    shutil.copytree(shared, place, symlinks=True)
    pipeline.run(place, "dvc", "checkout", "-q", "--relink")  # the outputs are links to its own cache, as in the first
    return place


def reproduced(place: Path) -> Path:
    pipeline.create(place)
    output = pipeline.run(place, "dvc", "repro")
    assert len(pipeline.ran(output)) == pipeline.STAGES
    pipeline.commit(place, "reproduced")
    return place

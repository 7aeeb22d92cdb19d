"""Several devices sharing a batch: two halves of the CPU, in a process of their own for each backend."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import keras
import pytest
from tests.places import ROOT

from keraskit.compute.backend import OneDevice, batch_multiple, data_parallel, device_share, jit_compile


def test_jit_is_for_jax_only():
    assert jit_compile() == (keras.backend.backend() == "jax")


def test_one_device_needs_nothing():
    devices = data_parallel(1)
    assert isinstance(devices, OneDevice)
    with devices.scope():
        assert batch_multiple() == 1
        assert device_share(5.0) == 5.0


@pytest.mark.parametrize(("count", "message"), [(0, "at least 1, got 0"), (99, r"devices is 99, but \w+")])
def test_devices_that_are_not_there(count, message):
    with pytest.raises(ValueError, match=message):
        data_parallel(count)


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["tensorflow", "jax"])
def test_two_devices_train_as_one(backend):
    if importlib.util.find_spec(backend) is None:
        pytest.skip(f"{backend} is not installed")
    run = subprocess.run(
        [sys.executable, str(Path(__file__).with_name("two_devices.py"))],
        env=os.environ | {"KERAS_BACKEND": backend, "PYTHONPATH": str(ROOT / "src"), "TF_CPP_MIN_LOG_LEVEL": "2"},
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )
    assert run.returncode == 0, run.stderr[-3000:]
    rows = [line.split() for line in run.stdout.splitlines() if line.startswith(("yolo", "mask_rcnn"))]
    assert [row[0] for row in rows] == ["yolo", "mask_rcnn"]
    for _, loss, shared_loss, apart, moved, *_ in rows:
        assert float(shared_loss) == pytest.approx(float(loss), rel=1e-4)
        assert float(moved) > 0.1  # it learns
        assert float(apart) < 1e-3  # and both learn the same
    assert ("Mirrored" if backend == "tensorflow" else "'batch': 2") in run.stdout  # weights lie on both

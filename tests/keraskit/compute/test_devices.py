"""Choice of device and precision, with a stand-in for the hardware."""

import os
import platform
import subprocess
import sys

import keras
import pytest

from keraskit.compute import devices


@pytest.fixture
def no_gpu(monkeypatch):
    for name in ("_tensorflow", "_jax", "_torch"):
        monkeypatch.setattr(devices, name, lambda device, devices: False)
    before = keras.config.dtype_policy()
    yield
    keras.config.set_dtype_policy(before)


def test_gpu_without_one_is_an_error(no_gpu):
    with pytest.raises(RuntimeError, match=r"device is gpu, but \w+ sees none.*auto or cpu"):
        devices.configure("gpu")


@pytest.mark.parametrize("device", ["auto", "cpu"])
def test_without_a_gpu_it_is_the_cpu(no_gpu, device):
    assert devices.configure(device) == "cpu"


def test_precision_and_seed(no_gpu):
    devices.configure("cpu", "mixed_bfloat16", seed=3)
    assert keras.config.dtype_policy().compute_dtype == "bfloat16"
    first = keras.random.SeedGenerator().next()
    devices.configure("cpu", "float32", seed=3)
    assert keras.config.dtype_policy().compute_dtype == "float32"
    assert (
        keras.ops.convert_to_numpy(first).tolist()
        == keras.ops.convert_to_numpy(keras.random.SeedGenerator().next()).tolist()
    )


@pytest.mark.parametrize(
    ("arguments", "message"), [(("tpu",), "device must be"), (("cpu", "int8"), "precision must be")]
)
def test_unknown_words(arguments, message):
    with pytest.raises(ValueError, match=message):
        devices.configure(*arguments)


KEPT = """
import numpy as np
from keraskit.compute.devices import keep_freed_memory

def resident():
    return int(open("/proc/self/statm").read().split()[1]) * 4096

told = keep_freed_memory()
before = resident()
block = np.ones(2**27, np.uint8)
del block
print(told, resident() - before > 2**26)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="glibc's allocator")
@pytest.mark.parametrize(("extra", "kept"), [({}, True), ({"MALLOC_ARENA_MAX": "2"}, False)])
def test_freed_memory_is_kept_unless_the_environment_decides(extra, kept):
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MALLOC_")} | extra
    done = subprocess.run([sys.executable, "-c", KEPT], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.split() == [str(kept), str(kept)]

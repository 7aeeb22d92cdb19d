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


@pytest.mark.parametrize(
    ("named", "file", "missing", "sentence"),
    [
        (None, None, ["tensorflow", "torch"], r"backend tensorflow is not installed: .*\[tensorflow\].* or set KERAS_BACKEND to jax$"),
        (None, '{"backend": "torch"}', ["torch", "jax"], r"backend torch is not installed: .*\[torch\].* to tensorflow$"),
        (None, "no JSON", ["tensorflow", "jax", "torch"], r"backend tensorflow is not installed: .* in the project$"),
        ("jax", '{"backend": "torch"}', ["jax"], r"backend jax is not installed: .*\[jax\]"),
        ("jax", None, ["tensorflow"], None),
        ("numpy", None, ["tensorflow"], None),  # for Keras to judge
    ],
)  # fmt: skip
def test_a_missing_backend_is_named(named, file, missing, sentence, tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.delenv("KERAS_BACKEND", raising=False)
    if named:
        monkeypatch.setenv("KERAS_BACKEND", named)
    if file:
        (tmp_path / "keras.json").write_text(file)
    there = [name for name in devices.BACKENDS if name not in missing]
    monkeypatch.setattr("importlib.util.find_spec", lambda name: name if name in there else None)
    if sentence is None:
        devices.require_backend()
        return
    with pytest.raises(ModuleNotFoundError, match=sentence):
        devices.require_backend()


@pytest.mark.parametrize("package", ["mrcnn", "yolov3"])
def test_the_detectors_name_a_missing_backend_before_keras_does(package, tmp_path):
    """And without loading Keras or one that is there."""
    code = f"""
import sys
sys.modules["tensorflow"] = None
try:
    import {package}.model
except ModuleNotFoundError as error:
    print(error, *(name for name in ("keras", "jax", "torch") if name in sys.modules), sep="|")
"""
    environment = os.environ | {"KERAS_HOME": str(tmp_path), "KERAS_BACKEND": "tensorflow"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.startswith("Keras' backend tensorflow is not installed: pip install -e '.[tensorflow]' in the")
    assert done.stdout.count("|") == 0

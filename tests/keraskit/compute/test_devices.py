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


COMPILED = """
import jax
from keraskit.compute import devices
devices.keep_compiled()
events = []
jax.monitoring.register_event_listener(lambda event, **more: events.append(event.rpartition("/")[2]))
print(float(jax.jit(lambda x: (x @ x).sum())(jax.numpy.full((8, 8), 2.0))))
print(events.count("cache_hits"), events.count("cache_misses"))
"""


def test_what_jax_compiled_is_there_for_the_next_process(tmp_path):
    """Told by JAX's own events; a damaged entry and a folder that cannot be written cost a warning."""
    pytest.importorskip("jax")

    def run(**extra):
        own = {
            "KERAS_BACKEND": "jax",
            "XDG_CACHE_HOME": str(tmp_path),
            "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        }
        environment = {name: value for name, value in os.environ.items() if name != devices.COMPILED} | own | extra
        done = subprocess.run(
            [sys.executable, "-c", COMPILED], env=environment, capture_output=True, text=True, check=True
        )
        value, counts = done.stdout.splitlines()
        assert value == "2048.0"  # each of 64 is 8 * 2 * 2
        hits, misses = map(int, counts.split())
        return hits, misses, done.stderr

    hits, misses, _ = run()
    entries = [path for path in tmp_path.glob("keraskit/jax/*/*") if path.name.endswith("-cache")]
    assert hits == 0
    assert len(entries) >= misses > 0
    assert run()[:2] == (misses, 0)
    for path in entries:
        path.write_bytes(b"damaged")
    assert run()[0] == 0
    (tmp_path / "file").write_text("no folder")
    hits, _, said = run(XDG_CACHE_HOME=str(tmp_path / "file"))
    assert hits == 0
    assert said.count("what JAX compiles is not kept for the next start: ") == 1
    run(JAX_COMPILATION_CACHE_DIR=str(tmp_path / "own"))
    assert list((tmp_path / "own").glob("*-cache"))


def test_it_is_kept_wherever_a_process_is_set_up(no_gpu, monkeypatch):
    told = []
    monkeypatch.setattr(devices, "keep_compiled", lambda: told.append(True))
    devices.configure("cpu")
    assert told == [True]


def test_only_jax_is_told_where_to_keep_what_it_compiles(monkeypatch):
    monkeypatch.delenv(devices.COMPILED, raising=False)
    monkeypatch.setenv("KERAS_BACKEND", "tensorflow")
    assert devices.keep_compiled() is None
    assert devices.COMPILED not in os.environ


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

"""Where and how exactly a model computes: device, precision, seeds. Called once, before Keras is imported elsewhere."""

from __future__ import annotations

import contextlib
import ctypes
import functools
import hashlib
import importlib.util
import json
import logging
import os
import platform
import sys
import tempfile
from pathlib import Path
from typing import Any

BACKENDS = ("tensorflow", "jax", "torch")  # packages of their own, each an extra; the first is Keras' default
DEVICES = ("auto", "gpu", "cpu")
PRECISIONS = ("float32", "mixed_bfloat16", "mixed_float16")
MALLOPT = (  # names and numbers of glibc's malloc.h
    (-4, 0),  # M_MMAP_MAX: no block of its own for a large request
    (-1, 2**31 - 1),  # M_TRIM_THRESHOLD: free bytes at the top that go back
    (-2, 64 * 2**20),  # M_TOP_PAD: bytes asked for beyond a request
    (-8, 1),  # M_ARENA_MAX: threads share what was freed
)


def configure(device: str = "auto", precision: str = "float32", seed: int = 0, devices: int = 1) -> str:
    """Choose device and precision, seed every generator, ask for deterministic kernels.

    Arguments:
        devices: how many share each batch. Where that is the CPU, it is split into as many, to try the thing without GPUs.

    Returns:
        "gpu" or "cpu".

    Raises:
        ModuleNotFoundError: the backend is not installed, see `require_backend`.
        RuntimeError: device "gpu" and there is none; device "cpu" where the backend already runs on a GPU.
        ValueError: an unknown device or precision.
    """
    if device not in DEVICES:
        raise ValueError(f"device must be one of {', '.join(DEVICES)}, got {device!r}")
    if precision not in PRECISIONS:
        raise ValueError(f"precision must be one of {', '.join(PRECISIONS)}, got {precision!r}")
    require_backend()
    keep_freed_memory()
    keep_compiled()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # errors only; TensorFlow reads it at its import
    if device == "cpu":
        os.environ["KERAS_TORCH_DEVICE"] = "cpu"  # Keras reads it at its import
    import keras

    gpus = {"tensorflow": _tensorflow, "jax": _jax, "torch": _torch}.get(keras.backend.backend(), _none)(
        device, devices
    )
    if device == "gpu" and not gpus:
        raise RuntimeError(
            f"device is gpu, but {keras.backend.backend()} sees none. Install the [gpu] extra and a driver that fits, "
            "or set device to auto or cpu"
        )
    keras.config.set_dtype_policy(precision)
    keras.utils.set_random_seed(seed)
    return "gpu" if gpus and device != "cpu" else "cpu"


def require_backend() -> None:
    """Stop with one sentence where the backend that Keras would load is not installed: Keras' own word is a traceback.

    Nothing is imported.

    Raises:
        ModuleNotFoundError: names the extra to install, and the backends that are there.
    """
    wanted = _wanted_backend()
    if wanted not in BACKENDS or importlib.util.find_spec(wanted) is not None:
        return
    others = [name for name in BACKENDS if importlib.util.find_spec(name) is not None]
    instead = f", or set KERAS_BACKEND to {' or '.join(others)}" if others else ""
    raise ModuleNotFoundError(
        f"Keras' backend {wanted} is not installed: pip install -e '.[{wanted}]' in the project{instead}"
    )


def _wanted_backend() -> str:
    """What Keras reads at its import: the variable KERAS_BACKEND, else its file keras.json, else its default."""
    if named := os.environ.get("KERAS_BACKEND"):
        return named
    path = Path(os.environ.get("KERAS_HOME") or Path.home() / ".keras") / "keras.json"
    try:
        return str(json.loads(path.read_text(encoding="utf-8")).get("backend", BACKENDS[0]))
    except (OSError, ValueError, AttributeError):
        return BACKENDS[0]


def keep_freed_memory() -> bool:
    """Let glibc's allocator keep what the process frees; True where it could be told so.

    By default it hands every large block back at once, and a training step that asks for the same gigabyte again pays
    for each page anew: half of the CPU's time on a virtual machine. The peak of memory is what it was. Nothing is changed
    where a `MALLOC_` variable of the environment already says how it should be, nor where the C library is another.
    """
    if sys.platform != "linux" or any(name.startswith("MALLOC_") for name in os.environ):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError):  # musl
        return False
    return all(mallopt(option, value) for option, value in MALLOPT)


COMPILED = "JAX_COMPILATION_CACHE_DIR"  # which JAX reads at its import


def keep_compiled() -> Path | None:
    """Have JAX keep what it compiles (for a second or longer) in the user's cache folder, where the next process takes it from.

    Called before anything is compiled. The program is the same, and so are its results. Nothing is done where Keras has
    another backend, or JAX_COMPILATION_CACHE_DIR names a folder; one that cannot be written is a warning.

    Returns:
        The folder, one for each kind of processor: what is compiled for one may not run on another that shares it. None
        where nothing is done.
    """
    if _wanted_backend() != "jax" or COMPILED in os.environ:
        return None
    folder = _cache_folder()
    if folder is not None:
        os.environ[COMPILED] = str(folder)
        if "jax" in sys.modules:
            sys.modules["jax"].config.update("jax_compilation_cache_dir", str(folder))
    return folder


@functools.cache
def _cache_folder() -> Path | None:
    try:
        home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
        folder = home / "keraskit" / "jax" / _processor()
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return folder
    except (OSError, RuntimeError) as error:  # the latter: there is no home
        logging.getLogger(__name__).warning("what JAX compiles is not kept for the next start: %s", error)
        return None


def _processor() -> str:
    """A name for what the processor can do."""
    try:
        said = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        said = ""
    able = next((line for line in said.splitlines() if line.startswith(("flags", "Features"))), platform.processor())
    return f"{platform.machine()}-{hashlib.sha256(able.encode()).hexdigest()[:8]}"


def parallel(devices: int) -> contextlib.AbstractContextManager[Any]:
    """What has to be open while a model is built and trained whose batches `devices` devices share.

    Raises:
        ValueError: there are fewer, or the backend has no way to. See `keraskit.compute.backend.data_parallel`.
    """
    from keraskit.compute.backend import data_parallel

    scope: contextlib.AbstractContextManager[Any] = data_parallel(devices).scope()
    return scope


def _tensorflow(device: str, devices: int) -> bool:
    import tensorflow as tf

    # The same bytes from the same input; Keras then leaves XLA off unless it is asked for.
    tf.config.experimental.enable_op_determinism()
    gpus = tf.config.list_physical_devices("GPU")
    try:
        if device == "cpu":
            tf.config.set_visible_devices([], "GPU")
        else:
            for gpu in gpus:
                tf.config.experimental.set_memory_growth(gpu, True)
        if devices > 1 and (device == "cpu" or not gpus):
            parts = [tf.config.LogicalDeviceConfiguration() for _ in range(devices)]
            tf.config.set_logical_device_configuration(tf.config.list_physical_devices("CPU")[0], parts)
    except RuntimeError as error:
        raise RuntimeError(
            f"device {device}: TensorFlow already runs; call devices.configure before it does"
        ) from error
    return bool(gpus)


def _jax(device: str, devices: int) -> bool:
    import jax

    if device == "cpu":
        jax.config.update("jax_platforms", "cpu")
    if devices > 1:
        jax.config.update("jax_num_cpu_devices", devices)
    try:
        return bool(jax.devices("gpu")) and device != "cpu"
    except RuntimeError:  # no such backend
        return False


def _torch(device: str, devices: int) -> bool:
    import torch

    torch.use_deterministic_algorithms(True, warn_only=True)
    return bool(torch.cuda.is_available())


def _none(device: str, devices: int) -> bool:
    return False

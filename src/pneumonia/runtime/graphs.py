"""One exported graph in memory: arrays in, arrays out, whatever the format."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pneumonia import extras
from pneumonia.runtime.bundle import GRAPHS, PACKAGES

Graph = Callable[[NDArray[np.uint8]], Mapping[str, NDArray[Any]]]


def cores() -> int:
    """Of the machine, those that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def open_graph(folder: Path, form: str, threads: int = 0) -> Graph:
    """The graph of a bundle.

    Arguments:
        folder: of the bundle.
        form: its format, one of `pneumonia.runtime.bundle.FORMATS`.
        threads: that work on one call; 0: one a core. The results are the same bytes, of ONNX for any number.

    Raises:
        ModuleNotFoundError: the format's runtime is not installed.
    """
    extras.require(PACKAGES[form], what=f"a model in the format {form}")
    opened: Graph = _OPEN[form](str(folder / GRAPHS[form]), threads or cores())
    return opened


def _onnx(path: str, threads: int) -> Graph:
    """Images are dealt out to threads one by one, each of which asks for one core: as fast as many cores on one image where
    there are many images, and what is said of an image does not depend on its neighbours nor on the threads."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.use_deterministic_compute = True
    options.log_severity_level = 3  # errors
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    pool = ThreadPoolExecutor(threads, thread_name_prefix="onnx")

    def one(image: NDArray[np.uint8]) -> list[NDArray[Any]]:
        answer: list[NDArray[Any]] = session.run(names, {"images": image[None]})
        return answer

    def run(images: NDArray[np.uint8]) -> Mapping[str, NDArray[Any]]:
        said = list(pool.map(one, images)) if len(images) > 1 else [one(image) for image in images]
        return {name: np.concatenate(parts) for name, parts in zip(names, zip(*said, strict=True), strict=True)}

    return run


def _openvino(path: str, threads: int) -> Graph:
    import openvino

    settings = {
        "INFERENCE_NUM_THREADS": threads,
        "INFERENCE_PRECISION_HINT": "f32",
    }  # bfloat16 where a processor has it
    compiled = openvino.Core().compile_model(path, "CPU", settings)
    names = {output: output.get_any_name() for output in compiled.outputs}

    def run(images: NDArray[np.uint8]) -> Mapping[str, NDArray[Any]]:
        found = compiled(images)
        return {name: np.array(found[output]) for output, name in names.items()}

    return run


def _litert(path: str, threads: int) -> Graph:
    from ai_edge_litert.interpreter import Interpreter

    runner = Interpreter(path, num_threads=threads).get_signature_runner("serving_default")
    return lambda images: {name: np.array(values) for name, values in runner(images=images).items()}


def _savedmodel(path: str, threads: int) -> Graph:
    import tensorflow as tf

    loaded = tf.saved_model.load(path)

    def run(images: NDArray[np.uint8]) -> Mapping[str, NDArray[Any]]:
        found = loaded.signatures["serving_default"](images=tf.constant(images))
        return {name: np.asarray(values) for name, values in found.items()}

    return run


_OPEN = {"onnx": _onnx, "openvino": _openvino, "litert": _litert, "savedmodel": _savedmodel}

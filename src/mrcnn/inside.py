"""What lies inside a model, by Matterport's names: for `MaskRCNN.run_graph` and the notebooks that look into a network."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

import keras

from mrcnn.parts.normalization import ConvNorm
from mrcnn.parts.proposals import STEPS, ProposalSteps

Tensor = Any
NMS = "rpn_non_max_suppression"  # the step whose number of rows the image decides
_STEP = re.compile(rf"ROI(?:_\d+)?/({'|'.join(STEPS)})(?:/\w+)?:0")


class Part:
    """A layer as Matterport's models show it: `output` is the tensor of its name, all else is the layer's own.

    Attributes:
        output: symbolic.
    """

    def __init__(self, name: str, layer: keras.layers.Layer | None, output: Tensor):
        self.name, self.output, self._layer = name, output, layer

    def __getattr__(self, attribute: str) -> Any:
        if attribute == "_layer" or self._layer is None:
            raise AttributeError(
                f"{self.name} is an operation without weights: it has a name and an output, no {attribute}"
            )
        return getattr(self._layer, attribute)


class Inside:
    """The layers and tensors of a model by Matterport's names.

    What the graph does not compute as such (the output of a convolution whose normalization lies in its kernel, of the mask
    head before its last layer) joins it when it is first asked for; the model itself stays as it is.

    Arguments:
        model: whose layers it finds.
        look: gives `name -> (layer or None, symbolic tensor)` of what lies in layers made of others.
        proposed: `(rpn_probs, rpn_bbox)`, symbolic, of which proposals are made.
    """

    def __init__(
        self, model: Any, look: Callable[[], Mapping[str, tuple[Any, Tensor]]], proposed: tuple[Tensor, Tensor]
    ):
        self._model, self._look, self._proposed = model, look, proposed
        self._found: dict[str, Any] = {}
        self._steps: dict[str, Tensor] = {}

    def find(self, name: str) -> Any:
        """The layer or `Part` of that name, None where only the model itself may know it."""
        if not self._found:
            for layer in self._model.layers:
                if isinstance(layer, ConvNorm):
                    layer.norm(layer.conv(layer.input))  # gives both an output
                    self._found |= {layer.conv.name: layer.conv, layer.norm.name: layer.norm}
            self._found |= {key: Part(key, *found) for key, found in self._look().items()}
        return self._found.get(name)

    def step(self, name: str) -> Tensor | None:
        """The tensor that Matterport's graph has as `ROI/<one of STEPS>:0`; None for any other name."""
        match = _STEP.fullmatch(name)
        if match is None:
            return None
        if not self._steps:
            tensors = ProposalSteps(self._model.get_layer("ROI"), name="ROI_steps")(*self._proposed)
            self._steps = dict(zip(STEPS, tensors, strict=True))
        return self._steps[match[1]]

    def is_nms(self, tensor: Tensor) -> bool:
        """Whether `tensor` is the one of `step` for the non-maximum suppression."""
        return tensor is self._steps.get(NMS)

    def same_in(self, other: Inside, tensor: Tensor) -> Tensor:
        """The tensor of `other`, a model of the same layers for images of another shape, that is `tensor` here.

        Raises:
            ValueError: it is neither a layer's output nor one of `step`.
        """
        if other is self:
            return tensor
        for name, own in self._steps.items():
            if own is tensor:
                return other.step(f"ROI/{name}:0")
        for name, part in self._found.items():
            if part.output is tensor:
                return other.find(name).output
        layer = tensor._keras_history.operation
        if layer not in self._model.layers:
            raise ValueError(f"{tensor} is no layer's output: for images of another shape than IMAGE_SHAPE it must be")
        return other._model.get_layer(layer.name).output

"""A trained classifier: loads, predicts, explains.

For such a network the class activation map (Zhou et al. 2016) is exact: the score's logit is the mean of the map, and
Grad-CAM equals it (Selvaraju et al. 2017, sec. 3.1). With a hidden layer before the score there is no such map, and
Grad-CAM stands in for it.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pneumonia import files
from pneumonia.models.classifier.grad_cam import grad_cam
from pneumonia.models.classifier.network import HIDDEN, SCORE, build

if TYPE_CHECKING:
    import keras

Features = NDArray[np.float32]
LARGEST_BATCH = 32  # studies of a prediction step


class Classifier:
    """A trained classifier.

    Attributes:
        image_size: pixels, side of the images it wants.
    """

    def __init__(self, model: keras.Model) -> None:
        import keras

        from keraskit.compute.backend import jit_compile

        self.image_size = int(model.input.shape[1])
        pooled = model.get_layer("pool")
        # The map before the pooling; the rest is a product or two, cheap enough for NumPy or one gradient.
        self._features = keras.Model(model.input, pooled.input)
        self._features.compile(jit_compile=jit_compile())
        kernel, bias = model.get_layer(SCORE).get_weights()
        self._kernel, self._bias = kernel[:, 0].astype(np.float32), float(bias[0])
        hidden = any(layer.name == HIDDEN for layer in model.layers)
        self._before_score = keras.Model(pooled.input, model.get_layer(SCORE).input) if hidden else None

    def predict(self, images: NDArray[np.uint8]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Score studies and say where the score comes from.

        Arguments:
            images: uint8 `[B, image_size, image_size]`.

        Returns:
            Probabilities of an opacity, float32 `[B]`. Activation maps, float32 `[B, h, w]`, each the whole image on a
            grid of 32 pixels a cell. Without a hidden layer they are class activation maps in units of the logit: the
            logit of the score is the mean of its map. With one they are Grad-CAM's: zero or above, and only the
            proportions of a map mean something.
        """
        size = self.image_size
        if images.ndim != 3 or images.shape[1:] != (size, size):
            raise ValueError(f"images must be [B, {size}, {size}], got {list(images.shape)}")
        explain = self._class_activation if self._before_score is None else self._grad_cam
        scores, maps = [np.zeros(0, np.float32)], [np.zeros((0, size // 32, size // 32), np.float32)]
        for first in range(0, len(images), LARGEST_BATCH):
            part = images[first : first + LARGEST_BATCH]
            logits, cam = explain(np.asarray(self._features.predict_on_batch(part[..., None]), np.float32))
            scores.append(_sigmoid(logits).astype(np.float32))
            maps.append(cam)
        return np.concatenate(scores), np.concatenate(maps)

    def graph(self) -> keras.Model:
        """`predict` as one graph: `images` uint8 `[B, S, S]` -> `score` `[B]` and `map` `[B, h, w]`, float32."""
        import keras
        from keras import ops

        images = keras.Input((self.image_size, self.image_size), dtype="uint8", name="images")
        features = self._features(ops.cast(images, "float32")[..., None])
        kernel = self._kernel  # arrays: tensors would become inputs of an exported graph
        if self._before_score is None:
            cam = ops.sum(features * kernel, axis=-1) + np.float32(self._bias)
            logits = ops.mean(cam, axis=(1, 2))
        else:
            # The derivative of a head of mean, one ReLU layer and one unit, written out: see grad_cam.
            hidden = self._before_score(features)
            logits = ops.sum(hidden * kernel, axis=-1) + np.float32(self._bias)
            (before,) = (layer for layer in self._before_score.layers if layer.name == HIDDEN)
            places = (self.image_size // 32) ** 2
            active = ops.cast(hidden > 0, "float32") * kernel
            weights = ops.matmul(active, np.ascontiguousarray(before.get_weights()[0].T) / np.float32(places))
            cam = ops.relu(ops.sum(features * weights[:, None, None], axis=-1))
        # Written out: runtimes' own sigmoids are exact to 1e-7 alone, which the gate's root of a low score makes 0.02.
        scores = 1.0 / (1.0 + ops.exp(-logits))
        return keras.Model(images, {"score": scores, "map": cam}, name="classifier")

    def _class_activation(self, features: Features) -> tuple[NDArray[np.float64], Features]:
        """Logits and maps of features `[B, h, w, C]`, exact for a head of pooling and one layer."""
        cam = features @ self._kernel + self._bias
        return cam.mean(axis=(1, 2), dtype=np.float64), cam

    def _grad_cam(self, features: Features) -> tuple[NDArray[np.float64], Features]:
        """Logits and maps of features `[B, h, w, C]`, for any head."""
        import keras

        logits = np.asarray(keras.ops.convert_to_numpy(self._logits(features)), np.float64)
        return logits, grad_cam(self._logits, features)

    def _logits(self, features: Any) -> Any:
        """The head, before the sigmoid: `[B, h, w, C]` -> `[B]`, in the backend's tensors."""
        import keras

        assert self._before_score is not None
        return keras.ops.matmul(self._before_score(features, training=False), self._kernel) + self._bias


def load(folder: str | Path) -> Classifier:
    """The classifier that `train` wrote.

    Raises:
        FileNotFoundError: there is none.
    """
    folder = Path(folder)
    described = files.read_json(folder / "model.json")
    # Models of before the hidden layer do not name it.
    model = build(described["backbone"], described["image_size"], hidden=described.get("hidden", 0))
    model.load_weights(folder / "model.weights.h5")
    return Classifier(model)


def _sigmoid(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    result: NDArray[np.float64] = 0.5 * (1.0 + np.tanh(0.5 * logits))  # no overflow, either way
    return result

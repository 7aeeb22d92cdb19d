"""`MaskRCNN`: build, load, train, detect, with the calls of Matterport's class of that name.

model = MaskRCNN("inference", config, model_dir="logs")
model.load_weights("mask_rcnn_coco.h5", by_name=True)
r = model.detect([image])[0]  # r["rois"], r["class_ids"], r["scores"], r["masks"]
"""

from __future__ import annotations

import copy
import datetime
import importlib.util
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import ops

from keraskit.compute.backend import data_parallel, device_share, jit_compile
from mrcnn import utils, weights
from mrcnn.config import Config
from mrcnn.dataset import DataGenerator, Dataset, compose_image_meta, load_image_gt, parse_image_meta
from mrcnn.download import imagenet_weights
from mrcnn.generator import build_detection_targets, build_rpn_targets, data_generator, generate_random_rois
from mrcnn.images import mold_image, resize_image, unmold_image, unmold_mask
from mrcnn.network import Network
from mrcnn.parts.anchors import compute_backbone_shapes, denorm_boxes, norm_boxes, pyramid_anchors
from mrcnn.parts.backbone import resnet_graph
from mrcnn.parts.proposals import STEPS
from mrcnn.weights import LAYERS

__all__ = [
    "LAYERS",
    "DataGenerator",
    "MaskRCNN",
    "build_detection_targets",
    "build_rpn_targets",
    "compose_image_meta",
    "compute_backbone_shapes",
    "data_generator",
    "generate_random_rois",
    "load_image_gt",
    "log",
    "mold_image",
    "parse_image_meta",
    "resnet_graph",
    "unmold_image",
    "utils",
]


def log(text: str, array: np.ndarray | None = None) -> None:
    """Print `text` and, of an array, its shape, its range and its type."""
    if array is not None:
        span = f"min: {array.min():10.5f}  max: {array.max():10.5f}" if array.size else "empty"
        text = f"{text:25}shape: {array.shape!s:20}  {span}  {array.dtype}"
    print(text)


_OF_A_TRAINING = re.compile(r"/([^/]+\d{8}T\d{4}(?:\d{2})?)/mask_rcnn_[^/]+_(\d{4})\.h5$")  # Matterport's: no seconds


class MaskRCNN:
    """A Mask R-CNN.

    Arguments:
        mode: "training" or "inference"; decides what `keras_model` is.
        config: a `mrcnn.config.Config`.
        model_dir: trainings are written below it, each to a folder named by `NAME` and the time of its beginning.
    """

    def __init__(self, mode: str, config: Config, model_dir: str | Path):
        if mode not in ("training", "inference"):
            raise ValueError(f"mode must be 'training' or 'inference', got {mode!r}")
        self.mode, self.config, self.model_dir = mode, config, str(model_dir)
        training = mode == "training"
        # Detection fills its batches on one device: `BATCH_SIZE` images are enough for it.
        try:
            self._devices = data_parallel(config.GPU_COUNT if training else 1)
        except ValueError as error:
            raise ValueError(f"GPU_COUNT is {config.GPU_COUNT}, set it to the devices that train: {error}") from error
        with self._devices.scope():
            self.network = Network(config)
            self.keras_model = self._graph(self.network)
        if not training:
            self.keras_model.compile(jit_compile=jit_compile())
        self._of_other_shapes: dict[tuple[int, ...], Any] = {}  # see _model_for
        self.set_log_dir()

    @property
    def anchors(self) -> np.ndarray:
        """The anchors, `[A, (y1, x1, y2, x2)]` float64, pixels of the molded image."""
        return self.network.anchors

    def load_weights(self, filepath: str | Path, by_name: bool = False, exclude: Sequence[str] | None = None) -> None:
        """Load a weight file of this package or of Matterport's; see `mrcnn.weights.load`.

        A file that `train` wrote (`<name>20261126T061500/mask_rcnn_<name>_0007.h5`) also sets the epoch to go on from.
        """
        weights.load(self.keras_model, filepath, by_name, exclude)
        self.set_log_dir(filepath)

    def set_log_dir(self, model_path: str | Path | None = None) -> None:
        """Where `train` writes (a folder below `model_dir`) and after which epoch: those of the training that wrote
        `model_path`, else new ones."""
        found = _OF_A_TRAINING.search(Path(model_path).absolute().as_posix()) if model_path else None
        folder = found[1] if found else f"{self._name}{datetime.datetime.now():%Y%m%dT%H%M%S}"
        self.epoch, self.log_dir = int(found[2]) if found else 0, str(Path(self.model_dir) / folder)
        self.checkpoint_path = str(Path(self.log_dir) / f"mask_rcnn_{self._name}_{{epoch:04d}}.h5")

    def get_imagenet_weights(self) -> str:
        """Path of ResNet50's ImageNet weights, downloaded at the first call (`mrcnn.download.imagenet_weights`);
        `load_weights(path, by_name=True)` takes them."""
        return str(imagenet_weights())

    def save_weights(self, filepath: str | Path) -> None:
        """Write all weights in Matterport's layout."""
        weights.save(self.keras_model, filepath)

    def find_last(self) -> str:
        """The weight file of the last epoch of the last training below `model_dir`.

        `find_last()[1]` is the same, as projects for Matterport's versions 2.0 and 2.1 have it.
        """
        for folder in sorted(Path(self.model_dir).glob(f"{self._name}*/"), reverse=True):
            if files := sorted(folder.glob("mask_rcnn_*_[0-9][0-9][0-9][0-9].h5")):
                return _Found(files[-1])
        raise FileNotFoundError(f"no weight file mask_rcnn_*_0001.h5 or later in {self.model_dir}/{self._name}*")

    @property
    def _name(self) -> str:
        return str(self.config.NAME or "mask_rcnn").lower()

    def set_trainable(self, layer_regex: str, keras_model: Any = None, indent: int = 0, verbose: int = 1) -> None:
        """Let the layers learn whose name matches `layer_regex` as a whole, and no others."""
        for name in weights.set_trainable(keras_model or self.keras_model, layer_regex):
            if verbose > 1:
                print(" " * indent + name)

    def get_trainable_layers(self) -> list[keras.layers.Layer]:
        """The layers that have weights."""
        return [leaf for layer in weights.weighted_layers(self.keras_model) for leaf in weights.leaf_layers(layer)]

    def compile(self, learning_rate: float, momentum: float) -> None:
        """SGD with a bound on the global norm of the gradient, as Matterport's."""
        bound = self.config.GRADIENT_CLIP_NORM
        optimizer = keras.optimizers.SGD(
            learning_rate, momentum=momentum, global_clipnorm=device_share(bound) if bound else None
        )
        self.keras_model.compile(optimizer=optimizer, jit_compile=jit_compile())

    def train(
        self,
        train_dataset: Dataset,
        val_dataset: Dataset,
        learning_rate: float,
        epochs: int,
        layers: str,
        augmentation: Any = None,
        custom_callbacks: Sequence[keras.callbacks.Callback] | None = None,
        no_augmentation_sources: Sequence[str] | None = None,
        workers: int = 1,
    ) -> keras.callbacks.History:
        """Train `layers` up to epoch number `epochs` (counted over all calls), writing the weights of every epoch.

        Arguments:
            layers: "heads", "3+", "4+", "5+" (ResNet stages from there, and the heads), "all", or a regular expression.
            augmentation: imgaug augmenter of the training images.
            custom_callbacks: join the ones for weights and the log.
            no_augmentation_sources: of the data set, whose images are not augmented.
            workers: threads that make batches ahead, in the same order and of the same content as one does; more than one
                call `load_image` and `load_mask` at the same time.

        Raises:
            ValueError: a model in mode "inference"; a callback that would fail at its first epoch's end.
            ModuleNotFoundError: a callback needs a package that is not installed.
        """
        if self.mode != "training":
            raise ValueError("train needs a model in mode 'training', this one is in mode 'inference'")
        _check_callbacks(custom_callbacks or [])
        self.set_trainable(LAYERS.get(layers, layers))
        if epochs <= self.epoch:
            log(f"Nothing to train: {self.epoch} epochs are done, and up to {epochs} are wanted")
        else:
            log(f"Starting after epoch {self.epoch} with learning rate {learning_rate}; weights go to {self.log_dir}")
        folder = Path(self.log_dir)
        folder.mkdir(parents=True, exist_ok=True)
        callbacks = [_SaveEachEpoch(self), keras.callbacks.CSVLogger(str(folder / "log.csv"), append=True)]
        with self._devices.scope():
            self.compile(learning_rate, self.config.LEARNING_MOMENTUM)
            history = self.keras_model.fit(
                DataGenerator(
                    train_dataset,
                    self.config,
                    epoch=self.epoch,
                    augmentation=augmentation,
                    steps=self.config.STEPS_PER_EPOCH,
                    no_augmentation_sources=no_augmentation_sources,
                    workers=workers,
                ),
                validation_data=DataGenerator(
                    val_dataset, self.config, steps=self.config.VALIDATION_STEPS, workers=workers
                ),
                initial_epoch=self.epoch,
                epochs=epochs,
                shuffle=False,  # the generator shuffles, from its seed
                callbacks=[*callbacks, *(custom_callbacks or [])],
            )
        self.epoch = max(self.epoch, epochs)
        return history

    def detect(self, images: Sequence[np.ndarray], verbose: int = 0) -> list[dict[str, np.ndarray]]:
        """Find instances in images `[H, W, 3]` of any size and number.

        Arguments:
            verbose: above 0 prints what goes in.

        Returns:
            for each image: `rois` int32 `[n, (y1, x1, y2, x2)]` pixels of the image, `class_ids` int32 `[n]`,
            `scores` float32 `[n]`, `masks` bool `[H, W, n]`.
        """
        molded = [self._mold(image, i) for i, image in enumerate(images)]
        if verbose:
            log(f"Processing {len(images)} images")
        results: list[Any] = [None] * len(molded)
        for shape in dict.fromkeys(part[0].shape for part in molded):  # one, but for the modes pad64 and none
            numbers = [i for i, part in enumerate(molded) if part[0].shape == shape]
            stacked, metas = (np.stack([molded[i][part] for i in numbers]) for part in (0, 1))
            if verbose:
                for i in numbers:
                    log("image", images[i])
                log("molded_images", stacked)
                log("image_metas", metas)
            outputs = self._predict(stacked, metas)
            for place, i in enumerate(numbers):
                masks = self._masks(outputs, place)
                found = self.unmold_detections(outputs[0][place], masks, images[i].shape, shape, molded[i][2])
                results[i] = dict(zip(("rois", "class_ids", "scores", "masks"), found, strict=True))
        return results

    def detect_molded(
        self, molded_images: np.ndarray, image_metas: np.ndarray, verbose: int = 0
    ) -> list[dict[str, np.ndarray]]:
        """`detect` on what `mold_inputs` gave; the results are in pixels of the molded images."""
        molded_images, image_metas = np.asarray(molded_images), np.asarray(image_metas)
        if verbose:
            log(f"Processing {len(molded_images)} images")
            log("molded_images", molded_images)
            log("image_metas", image_metas)
        outputs = self._predict(molded_images, image_metas)
        results = []
        for i, image in enumerate(molded_images):
            window = np.array([0, 0, *image.shape[:2]])
            parts = self.unmold_detections(outputs[0][i], self._masks(outputs, i), image.shape, image.shape, window)
            results.append(dict(zip(("rois", "class_ids", "scores", "masks"), parts, strict=True)))
        return results

    def mold_inputs(self, images: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """`(molded [N, H, W, C], metas [N, IMAGE_META_SIZE], windows [N, (y1, x1, y2, x2)] pixels)` of `images`, which must
        be of one size once they are resized."""
        parts = [self._mold(image, i) for i, image in enumerate(images)]
        if len(shapes := {part[0].shape for part in parts}) > 1:
            raise ValueError(
                f"images of one size are wanted, IMAGE_RESIZE_MODE {self.config.IMAGE_RESIZE_MODE!r} gave "
                f"{sorted(shapes)}; detect takes any"
            )
        molded, metas, windows = (np.stack(part) for part in zip(*parts, strict=True))
        return molded, metas, windows

    def _mold(self, image: np.ndarray, number: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        if np.ndim(image) != 3 or np.shape(image)[2] != self.config.IMAGE_CHANNEL_COUNT:
            raise ValueError(
                f"a list of images [height, width, {self.config.IMAGE_CHANNEL_COUNT}] is wanted "
                f"(IMAGE_CHANNEL_COUNT), got {list(np.shape(image))} as number {number}"
            )
        resized, window, scale, _, _ = resize_image(
            image,
            min_dim=self.config.IMAGE_MIN_DIM,
            min_scale=self.config.IMAGE_MIN_SCALE,
            max_dim=self.config.IMAGE_MAX_DIM,
            mode=self.config.IMAGE_RESIZE_MODE,
        )
        classes = np.zeros(self.config.NUM_CLASSES, np.int32)
        meta = compose_image_meta(0, image.shape, resized.shape, window, scale, classes)
        return mold_image(resized, self.config), meta, np.array(window)

    def unmold_detections(
        self,
        detections: np.ndarray,
        mrcnn_mask: np.ndarray | None,
        original_image_shape: Sequence[int],
        image_shape: Sequence[int],
        window: np.ndarray,
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """One image's detections from the network's frame to the image's own: `(rois, class_ids, scores, masks)`."""
        found = detections[detections[:, 4] > 0]
        frame = norm_boxes(np.asarray(window), image_shape)
        sides = np.tile(frame[2:] - frame[:2], 2)
        boxes = denorm_boxes((found[:, :4] - np.tile(frame[:2], 2)) / sides, original_image_shape)
        real = (boxes[:, 2] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 1])
        boxes, class_ids = boxes[real], found[real, 4].astype(np.int32)
        masks = np.zeros((*original_image_shape[:2], len(boxes)), bool)
        for i, (box, class_id) in enumerate(zip(boxes, class_ids, strict=True)):
            if mrcnn_mask is None:
                masks[box[0] : box[2], box[1] : box[3], i] = True
            else:
                small = mrcnn_mask[np.flatnonzero(real)[i], :, :, class_id]
                masks[:, :, i] = unmold_mask(small, box, original_image_shape)
        return boxes, class_ids, found[real, 5], masks

    def get_anchors(self, image_shape: Sequence[int]) -> np.ndarray:
        """The anchors for images of `image_shape`, `[A, (y1, x1, y2, x2)]` float32 normalized."""
        return norm_boxes(pyramid_anchors(self._config_for(image_shape)), image_shape)

    def run_graph(
        self,
        images: Sequence[np.ndarray] | np.ndarray,
        outputs: Sequence[tuple[str, Any]],
        image_metas: np.ndarray | None = None,
    ) -> dict[str, np.ndarray]:
        """What the network computes on its way, for a look at it.

        Arguments:
            images: as `detect` takes them, of one size once they are resized; with `image_metas`: molded already.
            outputs: `(name, tensor)`, symbolic: `keras_model.get_layer(name).output`, or of `ancestor`.

        Returns:
            arrays by name, in that order; they are logged too.

        Raises:
            ValueError: there is no such tensor.
        """
        wanted = dict(outputs)
        if missing := [name for name, tensor in wanted.items() if tensor is None]:
            raise ValueError(
                f"run_graph has no tensor for {missing}: ancestor knows {', '.join(f'ROI/{s}:0' for s in STEPS)}"
            )
        if image_metas is None:
            molded, image_metas, _ = self.mold_inputs(list(images))
        else:
            molded = np.asarray(images, np.float32)
        model = self._model_for(molded.shape[1:])
        inside = self.keras_model.inside
        tensors = [inside.same_in(model.inside, tensor) for tensor in wanted.values()]
        # Those of the network alone: a training's model has more.
        inputs = [model.get_layer(name).output for name in ("input_image", "input_image_meta")]
        part = keras.Model(inputs, tensors)
        part.compile(jit_compile=jit_compile())
        values = part.predict_on_batch([molded, np.asarray(image_metas, np.float32)])
        found = {}
        for (name, tensor), value in zip(wanted.items(), values, strict=True):
            value = np.asarray(value)
            # One image's, without padding, as Matterport's graph has it.
            found[name] = value[0][value[0] >= 0] if inside.is_nms(tensor) else value
            log(name, found[name])
        return found

    def ancestor(self, tensor: Any, name: str, checked: Any = None) -> Any:
        """The tensor that Matterport's graph has as `name`, such as `ROI/refined_anchors:0`: a step on the way to the proposals
        (`mrcnn.parts.proposals.STEPS`), else None. `tensor` and `checked` are Matterport's arguments, not looked at."""
        return self.keras_model.inside.step(name)

    def _graph(self, network: Network) -> Any:
        return network.training_model() if self.mode == "training" else network.inference_model()

    def _config_for(self, shape: Sequence[int]) -> Config:
        """The configuration for images of `shape`, which `IMAGE_RESIZE_MODE` must allow."""
        own, coarsest = list(self.config.IMAGE_SHAPE), max(self.config.BACKBONE_STRIDES)
        if list(shape[:2]) == own[:2]:
            return self.config
        if self.config.IMAGE_RESIZE_MODE not in ("pad64", "none"):
            raise ValueError(f"the model is built for molded images {own}, got {list(shape)}")
        if any(side % coarsest for side in shape[:2]):
            raise ValueError(
                f"both sides of an image must be multiples of {coarsest}, the coarsest of BACKBONE_STRIDES, got {list(shape)}; "
                "IMAGE_RESIZE_MODE = 'pad64' pads it"
            )
        config = copy.copy(self.config)
        config.IMAGE_SHAPE = np.array([*shape[:2], own[2]])
        return config

    def _model_for(self, shape: Sequence[int]) -> Any:
        """`keras_model` for molded images of `shape`: a graph has one shape, so another is made for another shape, with the
        same weights. The last four are kept."""
        config, key = self._config_for(shape), tuple(shape)
        if config is self.config:
            return self.keras_model
        model = self._of_other_shapes.pop(key, None)
        if model is None:
            model = self._graph(Network(config))
            model.compile(jit_compile=jit_compile())
        self._of_other_shapes[key] = model
        while len(self._of_other_shapes) > 4:
            self._of_other_shapes.pop(next(iter(self._of_other_shapes)))
        for own, other in zip(self.keras_model.weights, model.weights, strict=True):
            other.assign(
                np.array(ops.convert_to_numpy(own))
            )  # JAX would share the buffer, and give it away in a prediction
        return model

    def _predict(self, molded: np.ndarray, metas: np.ndarray) -> list[np.ndarray]:
        if self.mode != "inference":
            raise ValueError("detection needs a model in mode 'inference', this one is in mode 'training'")
        if molded.ndim != 4 or molded.shape[3] != self.config.IMAGE_SHAPE[2]:
            raise ValueError(f"molded images must be [N, {self.config.IMAGE_SHAPE}], got {molded.shape}")
        model = self._model_for(molded.shape[1:])
        size = self.config.BATCH_SIZE
        parts = []
        for start in range(0, len(molded), size):
            images, rows = molded[start : start + size], metas[start : start + size].astype(np.float32)
            missing = size - len(images)  # one batch shape, so that nothing is compiled twice
            filled = [np.concatenate([x, np.repeat(x[-1:], missing, axis=0)]) for x in (images, rows)]
            parts.append([np.asarray(output)[: len(images)] for output in model.predict_on_batch(filled)])
        return [np.concatenate(outputs) for outputs in zip(*parts, strict=True)]

    def _masks(self, outputs: list[np.ndarray], image: int) -> np.ndarray | None:
        return outputs[3][image] if self.config.USE_MASKS else None


class _Found(str):
    """A path that may be indexed as the pair (folder, path) that Matterport's 2.0 and 2.1 gave in its place."""

    __slots__ = ()

    def __getitem__(self, key: Any) -> str:
        return (str(Path(self).parent), str(self))[key] if key in (0, 1) else super().__getitem__(key)


def _check_callbacks(callbacks: Sequence[keras.callbacks.Callback]) -> None:
    """Refuse now what would end a training when its first epoch is done."""
    for callback in callbacks:
        if isinstance(callback, keras.callbacks.ModelCheckpoint) and not callback.save_weights_only:
            raise ValueError(
                f"ModelCheckpoint({str(callback.filepath)!r}) writes whole models, and the graph of a Mask R-CNN is not "
                "written: pass save_weights_only=True and a name that ends in .weights.h5"
            )
        if isinstance(callback, keras.callbacks.TensorBoard):
            for package in ("tensorflow", "tensorboard"):
                if importlib.util.find_spec(package) is None:
                    raise ModuleNotFoundError(
                        f"the callback TensorBoard needs {package}, which is not installed: pip install {package}, or leave "
                        "the callback out; log.csv has the losses of every epoch",
                        name=package,
                    )


class _SaveEachEpoch(keras.callbacks.Callback):
    def __init__(self, owner: MaskRCNN):
        super().__init__()
        self.owner = owner

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        path = self.owner.checkpoint_path.replace("{epoch:04d}", f"{epoch + 1:04d}")
        self.owner.save_weights(path)

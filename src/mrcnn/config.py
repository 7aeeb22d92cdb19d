"""The configuration: a class whose attributes are the fields, to be subclassed, as in Matterport's `mrcnn/config.py`.

    class ShapesConfig(Config):
        NAME = "shapes"
        NUM_CLASSES = 1 + 3  # background + 3 shapes

Fields of a project's own are welcome; one that is nearly the name of a field here brings a warning, so that a misspelt one
does not pass unnoticed.
"""

from __future__ import annotations

import difflib
import inspect
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

RESIZE_MODES = ("square", "crop", "pad64", "none")
_OWNER = ("self", "config")


class Config:
    """All fields with their defaults. Upper case: fields; computed ones are set by `__init__`."""

    NAME: str | None = None  # of the experiment; weight files and log folders carry it
    GPU_COUNT = 1
    IMAGES_PER_GPU = 2  # BATCH_SIZE = IMAGES_PER_GPU * GPU_COUNT
    STEPS_PER_EPOCH = 1000
    VALIDATION_STEPS = 50

    # Backbone and pyramid
    # A function among the fields is a method if its first argument is called `self` or `config`.
    BACKBONE: str | Callable[..., Sequence[Any]] = (
        "resnet101"  # resnet50 | resnet101 | callable, see mrcnn.parts.backbone
    )
    COMPUTE_BACKBONE_SHAPE: Callable[..., np.ndarray] | None = None  # (image_shape) -> [levels, 2]; for callables
    BACKBONE_STRIDES: Sequence[int] = [4, 8, 16, 32, 64]  # pixels; one pyramid level each, powers of two
    TOP_DOWN_PYRAMID_SIZE = 256  # channels of the pyramid
    FPN_CLASSIF_FC_LAYERS_SIZE = 1024  # width of the two dense layers of the box head

    NUM_CLASSES = 1  # background included

    # Region proposals
    # One a level, pixels, square root of an anchor's area. Fewer than levels: the coarsest have no anchors.
    RPN_ANCHOR_SCALES: Sequence[float] = (32, 64, 128, 256, 512)
    RPN_ANCHOR_RATIOS: Sequence[float] = [0.5, 1, 2]  # width / height
    RPN_ANCHOR_STRIDE = 1  # 2: anchors at every second cell
    RPN_NMS_THRESHOLD = 0.7
    RPN_TRAIN_ANCHORS_PER_IMAGE = 256
    PRE_NMS_LIMIT = 6000  # best anchors that enter non-maximum suppression
    POST_NMS_ROIS_TRAINING = 2000
    POST_NMS_ROIS_INFERENCE = 1000
    RPN_BBOX_STD_DEV: Any = np.array([0.1, 0.1, 0.2, 0.2])

    # Masks
    USE_MINI_MASK = True
    MINI_MASK_SHAPE = (56, 56)  # height, width
    MASK_POOL_SIZE = 14
    MASK_SHAPE: Sequence[int] = [28, 28]

    # Images
    IMAGE_RESIZE_MODE = "square"  # square | crop | pad64 | none, see mrcnn.images.resize_image
    IMAGE_MIN_DIM = 800
    IMAGE_MAX_DIM = 1024
    IMAGE_MIN_SCALE = 0
    IMAGE_CHANNEL_COUNT = 3
    MEAN_PIXEL: Any = np.array([123.7, 116.8, 103.9])

    # Second stage
    TRAIN_ROIS_PER_IMAGE = 200
    ROI_POSITIVE_RATIO = 0.33
    POOL_SIZE = 7
    MAX_GT_INSTANCES = 100
    BBOX_STD_DEV: Any = np.array([0.1, 0.1, 0.2, 0.2])
    DETECTION_MAX_INSTANCES = 100
    DETECTION_MIN_CONFIDENCE = 0.7
    DETECTION_NMS_THRESHOLD = 0.3

    # Training
    LEARNING_RATE = 0.001
    LEARNING_MOMENTUM = 0.9
    WEIGHT_DECAY = 0.0001  # L2 on kernels, each divided by its number of weights
    LOSS_WEIGHTS: dict[str, float] = {  # noqa: RUF012
        "rpn_class_loss": 1.0,
        "rpn_bbox_loss": 1.0,
        "mrcnn_class_loss": 1.0,
        "mrcnn_bbox_loss": 1.0,
        "mrcnn_mask_loss": 1.0,
    }
    USE_RPN_ROIS = True  # the only way here; False is refused
    TRAIN_BN: bool | None = False  # None: train batch normalization; False: freeze its statistics
    GRADIENT_CLIP_NORM = 5.0

    # Not in Matterport's; the defaults give its behaviour, where it has one
    USE_MASKS = True  # False: no mask head, boxes only
    RPN_CONV_FILTERS = 512  # channels of the shared convolution of the region proposal network
    RPN_POSITIVE_RATIO = 0.5  # share of RPN_TRAIN_ANCHORS_PER_IMAGE that may be positive
    RPN_POSITIVE_IOU = 0.7  # an anchor above it is positive, as is the best of each instance
    RPN_NEGATIVE_IOU = 0.3  # an anchor below it is negative
    ROI_POSITIVE_IOU = 0.5
    ROI_FILL_NEGATIVES = True  # negatives fill TRAIN_ROIS_PER_IMAGE; False: keep the ratio, so none without a positive
    ROI_ADD_INSTANCES = False  # the instances' own boxes are proposals too, as in Faster R-CNN's code
    HEAD_NORM = "batch"  # of the box head: batch | layer (each region by its own moments, the same in training and use)
    BBOX_LOSSES_PER_SAMPLE = False  # sums over positives, divided by all that was sampled; False: means over positives
    SEED = 0  # of shuffling and sampling

    # Computed: see __init__
    BATCH_SIZE: int
    IMAGE_SHAPE: np.ndarray
    IMAGE_META_SIZE: int

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        for name, value in list(vars(cls).items()):
            if name.isupper():
                _hint(name)
                if (
                    name in _known()
                    and inspect.isfunction(value)
                    and next(iter(inspect.signature(value).parameters), "") not in _OWNER
                ):
                    setattr(cls, name, staticmethod(value))  # BACKBONE = my_backbone

    def __init__(self) -> None:
        """Set the computed fields; raises ValueError for values that cannot be."""
        self.BATCH_SIZE = self.IMAGES_PER_GPU * self.GPU_COUNT
        if self.IMAGE_RESIZE_MODE not in RESIZE_MODES:
            raise ValueError(f"IMAGE_RESIZE_MODE must be one of {RESIZE_MODES}, got {self.IMAGE_RESIZE_MODE!r}")
        side = self.IMAGE_MIN_DIM if self.IMAGE_RESIZE_MODE == "crop" else self.IMAGE_MAX_DIM
        self.IMAGE_SHAPE = np.array([side, side, self.IMAGE_CHANNEL_COUNT])
        # image_id, original shape, shape, window, scale, active classes: see mrcnn.dataset.compose_image_meta
        self.IMAGE_META_SIZE = 1 + 3 + 3 + 4 + 1 + self.NUM_CLASSES
        self._check()

    def __setattr__(self, name: str, value: Any) -> None:
        if name.isupper():
            _hint(name)
        super().__setattr__(name, value)

    def _check(self) -> None:
        side, strides = int(self.IMAGE_SHAPE[0]), list(self.BACKBONE_STRIDES)
        powers = [1 << level for level in range(1, 7)]
        first = powers.index(strides[0]) if strides and strides[0] in powers else 0
        if strides != powers[first : first + len(strides)] or not strides:
            raise ValueError(f"BACKBONE_STRIDES must be neighbours in {powers}, got {strides}")
        if side % max(strides):
            raise ValueError(
                f"the image's side must be a multiple of {max(strides)}, the coarsest of BACKBONE_STRIDES, got {side}; "
                "use for example 256, 320, 384, 448, 512"
            )
        if not 1 <= len(self.RPN_ANCHOR_SCALES) <= len(strides):
            raise ValueError(
                f"RPN_ANCHOR_SCALES needs one value for each of the {len(strides)} BACKBONE_STRIDES, or fewer to have no "
                f"anchors on the coarsest, got {list(self.RPN_ANCHOR_SCALES)}"
            )
        if np.size(self.MEAN_PIXEL) not in (1, self.IMAGE_CHANNEL_COUNT):
            raise ValueError(
                f"MEAN_PIXEL needs one value for each of the IMAGE_CHANNEL_COUNT = {self.IMAGE_CHANNEL_COUNT} channels, "
                f"got {np.ravel(self.MEAN_PIXEL).tolist()}"
            )
        if self.HEAD_NORM not in ("batch", "layer"):
            raise ValueError(f"HEAD_NORM must be 'batch' or 'layer', got {self.HEAD_NORM!r}")
        if not self.USE_RPN_ROIS:
            raise ValueError("USE_RPN_ROIS = False (proposals from outside) is not supported")

    def to_dict(self) -> dict[str, Any]:
        """Every field and its value, in order of names."""
        names = sorted(name for name in dir(self) if name.isupper() and hasattr(self, name))
        return {name: getattr(self, name) for name in names}

    def display(self) -> None:
        """Print every field and its value."""
        print("\nConfigurations:")
        for name, value in self.to_dict().items():
            print(f"{name:30} {value}")
        print()


def _known() -> set[str]:
    return {field for field in [*vars(Config), *Config.__annotations__] if field.isupper()}


def _hint(name: str) -> None:
    known = _known()
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.9) if name not in known else []
    if near:
        warnings.warn(
            f"{name} is no field of mrcnn.config.Config, so nothing here reads it; did you mean {near[0]}?",
            stacklevel=3,
        )

"""The typed model of `params.yaml`: every key, its type and its limits, and nothing else.

There are no default values here: everything a run depends on stands in `params.yaml`, so this module can only refuse a run, never change
one. That is why stages do not list it among their deps. Unknown keys, wrong types and impossible values raise `ParamsError`, which names
each key, what was received and what was wanted.
"""

from __future__ import annotations

import re
from collections.abc import Hashable
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from pneumonia.files import flat
from pneumonia.schema.models import DETECTORS, MODELS, answering

Share = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0)]
NotNegative = Annotated[float, Field(ge=0)]
Count = Annotated[int, Field(ge=1)]
Average = Annotated[float, Field(ge=0, lt=1)]
Seed = Annotated[int, Field(ge=0, lt=2**32)]
Device = Literal["auto", "gpu", "cpu"]
Monitor = Literal["ap50", "loss"]
Precision = Literal["float32", "mixed_bfloat16", "mixed_float16"]
Lite = Literal["efficientnet_lite0", "efficientnet_lite1", "efficientnet_lite2"]
Source = Literal["synthetic", "kaggle", "local"]
Foreign = Literal["coco", "yolo", "vindr", "siim", "nih_boxes"]
Sha256 = Annotated[str, Field(pattern=r"^([0-9a-f]{64})?$")]


class ParamsError(ValueError):
    """`params.yaml` cannot be used; the message lists every key that is wrong."""


class Section(BaseModel):
    """A mapping of params.yaml: refuses keys it does not know, values that would need to be converted, and `.nan` and `.inf`."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)

    def values(self) -> dict[str, Any]:
        """The section as plain values, ready to be passed as keyword arguments."""
        return self.model_dump()


class Synthetic(Section):
    studies: Count
    size: Annotated[int, Field(ge=64, le=4096)]
    seed: Seed


class FetchTest(Section):
    source: Source
    path: str
    sha256: Sha256
    synthetic: Synthetic

    @model_validator(mode="after")
    def _local_needs_a_path(self) -> FetchTest:
        if self.source == "local" and not self.path:
            raise ValueError("source is 'local' but path is empty; set path to the challenge's zip or folder")
        return self


class ForeignSet(Section):
    images: str
    annotations: str
    sidecar: str
    opacity: list[str]
    unmarked: Literal["normal", "not_normal", "refuse"]
    radiologists: Count
    agreement: Annotated[float, Field(gt=0, le=1)]


class Fetch(Section):
    source: Source | Foreign
    path: str
    sha256: Sha256
    synthetic: Synthetic
    persons: str
    foreign: ForeignSet

    @model_validator(mode="after")
    def _files_need_a_path(self) -> Fetch:
        if self.source not in ("synthetic", "kaggle") and not self.path:
            wanted = "the challenge's zip or folder" if self.source == "local" else "the folder of the set"
            raise ValueError(f"source is '{self.source}' but path is empty; set path to {wanted}")
        return self


class Clean(Section):
    min_box_side: NotNegative
    max_age: Positive


class Explore(Section):
    examples: Count
    seed: Seed


class Window(Section):
    mode: Literal["auto", "hu", "dicom", "percentile", "none"]
    center: float
    width: Annotated[float, Field(ge=1)]
    choice: Count
    percentiles: Annotated[list[float], Field(min_length=2, max_length=2)]

    @model_validator(mode="after")
    def _percentiles_rise(self) -> Window:
        low, high = self.percentiles
        if not 0 <= low < high <= 100:
            raise ValueError(f"percentiles must rise within 0 to 100, got {self.percentiles}")
        return self


class Images(Section):
    sizes: Annotated[list[Annotated[int, Field(ge=32, le=4096)]], Field(min_length=1)]
    shard_rows: Count
    workers: Annotated[int, Field(ge=0)]
    executor: Literal["processes", "dask"]
    scheduler: str
    window: Window

    @model_validator(mode="after")
    def _dask_needs_a_cluster(self) -> Images:
        if self.executor == "dask" and not self.scheduler:
            raise ValueError(
                "executor is 'dask' but scheduler is empty; give the address of a cluster: tcp://host:8786"
            )
        return self


class Split(Section):
    by: Literal["person", "image"]
    holdout: Annotated[float, Field(ge=0, lt=1)]
    holdout_ids: Annotated[str, Field(min_length=1)]  # a file: DVC takes it as a dep
    folds: Annotated[int, Field(ge=2)]
    fold: Annotated[int, Field(ge=0)]
    subset: Annotated[int, Field(ge=0)]
    train_share: Annotated[float, Field(gt=0, le=1)]
    seed: Seed

    @model_validator(mode="after")
    def _fold_exists(self) -> Split:
        if self.fold >= self.folds:
            raise ValueError(f"fold must be below folds={self.folds}, got {self.fold}")
        return self


class Augmentation(Section):
    flip: Share
    rotation: Annotated[float, Field(ge=0, le=45)]
    translation: Annotated[float, Field(ge=0, le=0.5)]
    scale: Annotated[float, Field(ge=0, le=0.5)]
    brightness: Share
    contrast: Annotated[float, Field(ge=0, lt=1)]
    cutout: Share


class MosaicAugmentation(Augmentation):
    mosaic: Share


class Training(Section):
    """What the trainings share."""

    image_size: Count
    weights: Annotated[str, Field(min_length=1)]
    batch_size: Count
    learning_rate: Positive
    weight_decay: NotNegative
    clip_norm: Positive
    negatives_per_positive: NotNegative
    patience: Count
    seed: Seed
    device: Device
    devices: Count
    precision: Precision
    augmentation: Augmentation

    @model_validator(mode="after")
    def _devices_share_evenly(self) -> Training:
        if self.batch_size % self.devices:
            raise ValueError(
                f"batch_size must be a multiple of devices={self.devices}, which share it, got {self.batch_size}"
            )
        return self


class Pretrain(Section):
    source: Literal["none", "nih", "chexpert", "reports"]
    path: str
    labels: str
    persons: Annotated[str, Field(min_length=1)]  # a file: DVC takes it as a dep
    unmapped: Annotated[int, Field(ge=0)]
    image_size: Annotated[int, Field(ge=32, le=4096)]
    backbone: Literal["resnet50", "resnet_small", "densenet121", Lite]
    weights: Annotated[str, Field(min_length=1)]
    uncertain: Literal["masked", "zeros", "ones", "smoothed"]
    smoothed: Share
    unmentioned: Literal["masked", "zeros"]
    positive_power: Share
    validation: Annotated[float, Field(gt=0, lt=1)]
    epochs: Count
    heads_epochs: Annotated[int, Field(ge=0)]
    batch_size: Count
    learning_rate: Positive
    backbone_rate: NotNegative
    warmup: Annotated[float, Field(ge=0, lt=1)]
    weight_decay: NotNegative
    clip_norm: Positive
    dropout: Annotated[float, Field(ge=0, lt=1)]
    average: Annotated[float, Field(ge=0, lt=1)]
    patience: Count
    bootstrap: Annotated[int, Field(ge=0)]
    seed: Seed
    device: Device
    devices: Count
    precision: Precision
    lung_masks: Share
    augmentation: Augmentation

    @model_validator(mode="after")
    def _a_source_needs_files(self) -> Pretrain:
        if self.source != "none" and not (self.path and self.labels):
            raise ValueError(f"source is {self.source!r} but path or labels is empty; set both")
        if self.weights == "pretrained":
            raise ValueError("weights is 'pretrained', which this stage makes; start from none, imagenet or a file")
        if self.image_size % 32:
            raise ValueError(f"image_size must be a multiple of 32, got {self.image_size}")
        if self.batch_size % self.devices:
            raise ValueError(f"batch_size must be a multiple of devices={self.devices}, got {self.batch_size}")
        return self


class Classifier(Training):
    backbone: Literal["resnet50", "resnet_small", "densenet121", Lite]
    epochs: Count
    heads_epochs: Annotated[int, Field(ge=0)]
    backbone_rate: NotNegative
    warmup: Share
    dropout: Annotated[float, Field(ge=0, lt=1)]
    hidden: Annotated[int, Field(ge=0)]
    classes_weight: NotNegative
    label_smoothing: Annotated[float, Field(ge=0, lt=1)]
    average: Average


class Phase(Section):
    layers: Annotated[str, Field(min_length=1)]
    epochs: Count
    rate: Positive


class Anchors(Section):
    scales: Literal["auto"] | Annotated[list[Positive], Field(min_length=1, max_length=5)]
    ratios: Annotated[list[Positive], Field(min_length=1)]


class MaskRCNN(Training):
    backbone: Literal["resnet50", "resnet101", "resnet_small", Lite]
    masks: bool
    head_norm: Literal["batch", "layer"]
    anchors: Anchors
    phases: Annotated[list[Phase], Field(min_length=1)]
    backbone_rate: NotNegative
    warmup: Share
    rpn_positive_iou: Annotated[float, Field(ge=0.3, lt=1)]
    rpn_train_anchors: Count
    rpn_positive_ratio: Annotated[float, Field(gt=0, lt=1)]
    train_rois: Count
    roi_positive_ratio: Annotated[float, Field(gt=0, lt=1)]
    box_losses: Literal["positives", "sampled"]
    rpn_box_weight: NotNegative
    average: Average
    monitor: Monitor

    @model_validator(mode="after")
    def _size_fits_the_pyramid(self) -> MaskRCNN:
        if self.image_size % 64:
            raise ValueError(f"image_size must be a multiple of 64 for Mask R-CNN, got {self.image_size}")
        return self


class Yolo(Training):
    network: Literal["yolov3", "yolov3-tiny"]
    anchors: Literal["coco", "auto"] | list[list[Positive]]
    loss: Literal["ciou", "darknet"]
    ignore_threshold: Share
    objectness_balance: Positive
    multi_scale: bool
    epochs: Count
    heads_epochs: Annotated[int, Field(ge=0)]
    schedule: Literal["cosine", "steps"]
    burn_in: Share
    label_smoothing: Annotated[float, Field(ge=0, lt=1)]
    average: Average
    augmentation: MosaicAugmentation
    monitor: Monitor

    @model_validator(mode="after")
    def _size_fits_the_strides(self) -> Yolo:
        if self.image_size % 32:
            raise ValueError(f"image_size must be a multiple of 32 for YOLOv3, got {self.image_size}")
        return self


class EfficientDet(Training):
    enabled: bool
    size: Literal["d0", "d1", "d2"]
    backbone: Literal["resnet50", "resnet_small", "efficientnet_lite0", "efficientnet_lite1", "efficientnet_lite2"]
    norm: Literal["group", "batch"]
    anchor_scale: Positive
    anchor_ratios: Annotated[list[Positive], Field(min_length=1)]
    positive_iou: Annotated[float, Field(gt=0, lt=1)]
    negative_iou: Annotated[float, Field(gt=0, lt=1)]
    epochs: Count
    heads_epochs: Annotated[int, Field(ge=0)]
    backbone_rate: NotNegative
    warmup: Annotated[float, Field(ge=0, lt=1)]
    average: Annotated[float, Field(ge=0, lt=1)]
    monitor: Monitor

    @model_validator(mode="after")
    def _borders_and_size_fit(self) -> EfficientDet:
        if self.negative_iou > self.positive_iou:
            raise ValueError(
                f"negative_iou must not be above positive_iou={self.positive_iou}, got {self.negative_iou}"
            )
        if self.image_size % 32:
            raise ValueError(f"image_size must be a multiple of 32 for EfficientDet, got {self.image_size}")
        return self


class Predict(Section):
    score_floor: Share
    nms_iou: Share
    max_detections: Count
    flip: bool
    batch_size: Count


class Gate(Section):
    mode: Literal["none", "threshold", "multiply"]
    threshold: Share
    power: NotNegative


class Ensemble(Section):
    strategy: str
    iou: Annotated[float, Field(gt=0, lt=1)]
    weights: dict[str, NotNegative]
    thresholds: dict[str, NotNegative]
    gate: Gate
    shrink: Annotated[float, Field(gt=0, le=1.5)]

    @field_validator("strategy")
    @classmethod
    def _strategy_is_known(cls, value: str) -> str:
        if value not in (known := ("union", "wbf", *DETECTORS)):
            raise ValueError(f"must be one of {', '.join(known)}, got {value!r}")
        return value

    @field_validator("weights", "thresholds")
    @classmethod
    def _one_a_detector(cls, values: dict[str, float]) -> dict[str, float]:
        if unknown := sorted({*values} - {*DETECTORS}):
            raise ValueError(f"unknown key {', '.join(unknown)}; the detectors are {', '.join(DETECTORS)}")
        if missing := [name for name in DETECTORS if name not in values]:
            raise ValueError(f"{', '.join(missing)} is missing; every detector has a value, off or not")
        return values


class Calibrate(Section):
    method: Literal["platt", "isotonic", "none"]


class OperatingPoint(Section):
    rule: Literal["threshold", "best_f1", "min_sensitivity", "max_false_positive_rate"]
    value: Share


class Evaluate(Section):
    operating_point: OperatingPoint
    bootstrap: Annotated[int, Field(ge=0)]
    seed: Seed


class Report(Section):
    examples: Count
    image_size: Count


class Submission(Section):
    threshold: Literal["auto"] | Share
    max_boxes: Count


class Tracking(Section):
    enabled: bool
    uri: Annotated[str, Field(min_length=1)]
    experiment: Annotated[str, Field(min_length=1)]


class Params(Section):
    """The whole of params.yaml."""

    fetch: Fetch
    fetch_test: FetchTest
    clean: Clean
    explore: Explore
    images: Images
    split: Split
    pretrain: Pretrain
    classifier: Classifier
    maskrcnn: MaskRCNN
    yolo: Yolo
    efficientdet: EfficientDet
    predict: Predict
    ensemble: Ensemble
    calibrate: Calibrate
    evaluate: Evaluate
    report: Report
    submission: Submission
    tracking: Tracking

    @model_validator(mode="after")
    def _sizes_are_made(self) -> Params:
        for name in (*MODELS, "report"):
            size = getattr(self, name).image_size
            if size not in self.images.sizes:
                raise ValueError(f"{name}.image_size must be one of images.sizes={self.images.sizes}, got {size}")
        return self

    @model_validator(mode="after")
    def _the_strategy_answers(self) -> Params:
        name = self.ensemble.strategy
        if name in DETECTORS and name not in self.answering:
            raise ValueError(f"ensemble.strategy is {name}, which {name}.enabled turns off")
        return self

    @property
    def answering(self) -> tuple[str, ...]:
        """The models that are on, in the order of `pneumonia.schema.models.MODELS`."""
        return answering(flat(self.values()))

    @model_validator(mode="after")
    def _pretrained_weights_are_made(self) -> Params:
        for name in type(self).model_fields:
            section = getattr(self, name)
            if getattr(section, "weights", None) != "pretrained":
                continue
            if self.pretrain.source == "none":
                raise ValueError(
                    f"{name}.weights is 'pretrained' but pretrain.source is 'none'; set a source, or other weights"
                )
            backbone = getattr(section, "backbone", None)
            if backbone != self.pretrain.backbone:
                raise ValueError(
                    f"{name}.weights is 'pretrained', which is {self.pretrain.backbone}'s (pretrain.backbone), got backbone {backbone!r}"
                )
        return self


def check(values: Any, source: str = "params.yaml") -> Params:
    """Check a parsed params mapping.

    Raises:
        ParamsError: keys are wrong; it names every one, what it got and what it wants.
    """
    if not isinstance(values, dict):
        raise ParamsError(f"{source}: expected a mapping of sections, got {type(values).__name__}")
    try:
        return Params.model_validate(values)
    except ValidationError as error:
        raise ParamsError(f"{source} cannot be used:\n" + "\n".join(explain(e) for e in error.errors())) from None


def load(path: str | Path = "params.yaml") -> Params:
    """Read and check params.yaml.

    Every stage comes by here, so this also refuses to run other code than DVC hashes: see `_check_code`.

    Raises:
        ParamsError: it is no YAML in UTF-8 that DVC reads too, or keys are wrong; it names the file and every one of
            them.
    """
    path = Path(path)
    _check_code(Path("src"), Path(__file__).parents[1])
    try:
        values = yaml.load(path.read_text(encoding="utf-8"), Loader=yaml_loader())
    except FileNotFoundError:
        raise ParamsError(f"{path} not found; run this from the project's root") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ParamsError(f"{path} is not valid YAML: {error}") from None
    return check(values, str(path))


def _check_code(here: Path, running: Path) -> None:
    """Check that the modules that run are those of the current folder's `src`, where it has one.

    `dvc exp run --queue` and `--temp` run a copy of the project, while an editable install leads Python to the original's
    `src`: what is edited there meanwhile would run under the hashes of the copy.

    Raises:
        ParamsError: they differ.
    """
    if not (here / "pneumonia").is_dir() or here.samefile(running):
        return
    packages = [path.name for path in here.iterdir() if (path / "__init__.py").is_file()]
    found = ((base, base.glob(f"{package}/**/*.py")) for base in (here, running) for package in packages)
    for name in sorted({path.relative_to(base) for base, paths in found for path in paths}):
        one, other = here / name, running / name
        if not (one.is_file() and other.is_file() and one.read_bytes() == other.read_bytes()):
            raise ParamsError(f"{one} is not the code that runs, which is {other}; set PYTHONPATH=src and start again")


def yaml_loader() -> type[yaml.SafeLoader]:
    """PyYAML's safe loader that reads scalars and keys as DVC's ruamel.yaml does, which is no part of the base install."""
    return _Loader


class _Loader(yaml.SafeLoader):
    """YAML 1.2: `yes` is text, `0777` is 777, `1e-3` a number; and no key stands twice. Faults are `yaml.YAMLError`."""

    def get_single_data(self) -> Any:
        """The one document of the text."""
        try:
            return super().get_single_data()
        except RecursionError:
            raise yaml.YAMLError("it is nested too deep") from None

    def process_directives(self) -> Any:
        """The directives before a document; one that asks for another version is refused: DVC would follow it."""
        mark = self.peek_token().start_mark
        directives = super().process_directives()
        if self.yaml_version not in (None, (1, 2)):
            version = ".".join(map(str, self.yaml_version))
            raise yaml.MarkedYAMLError(problem=f"%YAML {version} is not read, only 1.2", problem_mark=mark)
        return directives

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        """The value of a node."""
        try:
            return super().construct_object(node, deep=deep)
        except ValueError as error:
            raise yaml.constructor.ConstructorError(None, None, f"{node.value!r}: {error}", node.start_mark) from None

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """The mapping of a node, whose own keys differ; keys that come by `<<` give way to them."""
        seen = set()
        for key_node, _ in node.value if isinstance(node, yaml.MappingNode) else ():
            key = "<<" if key_node.tag.endswith(":merge") else self.construct_object(key_node, deep=True)
            if isinstance(key, Hashable) and key in seen:
                problem = f"the key {key!r} stands twice; keep one"
                raise yaml.constructor.ConstructorError(None, None, problem, key_node.start_mark)
            if isinstance(key, Hashable):
                seen.add(key)
        return super().construct_mapping(node, deep=deep)


def _integer(loader: _Loader, node: yaml.ScalarNode) -> int:
    text = node.value.replace("_", "")
    base = {"0b": 2, "0o": 8, "0x": 16}.get(text.lstrip("+-")[:2], 10)
    return int(text, base)


# As in ruamel.yaml's resolver.py for YAML 1.2.
_Loader.yaml_implicit_resolvers = {
    first: [pair for pair in pairs if pair[0].rpartition(":")[2] not in ("bool", "int", "float")]
    for first, pairs in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_NUMBERS = list("-+0123456789")
for _tag, _pattern, _first in (
    ("bool", r"(?:true|True|TRUE|false|False|FALSE)$", list("tTfF")),
    (
        "float",
        r"(?:[-+]?[0-9][0-9_]*\.[0-9_]*(?:[eE][-+]?[0-9]+)?|[-+]?[0-9][0-9_]*[eE][-+]?[0-9]+"
        r"|[-+]?\.[0-9_]+(?:[eE][-+][0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))$",
        [*_NUMBERS, "."],
    ),
    ("int", r"(?:[-+]?0b[01_]+|[-+]?0o?[0-7_]+|[-+]?[0-9_]+|[-+]?0x[0-9a-fA-F_]+)$", _NUMBERS),
):
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(_pattern), _first)
_Loader.add_constructor("tag:yaml.org,2002:int", _integer)


def explain(error: Any) -> str:
    """A line on one of pydantic's `ValidationError.errors()`: the key, what was received and what was wanted."""
    key = ".".join(str(part) for part in error["loc"] if not str(part).startswith(("literal[", "list[", "constrained")))
    if error["type"] == "extra_forbidden":
        return f"  {key}: unknown key; remove it or correct its spelling"
    if error["type"] == "missing":
        return f"  {key}: missing"
    message = error["msg"].removeprefix("Value error, ")
    if error["type"] == "value_error":
        return f"  {key + ': ' if key else ''}{message}"
    return f"  {key}: got {error['input']!r}; {message[0].lower()}{message[1:]}"

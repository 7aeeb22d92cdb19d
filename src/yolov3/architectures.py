"""The paper's two networks, YOLOv3 on Darknet-53 and YOLOv3-tiny, described for any input size, classes and anchors.

Reference: Redmon and Farhadi 2018, "YOLOv3: An Incremental Improvement", sections 2.3 and 2.4 and table 1; layer
numbers agree with Darknet's own files, which the names of truncated weight files refer to (`darknet53.conv.74` ends
before layer 74).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from yolov3.cfg import Convolutional, Description, Layer, MaxPool, Route, Shortcut, Upsample, Yolo

COCO_ANCHORS = {  # (width, height) in pixels at an input of 416 x 416, from k-means on COCO's boxes (section 2.3)
    "yolov3": ((10, 13), (16, 30), (33, 23), (30, 61), (62, 45), (59, 119), (116, 90), (156, 198), (373, 326)),
    "yolov3-tiny": ((10, 14), (23, 27), (37, 58), (81, 82), (135, 169), (344, 319)),
}
COCO_SIZE = 416
BACKBONE_LAYERS = {"yolov3": 74, "yolov3-tiny": 15}  # layers that hold no head: what the truncated weight files hold
NETWORKS = tuple(COCO_ANCHORS)

Anchors = Sequence[tuple[float, float]]


def describe(
    network: str, size: int, classes: int, anchors: Anchors | None = None, ignore_threshold: float = 0.5
) -> Description:
    """Describe `yolov3` or `yolov3-tiny`.

    Arguments:
        network: one of `NETWORKS`.
        size: pixels, side of the square input, a multiple of 32.
        classes: number of classes.
        anchors: (width, height) in pixels of the input, 9 for `yolov3` and 6 for `yolov3-tiny`, from small to
            large. Defaults to COCO's, scaled to `size`.
        ignore_threshold: IoU with a truth box above which a prediction that is not responsible for it is not punished.

    Raises:
        ValueError: an unknown network, another size or another number of anchors.
    """
    if network not in COCO_ANCHORS:
        raise ValueError(f"network must be one of {', '.join(NETWORKS)}, got {network!r}")
    if size <= 0 or size % 32:
        raise ValueError(f"the input size of YOLOv3 must be a multiple of 32, got {size}")
    if classes < 1:
        raise ValueError(f"classes must be 1 or more, got {classes}")
    if anchors is None:
        anchors = [(w * size / COCO_SIZE, h * size / COCO_SIZE) for w, h in COCO_ANCHORS[network]]
    wanted = len(COCO_ANCHORS[network])
    if len(anchors) != wanted or any(len(anchor) != 2 or min(anchor) <= 0 for anchor in anchors):
        raise ValueError(f"{network} wants {wanted} anchors of a positive width and height, got {list(anchors)}")
    fixed = tuple((float(width), float(height)) for width, height in anchors)

    def head(mask: tuple[int, ...]) -> list[Layer]:
        channels = len(mask) * (5 + classes)
        return [
            Convolutional(channels, 1, batch_normalize=False, activation="linear"),
            Yolo(mask, fixed, classes, ignore_threshold),
        ]

    layers = _yolov3(head) if network == "yolov3" else _yolov3_tiny(head)
    return Description(size, size, 3, tuple(layers))


def _conv(filters: int, size: int, stride: int = 1) -> Convolutional:
    return Convolutional(filters, size, stride, padding=size // 2)


def _pool(stride: int) -> MaxPool:
    return MaxPool(2, stride, padding=1)


Head = Callable[[tuple[int, ...]], list[Layer]]


def _yolov3_tiny(head: Head) -> list[Layer]:
    layers: list[Layer] = []
    for filters in (16, 32, 64, 128, 256):
        layers += [_conv(filters, 3), _pool(2)]
    # Stride 32 from here on: the last pooling keeps its size. Layer 8, the last one of stride 16, is what the
    # second head joins.
    layers += [_conv(512, 3), _pool(1), _conv(1024, 3), _conv(256, 1), _conv(512, 3), *head((3, 4, 5))]
    layers += [Route((13,)), _conv(128, 1), Upsample(2), Route((19, 8)), _conv(256, 3), *head((0, 1, 2))]
    return layers


def _yolov3(head: Head) -> list[Layer]:
    layers: list[Layer] = [_conv(32, 3)]
    joins = {}  # stride -> last layer of Darknet-53 at that stride
    for level, (filters, blocks) in enumerate(((64, 1), (128, 2), (256, 8), (512, 8), (1024, 4)), start=1):
        layers.append(_conv(filters, 3, stride=2))
        for _ in range(blocks):
            layers += [_conv(filters // 2, 1), _conv(filters, 3), Shortcut(len(layers) - 1)]
        joins[2**level] = len(layers) - 1
    for filters, mask, join in ((512, (6, 7, 8), None), (256, (3, 4, 5), joins[16]), (128, (0, 1, 2), joins[8])):
        if join is not None:  # from the fifth convolution of the head before
            layers.append(Route((len(layers) - 4,)))
            layers += [_conv(filters, 1), Upsample(2)]
            layers.append(Route((len(layers) - 1, join)))
        for _ in range(3):
            layers += [_conv(filters, 1), _conv(2 * filters, 3)]
        layers += head(mask)
    return layers

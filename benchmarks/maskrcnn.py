"""Mask R-CNN (ResNet50-FPN, 512 x 512, random weights) against torchvision's, on this machine's CPU.

    python benchmarks/maskrcnn.py --torch PYTHON

PYTHON is the interpreter of an environment with torch and torchvision (`pip install torch torchvision`); both are no
part of this project's own. Both sides: 1,000 proposals, 100 detections, 200 training regions of which a third or a
quarter may be positive, mask head included; one image in inference, two in a training step.
"""

from __future__ import annotations

import argparse
import sys

from side_by_side import compare, measure

SIZE, BATCH, REPEATS = 512, 2, 5


def ours(task: str) -> None:
    import keras
    import numpy as np

    from mrcnn.config import Config
    from mrcnn.dataset import compose_image_meta
    from mrcnn.network import Network, key_count

    class Benchmark(Config):
        NUM_CLASSES = 2
        BACKBONE = "resnet50"
        IMAGE_MIN_DIM = IMAGE_MAX_DIM = SIZE
        IMAGES_PER_GPU = BATCH
        POST_NMS_ROIS_TRAINING = 1000
        DETECTION_MIN_CONFIDENCE = 0.05
        MAX_GT_INSTANCES = 4
        ROI_ADD_INSTANCES = True  # as torchvision does

    config = Benchmark()
    network = Network(config)
    rng = np.random.default_rng(0)
    if task == "inference":
        model = network.inference_model()
        model.compile()
        image = rng.normal(0, 50, (1, SIZE, SIZE, 3)).astype("float32")
        meta = compose_image_meta(0, (SIZE, SIZE, 3), (SIZE, SIZE, 3), (0, 0, SIZE, SIZE), 1, [1, 1])[None]
        inputs = [image, meta.astype("float32")]
        measure(lambda: model.predict_on_batch(inputs), 1, REPEATS)
        return
    model = network.training_model()
    model.compile(optimizer=keras.optimizers.SGD(0.001, momentum=0.9))
    batch = {
        "input_image": rng.normal(0, 50, (BATCH, SIZE, SIZE, 3)).astype("float32"),
        "input_image_meta": np.ones((BATCH, config.IMAGE_META_SIZE), "float32"),
        "input_gt_class_ids": np.array([[1, 1, 0, 0]] * BATCH, np.int32),
        "input_gt_boxes": np.array([[[100, 80, 300, 200], [120, 300, 320, 420], [0] * 4, [0] * 4]] * BATCH, "float32"),
        "input_gt_masks": np.ones((BATCH, *config.MINI_MASK_SHAPE, 4), bool),
        "input_keys": rng.random((BATCH, key_count(config)), np.float32),
    }
    measure(lambda: model.train_on_batch(batch), BATCH, REPEATS)


def torchvisions(task: str) -> None:
    import torch
    from torchvision.models.detection import maskrcnn_resnet50_fpn

    torch.manual_seed(0)
    model = maskrcnn_resnet50_fpn(
        weights=None, weights_backbone=None, num_classes=2, min_size=SIZE, max_size=SIZE,
        rpn_post_nms_top_n_train=1000, rpn_post_nms_top_n_test=1000, box_batch_size_per_image=200,
    )  # fmt: skip
    images = [torch.rand(3, SIZE, SIZE) for _ in range(BATCH)]
    if task == "inference":
        model.eval()
        with torch.inference_mode():
            measure(lambda: model(images[:1]), 1, REPEATS)
        return
    boxes = torch.tensor([[80.0, 100, 200, 300], [300, 120, 420, 320]])
    masks = torch.zeros(2, SIZE, SIZE, dtype=torch.uint8)
    masks[0, 100:300, 80:200] = masks[1, 120:320, 300:420] = 1
    targets = [{"boxes": boxes, "labels": torch.ones(2, dtype=torch.int64), "masks": masks}] * BATCH
    optimizer = torch.optim.SGD(model.parameters(), 0.001, momentum=0.9)
    model.train()

    def step() -> None:
        loss = sum(model(images, targets).values())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    measure(step, BATCH, REPEATS)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--torch", help="interpreter with torch and torchvision")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--worker", choices=["ours", "torchvision"], help=argparse.SUPPRESS)
    parser.add_argument("--task", choices=["inference", "training"], help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        {"ours": ours, "torchvision": torchvisions}[arguments.worker](arguments.task)
        return
    if not arguments.torch:
        parser.error("--torch is needed: the interpreter of an environment with torch and torchvision")
    for task in ("inference", "training"):
        worker = [__file__, "--task", task, "--worker"]
        compare(
            f"{task} at {SIZE}",
            [sys.executable, *worker, "ours"],
            [arguments.torch, *worker, "torchvision"],
            arguments.rounds,
            "image",
        )


if __name__ == "__main__":
    main()

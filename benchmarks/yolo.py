"""YOLOv3-tiny on this machine's CPU: detection against OpenCV's, a training step against PyTorch-YOLOv3's.

    python benchmarks/yolo.py --other PYTHON --weights yolov3-tiny.weights --cfg yolov3-tiny.cfg

PYTHON is the interpreter of an environment with OpenCV 4.x (`opencv-python<5`: OpenCV 5 reads no Darknet files), torch
and `pytorchyolo` (GPL: for this comparison alone, no part of this project). One image of 416 x 416 in detection, eight in
a training step.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from side_by_side import compare, measure

SIZE, BATCH, REPEATS = 416, 8, 10


def ours(task: str, cfg_file: str, weights_file: str) -> None:
    import numpy as np

    from keraskit.training.optimizers import adamw
    from yolov3 import cfg, network, weights
    from yolov3.model import Detector, Yolo

    description = cfg.read(Path(cfg_file))
    rng = np.random.default_rng(0)
    if task == "detection":
        net = network.build(description)
        weights.load(net, Path(weights_file))
        detector = Detector(net, description, 0.25, 0.45, 100)
        detector.compile()
        image = rng.integers(0, 255, (1, SIZE, SIZE, 3), np.uint8)
        measure(lambda: detector.detect(image), 1, REPEATS)
        return
    model = Yolo(description)
    model.compile(optimizer=adamw(0.001, 1000))
    images = rng.integers(0, 255, (BATCH, SIZE, SIZE, 3), np.uint8)
    boxes = np.array([[[100, 80, 200, 260], [220, 100, 330, 300]]] * BATCH, "float32")
    truth = {"boxes": boxes, "classes": np.zeros((BATCH, 2), np.int32)}
    measure(lambda: model.train_on_batch(images, truth), BATCH, REPEATS)


def theirs(task: str, cfg_file: str, weights_file: str) -> None:
    import numpy as np

    rng = np.random.default_rng(0)
    if task == "detection":
        import cv2

        net = cv2.dnn.readNetFromDarknet(cfg_file, weights_file)
        image = rng.integers(0, 255, (SIZE, SIZE, 3), np.uint8)
        names = net.getUnconnectedOutLayersNames()

        def detect() -> None:
            net.setInput(cv2.dnn.blobFromImage(image, 1 / 255))
            rows = np.concatenate(net.forward(names))
            scores = rows[:, 5:].max(axis=1)
            cv2.dnn.NMSBoxes(rows[:, :4].tolist(), scores.tolist(), 0.25, 0.45)

        measure(detect, 1, REPEATS)
        return
    # pytorchyolo imports imgaug, which needs what NumPy 2 took away.
    kinds = {"float": [np.float32], "int": [np.int32], "uint": [np.uint8], "complex": [np.complex64], "others": []}
    setattr(np, "sctypes", kinds)  # noqa: B010
    import torch
    from pytorchyolo.models import load_model
    from pytorchyolo.utils.loss import compute_loss

    model = load_model(cfg_file)
    model.train()
    optimizer = torch.optim.Adam(model.parameters(), 0.001)
    images = torch.rand(BATCH, 3, SIZE, SIZE)
    # image, class, centre, width and height as shares of the image
    rows = [[i, 0, x / SIZE, y / SIZE, w / SIZE, h / SIZE] for i in range(BATCH)
            for x, y, w, h in ((150, 170, 100, 180), (275, 200, 110, 200))]  # fmt: skip
    targets = torch.tensor(rows)

    def step() -> None:
        loss, _ = compute_loss(model(images), targets, model)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    measure(step, BATCH, REPEATS)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--other", help="interpreter with OpenCV 4, torch and pytorchyolo")
    parser.add_argument("--weights", required=True)
    parser.add_argument("--cfg", required=True)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--worker", choices=["ours", "theirs"], help=argparse.SUPPRESS)
    parser.add_argument("--task", choices=["detection", "training"], help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        {"ours": ours, "theirs": theirs}[arguments.worker](arguments.task, arguments.cfg, arguments.weights)
        return
    if not arguments.other:
        parser.error("--other is needed: the interpreter of an environment with OpenCV 4, torch and pytorchyolo")
    for task in ("detection", "training"):
        worker = [__file__, "--cfg", arguments.cfg, "--weights", arguments.weights, "--task", task, "--worker"]
        compare(
            f"{task} at {SIZE}",
            [sys.executable, *worker, "ours"],
            [arguments.other, *worker, "theirs"],
            arguments.rounds,
            "image",
        )


if __name__ == "__main__":
    main()

"""A small network that every section of a .cfg file occurs in."""

from __future__ import annotations

import pytest

SMALL = """
[net]
width = 64   # pixels
height=32
channels=1
learning_rate=0.001

[convolutional]
batch_normalize=1
filters=8
size=3
stride=2
pad=1
activation=leaky

[convolutional]
filters=8
size=1
activation=linear

[shortcut]
from=-2
activation=linear

[maxpool]
size=2
stride=2

[upsample]
stride=2

[route]
layers=-1, 2

[convolutional]
filters=14
size=1
pad=1
activation=linear

; two of three anchors, two classes
[yolo]
mask = 0,2
anchors = 1,2, 3.5,4, 5,6
classes=2
num=3
ignore_thresh=.7
jitter=.3
"""


@pytest.fixture(scope="session")
def small() -> str:
    """Text of a .cfg file: convolutions 0, 1 and 6 of 104, 72 and 238 numbers; one head of two anchors, two classes."""
    return SMALL

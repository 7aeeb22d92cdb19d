"""Groups take their values by name, and between them they take all."""

from dataclasses import fields

import pytest

from pneumonia import params
from pneumonia.models.classifier import training as classifier
from pneumonia.models.maskrcnn import training as maskrcnn
from pneumonia.models.yolo import training as yolo
from pneumonia.training.augmentation import Augmentation
from pneumonia.training.groups import Epochs, Optimization, Sampling, Stopping, pick

STAGE = {"image_size", "device", "devices", "precision", "augmentation"}  # used before a model is built


def test_a_group_is_picked_by_the_names_of_its_fields():
    values = {"seed": 3, "patience": 4, "batch_size": 8, "negatives_per_positive": 1.5}
    assert pick(Sampling, values) == Sampling(batch_size=8, negatives_per_positive=1.5, seed=3)


@pytest.mark.parametrize(
    ("section", "groups", "alone"),
    [
        (
            params.Classifier,
            [classifier.Architecture, classifier.Objective, Epochs, Optimization, Sampling],
            {"patience", "average"},
        ),
        (
            params.MaskRCNN,
            [maskrcnn.Architecture, maskrcnn.Targets, maskrcnn.Losses, Stopping, Optimization, Sampling],
            {"phases", "average"},
        ),
        (params.Yolo, [yolo.Architecture, yolo.Objective, Epochs, Stopping, yolo.Optimization, Sampling], set()),
        (params.Augmentation, [Augmentation], set()),
    ],
)
def test_every_value_of_a_section_has_one_place(section, groups, alone):
    names = [field.name for group in groups for field in fields(group)]
    assert len(names) == len(set(names))
    stage = STAGE if issubclass(section, params.Training) else set()
    assert {*names, *alone, *stage} == set(section.model_fields)


def test_the_backbone_learns_at_a_rate_of_its_own():
    group = Optimization(learning_rate=0.01, backbone_rate=0.5, warmup=0.1, weight_decay=0.002, clip_norm=5.0)
    optimizer = group.optimizer(20, "^head", rate=0.3)
    assert (optimizer.factor("head_1/kernel"), optimizer.factor("stem/kernel")) == (1.0, 0.5)
    assert (optimizer.decay, optimizer.global_clipnorm) == (0.002, 5.0)
    # A tenth of 20 steps warm up: the second has the peak, 0.3 x 0.01.
    assert float(optimizer._learning_rate(1)) == pytest.approx(0.003)
    assert (optimizer.average, group.optimizer(20, "^head", average=0.9).average) == (0.0, 0.9)

"""A Mask R-CNN that is traced in seconds, and images for it; written as a project for Matterport's package is."""

import keras
import numpy as np

from mrcnn import utils
from mrcnn.config import Config


def tiny_backbone(image, stage5=True, train_bn=None):
    x, maps = image, []
    for level in range(1, 6):
        x = keras.layers.Conv2D(6, 3, strides=2, padding="same", activation="relu", name=f"res{level}")(x)
        maps.append(x)
    return maps


class TinyConfig(Config):
    NAME = "tiny"
    NUM_CLASSES = 1 + 2
    IMAGES_PER_GPU = 2
    STEPS_PER_EPOCH = 2
    VALIDATION_STEPS = 1
    BACKBONE = tiny_backbone
    BACKBONE_STRIDES = (8, 16, 32)
    RPN_ANCHOR_SCALES = (16, 24, 48)
    TOP_DOWN_PYRAMID_SIZE = 8
    FPN_CLASSIF_FC_LAYERS_SIZE = 12
    RPN_CONV_FILTERS = 8
    IMAGE_MIN_DIM = 64
    IMAGE_MAX_DIM = 64
    MINI_MASK_SHAPE = (14, 14)
    MAX_GT_INSTANCES = 3
    PRE_NMS_LIMIT = 60
    POST_NMS_ROIS_TRAINING = 20
    POST_NMS_ROIS_INFERENCE = 12
    TRAIN_ROIS_PER_IMAGE = 8
    ROI_ADD_INSTANCES = True
    DETECTION_MAX_INSTANCES = 5
    DETECTION_MIN_CONFIDENCE = 0.0


class Boxes(utils.Dataset):
    """One bright box an image, none in every third."""

    def prepare_made_up(self, count):
        self.add_class("made_up", 1, "light")
        self.add_class("made_up", 2, "lighter")
        for i in range(count):
            self.add_image("made_up", i, None)
        self.prepare()

    def load_image(self, image_id):
        mask, class_ids = self.load_mask(image_id)
        image = np.full((48, 64, 3), 40, np.uint8)
        for i, class_id in enumerate(class_ids):
            image[mask[:, :, i]] = 90 * class_id
        return image

    def load_mask(self, image_id):
        if image_id % 3 == 2:
            return super().load_mask(image_id)
        mask = np.zeros((48, 64, 1), bool)
        mask[10 + image_id : 30, 12 : 40 + image_id] = True
        return mask, np.array([1 + image_id % 2], np.int32)

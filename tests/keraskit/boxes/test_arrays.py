import numpy as np

from keraskit.boxes.arrays import xywh_to_xyxy, xyxy_to_xywh


def test_the_two_forms_of_a_box():
    assert xywh_to_xyxy(np.array([[10, 20, 30, 40]])).tolist() == [[10, 20, 40, 60]]
    assert xyxy_to_xywh(np.array([[10, 20, 40, 60]])).tolist() == [[10, 20, 30, 40]]


def test_no_boxes_keep_four_columns():
    assert xywh_to_xyxy(np.array([])).shape == (0, 4)
    assert xyxy_to_xywh(np.zeros((0, 4), np.float32)).dtype == np.float32

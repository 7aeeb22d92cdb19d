"""Pictures: colours where boxes are, sizes kept, the same bytes twice."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from pneumonia.pictures import DETECTION, TRUTH, cam_overlay, jpeg, overlay, png

GREY = np.full((120, 100), 90, np.uint8)


def test_overlay_draws_truth_green_and_detections_red_in_the_original_size():
    result = overlay(GREY, [[10, 40, 30, 60]], [[50, 60, 80, 100, 0.87]], titles=False)
    assert result.shape == (120, 100, 3)
    assert result.dtype == np.uint8
    assert tuple(result[40, 20]) == TRUTH  # top edge
    assert tuple(result[59, 29]) == TRUTH  # x2 and y2 are edges: the last pixel inside
    assert tuple(result[60, 65]) == DETECTION
    assert tuple(result[50, 20]) == (90, 90, 90)  # inside stays clear
    assert (GREY == 90).all()


def test_titles_stay_inside_the_image():
    for box in ([0, 0, 20, 20, 0.87], [80, 100, 100, 120, 0.5]):
        plain, titled = (overlay(GREY, None, [box], titles=t) for t in (False, True))
        assert (plain != titled).any()


def test_boxes_beyond_the_border_are_drawn_at_it():
    result = overlay(GREY, [[-50, -50, 500, 500]], None)
    assert tuple(result[0, 0]) == TRUTH
    assert tuple(result[119, 99]) == TRUTH


def test_nothing_to_draw_gives_the_image():
    np.testing.assert_array_equal(overlay(GREY, None, []), np.repeat(GREY[..., None], 3, -1))


def test_cam_lights_up_where_it_is_high_and_only_there():
    cam = np.zeros((4, 4), np.float16)
    cam[0, 0] = 3
    result = cam_overlay(GREY, cam).astype(int)
    assert np.ptp(result[5, 5]) > 20  # coloured
    assert tuple(result[110, 90]) == (90, 90, 90)
    np.testing.assert_array_equal(cam_overlay(GREY, -np.ones((2, 2))), np.repeat(GREY[..., None], 3, -1))


def test_encodings_keep_red_and_blue_apart():
    image = np.zeros((8, 8, 3), np.uint8)
    image[..., 0] = 200
    for data in (png(image), jpeg(image)):
        decoded = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
        assert decoded[4, 4, 2] > 190
        assert decoded[4, 4, 0] < 20
    assert png(image) == png(image)


def test_errors_say_what_was_received():
    with pytest.raises(ValueError, match=r"image must be uint8 \[H, W\], got float64 \[2, 2\]"):
        overlay(np.zeros((2, 2)), None, None)
    with pytest.raises(ValueError, match=r"detections must be \[n, 5\], got \[1, 4\]"):
        overlay(GREY, None, [[0, 0, 1, 1]])
    with pytest.raises(ValueError, match=r"must be \[h, w\], got \[3\]"):
        cam_overlay(GREY, np.zeros(3))

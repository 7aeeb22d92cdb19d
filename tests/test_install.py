"""The project as others install it: a wheel that holds all its files, and one model in an environment of its own."""

import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import yaml
from tests.places import ROOT
from tests.pneumonia.reading_room.node.stand_in import Archive, echo, free_port, radiograph, send, settings_to, until
from tests.pneumonia.runtime.tiny import write_bundles
from tests.radiographs import chest
from tests.test_supply import AT_IMPORT, NETWORKS

from pneumonia.schema.models import has_boxes

HEAVY = {"tensorflow", "torch", "dvc", "mlflow", "imgaug", "matplotlib", "scikit-learn", "highdicom"}
BUILT_FROM = ("pyproject.toml", "setup.py", "README.md", "LICENSE", "src")
TRAIN = """
import sys
sys.modules["tqdm"] = None  # it draws bars, no more
import mrcnn, mrcnn.model, mrcnn.utils
import numpy as np
from tiny import Boxes, TinyConfig

class OneStep(TinyConfig):
    STEPS_PER_EPOCH = 1

images = Boxes()
images.prepare_made_up(2)
model = mrcnn.model.MaskRCNN("training", OneStep(), "logs")
before = [np.array(weight) for weight in model.keras_model.get_weights()]
model.train(images, images, learning_rate=0.01, epochs=1, layers="all")
model.keras_model.save_weights("trained.h5")
after = model.keras_model.get_weights()
print(mrcnn.__file__)
print(sum((a != b).any() for a, b in zip(after, before)), len(before))
print(sorted((w.shape, float(w.sum(dtype=float))) for w in after))
"""
DETECT = """
import numpy as np
from mrcnn import model as modellib
from tiny import Boxes, TinyConfig

class One(TinyConfig):
    IMAGES_PER_GPU = 1

images = Boxes()
images.prepare_made_up(2)
model = modellib.MaskRCNN("inference", One(), "logs")
found = []
for path in ("trained.h5", model.find_last()):
    model.keras_model.set_weights([0 * weight for weight in model.keras_model.get_weights()])
    model.load_weights(path, by_name=True)
    loaded = sorted((w.shape, float(w.sum(dtype=float))) for w in model.keras_model.get_weights())
    for variable in model.keras_model.variables:  # one step teaches nothing: let no region be background
        if variable.path.endswith("mrcnn_class_logits/bias"):
            variable.assign([-9.0, *(9.0 for _ in range(variable.shape[0] - 1))])
    found += model.detect([images.load_image(0)])
for name, values in found[0].items():
    np.testing.assert_array_equal(values, found[1][name])
print(found[0]["rois"].shape[1], found[0]["masks"].shape[:2], len(found[0]["rois"]) > 0)
print(loaded)
"""
ROOMS = """
import importlib, pkgutil, sys
import efficientdet, keraskit, mrcnn, pneumonia, yolov3
held = tuple(sys.argv[1].split(","))
count = 0
for package in (efficientdet, keraskit, mrcnn, pneumonia, yolov3):
    for module in pkgutil.walk_packages(package.__path__, package.__name__ + ".", onerror=lambda name: None):
        if not module.name.startswith(held):
            importlib.import_module(module.name)
            count += 1
print(count > 100)
"""


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of what a build reads, without what an earlier one left in it."""
    copy = tmp_path_factory.mktemp("copy")
    for name in BUILT_FROM:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
        else:
            shutil.copy(ROOT / name, copy)
    return copy


def run(*command: str | Path, cwd: Path, status: int = 0, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run without what leads to this project or chooses a backend."""
    inherited = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "KERAS_BACKEND")}
    done = subprocess.run(
        [str(word) for word in command],
        cwd=cwd,
        env=inherited | environment,
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == status, f"{command} gave {done.returncode}:\n{done.stdout}\n{done.stderr}"
    return done


def test_a_wheel_holds_every_file_of_the_source(tree: Path, tmp_path: Path):
    options = ("--no-deps", "--no-build-isolation", "--quiet", "--wheel-dir", tmp_path)
    run(sys.executable, "-m", "pip", "wheel", *options, tree, cwd=tmp_path)
    (wheel,) = tmp_path.glob("pneumonia-*.whl")
    held = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    source = ROOT / "src"
    wanted = {
        path
        for path in source.rglob("*")
        if path.suffix in (".py", ".pth", ".typed") or {"static", "templates"} & set(path.parts)
    }
    assert held == {path.relative_to(source).as_posix() for path in wanted if path.is_file()}
    assert {"pneumonia/report/templates/report.html", "mrcnn_imgaug.pth"} <= held


@pytest.fixture(scope="module")
def environment(tree: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment with what `pip install '.[jax]'` brings."""
    return installed(tree, tmp_path_factory.mktemp("environment"), "jax")


@pytest.fixture(scope="module")
def reading(tree: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment that reads new studies with exported models, and answers a PACS."""
    return installed(tree, tmp_path_factory.mktemp("reading"), "onnx,dicom")


def installed(tree: Path, folder: Path, extras: str) -> Path:
    """An environment with these extras of the project, in the versions of the lock; its `bin`."""
    pins = re.findall(r"^(\S+==[^\\\n]+?) *\\?$", (ROOT / "requirements.lock").read_text(), re.MULTILINE)
    (folder / "pins.txt").write_text("\n".join(pins))
    small = ("download", "--no-deps", "--quiet", "--dest", folder / "downloaded", "-c", folder / "pins.txt", "namex")
    asked = subprocess.run([sys.executable, "-m", "pip", *map(str, small)], capture_output=True, text=True)
    if asked.returncode:
        pytest.skip(f"no package index can be reached: {asked.stderr.strip().splitlines()[-1]}")
    run(sys.executable, "-m", "venv", folder / "venv", cwd=folder)
    python = folder / "venv/bin/python"
    run(python, "-m", "pip", "install", "--quiet", "-c", folder / "pins.txt", f"{tree}[{extras}]", cwd=folder)
    return folder / "venv/bin"


@pytest.mark.slow
def test_one_model_needs_no_pipeline(environment: Path, capsys: pytest.CaptureFixture[str]):
    listed = run(environment / "python", "-m", "pip", "list", "--format=freeze", cwd=environment).stdout
    packages = {line.split("==")[0].lower() for line in listed.splitlines()} - {"pip", "setuptools", "pneumonia"}
    size = sum(path.stat().st_size for path in environment.parent.rglob("*") if path.is_file()) / 1e6
    with capsys.disabled():
        print(f"\npip install '.[jax]': {len(packages)} packages, {size:.0f} MB")
    assert {"jax", "keras", "pydicom"} <= packages
    assert packages & HEAVY == set()
    assert len(packages) <= 40
    assert size < 1300


@pytest.mark.slow
def test_mask_rcnn_from_another_folder(environment: Path, tmp_path: Path):
    """Build, train a step, save; in another process load both files and detect: the same twice."""
    shutil.copy(ROOT / "tests/mrcnn/tiny.py", tmp_path)
    python, settings = environment / "python", {"KERAS_BACKEND": "jax", "KERAS_HOME": str(tmp_path)}
    *_, place, counts, trained = run(python, "-c", TRAIN, cwd=tmp_path, **settings).stdout.splitlines()
    assert Path(place).is_relative_to(environment.parent)
    changed, every = (int(word) for word in counts.split())
    assert changed > every / 2
    *_, found, loaded = run(python, "-c", DETECT, cwd=tmp_path, **settings).stdout.splitlines()
    assert found == "4 (48, 64) True"
    assert loaded == trained


@pytest.mark.slow
def test_every_room_of_the_base_can_be_imported(environment: Path, tmp_path: Path):
    held = ",".join(room.replace("/", ".") for room, needs in AT_IMPORT.items() if not needs <= NETWORKS)
    settings = {"KERAS_BACKEND": "jax", "KERAS_HOME": str(tmp_path)}
    assert run(environment / "python", "-c", ROOMS, held, cwd=tmp_path, **settings).stdout == "True\n"


@pytest.mark.slow
def test_a_command_gives_its_result_or_names_the_extra(environment: Path, tmp_path: Path):
    for name in ("params.yaml", "profiles", "metrics"):
        place = ROOT / name
        shutil.copytree(place, tmp_path / name) if place.is_dir() else shutil.copy(place, tmp_path)
    settings = {"KERAS_HOME": str(tmp_path)}  # where no file chooses a backend

    def pneumonia(*words: str, status: int) -> str:
        done = run(environment / "pneumonia", *words, cwd=tmp_path, status=status, **settings)
        return done.stderr if status else done.stdout

    assert "profile" in pneumonia("--help", status=0)
    assert pneumonia("params", status=0) == "params.yaml is fine\n"
    assert "Ensemble" in pneumonia("results", status=0)
    pipeline = "not installed: pip install -e '.[pipeline]' in the project\n"
    for words in (["profile"], ["deps"], ["verify"], ["crossval"], ["compare", "A", "B"]):
        assert pneumonia(*words, status=2).endswith(pipeline)
    predict = ["predict", "x.dcm", "--output", "out"]
    assert pneumonia(*predict, status=2) == (
        "pneumonia: Keras' backend tensorflow is not installed: pip install -e '.[tensorflow]' in the project, "
        "or set KERAS_BACKEND to jax\n"
    )
    settings["KERAS_BACKEND"] = "jax"
    assert "there is no trained model at models/classifier" in pneumonia(*predict, status=2)


@pytest.mark.slow
def test_exported_models_read_and_answer_without_keras(
    reading: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    listed = run(reading / "python", "-m", "pip", "list", "--format=freeze", cwd=reading).stdout
    packages = {line.split("==")[0].lower() for line in listed.splitlines()} - {"pip", "setuptools", "pneumonia"}
    assert packages & (HEAVY - {"highdicom"} | NETWORKS | {"jax"}) == set()
    size = sum(path.stat().st_size for path in reading.parent.rglob("*") if path.is_file()) / 1e6
    with capsys.disabled():
        print(f"\npip install '.[onnx,dicom]': {len(packages)} packages, {size:.0f} MB")
    assert size < 900

    shutil.copy(ROOT / "params.yaml", tmp_path)
    predict = yaml.safe_load((ROOT / "params.yaml").read_text())["predict"]
    options = {key: predict[key] for key in ("score_floor", "nms_iou", "max_detections")}
    write_bundles(tmp_path / "bundles", lambda name: {"predict": options} if has_boxes(name) else {})
    (tmp_path / "x.dcm").write_bytes(chest())
    models = ("--models", "bundles")
    said = run(reading / "pneumonia", "predict", "x.dcm", "--output", "out", "--dicom", *models, cwd=tmp_path).stdout
    assert "1 studies read, 1 with findings at score 0.500" in said
    assert sorted(path.name for path in (tmp_path / "out/dicom").iterdir()) == ["x.pr.dcm", "x.sr.dcm"]

    archive, port = Archive(), free_port()
    settings = settings_to(archive, tmp_path / "node", port)
    (tmp_path / "serve.yaml").write_text(yaml.safe_dump(settings))
    node = subprocess.Popen(
        [reading / "pneumonia", "serve", "serve.yaml", *models], cwd=tmp_path, stderr=subprocess.DEVNULL
    )
    try:
        until(lambda: echo(port) == 0, 60)
        assert send(port, [radiograph(1)]) == [0]
        until(lambda: len(archive.objects) == 2, 60)
        assert sorted(made.Modality for made in archive.objects.values()) == ["PR", "SR"]
    finally:
        node.kill()
        node.wait()
        archive.close()

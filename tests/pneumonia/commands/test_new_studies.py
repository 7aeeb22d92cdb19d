"""`pneumonia predict`: what it asks for, and that exported models need neither Keras nor DVC."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from tests.pneumonia.runtime.tiny import write_bundles
from tests.radiographs import chest

from pneumonia import cli
from pneumonia.schema.models import has_boxes


def test_predict_without_models_says_what_to_do(project: Path, capsys: pytest.CaptureFixture[str]):
    assert cli.main(["predict", "x.dcm", "--output", "out", "--threshold", "0.5"]) == 2
    assert "there is no trained model at models/classifier; run `dvc repro`" in capsys.readouterr().err
    assert not (project / "out").exists()


def test_predict_without_a_threshold_says_what_to_do(project: Path, capsys: pytest.CaptureFixture[str]):
    assert cli.main(["predict", "x.dcm", "--output", "out"]) == 2
    assert "metrics/submission.json not found" in capsys.readouterr().err


WITHOUT = """
import sys
for name in ("dvc", "h5py", "jax", "keras", "mlflow", "tensorflow", "torch"):
    sys.modules[name] = None  # an import of it fails
from pneumonia import cli
sys.exit(cli.main(sys.argv[1:]))
"""


@pytest.fixture
def bundles(project: Path) -> Path:
    """Exported models that fit params.yaml, and name an operating point."""
    predict = yaml.safe_load((project / "params.yaml").read_text())["predict"]
    options = {key: predict[key] for key in ("score_floor", "nms_iou", "max_detections")}
    write_bundles(project / "bundles", lambda name: {"predict": options} if has_boxes(name) else {})
    return project / "bundles"


def test_exported_models_need_neither_keras_nor_dvc(bundles: Path):
    (bundles.parent / "x.dcm").write_bytes(chest())
    command = [sys.executable, "-c", WITHOUT, "predict", "x.dcm", "--output", "out", "--models", str(bundles)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "1 studies read, 1 with findings at score 0.500" in done.stdout
    assert "models run by ONNX Runtime" in done.stdout
    made_by = json.loads(Path("out/made_by.json").read_text())
    assert made_by["settings"].endswith("; run by ONNX Runtime")
    assert made_by["operating_point"] == 0.5
    # 48 rows of 64 in a square of 64, itself twice the model's 32: x 8..24 and y 4..16 are 16..48 and 8..32, less 8 rows of padding.
    # Grey values 0 to 255 evenly, and the padding: 0.375 of white; the mean with 0.75 is 0.5625, up to the resizing's rounding.
    study, score, *box, _ = Path("out/detections.csv").read_text().splitlines()[1].split(",")
    assert (study, box) == ("x", ["16.00", "0.00", "32.00", "24.00"])
    assert float(score) == pytest.approx(0.5625, abs=0.002)


def test_an_archive_is_read_in_parts_to_the_same_tables(bundles: Path, capsys: pytest.CaptureFixture[str]):
    (bundles.parent / "x.dcm").write_bytes(chest())
    for output, more in (("one", []), ("parts", ["--resume"])):
        command = ["predict", "x.dcm", "--output", output, "--models", str(bundles), "--no-overlays", *more]
        assert cli.main(command) == 0
        assert "1 studies read, 1 with findings at score 0.500" in capsys.readouterr().out
    for path in Path("one").iterdir():
        assert (Path("parts") / path.name).read_bytes() == path.read_bytes()


def test_no_cluster_at_the_address(bundles: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    pytest.importorskip("distributed")
    monkeypatch.setattr("pneumonia.cluster.CONNECT_SECONDS", 1)
    (bundles.parent / "x.dcm").write_bytes(chest())
    command = ["predict", "x.dcm", "--output", "out", "--models", str(bundles), "--scheduler", "tcp://127.0.0.1:9"]
    assert cli.main(command) == 2
    assert "no Dask cluster answers at 'tcp://127.0.0.1:9'" in capsys.readouterr().err
    assert not [path.name for path in Path().iterdir() if "out" in path.name]


def test_keras_does_not_run_exported_models(bundles: Path, capsys: pytest.CaptureFixture[str]):
    command = ["predict", "x.dcm", "--output", "out", "--models", str(bundles), "--runtime", "keras"]
    assert cli.main(command) == 2
    assert "bundles holds exported models, which Keras does not run" in capsys.readouterr().err


def test_predict_does_not_write_over_results(project: Path, capsys: pytest.CaptureFixture[str]):
    (project / "out").mkdir()
    (project / "out" / "mine.txt").write_text("x")
    assert cli.main(["predict", "x.dcm", "--output", "out", "--threshold", "0.5"]) == 2
    assert "out exists and is not empty" in capsys.readouterr().err


def test_no_object_states_that_any_image_is_of_a_chest(project: Path, capsys: pytest.CaptureFixture[str]):
    for option in ("--dicom", "--capture"):
        assert cli.main(["predict", "x.dcm", "--output", "out", "--any-image", option]) == 2
        assert "--any-image goes with tables and pictures alone" in capsys.readouterr().err

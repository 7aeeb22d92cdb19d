"""The command line: exit statuses, messages, and that data-only commands leave TensorFlow alone."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from tests.places import ROOT
from tests.pneumonia.runtime.tiny import write_bundles
from tests.radiographs import chest

from pneumonia import cli
from pneumonia.schema.models import has_boxes


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copy(ROOT / "params.yaml", tmp_path)
    shutil.copytree(ROOT / "profiles", tmp_path / "profiles")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_params_are_checked(project: Path, capsys: pytest.CaptureFixture[str]):
    assert cli.main(["params"]) == 0
    text = (project / "params.yaml").read_text()
    (project / "params.yaml").write_text(text.replace("  score_floor:", "  score_flor:"))
    assert cli.main(["params"]) == 2
    error = capsys.readouterr().err
    assert "predict.score_flor: unknown key" in error
    assert "predict.score_floor: missing" in error


def test_profiles_are_listed_applied_and_checked(project: Path, capsys: pytest.CaptureFixture[str]):
    assert cli.main(["profile"]) == 0
    assert capsys.readouterr().out.split() == ["rsna-gpu", "rsna-mini-cpu"]
    assert cli.main(["profile", "rsna-mini-cpu", "--check"]) == 1
    assert "+  source: local" in capsys.readouterr().out
    assert cli.main(["profile", "rsna-mini-cpu"]) == 0
    assert cli.main(["profile", "rsna-mini-cpu", "--check"]) == 0
    capsys.readouterr()
    assert cli.main(["profile"]) == 0
    assert "rsna-mini-cpu  (applied)" in capsys.readouterr().out


def test_a_missing_profile_is_an_error(project: Path, capsys: pytest.CaptureFixture[str]):
    assert cli.main(["profile", "gpu"]) == 2
    assert "there is no profile 'gpu'" in capsys.readouterr().err


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


def test_export_names_what_it_misses(project: Path, capsys: pytest.CaptureFixture[str]):
    for words, said in (
        (["resnet"], "MODEL must be of classifier, maskrcnn, yolo, efficientdet, got resnet"),
        (["yolo"], "there is no trained model at models/yolo"),
    ):
        assert cli.main(["export", *words, "--output", "out"]) == 2
        assert said in capsys.readouterr().err
    assert not (project / "out").exists()


def test_benchmark_names_a_folder_without_models(project: Path, capsys: pytest.CaptureFixture[str]):
    assert cli.main(["benchmark", "profiles"]) == 2
    assert "profiles holds no model" in capsys.readouterr().err


def test_predict_does_not_write_over_results(project: Path, capsys: pytest.CaptureFixture[str]):
    (project / "out").mkdir()
    (project / "out" / "mine.txt").write_text("x")
    assert cli.main(["predict", "x.dcm", "--output", "out", "--threshold", "0.5"]) == 2
    assert "out exists and is not empty" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments",
    [
        ["predict", "", "--output", "out"],
        ["predict", "in", "--output", ""],
        ["predict", "in", "--output", "out", "--models", ""],
        ["render", "", "--output", "out"],
        ["render", "in", "--output", ""],
        ["predict", "in", "--output", "out", "--scheduler", ""],
        ["crossval", "--output", ""],
        ["serve", ""],
        ["serve", "serve.yaml", "--models", ""],
    ],
)
def test_an_empty_path_is_not_the_current_folder(
    project: Path, arguments: list[str], capsys: pytest.CaptureFixture[str]
):
    with pytest.raises(SystemExit) as caught:
        cli.main(arguments)
    assert caught.value.code == 2
    assert "is empty; give a" in capsys.readouterr().err


WITHOUT_INPUT = ["crossval", "worst", "send"]


@pytest.mark.parametrize(
    "command",
    [
        ["predict", "--threshold", "0.5"],
        ["render"],
        ["crossval"],
        ["convert", "coco"],
        ["take", "cvat"],
        ["evaluate-on"],
        ["worst"],
        ["send", "cvat"],
    ],
    ids=lambda command: command[0],
)
@pytest.mark.parametrize("output", ["home/new/..", "link/new/..", "home", "link"])
def test_no_command_replaces_what_a_path_leads_to(
    project: Path, command: list[str], output: str, capsys: pytest.CaptureFixture[str]
):
    (project / "home").mkdir()
    (project / "home" / "thesis").write_text("years")
    (project / "link").symlink_to("home")
    (project / "in.dcm").write_bytes(chest())
    source = [] if command[0] in WITHOUT_INPUT else ["in.dcm"]
    assert cli.main([*command, *source, "--output", output]) == 2
    assert f"{project / 'home'} exists and is not empty" in capsys.readouterr().err
    assert (project / "home" / "thesis").read_text() == "years"


def test_no_object_states_that_any_image_is_of_a_chest(project: Path, capsys: pytest.CaptureFixture[str]):
    for option in ("--dicom", "--capture"):
        assert cli.main(["predict", "x.dcm", "--output", "out", "--any-image", option]) == 2
        assert "--any-image goes with tables and pictures alone" in capsys.readouterr().err


def test_too_little_memory_is_said(project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    def fail(*arguments: object, **options: object) -> None:
        raise MemoryError

    monkeypatch.setattr("pneumonia.reading_room.render.render", fail)
    assert cli.main(["render", "x.dcm", "--output", "out"]) == 2
    assert capsys.readouterr().err == "pneumonia: out of memory; nothing was written\n"


def test_the_settings_of_a_node_are_checked(project: Path, capsys: pytest.CaptureFixture[str]):
    shutil.copy(ROOT / "docs" / "serve.yaml", project)
    assert cli.main(["serve", "--check", "serve.yaml"]) == 2
    assert (
        "metrics/submission.json not found; run `dvc repro submission` first, or give threshold"
        in capsys.readouterr().err
    )
    text = (project / "serve.yaml").read_text().replace("threshold: null", "threshold: 0.25")
    (project / "serve.yaml").write_text(text)
    assert cli.main(["serve", "--check", "serve.yaml"]) == 2
    assert "there is no trained model at models/classifier; run `dvc repro`" in capsys.readouterr().err
    for name in ("classifier", "maskrcnn", "yolo"):
        (project / "models" / name).mkdir(parents=True)
        (project / "models" / name / "model.json").write_text("{}")
    assert cli.main(["serve", "--check", "--offline", "serve.yaml"]) == 0
    assert capsys.readouterr().out == "serve.yaml is fine; operating point 0.250\n"
    assert cli.main(["serve", "other.yaml"]) == 2
    assert "other.yaml: no such file; docs/serve.yaml is one to start from" in capsys.readouterr().err


def test_the_peers_of_a_node_are_asked(project: Path, capsys: pytest.CaptureFixture[str]):
    pynetdicom = pytest.importorskip("pynetdicom")
    for name in ("classifier", "maskrcnn", "yolo"):
        (project / "models" / name).mkdir(parents=True)
        (project / "models" / name / "model.json").write_text("{}")
    entity = pynetdicom.AE("A")
    entity.add_supported_context("1.2.840.10008.1.1")
    server = entity.start_server(("127.0.0.1", 0), block=False)
    port = server.server_address[1]
    (project / "serve.yaml").write_text(f"threshold: 0.25\npeers: {{A: {{host: 127.0.0.1, port: {port}}}, M: {{}}}}")
    try:
        assert cli.main(["serve", "--check", "serve.yaml"]) == 0
    finally:
        server.shutdown()
    said = f"serve.yaml is fine; operating point 0.250\nA at 127.0.0.1:{port} "
    assert capsys.readouterr().out == f"{said}answers\n"
    assert cli.main(["serve", "--check", "serve.yaml"]) == 1
    assert capsys.readouterr().out == f"{said}does not answer\n"


def test_a_node_without_models_says_what_to_do(project: Path, capsys: pytest.CaptureFixture[str]):
    pytest.importorskip("pynetdicom")
    (project / "serve.yaml").write_text("threshold: 0.5\npeers: {A: {host: localhost, port: 104}}")
    assert cli.main(["serve", "serve.yaml"]) == 2
    assert "there is no trained model at models/classifier; run `dvc repro`" in capsys.readouterr().err
    assert not (project / "node").exists()


HEAVY = {"tensorflow", "keras", "mlflow", "matplotlib", "torch", "jax", "dvc", "imgaug"}
LIGHT = (
    "schema",
    "dicom",
    "sources",
    "data",
    "prediction",
    "metrics",
    "evaluation",
    "annotation",
    "external",
    "report",
    "experiments",
    "project",
)


@pytest.mark.parametrize("room", ["the ground", *LIGHT])
def test_rooms_whose_job_is_data_import_no_heavy_package(room: str):
    folder = ROOT / "src/pneumonia"
    paths = sorted(folder.glob("*.py") if room == "the ground" else (folder / room).rglob("*.py"))
    modules = [
        ".".join(path.relative_to(ROOT / "src").with_suffix("").parts) for path in paths if path.stem != "__init__"
    ]
    assert modules
    code = f"import sys, {', '.join(modules)}; print(sorted({HEAVY!r} & set(sys.modules)))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


def test_a_reader_that_leaves_is_no_error(project: Path):
    """As `pneumonia results | head -1` does."""
    shutil.copytree(ROOT / "metrics", project / "metrics")
    command = [sys.executable, "-m", "pneumonia.cli", "results"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout
    assert process.stderr
    process.stdout.close()
    assert process.stderr.read() == ""
    process.stderr.close()
    assert process.wait(60) == 141


def test_another_projects_set_is_converted(project: Path, capsys: pytest.CaptureFixture[str]):
    data = {
        "images": [{"id": 1, "file_name": "a.dcm"}],
        "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "bbox": [1, 2, 30, 40]}],
        "categories": [{"id": 1, "name": "opacity"}],
    }
    (project / "set").mkdir()
    (project / "set" / "a.dcm").write_bytes(chest())
    (project / "set" / "labels.json").write_text(json.dumps(data))
    assert cli.main(["convert", "coco", "set", "--output", "raw", "--opacity", "mass"]) == 2
    assert "opacity names mass; the classes here are opacity" in capsys.readouterr().err
    assert not (project / "raw").exists()
    assert cli.main(["convert", "coco", "set", "--output", "raw"]) == 0
    assert (project / "raw" / "labels.csv").read_text().splitlines()[1] == "a,1.000000,2.000000,30.000000,40.000000,1"


def test_the_calibration_of_new_studies_is_the_models_own(tmp_path: Path, capsys):
    from pneumonia.prediction import calibration

    assert cli._calibration(tmp_path) == calibration.NONE
    assert "calibration.json not found: the scores of studies are no probabilities" in capsys.readouterr().err
    own = calibration.Calibration(method="platt", slope=2.0)
    calibration.write(tmp_path / "calibration.json", {"yolo": calibration.NONE, "ensemble": own})
    assert cli._calibration(tmp_path) == own
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--against", "split.by=image"], "--set, --against and --seeds go with --run"),
        (["--run", "fold-0"], "--run finds the experiments by their params; name none"),
        (["--run", "--seeds", "1"], "--seeds wants two different seeds or more, and goes without --against"),
    ],
)
def test_crossval_says_what_does_not_go_together(words: list[str], said: str, tmp_path: Path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert cli.main(["crossval", *words]) == 2
    assert said in capsys.readouterr().err

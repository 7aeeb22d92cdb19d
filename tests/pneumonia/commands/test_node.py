"""`pneumonia serve`: settings are checked, peers asked. The books: reading_room/node/test_desk.py."""

import shutil
from pathlib import Path

import pytest
from tests.places import ROOT

from pneumonia import cli


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

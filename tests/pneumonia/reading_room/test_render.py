"""What the models see, as pictures: every file once, the pixels of the models, nothing half written."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
import pytest
from tests import mixed_input
from tests.places import ROOT
from tests.radiographs import IMAGE, chest

from pneumonia import cli
from pneumonia.reading_room import render as module
from pneumonia.reading_room.render import render

AUTO = {"mode": "auto", "center": -600.0, "width": 1500.0, "percentiles": [0.5, 99.5], "choice": 1}


def table(folder: Path) -> pd.DataFrame:
    return pd.read_csv(folder / "render.csv", dtype=str, keep_default_na=False).set_index("path")


def test_a_picture_has_the_pixels_that_the_models_get(tmp_path: Path):
    source = tmp_path / "in"
    source.mkdir()
    (source / "plain.dcm").write_bytes(chest(SOPInstanceUID="1.2.1"))
    (source / "window.dcm").write_bytes(chest(SOPInstanceUID="1.2.2", WindowCenter="51", WindowWidth="101"))
    (source / "negative.dcm").write_bytes(chest(SOPInstanceUID="1.2.3", PhotometricInterpretation="MONOCHROME1"))
    (source / "colour.dcm").write_bytes(chest(SOPInstanceUID="1.2.4", PhotometricInterpretation="RGB"))
    (source / "note.txt").write_text("x")
    counted = render(source, tmp_path / "out", window=AUTO, workers=1)
    assert counted == {"files": 5, "ok": 3, "rejected": 1, "skipped": 1}
    seen = {path.stem: cv2.imread(str(path), cv2.IMREAD_UNCHANGED) for path in (tmp_path / "out").glob("*.png")}
    assert {name: image.shape for name, image in seen.items()} == dict.fromkeys(
        ["plain", "window", "negative"], (48, 64)
    )
    assert (seen["plain"] == IMAGE).all()
    assert (seen["negative"] == 255 - IMAGE).all()
    # PS3.3, C.11.2.1.2.1: black up to 51 - 0.5 - 50 = 0.5, white above 100.5; 30 is 255 * (29.5 / 100) = 75.2
    assert seen["window"][0, [0, 30, 60]].tolist() == [0, 75, 152]
    assert (seen["window"][1, 37:64] == 255).all()
    rows = table(tmp_path / "out")
    assert rows.loc["window.dcm"].tolist() == ["window", "ok", "", "pydicom", "dicom", "51", "101", "no", ""]
    assert rows.loc["negative.dcm", ["window", "inverted"]].tolist() == ["none", "yes"]
    assert rows.loc["colour.dcm", ["study", "status", "window"]].tolist() == ["colour", "rejected", ""]
    assert rows.loc["colour.dcm", "reason"].startswith("colour: ")
    assert rows.loc["note.txt"].tolist() == ["", "skipped", "not a DICOM file", "", "", "", "", "", ""]


def test_200_files_and_their_zip_give_the_same_pictures(tmp_path: Path):
    expected = mixed_input.write(tmp_path / "input")
    mixed_input.pack(tmp_path / "input", tmp_path / "input.zip")
    for name, workers in (("input", 2), ("input.zip", 1)):
        counted = render(tmp_path / name, tmp_path / f"{name}.out", window=AUTO, workers=workers)
        # Hands and side views are images too, and so is each of two of the same UID.
        assert counted == {"files": 200, "ok": 157, "rejected": 13, "skipped": 30}
    folder, packed = tmp_path / "input.out", tmp_path / "input.zip.out"
    rows = table(folder)
    assert rows.index.tolist() == sorted(expected)
    assert rows.equals(table(packed).assign(reason=rows["reason"]))  # a link to nowhere is named otherwise
    good = rows[rows["status"] == "ok"]
    assert sorted(path.stem for path in folder.glob("*.png")) == sorted(good["study"])
    assert rows.loc["same/first0.dcm", "notes"].endswith("SOP Instance UID is in same/second0.dcm.")
    for path in folder.glob("*.png"):
        assert path.read_bytes() == (packed / path.name).read_bytes()


def test_what_nobody_foresaw_is_one_file_less(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    from pneumonia import pictures

    for number in range(2):
        (tmp_path / f"{number}.dcm").write_bytes(chest(SOPInstanceUID=f"1.2.{number}"))
    real = pictures.png

    def fail_once(image: np.ndarray, compression: int, calls: Counter[str] = Counter()) -> bytes:  # noqa: B006
        calls["all"] += 1
        if calls["all"] == 1:
            raise KeyError("x")
        return real(image, compression)

    monkeypatch.setattr(pictures, "png", fail_once)
    render(tmp_path, tmp_path.parent / "out", window=AUTO, workers=1)
    rows = table(tmp_path.parent / "out")
    assert rows["status"].tolist() == ["rejected", "ok"]
    assert rows.loc["0.dcm", "reason"] == "unreadable: KeyError: 'x'"


@pytest.mark.parametrize("error", [MemoryError(), OSError(28, "No space left on device")])
def test_memory_and_disk_end_it_and_leave_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception):
    (tmp_path / "a.dcm").write_bytes(chest())

    def fail(*arguments: Any) -> None:
        raise error

    monkeypatch.setattr(module, "_render", fail)
    with pytest.raises(type(error)):
        render(tmp_path, tmp_path / "out", window=AUTO, workers=1)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.dcm"]


def test_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    monkeypatch.chdir(ROOT)
    (tmp_path / "a.dcm").write_bytes(chest())
    assert cli.main(["render", str(tmp_path / "a.dcm"), "--output", str(tmp_path / "1")]) == 0
    assert "1 images rendered, 0 rejected, 0 skipped, of 1 files" in capsys.readouterr().out
    (tmp_path / "a.dcm").write_bytes(b"no DICOM")
    assert cli.main(["render", str(tmp_path / "a.dcm"), "--output", str(tmp_path / "2")]) == 1
    assert cli.main(["render", str(tmp_path / "a.dcm"), "--output", str(tmp_path / "2")]) == 2
    assert "2 exists and is not empty" in capsys.readouterr().err

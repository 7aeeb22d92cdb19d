"""A missing model is named before anything is loaded."""

from pathlib import Path

import pytest

from pneumonia.reading_room.trained import require


def test_the_first_model_that_is_missing_is_named(tmp_path: Path):
    for name in ("classifier", "maskrcnn", "yolo"):
        with pytest.raises(ValueError, match=rf"no trained model at .*{name}; run `dvc repro`"):
            require(tmp_path)
        (tmp_path / name).mkdir()
        (tmp_path / name / "model.json").write_text("{}")
    require(tmp_path)

"""A fresh process, with the module at its start as the installed package has it."""

import subprocess
import sys

import pytest
from tests.places import ROOT

BEFORE_ANY_OTHER = """
import sys
exec(open("{root}/src/mrcnn_imgaug.pth").read())
assert "numpy" not in sys.modules and "keras" not in sys.modules
from imgaug import augmenters as iaa
import numpy as np
print(iaa.Fliplr(1.0).augment_image(np.arange(4, dtype=np.uint8).reshape(1, 2, 2))[0, :, 0].tolist())
print([finder for finder in sys.meta_path if "BeforeImgaug" in repr(finder)])
"""


def test_imgaug_comes_before_any_other_import():
    pytest.importorskip("cv2", reason="imgaug needs opencv")
    code = BEFORE_ANY_OTHER.format(root=ROOT)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT / "src")
    if "No module named 'imgaug'" in done.stderr:
        pytest.skip("imgaug is not installed")
    assert done.stdout.splitlines() == ["[2, 0]", "[]"], done.stderr

"""200 files of the grammar against pydicom, and against dcmtk where it is installed."""

import shutil
from collections import Counter

import numpy as np
import pytest
from tests.pneumonia.dicom import grammar

pytest.importorskip("imagecodecs", reason="the extra 'dicom' is not installed")


@pytest.mark.filterwarnings("ignore")
def test_no_file_looks_otherwise_than_elsewhere_without_a_word(tmp_path):
    rng = np.random.default_rng(11)
    dcmtk = shutil.which("dcm2pnm") is not None
    counts, disagreements = Counter(), []
    files = [grammar.draw(rng) for _ in range(200)]
    for drawn, picture in zip(files, grammar.rendered([each.data for each in files], tmp_path), strict=True):
        outcomes = grammar.compare(drawn, tmp_path, dcmtk, picture)
        counts.update(outcomes)
        if any("differs" in outcome or "well-formed" in outcome for outcome in outcomes):
            disagreements.append(f"{outcomes}: {drawn}")
    assert not disagreements, "\n".join(disagreements)
    assert counts["ok"] > 120
    assert counts["pydicom agrees"] > 60
    assert not dcmtk or counts["dcmtk agrees"] > 60

"""Studies that training has seen: by id, by person, by pixels, and how the refusal counts them."""

import numpy as np
import pandas as pd
import pytest

from pneumonia.external import overlap


class Ours:
    """Images whose grey value is the study's first letter."""

    def image(self, study: str) -> np.ndarray:
        return np.full((4, 4), ord(study[0]), np.uint8)


KNOWN = pd.DataFrame({"study": ["a", "b"], "person": ["p1", "p2"]})


def found(studies, persons):
    new = pd.DataFrame({"study": studies, "person": persons})
    return overlap.seen(KNOWN, new, Ours(), [(study, Ours().image(study)) for study in studies])


def test_each_way_finds_its_own():
    assert found(["a", "c", "b2", "x"], ["q", "p2", "r", "s"]) == {"id": {"a"}, "person": {"c"}, "pixels": {"a", "b2"}}


def test_the_refusal_counts_studies_once_and_says_by_what():
    with pytest.raises(ValueError, match=r"3 studies .* \(1 by id, 1 by person, 2 by pixels\)"):
        overlap.refuse(found(["a", "c", "b2", "x"], ["q", "p2", "r", "s"]))
    overlap.refuse(found(["x"], ["y"]))

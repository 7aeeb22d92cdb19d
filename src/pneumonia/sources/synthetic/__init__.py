"""The embedded data source: a seeded chest-radiograph phantom, drawn, labelled and broken as the challenge's data is.

    write_labelled(Path("data/raw"), studies=1000, size=1024, seed=2018)
    drawing = draw_study(np.random.default_rng(1), StudySpec("opacity", 2, "AP", "F", 61, (1,)))

How it is made, and how it was tuned: docs/synthetic.md.
"""

from pneumonia.sources.synthetic.phantom import Drawing, StudySpec, draw_study
from pneumonia.sources.synthetic.writer import write_labelled, write_test

__all__ = ["Drawing", "StudySpec", "draw_study", "write_labelled", "write_test"]

"""The embedded data source: in comes a seed, out come chest-radiograph phantoms, drawn, labelled and broken as the challenge's are.

    write_labelled(Path("data/raw"), studies=1000, size=1024, seed=2018)
    drawing = draw_study(np.random.default_rng(1), StudySpec("opacity", 2, "AP", "F", 61, (1,)))

Read `writer` first, then `phantom`. How it is made, and how it was tuned: docs/synthetic.md.
"""

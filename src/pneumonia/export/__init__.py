"""Trained models that leave: in come the folders of trained models, out come bundles that run without Keras, proven equal.

Read `bundles` first (one model, from folder to folder), then `formats` (Keras' graph to a file; `canonical` makes the same bytes of
the same model) and `parity` (is it the same?). `benchmark` measures models in every format, each in a process of its own, which is
`alone`; `cards` writes what people read beside a bundle.
"""

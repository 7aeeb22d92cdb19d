"""Labelled sets of other projects, each in its own layout: in comes a folder, out comes data/raw as the challenge's.

Read `fetch` first; a reader a layout gives `marked.Marked`; `pictures` makes DICOM files of PNG and JPEG.
"""

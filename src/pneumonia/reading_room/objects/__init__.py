"""Results as DICOM objects that a PACS stores beside the image: in come an image's header and its findings, out come a structured
report, a presentation state, a secondary capture.

Read `make` first.
"""
